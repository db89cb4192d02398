//! Gradients of the operations, on the backend below autodiff.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Scalar, TensorMetadata};
use burn::tensor::ops::ConvOptions;

use super::{
    Activation, Convolution, Excitation, Gate, NormalizedMap, Statistics, UnitInput, activate,
    affine, channel_sums, hard_sigmoid, inverse_deviation, normalize, operand, per_channel,
};

/// Which gradients somebody waits for; the others need not be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The convolution's weight.
    pub weight: bool,
    /// The convolution's bias.
    pub bias: bool,
    /// Anything that the input is made of.
    pub input: bool,
}

/// Gradients of a convolution; `None` where they were not wanted.
#[derive(Clone, Debug)]
pub struct ConvolutionGradients<B: Backend> {
    /// `[Co, Ci / groups, k, k]`.
    pub weight: Option<FloatTensor<B>>,
    /// `[Co]`.
    pub bias: Option<FloatTensor<B>>,
    /// Of what the input is made of.
    pub input: Option<InputGradients<B>>,
}

/// Gradients of the variants of [`UnitInput`].
#[derive(Clone, Debug)]
pub enum InputGradients<B: Backend> {
    /// Of the values, `[N, C, H, W]`.
    Plain(FloatTensor<B>),
    /// Of a normalised map.
    Normalized(NormalizationGradients<B>),
    /// Of a normalised map and of the gate's parameters.
    Excited(NormalizationGradients<B>, ExcitationGradients<B>),
}

/// Gradients of a [`NormalizedMap`].
#[derive(Clone, Debug)]
pub struct NormalizationGradients<B: Backend> {
    /// Of the raw values, through the batch statistics as well, `[N, C, H, W]`.
    pub values: FloatTensor<B>,
    /// `[C]`.
    pub gamma: FloatTensor<B>,
    /// `[C]`.
    pub beta: FloatTensor<B>,
}

/// Gradients of an [`Excitation`], each of its parameter's shape.
#[derive(Clone, Debug)]
pub struct ExcitationGradients<B: Backend> {
    /// `[S, C, 1, 1]`.
    pub squeeze: FloatTensor<B>,
    /// `[S]`.
    pub squeeze_bias: FloatTensor<B>,
    /// `[C, S, 1, 1]`.
    pub expand: FloatTensor<B>,
    /// `[C]`.
    pub expand_bias: FloatTensor<B>,
}

/// The backward operations. `output_gradient` is the gradient of the forward
/// operation's output and has its shape.
pub trait NetworkGradients: Backend {
    /// Gradients of the three convolutions of [`NetworkOps`](super::NetworkOps).
    fn unit_convolution_backward(
        input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        convolution: Convolution,
        output_gradient: FloatTensor<Self>,
        wanted: Wanted,
    ) -> ConvolutionGradients<Self> {
        let values = operand::<Self>(input.clone());
        let bias = wanted
            .bias
            .then(|| channel_sums::<Self>(output_gradient.clone()));
        let weight_gradient = wanted.weight.then(|| {
            Self::conv2d_weight_backward(
                values.clone(),
                weight.clone(),
                output_gradient.clone(),
                convolution.options(),
            )
        });
        let input = wanted.input.then(|| {
            let gradient =
                Self::conv2d_x_backward(values, weight, output_gradient, convolution.options());
            operand_backward::<Self>(input, gradient)
        });
        ConvolutionGradients {
            weight: weight_gradient,
            bias,
            input,
        }
    }

    /// Gradients of [`unit_normalize`](super::NetworkOps::unit_normalize), and
    /// of the map in [`unit_normalize_add`](super::NetworkOps::unit_normalize_add).
    fn unit_normalize_backward(
        map: NormalizedMap<Self>,
        output_gradient: FloatTensor<Self>,
    ) -> NormalizationGradients<Self> {
        normalize_backward::<Self>(map, output_gradient)
    }
}

fn operand_backward<B: Backend>(
    input: UnitInput<B>,
    gradient: FloatTensor<B>,
) -> InputGradients<B> {
    match input {
        UnitInput::Plain(_) => InputGradients::Plain(gradient),
        UnitInput::Normalized(map) => {
            InputGradients::Normalized(normalize_backward::<B>(map, gradient))
        }
        UnitInput::Excited(map, excitation) => {
            let (gradient, excitation) =
                excite_backward::<B>(normalize::<B>(map.clone()), excitation, gradient);
            InputGradients::Excited(normalize_backward::<B>(map, gradient), excitation)
        }
    }
}

/// Gradients of `values * gate(values)`.
fn excite_backward<B: Backend>(
    values: FloatTensor<B>,
    excitation: Excitation<B>,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, ExcitationGradients<B>) {
    let options = || ConvOptions::new([1; 2], [0; 2], [1; 2], 1);
    let shape = values.shape();
    let pixels = (shape[2] * shape[3]) as f64;
    let Gate {
        squeezed,
        hidden,
        raw,
        gate,
    } = Gate::<B>::new(values.clone(), excitation.clone());

    let gate_gradient = B::float_sum_dim(
        B::float_sum_dim(B::float_mul(gradient.clone(), values), 3),
        2,
    );
    let raw_gradient = B::float_mul_scalar(
        B::float_mul(gate_gradient, inside::<B>(raw, -3.0, 3.0)),
        Scalar::Float(1.0 / 6.0),
    );
    let hidden_gradient = B::float_mul(
        B::conv2d_x_backward(
            hidden.clone(),
            excitation.expand.clone(),
            raw_gradient.clone(),
            options(),
        ),
        positive::<B>(hidden.clone()),
    );
    let squeezed_gradient = B::conv2d_x_backward(
        squeezed.clone(),
        excitation.squeeze.clone(),
        hidden_gradient.clone(),
        options(),
    );
    let values_gradient = B::float_add(
        B::float_mul(gradient, gate),
        B::float_mul_scalar(squeezed_gradient, Scalar::Float(1.0 / pixels)),
    );
    let gradients = ExcitationGradients {
        squeeze_bias: channel_sums::<B>(hidden_gradient.clone()),
        squeeze: B::conv2d_weight_backward(
            squeezed,
            excitation.squeeze,
            hidden_gradient,
            options(),
        ),
        expand_bias: channel_sums::<B>(raw_gradient.clone()),
        expand: B::conv2d_weight_backward(hidden, excitation.expand, raw_gradient, options()),
    };
    (values_gradient, gradients)
}

/// With `x` the normalised values, `u = x * gamma + beta`, `d` the gradient of
/// `u` and `M` the values a channel has:
///
/// ```text
/// beta'  = sum d
/// gamma' = sum d * x
/// values' = gamma / sqrt(variance + epsilon) * (d - beta' / M - x * gamma' / M)
/// ```
///
/// The two corrections come from the batch statistics (arXiv 1502.03167,
/// section 3) and fall away for running ones.
fn normalize_backward<B: Backend>(
    map: NormalizedMap<B>,
    gradient: FloatTensor<B>,
) -> NormalizationGradients<B> {
    let normalization = map.normalization;
    let shape = map.values.shape();
    let count = (shape[0] * shape[2] * shape[3]) as f64;
    let affine_gradient =
        activate_backward::<B>(affine::<B>(map.clone()), gradient, normalization.activation);
    let inverse = inverse_deviation::<B>(map.variance, normalization.epsilon);
    let normalized = B::float_mul(
        B::float_sub(map.values, per_channel::<B>(map.mean)),
        per_channel::<B>(inverse.clone()),
    );
    let beta = channel_sums::<B>(affine_gradient.clone());
    let gamma = channel_sums::<B>(B::float_mul(affine_gradient.clone(), normalized.clone()));

    let centered = match normalization.statistics {
        Statistics::Running => affine_gradient,
        Statistics::Batch => {
            let mean_of = |sum: FloatTensor<B>| {
                per_channel::<B>(B::float_mul_scalar(sum, Scalar::Float(1.0 / count)))
            };
            B::float_sub(
                B::float_sub(affine_gradient, mean_of(beta.clone())),
                B::float_mul(normalized, mean_of(gamma.clone())),
            )
        }
    };
    let values = B::float_mul(centered, per_channel::<B>(B::float_mul(map.gamma, inverse)));
    NormalizationGradients {
        values,
        gamma,
        beta,
    }
}

fn activate_backward<B: Backend>(
    values: FloatTensor<B>,
    gradient: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    match activation {
        Activation::Identity => gradient,
        Activation::Relu => B::float_mul(gradient, positive::<B>(values)),
        Activation::Relu6 => B::float_mul(gradient, inside::<B>(values, 0.0, 6.0)),
        // u * s(u) with s = clamp(u + 3, 0, 6) / 6, so s + u / 6 between -3 and 3.
        Activation::HardSwish => {
            let slope = B::float_mul_scalar(
                B::float_mul(values.clone(), inside::<B>(values.clone(), -3.0, 3.0)),
                Scalar::Float(1.0 / 6.0),
            );
            B::float_mul(gradient, B::float_add(hard_sigmoid::<B>(values), slope))
        }
    }
}

/// 1 where the value is positive, else 0.
fn positive<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    B::float_sign(activate::<B>(values, Activation::Relu))
}

/// 1 where `low < value < high`, else 0.
fn inside<B: Backend>(values: FloatTensor<B>, low: f64, high: f64) -> FloatTensor<B> {
    let above = positive::<B>(B::float_sub_scalar(values.clone(), Scalar::Float(low)));
    let below = positive::<B>(B::float_add_scalar(
        B::float_neg(values),
        Scalar::Float(high),
    ));
    B::float_mul(above, below)
}
