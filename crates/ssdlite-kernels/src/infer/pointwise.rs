//! 1x1 convolutions on maps.

use super::map::{MapMut, MapRef, MapShape, View};
use super::packed::Pointwise;
use super::product::{self, Matrix, Product, RowBreaks, Target};
use super::{Output, share};
use crate::Context;
use crate::activation::Activation;
use crate::cache::Caches;
use crate::isa::{Kernel, Simd};
use crate::memory::{BLOCK, Block};
use crate::pool::split;
use std::ops::Range;

/// Blocks of weights that stay in the first-level cache beside the pixels.
fn cached_blocks() -> usize {
    Caches::of_this_machine().first / 2 / size_of::<Block>()
}

/// Said of a residual that an output in rows would leave out.
pub(super) const RESIDUAL_OF_ROWS: &str = "expected no residual with an output in rows";

/// What a 1x1 convolution reads.
#[derive(Debug)]
pub enum Input<'a> {
    /// A map.
    Map(MapRef<'a>),
    /// A map whose channels count `scale` times. The map may be left scaled or
    /// unscaled.
    Scaled {
        /// The map.
        map: MapMut<'a>,
        /// One number a channel.
        scale: &'a [Block],
    },
}

/// Blocks of scratch that [`pointwise`] needs for a scaled input.
pub fn pointwise_scratch(context: Context<'_>, layer: &Pointwise) -> usize {
    context.pool.threads() * layer.weights.len()
}

/// `output = activation(weights * input + bias + residual)`, pixel by pixel.
///
/// `scratch` is used for a scaled input only: see [`pointwise_scratch`].
///
/// # Panics
/// If the shapes don't fit each other, or for an activation or a residual with
/// an output in rows.
pub fn pointwise(
    context: Context<'_>,
    layer: &Pointwise,
    input: Input<'_>,
    residual: Option<MapRef<'_>>,
    mut output: Output<'_>,
    scratch: &mut [Block],
) {
    let (shape, view, scale) = match input {
        Input::Map(map) => (map.shape(), map.view(), None),
        Input::Scaled { mut map, scale } => {
            assert_eq!(scale.len(), map.shape().blocks(), "scales");
            (map.shape(), map.view(), Some(scale))
        }
    };
    assert_eq!(shape.channels, layer.in_channels, "input channels");
    let residual = residual.map(|map| {
        assert_eq!(map.shape().channels, layer.out_channels, "residual");
        assert_same_size(shape, map.shape());
        map.view()
    });
    assert!(
        residual.is_none() || output.takes_residual(),
        "{RESIDUAL_OF_ROWS}"
    );
    let target = OutputView::new(layer, shape, &mut output);
    let contiguous = view.padding == 0 && residual.is_none_or(|residual| residual.padding == 0);
    let (rows, width) = if contiguous {
        (1, shape.pixels())
    } else {
        (shape.height, shape.width)
    };
    let work = Work {
        context,
        layer,
        view,
        residual,
        target,
    };
    for y in 0..shape.height {
        // SAFETY: no thread writes yet.
        unsafe { target.clear_padding(y) };
    }
    let macs = shape.pixels() * layer.in_channels * layer.out_channels;
    let threads = context.pool.threads();
    let stride = layer.weights.len();
    let scaling = scale.map(|scale| {
        // Whichever is less to scale. Threads split the pixels, and each scales
        // all weights; but the choice must not depend on their number.
        let by_weights = 2 * layer.out_channels <= shape.pixels();
        assert!(
            !by_weights || scratch.len() >= threads * stride,
            "scratch of {}",
            scratch.len()
        );
        (scale, by_weights)
    });
    let scratch = View::flat(scratch);
    let part = |thread: usize, rows: Range<usize>, columns: Range<usize>| {
        let mut panels_ptr = layer.weights.as_ptr().cast::<f32>();
        match scaling {
            None => {}
            Some((scale, true)) => {
                let copy = scratch.at(0, 0).wrapping_add(thread * stride * BLOCK);
                context.isa.run(ScaleWeights { layer, scale, copy });
                panels_ptr = copy;
            }
            Some((scale, false)) => {
                for y in rows.clone() {
                    for (block, scale) in scale.iter().enumerate() {
                        let ptr = view.at(block, y).wrapping_add(columns.start * BLOCK);
                        let pixels = columns.len();
                        context.isa.run(ScaleRow { ptr, pixels, scale });
                    }
                }
            }
        }
        work.run(panels_ptr, rows, columns, 0..layer.panels());
    };
    if contiguous {
        let by_pixels = scale.is_some() || width >= threads * 2 * BLOCK;
        if by_pixels {
            share(context, macs, width, |thread, columns| {
                part(thread, 0..1, columns);
            });
        } else {
            let pairs = layer.panels().div_ceil(2);
            share(context, macs, pairs, |_, pairs| {
                let panels = 2 * pairs.start..(2 * pairs.end).min(layer.panels());
                let panels_ptr = layer.weights.as_ptr().cast();
                work.run(panels_ptr, 0..1, 0..width, panels);
            });
        }
    } else {
        share(context, macs, rows, |thread, rows| {
            part(thread, rows, 0..width);
        });
    }
}

#[track_caller]
fn assert_same_size(a: MapShape, b: MapShape) {
    assert_eq!((a.height, a.width), (b.height, b.width), "sizes of maps");
}

/// An output that threads share.
#[derive(Clone, Copy)]
pub(super) enum OutputView<'a> {
    Map(View<'a>, usize),
    Rows {
        view: View<'a>,
        width: usize,
        channels: usize,
    },
}

impl<'a> OutputView<'a> {
    /// The view of the output of `layer` for maps of the size of `shape`.
    pub(super) fn new(layer: &Pointwise, shape: MapShape, output: &mut Output<'a>) -> Self {
        match output {
            Output::Map(map) => {
                assert_eq!(map.shape().channels, layer.out_channels, "output");
                assert_same_size(shape, map.shape());
                Self::Map(map.view(), map.shape().blocks())
            }
            Output::Rows(rows) => {
                let channels = layer.out_channels;
                let len = shape.pixels().checked_mul(channels);
                assert_eq!(Some(rows.len()), len, "output");
                assert_eq!(layer.activation, Activation::None, "activation of rows");
                Self::Rows {
                    view: View::new(
                        MapShape {
                            padding: 0,
                            ..shape
                        },
                        rows.as_mut_ptr(),
                    ),
                    width: shape.width,
                    channels,
                }
            }
        }
    }

    /// The target of a run of pixels that begins at row `y`, column `x`, counted
    /// on into the next rows.
    pub(super) fn target(&self, residual: Option<View<'_>>, y: usize, x: usize) -> Target {
        match *self {
            Self::Map(view, _) => Target::Blocks {
                ptr: view
                    .at(0, y + x / view.width)
                    .wrapping_add(x % view.width * BLOCK),
                block: view.block,
                rows: RowBreaks {
                    column: x % view.width,
                    width: view.width,
                    gap: 2 * view.padding,
                },
                residual: residual.map(|residual| {
                    let ptr = residual.at(0, y).wrapping_add(x * BLOCK);
                    (ptr.cast_const(), residual.block)
                }),
            },
            Self::Rows {
                view,
                width,
                channels,
            } => Target::Rows {
                ptr: view.ptr.wrapping_add((y * width + x) * channels),
                channels,
            },
        }
    }

    /// Zeros the padding of row `y`.
    ///
    /// # Safety
    /// Nobody else may use the row.
    pub(super) unsafe fn clear_padding(&self, y: usize) {
        if let Self::Map(view, blocks) = *self
            && view.padding > 0
        {
            for block in 0..blocks {
                // SAFETY: promised by the caller.
                unsafe { view.clear_padding(block, y) };
            }
        }
    }
}

struct Work<'a> {
    context: Context<'a>,
    layer: &'a Pointwise,
    view: View<'a>,
    residual: Option<View<'a>>,
    target: OutputView<'a>,
}

impl Work<'_> {
    /// All panels of `panels` for the columns of each of the rows. Weights
    /// that don't fit the first-level cache are taken a few panels at a time.
    fn run(
        &self,
        panels_ptr: *const f32,
        rows: Range<usize>,
        columns: Range<usize>,
        panels: Range<usize>,
    ) {
        let layer = self.layer;
        let cached_blocks = cached_blocks();
        let cached = cached_blocks / layer.in_channels;
        if panels.len() <= cached {
            // All weights stay in the cache, so the pixels stream.
            let strip = (cached_blocks * BLOCK / layer.in_channels).max(4 * BLOCK);
            let strips = columns.len().div_ceil(strip);
            for y in rows {
                for strip in 0..strips {
                    let strip = split(columns.len(), strips, strip);
                    let columns = columns.start + strip.start..columns.start + strip.end;
                    self.product(panels_ptr, y, columns, panels.clone());
                }
            }
            return;
        }
        let mut first = panels.start;
        while first < panels.end {
            let lanes = self.context.isa.lanes();
            let chunk = product::group(lanes, panels.end - first);
            for y in rows.clone() {
                self.product(panels_ptr, y, columns.clone(), first..first + chunk);
            }
            first += chunk;
        }
    }

    fn product(
        &self,
        panels_ptr: *const f32,
        y: usize,
        columns: Range<usize>,
        panels: Range<usize>,
    ) {
        self.context.isa.run(Product::<BLOCK> {
            weights: self.layer,
            panels_ptr,
            first_panel: panels.start,
            panels: panels.len(),
            input: Matrix {
                ptr: self.view.at(0, y).wrapping_add(columns.start * BLOCK),
                segment_len: BLOCK,
                segment: self.view.block,
            },
            pixels: columns.len(),
            target: self.target.target(self.residual, y, columns.start),
        });
    }
}

/// # Safety
/// To be run only while nobody else uses the pixels.
struct ScaleRow<'a> {
    ptr: *mut f32,
    pixels: usize,
    scale: &'a Block,
}

impl Kernel for ScaleRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for pixel in 0..self.pixels {
            let mut lane = 0;
            while lane < BLOCK {
                // SAFETY: promised by the maker.
                unsafe {
                    let scale = s.load(self.scale.0.as_ptr().add(lane));
                    let ptr = self.ptr.add(pixel * BLOCK + lane);
                    s.store(ptr, s.mul(s.load(ptr), scale));
                }
                lane += S::LANES;
            }
        }
    }
}

/// # Safety
/// To be run only while `copy` has room for the weights and nobody else uses it.
struct ScaleWeights<'a> {
    layer: &'a Pointwise,
    scale: &'a [Block],
    copy: *mut f32,
}

impl Kernel for ScaleWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let inputs = self.layer.in_channels;
        for (row, weights) in self.layer.weights.iter().enumerate() {
            let input = row % inputs;
            let scale = s.splat(self.scale[input / BLOCK].0[input % BLOCK]);
            let mut lane = 0;
            while lane < BLOCK {
                // SAFETY: promised by the maker.
                unsafe {
                    let x = s.load(weights.0.as_ptr().add(lane));
                    s.store(self.copy.add(row * BLOCK + lane), s.mul(x, scale));
                }
                lane += S::LANES;
            }
        }
    }
}
