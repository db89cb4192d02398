//! The activations of MobileNetV3 and SSD-lite, with their derivatives.
//!
//! Where a derivative doesn't exist, PyTorch is followed: zero at both ends of
//! ReLU and ReLU6. The variable is the second operand of each minimum and
//! maximum, so that a NaN passes through.

use crate::isa::Simd;

/// An element-wise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// u
    None,
    /// max(u, 0)
    Relu,
    /// min(max(u, 0), 6)
    Relu6,
    /// u * min(max(u + 3, 0), 6) / 6
    HardSwish,
}

impl Activation {
    /// Every activation.
    pub const ALL: [Self; 4] = [Self::None, Self::Relu, Self::Relu6, Self::HardSwish];
}

/// An activation as a type, so that loops are compiled for each.
pub(crate) trait Function: Copy {
    fn value<S: Simd>(s: S, u: S::F32) -> S::F32;

    /// The derivative at `u`, times `dy`.
    fn backward<S: Simd>(s: S, u: S::F32, dy: S::F32) -> S::F32;
}

#[derive(Clone, Copy)]
pub(crate) struct Identity;

impl Function for Identity {
    #[inline(always)]
    fn value<S: Simd>(_: S, u: S::F32) -> S::F32 {
        u
    }

    #[inline(always)]
    fn backward<S: Simd>(_: S, _: S::F32, dy: S::F32) -> S::F32 {
        dy
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Relu;

impl Function for Relu {
    #[inline(always)]
    fn value<S: Simd>(s: S, u: S::F32) -> S::F32 {
        s.max(s.zero(), u)
    }

    #[inline(always)]
    fn backward<S: Simd>(s: S, u: S::F32, dy: S::F32) -> S::F32 {
        s.select(s.less(s.zero(), u), dy, s.zero())
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Relu6;

impl Function for Relu6 {
    #[inline(always)]
    fn value<S: Simd>(s: S, u: S::F32) -> S::F32 {
        s.min(s.splat(6.0), s.max(s.zero(), u))
    }

    #[inline(always)]
    fn backward<S: Simd>(s: S, u: S::F32, dy: S::F32) -> S::F32 {
        let above = s.select(s.less(s.zero(), u), dy, s.zero());
        s.select(s.less(u, s.splat(6.0)), above, s.zero())
    }
}

#[derive(Clone, Copy)]
pub(crate) struct HardSwish;

impl Function for HardSwish {
    #[inline(always)]
    fn value<S: Simd>(s: S, u: S::F32) -> S::F32 {
        s.mul(u, hard_sigmoid(s, u))
    }

    #[inline(always)]
    fn backward<S: Simd>(s: S, u: S::F32, dy: S::F32) -> S::F32 {
        // Inside (-3, 3) the derivative is u/3 + 1/2, left of it 0, right of it 1.
        let slope = s.mul_add(u, s.splat(1.0 / 3.0), s.splat(0.5));
        let slope = s.select(s.less(u, s.splat(3.0)), slope, s.splat(1.0));
        let slope = s.select(s.less(s.splat(-3.0), u), slope, s.zero());
        s.mul(slope, dy)
    }
}

/// min(max(u/6 + 1/2, 0), 1)
#[inline(always)]
pub(crate) fn hard_sigmoid<S: Simd>(s: S, u: S::F32) -> S::F32 {
    let line = s.mul_add(u, s.splat(1.0 / 6.0), s.splat(0.5));
    s.min(s.splat(1.0), s.max(s.zero(), line))
}

/// Calls `$body` with `$function` bound to the type of `$activation`.
macro_rules! for_activation {
    ($activation:expr, $function:ident => $body:expr) => {{
        use $crate::activation as a;
        match $activation {
            a::Activation::None => {
                type $function = a::Identity;
                $body
            }
            a::Activation::Relu => {
                type $function = a::Relu;
                $body
            }
            a::Activation::Relu6 => {
                type $function = a::Relu6;
                $body
            }
            a::Activation::HardSwish => {
                type $function = a::HardSwish;
                $body
            }
        }
    }};
}
pub(crate) use for_activation;
