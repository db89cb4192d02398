//! The operations that both networks consist of, as an extension of Burn's
//! backends.
//!
//! A unit (convolution, batch norm, activation, sometimes
//! squeeze-and-excitation) does not write its result. It hands over the
//! convolution's raw output together with what makes the result of it, and
//! whoever reads that ([`UnitInput`]) computes the result on the way. So a
//! training step keeps one map for each convolution, not a second and third
//! one for the normalised and the activated values.
//!
//! In the graph of autodiff the raw output stands for the result: its gradient
//! is the *result's* gradient, which its readers add up, and the unit's own
//! backward pass takes it through gate, activation and batch norm. Therefore a
//! [`FeatureMap`] shows its raw values to nobody outside of this module.
//!
//! - [`NetworkOps`]: the forward operations, routed by Burn's dispatch. The
//!   default bodies are made of Burn's primitives, serve every GPU backend and
//!   define what any other implementation has to compute.
//! - [`NetworkGradients`]: the backward operations, on the backend below
//!   autodiff, again with default bodies.
//! - The implementation for `Autodiff` keeps what the backward pass needs and
//!   calls [`NetworkGradients`]; it is the same for every backend.
//!
//! Batch normalisation: arXiv 1502.03167. Squeeze-and-excitation: arXiv
//! 1709.01507, with the gates of MobileNetV3 (arXiv 1905.02244, section 5.3).

mod autodiff;
mod feature_map;
mod flex;
mod gradients;
mod primitives;
#[cfg(test)]
mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, Shape, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;
pub use ssdlite_core::Activation;

pub use feature_map::{ExcitationTensors, FeatureMap, RunningTensors, UnitResult, UnitTensors};
#[cfg(any(test, feature = "default-bodies"))]
pub use flex::with_default_bodies;
pub use flex::{set_cpu_threads, with_cpu_context};
pub use gradients::{
    BiasedConvolutionGradients, ExcitationGradients, NetworkGradients, NormGradients,
    UnitGradients, UnitRecord, Wanted,
};

/// Geometry of a convolution; its kernel size and channel counts are those of
/// the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Step between neighbouring output pixels, the same in both directions.
    pub stride: usize,
    /// Zeros added on each of the four sides.
    pub padding: usize,
    /// 1 for a dense convolution, the channel count for a depthwise one.
    pub groups: usize,
}

impl Convolution {
    /// One pixel at a time, which is a linear layer on each.
    pub const POINTWISE: Self = Self {
        stride: 1,
        padding: 0,
        groups: 1,
    };

    /// The same geometry as Burn's options.
    pub fn options(self) -> ConvOptions<2> {
        ConvOptions::new([self.stride; 2], [self.padding; 2], [1; 2], self.groups)
    }
}

/// What a unit computes, besides its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitSpec {
    /// The convolution.
    pub convolution: Convolution,
    /// What follows it.
    pub norm: NormSpec,
}

/// Batch norm's constant and the activation after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSpec {
    /// Added to the variance before the square root.
    pub epsilon: f64,
    /// Applied after scale and shift.
    pub activation: Activation,
}

/// A unit's parameters.
#[derive(Clone, Debug, ExtensionType)]
pub struct UnitParameters<B: Backend> {
    /// The convolution's weight, `[Co, Ci / groups, k, k]`.
    pub weight: FloatTensor<B>,
    /// Batch norm's scale, `[Co]`.
    pub gamma: FloatTensor<B>,
    /// Batch norm's shift, `[Co]`.
    pub beta: FloatTensor<B>,
    /// Squeeze-and-excitation after the activation, if any.
    #[extension_type]
    pub excitation: Excitation<B>,
}

/// Squeeze-and-excitation: with `s` the mean of a channel over the map,
/// `gate = hard_sigmoid(expand * relu(squeeze * s + squeeze_bias) + expand_bias)`
/// scales the channel.
#[derive(Clone, Debug, ExtensionType)]
pub enum Excitation<B: Backend> {
    /// None.
    Absent,
    /// With these parameters.
    Present(#[extension_type] ExcitationParameters<B>),
}

/// Parameters of squeeze-and-excitation.
#[derive(Clone, Debug, ExtensionType)]
pub struct ExcitationParameters<B: Backend> {
    /// First 1x1 convolution, `[S, C, 1, 1]`.
    pub squeeze: FloatTensor<B>,
    /// Its bias, `[S]`.
    pub squeeze_bias: FloatTensor<B>,
    /// Second 1x1 convolution, `[C, S, 1, 1]`.
    pub expand: FloatTensor<B>,
    /// Its bias, `[C]`.
    pub expand_bias: FloatTensor<B>,
}

/// Where batch norm's mean and variance come from.
#[derive(Clone, Debug, ExtensionType)]
pub enum Statistics<B: Backend> {
    /// From the convolution's output, so a gradient flows through them too.
    Batch,
    /// From earlier batches; constants for the gradient.
    Running {
        /// `[Co]`
        mean: FloatTensor<B>,
        /// `[Co]`
        variance: FloatTensor<B>,
    },
}

/// A unit's result, not yet computed:
/// `activation((values - mean) / sqrt(variance + epsilon) * gamma + beta) * gate`.
#[derive(Clone, Debug, ExtensionType)]
pub struct PendingMap<B: Backend> {
    /// The convolution's output, `[N, C, H, W]`. Under autodiff its gradient is
    /// that of the result.
    pub values: FloatTensor<B>,
    /// Mean of each channel, `[C]`; a constant under autodiff.
    pub mean: FloatTensor<B>,
    /// Biased variance of each channel, `[C]`; a constant under autodiff.
    pub variance: FloatTensor<B>,
    /// Scale of each channel, `[C]`; a constant under autodiff.
    pub gamma: FloatTensor<B>,
    /// Shift of each channel, `[C]`; a constant under autodiff.
    pub beta: FloatTensor<B>,
    /// Factor of each channel, if any.
    #[extension_type]
    pub gate: Gate<B>,
    /// Epsilon and activation.
    pub norm: NormSpec,
}

/// The factors of squeeze-and-excitation; constants under autodiff.
#[derive(Clone, Debug, ExtensionType)]
pub enum Gate<B: Backend> {
    /// None.
    Absent,
    /// These.
    Present(#[extension_type] GateValues<B>),
}

/// The factors of squeeze-and-excitation and what their gradient needs.
#[derive(Clone, Debug, ExtensionType)]
pub struct GateValues<B: Backend> {
    /// Mean of each channel over the map, `[N, C, 1, 1]`.
    pub pooled: FloatTensor<B>,
    /// After the first convolution and ReLU, `[N, S, 1, 1]`.
    pub hidden: FloatTensor<B>,
    /// The factors, 0 to 1, `[N, C, 1, 1]`.
    pub factors: FloatTensor<B>,
}

/// What an operation reads.
#[derive(Clone, Debug, ExtensionType)]
pub enum UnitInput<B: Backend> {
    /// Values as they are, `[N, C, H, W]`.
    Plain(FloatTensor<B>),
    /// The same, where the operations of this module are the only readers.
    Stored(FloatTensor<B>),
    /// A unit's result, to be computed on the way.
    Pending(#[extension_type] PendingMap<B>),
}

impl<B: Backend> UnitInput<B> {
    /// `[N, C, H, W]`
    fn shape(&self) -> Shape {
        match self {
            Self::Plain(values) | Self::Stored(values) => values.shape(),
            Self::Pending(map) => map.values.shape(),
        }
    }
}

/// What a unit makes; the parts of a [`PendingMap`] that are not parameters.
#[derive(Clone, Debug, ExtensionType)]
pub struct UnitOutput<B: Backend> {
    /// The convolution's output, `[N, Co, H', W']`; the one tracked tensor.
    pub values: FloatTensor<B>,
    /// Mean of each channel over batch and space, or the running one, `[Co]`.
    pub mean: FloatTensor<B>,
    /// Biased variance of each channel, or the running one, `[Co]`.
    pub variance: FloatTensor<B>,
    /// The factors of squeeze-and-excitation, if any.
    #[extension_type]
    pub gate: Gate<B>,
}

/// The forward operations. See the [module](self) for the scheme.
#[cfg_attr(feature = "vulkan", backend_extension(Flex, Cube, Autodiff))]
#[cfg_attr(not(feature = "vulkan"), backend_extension(Flex, Autodiff))]
pub trait NetworkOps: Backend {
    /// Convolution without bias, the statistics of its output and the gate of
    /// its result: from `[N, Ci, H, W]` to `[N, Co, H', W']`.
    fn unit(
        #[extension_type] input: UnitInput<Self>,
        #[extension_type] parameters: UnitParameters<Self>,
        #[extension_type] statistics: Statistics<Self>,
        spec: UnitSpec,
    ) -> UnitOutput<Self> {
        primitives::unit(input, parameters, statistics, spec)
    }

    /// Convolution with a bias, `[Co]`, and nothing after it: from
    /// `[N, Ci, H, W]` to `[N, Co, H', W']`.
    fn biased_convolution(
        #[extension_type] input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        let values = primitives::operand(input);
        Self::conv2d(values, weight, Some(bias), convolution.options())
    }

    /// The values of a map, `[N, C, H, W]`.
    fn activations(#[extension_type] input: UnitInput<Self>) -> FloatTensor<Self> {
        primitives::operand(input)
    }

    /// A unit's result plus `residual`, both `[N, C, H, W]`.
    fn activations_add(
        #[extension_type] map: PendingMap<Self>,
        #[extension_type] residual: UnitInput<Self>,
    ) -> FloatTensor<Self> {
        Self::float_add(
            primitives::operand(UnitInput::Pending(map)),
            primitives::operand(residual),
        )
    }

    /// The mean of each channel over the map: from `[N, C, H, W]` to
    /// `[N, C, 1, 1]`.
    fn average_pool(#[extension_type] input: UnitInput<Self>) -> FloatTensor<Self> {
        primitives::average_pool::<Self>(primitives::operand(input))
    }
}

#[cfg(feature = "vulkan")]
impl NetworkOps for burn::backend::Cube {}
#[cfg(feature = "vulkan")]
impl NetworkGradients for burn::backend::Cube {}
