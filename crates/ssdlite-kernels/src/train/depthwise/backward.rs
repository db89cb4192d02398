//! The gradients of depthwise convolution.
//!
//! Both are made in one walk over the output's rows, from two rings: one of the
//! input, one of the output's gradient. At stride 1 the input's gradient is the
//! convolution of the output's with the turned kernel; at stride 2 each parity
//! of row and column has its own part of the kernel.

use std::ops::Range;

use super::super::gradient::{ConvGradients, InputGradient, Store, Sums};
use super::super::operand::{Input, OutputGradient};
use super::super::statistics::NormSums;
use super::super::sums::{ChannelSums, PerPart, combine_sums};
use super::ring::Ring;
use super::tiles::{self, Target};
use super::{Band, DepthwiseShape, TILE, band_rows, bands, pack_weight};
use crate::Context;
use crate::error::{Error, check_len};
use crate::isa::{Kernel, Simd};
use crate::memory::{Scratch, Shared};
use crate::pool::Part;
use crate::width::Either;

/// The gradients of a depthwise convolution, given that of its output.
///
/// Writes what `gradients` asks for and returns the sums it asks for.
///
/// # Errors
/// If a length isn't that of the shape, the sums asked for don't fit the kind
/// of input, or a bias is asked for.
pub fn depthwise_backward(
    cx: Context<'_>,
    shape: DepthwiseShape,
    input: Input<'_>,
    output: OutputGradient<'_>,
    weight: &[f32],
    gradients: ConvGradients<'_>,
) -> Result<Option<NormSums>, Error> {
    input.check(shape.input.images, shape.input().layout())?;
    output.check(shape.input.images, shape.output().layout())?;
    check_len("weight", weight, shape.weight_size())?;
    if let Some(dweight) = &gradients.weight {
        check_len("weight gradient", dweight, shape.weight_size())?;
    }
    if let Some(dbias) = &gradients.bias {
        check_len("bias gradient of a depthwise convolution", dbias, 0)?;
    }
    if let Some(gradient) = &gradients.input {
        gradient.check(shape.input(), input)?;
    }
    let taps = shape.kernel * shape.kernel;
    let packed = gradients.input.as_ref().map(|_| {
        pack_weight(cx.isa.lanes(), shape, weight, |tap| {
            if shape.stride == 1 {
                taps - 1 - tap
            } else {
                tap
            }
        })
    });
    let (dx, store, after) = match gradients.input {
        Some(InputGradient {
            dx,
            store,
            epilogue,
        }) => (Some(Shared::new(dx)), store, Sums::new(epilogue, input)),
        None => (None, Store::Overwrite, Sums::Nothing),
    };
    let norm_sums = PerPart::new(cx.pool.parts());
    let weight_sums = PerPart::new(cx.pool.parts());
    let work = |part: Part, rows: Range<usize>| {
        let mut sums = after
            .wants_norm_sums()
            .then(|| ChannelSums::new(shape.input.channels));
        let vectors = shape.input.channels.div_ceil(cx.isa.lanes());
        let mut dweight = gradients
            .weight
            .is_some()
            .then(|| WeightSums::new(vectors * taps * cx.isa.lanes()));
        cx.isa.run(Backward {
            shape,
            input,
            output,
            weight: packed.as_deref(),
            rows,
            dx,
            store,
            after,
            sums: sums.as_mut(),
            dweight: dweight.as_mut(),
        });
        if let Some(sums) = sums {
            norm_sums.set(part, sums);
        }
        if let Some(dweight) = dweight {
            weight_sums.set(part, dweight.total.to_vec());
        }
    };
    let out_height = shape.output_size().height;
    if after.wants_whole_images() {
        cx.pool
            .parallel_for(shape.input.images, cx.pool.parts(), |part, images| {
                work(part, images.start * out_height..images.end * out_height);
            });
    } else {
        cx.pool
            .parallel_for(shape.input.images * out_height, cx.pool.parts(), work);
    }
    if let Some(dweight) = gradients.weight {
        let parts: Vec<_> = weight_sums.into_parts().collect();
        unpack_weight(cx.isa.lanes(), taps, &parts, dweight);
    }
    Ok(after
        .wants_norm_sums()
        .then(|| combine_sums(norm_sums.into_parts(), shape.input.channels)))
}

/// Sums the parts' weight gradients, in order, into `[channels, taps]`.
fn unpack_weight(lanes: usize, taps: usize, parts: &[Vec<f32>], dweight: &mut [f32]) {
    for (c, dweight) in dweight.chunks_exact_mut(taps).enumerate() {
        let start = c / lanes * taps * lanes + c % lanes;
        for (tap, dweight) in dweight.iter_mut().enumerate() {
            *dweight = parts.iter().map(|part| part[start + tap * lanes]).sum();
        }
    }
}

/// A packed weight gradient, summed per image first: the terms are as many as
/// the pixels of a batch.
struct WeightSums {
    image: Scratch,
    total: Scratch,
}

impl WeightSums {
    fn new(len: usize) -> Self {
        Self {
            image: Scratch::zeroed(len),
            total: Scratch::zeroed(len),
        }
    }

    #[inline(always)]
    fn finish_image(&mut self) {
        for (total, image) in self.total.iter_mut().zip(self.image.iter_mut()) {
            *total += *image;
            *image = 0.0;
        }
    }
}

struct Backward<'a> {
    shape: DepthwiseShape,
    input: Input<'a>,
    output: OutputGradient<'a>,
    /// Packed, turned at stride 1; where `dx` is wanted.
    weight: Option<&'a [f32]>,
    /// Output rows, counted over all images.
    rows: Range<usize>,
    /// The whole of it; this part writes the input rows under its `rows`.
    dx: Option<Shared<'a, f32>>,
    store: Store,
    after: Sums<'a>,
    sums: Option<&'a mut ChannelSums>,
    dweight: Option<&'a mut WeightSums>,
}

impl Kernel for Backward<'_> {
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

/// Pixels of the output's gradient that an input pixel's gradient reaches to
/// each side: the kernel's half, in output pixels.
const fn padding(kernel: usize, stride: usize) -> usize {
    if stride == 1 { kernel / 2 } else { 1 }
}

impl Backward<'_> {
    #[inline(always)]
    fn rows<S: Simd, const K: usize, const STRIDE: usize>(mut self, s: S) {
        let shape = self.shape;
        let out = shape.output_size();
        let padding = padding(K, STRIDE);
        let band = band_rows::<S>();
        let slots = K + STRIDE * (band - 1);
        let size = shape.input.size();
        let mut x = Ring::new::<S>(self.input, size, shape.input.channels, K / 2, slots);
        let mut dz = Ring::new::<S>(
            self.output,
            out,
            shape.input.channels,
            padding,
            band + 2 * padding,
        );
        let mut image_begun = None;
        for (image, rows) in bands(self.rows.clone(), out.height, band) {
            let first_x = (rows.start * STRIDE) as isize - (K / 2) as isize;
            let first_dz = rows.start as isize - padding as isize;
            if image_begun != Some(image) {
                if let (Some(_), Some(dweight)) = (image_begun, &mut self.dweight) {
                    dweight.finish_image();
                }
                x.start(image, first_x);
                dz.start(image, first_dz);
                image_begun = Some(image);
            }
            // SAFETY: both operands were checked against the shape, so the
            // image exists; what is read of a ring was computed just before.
            unsafe {
                dz.advance(s, rows.end + padding);
                if let Some(dweight) = &mut self.dweight {
                    x.advance(s, (rows.end - 1) * STRIDE + K / 2 + 1);
                    for y in 0..rows.len() {
                        s.run(GradientLine::<K, STRIDE> {
                            rows: x.rows(first_x + (y * STRIDE) as isize, K),
                            pitch: x.pitch(),
                            dz: dz.rows::<1>(first_dz + (padding + y) as isize, 1)[0],
                            dz_pitch: dz.pitch(),
                            padding,
                            pixels: out.width,
                            channels: shape.input.channels,
                            dweight: dweight.image.as_mut_ptr(),
                        });
                    }
                }
                self.input_rows::<S, K, STRIDE>(s, image, rows, &dz);
            }
        }
        if let Some(dweight) = &mut self.dweight {
            dweight.finish_image();
        }
    }

    /// Writes the gradient of the input rows under the output's `rows`.
    ///
    /// # Safety
    /// `dz` must hold the rows and the padding around them.
    #[inline(always)]
    unsafe fn input_rows<S: Simd, const K: usize, const STRIDE: usize>(
        &mut self,
        s: S,
        image: usize,
        rows: Range<usize>,
        dz: &Ring<OutputGradient<'_>>,
    ) {
        let (Some(dx), Some(weight)) = (self.dx, self.weight) else {
            return;
        };
        let shape = self.shape;
        let row_len = shape.input.width * shape.input.channels;
        let lines = rows.start * STRIDE..shape.input.height.min(rows.end * STRIDE);
        let first = image * shape.input.height + lines.start;
        let pixels = first * shape.input.width..(first + lines.len()) * shape.input.width;
        // SAFETY: the parts' output rows are disjoint, so the input rows
        // under them are.
        let dx = unsafe { dx.part(first * row_len..(first + lines.len()) * row_len) };
        let first_dz = rows.start as isize - padding(K, STRIDE) as isize;
        // SAFETY: `dx` holds the lines; the ring's rows are the caller's promise.
        unsafe {
            if STRIDE == 1 {
                let source = dz.rows(first_dz, K + rows.len() - 1);
                let (pitch, width, channels) =
                    (dz.pitch(), shape.input.width, shape.input.channels);
                let (z, store) = (dx.as_mut_ptr(), self.store);
                if rows.len() == 2 {
                    s.run(Band::<K, 1, 2> {
                        rows: source,
                        pitch,
                        weight,
                        width,
                        channels,
                        z,
                        store,
                    });
                } else {
                    s.run(Band::<K, 1, 1> {
                        rows: source,
                        pitch,
                        weight,
                        width,
                        channels,
                        z,
                        store,
                    });
                }
            } else {
                for (y, dx) in dx.chunks_mut(2 * row_len).enumerate() {
                    s.run(RowPair::<K> {
                        rows: dz.rows(first_dz + y as isize, 3),
                        pitch: dz.pitch(),
                        weight,
                        lines: dx.len() / row_len,
                        width: shape.input.width,
                        channels: shape.input.channels,
                        dx: dx.as_mut_ptr(),
                        store: self.store,
                    });
                }
            }
            let sums = self.sums.as_deref_mut();
            let layout = shape.input().layout();
            self.after.add(s, layout, pixels, dx.as_ptr(), sums);
        }
    }
}

/// Two input rows, or the last one, whose gradient comes from three output rows.
///
/// Who makes one promises that the rows are valid for reads of `channels`
/// vectors `pitch` apart, each of the output's pixels and one on either side,
/// and `dx` for reads and writes of the lines.
struct RowPair<'a, const K: usize> {
    rows: [*const f32; 3],
    pitch: usize,
    weight: &'a [f32],
    lines: usize,
    /// Pixels of an input row.
    width: usize,
    channels: usize,
    dx: *mut f32,
    store: Store,
}

impl<const K: usize> Kernel for RowPair<'_, K> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let weight = self.weight.as_ptr();
        let outputs = self.width.div_ceil(2);
        for vector in 0..self.channels.div_ceil(S::LANES) {
            let i = vector * S::LANES;
            let lanes = Either(self.channels - i);
            // SAFETY: vector `vector` of the weight and the rows, channel `i`
            // of `dx`; no more columns than are left of the row.
            unsafe {
                let weight = weight.add(vector * K * K * S::LANES);
                let start = vector * self.pitch;
                let mut x = 0;
                while x < outputs {
                    let target = Target {
                        ptr: self.dx.add(i + 2 * x * self.channels),
                        pixel: self.channels,
                        row: self.width * self.channels,
                        store: self.store,
                    };
                    let offset = start + x * S::LANES;
                    let left = (self.lines, self.width - 2 * x);
                    match (outputs - x >= TILE, S::REGISTERS >= 32) {
                        (true, true) => {
                            tiles::input_gradient_2::<S, K, TILE>(
                                s, lanes, &self.rows, offset, weight, target, left,
                            );
                            x += TILE;
                        }
                        _ => {
                            tiles::input_gradient_2::<S, K, 1>(
                                s, lanes, &self.rows, offset, weight, target, left,
                            );
                            x += 1;
                        }
                    }
                }
            }
        }
    }
}

/// One output row's part of the weight gradient.
///
/// Who makes one promises that all rows are valid for reads of `channels`
/// vectors, a pitch apart, and `dweight` for reads and writes of the packed
/// weight.
struct GradientLine<const K: usize, const STRIDE: usize> {
    /// The `K` input rows under it, from the first pixel of the padding.
    rows: [*const f32; tiles::MAX_ROWS],
    pitch: usize,
    /// The row of the output's gradient, from the first pixel of its padding.
    dz: *const f32,
    dz_pitch: usize,
    padding: usize,
    /// Pixels of the output row.
    pixels: usize,
    channels: usize,
    dweight: *mut f32,
}

impl<const K: usize, const STRIDE: usize> Kernel for GradientLine<K, STRIDE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for vector in 0..self.channels.div_ceil(S::LANES) {
            // SAFETY: vector `vector` of the rows and of the weight.
            unsafe {
                let start = vector * self.pitch;
                let dz = self
                    .dz
                    .add(vector * self.dz_pitch + self.padding * S::LANES);
                let dweight = self.dweight.add(vector * K * K * S::LANES);
                let (rows, pixels) = (&self.rows, self.pixels);
                match (K, S::REGISTERS >= 32) {
                    (3, true) => tiles::weight_gradient::<S, K, STRIDE, 3, 4>(
                        s, rows, 0, start, dz, pixels, dweight,
                    ),
                    (3, false) => tiles::weight_gradient::<S, K, STRIDE, 3, 2>(
                        s, rows, 0, start, dz, pixels, dweight,
                    ),
                    (_, true) => tiles::weight_gradient::<S, K, STRIDE, K, 2>(
                        s, rows, 0, start, dz, pixels, dweight,
                    ),
                    (_, false) => {
                        for first in (0..K - 1).step_by(2) {
                            tiles::weight_gradient::<S, K, STRIDE, 2, 2>(
                                s, rows, first, start, dz, pixels, dweight,
                            );
                        }
                        tiles::weight_gradient::<S, K, STRIDE, 1, 4>(
                            s,
                            rows,
                            K - 1,
                            start,
                            dz,
                            pixels,
                            dweight,
                        );
                    }
                }
            }
        }
    }
}
