//! The optimizers, one pass over a parameter: gradient, state, parameter and,
//! where kept, the parameter's moving average.
//!
//! As in PyTorch: `torch.optim.SGD` (weight decay added to the gradient,
//! momentum without dampening, Nesterov's or not) and `torch.optim.AdamW`
//! (decoupled decay). The gradient, `g` below, is scaled first.

use crate::Context;
use crate::error::{Error, check_len};
use crate::isa::{Kernel, Simd};
use crate::memory::Shared;
use crate::width::{Width, for_vectors};

/// Parameters shorter than this are one thread's work.
const SHARED_LEN: usize = 32 * 1024;

/// Stochastic gradient descent with momentum:
/// `d = g + weight_decay * p`, `v = momentum * v + d`,
/// `p = p - learning_rate * v`; with Nesterov
/// `p = p - learning_rate * (d + momentum * v)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Factor on the gradient, such as clipping gives.
    pub gradient_scale: f32,
    /// Learning rate.
    pub learning_rate: f32,
    /// Share of the velocity that is kept.
    pub momentum: f32,
    /// Whether the step looks ahead.
    pub nesterov: bool,
    /// Weight decay.
    pub weight_decay: f32,
}

/// AdamW (arXiv 1711.05101): with `m` and `v` the moving averages of the
/// gradient and its square, corrected for their start at zero,
/// `p = p * (1 - learning_rate * weight_decay) - learning_rate * m / (sqrt(v) + epsilon)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Factor on the gradient, such as clipping gives.
    pub gradient_scale: f32,
    /// Learning rate.
    pub learning_rate: f32,
    /// Share of the gradient's average that is kept.
    pub beta1: f32,
    /// Share of the square's average that is kept.
    pub beta2: f32,
    /// Added to the root.
    pub epsilon: f32,
    /// Weight decay.
    pub weight_decay: f32,
}

/// A moving average of a parameter: `average = decay * average + (1 - decay) * p`.
#[derive(Debug)]
pub struct MovingAverage<'a> {
    /// The average, in the parameter's shape.
    pub values: &'a mut [f32],
    /// Share of the average that is kept.
    pub decay: f32,
}

/// One step of [`Sgd`]; `velocity` starts at zero.
///
/// # Errors
/// If the lengths differ.
pub fn sgd_step(
    cx: Context<'_>,
    sgd: Sgd,
    gradient: &[f32],
    parameter: &mut [f32],
    velocity: &mut [f32],
    average: Option<MovingAverage<'_>>,
) -> Result<(), Error> {
    check_len("velocity", velocity, parameter.len())?;
    step(cx, sgd, gradient, parameter, [velocity], average)
}

/// Step `number`, from 1 on, of [`AdamW`]; both of `moments`, the averages of
/// the gradient and of its square, start at zero.
///
/// # Errors
/// If the lengths differ or `number` is zero.
pub fn adamw_step(
    cx: Context<'_>,
    adamw: AdamW,
    number: u32,
    gradient: &[f32],
    parameter: &mut [f32],
    moments: [&mut [f32]; 2],
    average: Option<MovingAverage<'_>>,
) -> Result<(), Error> {
    if number == 0 {
        return Err(Error::Shape {
            what: "AdamW's step",
            expected: "1 or more",
            found: 0,
        });
    }
    for moments in &moments {
        check_len("moments", moments, parameter.len())?;
    }
    let correction = |beta: f32| 1.0 - f64::from(beta).powf(f64::from(number));
    let rule = AdamWStep {
        adamw,
        rate: (f64::from(adamw.learning_rate) / correction(adamw.beta1)) as f32,
        root_factor: (1.0 / correction(adamw.beta2).sqrt()) as f32,
    };
    step(cx, rule, gradient, parameter, moments, average)
}

/// How a parameter and its `N` states follow from the gradient.
trait Rule<const N: usize>: Copy + Sync {
    fn apply<S: Simd>(self, s: S, g: S::F32, p: S::F32, state: &mut [S::F32; N]) -> S::F32;
}

impl Rule<1> for Sgd {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, g: S::F32, p: S::F32, [v]: &mut [S::F32; 1]) -> S::F32 {
        let decay = s.mul(p, s.splat(self.weight_decay));
        let g = s.mul_add(g, s.splat(self.gradient_scale), decay);
        let momentum = s.splat(self.momentum);
        *v = s.mul_add(*v, momentum, g);
        let direction = if self.nesterov {
            s.mul_add(*v, momentum, g)
        } else {
            *v
        };
        s.mul_add(direction, s.splat(-self.learning_rate), p)
    }
}

/// [`AdamW`] with the corrections of its step folded in.
#[derive(Clone, Copy)]
struct AdamWStep {
    adamw: AdamW,
    rate: f32,
    root_factor: f32,
}

impl Rule<2> for AdamWStep {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, g: S::F32, p: S::F32, [m, v]: &mut [S::F32; 2]) -> S::F32 {
        let AdamW {
            gradient_scale,
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
        } = self.adamw;
        let g = s.mul(g, s.splat(gradient_scale));
        *m = s.mul_add(*m, s.splat(beta1), s.mul(g, s.splat(1.0 - beta1)));
        let square = s.mul(s.mul(g, g), s.splat(1.0 - beta2));
        *v = s.mul_add(*v, s.splat(beta2), square);
        let root = s.mul_add(s.sqrt(*v), s.splat(self.root_factor), s.splat(epsilon));
        let p = s.mul(p, s.splat(1.0 - learning_rate * weight_decay));
        s.sub(p, s.mul(s.splat(self.rate), s.div(*m, root)))
    }
}

fn step<const N: usize, R: Rule<N>>(
    cx: Context<'_>,
    rule: R,
    gradient: &[f32],
    parameter: &mut [f32],
    state: [&mut [f32]; N],
    average: Option<MovingAverage<'_>>,
) -> Result<(), Error> {
    let len = parameter.len();
    check_len("gradient", gradient, len)?;
    if let Some(average) = &average {
        check_len("moving average", average.values, len)?;
    }
    let parameter = Shared::new(parameter);
    let state = state.map(Shared::new);
    let average = average.map(|average| (Shared::new(average.values), average.decay));
    let parts = if len < SHARED_LEN { 1 } else { cx.pool.parts() };
    cx.pool.parallel_for(len, parts, |_, range| {
        // SAFETY: the parts' ranges are disjoint.
        unsafe {
            cx.isa.run(Step {
                rule,
                gradient: &gradient[range.clone()],
                parameter: parameter.part(range.clone()),
                state: state.map(|state| state.part(range.clone())),
                average: average.map(|(values, decay)| (values.part(range.clone()), decay)),
            });
        }
    });
    Ok(())
}

/// All slices have the same length.
struct Step<'a, R, const N: usize> {
    rule: R,
    gradient: &'a [f32],
    parameter: &'a mut [f32],
    state: [&'a mut [f32]; N],
    average: Option<(&'a mut [f32], f32)>,
}

impl<const N: usize, R: Rule<N>> Kernel for Step<'_, R, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for_vectors!(S, self.gradient.len(), |i, width| {
            // SAFETY: all slices have the length of the gradient.
            unsafe {
                let g = width.load(s, self.gradient.as_ptr().add(i));
                let parameter = self.parameter.as_mut_ptr().add(i);
                let mut state = [s.zero(); N];
                for (x, state) in state.iter_mut().zip(&self.state) {
                    *x = width.load(s, state.as_ptr().add(i));
                }
                let p = self.rule.apply(s, g, width.load(s, parameter), &mut state);
                width.store(s, parameter, p);
                for (x, state) in state.iter().zip(&mut self.state) {
                    width.store(s, state.as_mut_ptr().add(i), *x);
                }
                if let Some((average, decay)) = &mut self.average {
                    let average = average.as_mut_ptr().add(i);
                    let new = s.mul(p, s.splat(1.0 - *decay));
                    let new = s.mul_add(width.load(s, average), s.splat(*decay), new);
                    width.store(s, average, new);
                }
            }
        });
    }
}
