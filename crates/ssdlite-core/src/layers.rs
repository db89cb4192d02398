//! Networks as flat lists of layers at an input size, with shapes and costs:
//! what `inspect` prints and what benchmarks name.

use crate::graph::{Graph, NodeId, Operation, OutputKind};
use crate::unit::{Conv, MapSize};

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
    Conv(Conv),
    /// Both 1x1 convolutions of a squeeze-and-excite, on the averaged map.
    SqueezeExcite,
    /// A linear layer.
    Linear,
}

impl Graph {
    /// The size of each node's map for an input of this size; 1 x 1 for vectors,
    /// and for outputs.
    pub fn map_sizes(&self, input: MapSize) -> Vec<MapSize> {
        let mut sizes: Vec<MapSize> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let read = node.inputs.first().map(|id| sizes[id.index()]);
            sizes.push(match (node.operation, read) {
                (Operation::ConvUnit(conv, _) | Operation::Conv(conv), Some(read)) => {
                    read.strided(conv.stride)
                }
                (Operation::SqueezeExcite { .. } | Operation::Add, Some(read)) => read,
                (Operation::Upsample { like }, _) => sizes[like.index()],
                (Operation::Image, _) => input,
                _ => MapSize::new(1, 1),
            });
        }
        sizes
    }

    /// Sizes of a detector's feature maps for an input of this size, in the
    /// order of its outputs; none for a classifier.
    pub fn feature_maps(&self, input: MapSize) -> Vec<MapSize> {
        let sizes = self.map_sizes(input);
        let regressions = self
            .outputs()
            .find(|(_, output)| output.kind == OutputKind::Regressions);
        let rows = regressions.map_or(&[][..], |(node, _)| &node.inputs);
        rows.iter().map(|id| sizes[id.index()]).collect()
    }

    /// The layers for an input of this size, in running order.
    pub fn layers(&self, input: MapSize) -> Vec<Layer> {
        let sizes = self.map_sizes(input);
        self.iter()
            .filter_map(|(id, _)| self.layer(id, &sizes))
            .collect()
    }

    /// The layer of a node, if it has weights; `sizes` are [`Self::map_sizes`].
    pub fn layer(&self, id: NodeId, sizes: &[MapSize]) -> Option<Layer> {
        let node = self.node(id);
        let input_id = node.inputs.first()?.index();
        let (input, output) = (sizes[input_id], sizes[id.index()]);
        let in_channels = self.nodes()[input_id].channels;
        let one = MapSize::new(1, 1);
        let (key, kind, [input, output], macs) = match node.operation {
            Operation::ConvUnit(conv, _) => (
                format!("{}.0", node.key),
                LayerKind::Conv(conv),
                [input, output],
                conv.macs(input),
            ),
            Operation::Conv(conv) => (
                node.key.clone(),
                LayerKind::Conv(conv),
                [input, output],
                conv.macs(input),
            ),
            Operation::SqueezeExcite { squeeze_channels } => (
                node.key.clone(),
                LayerKind::SqueezeExcite,
                [one, one],
                2 * (node.channels * squeeze_channels) as u64,
            ),
            Operation::Linear(layer) => (
                node.key.clone(),
                LayerKind::Linear,
                [one, one],
                (layer.in_features * layer.out_features) as u64,
            ),
            _ => return None,
        };
        Some(Layer {
            key,
            kind,
            in_channels,
            out_channels: node.channels,
            input,
            output,
            macs,
        })
    }

    /// Multiplications with addition for one image of this size.
    pub fn macs(&self, input: MapSize) -> u64 {
        self.layers(input).iter().map(|layer| layer.macs).sum()
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
        let coco = LARGE.with_reduced_tail().detector(90, &[6; 6]);
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
            let detector = network.detector(20, &[6; 6]);
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
        let layers = LARGE.detector(20, &[6; 6]).layers(square(320));
        let squeeze_excites = layers
            .iter()
            .filter(|layer| layer.kind == LayerKind::SqueezeExcite)
            .count();
        assert_eq!(squeeze_excites, 8);
        assert_eq!(layers.len() - squeeze_excites + 2 * squeeze_excites, 98);
    }

    #[test]
    fn feature_maps_at_300_and_320() {
        for network in [SMALL, LARGE] {
            let graph = network.detector(20, &[6; 6]);
            let sides = |side| -> Vec<usize> {
                let maps = graph.feature_maps(square(side));
                maps.iter().map(|map| map.height).collect()
            };
            assert_eq!(sides(300), [19, 10, 5, 3, 2, 1]);
            assert_eq!(sides(320), [20, 10, 5, 3, 2, 1]);
        }
        assert!(SMALL.classifier(20).feature_maps(square(64)).is_empty());
    }

    #[test]
    fn feature_maps_keep_rows_and_columns_apart() {
        let graph = SMALL.detector(20, &[6; 6]);
        let maps = graph.feature_maps(MapSize::new(200, 333));
        assert_eq!(maps[0], MapSize::new(13, 21));
        assert_eq!(maps[5], MapSize::new(1, 1));
    }
}
