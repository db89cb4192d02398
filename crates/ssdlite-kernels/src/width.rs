//! Whole vectors and the partial one at the end of a row, so that a loop body
//! is written once for both.

use crate::isa::Simd;

/// How many lanes a loop body reads and writes.
pub(crate) trait Width: Copy {
    /// # Safety
    /// `ptr` must be valid for reads of this many numbers.
    unsafe fn load<S: Simd>(self, s: S, ptr: *const f32) -> S::F32;

    /// # Safety
    /// `ptr` must be valid for writes of this many numbers.
    unsafe fn store<S: Simd>(self, s: S, ptr: *mut f32, x: S::F32);
}

/// All lanes.
#[derive(Clone, Copy)]
pub(crate) struct Full;

impl Width for Full {
    #[inline(always)]
    unsafe fn load<S: Simd>(self, s: S, ptr: *const f32) -> S::F32 {
        // SAFETY: as promised by the caller.
        unsafe { s.load(ptr) }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(self, s: S, ptr: *mut f32, x: S::F32) {
        // SAFETY: as promised by the caller.
        unsafe { s.store(ptr, x) }
    }
}

/// The first lanes, at most `LANES`.
#[derive(Clone, Copy)]
pub(crate) struct Part(pub(crate) usize);

impl Width for Part {
    #[inline(always)]
    unsafe fn load<S: Simd>(self, s: S, ptr: *const f32) -> S::F32 {
        // SAFETY: as promised by the caller.
        unsafe { s.load_partial(ptr, self.0) }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(self, s: S, ptr: *mut f32, x: S::F32) {
        // SAFETY: as promised by the caller.
        unsafe { s.store_partial(ptr, x, self.0) }
    }
}

/// All lanes or the first, decided at the store: for bodies too large to be
/// compiled twice.
#[derive(Clone, Copy)]
pub(crate) struct Either(pub(crate) usize);

impl Either {
    /// # Safety
    /// `ptr` must be valid for writes of this many numbers.
    #[inline(always)]
    pub(crate) unsafe fn store<S: Simd>(self, s: S, ptr: *mut f32, x: S::F32) {
        // SAFETY: as promised by the caller.
        unsafe {
            if self.0 >= S::LANES {
                s.store(ptr, x);
            } else {
                s.store_partial(ptr, x, self.0);
            }
        }
    }
}

/// Runs `$body` for each vector of `0..$len`, with `$offset` its first index
/// and `$width` a [`Width`].
macro_rules! for_vectors {
    ($simd:ty, $len:expr, |$offset:ident, $width:ident| $body:expr) => {{
        let len: usize = $len;
        let whole = len - len % <$simd as $crate::isa::Simd>::LANES;
        let mut $offset = 0;
        while $offset < whole {
            let $width = $crate::width::Full;
            $body;
            $offset += <$simd as $crate::isa::Simd>::LANES;
        }
        if $offset < len {
            let $width = $crate::width::Part(len - $offset);
            $body;
        }
    }};
}
pub(crate) use for_vectors;
