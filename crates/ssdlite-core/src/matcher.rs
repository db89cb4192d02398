//! Which object each default box learns to find.
//!
//! Source: arXiv 1512.02325 (SSD), section 2.2, "Matching strategy".

use crate::geometry::FractionBox;

/// Least IoU of a default box with the object it learns to find.
pub const MATCH_IOU: f32 = 0.5;

/// For every default box the index of its object, or none for background.
///
/// A default box takes the object that it overlaps most, if their IoU is at
/// least `min_iou`. Then every object also gets the default box that overlaps
/// it most, whatever their IoU. Where two objects want the same one, the
/// greater IoU wins and the other object takes its next best that is free:
/// the original code does so too, while torchvision lets one object go without.
/// Among equal IoUs the lower index wins. An object that touches no default
/// box gets none.
pub fn match_objects(
    default_boxes: &[FractionBox],
    objects: &[FractionBox],
    min_iou: f32,
) -> Vec<Option<u32>> {
    let mut matches = vec![None; default_boxes.len()];
    let mut best_iou = vec![0.0_f32; default_boxes.len()];
    for (index, object) in objects.iter().enumerate() {
        for (slot, default) in default_boxes.iter().enumerate() {
            let iou = default.iou(object);
            if iou > best_iou[slot] && iou >= min_iou {
                best_iou[slot] = iou;
                matches[slot] = u32::try_from(index).ok();
            }
        }
    }
    give_each_object_its_best(default_boxes, objects, &mut matches);
    matches
}

fn give_each_object_its_best(
    default_boxes: &[FractionBox],
    objects: &[FractionBox],
    matches: &mut [Option<u32>],
) {
    let mut taken = vec![false; default_boxes.len()];
    let mut best: Vec<_> = objects
        .iter()
        .map(|object| best_free(default_boxes, object, &taken))
        .collect();
    for _ in 0..objects.len() {
        let candidates = best.iter().enumerate();
        let winner = candidates
            .filter_map(|(index, best)| best.map(|(slot, iou)| (index, slot, iou)))
            .reduce(|a, b| if b.2 > a.2 { b } else { a });
        let Some((winner, slot, _)) = winner else {
            return;
        };
        matches[slot] = u32::try_from(winner).ok();
        taken[slot] = true;
        best[winner] = None;
        for (index, object) in objects.iter().enumerate() {
            if best[index].is_some_and(|(wanted, _)| wanted == slot) {
                best[index] = best_free(default_boxes, object, &taken);
            }
        }
    }
}

fn best_free(
    default_boxes: &[FractionBox],
    object: &FractionBox,
    taken: &[bool],
) -> Option<(usize, f32)> {
    let mut best = None;
    let mut best_iou = 0.0;
    for (slot, default) in default_boxes.iter().enumerate() {
        let iou = default.iou(object);
        if iou > best_iou && !taken[slot] {
            best_iou = iou;
            best = Some((slot, iou));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of_boxes() -> Vec<FractionBox> {
        (0..5)
            .map(|i| FractionBox::new(0.2 * i as f32, 0.0, 0.2 * (i + 1) as f32, 0.5))
            .collect()
    }

    #[test]
    fn no_object_means_all_background() {
        assert_eq!(
            match_objects(&row_of_boxes(), &[], MATCH_IOU),
            vec![None; 5]
        );
        assert!(match_objects(&[], &row_of_boxes(), MATCH_IOU).is_empty());
    }

    #[test]
    fn a_tiny_object_keeps_its_best_default_box() {
        let tiny = FractionBox::new(0.25, 0.1, 0.26, 0.11);
        let matches = match_objects(&row_of_boxes(), &[tiny], MATCH_IOU);
        assert_eq!(matches, vec![None, Some(0), None, None, None]);
    }

    #[test]
    fn two_objects_never_share_their_best() {
        let a = FractionBox::new(0.21, 0.0, 0.41, 0.5);
        let b = FractionBox::new(0.22, 0.0, 0.42, 0.5);
        let matches = match_objects(&row_of_boxes(), &[b, a], MATCH_IOU);
        assert_eq!(matches[1], Some(1));
        assert_eq!(matches[2], Some(0));
    }

    #[test]
    fn an_overlap_of_the_least_iou_counts() {
        let half = FractionBox::new(0.0, 0.0, 0.25, 0.25);
        let other = FractionBox::new(0.0, 0.0, 0.25, 0.5);
        let defaults = [other, other];
        let matches = match_objects(&defaults, &[half], 0.5);
        assert_eq!(matches, vec![Some(0), Some(0)]);
        let matches = match_objects(&defaults, &[half], 0.51);
        assert_eq!(matches, vec![Some(0), None]);
    }

    #[test]
    fn a_box_that_touches_nothing_is_left_out() {
        let outside = FractionBox::new(2.0, 2.0, 3.0, 3.0);
        assert_eq!(
            match_objects(&row_of_boxes(), &[outside], 0.5),
            vec![None; 5]
        );
    }
}
