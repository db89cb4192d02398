//! The operations against the same mathematics in Burn's tensors, whose
//! gradients Burn derives itself, batch statistics included.

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use super::{
    Activation, Convolution, ConvolvedMap, ExcitationParameters, FeatureMap, Normalization,
    Normalized, Statistics,
};
use crate::weights::formula::signed;

const ACTIVATIONS: [Activation; 4] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::HardSwish,
];

/// Not square, odd, prime channel counts: stem, depthwise of both kernels and
/// strides, pointwise, a map of one pixel, a batch of one.
const CASES: [Case; 7] = [
    Case::new(
        [2, 3, 9, 13],
        5,
        3,
        Convolution {
            stride: 2,
            padding: 1,
            groups: 1,
        },
    ),
    Case::new(
        [2, 7, 5, 8],
        7,
        3,
        Convolution {
            stride: 1,
            padding: 1,
            groups: 7,
        },
    ),
    Case::new(
        [3, 5, 9, 7],
        5,
        5,
        Convolution {
            stride: 2,
            padding: 2,
            groups: 5,
        },
    ),
    Case::new(
        [2, 7, 4, 3],
        5,
        1,
        Convolution {
            stride: 1,
            padding: 0,
            groups: 1,
        },
    ),
    Case::new(
        [4, 3, 1, 1],
        3,
        3,
        Convolution {
            stride: 1,
            padding: 1,
            groups: 3,
        },
    ),
    Case::new(
        [4, 5, 2, 1],
        2,
        1,
        Convolution {
            stride: 1,
            padding: 0,
            groups: 1,
        },
    ),
    Case::new(
        [1, 3, 6, 7],
        3,
        5,
        Convolution {
            stride: 1,
            padding: 2,
            groups: 3,
        },
    ),
];

const EPSILON: f64 = 1e-3;
const SQUEEZED: usize = 2;

struct Case {
    input: [usize; 4],
    out: usize,
    kernel: usize,
    convolution: Convolution,
}

impl Case {
    const fn new(input: [usize; 4], out: usize, kernel: usize, convolution: Convolution) -> Self {
        Self {
            input,
            out,
            kernel,
            convolution,
        }
    }

    fn weight_shape(&self) -> [usize; 4] {
        let per_group = self.input[1] / self.convolution.groups;
        [self.out, per_group, self.kernel, self.kernel]
    }
}

fn tensor<const D: usize>(name: &str, shape: [usize; D]) -> Tensor<D> {
    let values = signed(name, shape.iter().product(), 2.0);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
}

fn leaf<const D: usize>(name: &str, shape: [usize; D]) -> Tensor<D> {
    tensor(name, shape).require_grad()
}

/// Leaves of a graph: whatever an operation may read.
struct Leaves {
    values: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    squeeze: Tensor<4>,
    squeeze_bias: Tensor<1>,
    expand: Tensor<4>,
    expand_bias: Tensor<1>,
    weight: Tensor<4>,
    bias: Tensor<1>,
}

impl Leaves {
    fn new(case: &Case) -> Self {
        let channels = case.input[1];
        Self {
            values: leaf("values", case.input),
            gamma: leaf("gamma", [channels]),
            beta: leaf("beta", [channels]),
            squeeze: leaf("squeeze", [SQUEEZED, channels, 1, 1]),
            squeeze_bias: leaf("squeeze_bias", [SQUEEZED]),
            expand: leaf("expand", [channels, SQUEEZED, 1, 1]),
            expand_bias: leaf("expand_bias", [channels]),
            weight: leaf("weight", case.weight_shape()),
            bias: leaf("bias", [case.out]),
        }
    }

    fn gradients(&self, gradients: &Gradients) -> Vec<(&'static str, Option<Vec<f32>>)> {
        fn of<const D: usize>(leaf: &Tensor<D>, gradients: &Gradients) -> Option<Vec<f32>> {
            let gradient = leaf.grad(gradients)?;
            Some(gradient.into_data().iter::<f32>().collect())
        }
        vec![
            ("values", of(&self.values, gradients)),
            ("gamma", of(&self.gamma, gradients)),
            ("beta", of(&self.beta, gradients)),
            ("squeeze", of(&self.squeeze, gradients)),
            ("squeeze bias", of(&self.squeeze_bias, gradients)),
            ("expand", of(&self.expand, gradients)),
            ("expand bias", of(&self.expand_bias, gradients)),
            ("weight", of(&self.weight, gradients)),
            ("bias", of(&self.bias, gradients)),
        ]
    }

    fn excitation(&self) -> ExcitationParameters {
        ExcitationParameters {
            squeeze: self.squeeze.clone(),
            squeeze_bias: self.squeeze_bias.clone(),
            expand: self.expand.clone(),
            expand_bias: self.expand_bias.clone(),
        }
    }
}

/// Kind of input of a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Normalized(Activation, Statistics),
    Excited(Activation, Statistics),
}

fn kinds() -> Vec<Kind> {
    let mut kinds = vec![Kind::Plain];
    for activation in ACTIVATIONS {
        for statistics in [Statistics::Batch, Statistics::Running] {
            kinds.push(Kind::Normalized(activation, statistics));
            kinds.push(Kind::Excited(activation, statistics));
        }
    }
    kinds
}

/// Mean and biased variance of each channel, `[1, C, 1, 1]`.
fn moments(values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let mean = values.clone().mean_dim(0).mean_dim(2).mean_dim(3);
    let variance = (values - mean.clone()).powi_scalar(2);
    (mean, variance.mean_dim(0).mean_dim(2).mean_dim(3))
}

fn running(channels: usize) -> (Tensor<1>, Tensor<1>) {
    let mean = tensor("running mean", [channels]);
    let variance = tensor("running variance", [channels]).abs() + 0.5;
    (mean, variance)
}

fn column(vector: Tensor<1>) -> Tensor<4> {
    let channels = vector.dims()[0];
    vector.reshape([1, channels, 1, 1])
}

fn activated(values: Tensor<4>, activation: Activation) -> Tensor<4> {
    match activation {
        Activation::Identity => values,
        Activation::Relu => values.clamp_min(0.0),
        Activation::Relu6 => values.clamp(0.0, 6.0),
        Activation::HardSwish => values.clone() * hard_sigmoid(values),
    }
}

fn hard_sigmoid(values: Tensor<4>) -> Tensor<4> {
    (values + 3.0).clamp(0.0, 6.0) / 6.0
}

fn expected_activations(
    leaves: &Leaves,
    activation: Activation,
    statistics: Statistics,
) -> Tensor<4> {
    let values = leaves.values.clone();
    let (mean, variance) = match statistics {
        Statistics::Batch => moments(values.clone()),
        Statistics::Running => {
            let (mean, variance) = running(values.dims()[1]);
            (column(mean), column(variance))
        }
    };
    let normalized = (values - mean) / (variance + EPSILON).sqrt();
    let affine = normalized * column(leaves.gamma.clone()) + column(leaves.beta.clone());
    activated(affine, activation)
}

fn expected_operand(leaves: &Leaves, kind: Kind) -> Tensor<4> {
    match kind {
        Kind::Plain => leaves.values.clone(),
        Kind::Normalized(activation, statistics) => {
            expected_activations(leaves, activation, statistics)
        }
        Kind::Excited(activation, statistics) => {
            let values = expected_activations(leaves, activation, statistics);
            let options = || ConvOptions::new([1; 2], [0; 2], [1; 2], 1);
            let pooled = values.clone().mean_dim(2).mean_dim(3);
            let bias = Some(leaves.squeeze_bias.clone());
            let hidden = conv2d(pooled, leaves.squeeze.clone(), bias, options()).clamp_min(0.0);
            let bias = Some(leaves.expand_bias.clone());
            let gate = hard_sigmoid(conv2d(hidden, leaves.expand.clone(), bias, options()));
            values * gate
        }
    }
}

fn normalized(leaves: &Leaves, activation: Activation, statistics: Statistics) -> Normalized {
    let values = leaves.values.clone();
    let channels = values.dims()[1];
    let (mean, variance) = match statistics {
        Statistics::Batch => {
            let (mean, variance) = moments(values.clone().detach());
            (mean.reshape([channels]), variance.reshape([channels]))
        }
        Statistics::Running => running(channels),
    };
    Normalized {
        values,
        mean,
        variance,
        gamma: leaves.gamma.clone(),
        beta: leaves.beta.clone(),
        normalization: Normalization {
            epsilon: EPSILON,
            statistics,
            activation,
        },
    }
}

fn input(leaves: &Leaves, kind: Kind) -> FeatureMap {
    match kind {
        Kind::Plain => FeatureMap::Plain(leaves.values.clone()),
        Kind::Normalized(activation, statistics) => {
            FeatureMap::Normalized(normalized(leaves, activation, statistics))
        }
        Kind::Excited(activation, statistics) => FeatureMap::Excited(
            normalized(leaves, activation, statistics),
            leaves.excitation(),
        ),
    }
}

/// A loss whose gradient differs from element to element.
fn loss<const D: usize>(output: Tensor<D>) -> Tensor<1> {
    (output.clone() * tensor("loss", output.dims())).sum()
}

fn assert_close(found: &[f32], expected: &[f32], context: &str) {
    assert_eq!(found.len(), expected.len(), "{context}");
    let scale = expected
        .iter()
        .fold(1.0_f32, |top, value| top.max(value.abs()));
    for (a, b) in found.iter().zip(expected) {
        assert!(
            (a - b).abs() < 2e-5 * scale,
            "{context}: found {a}, expected {b}"
        );
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Compares outputs and the gradients of all leaves.
fn assert_same<const D: usize>(
    case: &Case,
    context: &str,
    found: impl Fn(&Leaves) -> Tensor<D>,
    expected: impl Fn(&Leaves) -> Tensor<D>,
) {
    let (ours, theirs) = (Leaves::new(case), Leaves::new(case));
    let (found, expected) = (found(&ours), expected(&theirs));
    assert_close(&values(found.clone()), &values(expected.clone()), context);
    let (found, expected) = (loss(found).backward(), loss(expected).backward());
    for ((name, found), (_, expected)) in ours
        .gradients(&found)
        .into_iter()
        .zip(theirs.gradients(&expected))
    {
        let context = format!("{context}: gradient of {name}");
        match (found, expected) {
            (Some(found), Some(expected)) => assert_close(&found, &expected, &context),
            (None, None) => {}
            (found, _) => panic!("{context}: one side has none, ours {found:?}"),
        }
    }
}

#[test]
fn convolutions_and_their_gradients() {
    for (index, case) in CASES.iter().enumerate() {
        for kind in kinds() {
            let context = format!("case {index}, {kind:?}");
            let convolve = |leaves: &Leaves, bias: Option<Tensor<1>>| {
                let options = case.convolution.options();
                conv2d(
                    expected_operand(leaves, kind),
                    leaves.weight.clone(),
                    bias,
                    options,
                )
            };
            assert_same(
                case,
                &context,
                |leaves| input(leaves, kind).convolve(leaves.weight.clone(), case.convolution),
                |leaves| convolve(leaves, None),
            );
            assert_same(
                case,
                &format!("{context}, bias"),
                |leaves| {
                    let (weight, bias) = (leaves.weight.clone(), leaves.bias.clone());
                    input(leaves, kind).convolve_bias(weight, bias, case.convolution)
                },
                |leaves| convolve(leaves, Some(leaves.bias.clone())),
            );
        }
    }
}

#[test]
fn statistics_are_those_of_the_output() {
    for case in &CASES {
        let leaves = Leaves::new(case);
        let ConvolvedMap {
            values: output,
            mean,
            variance,
        } = FeatureMap::Plain(leaves.values.clone())
            .convolve_statistics(leaves.weight.clone(), case.convolution);
        assert!(!mean.is_tracked() && !variance.is_tracked());
        let (expected_mean, expected_variance) = moments(output);
        assert_close(&values(mean), &values(expected_mean), "mean");
        assert_close(&values(variance), &values(expected_variance), "variance");
    }
}

#[test]
fn activations_and_their_gradients() {
    for (index, case) in CASES.iter().enumerate() {
        for activation in ACTIVATIONS {
            for statistics in [Statistics::Batch, Statistics::Running] {
                let context = format!("case {index}, {activation:?}, {statistics:?}");
                let kind = Kind::Normalized(activation, statistics);
                assert_same(
                    case,
                    &context,
                    |leaves| input(leaves, kind).activations(),
                    |leaves| expected_operand(leaves, kind),
                );
                // The residual is the raw values themselves: both paths add up.
                assert_same(
                    case,
                    &format!("{context}, residual"),
                    |leaves| input(leaves, kind).activations_add(leaves.values.clone()),
                    |leaves| expected_operand(leaves, kind) + leaves.values.clone(),
                );
            }
        }
    }
}

#[test]
fn a_map_with_two_readers_gets_both_gradients() {
    let case = &CASES[1];
    let kind = Kind::Normalized(Activation::HardSwish, Statistics::Batch);
    assert_same(
        case,
        "two readers",
        |leaves| {
            let map = input(leaves, kind);
            let convolved = map
                .clone()
                .convolve(leaves.weight.clone(), case.convolution);
            convolved + map.activations()
        },
        |leaves| {
            let operand = expected_operand(leaves, kind);
            let options = case.convolution.options();
            conv2d(operand.clone(), leaves.weight.clone(), None, options) + operand
        },
    );
}

#[test]
fn nothing_is_recorded_without_a_leaf_that_wants_its_gradient() {
    let case = &CASES[0];
    let values = tensor("values", case.input);
    let weight = tensor("weight", case.weight_shape());
    let output = FeatureMap::Plain(values).convolve(weight, case.convolution);
    assert!(!output.is_tracked());
}

#[test]
fn a_frozen_weight_gets_no_gradient_and_lets_others_pass() {
    let case = &CASES[3];
    let values = leaf("values", case.input);
    let weight = tensor("weight", case.weight_shape());
    let output = FeatureMap::Plain(values.clone()).convolve(weight.clone(), case.convolution);
    let gradients = loss(output).backward();
    assert!(values.grad(&gradients).is_some());
    assert!(weight.grad(&gradients).is_none());
}
