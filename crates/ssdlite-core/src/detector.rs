//! SSD-lite on MobileNetV3 as a table.
//!
//! Source: arXiv 1905.02244, section 6.3, and arXiv 1801.04381 (SSD-lite), read
//! as torchvision's `models/detection/ssdlite.py` reads them: the first map at
//! the expansion of the bottleneck of C4, the second at the last layer before
//! pooling, four extra blocks, separable heads on all six maps.

use crate::graph::{Graph, NodeId, Operation, Output, OutputKind, Part};
use crate::mobilenet::{KeyScheme, MobileNetV3};
use crate::scores::Scores;
use crate::unit::{Activation, Conv};

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

impl MobileNetV3 {
    /// The detector for this many classes, background not counted, with as many
    /// feature maps as there are numbers of default boxes a cell: C4, C5 and
    /// one for each extra block.
    ///
    /// # Panics
    /// If the maps are not in [`FEATURE_MAP_COUNTS`].
    pub fn detector(&self, classes: usize, boxes_per_cell: &[usize]) -> Graph {
        self.detector_of_logits(Scores::Softmax.logits(classes), boxes_per_cell)
    }

    /// [`Self::detector`] with so many class logits a default box.
    ///
    /// # Panics
    /// As [`Self::detector`].
    pub fn detector_of_logits(&self, logits: usize, boxes_per_cell: &[usize]) -> Graph {
        assert!(FEATURE_MAP_COUNTS.contains(&boxes_per_cell.len()));
        let (mut graph, image) = Graph::new();
        let output = |kind, numbers| Output { kind, numbers };
        let mut heads = Heads {
            boxes_per_cell,
            outputs: [
                output(OutputKind::Logits, logits),
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
