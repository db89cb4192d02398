//! Working memory: recycled scratch buffers, and slices shared by threads that
//! write disjoint parts.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::sync::MutexGuard;

/// Numbers of a [`Block`].
pub const BLOCK: usize = 16;

/// 16 numbers that fill a cache line, such as 16 channels of one pixel.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Block(pub [f32; BLOCK]);

impl Block {
    /// 16 zeros.
    pub const ZERO: Self = Self([0.0; BLOCK]);
}

thread_local! {
    static FREE: RefCell<Vec<Vec<Block>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer aligned to cache lines, taken from the thread's free list and given
/// back when dropped, so that a step in the steady state faults no pages.
///
/// What it holds at first is unspecified (but initialised).
pub(crate) struct Scratch {
    lines: Vec<Block>,
    len: usize,
    /// Not `Send`: given back on another thread, it would be missing on the
    /// first and pile up on the other.
    stays: PhantomData<MutexGuard<'static, ()>>,
}

impl Scratch {
    /// A buffer of `len` numbers.
    pub(crate) fn take(len: usize) -> Self {
        let mut lines = FREE.with_borrow_mut(|free| free.pop()).unwrap_or_default();
        let wanted = len.div_ceil(BLOCK);
        if lines.len() < wanted {
            lines.resize(wanted, Block::ZERO);
        }
        Self {
            lines,
            len,
            stays: PhantomData,
        }
    }

    /// Buffers on this thread's free list.
    #[cfg(test)]
    pub(crate) fn free_on_this_thread() -> usize {
        FREE.with_borrow(Vec::len)
    }

    /// A buffer of `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut scratch = Self::take(len);
        scratch.fill(0.0);
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        // At the end of a thread the list may be gone already.
        let _ = FREE.try_with(|free| free.borrow_mut().push(lines));
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` initialised numbers, without gaps.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// A mutable slice whose disjoint parts are written by several threads.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T> {
    ptr: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a mutable slice in parts; `part`'s contract keeps them apart.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self {
            ptr: slice.as_mut_ptr(),
            len: slice.len(),
            slice: PhantomData,
        }
    }

    /// The part `range`.
    ///
    /// # Safety
    /// No two parts that live at the same time may overlap.
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[inline(always)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: in bounds of the slice that `'a` borrows; disjointness is the
        // caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_aligned_and_as_long_as_asked() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let mut a = Scratch::take(len);
            let b = Scratch::zeroed(len);
            a.fill(1.0);
            assert_eq!((a.len(), b.len()), (len, len));
            assert_eq!(a.as_ptr().addr() % 64, 0);
            assert!(b.iter().all(|&x| x == 0.0));
        }
    }
}
