//! The first convolution, from bytes.

use super::map::MapMut;
use super::packed::Stem;
use super::product::{Matrix, Product, Target};
use super::share;
use crate::Context;
use crate::isa::{Kernel, Simd};
use crate::memory::Scratch;

/// Numbers of a pixel.
const COLORS: usize = 3;

/// Numbers that a row of the kernel reads: three pixels.
const SEGMENT: usize = 3 * COLORS;

/// From an output pixel's first number to its neighbour's, at stride 2.
const PIXEL: usize = 2 * COLORS;

/// Rows of the kernel.
const ROWS: usize = 3;

/// The first map of a picture of packed RGB bytes: half as high and wide,
/// rounded up.
///
/// # Panics
/// If `pixels`, `width` (of the picture) and `output` don't fit each other.
pub fn stem(
    context: Context<'_>,
    layer: &Stem,
    pixels: &[u8],
    width: usize,
    mut output: MapMut<'_>,
) {
    let shape = output.shape();
    let height = pixels.len() / (width * COLORS);
    assert_eq!(pixels.len(), height * width * COLORS, "bytes");
    assert_eq!(shape.height, height.div_ceil(2), "rows");
    assert_eq!(shape.width, width.div_ceil(2), "columns");
    assert_eq!(shape.channels, layer.product.out_channels, "channels");
    let out = output.view();
    // One pixel of padding on the left, at least one on the right.
    let row_len = (2 * shape.width + 1) * COLORS;
    let macs = shape.pixels() * shape.channels * ROWS * SEGMENT;
    share(context, macs, shape.height, |_, rows| {
        let mut window = Scratch::take(ROWS * row_len);
        for row in window.chunks_exact_mut(row_len) {
            for color in row.chunks_exact_mut(COLORS) {
                color.copy_from_slice(&layer.padding);
            }
        }
        let read = |y: usize, row: &mut [f32]| {
            if (1..=height).contains(&y) {
                let bytes = &pixels[(y - 1) * width * COLORS..][..width * COLORS];
                context.isa.run(Convert {
                    bytes,
                    numbers: &mut row[COLORS..][..width * COLORS],
                });
            } else {
                for color in row.chunks_exact_mut(COLORS) {
                    color.copy_from_slice(&layer.padding);
                }
            }
        };
        // Rows are counted from the padding row above the picture: output row
        // `y` reads rows `2 * y` to `2 * y + 2`.
        read(2 * rows.start, &mut window[..row_len]);
        for y in rows {
            let (first, others) = window.split_at_mut(row_len);
            let (second, third) = others.split_at_mut(row_len);
            read(2 * y + 1, second);
            read(2 * y + 2, third);
            let product = Product::<PIXEL> {
                weights: &layer.product,
                panels_ptr: layer.product.weights.as_ptr().cast(),
                first_panel: 0,
                panels: layer.product.panels(),
                input: Matrix {
                    ptr: first.as_ptr(),
                    segment_len: SEGMENT,
                    segment: row_len,
                },
                pixels: shape.width,
                target: Target::Blocks {
                    ptr: out.at(0, y),
                    block: out.block,
                    residual: None,
                },
            };
            context.isa.run(product);
            for block in 0..shape.blocks() {
                // SAFETY: this thread alone has row `y`.
                unsafe { out.clear_margins(block, y) };
            }
            first.copy_from_slice(third);
        }
    });
}

struct Convert<'a> {
    bytes: &'a [u8],
    numbers: &'a mut [f32],
}

impl Kernel for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (number, &byte) in self.numbers.iter_mut().zip(self.bytes) {
            *number = f32::from(byte);
        }
    }
}
