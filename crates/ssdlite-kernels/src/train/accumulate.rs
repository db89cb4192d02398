//! Sums of whole tensors.

use crate::Context;
use crate::error::{Error, check_len};
use crate::isa::{Kernel, Simd};
use crate::memory::Shared;
use crate::width::{Width, for_vectors};

/// Adds `x` to `y`, number by number: the gradient of a map is the sum of what
/// its readers give.
///
/// # Errors
/// If the lengths differ.
pub fn accumulate(cx: Context<'_>, y: &mut [f32], x: &[f32]) -> Result<(), Error> {
    check_len("x", x, y.len())?;
    add_copies(cx, y, x);
    Ok(())
}

/// Adds to `total` each of the copies of its length in `copies`, in order.
pub(super) fn add_copies(cx: Context<'_>, total: &mut [f32], copies: &[f32]) {
    let size = total.len();
    if copies.is_empty() {
        return;
    }
    let total = Shared::new(total);
    // Waking threads costs more than adding a small tensor.
    let parts = if size < 16 * 1024 { 1 } else { cx.pool.parts() };
    cx.pool.parallel_for(size, parts, |_, range| {
        // SAFETY: the parts are disjoint.
        let total = unsafe { total.part(range.clone()) };
        for copy in copies.chunks_exact(size) {
            let x = &copy[range.clone()];
            cx.isa.run(Add { y: total, x });
        }
    });
}

/// `y += x`
pub(super) struct Add<'a> {
    pub(super) y: &'a mut [f32],
    pub(super) x: &'a [f32],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { y, x } = self;
        assert_eq!(y.len(), x.len());
        for_vectors!(S, x.len(), |i, width| {
            // SAFETY: both slices have this length.
            unsafe {
                let y = y.as_mut_ptr().add(i);
                let sum = s.add(width.load(s, y), width.load(s, x.as_ptr().add(i)));
                width.store(s, y, sum);
            }
        });
    }
}
