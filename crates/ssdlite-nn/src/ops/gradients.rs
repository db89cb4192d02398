//! Gradients of the operations, on the backend below autodiff.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Scalar, Shape, TensorMetadata};

use super::primitives::{
    Norm, activate, affine, channel_sums, hard_sigmoid, inverse_deviation, normalize, operand,
    per_channel, pointwise_options,
};
use super::{
    Activation, Convolution, Excitation, ExcitationParameters, Gate, GateValues, NormSpec,
    UnitInput, UnitOutput, UnitParameters, UnitSpec,
};

/// What the forward pass of a unit keeps for its backward pass.
#[derive(Clone, Debug)]
pub struct UnitRecord<B: Backend> {
    /// What it read.
    pub input: UnitInput<B>,
    /// With which parameters.
    pub parameters: UnitParameters<B>,
    /// What it made.
    pub output: UnitOutput<B>,
    /// Whether mean and variance are those of the batch, as opposed to
    /// constants.
    pub batch_statistics: bool,
    /// Geometry, epsilon and activation.
    pub spec: UnitSpec,
}

/// Which gradients somebody waits for; the others need not be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The input's.
    pub input: bool,
    /// The convolution's weight's.
    pub weight: bool,
}

/// Gradients of a unit; `None` where they were not wanted.
#[derive(Clone, Debug)]
pub struct UnitGradients<B: Backend> {
    /// Of the input's result, `[N, Ci, H, W]`.
    pub input: Option<FloatTensor<B>>,
    /// `[Co, Ci / groups, k, k]`.
    pub weight: Option<FloatTensor<B>>,
    /// Of batch norm's parameters.
    pub norm: NormGradients<B>,
    /// Of the parameters of squeeze-and-excitation, where there is one.
    pub excitation: Option<ExcitationGradients<B>>,
}

/// Gradients of batch norm's parameters.
#[derive(Clone, Debug)]
pub struct NormGradients<B: Backend> {
    /// `[C]`
    pub gamma: FloatTensor<B>,
    /// `[C]`
    pub beta: FloatTensor<B>,
}

/// Gradients of [`ExcitationParameters`], each of its parameter's shape.
#[derive(Clone, Debug)]
pub struct ExcitationGradients<B: Backend> {
    /// `[S, C, 1, 1]`
    pub squeeze: FloatTensor<B>,
    /// `[S]`
    pub squeeze_bias: FloatTensor<B>,
    /// `[C, S, 1, 1]`
    pub expand: FloatTensor<B>,
    /// `[C]`
    pub expand_bias: FloatTensor<B>,
}

/// Gradients of a convolution with bias; `None` where they were not wanted.
#[derive(Clone, Debug)]
pub struct BiasedConvolutionGradients<B: Backend> {
    /// Of the input's result, `[N, Ci, H, W]`.
    pub input: Option<FloatTensor<B>>,
    /// `[Co, Ci / groups, k, k]`.
    pub weight: Option<FloatTensor<B>>,
    /// `[Co]`.
    pub bias: FloatTensor<B>,
}

/// The backward operations.
///
/// The two operations without parameters,
/// [`activations`](super::NetworkOps::activations) and
/// [`activations_add`](super::NetworkOps::activations_add), need none: a map's
/// gradient is that of its result.
pub trait NetworkGradients: Backend {
    /// Gradients of [`unit`](super::NetworkOps::unit), given that of its result,
    /// `[N, Co, H', W']`.
    fn unit_backward(
        record: UnitRecord<Self>,
        gradient: FloatTensor<Self>,
        wanted: Wanted,
    ) -> UnitGradients<Self> {
        unit_backward(record, gradient, wanted)
    }

    /// Gradients of [`biased_convolution`](super::NetworkOps::biased_convolution),
    /// given that of its output, `[N, Co, H', W']`.
    fn biased_convolution_backward(
        input: UnitInput<Self>,
        weight: FloatTensor<Self>,
        convolution: Convolution,
        gradient: FloatTensor<Self>,
        wanted: Wanted,
    ) -> BiasedConvolutionGradients<Self> {
        biased_convolution_backward(input, weight, convolution, gradient, wanted)
    }

    /// The gradient of what [`average_pool`](super::NetworkOps::average_pool)
    /// read, of this shape, `[N, C, H, W]`, given that of its output,
    /// `[N, C, 1, 1]`.
    fn average_pool_backward(shape: Shape, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let pixels = (shape[2] * shape[3]) as f64;
        let share = Self::float_mul_scalar(gradient, Scalar::Float(1.0 / pixels));
        Self::float_expand(share, shape)
    }

    /// The sum of two readers' gradients of a map, both `[N, C, H, W]`.
    fn accumulate(one: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_add(one, other)
    }
}

pub(super) fn biased_convolution_backward<B: Backend>(
    input: UnitInput<B>,
    weight: FloatTensor<B>,
    convolution: Convolution,
    gradient: FloatTensor<B>,
    wanted: Wanted,
) -> BiasedConvolutionGradients<B> {
    let bias = channel_sums::<B>(gradient.clone());
    let (input, weight) = convolution_backward::<B>(input, weight, convolution, gradient, wanted);
    BiasedConvolutionGradients {
        input,
        weight,
        bias,
    }
}

pub(super) fn unit_backward<B: Backend>(
    record: UnitRecord<B>,
    gradient: FloatTensor<B>,
    wanted: Wanted,
) -> UnitGradients<B> {
    let UnitRecord {
        input,
        parameters,
        output,
        batch_statistics,
        spec,
    } = record;
    let norm = Norm::<B> {
        mean: output.mean,
        variance: output.variance,
        gamma: parameters.gamma,
        beta: parameters.beta,
    };
    let (gradient, excitation) = match (output.gate, parameters.excitation) {
        (Gate::Present(gate), Excitation::Present(excitation)) => {
            let activations = normalize(output.values.clone(), norm.clone(), spec.norm);
            let (gradient, gradients) = excite_backward(activations, gate, excitation, gradient);
            (gradient, Some(gradients))
        }
        _ => (gradient, None),
    };
    let (gradient, norm) =
        norm_backward(output.values, norm, spec.norm, batch_statistics, gradient);
    let (input, weight) =
        convolution_backward::<B>(input, parameters.weight, spec.convolution, gradient, wanted);
    UnitGradients {
        input,
        weight,
        norm,
        excitation,
    }
}

/// Gradients of input and weight.
fn convolution_backward<B: Backend>(
    input: UnitInput<B>,
    weight: FloatTensor<B>,
    convolution: Convolution,
    gradient: FloatTensor<B>,
    wanted: Wanted,
) -> (Option<FloatTensor<B>>, Option<FloatTensor<B>>) {
    let values = operand(input);
    let weight_gradient = wanted.weight.then(|| {
        B::conv2d_weight_backward(
            values.clone(),
            weight.clone(),
            gradient.clone(),
            convolution.options(),
        )
    });
    let input_gradient = wanted
        .input
        .then(|| B::conv2d_x_backward(values, weight, gradient, convolution.options()));
    (input_gradient, weight_gradient)
}

/// From the gradient of `activations * gate(activations)` to that of the
/// activations, `[N, C, H, W]`, and of the gate's parameters.
fn excite_backward<B: Backend>(
    activations: FloatTensor<B>,
    gate: GateValues<B>,
    excitation: ExcitationParameters<B>,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, ExcitationGradients<B>) {
    let options = pointwise_options;
    let shape = activations.shape();
    let pixels = (shape[2] * shape[3]) as f64;

    let products = B::float_mul(gradient.clone(), activations);
    let factors_gradient = B::float_sum_dim(B::float_sum_dim(products, 3), 2);
    // The hard sigmoid is linear exactly where its value is inside 0 to 1.
    let expanded_gradient = B::float_mul_scalar(
        B::float_mul(
            factors_gradient,
            inside::<B>(gate.factors.clone(), 0.0, 1.0),
        ),
        Scalar::Float(1.0 / 6.0),
    );
    let hidden_gradient = B::float_mul(
        B::conv2d_x_backward(
            gate.hidden.clone(),
            excitation.expand.clone(),
            expanded_gradient.clone(),
            options(),
        ),
        positive::<B>(gate.hidden.clone()),
    );
    let pooled_gradient = B::conv2d_x_backward(
        gate.pooled.clone(),
        excitation.squeeze.clone(),
        hidden_gradient.clone(),
        options(),
    );
    let activations_gradient = B::float_add(
        B::float_mul(gradient, gate.factors),
        B::float_mul_scalar(pooled_gradient, Scalar::Float(1.0 / pixels)),
    );
    let gradients = ExcitationGradients {
        squeeze_bias: channel_sums::<B>(hidden_gradient.clone()),
        squeeze: B::conv2d_weight_backward(
            gate.pooled,
            excitation.squeeze,
            hidden_gradient,
            options(),
        ),
        expand_bias: channel_sums::<B>(expanded_gradient.clone()),
        expand: B::conv2d_weight_backward(
            gate.hidden,
            excitation.expand,
            expanded_gradient,
            options(),
        ),
    };
    (activations_gradient, gradients)
}

/// From the gradient of the activations to that of the convolution's output.
/// With `x` the normalised values, `u = x * gamma + beta`, `d` the gradient of
/// `u` and `M` the values that a channel has:
///
/// ```text
/// beta'   = sum d
/// gamma'  = sum d * x
/// values' = gamma / sqrt(variance + epsilon) * (d - beta' / M - x * gamma' / M)
/// ```
///
/// The two corrections come from the batch statistics (arXiv 1502.03167,
/// section 3) and fall away for running ones.
fn norm_backward<B: Backend>(
    values: FloatTensor<B>,
    norm: Norm<B>,
    spec: NormSpec,
    batch_statistics: bool,
    gradient: FloatTensor<B>,
) -> (FloatTensor<B>, NormGradients<B>) {
    let shape = values.shape();
    let count = (shape[0] * shape[2] * shape[3]) as f64;
    let gradient = activate_backward::<B>(
        affine(values.clone(), norm.clone(), spec.epsilon),
        gradient,
        spec.activation,
    );
    let inverse = inverse_deviation::<B>(norm.variance, spec.epsilon);
    let normalized = B::float_mul(
        B::float_sub(values, per_channel::<B>(norm.mean)),
        per_channel::<B>(inverse.clone()),
    );
    let beta = channel_sums::<B>(gradient.clone());
    let gamma = channel_sums::<B>(B::float_mul(gradient.clone(), normalized.clone()));
    let corrected = if batch_statistics {
        let mean_of = |sum: FloatTensor<B>| {
            per_channel::<B>(B::float_mul_scalar(sum, Scalar::Float(1.0 / count)))
        };
        B::float_sub(
            B::float_sub(gradient, mean_of(beta.clone())),
            B::float_mul(normalized, mean_of(gamma.clone())),
        )
    } else {
        gradient
    };
    let scale = per_channel::<B>(B::float_mul(norm.gamma, inverse));
    let gradients = NormGradients { gamma, beta };
    (B::float_mul(corrected, scale), gradients)
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
