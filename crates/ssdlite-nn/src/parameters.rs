//! Making parameters, by torchvision's keys.
//!
//! A parameter's first value depends on the seed and on its key alone, so it
//! is the same whatever else is built before it and on however many threads.
//! Its [`ParamId`] depends on the key alone, so optimizer states written by one
//! process fit the network built by the next.

use std::collections::HashMap;
use std::sync::Arc;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use ssdlite_core::TensorSpec;
use ssdlite_core::random::{Fnv1a, Rng};

use crate::buffer::Buffer;

/// A network's tensors by the ids that Burn knows them by.
#[derive(Clone, Debug)]
pub struct Inventory {
    specs: Vec<TensorSpec>,
    by_id: HashMap<ParamId, usize>,
}

impl Inventory {
    fn new(specs: Vec<TensorSpec>) -> Self {
        let ids = specs.iter().map(|spec| id_from_key(&spec.key));
        let by_id: HashMap<_, _> = ids.zip(0..).collect();
        debug_assert_eq!(by_id.len(), specs.len(), "two keys share an id");
        Self { specs, by_id }
    }

    /// All tensors in the order of the table.
    pub fn specs(&self) -> &[TensorSpec] {
        &self.specs
    }

    /// The tensor with this id, such as an optimizer sees.
    pub fn spec(&self, id: ParamId) -> Option<&TensorSpec> {
        self.by_id.get(&id).map(|&index| &self.specs[index])
    }
}

/// The id of the tensor with this key, in whatever network.
pub fn id_from_key(key: &str) -> ParamId {
    let mut hash = Fnv1a::default();
    hash.add_bytes(key.as_bytes());
    ParamId::from(hash.value())
}

/// The first values of a parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fill {
    /// One number everywhere.
    Constant(f32),
    /// Draws from the normal distribution with mean 0.
    Normal {
        /// Its standard deviation.
        deviation: f64,
    },
}

/// How a network fills the weights of its convolutions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConvolutionFill {
    /// Normal with deviation `sqrt(2 / (out_channels * kernel^2))`: He et al.,
    /// arXiv 1502.01852, by fan out, as torchvision's `mobilenetv3.py`.
    KaimingFanOut,
    /// Normal with this deviation, as `_normal_init` of torchvision's
    /// `ssdlite.py`.
    Normal(f64),
}

impl ConvolutionFill {
    pub(crate) fn of_weight(self, [out, _, height, width]: [usize; 4]) -> Fill {
        let deviation = match self {
            Self::KaimingFanOut => (2.0 / (out * height * width) as f64).sqrt(),
            Self::Normal(deviation) => deviation,
        };
        Fill::Normal { deviation }
    }
}

/// Makes a network's parameters and checks them off its inventory.
#[derive(Debug)]
pub(crate) struct ParameterBuilder<'a> {
    device: &'a Device,
    seed: u64,
    inventory: Inventory,
    made: usize,
}

impl<'a> ParameterBuilder<'a> {
    pub(crate) fn new(specs: Vec<TensorSpec>, seed: u64, device: &'a Device) -> Self {
        Self {
            device,
            seed,
            inventory: Inventory::new(specs),
            made: 0,
        }
    }

    /// The inventory, when all of it was made.
    pub(crate) fn into_inventory(self) -> Arc<Inventory> {
        debug_assert_eq!(self.made, self.inventory.specs.len());
        Arc::new(self.inventory)
    }

    pub(crate) fn parameter<const D: usize>(
        &mut self,
        key: String,
        shape: [usize; D],
        fill: Fill,
    ) -> Param<Tensor<D>> {
        let values = self.values(&key, shape.iter().product(), fill);
        let tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
        Param::initialized(self.register(&key), tensor).set_require_grad(true)
    }

    pub(crate) fn buffer(&mut self, key: String, length: usize, value: f32) -> Buffer {
        let data = TensorData::new(vec![value; length], [length]);
        Buffer::new(self.register(&key), Tensor::from_data(data, self.device))
    }

    fn register(&mut self, key: &str) -> ParamId {
        let id = id_from_key(key);
        debug_assert!(self.inventory.spec(id).is_some(), "{key} is in no table");
        self.made += 1;
        id
    }

    fn values(&self, key: &str, length: usize, fill: Fill) -> Vec<f32> {
        match fill {
            Fill::Constant(value) => vec![value; length],
            Fill::Normal { deviation } => {
                let mut rng = Rng::from_text(self.seed, key);
                let mut draw = || (rng.normal() * deviation) as f32;
                std::iter::repeat_with(&mut draw).take(length).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kaiming_deviation_counts_a_depthwise_kernel_once_a_channel() {
        let Fill::Normal { deviation } = ConvolutionFill::KaimingFanOut.of_weight([50, 1, 5, 5])
        else {
            panic!("expected a normal distribution");
        };
        assert!((deviation - (2.0_f64 / 1250.0).sqrt()).abs() < 1e-12);
    }
}
