//! Gradients of a whole network agree with finite differences of its loss, on
//! every instruction set: units read by one and by several nodes, sums that
//! share their gradient and such that can't, squeeze-and-excite, upsampling, weights
//! that nodes share.

use std::num::NonZeroUsize;
use std::sync::Arc;

use ssdlite_core::graph::Linear;
use ssdlite_core::random::Rng;
use ssdlite_core::unit::{Conv, ConvKind};
use ssdlite_core::{Activation, Graph, MapSize, NodeId, Operation, Output, OutputKind, Part};
use ssdlite_kernels::{Isa, Pool};
use ssdlite_train::step::{Cpu, Targets};

use crate::network::{ALL, CROSS_ENTROPY, Network, Options, images};

/// Neither square nor even.
const SHAPE: [usize; 4] = [3, 3, 21, 14];

const LABELS: [i32; 3] = [2, 0, 1];

const CLASSES: usize = 3;

/// How far a tensor's numbers are moved along a random direction of about unit
/// length.
const STEP: f32 = 5e-3;

struct Maker(Graph);

impl Maker {
    fn unit(&mut self, input: NodeId, conv: Conv, activation: Activation, key: &str) -> NodeId {
        let operation = Operation::ConvUnit(conv, activation);
        self.0.add(operation, &[input], key, Part::Backbone)
    }

    fn one(&mut self, input: NodeId, outputs: usize, key: &str) -> NodeId {
        let inputs = self.0.node(input).channels;
        let conv = Conv::pointwise(inputs, outputs);
        self.unit(input, conv, Activation::HardSwish, key)
    }

    fn depthwise(&mut self, input: NodeId, stride: usize, key: &str) -> NodeId {
        let channels = self.0.node(input).channels;
        let conv = Conv::depthwise(channels, 3, stride);
        self.unit(input, conv, Activation::HardSwish, key)
    }

    fn plain(&mut self, operation: Operation, inputs: &[NodeId]) -> NodeId {
        self.0.add(operation, inputs, "", Part::Neck)
    }
}

/// Two maps of a backbone, joined as in a feature pyramid.
fn network() -> Graph {
    let (graph, image) = Graph::new();
    let mut maker = Maker(graph);
    let stem = Conv {
        kind: ConvKind::Full,
        in_channels: 3,
        out_channels: 11,
        kernel: 3,
        stride: 2,
    };
    let stem = maker.unit(image, stem, Activation::HardSwish, "stem");
    // A bottleneck whose input has two readers.
    let wide = maker.one(stem, 19, "expand");
    let deep = maker.depthwise(wide, 1, "depthwise");
    let squeeze = Operation::SqueezeExcite {
        squeeze_channels: 5,
    };
    let excited = maker.0.add(squeeze, &[deep], "se", Part::Backbone);
    let project = Conv::pointwise(19, 11);
    let project = maker.unit(excited, project, Activation::Identity, "project");
    let fine = maker.plain(Operation::Add, &[project, stem]);
    // Another one, so that sums follow each other.
    let wide = maker.one(fine, 17, "expand2");
    let deep = maker.depthwise(wide, 1, "depthwise2");
    let project = Conv::pointwise(17, 11);
    let project = maker.unit(deep, project, Activation::Identity, "project2");
    let fine = maker.plain(Operation::Add, &[project, fine]);
    let coarse = maker.depthwise(fine, 2, "down");
    let coarse = maker.one(coarse, 13, "coarse");
    // The coarse map joins the fine one; both have other readers too.
    let lateral = maker.one(fine, 13, "lateral");
    let up = maker.plain(Operation::Upsample { like: fine }, &[coarse]);
    let joined = maker.plain(Operation::Add, &[lateral, up]);
    // A sum of two stored maps, one of which is read again behind it.
    let again = maker.plain(Operation::Upsample { like: fine }, &[coarse]);
    let twice = maker.plain(Operation::Add, &[joined, again]);
    let tail = maker.depthwise(twice, 1, "tail");
    // Two convolutions with one weight, as of a head that maps share.
    let longer = maker.depthwise(tail, 1, "longer");
    for id in [tail, longer] {
        maker.0.share(id, "shared");
    }
    let both = maker.plain(Operation::Add, &[longer, joined]);
    let pooled = maker.plain(Operation::GlobalPool, &[both]);
    let linear = |in_features, out_features, activation| {
        Operation::Linear(Linear {
            in_features,
            out_features,
            dropout: 0.0,
            activation,
        })
    };
    let hidden = linear(13, 7, Activation::HardSwish);
    let hidden = maker.0.add(hidden, &[pooled], "hidden", Part::Head);
    let logits = linear(7, CLASSES, Activation::Identity);
    let logits = maker.0.add(logits, &[hidden], "logits", Part::Head);
    let output = Operation::Output(Output {
        kind: OutputKind::Logits,
        numbers: CLASSES,
    });
    maker.plain(output, &[logits]);
    maker.0
}

fn loss(network: &mut Network, pixels: &[f32]) -> f64 {
    network.step(pixels, Targets::Classes(&LABELS)).total()
}

#[test]
fn gradients_agree_with_finite_differences() {
    let graph = network();
    let options = Options {
        images: SHAPE[0],
        input: MapSize::new(SHAPE[2], SHAPE[3]),
        objective: CROSS_ENTROPY,
    };
    let pixels = images(SHAPE);
    for isa in Isa::available() {
        let cpu = Cpu {
            isa,
            pool: Arc::new(Pool::new(NonZeroUsize::new(2).unwrap()).unwrap()),
        };
        let mut network = Network::on(&graph, &ALL, options, &cpu);
        loss(&mut network, &pixels);
        let slots = network.layout.slots().to_vec();
        let gradients = network.gradients.clone();
        for slot in slots.iter().filter(|slot| slot.trained) {
            let range = slot.range.clone();
            let mut rng = Rng::from_text(3, &slot.spec.key);
            let scale = 1.0 / (range.len() as f32).sqrt();
            let direction: Vec<f32> = range.clone().map(|_| rng.normal() as f32 * scale).collect();
            let mut moved = |by: f32| {
                let values = &mut network.numbers[range.clone()];
                let before = values.to_vec();
                for (value, direction) in values.iter_mut().zip(&direction) {
                    *value += by * direction;
                }
                let loss = loss(&mut network, &pixels);
                network.numbers[range.clone()].copy_from_slice(&before);
                loss
            };
            let difference = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            let found: f64 = gradients[range.clone()]
                .iter()
                .zip(&direction)
                .map(|(&gradient, &direction)| f64::from(gradient * direction))
                .sum();
            let error = (found - difference).abs();
            assert!(
                error < 2e-2 * difference.abs() + 2e-4,
                "{} on {isa}: {found}, by differences {difference}",
                slot.spec.key
            );
        }
    }
}

/// What stands in the way of gradients is said when the plan is made.
#[test]
fn what_no_plan_can_run_is_refused() {
    let (mut graph, image) = Graph::new();
    let conv = Conv::pointwise(3, 4);
    let conv = graph.add(
        Operation::ConvUnit(conv, Activation::Relu),
        &[image],
        "conv",
        Part::Backbone,
    );
    let excite = Operation::SqueezeExcite {
        squeeze_channels: 2,
    };
    let one = graph.add(excite, &[conv], "se", Part::Backbone);
    graph.add(Operation::Add, &[one, conv], "", Part::Backbone);
    let layout = ssdlite_train::step::TensorLayout::new(&graph, &ALL);
    let options = ssdlite_train::step::StepOptions {
        images: NonZeroUsize::MIN,
        input: MapSize::new(8, 8),
        objective: CROSS_ENTROPY,
    };
    let cpu = Cpu::new(NonZeroUsize::MIN).unwrap();
    let plan = ssdlite_train::step::StepPlan::new(&graph, &layout, options, &cpu);
    let error = plan.err().expect("an unsupported graph").to_string();
    assert!(error.starts_with("se: expected"), "{error}");
}
