//! Squeeze-and-excite as in MobileNetV3: average over the pixels, two linear
//! layers with ReLU between them, hard sigmoid, a factor per image and channel.
//!
//! The pooling reads what the factors scale, the factors are applied by the
//! convolution that follows
//! ([`Normalised::image_scale`](super::operand::Normalised)).

use std::ops::Range;

use super::gradient::{ConvGradients, InputGradient};
use super::map::MapShape;
use super::operand::{Input, Layout, OutputGradient, Place, Rows};
use super::pointwise::{PointwiseShape, pointwise_backward, pointwise_forward};
use crate::Context;
use crate::error::{Error, check_len};
use crate::isa::{Kernel, Simd};
use crate::memory::{Scratch, Shared};
use crate::width::{Width, for_vectors};

/// Rows that the pooling computes at a time.
const POOL_ROWS: usize = 16;

/// The average over the pixels of each image, `[images, channels]`.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn average_pool(
    cx: Context<'_>,
    shape: MapShape,
    input: Input<'_>,
    pooled: &mut [f32],
) -> Result<(), Error> {
    input.check(shape.images(), shape.layout())?;
    let c = shape.channels();
    check_len("pooled", pooled, shape.images() * c)?;
    let pooled = Shared::new(pooled);
    cx.pool
        .parallel_for(shape.images(), cx.pool.parts(), |_, images| {
            // SAFETY: the parts' ranges are disjoint.
            let pooled = unsafe { pooled.part(images.start * c..images.end * c) };
            cx.isa.run(Pool {
                layout: shape.layout(),
                input,
                images,
                pooled,
            });
        });
    Ok(())
}

struct Pool<'a> {
    layout: Layout,
    input: Input<'a>,
    images: Range<usize>,
    pooled: &'a mut [f32],
}

impl Kernel for Pool<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Layout { channels, pixels } = self.layout;
        let mut block = Scratch::take(POOL_ROWS * channels);
        let factor = s.splat(1.0 / pixels as f32);
        for (image, pooled) in self.images.zip(self.pooled.chunks_exact_mut(channels)) {
            pooled.fill(0.0);
            for first in (0..pixels).step_by(POOL_ROWS) {
                let count = POOL_ROWS.min(pixels - first);
                let rows = image * pixels + first..image * pixels + first + count;
                let block = block.as_mut_ptr();
                let place = Place::rows::<S>(channels);
                // SAFETY: the input was checked, the block holds the rows.
                unsafe { self.input.fill(s, self.layout, rows, block, place) };
                for_vectors!(S, channels, |i, width| {
                    // SAFETY: channel `i` of the block's rows and of `pooled`.
                    unsafe {
                        let total = pooled.as_mut_ptr().add(i);
                        let mut sum = width.load(s, total);
                        for row in 0..count {
                            sum = s.add(sum, width.load(s, block.add(row * channels + i)));
                        }
                        width.store(s, total, sum);
                    }
                });
            }
            for_vectors!(S, channels, |i, width| {
                // SAFETY: channel `i` of `pooled`.
                unsafe {
                    let total = pooled.as_mut_ptr().add(i);
                    width.store(s, total, s.mul(width.load(s, total), factor));
                }
            });
        }
    }
}

/// The gradient of [`average_pool`]'s input: each pixel gets its share.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn average_pool_backward(
    cx: Context<'_>,
    shape: MapShape,
    dpooled: &[f32],
    dx: &mut [f32],
) -> Result<(), Error> {
    let (c, image_len) = (shape.channels(), shape.pixels() * shape.channels());
    check_len("pooled gradient", dpooled, shape.images() * c)?;
    check_len("input gradient", dx, shape.size())?;
    let share = 1.0 / shape.pixels() as f32;
    let dx = Shared::new(dx);
    cx.pool
        .parallel_for(shape.images(), cx.pool.parts(), |_, images| {
            // SAFETY: the parts' ranges are disjoint.
            let dx = unsafe { dx.part(images.start * image_len..images.end * image_len) };
            let dpooled = &dpooled[images.start * c..images.end * c];
            for (dx, dpooled) in dx.chunks_exact_mut(image_len).zip(dpooled.chunks_exact(c)) {
                let (first, others) = dx.split_at_mut(c);
                for (dx, dpooled) in first.iter_mut().zip(dpooled) {
                    *dx = dpooled * share;
                }
                for pixel in others.chunks_exact_mut(c) {
                    pixel.copy_from_slice(first);
                }
            }
        });
    Ok(())
}

/// The parameters of both linear layers.
#[derive(Clone, Copy, Debug)]
pub struct Excite<'a> {
    /// `[squeezed, channels]`
    pub squeeze: &'a [f32],
    /// `[squeezed]`
    pub squeeze_bias: &'a [f32],
    /// `[channels, squeezed]`
    pub expand: &'a [f32],
    /// `[channels]`
    pub expand_bias: &'a [f32],
}

/// What the forward pass computes and the backward pass needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Excited {
    /// The averages, `[images, channels]`.
    pub pooled: Vec<f32>,
    /// After ReLU, `[images, squeezed]`.
    pub hidden: Vec<f32>,
    /// The factors, `[images, channels]`.
    pub scale: Vec<f32>,
}

/// The gradients of [`Excite`]'s parameters, and of the pooling's input.
#[derive(Clone, Debug, PartialEq)]
pub struct ExciteGradients {
    /// `[squeezed, channels]`
    pub squeeze: Vec<f32>,
    /// `[squeezed]`
    pub squeeze_bias: Vec<f32>,
    /// `[channels, squeezed]`
    pub expand: Vec<f32>,
    /// `[channels]`
    pub expand_bias: Vec<f32>,
    /// What every pixel of an image gets through the pooling,
    /// `[images, channels]`: the shift of
    /// [`ExciteGradient`](super::operand::ExciteGradient).
    pub shift: Vec<f32>,
}

struct Shapes {
    squeeze: PointwiseShape,
    expand: PointwiseShape,
}

impl Excite<'_> {
    fn shapes(&self, map: MapShape) -> Result<Shapes, Error> {
        let squeezed = self.squeeze_bias.len();
        Ok(Shapes {
            squeeze: PointwiseShape::new(
                MapShape::new(map.images(), 1, map.channels())?,
                squeezed,
            )?,
            expand: PointwiseShape::new(MapShape::new(map.images(), 1, squeezed)?, map.channels())?,
        })
    }
}

/// The factors for `input`, a map of shape `shape`.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn excite_forward(
    cx: Context<'_>,
    shape: MapShape,
    input: Input<'_>,
    excite: Excite<'_>,
) -> Result<Excited, Error> {
    let shapes = excite.shapes(shape)?;
    let mut pooled = vec![0.0; shape.images() * shape.channels()];
    average_pool(cx, shape, input, &mut pooled)?;

    let mut hidden = vec![0.0; shapes.squeeze.output_size()];
    let squeeze = (excite.squeeze, Some(excite.squeeze_bias));
    pointwise_forward(
        cx,
        shapes.squeeze,
        Input::Plain(&pooled),
        squeeze,
        &mut hidden,
    )?;
    for x in &mut hidden {
        // Not `max`, which would turn NaN into 0.
        if *x < 0.0 {
            *x = 0.0;
        }
    }

    let mut scale = vec![0.0; shapes.expand.output_size()];
    let expand = (excite.expand, Some(excite.expand_bias));
    pointwise_forward(cx, shapes.expand, Input::Plain(&hidden), expand, &mut scale)?;
    for x in &mut scale {
        *x = (*x / 6.0 + 0.5).clamp(0.0, 1.0);
    }
    Ok(Excited {
        pooled,
        hidden,
        scale,
    })
}

/// The gradients, given that of the factors, `[images, channels]`.
///
/// # Errors
/// If a length isn't that of the shape.
pub fn excite_backward(
    cx: Context<'_>,
    shape: MapShape,
    excite: Excite<'_>,
    excited: &Excited,
    dscale: &[f32],
) -> Result<ExciteGradients, Error> {
    let shapes = excite.shapes(shape)?;
    check_len("scale gradient", dscale, shapes.expand.output_size())?;
    check_len("scale", &excited.scale, dscale.len())?;
    let mut gradients = ExciteGradients {
        squeeze: vec![0.0; shapes.squeeze.weight_size()],
        squeeze_bias: vec![0.0; shapes.squeeze.outputs()],
        expand: vec![0.0; shapes.expand.weight_size()],
        expand_bias: vec![0.0; shapes.expand.outputs()],
        shift: vec![0.0; dscale.len()],
    };
    // Between its ends the hard sigmoid's slope is 1/6. A NaN is at neither
    // end, lest its gradient vanish.
    let before_sigmoid: Vec<f32> = dscale
        .iter()
        .zip(&excited.scale)
        .map(|(&dscale, &scale)| {
            if scale <= 0.0 || scale >= 1.0 {
                0.0
            } else {
                dscale / 6.0
            }
        })
        .collect();
    let mut dhidden = vec![0.0; excited.hidden.len()];
    pointwise_backward(
        cx,
        shapes.expand,
        Input::Plain(&excited.hidden),
        OutputGradient::Plain(&before_sigmoid),
        excite.expand,
        ConvGradients {
            input: Some(InputGradient::alone(&mut dhidden)),
            weight: Some(&mut gradients.expand),
            bias: Some(&mut gradients.expand_bias),
        },
    )?;
    for (dhidden, &hidden) in dhidden.iter_mut().zip(&excited.hidden) {
        if hidden <= 0.0 {
            *dhidden = 0.0;
        }
    }
    pointwise_backward(
        cx,
        shapes.squeeze,
        Input::Plain(&excited.pooled),
        OutputGradient::Plain(&dhidden),
        excite.squeeze,
        ConvGradients {
            input: Some(InputGradient::alone(&mut gradients.shift)),
            weight: Some(&mut gradients.squeeze),
            bias: Some(&mut gradients.squeeze_bias),
        },
    )?;
    let share = 1.0 / shape.pixels() as f32;
    for shift in &mut gradients.shift {
        *shift *= share;
    }
    Ok(gradients)
}
