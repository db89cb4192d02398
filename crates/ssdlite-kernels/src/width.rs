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

/// All lanes or the first, decided at each access: for bodies too large to be
/// compiled twice.
#[derive(Clone, Copy)]
pub(crate) struct Either(pub(crate) usize);

impl Width for Either {
    #[inline(always)]
    unsafe fn load<S: Simd>(self, s: S, ptr: *const f32) -> S::F32 {
        // SAFETY: as promised by the caller.
        unsafe {
            if self.0 >= S::LANES {
                s.load(ptr)
            } else {
                s.load_partial(ptr, self.0)
            }
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(self, s: S, ptr: *mut f32, x: S::F32) {
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

/// As [`for_vectors`], but for groups of `$group` vectors, a constant, as long
/// as there are whole ones: a row's group is contiguous, and its vectors'
/// sums don't wait for each other.
macro_rules! for_groups {
    ($simd:ty, $len:expr, |$offset:ident, $width:ident, $group:ident| $body:expr) => {{
        let len: usize = $len;
        let lanes = <$simd as $crate::isa::Simd>::LANES;
        let mut $offset = 0;
        if <$simd as $crate::isa::Simd>::REGISTERS >= 32 {
            const $group: usize = 4;
            while $offset + $group * lanes <= len {
                let $width = $crate::width::Full;
                $body;
                $offset += $group * lanes;
            }
        } else {
            const $group: usize = 2;
            while $offset + $group * lanes <= len {
                let $width = $crate::width::Full;
                $body;
                $offset += $group * lanes;
            }
        }
        const $group: usize = 1;
        while $offset + lanes <= len {
            let $width = $crate::width::Full;
            $body;
            $offset += lanes;
        }
        if $offset < len {
            let $width = $crate::width::Part(len - $offset);
            $body;
        }
    }};
}
pub(crate) use for_groups;

/// The vectors of a group, the first at `ptr`.
///
/// # Safety
/// `ptr` must be valid for reads of `N` vectors of this width; `N` is 1 unless
/// they are whole.
#[inline(always)]
pub(crate) unsafe fn load_group<S: Simd, W: Width, const N: usize>(
    s: S,
    width: W,
    ptr: *const f32,
) -> [S::F32; N] {
    let mut group = [s.zero(); N];
    for (v, vector) in group.iter_mut().enumerate() {
        // SAFETY: as promised by the caller.
        *vector = unsafe { width.load(s, ptr.add(v * S::LANES)) };
    }
    group
}

/// # Safety
/// As [`load_group`], for writes.
#[inline(always)]
pub(crate) unsafe fn store_group<S: Simd, W: Width, const N: usize>(
    s: S,
    width: W,
    ptr: *mut f32,
    group: [S::F32; N],
) {
    for (v, vector) in group.into_iter().enumerate() {
        // SAFETY: as promised by the caller.
        unsafe { width.store(s, ptr.add(v * S::LANES), vector) };
    }
}
