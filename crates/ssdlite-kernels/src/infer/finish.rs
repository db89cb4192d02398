//! What is done to a sum before it is written.

use crate::isa::Simd;
use crate::train::activation::Activation;

/// An activation, prepared for vectors. The variable is the second operand of
/// each minimum and maximum, so that a NaN passes through.
#[derive(Clone, Copy)]
pub(super) enum Finish {
    None,
    Relu,
    Relu6,
    HardSwish,
}

impl From<Activation> for Finish {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::None => Self::None,
            Activation::Relu => Self::Relu,
            Activation::Relu6 => Self::Relu6,
            Activation::HardSwish => Self::HardSwish,
        }
    }
}

#[inline(always)]
pub(super) fn relu<S: Simd>(s: S, x: S::F32) -> S::F32 {
    s.max(s.zero(), x)
}

#[inline(always)]
pub(super) fn relu6<S: Simd>(s: S, x: S::F32) -> S::F32 {
    s.min(s.splat(6.0), relu(s, x))
}

/// `min(max(x / 6 + 1 / 2, 0), 1)`
#[inline(always)]
pub(super) fn hard_sigmoid<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let line = s.mul_add(x, s.splat(1.0 / 6.0), s.splat(0.5));
    s.min(s.splat(1.0), relu(s, line))
}

#[inline(always)]
pub(super) fn hard_swish<S: Simd>(s: S, x: S::F32) -> S::F32 {
    s.mul(x, hard_sigmoid(s, x))
}
