//! MobileNetV3 as a table.
//!
//! Source: Howard et al., "Searching for MobileNetV3", arXiv 1905.02244v5,
//! tables 1 and 2, read as torchvision's `models/mobilenetv3.py` reads them:
//! stride 2 of Large's last stage in block 13, no expansion where it would
//! not widen, squeeze-and-excite between depthwise and projection with
//! `make_divisible(expanded / 4, 8)` channels.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::{Graph, Linear, NodeId, Operation, Output, OutputKind, Part};
use crate::unit::{Activation, Conv, ConvKind};

/// The channel counts are multiples of this.
const CHANNEL_DIVISOR: usize = 8;

/// Chance that the classifier drops a feature while it trains: torchvision.
pub const CLASSIFIER_DROPOUT: f64 = 0.2;

/// The two networks of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// MobileNetV3-Small, table 2 of the paper.
    Small,
    /// MobileNetV3-Large, table 1 of the paper.
    Large,
}

impl Variant {
    /// `small` or `large`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }
}

/// Which MobileNetV3.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileNetV3 {
    /// Small or Large.
    pub variant: Variant,
    /// Factor on all channel counts, 1.0 in the paper's main results.
    #[serde(default = "one")]
    pub width_multiplier: f32,
    /// Half as many channels from C4 on, as in the paper's detectors and
    /// torchvision's COCO weights (section 6.3 of the paper).
    #[serde(default)]
    pub reduced_tail: bool,
    /// Without squeeze-and-excite, h-swish and 5x5 kernels.
    #[serde(default)]
    pub minimalistic: bool,
}

fn one() -> f32 {
    1.0
}

/// Where torchvision's keys of the backbone begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyScheme {
    /// `features.0` and so on.
    Classifier,
    /// `backbone.features.0.0` up to the expansion of C4,
    /// `backbone.features.1.0` after it.
    Detector,
}

/// A map that a detector taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tap {
    /// The last of stride 8.
    C3,
    /// The last of stride 16.
    C4,
}

/// A row of the paper's tables.
struct Row {
    kernel: usize,
    expanded: usize,
    out: usize,
    se: bool,
    activation: Activation,
    stride: usize,
}

impl MobileNetV3 {
    /// The paper's network at width 1 with its full tail.
    pub const fn new(variant: Variant) -> Self {
        Self {
            variant,
            width_multiplier: 1.0,
            reduced_tail: false,
            minimalistic: false,
        }
    }

    /// The same with half the channels from C4 on.
    #[must_use]
    pub const fn with_reduced_tail(mut self) -> Self {
        self.reduced_tail = true;
        self
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a width multiplier outside 0.1 to 4.
    pub fn validate(&self) -> Result<()> {
        if (0.1..=4.0).contains(&self.width_multiplier) {
            Ok(())
        } else {
            Err(Error::Unsupported(format!(
                "expected a width multiplier of 0.1 to 4, found {}",
                self.width_multiplier
            )))
        }
    }

    /// The classifier for this many classes: backbone, average over the map,
    /// two linear layers with h-swish and dropout between them.
    pub fn classifier(&self, classes: usize) -> Graph {
        let (mut graph, image) = Graph::new();
        let last = self.add_backbone(&mut graph, image, KeyScheme::Classifier, |_, _, _| {});
        let pooled = graph.add(Operation::GlobalPool, &[last], "", Part::Head);
        let full_width = match self.variant {
            Variant::Small => 1024,
            Variant::Large => 1280,
        };
        let hidden = Linear {
            in_features: graph.node(last).channels,
            out_features: self.channels(full_width / self.tail_divisor()),
            dropout: 0.0,
            activation: Activation::HardSwish,
        };
        let output = Linear {
            in_features: hidden.out_features,
            out_features: classes,
            dropout: CLASSIFIER_DROPOUT,
            activation: Activation::Identity,
        };
        let mut linear = |layer, input, key: &str| {
            graph.add(Operation::Linear(layer), &[input], key, Part::Head)
        };
        let features = linear(hidden, pooled, "classifier.0");
        let logits = linear(output, features, "classifier.3");
        let output = Operation::Output(Output {
            kind: OutputKind::Logits,
            numbers: classes,
        });
        graph.add(output, &[logits], "", Part::Head);
        graph
    }

    /// Adds the convolutional part and returns C5, its last map. `at_tap` is
    /// handed C3 and C4, the maps that a detector taps: the expansions of the
    /// first bottlenecks of stride 16 and 32, which are the 4th and 9th of Small,
    /// and the 7th and 13th of Large.
    pub(crate) fn add_backbone(
        &self,
        graph: &mut Graph,
        image: NodeId,
        scheme: KeyScheme,
        mut at_tap: impl FnMut(&mut Graph, Tap, NodeId),
    ) -> NodeId {
        let rows = self.rows();
        // Bottlenecks are numbered from 1: `features.0` is the stem.
        let (c3_block, c4_block) = match self.variant {
            Variant::Small => (3, 8),
            Variant::Large => (6, 12),
        };
        let keys = Keys { scheme, c4_block };
        let stem = Conv {
            kind: ConvKind::Full,
            in_channels: graph.node(image).channels,
            out_channels: self.channels(16),
            kernel: 3,
            stride: 2,
        };
        let activation = self.activation(Activation::HardSwish);
        let unit = Operation::ConvUnit(stem, activation);
        let mut map = graph.add(unit, &[image], keys.feature(0), Part::Backbone);
        for (index, row) in rows.iter().enumerate() {
            map = self.add_bottleneck(graph, map, row, |graph, part, operation, input| {
                let key = keys.block_part(index, part);
                let node = graph.add(operation, &[input], key, Part::Backbone);
                if index == c3_block && part == 0 {
                    at_tap(graph, Tap::C3, node);
                }
                if index == c4_block && part == 0 {
                    at_tap(graph, Tap::C4, node);
                }
                node
            });
        }
        let channels = graph.node(map).channels;
        let last = Operation::ConvUnit(Conv::pointwise(channels, 6 * channels), activation);
        graph.add(last, &[map], keys.feature(rows.len() + 1), Part::Backbone)
    }

    /// Adds an inverted residual block: 1x1 that widens (none where the width
    /// stays), depthwise, squeeze-and-excite, 1x1 that narrows, and the block's
    /// input where it has the shape of the output. `add` is told the number of
    /// each module with tensors.
    fn add_bottleneck(
        &self,
        graph: &mut Graph,
        input: NodeId,
        row: &Row,
        mut add: impl FnMut(&mut Graph, usize, Operation, NodeId) -> NodeId,
    ) -> NodeId {
        let in_channels = graph.node(input).channels;
        let (expanded, out) = (self.channels(row.expanded), self.channels(row.out));
        let kernel = if self.minimalistic { 3 } else { row.kernel };
        let activation = self.activation(row.activation);
        let mut modules = Vec::with_capacity(4);
        if expanded != in_channels {
            let expand = Conv::pointwise(in_channels, expanded);
            modules.push(Operation::ConvUnit(expand, activation));
        }
        let depthwise = Conv::depthwise(expanded, kernel, row.stride);
        modules.push(Operation::ConvUnit(depthwise, activation));
        if row.se && !self.minimalistic {
            modules.push(Operation::SqueezeExcite {
                squeeze_channels: make_divisible((expanded / 4) as f64),
            });
        }
        let project = Conv::pointwise(expanded, out);
        modules.push(Operation::ConvUnit(project, Activation::Identity));
        let modules = modules.into_iter().enumerate();
        let output = modules.fold(input, |map, (part, module)| add(graph, part, module, map));
        if row.stride == 1 && in_channels == out {
            graph.add(Operation::Add, &[output, input], "", Part::Backbone)
        } else {
            output
        }
    }

    fn activation(&self, activation: Activation) -> Activation {
        match activation {
            Activation::HardSwish if self.minimalistic => Activation::Relu,
            other => other,
        }
    }

    fn channels(&self, channels: usize) -> usize {
        make_divisible(channels as f64 * self.width())
    }

    /// The width multiplier in double precision, in which torchvision
    /// multiplies: 0.35 and not the 0.349999994 that is the nearest single. A
    /// single up to 4 holds six decimals.
    pub(crate) fn width(&self) -> f64 {
        const DECIMALS: f64 = 1e6;
        (f64::from(self.width_multiplier) * DECIMALS).round() / DECIMALS
    }

    fn tail_divisor(&self) -> usize {
        if self.reduced_tail { 2 } else { 1 }
    }

    fn rows(&self) -> Vec<Row> {
        use Activation::{HardSwish as HS, Relu as RE};
        let tail = self.tail_divisor();
        let row = |kernel, expanded, out, se, activation, stride| Row {
            kernel,
            expanded,
            out,
            se,
            activation,
            stride,
        };
        match self.variant {
            Variant::Small => vec![
                row(3, 16, 16, true, RE, 2),
                row(3, 72, 24, false, RE, 2),
                row(3, 88, 24, false, RE, 1),
                row(5, 96, 40, true, HS, 2),
                row(5, 240, 40, true, HS, 1),
                row(5, 240, 40, true, HS, 1),
                row(5, 120, 48, true, HS, 1),
                row(5, 144, 48, true, HS, 1),
                row(5, 288, 96 / tail, true, HS, 2),
                row(5, 576 / tail, 96 / tail, true, HS, 1),
                row(5, 576 / tail, 96 / tail, true, HS, 1),
            ],
            Variant::Large => vec![
                row(3, 16, 16, false, RE, 1),
                row(3, 64, 24, false, RE, 2),
                row(3, 72, 24, false, RE, 1),
                row(5, 72, 40, true, RE, 2),
                row(5, 120, 40, true, RE, 1),
                row(5, 120, 40, true, RE, 1),
                row(3, 240, 80, false, HS, 2),
                row(3, 200, 80, false, HS, 1),
                row(3, 184, 80, false, HS, 1),
                row(3, 184, 80, false, HS, 1),
                row(3, 480, 112, true, HS, 1),
                row(3, 672, 112, true, HS, 1),
                row(5, 672, 160 / tail, true, HS, 2),
                row(5, 960 / tail, 160 / tail, true, HS, 1),
                row(5, 960 / tail, 160 / tail, true, HS, 1),
            ],
        }
    }
}

/// The nearest multiple of 8 that is no more than a tenth below `value`:
/// torchvision's `_make_divisible`.
fn make_divisible(value: f64) -> usize {
    let divisor = CHANNEL_DIVISOR as f64;
    let rounded = ((value + divisor / 2.0) / divisor).floor() * divisor;
    let rounded = rounded.max(divisor);
    if rounded < 0.9 * value {
        (rounded + divisor) as usize
    } else {
        rounded as usize
    }
}

struct Keys {
    scheme: KeyScheme,
    c4_block: usize,
}

impl Keys {
    /// Key of `features.{feature}`, where feature 0 is the stem and feature
    /// `i` bottleneck `i`, counted from 1.
    fn feature(&self, feature: usize) -> String {
        let c4_feature = self.c4_block + 1;
        match self.scheme {
            KeyScheme::Classifier => format!("features.{feature}"),
            KeyScheme::Detector if feature < c4_feature => format!("backbone.features.0.{feature}"),
            KeyScheme::Detector => format!("backbone.features.1.{}", feature - c4_feature),
        }
    }

    /// Key of the `part`-th module of a bottleneck's `block`. A detector takes
    /// the block of C4 apart: its expansion ends `features.0`, the rest
    /// begins `features.1` with its numbers kept.
    fn block_part(&self, index: usize, part: usize) -> String {
        if self.scheme == KeyScheme::Detector && index == self.c4_block {
            if part == 0 {
                format!("backbone.features.0.{}", index + 1)
            } else {
                format!("backbone.features.1.0.{part}")
            }
        } else {
            format!("{}.block.{part}", self.feature(index + 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Node;
    use crate::{ClassNames, ModelInfo};

    #[test]
    fn make_divisible_follows_torchvision() {
        for (value, expected) in [(4.0, 8), (18.0, 24), (60.0, 64), (56.0, 56), (30.0, 32)] {
            assert_eq!(make_divisible(value), expected, "{value}");
        }
    }

    /// The node with this key.
    fn node<'a>(graph: &'a Graph, key: &str) -> &'a Node {
        let mut nodes = graph.nodes().iter();
        nodes.find(|node| node.key == key).expect(key)
    }

    /// Keys of the nodes that the first map's heads read, and of the last one's.
    fn tapped(graph: &Graph) -> Vec<(&str, usize)> {
        let heads = graph.nodes().iter().filter(|node| {
            node.key.starts_with("head.regression_head") && node.key.ends_with(".0")
        });
        let maps = heads.map(|head| graph.node(head.inputs[0]));
        maps.map(|map| (map.key.as_str(), map.channels)).collect()
    }

    #[test]
    fn tapped_maps_are_the_papers() {
        let large = MobileNetV3::new(Variant::Large);
        let small = MobileNetV3::new(Variant::Small);
        for (network, c4, c5) in [
            (
                large,
                ("backbone.features.0.13", 672),
                ("backbone.features.1.3", 960),
            ),
            (
                small,
                ("backbone.features.0.9", 288),
                ("backbone.features.1.3", 576),
            ),
            (
                large.with_reduced_tail(),
                ("backbone.features.0.13", 672),
                ("backbone.features.1.3", 480),
            ),
        ] {
            let graph = network.detector(20, &[6; 6]);
            assert_eq!(tapped(&graph)[..2], [c4, c5], "{network:?}");
        }
    }

    #[test]
    fn a_detector_takes_the_block_of_c4_apart() {
        let graph = MobileNetV3::new(Variant::Large).detector(20, &[6; 6]);
        for (key, channels) in [
            ("backbone.features.0.13", 672),
            ("backbone.features.1.0.1", 672),
            ("backbone.features.1.0.3", 160),
            ("backbone.features.1.1.block.3", 160),
            ("backbone.features.1.3", 960),
        ] {
            assert_eq!(node(&graph, key).channels, channels, "{key}");
        }
    }

    #[test]
    fn heads_stand_right_after_their_map() {
        let graph = MobileNetV3::new(Variant::Small).detector(20, &[6; 6]);
        let at = |key: &str| {
            let mut nodes = graph.nodes().iter();
            nodes.position(|node| node.key == key).expect(key)
        };
        let c4 = at("backbone.features.0.9");
        assert_eq!(at("head.classification_head.module_list.0.0"), c4 + 1);
        assert_eq!(at("backbone.features.1.0.1"), c4 + 5);
    }

    #[test]
    fn minimalistic_has_no_se_no_hard_swish_and_no_five_by_five() {
        let config = MobileNetV3 {
            minimalistic: true,
            ..MobileNetV3::new(Variant::Small)
        };
        for node in config.detector(2, &[6; 6]).nodes() {
            match node.operation {
                Operation::SqueezeExcite { .. } => panic!("{}", node.key),
                Operation::ConvUnit(conv, activation) => {
                    assert!(conv.kernel <= 3, "{}", node.key);
                    assert_ne!(activation, Activation::HardSwish, "{}", node.key);
                }
                _ => {}
            }
        }
    }

    /// torchvision's `mobilenet_v3_small(width_mult=0.35)` has
    /// `_make_divisible(240 * 0.35, 8)` = 88 channels here.
    #[test]
    fn a_width_between_two_singles_is_the_decimal_number() {
        let config = MobileNetV3 {
            width_multiplier: 0.35,
            ..MobileNetV3::new(Variant::Small)
        };
        let classes = ClassNames::new(["a"]).unwrap();
        let tensors = ModelInfo::classifier(config, classes, 64).graph().tensors();
        let key = "features.5.block.0.0.weight";
        let weight = tensors.iter().find(|spec| spec.key == key).unwrap();
        assert_eq!(weight.shape, [88, 16, 1, 1]);
    }

    #[test]
    fn width_multiplier_is_bounded() {
        for width_multiplier in [f32::NAN, 0.0, -1.0, 5.0, f32::INFINITY] {
            let config = MobileNetV3 {
                width_multiplier,
                ..MobileNetV3::new(Variant::Small)
            };
            assert!(config.validate().is_err());
        }
    }
}
