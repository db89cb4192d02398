//! Depthwise convolution: 3x3 and 5x5, stride 1 and 2, padded with half the
//! kernel.
//!
//! Output rows are made a few at a time from a ring of padded input rows that
//! stays in the cache, one vector of channels after the other.

use std::ops::Range;

use self::ring::Ring;
use self::tiles::{MAX_ROWS, Target};
use super::gradient::Store;
use super::map::{GridShape, MapShape, MapSize};
use super::operand::{Input, Rows};
use super::statistics::Moments;
use super::sums::{MomentSums, PerPart};
use crate::Context;
use crate::error::{Error, check_len};
use crate::isa::{Kernel, Simd};
use crate::memory::{Scratch, Shared};
use crate::width::Either;

mod backward;
mod ring;
mod tiles;

pub use backward::depthwise_backward;

/// Output pixels of a tile's row.
const TILE: usize = 4;

/// The shape of a depthwise convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthwiseShape {
    input: GridShape,
    kernel: usize,
    stride: usize,
}

impl DepthwiseShape {
    /// A convolution of `input` with a square kernel, 3 or 5 wide, and a stride
    /// of 1 or 2.
    ///
    /// # Errors
    /// If the kernel is neither 3 nor 5, the stride neither 1 nor 2, a
    /// dimension zero, or a product overflows.
    pub fn new(input: GridShape, kernel: usize, stride: usize) -> Result<Self, Error> {
        input.map()?;
        if !matches!(kernel, 3 | 5) {
            return Err(Error::Shape {
                what: "depthwise kernel",
                expected: "3 or 5",
                found: kernel,
            });
        }
        if !matches!(stride, 1 | 2) {
            return Err(Error::Shape {
                what: "depthwise stride",
                expected: "1 or 2",
                found: stride,
            });
        }
        Ok(Self {
            input,
            kernel,
            stride,
        })
    }

    /// Height and width of the output.
    pub fn output_size(&self) -> MapSize {
        MapSize {
            height: self.input.height.div_ceil(self.stride),
            width: self.input.width.div_ceil(self.stride),
        }
    }

    /// The input's shape.
    pub fn input(&self) -> MapShape {
        self.map(self.input.size())
    }

    /// The output's shape.
    pub fn output(&self) -> MapShape {
        self.map(self.output_size())
    }

    /// Numbers in the weight, `[channels, kernel, kernel]`.
    pub fn weight_size(&self) -> usize {
        self.input.channels * self.kernel * self.kernel
    }

    fn map(&self, size: MapSize) -> MapShape {
        let GridShape {
            images, channels, ..
        } = self.input;
        MapShape::new(images, size.height * size.width, channels)
            .expect("no larger than the input, which was checked")
    }
}

/// `z`, the convolution of `input`.
///
/// `weight` is `[channels, kernel, kernel]`, `z` in the output's shape.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn depthwise_forward(
    cx: Context<'_>,
    shape: DepthwiseShape,
    input: Input<'_>,
    weight: &[f32],
    z: &mut [f32],
) -> Result<(), Error> {
    check_forward(shape, input, weight, z)?;
    forward(cx, shape, input, weight, z, None);
    Ok(())
}

/// [`depthwise_forward`] and the moments of `z` for the batch norm after it.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn depthwise_forward_moments(
    cx: Context<'_>,
    shape: DepthwiseShape,
    input: Input<'_>,
    weight: &[f32],
    z: &mut [f32],
) -> Result<Moments, Error> {
    check_forward(shape, input, weight, z)?;
    let parts = PerPart::new(cx.pool.parts());
    forward(cx, shape, input, weight, z, Some(&parts));
    Ok(MomentSums::combine(
        parts.into_parts(),
        shape.input.channels,
    ))
}

fn check_forward(
    shape: DepthwiseShape,
    input: Input<'_>,
    weight: &[f32],
    z: &[f32],
) -> Result<(), Error> {
    input.check(shape.input.images, shape.input().layout())?;
    check_len("weight", weight, shape.weight_size())?;
    check_len("z", z, shape.output().size())
}

/// The weight as `[channel vectors, kernel * kernel, lanes]`, where tap `i` is
/// `order(i)` of the kernel.
fn pack_weight(
    lanes: usize,
    shape: DepthwiseShape,
    weight: &[f32],
    order: impl Fn(usize) -> usize,
) -> Scratch {
    let taps = shape.kernel * shape.kernel;
    let vectors = shape.input.channels.div_ceil(lanes);
    let mut packed = Scratch::zeroed(vectors * taps * lanes);
    for (c, weight) in weight.chunks_exact(taps).enumerate() {
        let start = c / lanes * taps * lanes + c % lanes;
        for i in 0..taps {
            packed[start + i * lanes] = weight[order(i)];
        }
    }
    packed
}

fn forward<R: Rows>(
    cx: Context<'_>,
    shape: DepthwiseShape,
    input: R,
    weight: &[f32],
    z: &mut [f32],
    moments: Option<&PerPart<MomentSums>>,
) {
    let packed = pack_weight(cx.isa.lanes(), shape, weight, |i| i);
    let z = Shared::new(z);
    let row_len = shape.output_size().width * shape.input.channels;
    let rows = shape.input.images * shape.output_size().height;
    cx.pool.parallel_for(rows, cx.pool.parts(), |part, rows| {
        // SAFETY: the parts' ranges are disjoint.
        let z = unsafe { z.part(rows.start * row_len..rows.end * row_len) };
        let mut sums = moments.map(|_| MomentSums::new(shape.input.channels));
        cx.isa.run(Forward {
            shape,
            input,
            weight: &packed,
            rows,
            z,
            sums: sums.as_mut(),
        });
        if let (Some(moments), Some(sums)) = (moments, sums) {
            moments.set(part, sums);
        }
    });
}

struct Forward<'a, R> {
    shape: DepthwiseShape,
    input: R,
    weight: &'a [f32],
    /// Output rows, counted over all images.
    rows: Range<usize>,
    /// Those rows.
    z: &'a mut [f32],
    sums: Option<&'a mut MomentSums>,
}

impl<R: Rows> Kernel for Forward<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match (self.shape.kernel, self.shape.stride) {
            (3, 1) => self.rows::<S, 3, 1>(s),
            (3, _) => self.rows::<S, 3, 2>(s),
            (_, 1) => self.rows::<S, 5, 1>(s),
            (_, _) => self.rows::<S, 5, 2>(s),
        }
    }
}

/// Output rows of a tile: two share most input rows, but their accumulators
/// need the larger register file.
#[inline(always)]
fn band_rows<S: Simd>() -> usize {
    if S::REGISTERS >= 32 { 2 } else { 1 }
}

/// Splits rows, counted over all images, into bands of at most `most` rows of
/// one image: its number, and the band's rows in it.
fn bands(
    rows: Range<usize>,
    height: usize,
    most: usize,
) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut row = rows.start;
    std::iter::from_fn(move || {
        if row >= rows.end {
            return None;
        }
        let (image, first) = (row / height, row % height);
        let last = height.min(first + most).min(first + rows.end - row);
        row += last - first;
        Some((image, first..last))
    })
}

impl<R: Rows> Forward<'_, R> {
    #[inline(always)]
    fn rows<S: Simd, const K: usize, const STRIDE: usize>(mut self, s: S) {
        let shape = self.shape;
        let out = shape.output_size();
        let padding = (K / 2) as isize;
        let slots = K + STRIDE * (band_rows::<S>() - 1);
        let mut ring = Ring::new::<S>(
            self.input,
            shape.input.size(),
            shape.input.channels,
            K / 2,
            slots,
        );
        let row_len = out.width * shape.input.channels;
        let mut done = 0;
        let mut image_begun = None;
        for (image, band) in bands(self.rows.clone(), out.height, band_rows::<S>()) {
            let first = (band.start * STRIDE) as isize - padding;
            if image_begun != Some(image) {
                ring.start(image, first);
                image_begun = Some(image);
            }
            let count = band.len();
            let z = &mut self.z[done..done + count * row_len];
            done += count * row_len;
            // SAFETY: the input was checked against the shape, so the image
            // exists; `z` holds the band.
            unsafe {
                ring.advance(s, (band.end - 1) * STRIDE + K / 2 + 1);
                let rows = ring.rows(first, K + STRIDE * (count - 1));
                let (pitch, weight, width) = (ring.pitch(), self.weight, out.width);
                let (channels, z) = (shape.input.channels, z.as_mut_ptr());
                if count == 2 {
                    s.run(Band::<K, STRIDE, 2> {
                        rows,
                        pitch,
                        weight,
                        width,
                        channels,
                        z,
                        store: Store::Overwrite,
                    });
                } else {
                    s.run(Band::<K, STRIDE, 1> {
                        rows,
                        pitch,
                        weight,
                        width,
                        channels,
                        z,
                        store: Store::Overwrite,
                    });
                }
                if let Some(sums) = &mut self.sums {
                    sums.add(s, z.cast_const(), count * out.width);
                }
            }
        }
    }
}

/// `R` output rows, and the input rows that they are made of.
///
/// Who makes one promises that the rows are valid for reads of `channels`
/// vectors `pitch` apart, each of the pixels under the output's, and `z` for
/// reads and writes of the output rows.
struct Band<'a, const K: usize, const STRIDE: usize, const R: usize> {
    /// From the first pixel of the padding; those past the kernel's are null.
    rows: [*const f32; MAX_ROWS],
    /// Numbers between two channel vectors of a row.
    pitch: usize,
    /// Packed.
    weight: &'a [f32],
    /// Pixels of an output row.
    width: usize,
    channels: usize,
    z: *mut f32,
    store: Store,
}

impl<const K: usize, const STRIDE: usize, const R: usize> Kernel for Band<'_, K, STRIDE, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let weight = self.weight.as_ptr();
        for vector in 0..self.channels.div_ceil(S::LANES) {
            let i = vector * S::LANES;
            let lanes = Either(self.channels - i);
            // SAFETY: vector `vector` of the weight and the rows, channel `i`
            // of the output.
            unsafe {
                let weight = weight.add(vector * K * K * S::LANES);
                let z = self.z.add(i);
                let start = vector * self.pitch;
                let mut x = 0;
                while x + TILE <= self.width {
                    let offset = start + x * STRIDE * S::LANES;
                    let target = self.target(z, x);
                    tiles::convolve::<S, K, STRIDE, R, TILE>(
                        s, lanes, &self.rows, offset, weight, target,
                    );
                    x += TILE;
                }
                while x < self.width {
                    let offset = start + x * STRIDE * S::LANES;
                    let target = self.target(z, x);
                    tiles::convolve::<S, K, STRIDE, R, 1>(
                        s, lanes, &self.rows, offset, weight, target,
                    );
                    x += 1;
                }
            }
        }
    }
}

impl<const K: usize, const STRIDE: usize, const R: usize> Band<'_, K, STRIDE, R> {
    #[inline(always)]
    fn target(&self, z: *mut f32, x: usize) -> Target {
        Target {
            ptr: z.wrapping_add(x * self.channels),
            pixel: self.channels,
            row: self.width * self.channels,
            store: self.store,
        }
    }
}
