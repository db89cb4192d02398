//! NEON, which every 64-bit Arm processor has.

use super::{Cache, Kernel, Simd};
use std::arch::aarch64::*;
use std::arch::asm;

/// The instruction set of 64-bit Arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neon;

impl Simd for Neon {
    type F32 = float32x4_t;
    type Mask = uint32x4_t;

    const LANES: usize = 4;
    const REGISTERS: usize = 32;
    const BY_LANE: bool = true;

    #[inline(never)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn load(self, ptr: *const f32) -> float32x4_t {
        // SAFETY: the target has the feature, the caller vouches for the pointer.
        unsafe { vld1q_f32(ptr) }
    }

    #[inline(always)]
    unsafe fn store(self, ptr: *mut f32, x: float32x4_t) {
        // SAFETY: the target has the feature, the caller vouches for the pointer.
        unsafe { vst1q_f32(ptr, x) }
    }

    #[inline(always)]
    unsafe fn load_partial(self, ptr: *const f32, len: usize) -> float32x4_t {
        debug_assert!(len <= 4);
        // SAFETY: `len` numbers are read; otherwise as `load`.
        unsafe {
            let zero = vdupq_n_f32(0.0);
            match len {
                0 => zero,
                1 => vld1q_lane_f32::<0>(ptr, zero),
                2 => vcombine_f32(vld1_f32(ptr), vdup_n_f32(0.0)),
                3 => {
                    let two = vcombine_f32(vld1_f32(ptr), vdup_n_f32(0.0));
                    vld1q_lane_f32::<2>(ptr.add(2), two)
                }
                _ => vld1q_f32(ptr),
            }
        }
    }

    #[inline(always)]
    unsafe fn store_partial(self, ptr: *mut f32, x: float32x4_t, len: usize) {
        debug_assert!(len <= 4);
        // SAFETY: `len` numbers are written; otherwise as `store`.
        unsafe {
            match len {
                0 => {}
                1 => vst1q_lane_f32::<0>(ptr, x),
                2 => vst1_f32(ptr, vget_low_f32(x)),
                3 => {
                    vst1_f32(ptr, vget_low_f32(x));
                    vst1q_lane_f32::<2>(ptr.add(2), x);
                }
                _ => vst1q_f32(ptr, x),
            }
        }
    }

    #[inline(always)]
    fn prefetch(self, ptr: *const f32, into: Cache) {
        // SAFETY: a prefetch never faults and changes no memory or register.
        unsafe {
            match into {
                Cache::First => {
                    asm!("prfm pldl1keep, [{}]", in(reg) ptr, options(nomem, nostack, preserves_flags));
                }
                Cache::Second => {
                    asm!("prfm pldl2keep, [{}]", in(reg) ptr, options(nomem, nostack, preserves_flags));
                }
            }
        }
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vdivq_f32(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn mul_add_lane<const LANE: i32>(
        self,
        a: float32x4_t,
        b: float32x4_t,
        c: float32x4_t,
    ) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vfmaq_laneq_f32::<LANE>(c, b, a) }
    }

    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vminq_f32(a, b) }
    }

    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vmaxq_f32(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vsqrtq_f32(a) }
    }

    #[inline(always)]
    fn less(self, a: float32x4_t, b: float32x4_t) -> uint32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vcltq_f32(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: uint32x4_t, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the target has the feature.
        unsafe { vbslq_f32(mask, a, b) }
    }

    #[inline(always)]
    fn sum(self, a: float32x4_t) -> f32 {
        // SAFETY: the target has the feature.
        unsafe { vaddvq_f32(a) }
    }
}
