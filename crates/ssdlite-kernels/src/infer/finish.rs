//! What is done to a sum before it is written.

use crate::isa::Simd;
use crate::train::activation::Activation;

/// An activation, prepared for vectors. The variable is the second operand of
/// each minimum and maximum, so that a NaN passes through.
#[derive(Clone, Copy)]
pub(super) enum Finish {
    None,
    Clamp { low: f32, high: f32 },
    HardSwish,
}

impl From<Activation> for Finish {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::None => Self::None,
            Activation::Relu => Self::Clamp {
                low: 0.0,
                high: f32::INFINITY,
            },
            Activation::Relu6 => Self::Clamp {
                low: 0.0,
                high: 6.0,
            },
            Activation::HardSwish => Self::HardSwish,
        }
    }
}

#[inline(always)]
pub(super) fn clamp<S: Simd>(s: S, x: S::F32, low: S::F32, high: S::F32) -> S::F32 {
    s.min(high, s.max(low, x))
}

/// `min(max(x / 6 + 1 / 2, 0), 1)`
#[inline(always)]
pub(super) fn hard_sigmoid<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let line = s.mul_add(x, s.splat(1.0 / 6.0), s.splat(0.5));
    clamp(s, line, s.zero(), s.splat(1.0))
}

#[inline(always)]
pub(super) fn hard_swish<S: Simd>(s: S, x: S::F32) -> S::F32 {
    s.mul(x, hard_sigmoid(s, x))
}
