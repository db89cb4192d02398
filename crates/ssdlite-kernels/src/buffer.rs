//! Memory for the tensors of a training step.
//!
//! A vector that straddles two cache lines costs two accesses, so tensors begin
//! at a line; large ones lie in huge pages where the operating system gives
//! them on request, because a step walks through more small pages than a
//! processor remembers.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::memory::{BLOCK, Block};

/// Bytes of a huge page on x86-64, and on 64-bit Arm with small pages of 4 KiB.
const HUGE_PAGE: usize = 2 << 20;

/// Numbers that begin at a cache line.
pub struct Buffer {
    ptr: NonNull<f32>,
    len: usize,
}

// SAFETY: a buffer owns its numbers, as a vector does.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Numbers of a cache line.
    pub const LINE: usize = BLOCK;

    /// `len` zeros.
    ///
    /// # Panics
    /// If that many don't fit the address space.
    pub fn zeroed(len: usize) -> Self {
        if len == 0 {
            return Self::default();
        }
        let layout = Self::layout(len);
        // SAFETY: the layout isn't empty.
        let ptr = unsafe {
            if layout.align() == HUGE_PAGE {
                let ptr = alloc(layout);
                if !ptr.is_null() {
                    advise_huge_pages(ptr, layout.size());
                    ptr.write_bytes(0, layout.size());
                }
                ptr
            } else {
                alloc_zeroed(layout)
            }
        };
        match NonNull::new(ptr.cast::<f32>()) {
            Some(ptr) => Self { ptr, len },
            None => handle_alloc_error(layout),
        }
    }

    fn layout(len: usize) -> Layout {
        let layout = Layout::array::<f32>(len).expect("a tensor fits the address space");
        let align = if layout.size() >= 2 * HUGE_PAGE {
            HUGE_PAGE
        } else {
            align_of::<Block>()
        };
        layout
            .align_to(align)
            .expect("a tensor fits the address space")
    }
}

/// Asks for huge pages; nothing depends on the answer.
#[cfg(target_os = "linux")]
fn advise_huge_pages(ptr: *mut u8, size: usize) {
    const MADV_HUGEPAGE: i32 = 14;
    unsafe extern "C" {
        fn madvise(address: *mut u8, size: usize, advice: i32) -> i32;
    }
    // SAFETY: the advice changes no contents; a range that isn't mapped is an
    // error that is of no consequence.
    unsafe { madvise(ptr, size, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise_huge_pages(_: *mut u8, _: usize) {}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            ptr: NonNull::dangling(),
            len: 0,
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: `zeroed` allocated it with this layout.
            unsafe { dealloc(self.ptr.as_ptr().cast(), Self::layout(self.len)) };
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len` initialised numbers, or none at a dangling pointer.
        unsafe { std::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.as_ptr(), self.len) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_zero_and_begin_at_a_line() {
        for len in [0, 1, 17, 4096, HUGE_PAGE / 2 - 1, HUGE_PAGE / 2, HUGE_PAGE] {
            let mut buffer = Buffer::zeroed(len);
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|&x| x == 0.0));
            if len > 0 {
                assert_eq!(buffer.as_ptr().addr() % align_of::<Block>(), 0);
            }
            buffer.fill(1.0);
            assert_eq!(buffer.iter().filter(|&&x| x == 1.0).count(), len);
        }
        assert!(Buffer::default().is_empty());
    }
}
