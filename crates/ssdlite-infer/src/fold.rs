//! Batch norms folded into the convolutions before them.
//!
//! `gamma * (w x - mean) / sqrt(var + eps) + beta = (s w) x + (beta - s mean)`
//! with `s = gamma / sqrt(var + eps)`.

use ssdlite_core::Activation;
use ssdlite_core::unit::{BATCH_NORM_EPS, ConvUnit};
use ssdlite_kernels::infer;

use crate::error::{Error, Result};
use crate::model_file::ModelFile;

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

/// Numbers that the file was checked to hold.
fn numbers(file: &ModelFile, key: &str) -> Result<Vec<f32>> {
    file.numbers(key)
        .ok_or_else(|| Error::WrongWeights(format!("expected a tensor {key}, found none")))
}

/// A convolution with the batch norm after it.
pub(crate) fn unit(file: &ModelFile, unit: &ConvUnit) -> Result<Folded> {
    let key = &unit.key;
    let mut weights = numbers(file, &format!("{key}.0.weight"))?;
    let gamma = numbers(file, &format!("{key}.1.weight"))?;
    let beta = numbers(file, &format!("{key}.1.bias"))?;
    let mean = numbers(file, &format!("{key}.1.running_mean"))?;
    let variance = numbers(file, &format!("{key}.1.running_var"))?;
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
pub(crate) fn plain(file: &ModelFile, key: &str) -> Result<Folded> {
    Ok(Folded {
        weights: numbers(file, &format!("{key}.weight"))?,
        bias: numbers(file, &format!("{key}.bias"))?,
    })
}

/// The kernels' name of an activation.
pub(crate) fn kernel_activation(activation: Activation) -> infer::Activation {
    match activation {
        Activation::Identity => infer::Activation::None,
        Activation::Relu => infer::Activation::Relu,
        Activation::Relu6 => infer::Activation::Relu6,
        Activation::HardSwish => infer::Activation::HardSwish,
    }
}
