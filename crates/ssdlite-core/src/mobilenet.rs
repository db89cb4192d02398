//! MobileNetV3 as a table.
//!
//! Source: Howard et al., "Searching for MobileNetV3", arXiv 1905.02244v5,
//! tables 1 and 2, read as torchvision's `models/mobilenetv3.py` reads them:
//! stride 2 of Large's last stage in block 13, no expansion where it would
//! not widen, squeeze-and-excite between depthwise and projection with
//! `make_divisible(expanded / 4, 8)` channels.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::graph::{self, Graph, NodeId, Operation, Output, OutputKind, Part};
use crate::unit::{Activation, Conv, ConvKind, ConvUnit, Linear, SqueezeExcite};

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

/// A row of the paper's tables.
struct Row {
    kernel: usize,
    expanded: usize,
    out: usize,
    se: bool,
    activation: Activation,
    stride: usize,
}

/// An inverted residual block ("bottleneck").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvertedResidual {
    /// 1x1 that widens; none where the width stays.
    pub expand: Option<ConvUnit>,
    /// Depthwise convolution.
    pub depthwise: ConvUnit,
    /// Squeeze-and-excite after it.
    pub squeeze_excite: Option<SqueezeExcite>,
    /// 1x1 that narrows, without activation.
    pub project: ConvUnit,
    /// Whether the block's input is added to its output.
    pub residual: bool,
}

/// The convolutional part of MobileNetV3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backbone {
    /// 3x3 stride 2 on the picture.
    pub stem: ConvUnit,
    /// The bottlenecks in order.
    pub blocks: Vec<InvertedResidual>,
    /// Index into `blocks` of the one whose expansion is C4, the first map of
    /// a detector.
    pub c4_block: usize,
    /// The last 1x1 convolution, C5.
    pub last: ConvUnit,
}

impl Backbone {
    /// Channels of C4, the expansion of block [`Self::c4_block`].
    pub fn c4_channels(&self) -> usize {
        self.blocks[self.c4_block].depthwise.conv.in_channels
    }

    /// Channels of C5.
    pub fn c5_channels(&self) -> usize {
        self.last.conv.out_channels
    }
}

/// A classifier: backbone, average over the map, two linear layers with
/// h-swish and dropout between them.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierNetwork {
    /// The same as a graph.
    pub graph: Graph,
    /// The convolutional part.
    pub backbone: Backbone,
    /// First linear layer; h-swish and dropout follow.
    pub hidden: Linear,
    /// Last linear layer: one output a class.
    pub output: Linear,
}

impl ClassifierNetwork {
    /// Delegates to the graph.
    pub fn tensors(&self) -> Vec<crate::TensorSpec> {
        self.graph.tensors()
    }

    /// Delegates to the graph.
    pub fn layers(&self, input: crate::MapSize) -> Vec<crate::layers::Layer> {
        self.graph.layers(input)
    }
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

    /// The classifier for this many classes.
    pub fn classifier(&self, classes: usize) -> ClassifierNetwork {
        let backbone = self.backbone(KeyScheme::Classifier);
        let hidden_width = match self.variant {
            Variant::Small => 1024,
            Variant::Large => 1280,
        };
        let hidden_width = self.channels(hidden_width / self.tail_divisor());
        ClassifierNetwork {
            graph: self.classifier_graph(classes),
            hidden: Linear {
                key: "classifier.0".into(),
                in_features: backbone.c5_channels(),
                out_features: hidden_width,
            },
            output: Linear {
                key: "classifier.3".into(),
                in_features: hidden_width,
                out_features: classes,
            },
            backbone,
        }
    }

    /// The classifier for this many classes: backbone, average over the map,
    /// two linear layers with h-swish and dropout between them.
    pub fn classifier_graph(&self, classes: usize) -> Graph {
        let (mut graph, image) = Graph::new();
        let last = self.add_backbone(&mut graph, image, KeyScheme::Classifier, |_, _| {});
        let pooled = graph.add(Operation::GlobalPool, &[last], "", Part::Head);
        let full_width = match self.variant {
            Variant::Small => 1024,
            Variant::Large => 1280,
        };
        let hidden = graph::Linear {
            in_features: graph.node(last).channels,
            out_features: self.channels(full_width / self.tail_divisor()),
            dropout: 0.0,
            activation: Activation::HardSwish,
        };
        let output = graph::Linear {
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

    /// Adds the convolutional part and returns C5, its last map. `at_c4` is
    /// handed C4, the first map of a detector: the expansion of the first
    /// bottleneck of stride 32, which is the 9th of Small and the 13th of Large.
    pub(crate) fn add_backbone(
        &self,
        graph: &mut Graph,
        image: NodeId,
        scheme: KeyScheme,
        mut at_c4: impl FnMut(&mut Graph, NodeId),
    ) -> NodeId {
        let rows = self.rows();
        let keys = Keys {
            scheme,
            // Bottlenecks are numbered from 1: `features.0` is the stem.
            c4_block: match self.variant {
                Variant::Small => 8,
                Variant::Large => 12,
            },
        };
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
                if index == keys.c4_block && part == 0 {
                    at_c4(graph, node);
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

    pub(crate) fn backbone(&self, scheme: KeyScheme) -> Backbone {
        let rows = self.rows();
        // Bottlenecks are numbered from 1: `features.0` is the stem.
        let c4_block = match self.variant {
            Variant::Small => 8,
            Variant::Large => 12,
        };
        let stem_channels = self.channels(16);
        let keys = Keys { scheme, c4_block };
        let stem = ConvUnit::new(
            keys.feature(0),
            Conv {
                kind: ConvKind::Full,
                in_channels: 3,
                out_channels: stem_channels,
                kernel: 3,
                stride: 2,
            },
            self.activation(Activation::HardSwish),
        );
        let mut in_channels = stem_channels;
        let mut blocks = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let block = self.block(&keys, index, in_channels, row);
            in_channels = block.project.conv.out_channels;
            blocks.push(block);
        }
        let last = ConvUnit::new(
            keys.feature(rows.len() + 1),
            Conv::pointwise(in_channels, 6 * in_channels),
            self.activation(Activation::HardSwish),
        );
        Backbone {
            stem,
            blocks,
            c4_block,
            last,
        }
    }

    fn block(&self, keys: &Keys, index: usize, in_channels: usize, row: &Row) -> InvertedResidual {
        let expanded = self.channels(row.expanded);
        let out = self.channels(row.out);
        let activation = self.activation(row.activation);
        let mut part = 0;
        let mut next_key = || {
            let key = keys.block_part(index, part);
            part += 1;
            key
        };
        let expand = (expanded != in_channels).then(|| {
            ConvUnit::new(
                next_key(),
                Conv::pointwise(in_channels, expanded),
                activation,
            )
        });
        let kernel = if self.minimalistic { 3 } else { row.kernel };
        let depthwise = ConvUnit::new(
            next_key(),
            Conv::depthwise(expanded, kernel, row.stride),
            activation,
        );
        let squeeze_excite = (row.se && !self.minimalistic).then(|| SqueezeExcite {
            key: next_key(),
            channels: expanded,
            squeeze_channels: make_divisible((expanded / 4) as f64),
        });
        let project = ConvUnit::new(
            next_key(),
            Conv::pointwise(expanded, out),
            Activation::Identity,
        );
        InvertedResidual {
            expand,
            depthwise,
            squeeze_excite,
            project,
            residual: row.stride == 1 && in_channels == out,
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
    use crate::{ClassNames, ModelInfo};

    #[test]
    fn make_divisible_follows_torchvision() {
        for (value, expected) in [(4.0, 8), (18.0, 24), (60.0, 64), (56.0, 56), (30.0, 32)] {
            assert_eq!(make_divisible(value), expected, "{value}");
        }
    }

    #[test]
    fn tapped_maps_have_the_papers_channels() {
        let large = MobileNetV3::new(Variant::Large).backbone(KeyScheme::Detector);
        assert_eq!((large.c4_channels(), large.c5_channels()), (672, 960));
        let small = MobileNetV3::new(Variant::Small).backbone(KeyScheme::Detector);
        assert_eq!((small.c4_channels(), small.c5_channels()), (288, 576));
        let reduced = MobileNetV3::new(Variant::Large).with_reduced_tail();
        assert_eq!(reduced.backbone(KeyScheme::Detector).c5_channels(), 480);
    }

    #[test]
    fn a_detector_takes_the_block_of_c4_apart() {
        let large = MobileNetV3::new(Variant::Large).backbone(KeyScheme::Detector);
        let block = &large.blocks[12];
        assert_eq!(block.expand.as_ref().unwrap().key, "backbone.features.0.13");
        assert_eq!(block.depthwise.key, "backbone.features.1.0.1");
        assert_eq!(block.project.key, "backbone.features.1.0.3");
        assert_eq!(large.last.key, "backbone.features.1.3");
        assert_eq!(
            large.blocks[13].project.key,
            "backbone.features.1.1.block.3"
        );
    }

    #[test]
    fn minimalistic_has_no_se_no_hard_swish_and_no_five_by_five() {
        let config = MobileNetV3 {
            minimalistic: true,
            ..MobileNetV3::new(Variant::Small)
        };
        let backbone = config.backbone(KeyScheme::Classifier);
        for block in &backbone.blocks {
            assert!(block.squeeze_excite.is_none());
            assert_eq!(block.depthwise.conv.kernel, 3);
            assert_eq!(block.depthwise.activation, Activation::Relu);
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
