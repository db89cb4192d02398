//! The operations that both networks consist of, as an extension of Burn's
//! backends.
//!
//! A convolution here returns its raw output, and whoever reads that output
//! normalises and activates it on the way: [`UnitInput::Normalized`] carries
//! the raw values together with the statistics and parameters that turn them
//! into activations. So a training step keeps one map per convolution, not a
//! second and third one for the normalised and the activated values; the
//! backward pass computes those again.
//!
//! - [`NetworkOps`]: the forward operations, routed by Burn's dispatch. The
//!   default bodies are made of Burn's primitives, serve every GPU backend and
//!   define what any other implementation has to compute.
//! - [`NetworkGradients`]: their gradients, on the backend below autodiff,
//!   again with default bodies.
//! - The implementation for `Autodiff` saves the inputs of the forward pass and
//!   calls [`NetworkGradients`]; it is the same for every backend.
//!
//! Batch normalisation: arXiv 1502.03167. Squeeze-and-excitation: arXiv
//! 1709.01507, with the gates of MobileNetV3 (arXiv 1905.02244, section 5.3).

mod autodiff;
mod feature_map;
mod gradients;
#[cfg(test)]
mod tests;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType, Scalar, Shape, TensorMetadata, backend_extension};
use burn::tensor::ops::ConvOptions;
pub use ssdlite_core::Activation;

pub use feature_map::{ConvolvedMap, ExcitationParameters, FeatureMap, Normalized};
pub use gradients::{
    ConvolutionGradients, ExcitationGradients, InputGradients, NetworkGradients,
    NormalizationGradients, Wanted,
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
    /// The same geometry as Burn's options.
    pub fn options(self) -> ConvOptions<2> {
        ConvOptions::new([self.stride; 2], [self.padding; 2], [1; 2], self.groups)
    }
}

/// Where the mean and variance of a normalisation come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// From the very values that are normalised, so a gradient flows through
    /// them too.
    Batch,
    /// From earlier batches; constants for the gradient.
    Running,
}

/// What turns a convolution's raw output into activations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// Added to the variance before the square root.
    pub epsilon: f64,
    /// Where mean and variance come from.
    pub statistics: Statistics,
    /// Applied after scale and shift.
    pub activation: Activation,
}

/// A convolution's raw output and all that makes activations of it:
/// `activation((values - mean) / sqrt(variance + epsilon) * gamma + beta)`.
#[derive(Clone, Debug, ExtensionType)]
pub struct NormalizedMap<B: Backend> {
    /// Raw values, `[N, C, H, W]`.
    pub values: FloatTensor<B>,
    /// Mean of each channel, `[C]`.
    pub mean: FloatTensor<B>,
    /// Biased variance of each channel, `[C]`.
    pub variance: FloatTensor<B>,
    /// Learned scale of each channel, `[C]`.
    pub gamma: FloatTensor<B>,
    /// Learned shift of each channel, `[C]`.
    pub beta: FloatTensor<B>,
    /// Epsilon, kind of statistics and activation.
    pub normalization: Normalization,
}

/// Parameters of a squeeze-and-excitation gate: with `s` the mean of a channel
/// over the map, `gate = hard_sigmoid(expand * relu(squeeze * s + squeeze_bias)
/// + expand_bias)`, which scales the channel.
#[derive(Clone, Debug, ExtensionType)]
pub struct Excitation<B: Backend> {
    /// First 1x1 convolution, `[S, C, 1, 1]`.
    pub squeeze: FloatTensor<B>,
    /// Its bias, `[S]`.
    pub squeeze_bias: FloatTensor<B>,
    /// Second 1x1 convolution, `[C, S, 1, 1]`.
    pub expand: FloatTensor<B>,
    /// Its bias, `[C]`.
    pub expand_bias: FloatTensor<B>,
}

/// What a convolution reads.
#[derive(Clone, Debug, ExtensionType)]
pub enum UnitInput<B: Backend> {
    /// Values as they are, `[N, C, H, W]`.
    Plain(FloatTensor<B>),
    /// Values to be normalised and activated on the way.
    Normalized(#[extension_type] NormalizedMap<B>),
    /// The same, then scaled channel by channel by a gate computed from them.
    Excited(
        #[extension_type] NormalizedMap<B>,
        #[extension_type] Excitation<B>,
    ),
}

/// A convolution's raw output with the statistics that batch normalisation
/// needs. `mean` and `variance` are not tracked by autodiff: the gradient
/// through them belongs to the operation that normalises.
#[derive(Clone, Debug, ExtensionType)]
pub struct Convolved<B: Backend> {
    /// Raw output, `[N, C, H, W]`.
    pub values: FloatTensor<B>,
    /// Mean of each channel over batch and space, `[C]`.
    pub mean: FloatTensor<B>,
    /// Biased variance of each channel, `[C]`.
    pub variance: FloatTensor<B>,
}

/// The forward operations. See the [module](self) for the scheme.
///
/// Shapes: input `[N, Ci, H, W]`, weight `[Co, Ci / groups, k, k]`, output
/// `[N, Co, H', W']`.
#[cfg_attr(feature = "vulkan", backend_extension(Flex, Cube, Autodiff))]
#[cfg_attr(not(feature = "vulkan"), backend_extension(Flex, Autodiff))]
pub trait NetworkOps: Backend {
    /// Convolution without bias.
    fn unit_convolution(
        #[extension_type] input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        Self::conv2d(operand::<Self>(input), weight, None, convolution.options())
    }

    /// Convolution without bias, with the statistics of its output.
    fn unit_convolution_statistics(
        #[extension_type] input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        convolution: Convolution,
    ) -> Convolved<Self> {
        let values = Self::unit_convolution(input, weight, convolution);
        let (mean, variance) = statistics::<Self>(values.clone());
        Convolved {
            values,
            mean,
            variance,
        }
    }

    /// Convolution with a bias, `[Co]`.
    fn unit_convolution_bias(
        #[extension_type] input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        convolution: Convolution,
    ) -> FloatTensor<Self> {
        Self::conv2d(
            operand::<Self>(input),
            weight,
            Some(bias),
            convolution.options(),
        )
    }

    /// The activations of a map, `[N, C, H, W]`.
    fn unit_normalize(#[extension_type] map: NormalizedMap<Self>) -> FloatTensor<Self> {
        normalize::<Self>(map)
    }

    /// The activations of a map plus `residual`, both `[N, C, H, W]`.
    fn unit_normalize_add(
        #[extension_type] map: NormalizedMap<Self>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::float_add(normalize::<Self>(map), residual)
    }
}

#[cfg(feature = "vulkan")]
impl NetworkOps for burn::backend::Cube {}
#[cfg(feature = "vulkan")]
impl NetworkGradients for burn::backend::Cube {}
impl NetworkOps for burn::backend::Flex {}
impl NetworkGradients for burn::backend::Flex {}

/// What the convolution multiplies with its weight.
fn operand<B: Backend>(input: UnitInput<B>) -> FloatTensor<B> {
    match input {
        UnitInput::Plain(values) => values,
        UnitInput::Normalized(map) => normalize::<B>(map),
        UnitInput::Excited(map, excitation) => {
            let values = normalize::<B>(map);
            let gate = Gate::<B>::new(values.clone(), excitation).gate;
            B::float_mul(values, gate)
        }
    }
}

fn normalize<B: Backend>(map: NormalizedMap<B>) -> FloatTensor<B> {
    let activation = map.normalization.activation;
    activate::<B>(affine::<B>(map), activation)
}

/// `(values - mean) / sqrt(variance + epsilon) * gamma + beta`.
fn affine<B: Backend>(map: NormalizedMap<B>) -> FloatTensor<B> {
    let scale = B::float_mul(
        map.gamma,
        inverse_deviation::<B>(map.variance, map.normalization.epsilon),
    );
    let centered = B::float_sub(map.values, per_channel::<B>(map.mean));
    B::float_add(
        B::float_mul(centered, per_channel::<B>(scale)),
        per_channel::<B>(map.beta),
    )
}

fn inverse_deviation<B: Backend>(variance: FloatTensor<B>, epsilon: f64) -> FloatTensor<B> {
    B::float_recip(B::float_sqrt(B::float_add_scalar(
        variance,
        Scalar::Float(epsilon),
    )))
}

fn activate<B: Backend>(values: FloatTensor<B>, activation: Activation) -> FloatTensor<B> {
    match activation {
        Activation::Identity => values,
        Activation::Relu => B::float_clamp_min(values, Scalar::Float(0.0)),
        Activation::Relu6 => B::float_clamp(values, Scalar::Float(0.0), Scalar::Float(6.0)),
        Activation::HardSwish => B::float_mul(values.clone(), hard_sigmoid::<B>(values)),
    }
}

/// `clamp(x + 3, 0, 6) / 6`.
fn hard_sigmoid<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let shifted = B::float_add_scalar(values, Scalar::Float(3.0));
    B::float_mul_scalar(
        B::float_clamp(shifted, Scalar::Float(0.0), Scalar::Float(6.0)),
        Scalar::Float(1.0 / 6.0),
    )
}

/// The gate of a squeeze-and-excitation with what its gradient needs.
struct Gate<B: Backend> {
    /// Mean of each channel over the map, `[N, C, 1, 1]`.
    squeezed: FloatTensor<B>,
    /// After the first convolution and ReLU, `[N, S, 1, 1]`.
    hidden: FloatTensor<B>,
    /// Before the hard sigmoid, `[N, C, 1, 1]`.
    raw: FloatTensor<B>,
    /// The factor of each channel, `[N, C, 1, 1]`.
    gate: FloatTensor<B>,
}

impl<B: Backend> Gate<B> {
    fn new(values: FloatTensor<B>, excitation: Excitation<B>) -> Self {
        let options = || ConvOptions::new([1; 2], [0; 2], [1; 2], 1);
        let squeezed = B::float_mean_dim(B::float_mean_dim(values, 3), 2);
        let hidden = B::conv2d(
            squeezed.clone(),
            excitation.squeeze,
            Some(excitation.squeeze_bias),
            options(),
        );
        let hidden = B::float_clamp_min(hidden, Scalar::Float(0.0));
        let raw = B::conv2d(
            hidden.clone(),
            excitation.expand,
            Some(excitation.expand_bias),
            options(),
        );
        let gate = hard_sigmoid::<B>(raw.clone());
        Self {
            squeezed,
            hidden,
            raw,
            gate,
        }
    }
}

/// Mean and biased variance of each channel, both `[C]`.
fn statistics<B: Backend>(values: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
    let mean = channel_means::<B>(values.clone());
    let centered = B::float_sub(values, mean.clone());
    let variance = channel_means::<B>(B::float_mul(centered.clone(), centered));
    (vector::<B>(mean), vector::<B>(variance))
}

/// `[N, C, H, W]` to `[1, C, 1, 1]`.
fn channel_means<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    [3, 2, 0].into_iter().fold(values, B::float_mean_dim)
}

/// `[N, C, H, W]` to `[C]`.
fn channel_sums<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    vector::<B>([3, 2, 0].into_iter().fold(values, B::float_sum_dim))
}

/// `[C]` to `[1, C, 1, 1]`.
fn per_channel<B: Backend>(vector: FloatTensor<B>) -> FloatTensor<B> {
    let channels = vector.shape()[0];
    B::float_reshape(vector, Shape::new([1, channels, 1, 1]))
}

/// `[1, C, 1, 1]` to `[C]`.
fn vector<B: Backend>(map: FloatTensor<B>) -> FloatTensor<B> {
    let channels = map.shape()[1];
    B::float_reshape(map, Shape::new([channels]))
}
