//! Every tensor of a network by torchvision's key, with its shape.
//!
//! A file of weights is checked against this list: none missing, none
//! unexpected, every shape equal.

use crate::detector::{DetectorNetwork, Head};
use crate::mobilenet::{Backbone, ClassifierNetwork, InvertedResidual};
use crate::unit::{ConvUnit, HeadConv, Linear, SqueezeExcite};

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

impl ClassifierNetwork {
    /// Every tensor of the classifier.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut list = TensorList::default();
        list.backbone(&self.backbone);
        list.linear(&self.hidden);
        list.linear(&self.output);
        list.0
    }
}

impl DetectorNetwork {
    /// Every tensor of the detector.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut list = TensorList::default();
        list.backbone(&self.backbone);
        for block in &self.extra {
            list.unit(&block.squeeze);
            list.unit(&block.depthwise);
            list.unit(&block.expand);
        }
        for head in self.classification.iter().chain(&self.regression) {
            list.head(head);
        }
        list.0
    }
}

#[derive(Default)]
struct TensorList(Vec<TensorSpec>);

impl TensorList {
    fn push(&mut self, key: String, shape: &[usize], role: TensorRole) {
        self.0.push(TensorSpec {
            key,
            shape: shape.to_vec(),
            role,
        });
    }

    fn backbone(&mut self, backbone: &Backbone) {
        self.unit(&backbone.stem);
        for block in &backbone.blocks {
            self.block(block);
        }
        self.unit(&backbone.last);
    }

    fn block(&mut self, block: &InvertedResidual) {
        if let Some(expand) = &block.expand {
            self.unit(expand);
        }
        self.unit(&block.depthwise);
        if let Some(squeeze_excite) = &block.squeeze_excite {
            self.squeeze_excite(squeeze_excite);
        }
        self.unit(&block.project);
    }

    fn unit(&mut self, unit: &ConvUnit) {
        let key = &unit.key;
        let channels = [unit.conv.out_channels];
        self.push(
            format!("{key}.0.weight"),
            &unit.conv.weight_shape(),
            TensorRole::Weight,
        );
        for (name, shape, role) in [
            ("weight", &channels[..], TensorRole::BatchNormWeight),
            ("bias", &channels[..], TensorRole::BatchNormBias),
            ("running_mean", &channels[..], TensorRole::RunningMean),
            ("running_var", &channels[..], TensorRole::RunningVar),
            ("num_batches_tracked", &[][..], TensorRole::BatchesTracked),
        ] {
            self.push(format!("{key}.1.{name}"), shape, role);
        }
    }

    fn weight_and_bias(&mut self, key: &str, shape: &[usize]) {
        self.push(format!("{key}.weight"), shape, TensorRole::Weight);
        self.push(format!("{key}.bias"), &shape[..1], TensorRole::Bias);
    }

    fn squeeze_excite(&mut self, layer: &SqueezeExcite) {
        let (wide, narrow) = (layer.channels, layer.squeeze_channels);
        self.weight_and_bias(&format!("{}.fc1", layer.key), &[narrow, wide, 1, 1]);
        self.weight_and_bias(&format!("{}.fc2", layer.key), &[wide, narrow, 1, 1]);
    }

    fn head(&mut self, head: &Head) {
        self.unit(&head.depthwise);
        self.head_conv(&head.output);
    }

    fn head_conv(&mut self, layer: &HeadConv) {
        self.weight_and_bias(&layer.key, &layer.conv.weight_shape());
    }

    fn linear(&mut self, layer: &Linear) {
        self.weight_and_bias(&layer.key, &[layer.out_features, layer.in_features]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::mobilenet::{MobileNetV3, Variant};

    const LARGE: MobileNetV3 = MobileNetV3::new(Variant::Large);
    const SMALL: MobileNetV3 = MobileNetV3::new(Variant::Small);

    #[test]
    fn published_parameter_counts_come_out() {
        let classifier = |net: MobileNetV3| parameter_count(&net.classifier(1000).tensors());
        assert_eq!(classifier(LARGE), 5_483_032);
        assert_eq!(classifier(SMALL), 2_542_856);
        let detector =
            |net: MobileNetV3, classes| parameter_count(&net.detector(classes).tensors());
        assert_eq!(detector(LARGE.with_reduced_tail(), 90), 3_440_060);
        assert_eq!(detector(LARGE, 20), 4_026_740);
        assert_eq!(detector(LARGE.with_reduced_tail(), 20), 2_469_860);
        assert_eq!(detector(SMALL, 20), 1_751_396);
        assert_eq!(detector(SMALL.with_reduced_tail(), 20), 1_139_828);
    }

    #[test]
    fn keys_are_unique() {
        for tensors in [LARGE.classifier(7).tensors(), LARGE.detector(7).tensors()] {
            let keys: HashSet<_> = tensors.iter().map(|tensor| &tensor.key).collect();
            assert_eq!(keys.len(), tensors.len());
        }
    }
}
