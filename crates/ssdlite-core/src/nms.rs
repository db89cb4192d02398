//! Non-maximum suppression among the boxes of one class.

use crate::geometry::{CornerBox, Space};

/// A box with the score by which it competes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored<S: Space> {
    /// The box.
    pub bbox: CornerBox<S>,
    /// Its score, 0 to 1.
    pub score: f32,
    /// Where it stood before sorting, to break ties and to find it again.
    pub index: u32,
}

/// Keeps of `boxes`, sorted by falling score, each one whose IoU with every box kept before it is
/// at most `max_iou`. The result is sorted too.
pub fn nms<S: Space>(boxes: &mut Vec<Scored<S>>, max_iou: f32) {
    let mut kept = 0;
    for candidate in 0..boxes.len() {
        let bbox = boxes[candidate].bbox;
        let is_new = boxes[..kept].iter().all(|k| k.bbox.iou(&bbox) <= max_iou);
        if is_new {
            boxes.swap(kept, candidate);
            kept += 1;
        }
    }
    boxes.truncate(kept);
}

/// Lowers the score of each box by `exp(-iou^2 / sigma)` for every better box,
/// and drops those that fall below `min_score`: Gaussian soft-NMS, arXiv
/// 1704.04503. The result is sorted.
pub fn soft_nms<S: Space>(boxes: &mut Vec<Scored<S>>, sigma: f32, min_score: f32) {
    let mut kept = 0;
    while kept < boxes.len() {
        let rest = &boxes[kept..];
        let better =
            |a: &Scored<S>, b: &Scored<S>| a.score.total_cmp(&b.score).then(b.index.cmp(&a.index));
        let Some((best, _)) = rest.iter().enumerate().max_by(|a, b| better(a.1, b.1)) else {
            return;
        };
        boxes.swap(kept, kept + best);
        let winner = boxes[kept].bbox;
        kept += 1;
        let mut next = kept;
        while next < boxes.len() {
            let iou = winner.iou(&boxes[next].bbox);
            boxes[next].score *= (-iou * iou / sigma).exp();
            if boxes[next].score < min_score {
                boxes.swap_remove(next);
            } else {
                next += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{PixelBox, Pixels};

    fn boxes() -> Vec<Scored<Pixels>> {
        let mut state = 12345_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 24) as f32
        };
        let mut boxes: Vec<_> = (0..200)
            .map(|index| {
                let (x, y) = (next() * 100.0, next() * 70.0);
                let bbox = PixelBox::new(x, y, x + 5.0 + next() * 40.0, y + 5.0 + next() * 30.0);
                let score = next();
                Scored { bbox, score, index }
            })
            .collect();
        boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
        boxes
    }

    #[test]
    fn output_is_sorted_and_a_subset_and_idempotent() {
        let input = boxes();
        let mut once = input.clone();
        nms(&mut once, 0.45);
        assert!(once.len() < input.len());
        assert!(once.iter().all(|kept| input.contains(kept)));
        assert!(once.windows(2).all(|pair| pair[0].score >= pair[1].score));
        let mut twice = once.clone();
        nms(&mut twice, 0.45);
        assert_eq!(once, twice);
    }

    #[test]
    fn every_dropped_box_overlaps_a_better_kept_one() {
        let input = boxes();
        let mut kept = input.clone();
        nms(&mut kept, 0.45);
        for dropped in input.iter().filter(|scored| !kept.contains(scored)) {
            let overlaps =
                |k: &Scored<Pixels>| k.score >= dropped.score && k.bbox.iou(&dropped.bbox) > 0.45;
            assert!(kept.iter().any(overlaps));
        }
    }

    #[test]
    fn soft_nms_lowers_scores_and_keeps_the_best() {
        let input = boxes();
        let mut soft = input.clone();
        soft_nms(&mut soft, 0.5, 0.05);
        assert_eq!(soft[0], input[0]);
        assert!(soft.windows(2).all(|pair| pair[0].score >= pair[1].score));
        for scored in &soft {
            let before = input.iter().find(|b| b.index == scored.index).unwrap();
            assert!(scored.score <= before.score && scored.score >= 0.05);
        }
    }
}
