//! SSD-lite on MobileNetV3 as a table.
//!
//! Source: arXiv 1905.02244, section 6.3, and arXiv 1801.04381 (SSD-lite), read
//! as torchvision's `models/detection/ssdlite.py` reads them: the first map at
//! the expansion of the bottleneck of C4, the second at the last layer before
//! pooling, four extra blocks, separable heads on all six maps.

use crate::graph::{Graph, NodeId, Operation, Output, OutputKind, Part};
use crate::mobilenet::{Backbone, KeyScheme, MobileNetV3};
use crate::unit::{Activation, Conv, ConvUnit, HeadConv, MapSize};

/// Default boxes at each cell of each map.
pub const BOXES_PER_CELL: usize = 6;

/// The number of feature maps.
pub const FEATURE_MAPS: usize = 6;

/// Output channels of the extra blocks at width 1.
const EXTRA_CHANNELS: [usize; 4] = [512, 256, 256, 128];

/// The least channels of an extra block: torchvision's `min_depth`.
const MIN_EXTRA_CHANNELS: usize = 16;

/// Numbers that describe a box relative to a default box.
pub const BOX_NUMBERS: usize = 4;

/// The fewest and the most feature maps: C4, C5 and one of each extra block.
pub const FEATURE_MAP_COUNTS: std::ops::RangeInclusive<usize> = 2..=2 + EXTRA_CHANNELS.len();

/// The heads of a detector on its way, map by map.
struct Heads<'a> {
    /// Default boxes at a cell of each map.
    boxes_per_cell: &'a [usize],
    /// Numbers of a default box, by output.
    outputs: [Output; 2],
    /// What the outputs are made of so far.
    rows: [Vec<NodeId>; 2],
}

impl Heads<'_> {
    /// Adds both separable heads of the next map: depthwise 3x3, then 1x1 with
    /// bias, whose output channel is `default box * numbers + number`.
    fn add(&mut self, graph: &mut Graph, map: NodeId) {
        let index = self.rows[0].len();
        let channels = graph.node(map).channels;
        let depthwise = Operation::ConvUnit(Conv::depthwise(channels, 3, 1), Activation::Relu6);
        for (output, rows) in self.outputs.iter().zip(&mut self.rows) {
            let name = match output.kind {
                OutputKind::Logits => "classification_head",
                OutputKind::Regressions => "regression_head",
            };
            let key = |part: usize| format!("head.{name}.module_list.{index}.{part}");
            let features = graph.add(depthwise, &[map], key(0), Part::Head);
            let numbers = self.boxes_per_cell[index] * output.numbers;
            let conv = Operation::Conv(Conv::pointwise(channels, numbers));
            rows.push(graph.add(conv, &[features], key(1), Part::Head));
        }
    }
}

/// An extra block: 1x1 to half the channels, depthwise 3x3 of stride 2, 1x1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraBlock {
    /// 1x1 to half of the block's channels.
    pub squeeze: ConvUnit,
    /// 3x3, stride 2.
    pub depthwise: ConvUnit,
    /// 1x1 to the block's channels.
    pub expand: ConvUnit,
}

/// A separable head on one map: depthwise 3x3, then 1x1 with bias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 3x3 with batch norm and ReLU6.
    pub depthwise: ConvUnit,
    /// 1x1 with bias; its output channel is `default box * numbers + number`.
    pub output: HeadConv,
}

/// An SSD-lite detector.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorNetwork {
    /// The convolutional part of MobileNetV3.
    pub backbone: Backbone,
    /// The blocks after it.
    pub extra: Vec<ExtraBlock>,
    /// One head of class scores a map, background first.
    pub classification: Vec<Head>,
    /// One head of box regressions a map.
    pub regression: Vec<Head>,
    /// Classes, background counted.
    pub outputs_per_box: usize,
    /// The same as a graph.
    pub graph: Graph,
}

impl DetectorNetwork {
    /// Delegates to the graph.
    pub fn tensors(&self) -> Vec<crate::TensorSpec> {
        self.graph.tensors()
    }

    /// Delegates to the graph.
    pub fn feature_maps(&self, input: MapSize) -> Vec<MapSize> {
        self.graph.feature_maps(input)
    }

    /// Delegates to the graph.
    pub fn layers(&self, input: MapSize) -> Vec<crate::layers::Layer> {
        self.graph.layers(input)
    }
}

impl MobileNetV3 {
    /// The detector for this many classes, background not counted, with as many
    /// feature maps as there are numbers of default boxes a cell: C4, C5 and
    /// one for each extra block.
    ///
    /// # Panics
    /// If the maps are not in [`FEATURE_MAP_COUNTS`].
    pub fn detector_graph(&self, classes: usize, boxes_per_cell: &[usize]) -> Graph {
        assert!(FEATURE_MAP_COUNTS.contains(&boxes_per_cell.len()));
        let (mut graph, image) = Graph::new();
        let output = |kind, numbers| Output { kind, numbers };
        let mut heads = Heads {
            boxes_per_cell,
            outputs: [
                output(OutputKind::Logits, classes + 1),
                output(OutputKind::Regressions, BOX_NUMBERS),
            ],
            rows: [Vec::new(), Vec::new()],
        };
        let at_c4 = |graph: &mut Graph, c4| heads.add(graph, c4);
        let mut map = self.add_backbone(&mut graph, image, KeyScheme::Detector, at_c4);
        heads.add(&mut graph, map);
        let extra = &EXTRA_CHANNELS[..boxes_per_cell.len() - 2];
        for (index, full_width) in extra.iter().enumerate() {
            let scaled = (*full_width as f64 * self.width()) as usize;
            map = add_extra(&mut graph, map, index, scaled.max(MIN_EXTRA_CHANNELS));
            heads.add(&mut graph, map);
        }
        for (output, rows) in heads.outputs.into_iter().zip(heads.rows) {
            graph.add(Operation::Output(output), &rows, "", Part::Head);
        }
        graph
    }

    /// The detector for this many classes, background not counted.
    pub fn detector(&self, classes: usize) -> DetectorNetwork {
        let backbone = self.backbone(KeyScheme::Detector);
        let mut channels = vec![backbone.c4_channels(), backbone.c5_channels()];
        let mut extra = Vec::with_capacity(EXTRA_CHANNELS.len());
        for (index, full_width) in EXTRA_CHANNELS.into_iter().enumerate() {
            let scaled = (full_width as f64 * self.width()) as usize;
            let out = scaled.max(MIN_EXTRA_CHANNELS);
            let in_channels = channels[channels.len() - 1];
            extra.push(ExtraBlock::new(index, in_channels, out));
            channels.push(out);
        }
        let outputs_per_box = classes + 1;
        let heads = |name: &str, numbers: usize| {
            let of_map =
                |(map, &channels): (usize, &usize)| Head::new(name, map, channels, numbers);
            channels.iter().enumerate().map(of_map).collect()
        };
        DetectorNetwork {
            classification: heads("classification_head", outputs_per_box),
            regression: heads("regression_head", BOX_NUMBERS),
            backbone,
            extra,
            outputs_per_box,
            graph: self.detector_graph(classes, &[BOXES_PER_CELL; 6]),
        }
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

impl ExtraBlock {
    fn new(index: usize, in_channels: usize, out: usize) -> Self {
        let unit = |part: usize, conv| {
            ConvUnit::new(
                format!("backbone.extra.{index}.{part}"),
                conv,
                Activation::Relu6,
            )
        };
        let middle = out / 2;
        Self {
            squeeze: unit(0, Conv::pointwise(in_channels, middle)),
            depthwise: unit(1, Conv::depthwise(middle, 3, 2)),
            expand: unit(2, Conv::pointwise(middle, out)),
        }
    }
}

impl Head {
    fn new(name: &str, map: usize, channels: usize, numbers: usize) -> Self {
        let key = format!("head.{name}.module_list.{map}");
        Self {
            depthwise: ConvUnit::new(
                format!("{key}.0"),
                Conv::depthwise(channels, 3, 1),
                Activation::Relu6,
            ),
            output: HeadConv {
                key: format!("{key}.1"),
                conv: Conv::pointwise(channels, BOXES_PER_CELL * numbers),
            },
        }
    }
}
