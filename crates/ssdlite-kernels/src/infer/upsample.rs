//! Nearest upsampling by two.

use super::map::{MapMut, MapRef};
use super::share;
use crate::Context;
use crate::memory::{BLOCK, Block};

/// Writes to row `y`, column `x` of `output` what `input` has at row `y / 2`,
/// column `x / 2`, and zeros to its padding.
///
/// # Panics
/// If `output` hasn't the channels of `input` and twice its rows and columns,
/// or one less.
pub fn upsample_nearest(context: Context<'_>, input: MapRef<'_>, mut output: MapMut<'_>) {
    let (from, to) = (input.shape(), output.shape());
    let sizes = (to.channels, to.height.div_ceil(2), to.width.div_ceil(2));
    let expected = (from.channels, from.height, from.width);
    assert_eq!(sizes, expected, "channels and half the size of the output");
    let (from, view) = (input.view(), output.view());
    // A number that is moved counts as one multiplication.
    let moved = to.len() * BLOCK;
    share(context, moved, to.blocks() * to.height, |_, rows| {
        for row in rows {
            let (block, y) = (row / to.height, row % to.height);
            let source = from.at(block, y / 2).cast_const().cast::<Block>();
            let target = view.at(block, y).cast::<Block>();
            // SAFETY: both maps have these rows, and this thread alone has the
            // output's; the maps are made of aligned blocks.
            unsafe {
                for x in 0..to.width {
                    target.add(x).write(*source.add(x / 2));
                }
                view.clear_padding(block, y);
            }
        }
    });
}
