//! The operations against the same mathematics in Burn's tensors, whose
//! gradients Burn derives itself, batch statistics included.

mod default_bodies;

use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Gradients, Tensor, TensorData};

use super::{
    Activation, Convolution, ExcitationTensors, FeatureMap, NormSpec, RunningTensors, UnitSpec,
    UnitTensors,
};
use ssdlite_testing::signed;

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
/// Output channels of the convolution that reads a unit's result.
const READER_OUT: usize = 3;
const POINTWISE: Convolution = Convolution {
    stride: 1,
    padding: 0,
    groups: 1,
};

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

    fn output_shape(&self) -> [usize; 4] {
        let [batch, _, height, width] = self.input;
        let stride = self.convolution.stride;
        [
            batch,
            self.out,
            height.div_ceil(stride),
            width.div_ceil(stride),
        ]
    }
}

/// What the unit under test does beside its convolution.
#[derive(Clone, Copy, Debug)]
struct Kind {
    activation: Activation,
    batch_statistics: bool,
    excited: bool,
}

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    for activation in ACTIVATIONS {
        for batch_statistics in [false, true] {
            for excited in [false, true] {
                kinds.push(Kind {
                    activation,
                    batch_statistics,
                    excited,
                });
            }
        }
    }
    kinds
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
    weight: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    squeeze: Tensor<4>,
    squeeze_bias: Tensor<1>,
    expand: Tensor<4>,
    expand_bias: Tensor<1>,
    residual: Tensor<4>,
    reader_weight: Tensor<4>,
    reader_bias: Tensor<1>,
}

impl Leaves {
    fn new(case: &Case) -> Self {
        let out = case.out;
        Self {
            values: leaf("values", case.input),
            weight: leaf("weight", case.weight_shape()),
            gamma: leaf("gamma", [out]),
            beta: leaf("beta", [out]),
            squeeze: leaf("squeeze", [SQUEEZED, out, 1, 1]),
            squeeze_bias: leaf("squeeze_bias", [SQUEEZED]),
            expand: leaf("expand", [out, SQUEEZED, 1, 1]),
            expand_bias: leaf("expand_bias", [out]),
            residual: leaf("residual", case.output_shape()),
            reader_weight: leaf("reader weight", [READER_OUT, out, 1, 1]),
            reader_bias: leaf("reader bias", [READER_OUT]),
        }
    }

    fn gradients(&self, gradients: &Gradients) -> Vec<(&'static str, Option<Vec<f32>>)> {
        fn of<const D: usize>(leaf: &Tensor<D>, gradients: &Gradients) -> Option<Vec<f32>> {
            Some(floats(leaf.grad(gradients)?))
        }
        vec![
            ("values", of(&self.values, gradients)),
            ("weight", of(&self.weight, gradients)),
            ("gamma", of(&self.gamma, gradients)),
            ("beta", of(&self.beta, gradients)),
            ("squeeze", of(&self.squeeze, gradients)),
            ("squeeze bias", of(&self.squeeze_bias, gradients)),
            ("expand", of(&self.expand, gradients)),
            ("expand bias", of(&self.expand_bias, gradients)),
            ("residual", of(&self.residual, gradients)),
            ("reader weight", of(&self.reader_weight, gradients)),
            ("reader bias", of(&self.reader_bias, gradients)),
        ]
    }

    fn parameters(&self, kind: Kind) -> UnitTensors {
        UnitTensors {
            weight: self.weight.clone(),
            gamma: self.gamma.clone(),
            beta: self.beta.clone(),
            excitation: kind.excited.then(|| ExcitationTensors {
                squeeze: self.squeeze.clone(),
                squeeze_bias: self.squeeze_bias.clone(),
                expand: self.expand.clone(),
                expand_bias: self.expand_bias.clone(),
            }),
        }
    }
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn running(channels: usize) -> (Tensor<1>, Tensor<1>) {
    let mean = tensor("running mean", [channels]);
    let variance = tensor("running variance", [channels]).abs() + 0.5;
    (mean, variance)
}

/// Mean and biased variance of each channel, `[1, C, 1, 1]`.
fn moments(values: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let mean = values.clone().mean_dim(0).mean_dim(2).mean_dim(3);
    let variance = (values - mean.clone()).powi_scalar(2);
    (mean, variance.mean_dim(0).mean_dim(2).mean_dim(3))
}

fn column(vector: Tensor<1>) -> Tensor<4> {
    let channels = vector.dims()[0];
    vector.reshape([1, channels, 1, 1])
}

fn hard_sigmoid(values: Tensor<4>) -> Tensor<4> {
    (values + 3.0).clamp(0.0, 6.0) / 6.0
}

fn convolved(values: Tensor<4>, weight: &Tensor<4>, bias: Option<&Tensor<1>>) -> Tensor<4> {
    let options = ConvOptions::new([1; 2], [0; 2], [1; 2], 1);
    conv2d(values, weight.clone(), bias.cloned(), options)
}

/// The unit's result in Burn's tensors.
fn expected_unit(case: &Case, leaves: &Leaves, kind: Kind) -> Tensor<4> {
    let (values, weight) = (leaves.values.clone(), leaves.weight.clone());
    let values = conv2d(values, weight, None, case.convolution.options());
    let (mean, variance) = if kind.batch_statistics {
        moments(values.clone())
    } else {
        let (mean, variance) = running(case.out);
        (column(mean), column(variance))
    };
    let normalized = (values - mean) / (variance + EPSILON).sqrt();
    let affine = normalized * column(leaves.gamma.clone()) + column(leaves.beta.clone());
    let activations = match kind.activation {
        Activation::Identity => affine,
        Activation::Relu => affine.clamp_min(0.0),
        Activation::Relu6 => affine.clamp(0.0, 6.0),
        Activation::HardSwish => affine.clone() * hard_sigmoid(affine),
    };
    if !kind.excited {
        return activations;
    }
    let pooled = activations.clone().mean_dim(2).mean_dim(3);
    let hidden = convolved(pooled, &leaves.squeeze, Some(&leaves.squeeze_bias)).clamp_min(0.0);
    let gate = hard_sigmoid(convolved(hidden, &leaves.expand, Some(&leaves.expand_bias)));
    activations * gate
}

/// The unit's result by the operation.
fn unit(case: &Case, leaves: &Leaves, kind: Kind) -> FeatureMap {
    let running = (!kind.batch_statistics).then(|| running(case.out));
    let running = running.map(|(mean, variance)| RunningTensors { mean, variance });
    let spec = UnitSpec {
        convolution: case.convolution,
        norm: NormSpec {
            epsilon: EPSILON,
            activation: kind.activation,
        },
    };
    let input = FeatureMap::from(leaves.values.clone());
    input.unit(leaves.parameters(kind), running, spec).map
}

/// A loss whose gradient differs from element to element.
fn loss(output: Tensor<4>) -> Tensor<1> {
    (output.clone() * tensor("loss", output.dims())).sum()
}

fn assert_close(found: &[f32], expected: &[f32], context: &str) {
    assert_eq!(found.len(), expected.len(), "{context}");
    let scale = expected.iter().fold(1.0_f32, |top, v| top.max(v.abs()));
    for (a, b) in found.iter().zip(expected) {
        let close = (a - b).abs() < 3e-5 * scale;
        assert!(close, "{context}: found {a}, expected {b}");
    }
}

/// Compares what is computed from a unit's result, and the gradients of all
/// leaves.
fn assert_same(
    read: impl Fn(&Leaves, FeatureMap) -> Tensor<4>,
    expected: impl Fn(&Leaves, Tensor<4>) -> Tensor<4>,
) {
    for (index, case) in CASES.iter().enumerate() {
        for kind in kinds() {
            let context = format!("case {index}, {kind:?}");
            let (ours, theirs) = (Leaves::new(case), Leaves::new(case));
            let found = read(&ours, unit(case, &ours, kind));
            let expected = expected(&theirs, expected_unit(case, &theirs, kind));
            assert_close(&floats(found.clone()), &floats(expected.clone()), &context);
            let (found, expected) = (loss(found).backward(), loss(expected).backward());
            let ours = ours.gradients(&found).into_iter();
            for ((name, found), (_, expected)) in ours.zip(theirs.gradients(&expected)) {
                let context = format!("{context}: gradient of {name}");
                match (found, expected) {
                    (Some(found), Some(expected)) => assert_close(&found, &expected, &context),
                    (None, None) => {}
                    (found, _) => panic!("{context}: one side has none, ours {found:?}"),
                }
            }
        }
    }
}

#[test]
fn a_result_that_is_read_as_it_is() {
    assert_same(|_, map| map.activations(), |_, values| values);
}

#[test]
fn a_result_that_a_residual_is_added_to() {
    assert_same(
        |leaves, map| {
            map.activations_add(leaves.residual.clone().into())
                .activations()
        },
        |leaves, values| values + leaves.residual.clone(),
    );
}

#[test]
fn a_result_that_a_convolution_reads() {
    assert_same(
        |leaves, map| {
            let (weight, bias) = (leaves.reader_weight.clone(), leaves.reader_bias.clone());
            map.biased_convolution(weight, bias, POINTWISE)
        },
        |leaves, values| convolved(values, &leaves.reader_weight, Some(&leaves.reader_bias)),
    );
}

#[test]
fn a_result_with_several_readers() {
    assert_same(
        |leaves, map| {
            let (weight, bias) = (leaves.reader_weight.clone(), leaves.reader_bias.clone());
            let convolved = map.clone().biased_convolution(weight, bias, POINTWISE);
            let again = map.clone().activations().sum_dim(1);
            convolved * again + map.activations().sum_dim(1)
        },
        |leaves, values| {
            let bias = Some(&leaves.reader_bias);
            let convolved = convolved(values.clone(), &leaves.reader_weight, bias);
            convolved * values.clone().sum_dim(1) + values.sum_dim(1)
        },
    );
}

#[test]
fn a_result_that_the_next_unit_reads() {
    let kind = Kind {
        activation: Activation::HardSwish,
        batch_statistics: true,
        excited: false,
    };
    let spec = UnitSpec {
        convolution: POINTWISE,
        norm: NormSpec {
            epsilon: EPSILON,
            activation: Activation::Identity,
        },
    };
    let running = |channels| {
        let (mean, variance) = running(channels);
        Some(RunningTensors { mean, variance })
    };
    assert_same(
        |leaves, map| {
            let parameters = UnitTensors {
                weight: leaves.reader_weight.clone(),
                gamma: leaves.reader_bias.clone(),
                ..leaves.parameters(kind)
            };
            let parameters = UnitTensors {
                beta: leaves.reader_bias.clone(),
                ..parameters
            };
            map.unit(parameters, running(READER_OUT), spec)
                .map
                .activations()
        },
        |leaves, values| {
            let values = convolved(values, &leaves.reader_weight, None);
            let (mean, variance) = self::running(READER_OUT);
            let normalized = (values - column(mean)) / (column(variance) + EPSILON).sqrt();
            let bias = column(leaves.reader_bias.clone());
            normalized * bias.clone() + bias
        },
    );
}

#[test]
fn statistics_are_those_of_the_convolution() {
    let kind = Kind {
        activation: Activation::Relu,
        batch_statistics: true,
        excited: false,
    };
    for case in &CASES {
        let leaves = Leaves::new(case);
        let spec = UnitSpec {
            convolution: case.convolution,
            norm: NormSpec {
                epsilon: EPSILON,
                activation: kind.activation,
            },
        };
        let input = FeatureMap::from(leaves.values.clone());
        let result = input.unit(leaves.parameters(kind), None, spec);
        assert!(!result.mean.is_autodiff() && !result.variance.is_autodiff());
        let (values, weight) = (leaves.values, leaves.weight);
        let (mean, variance) = moments(conv2d(values, weight, None, case.convolution.options()));
        assert_close(&floats(result.mean), &floats(mean), "mean");
        assert_close(&floats(result.variance), &floats(variance), "variance");
    }
}

#[test]
fn nothing_is_recorded_without_a_leaf_that_wants_its_gradient() {
    let case = &CASES[0];
    let leaves = Leaves {
        values: tensor("values", case.input),
        weight: tensor("weight", case.weight_shape()),
        gamma: tensor("gamma", [case.out]),
        beta: tensor("beta", [case.out]),
        ..Leaves::new(case)
    };
    for kind in kinds().into_iter().filter(|kind| !kind.excited) {
        assert!(!unit(case, &leaves, kind).activations().is_tracked());
    }
}

#[test]
fn a_frozen_unit_lets_gradients_pass() {
    let case = &CASES[3];
    let leaves = Leaves {
        weight: tensor("weight", case.weight_shape()),
        gamma: tensor("gamma", [case.out]),
        beta: tensor("beta", [case.out]),
        ..Leaves::new(case)
    };
    for kind in kinds().into_iter().filter(|kind| !kind.excited) {
        let gradients = loss(unit(case, &leaves, kind).activations()).backward();
        for (name, gradient) in leaves.gradients(&gradients) {
            assert_eq!(gradient.is_some(), name == "values", "{name}");
        }
    }
}
