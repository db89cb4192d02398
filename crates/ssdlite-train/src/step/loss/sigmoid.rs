//! The quality focal loss of class logits that are sigmoids, without a background.
//!
//! With `s` the sigmoid of a logit, and `y` the quality of a box for its object's class,
//! 0 for the other classes:
//!
//! ```text
//! (y - s)^2 * (-y ln s - (1 - y) ln(1 - s))
//! ```
//!
//! arXiv 2006.04388, equation 4, with its beta of 2; `y` is the IoU of the decoded box
//! with its object and no gradient goes by way of it. The loss is summed over all default
//! boxes and classes.

use super::exponential::{exp_not_positive, ln_1p_of_unit};

/// Logits whose losses are held at once.
const CHUNK: usize = 256;

/// `s^2 * -ln(1 - s)` and its derivative by the logit,
/// `s^2 (2 (1 - s) * -ln(1 - s) + s)`.
#[inline]
fn squared_times_entropy(logit: f32) -> (f32, f32) {
    let exponential = exp_not_positive(-logit.abs());
    // -ln(1 - s) = ln(1 + e^x)
    let positive = if logit < 0.0 { 0.0 } else { logit };
    let entropy = positive + ln_1p_of_unit(exponential);
    let (above, below) = if logit < 0.0 {
        (exponential, 1.0)
    } else {
        (1.0, exponential)
    };
    let sigmoid = above / (1.0 + exponential);
    let rest = below / (1.0 + exponential);
    let square = sigmoid * sigmoid;
    (square * entropy, square * (2.0 * rest * entropy + sigmoid))
}

/// The sum of the losses of logits whose quality is 0; its gradient times `scale` is
/// written to `gradient`.
fn background(logits: &[f32], scale: f32, gradient: &mut [f32]) -> f64 {
    let chunks = logits.chunks(CHUNK).zip(gradient.chunks_mut(CHUNK));
    let sums = chunks.map(|(logits, slots)| {
        let mut losses = [0.0; CHUNK];
        for ((loss, slot), &logit) in losses.iter_mut().zip(slots).zip(logits) {
            let (value, slope) = squared_times_entropy(logit);
            *loss = value;
            *slot = slope * scale;
        }
        losses.iter().map(|&loss| f64::from(loss)).sum::<f64>()
    });
    sums.sum()
}

/// What the boxes of an image should have been.
#[derive(Clone, Copy)]
pub(super) struct Labels<'a> {
    /// Of each box: 0 for background, else class id + 1.
    pub(super) labels: &'a [i32],
    /// Classes.
    pub(super) width: usize,
}

impl Labels<'_> {
    /// Row and logit of the class of each box that has an object.
    fn positives(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let rows = self.labels.iter().enumerate();
        let matched = rows.filter(|&(_, &label)| label > 0);
        matched.map(|(row, &label)| {
            let class = label as usize - 1;
            assert!(class < self.width, "expected the label of a class");
            (row, row * self.width + class)
        })
    }
}

/// The quality focal loss of an image's logits, `[boxes, classes]`; its gradient times
/// `scale` is written to `gradient`. `quality` is that of a box with an object.
pub(super) fn quality_focal(
    logits: &[f32],
    labels: Labels<'_>,
    quality: impl Fn(usize) -> f64,
    scale: f32,
    gradient: &mut [f32],
) -> f64 {
    let mut loss = background(logits, scale, gradient);
    for (row, index) in labels.positives() {
        let (as_background, _) = squared_times_entropy(logits[index]);
        let logit = f64::from(logits[index]);
        let target = quality(row);
        let exponential = (-logit.abs()).exp();
        let above = if logit < 0.0 { exponential } else { 1.0 };
        let distance = above / (1.0 + exponential) - target;
        let slope = exponential / (1.0 + exponential).powi(2);
        let entropy = logit.max(0.0) + exponential.ln_1p() - target * logit;
        loss += distance * distance * entropy - f64::from(as_background);
        let by_logit = distance * (2.0 * slope * entropy + distance * distance);
        gradient[index] = (by_logit * f64::from(scale)) as f32;
    }
    loss
}
