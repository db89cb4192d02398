//! Every tensor of a network by torchvision's key, with its shape.
//!
//! A file of weights is checked against this list: none missing, none
//! unexpected, every shape equal.

use std::collections::HashSet;

use crate::graph::{Graph, Node, Operation, Part};

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TensorRole {
    /// `f32` weight of a convolution or a linear layer.
    Weight,
    /// `f32` bias of a convolution or a linear layer.
    Bias,
    /// `f32` scale of a batch norm.
    BatchNormWeight,
    /// `f32` shift of a batch norm.
    BatchNormBias,
    /// `f32` running mean of a batch norm; not trained.
    RunningMean,
    /// `f32` running variance of a batch norm; not trained.
    RunningVar,
    /// `i64` scalar, counted by PyTorch and otherwise unused; not trained.
    BatchesTracked,
}

impl TensorRole {
    /// Whether gradients change it, as opposed to a buffer.
    pub const fn is_parameter(self) -> bool {
        matches!(
            self,
            Self::Weight | Self::Bias | Self::BatchNormWeight | Self::BatchNormBias
        )
    }
}

/// A tensor that a network needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// torchvision's key.
    pub key: String,
    /// Its shape in PyTorch's order.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: TensorRole,
    /// The part of the network that it belongs to.
    pub part: Part,
}

impl TensorSpec {
    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The number of trained elements in a list of tensors.
pub fn parameter_count(tensors: &[TensorSpec]) -> usize {
    let trained = tensors.iter().filter(|tensor| tensor.role.is_parameter());
    trained.map(TensorSpec::elements).sum()
}

impl Graph {
    /// Every tensor of the network in the order of its nodes; one that several nodes
    /// share stands at the first.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut shared = HashSet::new();
        let all = self.nodes().iter().flat_map(|node| {
            let tensors = node.tensors().into_iter();
            tensors.map(move |tensor| (node.shared.is_some(), tensor))
        });
        let first =
            all.filter(|(is_shared, tensor)| !is_shared || shared.insert(tensor.key.clone()));
        first.map(|(_, tensor)| tensor).collect()
    }
}

impl Node {
    /// The node's tensors.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let key = &self.key;
        match self.operation {
            Operation::ConvUnit(conv, _) => {
                let weight = (self.weight_key(), TensorRole::Weight);
                let mut tensors = vec![self.tensor(weight, &conv.weight_shape())];
                let channels = [conv.out_channels];
                for (name, shape, role) in [
                    ("weight", &channels[..], TensorRole::BatchNormWeight),
                    ("bias", &channels[..], TensorRole::BatchNormBias),
                    ("running_mean", &channels[..], TensorRole::RunningMean),
                    ("running_var", &channels[..], TensorRole::RunningVar),
                    ("num_batches_tracked", &[][..], TensorRole::BatchesTracked),
                ] {
                    tensors.push(self.tensor((format!("{key}.1.{name}"), role), shape));
                }
                tensors
            }
            Operation::Conv(conv) => {
                let prefix = self.shared.as_ref().unwrap_or(key);
                self.weight_and_bias(prefix, &conv.weight_shape())
            }
            Operation::SqueezeExcite { squeeze_channels } => {
                let (wide, narrow) = (self.channels, squeeze_channels);
                let mut tensors =
                    self.weight_and_bias(&format!("{key}.fc1"), &[narrow, wide, 1, 1]);
                tensors.extend(self.weight_and_bias(&format!("{key}.fc2"), &[wide, narrow, 1, 1]));
                tensors
            }
            Operation::Linear(layer) => {
                self.weight_and_bias(key, &[layer.out_features, layer.in_features])
            }
            Operation::Image
            | Operation::Add
            | Operation::Upsample { .. }
            | Operation::GlobalPool
            | Operation::Output(_) => Vec::new(),
        }
    }

    fn weight_and_bias(&self, key: &str, shape: &[usize]) -> Vec<TensorSpec> {
        vec![
            self.tensor((format!("{key}.weight"), TensorRole::Weight), shape),
            self.tensor((format!("{key}.bias"), TensorRole::Bias), &shape[..1]),
        ]
    }

    fn tensor(&self, (key, role): (String, TensorRole), shape: &[usize]) -> TensorSpec {
        TensorSpec {
            key,
            shape: shape.to_vec(),
            role,
            part: self.part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mobilenet::{MobileNetV3, Variant};

    const LARGE: MobileNetV3 = MobileNetV3::new(Variant::Large);
    const SMALL: MobileNetV3 = MobileNetV3::new(Variant::Small);

    fn classifier(network: MobileNetV3, classes: usize) -> Vec<TensorSpec> {
        network.classifier(classes).tensors()
    }

    fn detector(network: MobileNetV3, classes: usize) -> Vec<TensorSpec> {
        network.detector(classes, &[6; 6]).tensors()
    }

    #[test]
    fn published_parameter_counts_come_out() {
        let count = |tensors: Vec<TensorSpec>| parameter_count(&tensors);
        assert_eq!(count(classifier(LARGE, 1000)), 5_483_032);
        assert_eq!(count(classifier(SMALL, 1000)), 2_542_856);
        assert_eq!(count(detector(LARGE.with_reduced_tail(), 90)), 3_440_060);
        assert_eq!(count(detector(LARGE, 20)), 4_026_740);
        assert_eq!(count(detector(LARGE.with_reduced_tail(), 20)), 2_469_860);
        assert_eq!(count(detector(SMALL, 20)), 1_751_396);
        assert_eq!(count(detector(SMALL.with_reduced_tail(), 20)), 1_139_828);
    }

    #[test]
    fn keys_are_unique() {
        for tensors in [classifier(LARGE, 7), detector(LARGE, 7)] {
            let keys: HashSet<_> = tensors.iter().map(|tensor| &tensor.key).collect();
            assert_eq!(keys.len(), tensors.len());
        }
    }

    #[test]
    fn tensors_know_their_part() {
        for tensor in detector(SMALL, 3) {
            let expected = match tensor.key.split('.').nth(1) {
                Some("features") => Part::Backbone,
                Some("extra") => Part::Extra,
                _ => Part::Head,
            };
            assert_eq!(tensor.part, expected, "{}", tensor.key);
        }
    }

    #[test]
    fn fewer_maps_have_fewer_extra_blocks_and_heads() {
        let all = detector(SMALL, 3);
        let some = SMALL.detector(3, &[4, 2, 3]).tensors();
        let of = |key: &str| some.iter().find(|tensor| tensor.key == key);
        assert!(of("backbone.extra.0.2.0.weight").is_some());
        assert!(of("backbone.extra.1.0.0.weight").is_none());
        let head = of("head.classification_head.module_list.1.1.bias").unwrap();
        assert_eq!(head.shape, [2 * 4]);
        assert!(of("head.regression_head.module_list.3.1.bias").is_none());
        assert!(some.len() < all.len());
    }
}
