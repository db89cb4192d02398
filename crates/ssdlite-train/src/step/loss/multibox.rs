//! The multibox loss of SSD: arXiv 1512.02325, section 2.2, as torchvision's
//! `models/detection/ssd.py` computes it; and others in its places.
//!
//! ```text
//! matched = default boxes of the batch that have an object
//! loss = (sum of the classification loss + sum over matched of the regression loss)
//!        / max(1, number of matched)
//! ```

use std::num::NonZeroUsize;
use std::thread;

use ssdlite_core::box_coder::BoxCoder;
use ssdlite_core::default_boxes::BoxSize;
use ssdlite_core::detector::BOX_NUMBERS;
use ssdlite_core::geometry::{CenterBox, Fractions};

use super::hard_negatives::HardNegatives;
use super::regression::{RegressionLoss, iou};
use super::sigmoid::{Labels, quality_focal};
use super::softmax::Softmax;

/// How the class logits of a default box are compared with its object's class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClassificationLoss {
    /// Cross entropy of a softmax with the background, over the matched boxes and the
    /// hardest of the others.
    Softmax(HardNegatives),
    /// Quality focal loss of sigmoids, over all boxes.
    QualityFocal,
}

/// The multibox loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiboxLoss {
    /// That of the classes.
    pub classification: ClassificationLoss,
    /// That of the boxes.
    pub regression: RegressionLoss,
    /// How regressions describe boxes.
    pub coder: BoxCoder,
}

impl Default for MultiboxLoss {
    /// The paper's.
    fn default() -> Self {
        Self {
            classification: ClassificationLoss::Softmax(HardNegatives::default()),
            regression: RegressionLoss::SmoothL1,
            coder: BoxCoder::default(),
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
    /// `[boxes]`: the default boxes, in the order of the outputs.
    pub default_boxes: &'a [CenterBox<Fractions>],
    /// Images in the batch.
    pub images: NonZeroUsize,
}

/// The loss of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiboxOutput {
    /// Loss of the classes.
    pub classification: f64,
    /// Loss of the boxes.
    pub regression: f64,
    /// The loss's gradient by the logits, `[N, boxes, logits a box]`.
    pub logit_gradient: Vec<f32>,
    /// The loss's gradient by the regressions, `[N, boxes, 4]`.
    pub regression_gradient: Vec<f32>,
}

/// One image's part of the batch.
struct Image<'a> {
    logits: &'a [f32],
    regressions: &'a [[f32; BOX_NUMBERS]],
    labels: &'a [i32],
    targets: &'a [[f32; BOX_NUMBERS]],
    logit_gradient: &'a mut [f32],
    regression_gradient: &'a mut [[f32; BOX_NUMBERS]],
    /// Losses, not yet divided by the matched boxes of the batch.
    classification: f64,
    regression: f64,
}

impl MultiboxLoss {
    /// The loss of `logits`, `[N, boxes, logits a box]`, of a softmax with the
    /// background first, and `regressions`, `[N, boxes, 4]`.
    ///
    /// Images are shared out over `threads`, summed in their order: the result
    /// doesn't depend on them.
    ///
    /// # Panics
    /// If the shapes don't fit each other or a label has no logit.
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
        assert_eq!(targets.default_boxes.len(), boxes);
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
        let regression_gradient = output.regression_gradient.as_chunks_mut().0;
        let mut images: Vec<Image<'_>> = output
            .logit_gradient
            .chunks_exact_mut(boxes * width)
            .zip(regression_gradient.chunks_exact_mut(boxes))
            .enumerate()
            .map(|(n, (logit_gradient, regression_gradient))| {
                let rows = n * boxes..(n + 1) * boxes;
                Image {
                    logits: &logits[rows.start * width..rows.end * width],
                    regressions: &regressions.as_chunks().0[rows.clone()],
                    labels: &targets.labels[rows.clone()],
                    targets: &targets.regressions.as_chunks().0[rows],
                    logit_gradient,
                    regression_gradient,
                    classification: 0.0,
                    regression: 0.0,
                }
            })
            .collect();
        let share = images.len().div_ceil(threads.get());
        let scale = (1.0 / divisor) as f32;
        let work = |images: &mut [Image<'_>]| {
            let mut softmax = Softmax::default();
            for image in images {
                self.add_classification(image, &mut softmax, width, scale);
                self.add_regression(image, targets.default_boxes, scale);
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
        let (logits, gradient) = (image.logits, &mut *image.logit_gradient);
        let labels = Labels {
            labels: image.labels,
            width,
        };
        image.classification = match &self.classification {
            ClassificationLoss::Softmax(loss) => {
                softmax.compute(logits, width);
                loss.of_image(logits, image.labels, softmax, scale, gradient)
            }
            ClassificationLoss::QualityFocal => {
                let quality =
                    |row: usize| iou(image.regressions[row], image.targets[row], &self.coder);
                quality_focal(logits, labels, quality, scale, gradient)
            }
        };
    }

    fn add_regression(
        &self,
        image: &mut Image<'_>,
        default_boxes: &[CenterBox<Fractions>],
        scale: f32,
    ) {
        for (row, default) in default_boxes.iter().enumerate() {
            if image.labels[row] <= 0 {
                continue;
            }
            let size = BoxSize {
                width: default.w,
                height: default.h,
            };
            let (found, target) = (image.regressions[row], image.targets[row]);
            let sum = &mut image.regression;
            let gradient = self
                .regression
                .add_box(found, target, &self.coder, size, sum);
            image.regression_gradient[row] = gradient.map(|slope| scale * slope);
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

    fn default_boxes() -> Vec<CenterBox<Fractions>> {
        let sides = (0..BOXES).map(|index| (0.1 + 0.05 * index as f32, 0.4 - 0.03 * index as f32));
        sides.map(|(w, h)| CenterBox::new(0.5, 0.5, w, h)).collect()
    }

    fn with(negatives: HardNegatives) -> MultiboxLoss {
        MultiboxLoss {
            classification: ClassificationLoss::Softmax(negatives),
            ..MultiboxLoss::default()
        }
    }

    fn evaluate(loss: MultiboxLoss, logits: &[f32], regressions: &[f32]) -> MultiboxOutput {
        let (_, _, targets) = outputs();
        let targets = MultiboxTargets {
            labels: &LABELS,
            regressions: &targets,
            default_boxes: &default_boxes(),
            images: IMAGES,
        };
        loss.evaluate(logits, regressions, targets, ONE)
    }

    /// The definition, without regard to cost.
    fn plainly(negatives: HardNegatives, logits: &[f32], regressions: &[f32]) -> (f64, f64) {
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
                negatives.empty_negatives
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
            let negatives = HardNegatives {
                empty_negatives,
                ..HardNegatives::default()
            };
            let found = evaluate(with(negatives), &logits, &regressions);
            let (classification, regression) = plainly(negatives, &logits, &regressions);
            assert!((found.classification - classification).abs() < 1e-5);
            assert!((found.regression - regression).abs() < 1e-5);
        }
    }

    /// Every loss of the classes with every loss of the boxes.
    fn all_losses() -> Vec<MultiboxLoss> {
        let smoothed = HardNegatives {
            label_smoothing: 0.1,
            ..HardNegatives::default()
        };
        let mut all = Vec::new();
        for classification in [
            ClassificationLoss::Softmax(HardNegatives::default()),
            ClassificationLoss::Softmax(smoothed),
            ClassificationLoss::QualityFocal,
        ] {
            for regression in [RegressionLoss::SmoothL1, RegressionLoss::Giou] {
                let coder = BoxCoder::default();
                all.push(MultiboxLoss {
                    classification,
                    regression,
                    coder,
                });
            }
        }
        all
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (logits, regressions, _) = outputs();
        for loss in all_losses() {
            let output = evaluate(loss, &logits, &regressions);
            let slope = |values: &[f32], index: usize, sum: &dyn Fn(&[f32]) -> f64| {
                let moved = |by: f32| {
                    let mut values = values.to_vec();
                    values[index] += by;
                    sum(&values)
                };
                (moved(2e-3) - moved(-2e-3)) / 4e-3
            };
            for (index, &gradient) in output.logit_gradient.iter().enumerate() {
                let sum = |logits: &[f32]| evaluate(loss, logits, &regressions).classification;
                let found = slope(&logits, index, &sum);
                assert!(
                    (found - f64::from(gradient)).abs() < 1e-3,
                    "{loss:?}: logit {index}"
                );
            }
            for (index, &gradient) in output.regression_gradient.iter().enumerate() {
                // The quality of a box is a target, by way of which no gradient goes.
                let sum = |numbers: &[f32]| evaluate(loss, &logits, numbers).regression;
                let found = slope(&regressions, index, &sum);
                assert!(
                    (found - f64::from(gradient)).abs() < 1e-3,
                    "{loss:?}: number {index}"
                );
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (logits, regressions, targets) = outputs();
        for loss in all_losses() {
            let with = |threads: usize| {
                let targets = MultiboxTargets {
                    labels: &LABELS,
                    regressions: &targets,
                    default_boxes: &default_boxes(),
                    images: IMAGES,
                };
                let threads = NonZeroUsize::new(threads).unwrap();
                loss.evaluate(&logits, &regressions, targets, threads)
            };
            assert_eq!(with(1), with(2));
            assert_eq!(with(1), with(8));
        }
    }

    /// Without a gradient by way of the quality, and with all boxes counted.
    #[test]
    fn sigmoids_are_compared_with_all_classes_of_all_boxes() {
        let (logits, regressions, targets) = outputs();
        let coder = BoxCoder::default();
        let matched = LABELS.iter().filter(|&&label| label > 0).count() as f64;
        let mut expected = 0.0;
        for (index, &logit) in logits.iter().enumerate() {
            let (row, class) = (index / WIDTH, index % WIDTH);
            let sigmoid = 1.0 / (1.0 + (-f64::from(logit)).exp());
            let is_true = LABELS[row] == class as i32 + 1;
            let numbers = |values: &[f32]| values.as_chunks().0[row];
            let quality = if is_true {
                iou(numbers(&regressions), numbers(&targets), &coder)
            } else {
                0.0
            };
            let entropy = -quality * sigmoid.ln() - (1.0 - quality) * (1.0 - sigmoid).ln();
            expected += (quality - sigmoid).powi(2) * entropy;
        }
        let loss = MultiboxLoss {
            classification: ClassificationLoss::QualityFocal,
            ..MultiboxLoss::default()
        };
        let found = evaluate(loss, &logits, &regressions).classification;
        assert!((found - expected / matched).abs() < 1e-5, "{found}");
    }

    #[test]
    fn a_batch_without_objects_teaches_background_or_nothing() {
        let (logits, regressions, targets) = outputs();
        let labels = [0; 21];
        let with = |empty_negatives| {
            let targets = MultiboxTargets {
                labels: &labels,
                regressions: &targets,
                default_boxes: &default_boxes(),
                images: IMAGES,
            };
            let negatives = HardNegatives {
                empty_negatives,
                ..HardNegatives::default()
            };
            self::with(negatives).evaluate(&logits, &regressions, targets, ONE)
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
    fn a_batch_without_objects_teaches_sigmoids_that_there_is_none() {
        let (logits, regressions, targets) = outputs();
        let targets = MultiboxTargets {
            labels: &[0; 21],
            regressions: &targets,
            default_boxes: &default_boxes(),
            images: IMAGES,
        };
        for loss in all_losses() {
            let output = loss.evaluate(&logits, &regressions, targets, ONE);
            assert_eq!(output.regression, 0.0);
            if !matches!(loss.classification, ClassificationLoss::Softmax(_)) {
                assert!(output.logit_gradient.iter().all(|&slope| slope > 0.0));
            }
        }
    }

    #[test]
    fn a_number_that_is_none_makes_the_loss_none() {
        let (logits, regressions, _) = outputs();
        for loss in all_losses() {
            let mut broken = logits.clone();
            broken[WIDTH + 2] = f32::NAN;
            assert!(
                evaluate(loss, &broken, &regressions)
                    .classification
                    .is_nan()
            );
            for number in [f32::NAN, f32::INFINITY] {
                let mut broken = regressions.clone();
                broken[BOX_NUMBERS] = number;
                let found = evaluate(loss, &logits, &broken).regression;
                assert!(!found.is_finite(), "{loss:?}: {found}");
            }
        }
    }
}
