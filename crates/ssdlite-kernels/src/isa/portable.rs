//! Plain arrays that the compiler vectorises for its target, with no features
//! beyond those every processor of the target has (SSE2 on x86-64, NEON on
//! 64-bit Arm).

use super::{Kernel, Simd};

/// The instruction set that is always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portable;

/// Four numbers in one 128-bit register.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
pub struct F32x4([f32; 4]);

/// Four comparison outcomes.
#[derive(Clone, Copy, Debug)]
pub struct Mask4([bool; 4]);

#[inline(always)]
fn scalar_mul_add(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction `f32::mul_add` is a call into the C library.
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

impl Simd for Portable {
    type F32 = F32x4;
    type Mask = Mask4;

    const LANES: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(never)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn splat(self, x: f32) -> F32x4 {
        F32x4([x; 4])
    }

    #[inline(always)]
    unsafe fn load(self, ptr: *const f32) -> F32x4 {
        // SAFETY: the caller promises four readable numbers.
        F32x4(unsafe { ptr.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, ptr: *mut f32, x: F32x4) {
        // SAFETY: the caller promises four writable numbers.
        unsafe { ptr.cast::<[f32; 4]>().write(x.0) }
    }

    #[inline(always)]
    unsafe fn load_partial(self, ptr: *const f32, len: usize) -> F32x4 {
        let mut x = [0.0; 4];
        // SAFETY: the caller promises `len <= 4` readable numbers.
        unsafe { ptr.copy_to_nonoverlapping(x.as_mut_ptr(), len) };
        F32x4(x)
    }

    #[inline(always)]
    unsafe fn store_partial(self, ptr: *mut f32, x: F32x4, len: usize) {
        // SAFETY: the caller promises `len <= 4` writable numbers.
        unsafe { ptr.copy_from_nonoverlapping(x.0.as_ptr(), len) }
    }

    #[inline(always)]
    fn add(self, F32x4(a): F32x4, F32x4(b): F32x4) -> F32x4 {
        F32x4([a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]])
    }

    #[inline(always)]
    fn sub(self, F32x4(a): F32x4, F32x4(b): F32x4) -> F32x4 {
        F32x4([a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]])
    }

    #[inline(always)]
    fn mul(self, F32x4(a): F32x4, F32x4(b): F32x4) -> F32x4 {
        F32x4([a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]])
    }

    #[inline(always)]
    fn div(self, F32x4(a): F32x4, F32x4(b): F32x4) -> F32x4 {
        F32x4([a[0] / b[0], a[1] / b[1], a[2] / b[2], a[3] / b[3]])
    }

    #[inline(always)]
    fn mul_add(self, F32x4(a): F32x4, F32x4(b): F32x4, F32x4(c): F32x4) -> F32x4 {
        F32x4([
            scalar_mul_add(a[0], b[0], c[0]),
            scalar_mul_add(a[1], b[1], c[1]),
            scalar_mul_add(a[2], b[2], c[2]),
            scalar_mul_add(a[3], b[3], c[3]),
        ])
    }

    #[inline(always)]
    fn min(self, a: F32x4, b: F32x4) -> F32x4 {
        self.select(self.less(a, b), a, b)
    }

    #[inline(always)]
    fn max(self, a: F32x4, b: F32x4) -> F32x4 {
        self.select(self.less(b, a), a, b)
    }

    #[inline(always)]
    fn sqrt(self, F32x4(a): F32x4) -> F32x4 {
        F32x4([a[0].sqrt(), a[1].sqrt(), a[2].sqrt(), a[3].sqrt()])
    }

    #[inline(always)]
    fn less(self, F32x4(a): F32x4, F32x4(b): F32x4) -> Mask4 {
        Mask4([a[0] < b[0], a[1] < b[1], a[2] < b[2], a[3] < b[3]])
    }

    #[inline(always)]
    fn select(self, Mask4(mask): Mask4, F32x4(a): F32x4, F32x4(b): F32x4) -> F32x4 {
        F32x4([
            if mask[0] { a[0] } else { b[0] },
            if mask[1] { a[1] } else { b[1] },
            if mask[2] { a[2] } else { b[2] },
            if mask[3] { a[3] } else { b[3] },
        ])
    }

    #[inline(always)]
    fn sum(self, F32x4(a): F32x4) -> f32 {
        (a[0] + a[2]) + (a[1] + a[3])
    }
}
