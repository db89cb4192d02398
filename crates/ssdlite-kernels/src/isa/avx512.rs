//! AVX-512 with the F, VL, DQ and BW parts.

use super::{Cache, Kernel, Simd};
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512 F, VL, DQ and BW, and FMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx512(());

impl Avx512 {
    /// The token, where the processor and the operating system have the features.
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }
}

#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
#[inline(never)]
fn run_avx512<K: Kernel>(token: Avx512, kernel: K) -> K::Output {
    kernel.run(token)
}

#[inline(always)]
fn mask(len: usize) -> __mmask16 {
    debug_assert!(len <= 16);
    ((1_u32 << len) - 1) as __mmask16
}

impl Simd for Avx512 {
    type F32 = __m512;
    type Mask = __mmask16;

    const LANES: usize = 16;
    const REGISTERS: usize = 32;

    #[inline]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: the token proves the features.
        unsafe { run_avx512(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(self, ptr: *const f32) -> __m512 {
        // SAFETY: the token proves the features, the caller the pointer.
        unsafe { _mm512_loadu_ps(ptr) }
    }

    #[inline(always)]
    unsafe fn store(self, ptr: *mut f32, x: __m512) {
        // SAFETY: the token proves the features, the caller the pointer.
        unsafe { _mm512_storeu_ps(ptr, x) }
    }

    #[inline(always)]
    unsafe fn load_partial(self, ptr: *const f32, len: usize) -> __m512 {
        // SAFETY: masked lanes are not read; otherwise as `load`.
        unsafe { _mm512_maskz_loadu_ps(mask(len), ptr) }
    }

    #[inline(always)]
    unsafe fn store_partial(self, ptr: *mut f32, x: __m512, len: usize) {
        // SAFETY: masked lanes are not written; otherwise as `store`.
        unsafe { _mm512_mask_storeu_ps(ptr, mask(len), x) }
    }

    #[inline(always)]
    fn prefetch(self, ptr: *const f32, into: Cache) {
        // SAFETY: a prefetch never faults; the token proves the features.
        unsafe {
            match into {
                Cache::First => _mm_prefetch::<_MM_HINT_T0>(ptr.cast()),
                Cache::Second => _mm_prefetch::<_MM_HINT_T1>(ptr.cast()),
            }
        }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_sqrt_ps(a) }
    }

    #[inline(always)]
    fn less(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }

    #[inline(always)]
    fn select(self, mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }

    #[inline(always)]
    fn sum(self, a: __m512) -> f32 {
        // SAFETY: the token proves the features.
        unsafe { _mm512_reduce_add_ps(a) }
    }
}
