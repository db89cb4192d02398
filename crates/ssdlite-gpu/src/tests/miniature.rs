//! The smallest networks that have every operation between them.

use ssdlite_core::graph::Linear;
use ssdlite_core::unit::{Conv, ConvKind};
use ssdlite_core::{Activation, Graph, NodeId, Operation, Output, OutputKind, Part};

use super::CLASSES;

/// Side of their input: the maps are of 5 x 5 and 3 x 3 cells.
pub(super) const SIDE: usize = 9;

const CHANNELS: usize = 8;

/// A bottleneck with squeeze-and-excite and a residual, a map of half its size
/// that is joined to it as in a feature pyramid, and heads that both share.
pub(super) fn detector() -> Graph {
    let (mut graph, image) = Graph::new();
    let fine = stem(&mut graph, image);
    let mut backbone =
        |operation, inputs: &[NodeId], key: &str| graph.add(operation, inputs, key, Part::Backbone);
    let expand = Conv::pointwise(CHANNELS, 2 * CHANNELS);
    let expand = Operation::ConvUnit(expand, Activation::Relu);
    let deep = Conv::depthwise(2 * CHANNELS, 5, 1);
    let deep = Operation::ConvUnit(deep, Activation::HardSwish);
    let squeeze_channels = CHANNELS / 2;
    let project = Conv::pointwise(2 * CHANNELS, CHANNELS);
    let project = Operation::ConvUnit(project, Activation::Identity);
    let down = Conv::depthwise(CHANNELS, 3, 2);
    let down = Operation::ConvUnit(down, Activation::Relu6);
    let expanded = backbone(expand, &[fine], "expand");
    let filtered = backbone(deep, &[expanded], "deep");
    let excited = Operation::SqueezeExcite { squeeze_channels };
    let excited = backbone(excited, &[filtered], "se");
    let projected = backbone(project, &[excited], "project");
    let fine = backbone(Operation::Add, &[projected, fine], "");
    let coarse = backbone(down, &[fine], "down");
    let enlarged = Operation::Upsample { like: fine };
    let enlarged = graph.add(enlarged, &[coarse], "", Part::Neck);
    let joined = graph.add(Operation::Add, &[fine, enlarged], "", Part::Neck);
    let outputs = [
        (OutputKind::Logits, CLASSES + 1),
        (OutputKind::Regressions, 4),
    ];
    for (kind, numbers) in outputs {
        let boxes_per_cell = 2;
        let head = Operation::Conv(Conv::pointwise(CHANNELS, boxes_per_cell * numbers));
        let mut row = |map: NodeId| {
            let key = format!("{kind:?}.{}", map.index());
            let row = graph.add(head, &[map], key, Part::Head);
            graph.share(row, &format!("{kind:?}"));
            row
        };
        let rows = [row(joined), row(coarse)];
        let output = Operation::Output(Output { kind, numbers });
        graph.add(output, &rows, "", Part::Head);
    }
    graph
}

/// A classifier's end, with dropout, behind one convolution.
pub(super) fn classifier() -> Graph {
    let (mut graph, image) = Graph::new();
    let map = stem(&mut graph, image);
    let mut head = |operation, input, key: &str| graph.add(operation, &[input], key, Part::Head);
    let pooled = head(Operation::GlobalPool, map, "");
    let hidden = Linear {
        in_features: CHANNELS,
        out_features: 6,
        dropout: 0.0,
        activation: Activation::HardSwish,
    };
    let logits = Linear {
        in_features: hidden.out_features,
        out_features: CLASSES,
        dropout: 0.2,
        activation: Activation::Identity,
    };
    let hidden = head(Operation::Linear(hidden), pooled, "hidden");
    let logits = head(Operation::Linear(logits), hidden, "logits");
    let output = Output {
        kind: OutputKind::Logits,
        numbers: CLASSES,
    };
    head(Operation::Output(output), logits, "");
    graph
}

fn stem(graph: &mut Graph, image: NodeId) -> NodeId {
    let conv = Conv {
        kind: ConvKind::Full,
        in_channels: 3,
        out_channels: CHANNELS,
        kernel: 3,
        stride: 2,
    };
    let unit = Operation::ConvUnit(conv, Activation::HardSwish);
    graph.add(unit, &[image], "stem", Part::Backbone)
}
