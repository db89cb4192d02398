//! Making parameters, by torchvision's keys.
//!
//! A parameter's first value depends on the seed and on its key alone, so it
//! is the same whatever else is built before it and on however many threads.
//! Its [`ParamId`] depends on the key alone, so optimizer states written by one
//! process fit the network built by the next.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::sync::Arc;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use ssdlite_core::TensorSpec;

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
    ParamId::from(hash(key))
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
                let mut random = SplitMix(self.seed ^ hash(key));
                let mut draw = || (random.normal() * deviation) as f32;
                std::iter::repeat_with(&mut draw).take(length).collect()
            }
        }
    }
}

/// FNV-1a, 64 bits.
fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Uniform above 0 and up to 1.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller's transform.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(seed: u64, key: &str, length: usize) -> Vec<f32> {
        let device = Device::flex();
        let builder = ParameterBuilder::new(Vec::new(), seed, &device);
        builder.values(key, length, Fill::Normal { deviation: 0.5 })
    }

    #[test]
    fn values_depend_on_seed_and_key_alone() {
        assert_eq!(draws(7, "a.weight", 5), draws(7, "a.weight", 5));
        assert_ne!(draws(7, "a.weight", 5), draws(8, "a.weight", 5));
        assert_ne!(draws(7, "a.weight", 5), draws(7, "b.weight", 5));
    }

    #[test]
    fn normal_draws_have_their_moments() {
        let values = draws(1, "a.weight", 40_000);
        let count = values.len() as f64;
        let moment = |power: i32| {
            let sum: f64 = values.iter().map(|&v| f64::from(v).powi(power)).sum();
            sum / count
        };
        // Four standard errors of each moment.
        assert!(moment(1).abs() < 4.0 * 0.5 / count.sqrt());
        assert!((moment(2) - 0.25).abs() < 4.0 * 0.25 * (2.0 / count).sqrt());
        assert!((moment(4) - 3.0 * 0.0625).abs() < 4.0 * 0.0625 * (96.0 / count).sqrt());
    }

    #[test]
    fn kaiming_deviation_counts_a_depthwise_kernel_once_a_channel() {
        let Fill::Normal { deviation } = ConvolutionFill::KaimingFanOut.of_weight([50, 1, 5, 5])
        else {
            panic!("expected a normal distribution");
        };
        assert!((deviation - (2.0_f64 / 1250.0).sqrt()).abs() < 1e-12);
    }
}
