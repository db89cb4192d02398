//! Batch norm in training mode, fused with the activation after it.
//!
//! Forward: the convolution that writes `z` gathers its [`Moments`]; from these
//! and the parameters comes an [`Affine`], which the next convolution applies
//! on reading ([`Normalised`]) or [`normalise`] applies into memory.
//!
//! Backward, with `u = z * scale + shift`, `xhat = (z - mean) / sigma` and
//! `du = activation'(u) * dy` (Ioffe and Szegedy, arXiv 1502.03167, section 3):
//!
//! ```text
//! dbeta  = sum du
//! dgamma = sum du * xhat
//! dz     = gamma / sigma * (du - dbeta / count - xhat * dgamma / count)
//! ```
//!
//! [`norm_backward_sums`] is the first pass; the second, linear in `du` and
//! `z`, is done by the convolution's backward pass on reading
//! ([`NormBackward`]) or by [`norm_backward`] in memory.

use std::ops::Range;

use super::accumulate::Add;
use super::map::MapShape;
use super::operand::{
    ExciteGradient, Input, Layout, NormBackward, Normalised, Place, Rows, for_runs,
};
use super::sums::{ChannelSums, MomentSums, PerPart, combine_sums, sum_run};
use crate::Context;
use crate::activation::{Activation, Function, for_activation};
use crate::error::{Error, check_len};
use crate::isa::{Kernel, Simd};
use crate::memory::Shared;
use crate::width::{for_groups, load_group, store_group};

pub use super::statistics::{Affine, Moments, NormGradient, NormSums};

/// Numbers in the blocks that the element-wise passes hand out to threads.
const GRAIN: usize = 16 * 1024;

/// What batch norm's first backward pass reads beside `dy` and `z`.
#[derive(Clone, Copy, Debug)]
pub struct NormContext<'a> {
    /// Batch norm's scale and shift per channel.
    pub affine: &'a Affine,
    /// The mean of `z`.
    pub mean: &'a [f32],
    /// The activation after batch norm.
    pub activation: Activation,
}

impl NormContext<'_> {
    pub(crate) fn check(&self, channels: usize) -> Result<(), Error> {
        self.affine.check(channels)?;
        check_len("mean", self.mean, channels)
    }

    /// Adds to `sums` those of `rows`; `dy` and `z` point at the first of them.
    ///
    /// # Safety
    /// `z` and `dy` must be valid for reads of the rows, the vectors have been
    /// checked against `layout.channels`, and the excite vectors hold the
    /// images of the rows.
    #[inline(always)]
    pub(crate) unsafe fn add_sums<S: Simd>(
        &self,
        s: S,
        layout: Layout,
        rows: Range<usize>,
        (dy, z): (*const f32, *const f32),
        excite: Option<ExciteGradient<'_>>,
        sums: &mut ChannelSums,
    ) {
        s.run(AddNormSums {
            norm: *self,
            layout,
            rows,
            dy,
            z,
            excite,
            sums,
        });
    }
}

/// [`NormContext::add_sums`], whose conditions hold.
struct AddNormSums<'a> {
    norm: NormContext<'a>,
    layout: Layout,
    rows: Range<usize>,
    dy: *const f32,
    z: *const f32,
    excite: Option<ExciteGradient<'a>>,
    sums: &'a mut ChannelSums,
}

impl Kernel for AddNormSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self {
            norm,
            layout,
            rows,
            dy,
            z,
            excite,
            sums,
        } = self;
        for_activation!(norm.activation, F => {
            // SAFETY: who made this has checked the conditions.
            unsafe { add_norm_sums::<S, F>(s, &norm, layout, rows, (dy, z), excite, sums) }
        });
    }
}

/// # Safety
/// As [`NormContext::add_sums`].
#[inline(always)]
unsafe fn add_norm_sums<S: Simd, F: Function>(
    s: S,
    norm: &NormContext<'_>,
    layout: Layout,
    rows: Range<usize>,
    (dy, z): (*const f32, *const f32),
    excite: Option<ExciteGradient<'_>>,
    sums: &mut ChannelSums,
) {
    let c = layout.channels;
    let (scale, shift) = norm.affine.pointers();
    let start = rows.start;
    for_runs!(layout, rows, sum_run(c), |run, image| {
        let (first, second) = sums.before_adding(run.len());
        let excite = excite.map(|excite| {
            let start = image * c;
            (
                excite.scale[start..start + c].as_ptr(),
                excite.shift[start..start + c].as_ptr(),
            )
        });
        for_groups!(S, c, |i, width, G| {
            // SAFETY: rows are the caller's promise, the vectors per channel
            // hold `c` numbers.
            unsafe {
                let (first, second) = (first.add(i), second.add(i));
                let scale: [_; G] = load_group(s, width, scale.add(i));
                let shift: [_; G] = load_group(s, width, shift.add(i));
                let mean: [_; G] = load_group(s, width, norm.mean.as_ptr().add(i));
                let mut a: [_; G] = load_group(s, width, first);
                let mut b: [_; G] = load_group(s, width, second);
                for row in run.clone() {
                    let at = (row - start) * c + i;
                    let z: [_; G] = load_group(s, width, z.add(at));
                    let mut dy: [_; G] = load_group(s, width, dy.add(at));
                    if let Some((factor, through)) = excite {
                        let factor: [_; G] = load_group(s, width, factor.add(i));
                        let through: [_; G] = load_group(s, width, through.add(i));
                        for v in 0..G {
                            dy[v] = s.mul_add(dy[v], factor[v], through[v]);
                        }
                    }
                    for v in 0..G {
                        let du = F::backward(s, s.mul_add(z[v], scale[v], shift[v]), dy[v]);
                        a[v] = s.add(a[v], du);
                        b[v] = s.mul_add(du, s.sub(z[v], mean[v]), b[v]);
                    }
                }
                store_group(s, width, first, a);
                store_group(s, width, second, b);
            }
        })
    });
}

/// Rows per block of a pass that hands out blocks of about [`GRAIN`] numbers.
fn block_rows(channels: usize) -> usize {
    (GRAIN / channels).max(1)
}

/// The moments of each channel of `z`, `[rows, channels]`.
///
/// # Errors
/// If the length of `z` isn't that of the shape.
pub fn moments(cx: Context<'_>, shape: MapShape, z: &[f32]) -> Result<Moments, Error> {
    check_len("z", z, shape.size())?;
    let parts = PerPart::new(cx.pool.parts());
    cx.pool
        .parallel_for(shape.rows(), cx.pool.parts(), |part, rows| {
            let mut sums = MomentSums::new(shape.channels());
            cx.isa.run(MomentsOfRows {
                z: &z[rows.start * shape.channels()..rows.end * shape.channels()],
                sums: &mut sums,
            });
            parts.set(part, sums);
        });
    Ok(MomentSums::combine(parts.into_parts(), shape.channels()))
}

struct MomentsOfRows<'a> {
    z: &'a [f32],
    sums: &'a mut MomentSums,
}

impl Kernel for MomentsOfRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.z.len() / self.sums.shift.len();
        // SAFETY: the slice holds the rows.
        unsafe { self.sums.add(s, self.z.as_ptr(), rows) };
    }
}

/// Writes `y = activation(batch norm(z))`, plus `residual` where given.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn normalise(
    cx: Context<'_>,
    shape: MapShape,
    input: Normalised<'_>,
    residual: Option<&[f32]>,
    y: &mut [f32],
) -> Result<(), Error> {
    let input = Input::Normalised(input);
    input.check(shape.images(), shape.layout())?;
    check_len("y", y, shape.size())?;
    if let Some(residual) = residual {
        check_len("residual", residual, shape.size())?;
    }
    write_rows(cx, shape, input, residual, y);
    Ok(())
}

/// Turns `dy` into `dz`, in place: the second pass of batch norm's backward.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn norm_backward(
    cx: Context<'_>,
    shape: MapShape,
    norm: NormBackward<'_>,
    dy: &mut [f32],
) -> Result<(), Error> {
    norm.check(shape.images(), shape.layout())?;
    check_len("dy", dy, shape.size())?;
    let dy = Shared::new(dy);
    cx.pool
        .parallel_for(shape.rows(), cx.pool.parts(), |_, rows| {
            let c = shape.channels();
            // SAFETY: the parts' ranges are disjoint.
            let dy = unsafe { dy.part(rows.start * c..rows.end * c) };
            cx.isa.run(NormBackwardRows {
                layout: shape.layout(),
                norm,
                rows,
                dy,
            });
        });
    Ok(())
}

struct NormBackwardRows<'a> {
    layout: Layout,
    norm: NormBackward<'a>,
    rows: Range<usize>,
    dy: &'a mut [f32],
}

impl Kernel for NormBackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let dy = self.dy.as_mut_ptr();
        let place = Place::rows::<S>(self.layout.channels);
        // SAFETY: `z` was checked, `dy` holds the rows, one after the other.
        unsafe { self.norm.fill(s, self.layout, self.rows, dy, (dy, place)) };
    }
}

fn write_rows<R: Rows>(
    cx: Context<'_>,
    shape: MapShape,
    input: R,
    residual: Option<&[f32]>,
    output: &mut [f32],
) {
    let output = Shared::new(output);
    cx.pool
        .parallel_for(shape.rows(), cx.pool.parts(), |_, rows| {
            let c = shape.channels();
            // SAFETY: the parts' ranges are disjoint.
            let output = unsafe { output.part(rows.start * c..rows.end * c) };
            cx.isa.run(WriteRows {
                layout: shape.layout(),
                input,
                rows,
                residual,
                output,
            });
        });
}

struct WriteRows<'a, R> {
    layout: Layout,
    input: R,
    rows: Range<usize>,
    residual: Option<&'a [f32]>,
    output: &'a mut [f32],
}

impl<R: Rows> Kernel for WriteRows<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let c = self.layout.channels;
        let step = block_rows(c);
        let mut row = self.rows.start;
        while row < self.rows.end {
            let block = row..self.rows.end.min(row + step);
            let start = (row - self.rows.start) * c;
            let output = &mut self.output[start..start + block.len() * c];
            row = block.end;
            // SAFETY: the lengths were checked; `output` holds the block.
            unsafe {
                let place = Place::rows::<S>(c);
                self.input
                    .fill(s, self.layout, block.clone(), output.as_mut_ptr(), place);
            }
            if let Some(residual) = self.residual {
                s.run(Add {
                    y: output,
                    x: &residual[block.start * c..block.end * c],
                });
            }
        }
    }
}

/// The first pass of batch norm's backward: sums over `dy`, the gradient of
/// the activation's output, and `z`, the convolution's output.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn norm_backward_sums(
    cx: Context<'_>,
    shape: MapShape,
    norm: NormContext<'_>,
    (dy, z): (&[f32], &[f32]),
    excite: Option<ExciteGradient<'_>>,
) -> Result<NormSums, Error> {
    check_len("dy", dy, shape.size())?;
    check_len("z", z, shape.size())?;
    norm.check(shape.channels())?;
    if let Some(excite) = excite {
        excite.check(shape.images(), shape.channels())?;
    }
    let parts = PerPart::new(cx.pool.parts());
    cx.pool
        .parallel_for(shape.rows(), cx.pool.parts(), |part, rows| {
            let mut sums = ChannelSums::new(shape.channels());
            cx.isa.run(NormSumsOfRows {
                layout: shape.layout(),
                norm,
                dy,
                z,
                excite,
                rows,
                sums: &mut sums,
            });
            parts.set(part, sums);
        });
    Ok(combine_sums(parts.into_parts(), shape.channels()))
}

struct NormSumsOfRows<'a> {
    layout: Layout,
    norm: NormContext<'a>,
    dy: &'a [f32],
    z: &'a [f32],
    excite: Option<ExciteGradient<'a>>,
    rows: Range<usize>,
    sums: &'a mut ChannelSums,
}

impl Kernel for NormSumsOfRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let start = self.rows.start * self.layout.channels;
        let pointers = (self.dy[start..].as_ptr(), self.z[start..].as_ptr());
        // SAFETY: the lengths were checked against the shape.
        unsafe {
            self.norm
                .add_sums(s, self.layout, self.rows, pointers, self.excite, self.sums);
        }
    }
}
