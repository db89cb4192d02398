//! The default bodies, which GPU backends use, agree with the implementation
//! for Flex that the other tests run.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Tensor;

use super::super::gradients::{UnitRecord, Wanted, unit_backward};
use super::super::primitives;
use super::super::{
    Excitation, ExcitationParameters, Gate, NetworkGradients, NetworkOps, NormSpec, PendingMap,
    Statistics, UnitInput, UnitOutput, UnitParameters, UnitSpec,
};
use super::{CASES, Case, EPSILON, Kind, Leaves, assert_close, floats, kinds, running, tensor};

fn primitive<const D: usize>(tensor: &Tensor<D>) -> FloatTensor<Flex> {
    let tensor = tensor.clone().inner();
    tensor
        .try_into_primitive::<Flex>()
        .expect("a tensor of Flex")
}

fn numbers<const D: usize>(primitive: FloatTensor<Flex>) -> Vec<f32> {
    floats(Tensor::<D>::from_primitive::<Flex>(primitive))
}

fn parameters(leaves: &Leaves, kind: Kind) -> UnitParameters<Flex> {
    let excitation = if kind.excited {
        Excitation::Present(ExcitationParameters {
            squeeze: primitive(&leaves.squeeze),
            squeeze_bias: primitive(&leaves.squeeze_bias),
            expand: primitive(&leaves.expand),
            expand_bias: primitive(&leaves.expand_bias),
        })
    } else {
        Excitation::Absent
    };
    UnitParameters {
        weight: primitive(&leaves.weight),
        gamma: primitive(&leaves.gamma),
        beta: primitive(&leaves.beta),
        excitation,
    }
}

fn statistics(case: &Case, kind: Kind) -> Statistics<Flex> {
    if kind.batch_statistics {
        return Statistics::Batch;
    }
    let (mean, variance) = running(case.out);
    Statistics::Running {
        mean: primitive(&mean),
        variance: primitive(&variance),
    }
}

fn spec(case: &Case, kind: Kind) -> UnitSpec {
    UnitSpec {
        convolution: case.convolution,
        norm: NormSpec {
            epsilon: EPSILON,
            activation: kind.activation,
        },
    }
}

/// The result of a unit.
fn result(leaves: &Leaves, output: UnitOutput<Flex>, norm: NormSpec) -> PendingMap<Flex> {
    PendingMap {
        values: output.values,
        mean: output.mean,
        variance: output.variance,
        gamma: primitive(&leaves.gamma),
        beta: primitive(&leaves.beta),
        gate: output.gate,
        norm,
    }
}

/// Every combination of case and kind with its name.
fn for_all(check: impl Fn(&Case, Kind, &str)) {
    for (index, case) in CASES.iter().enumerate() {
        for kind in kinds() {
            check(case, kind, &format!("case {index}, {kind:?}"));
        }
    }
}

#[test]
fn forward() {
    for_all(|case, kind, context| {
        let leaves = Leaves::new(case);
        let spec = spec(case, kind);
        let input = UnitInput::Plain(primitive(&leaves.values));
        let run = |unit: fn(_, _, _, _) -> UnitOutput<Flex>| {
            unit(
                input.clone(),
                parameters(&leaves, kind),
                statistics(case, kind),
                spec,
            )
        };
        let (flex, body) = (run(Flex::unit), run(primitives::unit::<Flex>));
        assert_close(
            &numbers::<1>(flex.variance.clone()),
            &numbers::<1>(body.variance.clone()),
            context,
        );
        let flex = Flex::activations(UnitInput::Pending(result(&leaves, flex, spec.norm)));
        let body = primitives::operand(UnitInput::Pending(result(&leaves, body, spec.norm)));
        assert_close(&numbers::<4>(flex), &numbers::<4>(body), context);
    });
}

#[test]
fn backward() {
    for_all(|case, kind, context| {
        let leaves = Leaves::new(case);
        let spec = spec(case, kind);
        let input = UnitInput::Plain(primitive(&leaves.values));
        let output = primitives::unit::<Flex>(
            input.clone(),
            parameters(&leaves, kind),
            statistics(case, kind),
            spec,
        );
        let gated = matches!(output.gate, Gate::Present(_));
        assert_eq!(gated, kind.excited);
        let record = UnitRecord {
            input,
            parameters: parameters(&leaves, kind),
            output,
            batch_statistics: kind.batch_statistics,
            spec,
        };
        let gradient = primitive(&tensor("loss", case.output_shape()));
        let wanted = Wanted {
            input: true,
            weight: true,
        };
        let flex = Flex::unit_backward(record.clone(), gradient.clone(), wanted);
        let body = unit_backward(record, gradient, wanted);
        let lists = [flex, body].map(|gradients| {
            let mut list = vec![
                numbers::<4>(gradients.input.expect("wanted")),
                numbers::<4>(gradients.weight.expect("wanted")),
                numbers::<1>(gradients.norm.gamma),
                numbers::<1>(gradients.norm.beta),
            ];
            if let Some(excitation) = gradients.excitation {
                list.extend([
                    numbers::<4>(excitation.squeeze),
                    numbers::<1>(excitation.squeeze_bias),
                    numbers::<4>(excitation.expand),
                    numbers::<1>(excitation.expand_bias),
                ]);
            }
            list
        });
        for (flex, body) in lists[0].iter().zip(&lists[1]) {
            assert_close(flex, body, context);
        }
    });
}
