//! The multibox loss of SSD: arXiv 1512.02325, section 2.2, as torchvision's
//! `models/detection/ssd.py` computes it.
//!
//! ```text
//! matched = default boxes of the batch that have an object
//! mined   = in each image, the background boxes of the highest loss,
//!           negative_ratio for each matched one
//! loss = (sum over matched and mined of the cross entropy
//!         + sum over matched of smooth_l1(regression - target))
//!        / max(1, number of matched)
//! smooth_l1(d) = d^2 / 2 where |d| < 1, else |d| - 1/2; summed over 4 numbers
//! ```
//!
//! Where we differ: an image without objects has `empty_negatives` mined boxes
//! instead of none, so images of nothing teach what nothing looks like; and
//! where an image has fewer background boxes than are asked for, all of them
//! count once, while torchvision then counts matched boxes twice.

use std::num::NonZeroUsize;
use std::thread;

use ssdlite_core::detector::BOX_NUMBERS;

use super::softmax::{RowTarget, Softmax, row_loss};

/// The multibox loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiboxLoss {
    /// Background boxes that count for each matched one; 3 in the paper.
    pub negative_ratio: f64,
    /// Background boxes that count in an image without objects; 0 in the
    /// paper.
    pub empty_negatives: usize,
    /// Share of the target that is spread over all classes; 0 in the paper.
    /// Mining goes by the loss without it.
    pub label_smoothing: f32,
}

impl Default for MultiboxLoss {
    fn default() -> Self {
        Self {
            negative_ratio: 3.0,
            empty_negatives: 3,
            label_smoothing: 0.0,
        }
    }
}

/// What the outputs should have been.
#[derive(Clone, Copy, Debug)]
pub struct MultiboxTargets<'a> {
    /// `[N, boxes]`: 0 for background, else class id + 1.
    pub labels: &'a [i32],
    /// `[N, boxes, 4]`: what the box coder makes of the objects.
    pub regressions: &'a [f32],
    /// Images in the batch.
    pub images: NonZeroUsize,
}

/// The loss of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiboxOutput {
    /// Cross entropy of the classes.
    pub classification: f64,
    /// Smooth L1 of the boxes.
    pub regression: f64,
    /// The loss's gradient by the logits, `[N, boxes, outputs a box]`.
    pub logit_gradient: Vec<f32>,
    /// The loss's gradient by the regressions, `[N, boxes, 4]`.
    pub regression_gradient: Vec<f32>,
}

/// One image's part of the batch.
struct Image<'a> {
    logits: &'a [f32],
    regressions: &'a [f32],
    labels: &'a [i32],
    targets: &'a [f32],
    logit_gradient: &'a mut [f32],
    regression_gradient: &'a mut [f32],
    /// Losses, not yet divided by the matched boxes of the batch.
    classification: f64,
    regression: f64,
}

impl MultiboxLoss {
    /// The loss of `logits`, `[N, boxes, outputs a box]` with the background
    /// first, and `regressions`, `[N, boxes, 4]`.
    ///
    /// Images are shared out over `threads`, summed in their order: the result
    /// doesn't depend on them.
    ///
    /// # Panics
    /// If the shapes don't fit each other or a label is not an output.
    pub fn evaluate(
        &self,
        logits: &[f32],
        regressions: &[f32],
        targets: MultiboxTargets<'_>,
        threads: NonZeroUsize,
    ) -> MultiboxOutput {
        let rows = targets.labels.len();
        let boxes = rows / targets.images;
        let width = logits.len().checked_div(rows).unwrap_or(0);
        assert_eq!(boxes * targets.images.get(), rows);
        assert_eq!(width * rows, logits.len());
        assert_eq!(regressions.len(), rows * BOX_NUMBERS);
        assert_eq!(targets.regressions.len(), regressions.len());
        let mut output = MultiboxOutput {
            classification: 0.0,
            regression: 0.0,
            logit_gradient: vec![0.0; logits.len()],
            regression_gradient: vec![0.0; regressions.len()],
        };
        if rows == 0 {
            return output;
        }
        let matched = targets.labels.iter().filter(|&&label| label > 0).count();
        let divisor = matched.max(1) as f64;
        let numbers = boxes * BOX_NUMBERS;
        let mut images: Vec<Image<'_>> = output
            .logit_gradient
            .chunks_exact_mut(boxes * width)
            .zip(output.regression_gradient.chunks_exact_mut(numbers))
            .enumerate()
            .map(|(n, (logit_gradient, regression_gradient))| Image {
                logits: &logits[n * boxes * width..(n + 1) * boxes * width],
                regressions: &regressions[n * numbers..(n + 1) * numbers],
                labels: &targets.labels[n * boxes..(n + 1) * boxes],
                targets: &targets.regressions[n * numbers..(n + 1) * numbers],
                logit_gradient,
                regression_gradient,
                classification: 0.0,
                regression: 0.0,
            })
            .collect();
        let share = images.len().div_ceil(threads.get());
        let scale = (1.0 / divisor) as f32;
        let work = |images: &mut [Image<'_>]| {
            let mut softmax = Softmax::default();
            for image in images {
                self.add_classification(image, &mut softmax, width, scale);
                add_regression(image, scale);
            }
        };
        thread::scope(|scope| {
            let mut shares = images.chunks_mut(share);
            let own = shares.next();
            for others in shares {
                scope.spawn(|| work(others));
            }
            own.map(work);
        });
        let (mut classification, mut regression) = (0.0, 0.0);
        for image in &images {
            classification += image.classification;
            regression += image.regression;
        }
        output.classification = classification / divisor;
        output.regression = regression / divisor;
        output
    }

    fn add_classification(
        &self,
        image: &mut Image<'_>,
        softmax: &mut Softmax,
        width: usize,
        scale: f32,
    ) {
        softmax.compute(image.logits, width);
        let matched = (0..image.labels.len()).filter(|&row| image.labels[row] > 0);
        let mut rows: Vec<usize> = matched.collect();
        rows.extend(self.mined(image, softmax, width, rows.len()));
        for row in rows {
            let range = row * width..(row + 1) * width;
            let target = RowTarget {
                class: image.labels[row] as usize,
                smoothing: self.label_smoothing,
                scale,
            };
            let slots = &mut image.logit_gradient[range.clone()];
            image.classification += row_loss(softmax, row, &image.logits[range], target, slots);
        }
    }

    /// The background boxes that count, in ascending order. Of equal losses
    /// the earlier box counts.
    fn mined(
        &self,
        image: &Image<'_>,
        softmax: &Softmax,
        width: usize,
        matched: usize,
    ) -> Vec<usize> {
        let wanted = match matched {
            0 => self.empty_negatives,
            _ => (matched as f64 * self.negative_ratio) as usize,
        };
        let mut candidates: Vec<(f32, usize)> = image
            .labels
            .iter()
            .zip(softmax.log_sums())
            .enumerate()
            .filter(|&(_, (&label, _))| label <= 0)
            .map(|(row, (_, log_sum))| (log_sum - image.logits[row * width], row))
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

fn add_regression(image: &mut Image<'_>, scale: f32) {
    let rows = image
        .labels
        .iter()
        .zip(image.regressions.chunks_exact(BOX_NUMBERS))
        .zip(image.targets.chunks_exact(BOX_NUMBERS))
        .zip(image.regression_gradient.chunks_exact_mut(BOX_NUMBERS));
    for (((&label, found), wanted), slots) in rows {
        if label <= 0 {
            continue;
        }
        for ((slot, found), wanted) in slots.iter_mut().zip(found).zip(wanted) {
            let distance = found - wanted;
            let beyond = distance.abs() >= 1.0;
            *slot = scale * if beyond { distance.signum() } else { distance };
            image.regression += f64::from(if beyond {
                distance.abs() - 0.5
            } else {
                0.5 * distance * distance
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGES: NonZeroUsize = NonZeroUsize::new(3).unwrap();
    const ONE: NonZeroUsize = NonZeroUsize::MIN;
    const BOXES: usize = 7;
    const WIDTH: usize = 5;

    /// Two images with objects, one without.
    const LABELS: [i32; 21] = [
        0, 3, 0, 0, 1, 0, 0, //
        0, 0, 0, 0, 0, 0, 0, //
        4, 4, 2, 0, 1, 0, 3,
    ];

    fn numbers(count: usize, scale: f32) -> Vec<f32> {
        let mut rng = ssdlite_core::random::Rng::from_keys(&[count as u64]);
        (0..count).map(|_| rng.uniform(-scale..scale)).collect()
    }

    fn outputs() -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let rows = LABELS.len();
        (
            numbers(rows * WIDTH, 3.0),
            numbers(rows * BOX_NUMBERS, 2.0),
            numbers(rows * BOX_NUMBERS, 1.0),
        )
    }

    fn evaluate(loss: MultiboxLoss, logits: &[f32], regressions: &[f32]) -> MultiboxOutput {
        let (_, _, targets) = outputs();
        let targets = MultiboxTargets {
            labels: &LABELS,
            regressions: &targets,
            images: IMAGES,
        };
        loss.evaluate(logits, regressions, targets, ONE)
    }

    /// The definition, without regard to cost.
    fn plainly(loss: MultiboxLoss, logits: &[f32], regressions: &[f32]) -> (f64, f64) {
        let (_, _, targets) = outputs();
        let matched = LABELS.iter().filter(|&&label| label > 0).count() as f64;
        let (mut classification, mut regression) = (0.0, 0.0);
        for image in 0..IMAGES.get() {
            let rows = image * BOXES..(image + 1) * BOXES;
            let cross_entropy = |row: usize| {
                let row_logits = &logits[row * WIDTH..(row + 1) * WIDTH];
                let sum: f64 = row_logits.iter().map(|&x| f64::from(x).exp()).sum();
                sum.ln() - f64::from(row_logits[LABELS[row] as usize])
            };
            let (with, without): (Vec<usize>, Vec<usize>) = rows.partition(|&r| LABELS[r] > 0);
            let mut losses: Vec<f64> = without.into_iter().map(cross_entropy).collect();
            losses.sort_by(|a, b| b.total_cmp(a));
            let wanted = if with.is_empty() {
                loss.empty_negatives
            } else {
                with.len() * 3
            };
            classification += losses.iter().take(wanted).sum::<f64>();
            classification += with.iter().map(|&row| cross_entropy(row)).sum::<f64>();
            for number in with.iter().flat_map(|row| row * 4..row * 4 + 4) {
                let d = f64::from((regressions[number] - targets[number]).abs());
                regression += if d < 1.0 { d * d / 2.0 } else { d - 0.5 };
            }
        }
        (classification / matched, regression / matched)
    }

    #[test]
    fn values_are_those_of_the_definition() {
        let (logits, regressions, _) = outputs();
        for empty_negatives in [0, 2, 100] {
            let loss = MultiboxLoss {
                empty_negatives,
                ..MultiboxLoss::default()
            };
            let found = evaluate(loss, &logits, &regressions);
            let (classification, regression) = plainly(loss, &logits, &regressions);
            assert!((found.classification - classification).abs() < 1e-5);
            assert!((found.regression - regression).abs() < 1e-5);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (logits, regressions, _) = outputs();
        for label_smoothing in [0.0, 0.1] {
            let loss = MultiboxLoss {
                label_smoothing,
                ..MultiboxLoss::default()
            };
            let output = evaluate(loss, &logits, &regressions);
            let sum = |logits: &[f32], regressions: &[f32]| {
                let output = evaluate(loss, logits, regressions);
                output.classification + output.regression
            };
            let slope = |values: &[f32], index: usize, sum: &dyn Fn(&[f32]) -> f64| {
                let moved = |by: f32| {
                    let mut values = values.to_vec();
                    values[index] += by;
                    sum(&values)
                };
                (moved(2e-3) - moved(-2e-3)) / 4e-3
            };
            for (index, &gradient) in output.logit_gradient.iter().enumerate() {
                let found = slope(&logits, index, &|logits| sum(logits, &regressions));
                assert!((found - f64::from(gradient)).abs() < 1e-3, "logit {index}");
            }
            for (index, &gradient) in output.regression_gradient.iter().enumerate() {
                let found = slope(&regressions, index, &|numbers| sum(&logits, numbers));
                assert!((found - f64::from(gradient)).abs() < 1e-3, "number {index}");
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (logits, regressions, targets) = outputs();
        let with = |threads: usize| {
            let targets = MultiboxTargets {
                labels: &LABELS,
                regressions: &targets,
                images: IMAGES,
            };
            let threads = NonZeroUsize::new(threads).unwrap();
            MultiboxLoss::default().evaluate(&logits, &regressions, targets, threads)
        };
        assert_eq!(with(1), with(2));
        assert_eq!(with(1), with(8));
    }

    #[test]
    fn a_batch_without_objects_teaches_background_or_nothing() {
        let (logits, regressions, targets) = outputs();
        let labels = [0; 21];
        let with = |empty_negatives| {
            let targets = MultiboxTargets {
                labels: &labels,
                regressions: &targets,
                images: IMAGES,
            };
            let loss = MultiboxLoss {
                empty_negatives,
                ..MultiboxLoss::default()
            };
            loss.evaluate(&logits, &regressions, targets, ONE)
        };
        let paper = with(0);
        assert_eq!((paper.classification, paper.regression), (0.0, 0.0));
        assert!(paper.logit_gradient.iter().all(|&value| value == 0.0));
        let ours = with(2);
        let taught = ours.logit_gradient.chunks_exact(WIDTH);
        let taught = taught.filter(|row| row.iter().any(|&value| value != 0.0));
        assert_eq!(taught.count(), 2 * IMAGES.get());
        assert!(ours.classification > 0.0);
        assert!(ours.regression_gradient.iter().all(|&value| value == 0.0));
    }

    #[test]
    fn a_number_that_is_none_makes_the_loss_none() {
        let (mut logits, regressions, _) = outputs();
        logits[WIDTH + 2] = f32::NAN;
        let found = evaluate(MultiboxLoss::default(), &logits, &regressions);
        assert!(found.classification.is_nan());
    }
}
