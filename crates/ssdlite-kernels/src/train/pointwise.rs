//! Pointwise (1x1) convolution, which is also the linear layer: a matrix
//! product over pixels.

use std::ops::Range;

use super::accumulate::add_copies;
use super::gemm::{Addend, Packed, RowsPtr, Source, multiply, multiply_transposed};
use super::gradient::{ConvGradients, InputGradient, Store, Sums};
use super::map::MapShape;
use super::operand::{Input, Layout, OutputGradient, Place, Rows};
use super::statistics::{Moments, NormSums};
use super::sums::{ChannelSums, MomentSums, PerPart, combine_sums};
use crate::Context;
use crate::buffer::Buffer;
use crate::error::{Error, check_len, checked_size};
use crate::isa::{Cache, Kernel, Simd};
use crate::memory::{Scratch, Shared};

/// Up to here the weight gradient is split over its rows: with so few pixels a
/// copy of it for each thread would be the larger part of the work.
const FEW_ROWS: usize = 512;

/// Rows of a part that has a copy of the weight gradient: clearing it and adding
/// it up cost as much as a few dozen rows.
const LEAST_ROWS: usize = 2048;

/// The shape of a pointwise convolution. A linear layer has one pixel an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointwiseShape {
    map: MapShape,
    outputs: usize,
}

impl PointwiseShape {
    /// From a map of `input` to `outputs` channels.
    ///
    /// # Errors
    /// If a dimension is zero or a product overflows.
    pub fn new(input: MapShape, outputs: usize) -> Result<Self, Error> {
        checked_size("pointwise output", &[input.rows(), outputs])?;
        checked_size("pointwise weight", &[input.channels(), outputs])?;
        Ok(Self {
            map: input,
            outputs,
        })
    }

    /// The input's shape.
    pub fn input(&self) -> MapShape {
        self.map
    }

    /// Channels of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Numbers in the output, `[images, pixels, outputs]`.
    pub fn output_size(&self) -> usize {
        self.map.rows() * self.outputs
    }

    /// Numbers in the weight, `[outputs, inputs]`.
    pub fn weight_size(&self) -> usize {
        self.map.channels() * self.outputs
    }

    fn output_layout(&self) -> Layout {
        Layout {
            channels: self.outputs,
            pixels: self.map.pixels(),
        }
    }
}

/// Rows of a block: a multiple of every tile's height, with both sides of the
/// product in the first or second cache. The order of sums depends on it, so it is
/// the same on every processor; shorter blocks for a second cache of 512 KiB were
/// no faster.
pub(super) fn block_rows(inputs: usize, outputs: usize) -> usize {
    if inputs + outputs <= 48 { 252 } else { 126 }
}

/// `z = input * weight^T`, plus `bias` where given.
///
/// `weight` is `[outputs, inputs]`, `bias` `[outputs]`, `z`
/// `[images, pixels, outputs]`.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn pointwise_forward(
    cx: Context<'_>,
    shape: PointwiseShape,
    input: Input<'_>,
    (weight, bias): (&[f32], Option<&[f32]>),
    z: &mut [f32],
) -> Result<(), Error> {
    if let Some(bias) = bias {
        check_len("bias", bias, shape.outputs)?;
    }
    check_forward(shape, input, weight, z)?;
    let packed = pack_forward(cx, weight, shape.map.channels(), shape.outputs);
    let addend = bias.map_or(Addend::None, Addend::Bias);
    multiply_rows(cx, shape.map, input, &packed, addend, z, None);
    Ok(())
}

/// `z = input * weight^T` and the moments of `z` for the batch norm after it.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn pointwise_forward_moments(
    cx: Context<'_>,
    shape: PointwiseShape,
    input: Input<'_>,
    weight: &[f32],
    z: &mut [f32],
) -> Result<Moments, Error> {
    check_forward(shape, input, weight, z)?;
    let packed = pack_forward(cx, weight, shape.map.channels(), shape.outputs);
    let parts = PerPart::new(cx.pool.parts());
    multiply_rows(cx, shape.map, input, &packed, Addend::None, z, Some(&parts));
    Ok(MomentSums::combine(parts.into_parts(), shape.outputs))
}

fn check_forward(
    shape: PointwiseShape,
    input: Input<'_>,
    weight: &[f32],
    z: &[f32],
) -> Result<(), Error> {
    input.check(shape.map.images(), shape.map.layout())?;
    check_len("weight", weight, shape.weight_size())?;
    check_len("z", z, shape.output_size())
}

pub(super) fn pack_forward(
    cx: Context<'_>,
    weight: &[f32],
    inputs: usize,
    outputs: usize,
) -> Packed {
    Packed::new(cx, Source::Columns(weight), inputs, outputs)
}

/// `z = input * packed + addend`, for any kind of rows.
pub(super) fn multiply_rows<R: Rows>(
    cx: Context<'_>,
    map: MapShape,
    input: R,
    packed: &Packed,
    addend: Addend<'_>,
    z: &mut [f32],
    moments: Option<&PerPart<MomentSums>>,
) {
    let outputs = packed.columns();
    let z = Shared::new(z);
    cx.pool
        .parallel_for(map.rows(), cx.pool.parts(), |part, rows| {
            // SAFETY: the parts' ranges are disjoint.
            let z = unsafe { z.part(rows.start * outputs..rows.end * outputs) };
            let mut sums = moments.map(|_| MomentSums::new(outputs));
            cx.isa.run(Forward {
                layout: map.layout(),
                rows,
                input,
                packed,
                addend,
                z,
                sums: sums.as_mut(),
            });
            if let (Some(moments), Some(sums)) = (moments, sums) {
                moments.set(part, sums);
            }
        });
}

struct Forward<'a, R> {
    layout: Layout,
    rows: Range<usize>,
    input: R,
    packed: &'a Packed,
    addend: Addend<'a>,
    z: &'a mut [f32],
    sums: Option<&'a mut MomentSums>,
}

impl<R: Rows> Kernel for Forward<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (inputs, outputs) = (self.packed.depth(), self.packed.columns());
        let step = block_rows(inputs, outputs);
        let mut block = Block::new(self.input, self.layout, step);
        let mut sums = self.sums;
        let mut row = self.rows.start;
        while row < self.rows.end {
            let rows = row..self.rows.end.min(row + step);
            row = rows.end;
            let start = (rows.start - self.rows.start) * outputs;
            let z = &mut self.z[start..start + rows.len() * outputs];
            let count = rows.len();
            // SAFETY: the input was checked against the shape; `z` holds the
            // block's rows, a bias was checked.
            unsafe {
                let a = block.rows(s, rows);
                multiply(
                    s,
                    count,
                    a,
                    self.packed,
                    self.addend,
                    z.as_mut_ptr(),
                    outputs,
                );
                if let Some(sums) = &mut sums {
                    sums.add(s, z.as_ptr(), count);
                }
            }
        }
    }
}

/// Gives blocks of rows: in place, or computed into scratch memory.
pub(super) struct Block<R> {
    input: R,
    layout: Layout,
    scratch: Scratch,
}

impl<R: Rows> Block<R> {
    /// For blocks of at most `rows` rows.
    pub(super) fn new(input: R, layout: Layout, rows: usize) -> Self {
        let size = if input.plain().is_some() {
            0
        } else {
            rows * layout.channels
        };
        Self {
            input,
            layout,
            scratch: Scratch::take(size),
        }
    }

    /// The rows, valid until the next call.
    ///
    /// # Safety
    /// The rows must exist in the input, no more than `new` was told.
    #[inline(always)]
    pub(super) unsafe fn rows<S: Simd>(&mut self, s: S, rows: Range<usize>) -> RowsPtr {
        let stride = self.layout.channels;
        let ptr = match self.input.plain() {
            Some(x) => {
                // The tiles walk down columns; asked for in the order of
                // memory, the block comes sooner.
                let x = &x[rows.start * stride..rows.end * stride];
                for i in (0..x.len()).step_by(Buffer::LINE) {
                    s.prefetch(x.as_ptr().wrapping_add(i), Cache::First);
                }
                x.as_ptr()
            }
            None => {
                let dst = self.scratch.as_mut_ptr();
                // SAFETY: the rows exist and the scratch memory holds them.
                unsafe {
                    let place = Place::rows::<S>(stride);
                    self.input.fill(s, self.layout, rows, dst, place);
                }
                dst.cast_const()
            }
        };
        RowsPtr { ptr, stride }
    }
}

/// The gradients of a pointwise convolution, given that of its output.
///
/// Writes what `gradients` asks for and returns the sums it asks for.
///
/// # Errors
/// If a length isn't that of the shape, or the sums asked for don't fit the
/// kind of input.
pub fn pointwise_backward(
    cx: Context<'_>,
    shape: PointwiseShape,
    input: Input<'_>,
    output: OutputGradient<'_>,
    weight: &[f32],
    gradients: ConvGradients<'_>,
) -> Result<Option<NormSums>, Error> {
    let map = shape.map;
    input.check(map.images(), map.layout())?;
    output.check(map.images(), shape.output_layout())?;
    check_len("weight", weight, shape.weight_size())?;
    if let Some(dweight) = &gradients.weight {
        check_len("weight gradient", dweight, shape.weight_size())?;
    }
    if let Some(dbias) = &gradients.bias {
        check_len("bias gradient", dbias, shape.outputs)?;
    }
    if let Some(gradient) = &gradients.input {
        gradient.check(map, input)?;
    }
    let packed = gradients.input.is_some().then(|| {
        let source = Source::Rows(weight);
        Packed::new(cx, source, shape.outputs, map.channels())
    });
    let (dx, store, after) = match gradients.input {
        Some(InputGradient {
            dx,
            store,
            epilogue,
        }) => (Some(dx), store, Sums::new(epilogue, input)),
        None => (None, Store::Overwrite, Sums::Nothing),
    };
    let wanted = Wanted {
        dx,
        store,
        after,
        dweight: gradients.weight,
        dbias: gradients.bias,
    };
    Ok(backward(cx, shape, input, output, packed.as_ref(), wanted))
}

/// [`ConvGradients`], checked.
pub(super) struct Wanted<'a> {
    pub(super) dx: Option<&'a mut [f32]>,
    pub(super) store: Store,
    pub(super) after: Sums<'a>,
    pub(super) dweight: Option<&'a mut [f32]>,
    pub(super) dbias: Option<&'a mut [f32]>,
}

/// [`pointwise_backward`] after the checks, for any kind of input rows;
/// `packed` is the weight, `[outputs, inputs]`, if the input's gradient is
/// wanted.
pub(super) fn backward<R: Rows>(
    cx: Context<'_>,
    shape: PointwiseShape,
    input: R,
    output: OutputGradient<'_>,
    packed: Option<&Packed>,
    wanted: Wanted<'_>,
) -> Option<NormSums> {
    let map = shape.map;
    let Wanted {
        dx,
        store,
        after,
        mut dweight,
        dbias,
    } = wanted;
    let dx = dx.map(Shared::new);
    let few = map.rows() <= FEW_ROWS;
    if let (Some(dweight), true) = (&mut dweight, few) {
        dweight.fill(0.0);
    }
    let weight_size = shape.weight_size();
    let whole_images = after.wants_whole_images();
    let (items, rows_of_item) = if whole_images {
        (map.images(), map.pixels())
    } else {
        (map.rows(), 1)
    };
    // One copy of the weight gradient for each part but the first.
    let (parts, copies) = match dweight {
        Some(_) if !few => {
            let parts = cx.pool.parts_of(map.rows(), LEAST_ROWS).min(items);
            (parts, parts.saturating_sub(1))
        }
        _ => (cx.pool.parts(), 0),
    };
    let mut partial = Scratch::take(copies * weight_size);
    let norm_sums = PerPart::new(parts);
    let bias_sums = PerPart::new(parts);
    {
        let first = dweight.as_deref_mut().map(Shared::new);
        let others = Shared::new(&mut partial);
        cx.pool.parallel_for(items, parts, |part, items| {
            let rows = items.start * rows_of_item..items.end * rows_of_item;
            let mut dweight = match (first, part.index) {
                (Some(_), _) if few => None,
                // SAFETY: each part has its own copy.
                (Some(first), 0) => Some(unsafe { first.part(0..weight_size) }),
                (Some(_), index) => {
                    let start = (index - 1) * weight_size;
                    // SAFETY: as above.
                    Some(unsafe { others.part(start..start + weight_size) })
                }
                (None, _) => None,
            };
            if let Some(dweight) = &mut dweight {
                dweight.fill(0.0);
            }
            let inputs = map.channels();
            let mut sums = after.wants_norm_sums().then(|| ChannelSums::new(inputs));
            let mut dbias = dbias.is_some().then(|| ChannelSums::new(shape.outputs));
            cx.isa.run(Backward {
                shape,
                input,
                output,
                packed,
                // SAFETY: the parts' ranges are disjoint.
                dx: dx.map(|dx| unsafe { dx.part(rows.start * inputs..rows.end * inputs) }),
                store,
                after: &after,
                sums: sums.as_mut(),
                dbias: dbias.as_mut(),
                rows,
                dweight,
            });
            if let Some(sums) = sums {
                norm_sums.set(part, sums);
            }
            if let Some(dbias) = dbias {
                bias_sums.set(part, dbias);
            }
        });
    }
    if let Some(dweight) = dweight {
        if few {
            weight_gradient_by_rows(cx, shape, input, output, dweight);
        } else {
            add_copies(cx, dweight, &partial);
        }
    }
    if let Some(dbias) = dbias {
        let sums = combine_sums(bias_sums.into_parts(), shape.outputs);
        for (dbias, sum) in dbias.iter_mut().zip(sums.du) {
            *dbias = sum as f32;
        }
    }
    after
        .wants_norm_sums()
        .then(|| combine_sums(norm_sums.into_parts(), map.channels()))
}

struct Backward<'a, R> {
    shape: PointwiseShape,
    input: R,
    output: OutputGradient<'a>,
    packed: Option<&'a Packed>,
    rows: Range<usize>,
    dx: Option<&'a mut [f32]>,
    store: Store,
    after: &'a Sums<'a>,
    sums: Option<&'a mut ChannelSums>,
    dweight: Option<&'a mut [f32]>,
    dbias: Option<&'a mut ChannelSums>,
}

impl<R: Rows> Kernel for Backward<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let (inputs, outputs) = (self.shape.map.channels(), self.shape.outputs);
        let step = block_rows(inputs, outputs);
        let in_layout = self.shape.map.layout();
        let mut a = Block::new(self.input, in_layout, step);
        let mut dz = Block::new(self.output, self.shape.output_layout(), step);
        let mut row = self.rows.start;
        while row < self.rows.end {
            let rows = row..self.rows.end.min(row + step);
            row = rows.end;
            let count = rows.len();
            // SAFETY: both operands were checked against the shape; `dx` holds
            // this part's rows, `dweight` the whole weight.
            unsafe {
                let dz = dz.rows(s, rows.clone());
                if let Some(dbias) = &mut self.dbias {
                    dbias.add_first(s, dz.ptr, count);
                }
                if let Some(dweight) = &mut self.dweight {
                    let a = a.rows(s, rows.clone());
                    let dweight = dweight.as_mut_ptr();
                    multiply_transposed(s, count, (outputs, dz), (inputs, a), dweight, inputs);
                }
                if let (Some(dx), Some(packed)) = (&mut self.dx, self.packed) {
                    let start = (rows.start - self.rows.start) * inputs;
                    let dx = &mut dx[start..start + count * inputs];
                    let addend = match self.store {
                        Store::Overwrite => Addend::None,
                        Store::Add => Addend::Output,
                    };
                    multiply(s, count, dz, packed, addend, dx.as_mut_ptr(), inputs);
                    let sums = self.sums.as_deref_mut();
                    self.after.add(s, in_layout, rows, dx.as_ptr(), sums);
                }
            }
        }
    }
}

/// The weight gradient of few pixels, its rows split over the threads, each of
/// which reads all pixels: so there are no more parts than threads.
fn weight_gradient_by_rows<R: Rows>(
    cx: Context<'_>,
    shape: PointwiseShape,
    input: R,
    output: OutputGradient<'_>,
    dweight: &mut [f32],
) {
    let inputs = shape.map.channels();
    let dweight = Shared::new(dweight);
    cx.pool
        .parallel_for(shape.outputs, cx.pool.threads(), |_, outputs| {
            // SAFETY: the parts' ranges are disjoint.
            let dweight = unsafe { dweight.part(outputs.start * inputs..outputs.end * inputs) };
            cx.isa.run(WeightRows {
                shape,
                input,
                output,
                outputs,
                dweight,
            });
        });
}

struct WeightRows<'a, R> {
    shape: PointwiseShape,
    input: R,
    output: OutputGradient<'a>,
    outputs: Range<usize>,
    dweight: &'a mut [f32],
}

impl<R: Rows> Kernel for WeightRows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let map = self.shape.map;
        let (rows, inputs) = (map.rows(), map.channels());
        let step = block_rows(inputs, self.shape.outputs);
        let mut a = Block::new(self.input, map.layout(), step);
        let mut dz = Block::new(self.output, self.shape.output_layout(), step);
        let mut row = 0;
        while row < rows {
            let block = row..rows.min(row + step);
            row = block.end;
            let count = block.len();
            // SAFETY: both operands were checked against the shape; `dweight`
            // holds the rows `outputs` of the weight.
            unsafe {
                let a = a.rows(s, block.clone());
                let mut dz = dz.rows(s, block);
                dz.ptr = dz.ptr.add(self.outputs.start);
                let dweight = self.dweight.as_mut_ptr();
                let outputs = self.outputs.len();
                multiply_transposed(s, count, (outputs, dz), (inputs, a), dweight, inputs);
            }
        }
    }
}
