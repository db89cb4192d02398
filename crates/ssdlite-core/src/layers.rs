//! Networks as flat lists of layers at an input size, with shapes and costs:
//! what `inspect` prints and what benchmarks name.

use crate::detector::{DetectorNetwork, Head};
use crate::mobilenet::{Backbone, ClassifierNetwork, InvertedResidual};
use crate::unit::{Conv, ConvKind, ConvUnit, Linear, MapSize, SqueezeExcite};

/// A layer with weights, at the size at which it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Key in torchvision's `state_dict`.
    pub key: String,
    /// What it computes.
    pub kind: LayerKind,
    /// Channels of its input.
    pub in_channels: usize,
    /// Channels of its output.
    pub out_channels: usize,
    /// Map that it reads.
    pub input: MapSize,
    /// Map that it writes.
    pub output: MapSize,
    /// Multiplications with addition for one image.
    pub macs: u64,
}

/// What a [`Layer`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// A convolution.
    Conv {
        /// How it connects channels.
        kind: ConvKind,
        /// Side of the kernel.
        kernel: usize,
        /// Step in both directions.
        stride: usize,
    },
    /// Both 1x1 convolutions of a squeeze-and-excite, on the averaged map.
    SqueezeExcite,
    /// A linear layer.
    Linear,
}

impl ClassifierNetwork {
    /// The layers for an input of this size, in running order.
    pub fn layers(&self, input: MapSize) -> Vec<Layer> {
        let mut list = LayerList::default();
        list.backbone(&self.backbone, input);
        list.linear(&self.hidden);
        list.linear(&self.output);
        list.0
    }

    /// Multiplications with addition for one image of this size.
    pub fn macs(&self, input: MapSize) -> u64 {
        self.layers(input).iter().map(|layer| layer.macs).sum()
    }
}

impl DetectorNetwork {
    /// The layers for an input of this size, in running order: backbone, extra
    /// blocks, classification heads, regression heads.
    pub fn layers(&self, input: MapSize) -> Vec<Layer> {
        let mut list = LayerList::default();
        let (c4, c5) = list.backbone(&self.backbone, input);
        let mut maps = vec![c4, c5];
        let mut map = c5;
        for block in &self.extra {
            map = list.unit(&block.squeeze, map);
            map = list.unit(&block.depthwise, map);
            map = list.unit(&block.expand, map);
            maps.push(map);
        }
        for heads in [&self.classification, &self.regression] {
            for (head, &map) in heads.iter().zip(&maps) {
                list.head(head, map);
            }
        }
        list.0
    }

    /// Multiplications with addition for one image of this size.
    pub fn macs(&self, input: MapSize) -> u64 {
        self.layers(input).iter().map(|layer| layer.macs).sum()
    }
}

#[derive(Default)]
struct LayerList(Vec<Layer>);

impl LayerList {
    /// Adds the backbone; returns the sizes of C4 and C5.
    fn backbone(&mut self, backbone: &Backbone, input: MapSize) -> (MapSize, MapSize) {
        let mut map = self.unit(&backbone.stem, input);
        let mut c4 = map;
        for (index, block) in backbone.blocks.iter().enumerate() {
            if index == backbone.c4_block {
                // The expansion keeps the size of the block's input.
                c4 = map;
            }
            map = self.block(block, map);
        }
        (c4, self.unit(&backbone.last, map))
    }

    fn block(&mut self, block: &InvertedResidual, mut map: MapSize) -> MapSize {
        if let Some(expand) = &block.expand {
            map = self.unit(expand, map);
        }
        map = self.unit(&block.depthwise, map);
        if let Some(squeeze_excite) = &block.squeeze_excite {
            self.squeeze_excite(squeeze_excite);
        }
        self.unit(&block.project, map)
    }

    fn unit(&mut self, unit: &ConvUnit, input: MapSize) -> MapSize {
        self.conv(format!("{}.0", unit.key), &unit.conv, input)
    }

    fn head(&mut self, head: &Head, map: MapSize) {
        let map = self.unit(&head.depthwise, map);
        self.conv(head.output.key.clone(), &head.output.conv, map);
    }

    fn conv(&mut self, key: String, conv: &Conv, input: MapSize) -> MapSize {
        let output = input.strided(conv.stride);
        self.0.push(Layer {
            key,
            kind: LayerKind::Conv {
                kind: conv.kind,
                kernel: conv.kernel,
                stride: conv.stride,
            },
            in_channels: conv.in_channels,
            out_channels: conv.out_channels,
            input,
            output,
            macs: conv.macs(input),
        });
        output
    }

    fn squeeze_excite(&mut self, layer: &SqueezeExcite) {
        let one = MapSize::new(1, 1);
        self.0.push(Layer {
            key: layer.key.clone(),
            kind: LayerKind::SqueezeExcite,
            in_channels: layer.channels,
            out_channels: layer.channels,
            input: one,
            output: one,
            macs: 2 * (layer.channels * layer.squeeze_channels) as u64,
        });
    }

    fn linear(&mut self, layer: &Linear) {
        let one = MapSize::new(1, 1);
        self.0.push(Layer {
            key: layer.key.clone(),
            kind: LayerKind::Linear,
            in_channels: layer.in_features,
            out_channels: layer.out_features,
            input: one,
            output: one,
            macs: (layer.in_features * layer.out_features) as u64,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mobilenet::{MobileNetV3, Variant};

    const LARGE: MobileNetV3 = MobileNetV3::new(Variant::Large);
    const SMALL: MobileNetV3 = MobileNetV3::new(Variant::Small);

    fn square(side: usize) -> MapSize {
        MapSize::new(side, side)
    }

    fn mmacs(macs: u64) -> f64 {
        (macs as f64 / 1e5).round() / 10.0
    }

    // Published by torchvision (0.217, 0.057 and 0.583 GMACs).
    #[test]
    fn published_costs_come_out() {
        assert_eq!(
            (LARGE.classifier(1000).macs(square(224)) as f64 / 1e6).round(),
            217.0
        );
        assert_eq!(
            (SMALL.classifier(1000).macs(square(224)) as f64 / 1e6).round(),
            57.0
        );
        let coco = LARGE.with_reduced_tail().detector(90);
        assert_eq!((coco.macs(square(320)) as f64 / 1e6).round(), 583.0);
    }

    #[test]
    fn costs_at_other_class_counts() {
        assert_eq!(mmacs(LARGE.classifier(30).macs(square(224))).round(), 215.0);
        assert_eq!(mmacs(SMALL.classifier(30).macs(square(224))), 55.5);
        for (network, at_300, at_320) in [
            (LARGE, 490.0, 530.0),
            (LARGE.with_reduced_tail(), 403.0, 443.0),
            (SMALL, 154.0, 164.0),
            (SMALL.with_reduced_tail(), 118.0, 128.0),
        ] {
            let detector = network.detector(20);
            assert_eq!(
                mmacs(detector.macs(square(300))).round(),
                at_300,
                "{network:?}"
            );
            assert_eq!(
                mmacs(detector.macs(square(320))).round(),
                at_320,
                "{network:?}"
            );
        }
    }

    #[test]
    fn a_detector_has_98_convolutions_with_those_of_squeeze_and_excite() {
        let layers = LARGE.detector(20).layers(square(320));
        let squeeze_excites = layers
            .iter()
            .filter(|layer| layer.kind == LayerKind::SqueezeExcite)
            .count();
        assert_eq!(squeeze_excites, 8);
        assert_eq!(layers.len() - squeeze_excites + 2 * squeeze_excites, 98);
    }
}
