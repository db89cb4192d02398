//! What a step reads and where it writes the gradient of what it read.

use ssdlite_core::unit::{Conv, ConvKind};
use ssdlite_core::{Activation, MapSize};
use ssdlite_kernels::Context;
use ssdlite_kernels::arena::Slot;
use ssdlite_kernels::train::depthwise::{
    DepthwiseShape, depthwise_backward, depthwise_forward, depthwise_forward_moments,
};
use ssdlite_kernels::train::gradient::{ConvGradients, Epilogue, Store};
use ssdlite_kernels::train::map::{self, MapShape};
use ssdlite_kernels::train::norm::{Affine, Moments, NormSums};
use ssdlite_kernels::train::operand::{Input, Normalised, OutputGradient};
use ssdlite_kernels::train::pointwise::{
    PointwiseShape, pointwise_backward, pointwise_forward, pointwise_forward_moments,
};
use ssdlite_kernels::train::squeeze_excite::Excited;
use ssdlite_kernels::train::stem::{StemShape, stem_backward, stem_forward, stem_forward_moments};

use crate::error::{Error, Result};

/// What a node's forward pass leaves for its readers and its backward pass,
/// besides maps.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Of a unit: the statistics that its output was normalised by.
    pub(super) moments: Option<Moments>,
    /// Of a unit: its batch norm as scale and shift.
    pub(super) affine: Option<Affine>,
    /// Of a unit: the sums of its batch norm's backward pass, where its reader
    /// gathers them.
    pub(super) sums: Option<NormSums>,
    /// Of a squeeze-and-excite: its factors and what their gradient needs.
    pub(super) excited: Option<Excited>,
    /// Of a squeeze-and-excite: the gradient of its factors, gathered by its
    /// reader, `[images, channels]`.
    pub(super) factor_gradient: Vec<f32>,
    /// Of a squeeze-and-excite: the gradient that comes through its pooling,
    /// `[images, channels]`.
    pub(super) shift: Vec<f32>,
}

impl State {
    pub(super) fn moments(&self) -> &Moments {
        self.moments
            .as_ref()
            .expect("a unit runs before its readers")
    }

    pub(super) fn affine(&self) -> &Affine {
        self.affine
            .as_ref()
            .expect("a unit runs before its readers")
    }

    pub(super) fn excited(&self) -> &Excited {
        let excited = self.excited.as_ref();
        excited.expect("squeeze-and-excite runs before its reader")
    }
}

/// What a step reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// The images of the batch.
    Pixels,
    /// Values that were stored.
    Stored(Slot),
    /// A unit's result, computed on reading.
    Pending(Pending),
}

/// A unit's result that was not stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// The unit's node.
    pub(super) unit: usize,
    /// The output of its convolution.
    pub(super) z: Slot,
    pub(super) activation: Activation,
    /// The node of the squeeze-and-excite after it, if any.
    pub(super) excite: Option<usize>,
}

impl Source {
    /// The slot that is read, if any.
    pub(super) fn slot(self) -> Option<Slot> {
        match self {
            Self::Pixels => None,
            Self::Stored(slot) => Some(slot),
            Self::Pending(pending) => Some(pending.z),
        }
    }

    /// The kernels' input; `values` are those of the slot.
    pub(super) fn input<'a>(
        self,
        values: &'a [f32],
        pixels: &'a [f32],
        states: &'a [State],
    ) -> Input<'a> {
        match self {
            Self::Pixels => Input::Plain(pixels),
            Self::Stored(_) => Input::Plain(values),
            Self::Pending(pending) => Input::Normalised(pending.normalised(values, states)),
        }
    }
}

impl Pending {
    /// `z` is that of the slot.
    pub(super) fn normalised<'a>(self, z: &'a [f32], states: &'a [State]) -> Normalised<'a> {
        Normalised {
            z,
            affine: states[self.unit].affine(),
            activation: kernel_activation(self.activation),
            image_scale: self.excite.map(|node| &states[node].excited().scale[..]),
        }
    }
}

/// What a convolution's backward pass gathers of its input's gradient.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gather {
    Nothing,
    /// The sums of the batch norm of this unit.
    NormSums(usize),
    /// The gradient of the factors of this squeeze-and-excite.
    Factors(usize),
}

impl Gather {
    /// What the reader of `source` gathers, if it is the only one.
    pub(super) fn of(source: Source) -> Self {
        match source {
            Source::Pending(Pending {
                excite: Some(node), ..
            }) => Self::Factors(node),
            Source::Pending(pending) => Self::NormSums(pending.unit),
            Source::Pixels | Source::Stored(_) => Self::Nothing,
        }
    }

    pub(super) fn epilogue<'a>(self, states: &'a [State], factors: &'a mut [f32]) -> Epilogue<'a> {
        match self {
            Self::Nothing => Epilogue::Nothing,
            Self::NormSums(unit) => Epilogue::NormSums {
                mean: &states[unit].moments().mean,
            },
            Self::Factors(_) => Epilogue::ImageScale(factors),
        }
    }
}

/// Where the gradient of what was read goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) slot: Slot,
    /// Whether others of its readers have written theirs.
    pub(super) store: Store,
    /// Where it is written before it is added, by an operation that can't add.
    pub(super) part: Option<Slot>,
}

impl Target {
    /// Where the gradient is written.
    pub(super) fn written(self) -> Slot {
        self.part.unwrap_or(self.slot)
    }
}

/// A convolution's kernel with its shape.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kernel {
    Stem(StemShape),
    Pointwise(PointwiseShape),
    Depthwise(DepthwiseShape),
}

impl Kernel {
    /// The kernel for a convolution of `images` maps of this size.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if there is none, or the map is too large.
    pub(super) fn new(conv: Conv, images: usize, input: MapSize) -> Result<Self> {
        let unsupported =
            |error: ssdlite_kernels::Error| Error::Unsupported(format!("{conv:?}: {error}"));
        let size = map::MapSize {
            height: input.height,
            width: input.width,
        };
        let kernel = match conv.kind {
            ConvKind::Full if (conv.in_channels, conv.kernel, conv.stride) == (3, 3, 2) => {
                StemShape::new(images, size, conv.out_channels).map(Self::Stem)
            }
            ConvKind::Full => {
                return Err(Error::Unsupported(format!(
                    "{conv:?}: expected a dense convolution to be 3x3 of stride 2 on RGB"
                )));
            }
            ConvKind::Depthwise => {
                let input = map::GridShape {
                    images,
                    height: input.height,
                    width: input.width,
                    channels: conv.in_channels,
                };
                DepthwiseShape::new(input, conv.kernel, conv.stride).map(Self::Depthwise)
            }
            ConvKind::Pointwise => MapShape::new(images, input.cells(), conv.in_channels)
                .and_then(|map| PointwiseShape::new(map, conv.out_channels))
                .map(Self::Pointwise),
        };
        kernel.map_err(unsupported)
    }

    pub(super) fn forward(self, cx: Context<'_>, input: Input<'_>, weight: &[f32], z: &mut [f32]) {
        fitting(match self {
            Self::Stem(shape) => stem_forward(cx, shape, in_memory(input), weight, z),
            Self::Pointwise(shape) => pointwise_forward(cx, shape, input, (weight, None), z),
            Self::Depthwise(shape) => depthwise_forward(cx, shape, input, weight, z),
        });
    }

    pub(super) fn forward_moments(
        self,
        cx: Context<'_>,
        input: Input<'_>,
        weight: &[f32],
        z: &mut [f32],
    ) -> Moments {
        fitting(match self {
            Self::Stem(shape) => stem_forward_moments(cx, shape, in_memory(input), weight, z),
            Self::Pointwise(shape) => pointwise_forward_moments(cx, shape, input, weight, z),
            Self::Depthwise(shape) => depthwise_forward_moments(cx, shape, input, weight, z),
        })
    }

    /// Writes the gradients that are asked for; the stem has its weight's alone.
    pub(super) fn backward(
        self,
        cx: Context<'_>,
        input: Input<'_>,
        output: OutputGradient<'_>,
        weight: &[f32],
        gradients: ConvGradients<'_>,
    ) -> Option<NormSums> {
        fitting(match self {
            Self::Stem(shape) => match gradients.weight {
                Some(gradient) => {
                    stem_backward(cx, shape, in_memory(input), output, gradient).map(|()| None)
                }
                None => Ok(None),
            },
            Self::Pointwise(shape) => {
                pointwise_backward(cx, shape, input, output, weight, gradients)
            }
            Self::Depthwise(shape) => {
                depthwise_backward(cx, shape, input, output, weight, gradients)
            }
        })
    }
}

/// The numbers of an input that is plain, as the stem's is.
fn in_memory(input: Input<'_>) -> &[f32] {
    match input {
        Input::Plain(values) => values,
        Input::Normalised(input) => input.z,
    }
}

/// What a kernel returned for lengths that the plan has laid out.
pub(super) fn fitting<T>(outcome: std::result::Result<T, ssdlite_kernels::Error>) -> T {
    outcome.expect("the plan's slots have the lengths of its shapes")
}

/// The kernels' name of an activation.
pub(super) fn kernel_activation(activation: Activation) -> ssdlite_kernels::Activation {
    match activation {
        Activation::Identity => ssdlite_kernels::Activation::None,
        Activation::Relu => ssdlite_kernels::Activation::Relu,
        Activation::Relu6 => ssdlite_kernels::Activation::Relu6,
        Activation::HardSwish => ssdlite_kernels::Activation::HardSwish,
    }
}
