//! Batch norms folded into the convolutions before them.
//!
//! `gamma * (w x - mean) / sqrt(var + eps) + beta = (s w) x + (beta - s mean)`
//! with `s = gamma / sqrt(var + eps)`.

use ssdlite_core::unit::BATCH_NORM_EPS;
use ssdlite_core::{Node, Operation};

use crate::error::{Error, Result};
use crate::state_dict::StateDict;

/// Weights in PyTorch's order and a bias.
#[derive(Clone, Debug)]
pub struct Folded {
    /// `[out, in / groups, kernel, kernel]` or `[out, in]`, row-major.
    pub weights: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
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
///
/// # Errors
/// [`Error::WeightsMismatch`] for a tensor that is missing, [`Error::Malformed`] for
/// numbers that overflow when the batch norm is folded into them.
pub fn node(weights: &StateDict, node: &Node) -> Result<Folded> {
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

/// A layer with weight and bias, by their keys, and no batch norm.
///
/// # Errors
/// [`Error::WeightsMismatch`] for a tensor that is missing.
pub fn plain(weights: &StateDict, [weight, bias]: [&str; 2]) -> Result<Folded> {
    Ok(Folded {
        weights: numbers(weights, weight)?.to_vec(),
        bias: numbers(weights, bias)?.to_vec(),
    })
}
