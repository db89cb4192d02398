//! Cross entropy of a softmax over the matched boxes and the hardest of the others:
//! arXiv 1512.02325, section 2.2, "Hard negative mining".
//!
//! ```text
//! mined = in each image, the background boxes of the highest loss, negative_ratio
//!         for each matched one
//! loss  = sum over matched and mined of the cross entropy
//! ```
//!
//! Where we differ from torchvision's `models/detection/ssd.py`: an image without
//! objects has `empty_negatives` mined boxes instead of none, so images of nothing
//! teach what nothing looks like; and where an image has fewer background boxes than
//! are asked for, all of them count once, while torchvision then counts matched boxes
//! twice.

use super::softmax::{RowTarget, Softmax, row_loss};

/// Which boxes of the background count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HardNegatives {
    /// Background boxes that count for each matched one; 3 in the paper.
    pub negative_ratio: f64,
    /// Background boxes that count in an image without objects; 0 in the
    /// paper.
    pub empty_negatives: usize,
    /// Share of the target that is spread over all classes; 0 in the paper.
    /// Mining goes by the loss without it.
    pub label_smoothing: f32,
}

impl Default for HardNegatives {
    fn default() -> Self {
        Self {
            negative_ratio: 3.0,
            empty_negatives: 3,
            label_smoothing: 0.0,
        }
    }
}

impl HardNegatives {
    /// The loss of an image's logits, `[boxes, classes + 1]`, whose softmax this is; its
    /// gradient times `scale` is written to the `gradient` of the boxes that count.
    pub(super) fn of_image(
        &self,
        logits: &[f32],
        labels: &[i32],
        softmax: &Softmax,
        scale: f32,
        gradient: &mut [f32],
    ) -> f64 {
        let width = logits.len() / labels.len();
        let matched = (0..labels.len()).filter(|&row| labels[row] > 0);
        let mut rows: Vec<usize> = matched.collect();
        rows.extend(self.mined(logits, labels, softmax, rows.len()));
        let mut loss = 0.0;
        for row in rows {
            let range = row * width..(row + 1) * width;
            let target = RowTarget {
                class: labels[row] as usize,
                smoothing: self.label_smoothing,
                scale,
            };
            let slots = &mut gradient[range.clone()];
            loss += row_loss(softmax, row, &logits[range], target, slots);
        }
        loss
    }

    /// The background boxes that count, in ascending order. Of equal losses
    /// the earlier box counts.
    fn mined(
        &self,
        logits: &[f32],
        labels: &[i32],
        softmax: &Softmax,
        matched: usize,
    ) -> Vec<usize> {
        let width = logits.len() / labels.len();
        let wanted = match matched {
            0 => self.empty_negatives,
            _ => (matched as f64 * self.negative_ratio) as usize,
        };
        let mut candidates: Vec<(f32, usize)> = labels
            .iter()
            .zip(softmax.log_sums())
            .enumerate()
            .filter(|&(_, (&label, _))| label <= 0)
            .map(|(row, (_, log_sum))| (log_sum - logits[row * width], row))
            .collect();
        if wanted == 0 {
            return Vec::new();
        }
        if wanted < candidates.len() {
            candidates
                .select_nth_unstable_by(wanted - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            candidates.truncate(wanted);
        }
        let mut rows: Vec<usize> = candidates.into_iter().map(|(_, row)| row).collect();
        rows.sort_unstable();
        rows
    }
}
