//! Which kernel computes a convolution.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use ssdlite_kernels::Context;
use ssdlite_kernels::train::depthwise::{
    DepthwiseShape, depthwise_backward, depthwise_forward, depthwise_forward_moments,
};
use ssdlite_kernels::train::gradient::ConvGradients;
use ssdlite_kernels::train::map;
use ssdlite_kernels::train::norm::{Moments, NormSums};
use ssdlite_kernels::train::operand::{Input, OutputGradient};
use ssdlite_kernels::train::pointwise::{
    PointwiseShape, pointwise_backward, pointwise_forward, pointwise_forward_moments,
};
use ssdlite_kernels::train::stem::{StemShape, stem_backward, stem_forward, stem_forward_moments};

use super::super::{Convolution, UnitInput};
use super::tensors::{MapSize, fitting};

/// A convolution that there are kernels for.
pub(super) struct Kernel {
    kind: Kind,
    output: MapSize,
}

#[derive(Clone, Copy)]
enum Kind {
    Stem(StemShape),
    Pointwise(PointwiseShape),
    Depthwise(DepthwiseShape),
}

impl Kernel {
    /// None if there is none for this convolution.
    pub(super) fn new(
        input: &UnitInput<Flex>,
        weight: &FloatTensor<Flex>,
        convolution: Convolution,
    ) -> Option<Self> {
        #[cfg(any(test, feature = "default-bodies"))]
        if super::bodies::default_bodies_wanted() {
            return None;
        }
        let (values, is_plain) = match input {
            UnitInput::Plain(values) | UnitInput::Stored(values) => (values, true),
            UnitInput::Pending(map) => (&map.values, false),
        };
        let input = MapSize::of(values);
        let [outputs, depth, kernel, kernel_width] = weight.shape().dims();
        let Convolution {
            stride,
            padding,
            groups,
        } = convolution;
        if kernel != kernel_width || padding != kernel / 2 {
            return None;
        }
        let kind = match (kernel, stride, groups) {
            (1, 1, 1) => Kind::Pointwise(PointwiseShape::new(input.shape(), outputs).ok()?),
            (3, 2, 1) if depth == 3 && is_plain => {
                let size = map::MapSize {
                    height: input.height,
                    width: input.width,
                };
                Kind::Stem(StemShape::new(input.images, size, outputs).ok()?)
            }
            _ if depth == 1 && groups == input.channels && groups == outputs => {
                let input = map::GridShape {
                    images: input.images,
                    height: input.height,
                    width: input.width,
                    channels: input.channels,
                };
                Kind::Depthwise(DepthwiseShape::new(input, kernel, stride).ok()?)
            }
            _ => return None,
        };
        let output = MapSize {
            images: input.images,
            height: input.height.div_ceil(stride),
            width: input.width.div_ceil(stride),
            channels: outputs,
        };
        Some(Self { kind, output })
    }

    pub(super) fn output(&self) -> MapSize {
        self.output
    }

    /// For the one kind that can have a bias.
    pub(super) fn as_pointwise(&self) -> Option<PointwiseShape> {
        match self.kind {
            Kind::Pointwise(shape) => Some(shape),
            _ => None,
        }
    }

    /// Whether it computes its input's gradient.
    pub(super) fn has_input_gradient(&self) -> bool {
        !matches!(self.kind, Kind::Stem(_))
    }

    pub(super) fn forward(
        &self,
        cx: Context<'_>,
        input: Input<'_>,
        weight: &[f32],
        output: &mut [f32],
    ) {
        fitting(match self.kind {
            Kind::Stem(shape) => stem_forward(cx, shape, in_memory(input), weight, output),
            Kind::Pointwise(shape) => pointwise_forward(cx, shape, input, (weight, None), output),
            Kind::Depthwise(shape) => depthwise_forward(cx, shape, input, weight, output),
        });
    }

    pub(super) fn forward_moments(
        &self,
        cx: Context<'_>,
        input: Input<'_>,
        weight: &[f32],
        output: &mut [f32],
    ) -> Moments {
        fitting(match self.kind {
            Kind::Stem(shape) => stem_forward_moments(cx, shape, in_memory(input), weight, output),
            Kind::Pointwise(shape) => pointwise_forward_moments(cx, shape, input, weight, output),
            Kind::Depthwise(shape) => depthwise_forward_moments(cx, shape, input, weight, output),
        })
    }

    /// Writes the gradients that are asked for; the stem has its weight's alone.
    pub(super) fn backward(
        &self,
        cx: Context<'_>,
        input: Input<'_>,
        output: OutputGradient<'_>,
        weight: &[f32],
        gradients: ConvGradients<'_>,
    ) -> Option<NormSums> {
        fitting(match self.kind {
            Kind::Stem(shape) => match gradients.weight {
                Some(gradient) => {
                    stem_backward(cx, shape, in_memory(input), output, gradient).map(|()| None)
                }
                None => Ok(None),
            },
            Kind::Pointwise(shape) => {
                pointwise_backward(cx, shape, input, output, weight, gradients)
            }
            Kind::Depthwise(shape) => {
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
