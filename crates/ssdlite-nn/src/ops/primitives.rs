//! The operations in Burn's primitives.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Scalar, Shape, TensorMetadata};
use burn::tensor::ops::ConvOptions;

use super::{
    Activation, Excitation, ExcitationParameters, Gate, GateValues, NormSpec, PendingMap,
    Statistics, UnitInput, UnitOutput, UnitParameters, UnitSpec,
};

/// Mean, variance, scale and shift of each channel, `[C]`.
#[derive(Clone, Debug)]
pub(super) struct Norm<B: Backend> {
    pub(super) mean: FloatTensor<B>,
    pub(super) variance: FloatTensor<B>,
    pub(super) gamma: FloatTensor<B>,
    pub(super) beta: FloatTensor<B>,
}

pub(super) fn unit<B: Backend>(
    input: UnitInput<B>,
    parameters: UnitParameters<B>,
    source: Statistics<B>,
    spec: UnitSpec,
) -> UnitOutput<B> {
    let options = spec.convolution.options();
    let values = B::conv2d(operand(input), parameters.weight, None, options);
    let (mean, variance) = match source {
        Statistics::Batch => statistics::<B>(values.clone()),
        Statistics::Running { mean, variance } => (mean, variance),
    };
    let gate = match parameters.excitation {
        Excitation::Absent => Gate::Absent,
        Excitation::Present(excitation) => {
            let norm = Norm::<B> {
                mean: mean.clone(),
                variance: variance.clone(),
                gamma: parameters.gamma,
                beta: parameters.beta,
            };
            let activations = normalize(values.clone(), norm, spec.norm);
            Gate::Present(gate_values(activations, excitation))
        }
    };
    UnitOutput {
        values,
        mean,
        variance,
        gate,
    }
}

/// The values that an operation computes with.
pub(super) fn operand<B: Backend>(input: UnitInput<B>) -> FloatTensor<B> {
    let map = match input {
        UnitInput::Plain(values) | UnitInput::Stored(values) => return values,
        UnitInput::Pending(map) => map,
    };
    let PendingMap {
        values,
        mean,
        variance,
        gamma,
        beta,
        gate,
        norm,
    } = map;
    let parameters = Norm::<B> {
        mean,
        variance,
        gamma,
        beta,
    };
    let activations = normalize(values, parameters, norm);
    match gate {
        Gate::Absent => activations,
        Gate::Present(gate) => B::float_mul(activations, gate.factors),
    }
}

/// The activations of a convolution's output, without any gate.
pub(super) fn normalize<B: Backend>(
    values: FloatTensor<B>,
    norm: Norm<B>,
    spec: NormSpec,
) -> FloatTensor<B> {
    activate::<B>(affine(values, norm, spec.epsilon), spec.activation)
}

/// `(values - mean) / sqrt(variance + epsilon) * gamma + beta`.
pub(super) fn affine<B: Backend>(
    values: FloatTensor<B>,
    norm: Norm<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    let scale = B::float_mul(norm.gamma, inverse_deviation::<B>(norm.variance, epsilon));
    let centered = B::float_sub(values, per_channel::<B>(norm.mean));
    B::float_add(
        B::float_mul(centered, per_channel::<B>(scale)),
        per_channel::<B>(norm.beta),
    )
}

pub(super) fn inverse_deviation<B: Backend>(
    variance: FloatTensor<B>,
    epsilon: f64,
) -> FloatTensor<B> {
    B::float_recip(B::float_sqrt(B::float_add_scalar(
        variance,
        Scalar::Float(epsilon),
    )))
}

pub(super) fn activate<B: Backend>(
    values: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    match activation {
        Activation::Identity => values,
        Activation::Relu => B::float_clamp_min(values, Scalar::Float(0.0)),
        Activation::Relu6 => B::float_clamp(values, Scalar::Float(0.0), Scalar::Float(6.0)),
        Activation::HardSwish => B::float_mul(values.clone(), hard_sigmoid::<B>(values)),
    }
}

/// `clamp(x + 3, 0, 6) / 6`.
pub(super) fn hard_sigmoid<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let shifted = B::float_add_scalar(values, Scalar::Float(3.0));
    B::float_mul_scalar(
        B::float_clamp(shifted, Scalar::Float(0.0), Scalar::Float(6.0)),
        Scalar::Float(1.0 / 6.0),
    )
}

/// The gate for activations `[N, C, H, W]`.
fn gate_values<B: Backend>(
    activations: FloatTensor<B>,
    excitation: ExcitationParameters<B>,
) -> GateValues<B> {
    let pooled = average_pool::<B>(activations);
    let hidden = B::conv2d(
        pooled.clone(),
        excitation.squeeze,
        Some(excitation.squeeze_bias),
        pointwise_options(),
    );
    let hidden = B::float_clamp_min(hidden, Scalar::Float(0.0));
    let expanded = B::conv2d(
        hidden.clone(),
        excitation.expand,
        Some(excitation.expand_bias),
        pointwise_options(),
    );
    GateValues {
        pooled,
        hidden,
        factors: hard_sigmoid::<B>(expanded),
    }
}

/// `[N, C, H, W]` to `[N, C, 1, 1]`.
pub(super) fn average_pool<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mean_dim(B::float_mean_dim(values, 3), 2)
}

pub(super) fn pointwise_options() -> ConvOptions<2> {
    ConvOptions::new([1; 2], [0; 2], [1; 2], 1)
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
pub(super) fn channel_sums<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    vector::<B>([3, 2, 0].into_iter().fold(values, B::float_sum_dim))
}

/// `[C]` to `[1, C, 1, 1]`.
pub(super) fn per_channel<B: Backend>(vector: FloatTensor<B>) -> FloatTensor<B> {
    let channels = vector.shape()[0];
    B::float_reshape(vector, Shape::new([1, channels, 1, 1]))
}

/// `[1, C, 1, 1]` to `[C]`.
fn vector<B: Backend>(map: FloatTensor<B>) -> FloatTensor<B> {
    let channels = map.shape()[1];
    B::float_reshape(map, Shape::new([channels]))
}
