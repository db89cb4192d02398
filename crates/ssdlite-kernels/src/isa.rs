//! Instruction sets, chosen at run time by proof tokens.
//!
//! `Avx512` and `Avx2` can only be made where the processor has the features, so
//! holding one proves that their vector instructions may run; `Neon` exists where
//! the target is 64-bit Arm, whose every processor has it. A
//! kernel is a struct with its arguments that implements [`Kernel`], written
//! once over any [`Simd`]; [`Isa::run`] instantiates it inside a function
//! compiled for the chosen features.
//!
//! Everything a kernel calls on its hot path must be `#[inline(always)]`,
//! methods and helper functions alike, and must not be a closure: only code
//! that is inlined into the function with the features is compiled for them.
//! A part that several kernels share, or that is large, is a kernel of its own,
//! called with [`Simd::run`]: that is never inlined, so it is compiled once for
//! each instruction set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use portable::Portable;

use std::fmt;

/// Code over vectors of `f32` that is instantiated for each instruction set.
pub trait Kernel {
    /// What the kernel returns.
    type Output;

    /// Runs the kernel. Implementations must be `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// The level of the cache that a line is asked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// For what is read next.
    First,
    /// For what is read after all that the first level holds.
    Second,
}

/// Vectors of `f32` of one instruction set; the implementor is its proof token.
///
/// Lane-wise operations are safe because the token exists. Loads and stores
/// take pointers and are as unsafe as those are; none needs an alignment
/// beyond that of `f32`.
pub trait Simd: Copy + Send + Sync + fmt::Debug + 'static {
    /// A vector of [`Simd::LANES`] numbers.
    type F32: Copy + fmt::Debug;
    /// The outcome of a lane-wise comparison.
    type Mask: Copy;

    /// Numbers in a vector.
    const LANES: usize;
    /// Vector registers of the instruction set, for the choice of tiles.
    const REGISTERS: usize;
    /// Whether [`Simd::mul_add_lane`] is one instruction, so that numbers to
    /// broadcast are best loaded four at a time.
    const BY_LANE: bool = false;

    /// Runs `kernel` in a function compiled for this instruction set.
    fn run<K: Kernel>(self, kernel: K) -> K::Output;

    /// A vector with `x` in all lanes.
    fn splat(self, x: f32) -> Self::F32;

    /// A vector of zeros.
    #[inline(always)]
    fn zero(self) -> Self::F32 {
        self.splat(0.0)
    }

    /// Reads `LANES` numbers.
    ///
    /// # Safety
    /// `ptr` must be valid for reads of `LANES` numbers.
    unsafe fn load(self, ptr: *const f32) -> Self::F32;

    /// Writes `LANES` numbers.
    ///
    /// # Safety
    /// `ptr` must be valid for writes of `LANES` numbers.
    unsafe fn store(self, ptr: *mut f32, x: Self::F32);

    /// Reads `len` numbers, at most `LANES`; the other lanes are zero.
    ///
    /// # Safety
    /// `ptr` must be valid for reads of `len` numbers, `len <= LANES`.
    unsafe fn load_partial(self, ptr: *const f32, len: usize) -> Self::F32;

    /// Writes the first `len` lanes, at most `LANES`.
    ///
    /// # Safety
    /// `ptr` must be valid for writes of `len` numbers, `len <= LANES`.
    unsafe fn store_partial(self, ptr: *mut f32, x: Self::F32, len: usize);

    /// Asks for the cache line at `ptr`, which need not be valid, before it is
    /// read.
    #[inline(always)]
    fn prefetch(self, _ptr: *const f32, _into: Cache) {}

    /// `a + b`
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once where the instruction set has FMA.
    fn mul_add(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// [`Simd::mul_add`] of lane `LANE` of `a`, one of the first four.
    #[inline(always)]
    fn mul_add_lane<const LANE: i32>(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        let mut lanes = [0.0; 16];
        const { assert!(Self::LANES <= 16 && LANE < 4) };
        // SAFETY: there is room for a vector.
        unsafe { self.store(lanes.as_mut_ptr(), a) };
        self.mul_add(self.splat(lanes[LANE as usize]), b, c)
    }
    /// The smaller of the two; NaN where `b` is NaN.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The larger of the two; NaN where `b` is NaN.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The square root.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// `a < b`; false where either is NaN.
    fn less(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a` where the mask is set, elsewhere `b`.
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The sum of the lanes, in an order fixed for the instruction set.
    fn sum(self, a: Self::F32) -> f32;
}

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 16 lanes, 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    /// 8 lanes, 16 registers, with FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// 4 lanes, 32 registers, with FMA.
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    /// Arrays of 4 that the compiler vectorises for its target.
    Portable(Portable),
}

impl Isa {
    /// The widest instruction set of this machine.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(token) = Avx512::detect() {
                return Self::Avx512(token);
            }
            if let Some(token) = Avx2::detect() {
                return Self::Avx2(token);
            }
        }
        #[cfg(target_arch = "aarch64")]
        return Self::Neon(Neon);
        #[cfg(not(target_arch = "aarch64"))]
        Self::Portable(Portable)
    }

    /// All instruction sets of this machine, the widest first.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(Avx512::detect().map(Self::Avx512));
            all.extend(Avx2::detect().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        all.push(Self::Neon(Neon));
        all.push(Self::Portable(Portable));
        all
    }

    /// Numbers in a vector.
    pub fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Avx2::LANES,
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => Neon::LANES,
            Self::Portable(_) => Portable::LANES,
        }
    }

    /// Runs `kernel` with this instruction set.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => token.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => token.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(token) => token.run(kernel),
            Self::Portable(token) => token.run(kernel),
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
            Self::Portable(_) => "portable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lanewise;

    type Scalar = fn(f32, f32) -> f32;

    impl Kernel for Lanewise {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let n = S::LANES;
            let a: Vec<f32> = (0..n).map(|i| i as f32 - 2.5).collect();
            let b: Vec<f32> = (0..n).map(|i| 7.0 / (i as f32 + 1.0)).collect();
            let mut out = vec![0.0; n];
            // SAFETY: a and b hold LANES numbers.
            let (va, vb) = unsafe { (s.load(a.as_ptr()), s.load(b.as_ptr())) };
            let cases: [(S::F32, Scalar); 8] = [
                (s.add(va, vb), |a, b| a + b),
                (s.sub(va, vb), |a, b| a - b),
                (s.mul(va, vb), |a, b| a * b),
                (s.div(va, vb), |a, b| a / b),
                (s.min(va, vb), f32::min),
                (s.max(va, vb), f32::max),
                (s.sqrt(vb), |_, b| b.sqrt()),
                (s.select(s.less(va, vb), va, s.splat(9.0)), |a, b| {
                    if a < b { a } else { 9.0 }
                }),
            ];
            for (got, want) in cases {
                // SAFETY: out holds LANES numbers.
                unsafe { s.store(out.as_mut_ptr(), got) };
                for i in 0..n {
                    assert_eq!(out[i], want(a[i], b[i]), "{s:?} lane {i}");
                }
            }
            // SAFETY: out holds LANES numbers.
            unsafe { s.store(out.as_mut_ptr(), s.mul_add(va, vb, s.splat(0.5))) };
            for i in 0..n {
                assert!((out[i] - (a[i] * b[i] + 0.5)).abs() < 1e-5);
            }
            let by_lane = [
                s.mul_add_lane::<0>(va, vb, s.splat(0.5)),
                s.mul_add_lane::<1>(va, vb, s.splat(0.5)),
                s.mul_add_lane::<2>(va, vb, s.splat(0.5)),
                s.mul_add_lane::<3>(va, vb, s.splat(0.5)),
            ];
            for (lane, got) in by_lane.into_iter().enumerate() {
                // SAFETY: out holds LANES numbers.
                unsafe { s.store(out.as_mut_ptr(), got) };
                for i in 0..n {
                    assert!(
                        (out[i] - (a[lane] * b[i] + 0.5)).abs() < 1e-5,
                        "{s:?} {lane}"
                    );
                }
            }
            assert_eq!(s.sum(va), a.iter().sum::<f32>());
            for len in 0..=n {
                // Exactly `len` long, so that the sanitizer sees any excess.
                let exact = a[..len].to_vec();
                let mut written = vec![0.0; len];
                // SAFETY: both hold `len` numbers.
                unsafe {
                    let x = s.load_partial(exact.as_ptr(), len);
                    s.store_partial(written.as_mut_ptr(), x, len);
                    s.store(out.as_mut_ptr(), x);
                }
                assert_eq!(written, exact);
                assert!(out[len..].iter().all(|&x| x == 0.0));
            }
        }
    }

    #[test]
    fn operations_are_lane_wise_on_every_isa() {
        for isa in Isa::available() {
            isa.run(Lanewise);
        }
    }

    #[test]
    fn detect_is_the_first_available() {
        assert_eq!(Some(&Isa::detect()), Isa::available().first());
    }
}
