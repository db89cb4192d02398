//! Batch norms folded into the convolutions before them.
//!
//! `gamma * (w x - mean) / sqrt(var + eps) + beta = (s w) x + (beta - s mean)`
//! with `s = gamma / sqrt(var + eps)`.

use ssdlite_core::unit::BATCH_NORM_EPS;
use ssdlite_core::{Node, Operation};
use ssdlite_model::{Error, Result, StateDict};

/// Weights in PyTorch's order and a bias.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl Folded {
    fn checked(self, key: &str) -> Result<Self> {
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        if finite(&self.weights) && finite(&self.bias) {
            Ok(self)
        } else {
            Err(Error::Malformed(format!(
                "expected finite numbers after folding the batch norm into {key}, \
                 found an overflow"
            )))
        }
    }
}

/// Numbers that the weights were checked to hold.
fn numbers<'a>(weights: &'a StateDict, key: &str) -> Result<&'a [f32]> {
    let tensor = weights.get(key).and_then(|tensor| tensor.floats());
    tensor.ok_or_else(|| Error::WeightsMismatch(format!("expected a tensor {key}, found none")))
}

/// A convolution with the batch norm after it if it has one, or a linear layer.
pub(crate) fn node(weights: &StateDict, node: &Node) -> Result<Folded> {
    match node.operation {
        Operation::ConvUnit(..) => unit(weights, node),
        _ => plain(weights, [&node.weight_key(), &node.bias_key()]),
    }
}

fn unit(weights: &StateDict, node: &Node) -> Result<Folded> {
    let key = &node.key;
    let of = |name: &str| numbers(weights, &format!("{key}.{name}"));
    let (gamma, beta) = (of("1.weight")?, of("1.bias")?);
    let (mean, variance) = (of("1.running_mean")?, of("1.running_var")?);
    let mut weights = numbers(weights, &node.weight_key())?.to_vec();
    let row = weights.len() / gamma.len();
    let mut bias = Vec::with_capacity(beta.len());
    for (channel, row) in weights.chunks_exact_mut(row).enumerate() {
        let deviation = (f64::from(variance[channel]) + BATCH_NORM_EPS).sqrt();
        let scale = f64::from(gamma[channel]) / deviation;
        for weight in row {
            *weight = (f64::from(*weight) * scale) as f32;
        }
        bias.push((f64::from(beta[channel]) - scale * f64::from(mean[channel])) as f32);
    }
    Folded { weights, bias }.checked(key)
}

/// A layer with weight and bias and no batch norm.
pub(crate) fn plain(weights: &StateDict, [weight, bias]: [&str; 2]) -> Result<Folded> {
    Ok(Folded {
        weights: numbers(weights, weight)?.to_vec(),
        bias: numbers(weights, bias)?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};

    use super::*;
    use crate::bench::arbitrary_model;

    /// Largest difference, relative to the sum of all products' sizes.
    const TOLERANCE: f64 = 1e-5;

    #[test]
    fn folding_changes_no_output() {
        let classes = ClassNames::new(["one"]).expect("a name");
        let info = ModelInfo::classifier(MobileNetV3::new(Variant::Small), classes, 64);
        let file = arbitrary_model(&info).expect("a sound description");
        let state = file.state();
        let graph = info.graph();
        let units = graph.nodes().iter();
        let units = units.filter(|node| matches!(node.operation, Operation::ConvUnit(..)));
        for unit in units {
            let of = |name: &str| numbers(state, &format!("{}.{name}", unit.key)).expect(name);
            let weights = of("0.weight");
            let [gamma, beta, mean, variance] =
                ["weight", "bias", "running_mean", "running_var"].map(|n| of(&format!("1.{n}")));
            let folded = node(state, unit).expect("sound numbers");
            let row = weights.len() / gamma.len();
            let input = |index: usize| (index as f64 * 0.7).sin();
            let product = |weights: &[f32]| -> f64 {
                let weights = weights.iter().enumerate();
                weights.map(|(i, &w)| f64::from(w) * input(i)).sum()
            };
            for channel in 0..gamma.len() {
                let range = channel * row..(channel + 1) * row;
                let at = |numbers: &[f32]| f64::from(numbers[channel]);
                let centred = product(&weights[range.clone()]) - at(mean);
                let deviation = (at(variance) + BATCH_NORM_EPS).sqrt();
                let expected = centred / deviation * at(gamma) + at(beta);
                let found = product(&folded.weights[range.clone()]) + at(&folded.bias);
                let sizes = folded.weights[range].iter().map(|w| f64::from(w.abs()));
                let error = (found - expected).abs() / (sizes.sum::<f64>() + 1.0);
                assert!(error < TOLERANCE, "{}: {found}, not {expected}", unit.key);
            }
        }
    }
}
