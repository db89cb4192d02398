//! The operations on Burn's tensors.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::{
    Convolution, Convolved, Excitation, NetworkOps, Normalization, NormalizedMap, UnitInput,
};

/// A feature map on its way from one convolution to the next.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are two or three at a time, and a box would be allocated for every layer"
)]
pub enum FeatureMap {
    /// Values as they are, `[N, C, H, W]`.
    Plain(Tensor<4>),
    /// A convolution's raw output, to be normalised by its reader.
    Normalized(Normalized),
    /// The same, to be scaled by a squeeze-and-excitation gate as well.
    Excited(Normalized, ExcitationParameters),
}

/// A convolution's raw output with all that makes activations of it; see
/// [`NormalizedMap`].
#[derive(Clone, Debug)]
pub struct Normalized {
    /// Raw values, `[N, C, H, W]`.
    pub values: Tensor<4>,
    /// Mean of each channel, `[C]`.
    pub mean: Tensor<1>,
    /// Biased variance of each channel, `[C]`.
    pub variance: Tensor<1>,
    /// Learned scale of each channel, `[C]`.
    pub gamma: Tensor<1>,
    /// Learned shift of each channel, `[C]`.
    pub beta: Tensor<1>,
    /// Epsilon, kind of statistics and activation.
    pub normalization: Normalization,
}

/// Parameters of a gate; see [`Excitation`].
#[derive(Clone, Debug)]
pub struct ExcitationParameters {
    /// `[S, C, 1, 1]`.
    pub squeeze: Tensor<4>,
    /// `[S]`.
    pub squeeze_bias: Tensor<1>,
    /// `[C, S, 1, 1]`.
    pub expand: Tensor<4>,
    /// `[C]`.
    pub expand_bias: Tensor<1>,
}

/// A convolution's raw output with the statistics of its channels.
#[derive(Clone, Debug)]
pub struct ConvolvedMap {
    /// `[N, C, H, W]`.
    pub values: Tensor<4>,
    /// Mean of each channel, `[C]`; not tracked by autodiff.
    pub mean: Tensor<1>,
    /// Biased variance of each channel, `[C]`; not tracked by autodiff.
    pub variance: Tensor<1>,
}

impl FeatureMap {
    /// The activations, `[N, C, H, W]`.
    ///
    /// # Panics
    /// For a map that waits for its gate: only a convolution applies that.
    pub fn activations(self) -> Tensor<4> {
        match self {
            Self::Plain(values) => values,
            Self::Normalized(map) => Tensor::from_dispatch(Dispatch::unit_normalize(map.into())),
            Self::Excited(..) => panic!("a gated map is read by a convolution alone"),
        }
    }

    /// The activations plus `residual`, both `[N, C, H, W]`.
    ///
    /// # Panics
    /// As [`Self::activations`].
    pub fn activations_add(self, residual: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Normalized(map) => Tensor::from_dispatch(Dispatch::unit_normalize_add(
                map.into(),
                residual.into_dispatch(),
            )),
            other => other.activations() + residual,
        }
    }

    /// Convolution without bias: `[Co, Ci / groups, k, k]` gives
    /// `[N, Co, H', W']`.
    pub fn convolve(self, weight: Tensor<4>, convolution: Convolution) -> Tensor<4> {
        Tensor::from_dispatch(Dispatch::unit_convolution(
            self.into(),
            weight.into_dispatch(),
            convolution,
        ))
    }

    /// Convolution without bias, with the statistics of its output.
    pub fn convolve_statistics(self, weight: Tensor<4>, convolution: Convolution) -> ConvolvedMap {
        let Convolved {
            values,
            mean,
            variance,
        } = Dispatch::unit_convolution_statistics(self.into(), weight.into_dispatch(), convolution);
        ConvolvedMap {
            values: Tensor::from_dispatch(values),
            mean: Tensor::from_dispatch(mean),
            variance: Tensor::from_dispatch(variance),
        }
    }

    /// Convolution with a bias, `[Co]`.
    pub fn convolve_bias(
        self,
        weight: Tensor<4>,
        bias: Tensor<1>,
        convolution: Convolution,
    ) -> Tensor<4> {
        Tensor::from_dispatch(Dispatch::unit_convolution_bias(
            self.into(),
            weight.into_dispatch(),
            bias.into_dispatch(),
            convolution,
        ))
    }
}

impl From<FeatureMap> for UnitInput<Dispatch> {
    fn from(map: FeatureMap) -> Self {
        match map {
            FeatureMap::Plain(values) => Self::Plain(values.into_dispatch()),
            FeatureMap::Normalized(map) => Self::Normalized(map.into()),
            FeatureMap::Excited(map, excitation) => Self::Excited(map.into(), excitation.into()),
        }
    }
}

impl From<Normalized> for NormalizedMap<Dispatch> {
    fn from(map: Normalized) -> Self {
        Self {
            values: map.values.into_dispatch(),
            mean: map.mean.into_dispatch(),
            variance: map.variance.into_dispatch(),
            gamma: map.gamma.into_dispatch(),
            beta: map.beta.into_dispatch(),
            normalization: map.normalization,
        }
    }
}

impl From<ExcitationParameters> for Excitation<Dispatch> {
    fn from(parameters: ExcitationParameters) -> Self {
        Self {
            squeeze: parameters.squeeze.into_dispatch(),
            squeeze_bias: parameters.squeeze_bias.into_dispatch(),
            expand: parameters.expand.into_dispatch(),
            expand_bias: parameters.expand_bias.into_dispatch(),
        }
    }
}
