//! Forward kernels for inference: batch norm folded, everything fused.
//!
//! Maps are *blocked*: 16 channels of a pixel make a [`Block`] of one cache
//! line, and a map is `[channel blocks][rows][padding + columns + padding]` of
//! them. So every vector is whole and aligned, a row is contiguous, and a
//! depthwise convolution reads its zero padding instead of branching on it.
//! Channels beyond the last are zero.
//!
//! A layer is packed once ([`Pointwise`], [`Depthwise`], [`Stem`], [`Dense`])
//! and run on a [`Context`]:
//!
//! - [`separable()`]: 1x1 or first convolution, depthwise, 1x1, in bands of rows
//!   or of channels that stay in the cache;
//! - [`pointwise()`]: 1x1 with activation, residual and channel scales;
//! - [`upsample_nearest()`]: by two;
//! - [`dense()`], [`squeeze_excite()`], [`average()`]: on vectors.
//!
//! Each output number is one chain of operations in a fixed order, so results
//! depend neither on the number of threads nor on how a layer is split.
//! Accumulation order: the bias, then the inputs by rising index; on vectors
//! the bias and the even inputs, then the odd ones added as a sum of their own.
//!
//! Lengths that don't fit are mistakes of the caller, not of outside data:
//! kernels panic on them.

use crate::Context;

mod dense;
mod depthwise;
mod map;
mod packed;
mod peak;
mod pointwise;
mod product;
mod ring;
mod separable;
mod source;
mod stem;
#[cfg(test)]
mod tests;
mod upsample;

pub use crate::memory::{BLOCK, Block};
pub use dense::{Dense, SqueezeExcite, average, dense, squeeze_excite};
pub use map::{MapMut, MapRef, MapShape, blocks};
pub use packed::{Depthwise, Pointwise, Stem};
pub use peak::multiply_adds;
pub use pointwise::{Input, pointwise, pointwise_scratch};
pub use separable::{Epilogue, Residual, Separable, separable, separable_scratch};
pub use source::{Source, SourceKind};
pub use upsample::upsample_nearest;

/// Multiplications with addition below which a second thread doesn't pay for
/// waking it: a fork and a join take about a microsecond. Tests share all work.
const LEAST_MACS_TO_SHARE: usize = if cfg!(test) { 1 } else { 200_000 };

/// Multiplications with addition of a part: some 20 microseconds.
const MACS_OF_PART: usize = 500_000;

/// Calls `part` with a thread and ranges of `0..items`, on all threads if the
/// work pays.
fn share(
    context: Context<'_>,
    macs: usize,
    items: usize,
    part: impl Fn(usize, std::ops::Range<usize>) + Sync,
) {
    let parts = if macs < LEAST_MACS_TO_SHARE {
        1
    } else {
        context.pool.parts_if_uneven(macs, MACS_OF_PART)
    };
    context
        .pool
        .parallel_for(items, parts, |claimed, range| part(claimed.thread, range));
}

/// Where a 1x1 convolution writes.
#[derive(Debug)]
pub enum Output<'a> {
    /// A blocked map.
    Map(MapMut<'a>),
    /// `[pixels][channels]` without gaps, as heads hand it out. Nothing can be
    /// added to it.
    Rows(&'a mut [f32]),
}

impl Output<'_> {
    const fn takes_residual(&self) -> bool {
        matches!(self, Self::Map(_))
    }
}
