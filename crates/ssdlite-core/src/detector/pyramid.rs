//! A feature pyramid with one head for all of its maps.
//!
//! C3 (unless the finest map is C4), C4 and C5 get as many channels each by a 1x1
//! convolution; each coarser map is enlarged and added to the next finer one (arXiv
//! 1612.03144); coarser maps follow by separable convolutions of stride 2. A tower of
//! separable convolutions, whose weights the maps share while each map has batch
//! norms of its own, leads to one 1x1 convolution for the classes and one for the
//! boxes, which the maps share too: as in the light pyramids of TensorFlow's detection
//! models (`WeightSharedConvolutionalBoxPredictor`) and, with one tower for both, in
//! PicoDet (arXiv 2111.00902).

use super::{DetectorNetwork, FinestMap, head_name};
use crate::graph::{Graph, NodeId, Operation, Part};
use crate::mobilenet::{KeyScheme, MobileNetV3, Tap};
use crate::unit::{Activation, Conv};

/// The most maps coarser than C5.
pub(super) const MOST_COARSE_MAPS: usize = 3;

/// Separable convolutions before the outputs.
const TOWER: usize = 2;

/// Side of the tower's depthwise kernels.
const TOWER_KERNEL: usize = 5;

/// Adds backbone, pyramid and head; returns what the outputs are made of.
pub(super) fn add(
    backbone: &MobileNetV3,
    graph: &mut Graph,
    image: NodeId,
    network: &DetectorNetwork,
    channels: usize,
) -> [Vec<NodeId>; 2] {
    let mut tapped = Vec::new();
    let c5 = backbone.add_backbone(graph, image, KeyScheme::Detector, |_, tap, map| {
        if tap == Tap::C4 || network.finest == FinestMap::Stride8 {
            tapped.push(map);
        }
    });
    tapped.push(c5);
    let pyramid = Pyramid {
        channels,
        // P3 has a cell for each 2^3 pixels.
        first_level: network.finest.stride().ilog2(),
    };
    let maps = pyramid.add_maps(graph, &tapped, network.boxes_per_cell.len());
    pyramid.add_heads(graph, &maps, network)
}

struct Pyramid {
    channels: usize,
    /// The level of the finest map.
    first_level: u32,
}

impl Pyramid {
    /// The name of a map, counted from the finest.
    fn level(&self, map: usize) -> String {
        format!("p{}", self.first_level as usize + map)
    }

    /// Adds the pyramid's maps, the finest first.
    fn add_maps(&self, graph: &mut Graph, tapped: &[NodeId], count: usize) -> Vec<NodeId> {
        let mut maps = Vec::new();
        let mut coarser: Option<NodeId> = None;
        for (index, &tap) in tapped.iter().enumerate().rev() {
            let conv = Conv::pointwise(graph.node(tap).channels, self.channels);
            let unit = Operation::ConvUnit(conv, Activation::Identity);
            let key = format!("neck.lateral.{}", self.level(index));
            let lateral = graph.add(unit, &[tap], key, Part::Neck);
            let map = coarser.map_or(lateral, |coarser| {
                let like = Operation::Upsample { like: lateral };
                let enlarged = graph.add(like, &[coarser], "", Part::Neck);
                graph.add(Operation::Add, &[lateral, enlarged], "", Part::Neck)
            });
            coarser = Some(map);
            maps.insert(0, map);
        }
        while maps.len() < count {
            let key = format!("neck.down.{}", self.level(maps.len()));
            let last = maps[maps.len() - 1];
            maps.push(self.add_separable(graph, last, [3, 2], &key, None));
        }
        maps
    }

    /// Adds a depthwise and a 1x1 convolution, under `shared` with the weights of
    /// others.
    fn add_separable(
        &self,
        graph: &mut Graph,
        input: NodeId,
        [kernel, stride]: [usize; 2],
        key: &str,
        shared: Option<&str>,
    ) -> NodeId {
        let convs = [
            Conv::depthwise(self.channels, kernel, stride),
            Conv::pointwise(self.channels, self.channels),
        ];
        let part = if shared.is_some() {
            Part::Head
        } else {
            Part::Neck
        };
        convs
            .into_iter()
            .enumerate()
            .fold(input, |map, (place, conv)| {
                let unit = Operation::ConvUnit(conv, Activation::HardSwish);
                let node = graph.add(unit, &[map], format!("{key}.{place}"), part);
                if let Some(shared) = shared {
                    graph.share(node, &format!("{shared}.{place}"));
                }
                node
            })
    }

    /// Adds the tower and the outputs' convolutions on each map.
    fn add_heads(
        &self,
        graph: &mut Graph,
        maps: &[NodeId],
        network: &DetectorNetwork,
    ) -> [Vec<NodeId>; 2] {
        let boxes = network.boxes_per_cell[0];
        assert!(network.boxes_per_cell.iter().all(|&count| count == boxes));
        let mut rows = [Vec::new(), Vec::new()];
        for (index, &map) in maps.iter().enumerate() {
            let level = self.level(index);
            let features = (0..TOWER).fold(map, |map, layer| {
                let shared = format!("head.tower.{layer}");
                let key = format!("head.norms.{level}.{layer}");
                self.add_separable(graph, map, [TOWER_KERNEL, 1], &key, Some(&shared))
            });
            for (output, rows) in network.outputs().iter().zip(&mut rows) {
                let conv = Conv::pointwise(self.channels, boxes * output.numbers);
                let name = head_name(output.kind);
                let key = format!("head.{name}.{level}");
                let node = graph.add(Operation::Conv(conv), &[features], key, Part::Head);
                graph.share(node, &format!("head.{name}"));
                rows.push(node);
            }
        }
        rows
    }
}
