//! Nearest upsampling by two, and its gradient: output row `y`, column `x` is
//! input row `y / 2`, column `x / 2`.

use std::ops::Range;

use super::map::{GridShape, MapShape, MapSize};
use super::operand::{Input, Place, Rows};
use crate::Context;
use crate::error::{Error, check_len};
use crate::isa::{Kernel, Simd};
use crate::memory::{Scratch, Shared};
use crate::width::{Width, for_vectors};

/// The shapes of an upsampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpsampleShape {
    input: GridShape,
    output: MapSize,
}

impl UpsampleShape {
    /// From `input` to a map of size `output`: twice the input's, or one less
    /// where the larger map has an odd number of rows or columns.
    ///
    /// # Errors
    /// If the sizes don't fit, a dimension is zero, or a product overflows.
    pub fn new(input: GridShape, output: MapSize) -> Result<Self, Error> {
        for (what, found, from) in [
            ("upsampled height", output.height, input.height),
            ("upsampled width", output.width, input.width),
        ] {
            if found.div_ceil(2) != from {
                return Err(Error::Shape {
                    what,
                    expected: "twice the input's, or one less",
                    found,
                });
            }
        }
        let shape = Self { input, output };
        input.map()?;
        shape.grid().map()?;
        Ok(shape)
    }

    /// The input's shape.
    pub fn input(&self) -> MapShape {
        self.input.map().expect("checked by the constructor")
    }

    /// The output's shape.
    pub fn output(&self) -> MapShape {
        self.grid().map().expect("checked by the constructor")
    }

    fn grid(&self) -> GridShape {
        GridShape {
            height: self.output.height,
            width: self.output.width,
            ..self.input
        }
    }

    /// The output rows that read the input rows `rows`, both counted over all
    /// images.
    fn readers(&self, rows: Range<usize>) -> Range<usize> {
        let first = |row: usize| {
            row / self.input.height * self.output.height + 2 * (row % self.input.height)
        };
        first(rows.start)..first(rows.end)
    }
}

/// `y`, the upsampled `input`.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn upsample_nearest(
    cx: Context<'_>,
    shape: UpsampleShape,
    input: Input<'_>,
    y: &mut [f32],
) -> Result<(), Error> {
    let GridShape {
        images,
        height,
        channels,
        ..
    } = shape.input;
    input.check(images, shape.input().layout())?;
    check_len("y", y, shape.output().size())?;
    let y = Shared::new(y);
    let row_len = shape.output.width * channels;
    cx.pool
        .parallel_for(images * height, cx.pool.parts(), |_, rows| {
            let readers = shape.readers(rows.clone());
            cx.isa.run(Forward {
                shape,
                input,
                rows,
                // SAFETY: the parts' rows are disjoint, so their readers are.
                y: unsafe { y.part(readers.start * row_len..readers.end * row_len) },
            });
        });
    Ok(())
}

struct Forward<'a> {
    shape: UpsampleShape,
    input: Input<'a>,
    /// Input rows, counted over all images.
    rows: Range<usize>,
    /// The output rows that read them.
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let GridShape {
            width, channels, ..
        } = self.shape.input;
        let row_len = self.shape.output.width * channels;
        let mut line = Scratch::take(width * channels);
        let mut left = self.y;
        for row in self.rows {
            let pixels = row * width..(row + 1) * width;
            let layout = self.shape.input().layout();
            let (dst, place) = (line.as_mut_ptr(), Place::rows::<S>(channels));
            // SAFETY: the input was checked against the shape; the line holds
            // a row.
            unsafe { self.input.fill(s, layout, pixels, dst, place) };
            let readers = self.shape.readers(row..row + 1).len();
            let (lines, rest) = left.split_at_mut(readers * row_len);
            left = rest;
            let (first, second) = lines.split_at_mut(row_len);
            for (x, pixel) in first.chunks_exact_mut(channels).enumerate() {
                pixel.copy_from_slice(&line[x / 2 * channels..][..channels]);
            }
            if !second.is_empty() {
                second.copy_from_slice(first);
            }
        }
    }
}

/// The gradient of what [`upsample_nearest`] read, given that of its output:
/// each input pixel's is the sum of its readers'.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn upsample_nearest_backward(
    cx: Context<'_>,
    shape: UpsampleShape,
    dy: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    let GridShape {
        images,
        height,
        width,
        channels,
    } = shape.input;
    check_len("output gradient", dy, shape.output().size())?;
    check_len("input gradient", dx, shape.input().size())?;
    let dx = Shared::new(dx);
    let row_len = width * channels;
    cx.pool
        .parallel_for(images * height, cx.pool.parts(), |_, rows| {
            cx.isa.run(Backward {
                shape,
                dy,
                // SAFETY: the parts' rows are disjoint.
                dx: unsafe { dx.part(rows.start * row_len..rows.end * row_len) },
                rows,
            });
        });
    Ok(())
}

struct Backward<'a> {
    shape: UpsampleShape,
    dy: &'a [f32],
    /// Input rows, counted over all images.
    rows: Range<usize>,
    dx: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let GridShape {
            width, channels, ..
        } = self.shape.input;
        let out_width = self.shape.output.width;
        let mut pixels = self.dx.chunks_exact_mut(channels);
        for row in self.rows {
            let lines = self.shape.readers(row..row + 1);
            for (x, dx) in pixels.by_ref().take(width).enumerate() {
                let columns = 2 * x..out_width.min(2 * x + 2);
                for_vectors!(S, channels, |i, width| {
                    let mut sum = s.zero();
                    for line in lines.clone() {
                        for column in columns.clone() {
                            let at = (line * out_width + column) * channels + i;
                            // SAFETY: channel `i` of a pixel of `dy`, whose
                            // length was checked.
                            let dy = unsafe { width.load(s, self.dy.as_ptr().add(at)) };
                            sum = s.add(sum, dy);
                        }
                    }
                    // SAFETY: channel `i` of the pixel of `dx`.
                    unsafe { width.store(s, dx.as_mut_ptr().add(i), sum) };
                });
            }
        }
    }
}
