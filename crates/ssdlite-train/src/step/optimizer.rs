//! SGD and AdamW on flat parameters, with the moving average in the same pass:
//! a parameter is read and written once a step.

use ssdlite_kernels::Context;
use ssdlite_kernels::train::optimizer::{AdamW, MovingAverage, Sgd, adamw_step, sgd_step};

use crate::config::{OptimizerKind, TrainingOptions};

/// AdamW's decays of the moments and the number that keeps it from dividing by
/// 0: the paper's, and PyTorch's defaults.
const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// How parameters follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Optimizer {
    /// As PyTorch's `SGD`: `b = momentum * b + g + weight_decay * p`,
    /// `p -= lr * b`, with Nesterov `p -= lr * (g + weight_decay * p +
    /// momentum * b)`.
    Sgd {
        /// Share of the last step that goes on.
        momentum: f32,
        /// Whether the step looks ahead.
        nesterov: bool,
    },
    /// As PyTorch's `AdamW`, arXiv 1711.05101.
    AdamW,
}

impl Optimizer {
    /// The optimizer that these options name.
    pub(crate) fn new(options: &TrainingOptions) -> Self {
        match options.optimizer {
            OptimizerKind::Sgd => Self::Sgd {
                momentum: options.momentum as f32,
                nesterov: options.nesterov,
            },
            OptimizerKind::AdamW => Self::AdamW,
        }
    }
}

/// The numbers of one step for parameters of a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct UpdateSettings {
    /// Factor on all gradients, such as clipping gives.
    pub(crate) gradient_scale: f32,
    /// Steps taken before this one.
    pub(crate) step: u64,
    /// Decay of the moving average in this step.
    pub(crate) average_decay: f32,
    /// Learning rate.
    pub(crate) lr: f32,
    /// Weight decay.
    pub(crate) weight_decay: f32,
}

/// Parameters of one kind, all slices of the same length.
#[derive(Debug)]
pub(crate) struct ParameterSlices<'a> {
    /// The parameters.
    pub(crate) values: &'a mut [f32],
    /// The loss's gradient by them.
    pub(crate) gradients: &'a [f32],
    /// SGD's momentum, AdamW's first moment; 0 at first.
    pub(crate) first_moments: &'a mut [f32],
    /// AdamW's second moment; 0 at first, and untouched by SGD.
    pub(crate) second_moments: &'a mut [f32],
    /// Their moving average.
    pub(crate) averages: &'a mut [f32],
}

impl Optimizer {
    /// Takes a step.
    ///
    /// # Panics
    /// If the slices' lengths differ.
    pub(crate) fn update(
        &self,
        cx: Context<'_>,
        parameters: ParameterSlices<'_>,
        settings: UpdateSettings,
    ) {
        let ParameterSlices {
            values,
            gradients,
            first_moments,
            second_moments,
            averages,
        } = parameters;
        let average = MovingAverage {
            values: averages,
            decay: settings.average_decay,
        };
        let outcome = match *self {
            Self::Sgd { momentum, nesterov } => {
                let sgd = Sgd {
                    gradient_scale: settings.gradient_scale,
                    learning_rate: settings.lr,
                    momentum,
                    nesterov,
                    weight_decay: settings.weight_decay,
                };
                sgd_step(cx, sgd, gradients, values, first_moments, Some(average))
            }
            Self::AdamW => {
                let adamw = AdamW {
                    gradient_scale: settings.gradient_scale,
                    learning_rate: settings.lr,
                    beta1: BETA_1,
                    beta2: BETA_2,
                    epsilon: EPSILON,
                    weight_decay: settings.weight_decay,
                };
                let number = u32::try_from(settings.step + 1).unwrap_or(u32::MAX);
                let moments = [first_moments, second_moments];
                adamw_step(cx, adamw, number, gradients, values, moments, Some(average))
            }
        };
        outcome.expect("slices of the same length");
    }
}

/// The decay of a moving average after `step` of all `steps`: `decay` in the end,
/// less at first, so that the first weights don't linger:
/// `min(decay, (1 + step) / (10 + step))`, as TensorFlow's
/// `ExponentialMovingAverage`. Nor does it look back, `1 / (1 - decay)` steps, over
/// more than a tenth of the run: what came before was learnt since.
pub(crate) fn average_decay(decay: f64, step: u64, steps: u64) -> f32 {
    let least_share = 10.0 / steps.max(10) as f64;
    let ramp = (1.0 + step as f64) / (10.0 + step as f64);
    decay.min(1.0 - least_share).min(ramp) as f32
}

/// The factor that brings gradients of this norm down to `max_norm`, as
/// PyTorch's `clip_grad_norm_`; 1 for a `max_norm` of 0.
pub(crate) fn clipping_factor(norm: f64, max_norm: f64) -> f32 {
    if max_norm == 0.0 {
        return 1.0;
    }
    (max_norm / (norm + 1e-6)).min(1.0) as f32
}

/// The Euclidean norm of all numbers, summed in a fixed order.
pub(crate) fn norm(values: &[f32]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0_f32; LANES];
    let mut total = 0.0_f64;
    // Short runs in f32, so that their sums stay exact enough.
    for run in values.chunks(LANES * 64) {
        let mut chunks = run.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *sum += value * value;
            }
        }
        total += sums.iter().map(|&sum| f64::from(sum)).sum::<f64>();
        total += chunks
            .remainder()
            .iter()
            .map(|&v| f64::from(v).powi(2))
            .sum::<f64>();
        sums = [0.0; LANES];
    }
    total.sqrt()
}

#[cfg(test)]
mod tests {
    use ssdlite_kernels::Pool;

    use super::*;

    const START: [f32; 3] = [1.0, -2.0, 0.5];
    const GRADIENTS: [[f32; 3]; 3] = [[0.3, -0.1, 2.0], [-0.4, 0.2, 1.0], [0.1, 0.1, -3.0]];
    struct State {
        values: [f32; 3],
        first: [f32; 3],
        second: [f32; 3],
        averages: [f32; 3],
    }

    fn run(optimizer: Optimizer, average: f32) -> State {
        let pool = Pool::single();
        let mut state = State {
            values: START,
            first: [0.0; 3],
            second: [0.0; 3],
            averages: START,
        };
        for (step, gradients) in GRADIENTS.iter().enumerate() {
            let slices = ParameterSlices {
                values: &mut state.values,
                gradients,
                first_moments: &mut state.first,
                second_moments: &mut state.second,
                averages: &mut state.averages,
            };
            let settings = UpdateSettings {
                gradient_scale: 1.0,
                step: step as u64,
                average_decay: average,
                lr: 0.1,
                weight_decay: 0.05,
            };
            optimizer.update(Context::detect(&pool), slices, settings);
        }
        state
    }

    fn assert_close(found: [f32; 3], expected: [f32; 3]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-6, "{found} {expected}");
        }
    }

    /// Three steps of `torch.optim.SGD(lr=0.1, momentum=0.9,
    /// weight_decay=0.05)`, then of the same with `nesterov=True`.
    #[test]
    fn sgd_is_pytorchs() {
        let sgd = |nesterov| Optimizer::Sgd {
            momentum: 0.9,
            nesterov,
        };
        assert_close(run(sgd(false), 0.0).values, TORCH_SGD);
        assert_close(run(sgd(true), 0.0).values, TORCH_NESTEROV);
    }

    /// Three steps of `torch.optim.AdamW(lr=0.1, weight_decay=0.05)`.
    #[test]
    fn adam_w_is_pytorchs() {
        assert_close(run(Optimizer::AdamW, 0.0).values, TORCH_ADAM_W);
    }

    const TORCH_SGD: [f32; 3] = [0.9571391, -1.9651295, 0.0583299];
    const TORCH_NESTEROV: [f32; 3] = [0.9471494, -1.9591659, 0.1033196];
    const TORCH_ADAM_W: [f32; 3] = [0.9074578, -1.9594986, 0.3089807];

    #[test]
    fn the_average_follows_the_values() {
        for optimizer in [
            Optimizer::AdamW,
            Optimizer::Sgd {
                momentum: 0.0,
                nesterov: false,
            },
        ] {
            let at_once = run(optimizer, 0.0);
            assert_eq!(at_once.averages, at_once.values);
            assert_eq!(run(optimizer, 1.0).averages, START);
            let half = run(optimizer, 0.5).averages;
            assert_ne!(half, at_once.values);
            assert_ne!(half, START);
        }
    }

    #[test]
    fn clipping_shortens_and_never_lengthens() {
        let gradients = [3.0_f32, 0.0, -4.0];
        assert!((norm(&gradients) - 5.0).abs() < 1e-12);
        assert!((clipping_factor(5.0, 2.5) - 0.5).abs() < 1e-6);
        assert_eq!(clipping_factor(5.0, 7.0), 1.0);
        assert_eq!(clipping_factor(5.0, 0.0), 1.0);
        let many = vec![0.5_f32; 1_000_003];
        assert!((norm(&many) - (1_000_003.0_f64 * 0.25).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn the_average_forgets_its_start() {
        let decay = |step| f64::from(average_decay(0.999, step, 100_000_000));
        assert_eq!(average_decay(0.0, 1000, 100_000_000), 0.0);
        assert!((decay(0) - 0.1).abs() < 1e-7);
        assert!((decay(80) - 0.9).abs() < 1e-7);
        assert!((decay(1_000_000) - 0.999).abs() < 1e-7);
    }

    #[test]
    fn the_average_looks_back_over_a_tenth_of_the_run_at_most() {
        for steps in [1, 6, 10, 200, 1000, 5000] {
            for step in 0..steps {
                let decay = f64::from(average_decay(0.999, step, steps));
                let horizon = 1.0 / (1.0 - decay);
                assert!(
                    horizon <= 1.001 * (steps as f64 / 10.0).max(1.0),
                    "{step} of {steps}"
                );
            }
        }
        assert!((f64::from(average_decay(0.999, 19_000, 20_000)) - 0.999).abs() < 1e-7);
    }
}
