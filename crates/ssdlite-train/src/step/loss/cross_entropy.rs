//! A classifier's loss: the mean cross entropy of a batch, as PyTorch's
//! `CrossEntropyLoss`; label smoothing as in arXiv 1512.00567, section 7.

use super::softmax::{RowTarget, Softmax, row_loss};

/// Cross entropy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f32,
}

/// The loss of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossEntropyOutput {
    /// The mean over the samples.
    pub loss: f64,
    /// The loss's gradient by the logits, `[N, classes]`.
    pub gradient: Vec<f32>,
}

impl CrossEntropy {
    /// The loss of `logits`, `[N, classes]`, for class ids `labels`, `[N]`.
    ///
    /// # Panics
    /// If there is no label, or the logits are no rows of one label each.
    pub fn evaluate(&self, logits: &[f32], labels: &[i32]) -> CrossEntropyOutput {
        assert!(!labels.is_empty(), "expected a sample");
        let classes = logits.len() / labels.len();
        assert_eq!(classes * labels.len(), logits.len());
        let mut softmax = Softmax::default();
        softmax.compute(logits, classes);
        let mut gradient = vec![0.0; logits.len()];
        let mut sum = 0.0;
        for (row, &label) in labels.iter().enumerate() {
            let range = row * classes..(row + 1) * classes;
            let target = RowTarget {
                class: label as usize,
                smoothing: self.label_smoothing,
                scale: 1.0 / labels.len() as f32,
            };
            let slots = &mut gradient[range.clone()];
            sum += row_loss(&softmax, row, &logits[range], target, slots);
        }
        CrossEntropyOutput {
            loss: sum / labels.len() as f64,
            gradient,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 6] = [0.3, -1.2, 2.0, 0.0, 0.5, -0.5];

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        for label_smoothing in [0.0, 0.1] {
            let loss = CrossEntropy { label_smoothing };
            let output = loss.evaluate(&LOGITS, &[2, 0]);
            for (index, gradient) in output.gradient.iter().enumerate() {
                let moved = |by: f32| {
                    let mut logits = LOGITS;
                    logits[index] += by;
                    loss.evaluate(&logits, &[2, 0]).loss
                };
                let difference = (moved(0.01) - moved(-0.01)) / 0.02;
                assert!((difference - f64::from(*gradient)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes() {
        for label_smoothing in [0.0, 0.3] {
            let loss = CrossEntropy { label_smoothing }.evaluate(&[1.5; 10], &[4, 0]);
            assert!((loss.loss - 5.0_f64.ln()).abs() < 1e-6);
        }
    }

    /// `torch.nn.functional.cross_entropy(logits, [2, 0], label_smoothing=0.1)`.
    #[test]
    fn numbers_are_pytorchs() {
        let loss = CrossEntropy {
            label_smoothing: 0.1,
        };
        let found = loss.evaluate(&LOGITS, &[2, 0]).loss;
        assert!((found - TORCH_LOSS).abs() < 1e-6, "{found}");
    }

    const TORCH_LOSS: f64 = 0.772_637_124_463_963_9;
}
