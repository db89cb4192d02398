//! The first convolution, from bytes.

use super::map::{MapShape, View};
use super::packed::Stem;
use super::product::{Matrix, Product, RowBreaks, Target};
use crate::isa::{Isa, Kernel, Simd};
use crate::memory::Scratch;

/// Numbers of a pixel.
const COLORS: usize = 3;

/// Numbers that a row of the kernel reads: three pixels.
const SEGMENT: usize = 3 * COLORS;

/// From an output pixel's first number to its neighbour's, at stride 2.
const PIXEL: usize = 2 * COLORS;

/// Rows of the kernel.
const ROWS: usize = 3;

/// Inputs of an output number.
pub(super) const INPUTS: usize = ROWS * SEGMENT;

impl Stem {
    /// The shape of the first map of an image of packed RGB bytes.
    ///
    /// # Panics
    /// If `pixels` are not rows of `width` pixels.
    pub(super) fn output(&self, pixels: &[u8], width: usize) -> MapShape {
        let row = width
            .checked_mul(COLORS)
            .expect("a row that can be counted");
        let height = pixels.len() / row;
        assert_eq!(pixels.len(), height * row, "bytes");
        MapShape {
            channels: self.product.out_channels,
            height: height.div_ceil(2),
            width: width.div_ceil(2),
            padding: 0,
        }
    }
}

/// Computes the rows of the first map, one after the other.
///
/// Rows of the image are counted from the row of padding above it: output
/// row `y` reads rows `2 * y` to `2 * y + 2`.
pub(super) struct StemRows<'a> {
    isa: Isa,
    layer: &'a Stem,
    pixels: &'a [u8],
    width: usize,
    height: usize,
    /// The three rows that the kernel reads, as numbers, with one pixel of
    /// padding to the left and at least one to the right.
    window: Scratch,
    /// The next output row.
    y: usize,
}

impl<'a> StemRows<'a> {
    /// Rows from `y` on.
    pub(super) fn new(isa: Isa, layer: &'a Stem, pixels: &'a [u8], width: usize, y: usize) -> Self {
        let mut rows = Self {
            isa,
            layer,
            pixels,
            width,
            height: pixels.len() / (width * COLORS),
            window: Scratch::take(ROWS * row_len(width)),
            y,
        };
        rows.layer.pad(&mut rows.window);
        rows.read(2 * y, 0);
        rows
    }

    /// Writes the next row of the output.
    ///
    /// # Safety
    /// `out` must have such a row, which nobody else may use.
    pub(super) unsafe fn next(&mut self, out: View<'_>) {
        self.read(2 * self.y + 1, 1);
        self.read(2 * self.y + 2, 2);
        let product = &self.layer.product;
        self.isa.run(Product::<PIXEL> {
            weights: product,
            panels_ptr: product.weights.as_ptr().cast(),
            first_panel: 0,
            panels: product.panels(),
            input: Matrix {
                ptr: self.window.as_ptr(),
                segment_len: SEGMENT,
                segment: row_len(self.width),
            },
            pixels: self.width.div_ceil(2),
            target: Target::Blocks {
                ptr: out.at(0, self.y),
                block: out.block,
                rows: RowBreaks::NONE,
                residual: None,
            },
        });
        let len = row_len(self.width);
        self.window.copy_within(2 * len.., 0);
        self.y += 1;
    }

    /// Reads row `y` of the padded image into place `slot` of the window.
    fn read(&mut self, y: usize, slot: usize) {
        let len = row_len(self.width);
        let row = &mut self.window[slot * len..][..len];
        if (1..=self.height).contains(&y) {
            let stride = self.width * COLORS;
            self.isa.run(Convert {
                bytes: &self.pixels[(y - 1) * stride..][..stride],
                numbers: &mut row[COLORS..][..stride],
            });
        } else {
            self.layer.pad(row);
        }
    }
}

/// Numbers in a row of the window: an even number of pixels and one.
fn row_len(width: usize) -> usize {
    (2 * width.div_ceil(2) + 1) * COLORS
}

impl Stem {
    fn pad(&self, numbers: &mut [f32]) {
        for color in numbers.chunks_exact_mut(COLORS) {
            color.copy_from_slice(&self.padding);
        }
    }
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
