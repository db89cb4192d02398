//! Detectors on MobileNetV3 as tables.
//!
//! SSD-lite is that of arXiv 1905.02244, section 6.3, and arXiv 1801.04381, as
//! torchvision's `models/detection/ssdlite.py` reads them: the first map at the
//! expansion of the bottleneck of C4, the second at the last layer before pooling,
//! four extra blocks, separable heads on all six maps. A map of stride 8 may come
//! before them, the expansion of the bottleneck of C3, with heads of its own.
//!
//! The other head is a feature pyramid, in `pyramid.rs`.

mod pyramid;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::{Graph, NodeId, Operation, Output, OutputKind, Part};
use crate::mobilenet::{KeyScheme, MobileNetV3, Tap};
use crate::scores::Scores;
use crate::unit::{Activation, Conv};

/// Output channels of the extra blocks at width 1.
const EXTRA_CHANNELS: [usize; 4] = [512, 256, 256, 128];

/// The least channels of an extra block: torchvision's `min_depth`.
const MIN_EXTRA_CHANNELS: usize = 16;

/// Numbers that describe a box relative to a default box.
pub const BOX_NUMBERS: usize = 4;

/// The fewest and the most feature maps of any detector: two of SSD-lite without
/// extra blocks, and seven with all of them and the map of stride 8.
pub const FEATURE_MAP_COUNTS: std::ops::RangeInclusive<usize> = 2..=3 + EXTRA_CHANNELS.len();

/// The finest map that a detector finds objects in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum FinestMap {
    /// C3, a cell for each 8 x 8 pixels: for small objects.
    Stride8,
    /// C4, a cell for each 16 x 16 pixels, as in the paper.
    #[default]
    Stride16,
}

impl FinestMap {
    /// Pixels of the input between two cells.
    pub const fn stride(self) -> u32 {
        match self {
            Self::Stride8 => 8,
            Self::Stride16 => 16,
        }
    }
}

impl From<FinestMap> for u32 {
    fn from(finest: FinestMap) -> Self {
        finest.stride()
    }
}

impl TryFrom<u32> for FinestMap {
    type Error = Error;

    fn try_from(stride: u32) -> Result<Self> {
        match stride {
            8 => Ok(Self::Stride8),
            16 => Ok(Self::Stride16),
            _ => Err(Error::Unsupported(format!(
                "expected a finest map of stride 8 or 16, found {stride}"
            ))),
        }
    }
}

/// What finds objects in the backbone's maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Head {
    /// The paper's SSD-lite: extra blocks after the backbone, and heads of its own
    /// for each map.
    #[default]
    Ssdlite,
    /// A feature pyramid, and one head for all of its maps.
    Fpn {
        /// Channels of its maps.
        channels: usize,
    },
}

impl Head {
    /// Channels of a pyramid unless asked otherwise.
    pub const USUAL_CHANNELS: usize = 64;

    /// The channels that a pyramid may have.
    const CHANNELS: std::ops::RangeInclusive<usize> = 8..=512;

    /// `ssdlite` or `fpn`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssdlite => "ssdlite",
            Self::Fpn { .. } => "fpn",
        }
    }

    /// How many maps a detector with this head can have.
    pub const fn map_counts(self, finest: FinestMap) -> std::ops::RangeInclusive<usize> {
        let finer = match finest {
            FinestMap::Stride8 => 1,
            FinestMap::Stride16 => 0,
        };
        match self {
            Self::Ssdlite => 2 + finer..=2 + finer + EXTRA_CHANNELS.len(),
            Self::Fpn { .. } => 2 + finer..=2 + finer + pyramid::MOST_COARSE_MAPS,
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for channels outside 8 to 512 or not a multiple of 8.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Fpn { channels }
                if !Self::CHANNELS.contains(&channels) || !channels.is_multiple_of(8) =>
            {
                Err(Error::Unsupported(format!(
                    "expected a pyramid of 8 to 512 channels, a multiple of 8, found {channels}"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// A detector's network besides its backbone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorNetwork {
    /// What finds objects in the maps.
    pub head: Head,
    /// The finest of the maps.
    pub finest: FinestMap,
    /// Default boxes at a cell of each map, the finest first.
    pub boxes_per_cell: Vec<usize>,
    /// Class logits of a default box.
    pub logits: usize,
}

impl DetectorNetwork {
    /// Its outputs: logits, then regressions.
    fn outputs(&self) -> [Output; 2] {
        let output = |kind, numbers| Output { kind, numbers };
        [
            output(OutputKind::Logits, self.logits),
            output(OutputKind::Regressions, BOX_NUMBERS),
        ]
    }
}

/// Where torchvision has the heads of an output.
const fn head_name(kind: OutputKind) -> &'static str {
    match kind {
        OutputKind::Logits => "classification_head",
        OutputKind::Regressions => "regression_head",
    }
}

/// The heads of a detector on its way, map by map.
struct Heads<'a> {
    network: &'a DetectorNetwork,
    /// What the outputs are made of so far.
    rows: [Vec<NodeId>; 2],
}

impl Heads<'_> {
    /// Adds both separable heads of the next map: depthwise 3x3, then 1x1 with
    /// bias, whose output channel is `default box * numbers + number`.
    fn add(&mut self, graph: &mut Graph, map: NodeId) {
        let index = self.rows[0].len();
        // The paper's maps keep torchvision's numbers.
        let place = match (self.network.finest, index) {
            (FinestMap::Stride8, 0) => "stride8".to_owned(),
            (FinestMap::Stride8, _) => format!("module_list.{}", index - 1),
            (FinestMap::Stride16, _) => format!("module_list.{index}"),
        };
        let channels = graph.node(map).channels;
        let depthwise = Operation::ConvUnit(Conv::depthwise(channels, 3, 1), Activation::Relu6);
        for (output, rows) in self.network.outputs().iter().zip(&mut self.rows) {
            let name = head_name(output.kind);
            let key = |part: usize| format!("head.{name}.{place}.{part}");
            let features = graph.add(depthwise, &[map], key(0), Part::Head);
            let numbers = self.network.boxes_per_cell[index] * output.numbers;
            let conv = Operation::Conv(Conv::pointwise(channels, numbers));
            rows.push(graph.add(conv, &[features], key(1), Part::Head));
        }
    }
}

impl MobileNetV3 {
    /// The paper's SSD-lite for this many classes, background not counted, with as
    /// many feature maps as there are numbers of default boxes a cell.
    ///
    /// # Panics
    /// As [`Self::detector_with`].
    pub fn detector(&self, classes: usize, boxes_per_cell: &[usize]) -> Graph {
        self.detector_with(&DetectorNetwork {
            head: Head::Ssdlite,
            finest: FinestMap::Stride16,
            boxes_per_cell: boxes_per_cell.to_vec(),
            logits: Scores::Softmax.logits(classes),
        })
    }

    /// A detector on this backbone.
    ///
    /// # Panics
    /// If the maps are not in [`Head::map_counts`], or differ in their default boxes
    /// under a head that they share.
    pub fn detector_with(&self, network: &DetectorNetwork) -> Graph {
        let counts = network.head.map_counts(network.finest);
        assert!(counts.contains(&network.boxes_per_cell.len()));
        let (mut graph, image) = Graph::new();
        let rows = match network.head {
            Head::Ssdlite => self.add_ssdlite(&mut graph, image, network),
            Head::Fpn { channels } => pyramid::add(self, &mut graph, image, network, channels),
        };
        for (output, rows) in network.outputs().into_iter().zip(rows) {
            graph.add(Operation::Output(output), &rows, "", Part::Head);
        }
        graph
    }

    /// Adds backbone, extra blocks and heads; returns what the outputs are made of.
    fn add_ssdlite(
        &self,
        graph: &mut Graph,
        image: NodeId,
        network: &DetectorNetwork,
    ) -> [Vec<NodeId>; 2] {
        let mut heads = Heads {
            network,
            rows: [Vec::new(), Vec::new()],
        };
        let at_tap = |graph: &mut Graph, tap, map| {
            if tap == Tap::C4 || network.finest == FinestMap::Stride8 {
                heads.add(graph, map);
            }
        };
        let mut map = self.add_backbone(graph, image, KeyScheme::Detector, at_tap);
        heads.add(graph, map);
        let extra = network.boxes_per_cell.len() - heads.rows[0].len();
        for (index, full_width) in EXTRA_CHANNELS[..extra].iter().enumerate() {
            let scaled = (*full_width as f64 * self.width()) as usize;
            map = add_extra(graph, map, index, scaled.max(MIN_EXTRA_CHANNELS));
            heads.add(graph, map);
        }
        heads.rows
    }
}

/// Adds an extra block: 1x1 to half the channels, depthwise 3x3 of stride 2,
/// 1x1 to `out` channels.
fn add_extra(graph: &mut Graph, input: NodeId, index: usize, out: usize) -> NodeId {
    let middle = out / 2;
    let convs = [
        Conv::pointwise(graph.node(input).channels, middle),
        Conv::depthwise(middle, 3, 2),
        Conv::pointwise(middle, out),
    ];
    let units = convs.into_iter().enumerate();
    units.fold(input, |map, (part, conv)| {
        let unit = Operation::ConvUnit(conv, Activation::Relu6);
        let key = format!("backbone.extra.{index}.{part}");
        graph.add(unit, &[map], key, Part::Extra)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::mobilenet::Variant;
    use crate::unit::MapSize;

    const SMALL: MobileNetV3 = MobileNetV3::new(Variant::Small);
    const LARGE: MobileNetV3 = MobileNetV3::new(Variant::Large);

    fn network(head: Head, finest: FinestMap, boxes_per_cell: &[usize]) -> DetectorNetwork {
        DetectorNetwork {
            head,
            finest,
            boxes_per_cell: boxes_per_cell.to_vec(),
            logits: 4,
        }
    }

    fn keys(graph: &Graph) -> HashSet<String> {
        graph
            .tensors()
            .into_iter()
            .map(|tensor| tensor.key)
            .collect()
    }

    /// Sides of the maps at 300 px.
    fn sides(graph: &Graph) -> Vec<usize> {
        let maps = graph.feature_maps(MapSize::new(300, 300));
        maps.iter().map(|map| map.height).collect()
    }

    /// Channels that the first head reads.
    fn first_channels(graph: &Graph) -> usize {
        let mut nodes = graph.nodes().iter();
        let head = nodes.find(|node| node.part == Part::Head).unwrap();
        graph.node(head.inputs[0]).channels
    }

    #[test]
    fn a_finer_map_comes_first_and_leaves_the_papers_tensors_alone() {
        for (backbone, channels) in [(SMALL, 96), (LARGE, 240)] {
            let paper = backbone.detector(3, &[6; 6]);
            let finest = FinestMap::Stride8;
            let finer = network(Head::Ssdlite, finest, &[2, 6, 6, 6, 6, 6, 6]);
            let finer = backbone.detector_with(&finer);
            assert_eq!(sides(&finer), [38, 19, 10, 5, 3, 2, 1]);
            assert_eq!(first_channels(&finer), channels);
            let (paper, finer) = (keys(&paper), keys(&finer));
            assert!(paper.is_subset(&finer));
            assert!(
                finer
                    .difference(&paper)
                    .all(|key| key.contains("_head.stride8."))
            );
        }
    }

    #[test]
    fn a_pyramid_shares_its_head_over_the_maps() {
        let head = Head::Fpn { channels: 64 };
        for (finest, count, expected) in [
            (FinestMap::Stride8, 5, vec![38, 19, 10, 5, 3]),
            (FinestMap::Stride16, 4, vec![19, 10, 5, 3]),
        ] {
            let graph = SMALL.detector_with(&network(head, finest, &vec![3; count]));
            assert_eq!(sides(&graph), expected);
            let tensors = graph.tensors();
            let shape = |key: &str| {
                let mut found = tensors.iter().filter(|tensor| tensor.key == key);
                let tensor = found.next().unwrap();
                assert!(found.next().is_none(), "{key}");
                tensor.shape.clone()
            };
            assert_eq!(shape("head.tower.1.0.weight"), [64, 1, 5, 5]);
            assert_eq!(shape("head.classification_head.bias"), [3 * 4]);
            assert_eq!(shape("head.regression_head.weight"), [3 * 4, 64, 1, 1]);
            let norms = tensors
                .iter()
                .filter(|tensor| tensor.key.starts_with("head.norms."));
            assert_eq!(norms.count(), count * TENSORS_OF_NORMS);
        }
    }

    /// Of a map's tower: two layers of two convolutions with five tensors each.
    const TENSORS_OF_NORMS: usize = 2 * 2 * 5;

    #[test]
    fn numbers_that_no_network_has_are_refused() {
        assert!(FinestMap::try_from(32).is_err());
        for channels in [0, 4, 65, 1024] {
            assert!(Head::Fpn { channels }.validate().is_err(), "{channels}");
        }
        assert!(Head::Fpn { channels: 64 }.validate().is_ok());
    }
}
