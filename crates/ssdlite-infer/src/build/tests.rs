//! A plan computes what its graph says, whatever its steps are.

use ssdlite_core::graph::Linear;
use ssdlite_core::unit::{Activation, BATCH_NORM_EPS, Conv, ConvKind};
use ssdlite_core::{
    Graph, ImageSize, MapSize, MobileNetV3, NodeId, Operation, Output, OutputKind, Part,
    Preprocessing, Variant,
};
use ssdlite_kernels::infer::Block;
use ssdlite_kernels::{Context, Isa, Pool};
use ssdlite_model::{Error, Result, StateDict};
use ssdlite_testing::{image_bytes, state_from_formula};

use super::Network;
use crate::plan::{Outputs, Plan};

/// Largest difference to the definitions, relative to the largest number.
const TOLERANCE: f64 = 1e-4;

/// Numbers of a map, `[channels][rows][columns]`, or of a vector.
struct Tensor {
    size: MapSize,
    numbers: Vec<f64>,
}

impl Tensor {
    fn map(size: MapSize, numbers: impl Iterator<Item = f64>) -> Self {
        Self {
            size,
            numbers: numbers.collect(),
        }
    }

    /// The numbers of a channel.
    fn channel(&self, channel: usize) -> &[f64] {
        let cells = self.size.cells();
        &self.numbers[channel * cells..][..cells]
    }

    /// Zero outside of the map.
    fn at(&self, channel: usize, y: isize, x: isize) -> f64 {
        let MapSize { height, width } = self.size;
        match (usize::try_from(y), usize::try_from(x)) {
            (Ok(y), Ok(x)) if y < height && x < width => self.channel(channel)[y * width + x],
            _ => 0.0,
        }
    }
}

/// The definitions of a graph's operations, one after the other.
struct Definitions<'a> {
    graph: &'a Graph,
    weights: &'a StateDict,
    tensors: Vec<Tensor>,
}

impl Definitions<'_> {
    fn numbers(&self, key: &str) -> Vec<f64> {
        let numbers = self.weights.get(key).and_then(|tensor| tensor.floats());
        let numbers = numbers.unwrap_or_else(|| panic!("no {key}"));
        numbers.iter().map(|&x| f64::from(x)).collect()
    }

    fn compute(&self, id: NodeId, image: &Tensor) -> Tensor {
        let node = self.graph.node(id);
        let key = &node.key;
        let inputs: Vec<&Tensor> = node
            .inputs
            .iter()
            .map(|id| &self.tensors[id.index()])
            .collect();
        match node.operation {
            Operation::Image => Tensor::map(image.size, image.numbers.iter().copied()),
            Operation::ConvUnit(conv, activation) => {
                let weights = self.numbers(&format!("{key}.0.weight"));
                let [gamma, beta, mean, variance] =
                    ["weight", "bias", "running_mean", "running_var"]
                        .map(|name| self.numbers(&format!("{key}.1.{name}")));
                let mut output = convolved(conv, inputs[0], &weights);
                let cells = output.size.cells();
                for (index, x) in output.numbers.iter_mut().enumerate() {
                    let channel = index / cells;
                    let deviation = (variance[channel] + BATCH_NORM_EPS).sqrt();
                    let u = (*x - mean[channel]) / deviation * gamma[channel] + beta[channel];
                    *x = activated(activation, u);
                }
                output
            }
            Operation::Conv(conv) => {
                let mut output =
                    convolved(conv, inputs[0], &self.numbers(&format!("{key}.weight")));
                let bias = self.numbers(&format!("{key}.bias"));
                let cells = output.size.cells();
                for (index, x) in output.numbers.iter_mut().enumerate() {
                    *x += bias[index / cells];
                }
                output
            }
            Operation::SqueezeExcite { .. } => {
                let averages = averages(inputs[0], node.channels);
                let squeezed = self.linear(&format!("{key}.fc1"), &averages);
                let squeezed: Vec<f64> = squeezed.iter().map(|x| x.max(0.0)).collect();
                let excited = self.linear(&format!("{key}.fc2"), &squeezed);
                let cells = inputs[0].size.cells();
                let numbers = inputs[0].numbers.iter().enumerate();
                Tensor::map(
                    inputs[0].size,
                    numbers.map(|(i, x)| x * ((excited[i / cells] + 3.0) / 6.0).clamp(0.0, 1.0)),
                )
            }
            Operation::Add => {
                let pairs = inputs[0].numbers.iter().zip(&inputs[1].numbers);
                Tensor::map(inputs[0].size, pairs.map(|(a, b)| a + b))
            }
            Operation::Upsample { like } => {
                let size = self.tensors[like.index()].size;
                let cells = cells(size).map(|(y, x)| (y / 2, x / 2)).collect::<Vec<_>>();
                let channels = 0..node.channels;
                Tensor::map(
                    size,
                    channels
                        .flat_map(|c| cells.iter().map(move |&(y, x)| (c, y, x)))
                        .map(|(c, y, x)| inputs[0].channel(c)[y * inputs[0].size.width + x]),
                )
            }
            Operation::GlobalPool => Tensor::map(
                MapSize::new(1, 1),
                averages(inputs[0], node.channels).into_iter(),
            ),
            Operation::Linear(linear) => {
                let output = self.linear(key, &inputs[0].numbers);
                let output = output.into_iter().map(|x| activated(linear.activation, x));
                Tensor::map(MapSize::new(1, 1), output)
            }
            Operation::Output(_) => {
                let rows = node.inputs.iter().zip(inputs).flat_map(|(id, input)| {
                    let channels = self.graph.node(*id).channels;
                    let cells = 0..input.size.cells();
                    cells.flat_map(move |cell| (0..channels).map(move |c| input.channel(c)[cell]))
                });
                Tensor::map(MapSize::new(1, 1), rows)
            }
        }
    }

    fn linear(&self, key: &str, input: &[f64]) -> Vec<f64> {
        let weights = self.numbers(&format!("{key}.weight"));
        let bias = self.numbers(&format!("{key}.bias"));
        let rows = weights.chunks_exact(input.len()).zip(bias);
        rows.map(|(row, bias)| bias + row.iter().zip(input).map(|(w, x)| w * x).sum::<f64>())
            .collect()
    }
}

fn cells(size: MapSize) -> impl Iterator<Item = (usize, usize)> {
    (0..size.height).flat_map(move |y| (0..size.width).map(move |x| (y, x)))
}

fn averages(map: &Tensor, channels: usize) -> Vec<f64> {
    let mean = |channel| map.channel(channel).iter().sum::<f64>() / map.size.cells() as f64;
    (0..channels).map(mean).collect()
}

fn convolved(conv: Conv, input: &Tensor, weights: &[f64]) -> Tensor {
    let size = input.size.strided(conv.stride);
    let [out_channels, a_group, kernel, _] = conv.weight_shape();
    let outs_a_group = out_channels / conv.groups();
    let taps = kernel * kernel;
    let mut numbers = Vec::with_capacity(out_channels * size.cells());
    for out in 0..out_channels {
        let first = out / outs_a_group * a_group;
        for (y, x) in cells(size) {
            let mut sum = 0.0;
            for channel in 0..a_group {
                let row = &weights[(out * a_group + channel) * taps..][..taps];
                for (tap, weight) in row.iter().enumerate() {
                    let at = |out: usize, tap: usize| {
                        (out * conv.stride + tap) as isize - (kernel / 2) as isize
                    };
                    sum += weight
                        * input.at(first + channel, at(y, tap / kernel), at(x, tap % kernel));
                }
            }
            numbers.push(sum);
        }
    }
    Tensor { size, numbers }
}

fn activated(activation: Activation, u: f64) -> f64 {
    match activation {
        Activation::Identity => u,
        Activation::Relu => u.max(0.0),
        Activation::Relu6 => u.clamp(0.0, 6.0),
        Activation::HardSwish => u * (u + 3.0).clamp(0.0, 6.0) / 6.0,
    }
}

/// A graph with weights by the formula.
struct Case {
    graph: Graph,
    weights: StateDict,
    preprocessing: Preprocessing,
}

impl Case {
    fn new(graph: Graph, size: ImageSize) -> Self {
        Self {
            weights: state_from_formula(&graph.tensors()),
            graph,
            preprocessing: Preprocessing::detector(size),
        }
    }

    fn plan(&self, context: Context<'_>) -> Result<Plan> {
        let network = Network {
            graph: &self.graph,
            weights: &self.weights,
            preprocessing: &self.preprocessing,
        };
        network.plan(context)
    }

    fn operations(&self) -> Vec<String> {
        let pool = Pool::single();
        let plan = self
            .plan(Context::detect(&pool))
            .expect("a graph with kernels");
        let steps = plan.steps.into_iter();
        steps.map(|step| step.info.operation).collect()
    }

    fn error(&self) -> String {
        let pool = Pool::single();
        let error = self.plan(Context::detect(&pool)).expect_err("no kernel");
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
        error.to_string()
    }

    /// Compares the plans of every instruction set and several numbers of
    /// threads with the definitions.
    #[track_caller]
    fn check(&self) {
        let size = self.preprocessing.size;
        let bytes = image_bytes(size);
        let map = MapSize::new(size.height as usize, size.width as usize);
        let Preprocessing { mean, std, .. } = self.preprocessing;
        let pixels = (0..3).flat_map(|c| bytes.iter().skip(c).step_by(3).map(move |&b| (c, b)));
        let pixels = pixels
            .map(|(c, byte)| (f64::from(byte) / 255.0 - f64::from(mean[c])) / f64::from(std[c]));
        let image = Tensor::map(map, pixels);
        let mut definitions = Definitions {
            graph: &self.graph,
            weights: &self.weights,
            tensors: Vec::new(),
        };
        for (id, _) in self.graph.iter() {
            let tensor = definitions.compute(id, &image);
            definitions.tensors.push(tensor);
        }
        for isa in Isa::available() {
            for threads in 1..=3 {
                let pool = Pool::new(threads.try_into().expect("a thread")).expect("threads");
                let context = Context { isa, pool: &pool };
                let plan = self.plan(context).expect("a graph with kernels");
                // What an earlier image left behind must not count.
                let mut arena = vec![Block([f32::NAN; 16]); plan.places.len()];
                let mut found = Outputs::default();
                plan.run(context, &bytes, &mut arena, &mut found, &mut |_| {});
                for (node, expected) in self.graph.nodes().iter().zip(&definitions.tensors) {
                    let found = match node.operation {
                        Operation::Output(output) => match output.kind {
                            OutputKind::Logits => &found.logits,
                            OutputKind::Regressions => &found.regressions,
                        },
                        _ => continue,
                    };
                    assert_close(found, &expected.numbers);
                }
            }
        }
    }
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f64, |top, x| top.max(x.abs()));
    assert!(largest > 0.0);
    for (&found, expected) in found.iter().zip(expected) {
        let error = (f64::from(found) - expected).abs() / largest;
        assert!(error < TOLERANCE, "{found}, not {expected}");
    }
}

/// A graph under construction, with keys that count its nodes.
struct Sketch(Graph);

impl Sketch {
    fn new() -> (Self, NodeId) {
        let (graph, image) = Graph::new();
        (Self(graph), image)
    }

    fn add(&mut self, operation: Operation, inputs: &[NodeId]) -> NodeId {
        let key = format!("node{}", self.0.nodes().len());
        self.0.add(operation, inputs, key, Part::Backbone)
    }

    fn unit(&mut self, conv: Conv, activation: Activation, input: NodeId) -> NodeId {
        self.add(Operation::ConvUnit(conv, activation), &[input])
    }

    fn stem(&mut self, image: NodeId, channels: usize) -> NodeId {
        let conv = Conv {
            kind: ConvKind::Full,
            in_channels: 3,
            out_channels: channels,
            kernel: 3,
            stride: 2,
        };
        self.unit(conv, Activation::HardSwish, image)
    }

    fn pointwise(&mut self, out: usize, input: NodeId) -> NodeId {
        let conv = Conv::pointwise(self.0.node(input).channels, out);
        self.unit(conv, Activation::Relu, input)
    }

    fn project(&mut self, out: usize, input: NodeId) -> NodeId {
        let conv = Conv::pointwise(self.0.node(input).channels, out);
        self.unit(conv, Activation::Identity, input)
    }

    fn depthwise(&mut self, kernel: usize, stride: usize, input: NodeId) -> NodeId {
        let conv = Conv::depthwise(self.0.node(input).channels, kernel, stride);
        self.unit(conv, Activation::Relu6, input)
    }

    /// A map of stride 4 and one of stride 8.
    fn backbone(&mut self, image: NodeId) -> [NodeId; 2] {
        let stem = self.stem(image, 11);
        let first = self.depthwise(3, 2, stem);
        let fine = self.pointwise(13, first);
        let second = self.depthwise(5, 2, fine);
        [fine, self.pointwise(19, second)]
    }

    /// Both outputs of heads on these maps, with so many boxes at their cells.
    fn heads(mut self, maps: &[(NodeId, usize)]) -> Graph {
        for (kind, numbers) in [(OutputKind::Regressions, 4), (OutputKind::Logits, 3)] {
            let heads = maps.iter().map(|&(map, boxes)| {
                let features = self.depthwise(3, 1, map);
                let channels = self.0.node(features).channels;
                let conv = Conv::pointwise(channels, boxes * numbers);
                self.add(Operation::Conv(conv), &[features])
            });
            let heads: Vec<NodeId> = heads.collect();
            self.add(Operation::Output(Output { kind, numbers }), &heads);
        }
        self.0
    }
}

/// Odd, not square, so that the last row and column of an upsampled map are cut.
const SIZE: ImageSize = ImageSize {
    width: 53,
    height: 37,
};

#[test]
fn a_pyramid_is_what_its_definitions_say() {
    let (mut sketch, image) = Sketch::new();
    let [fine, coarse] = sketch.backbone(image);
    let conv = |channels| Operation::Conv(Conv::pointwise(channels, 17));
    let top = sketch.add(conv(19), &[coarse]);
    let lateral = sketch.add(conv(13), &[fine]);
    let larger = sketch.add(Operation::Upsample { like: lateral }, &[top]);
    let joint = sketch.add(Operation::Add, &[lateral, larger]);
    let case = Case::new(sketch.heads(&[(joint, 2), (top, 5)]), SIZE);
    let head = "dw3x3 + 1x1";
    assert_eq!(
        case.operations(),
        [
            "3x3 s2 + dw3x3 s2 + 1x1",
            "dw5x5 s2 + 1x1",
            "1x1",
            "upsample",
            "1x1",
            head,
            head,
            head,
            head
        ]
    );
    case.check();
}

#[test]
fn networks_are_what_their_definitions_say() {
    let thin = |variant| MobileNetV3 {
        width_multiplier: 0.25,
        ..MobileNetV3::new(variant)
    };
    for graph in [
        thin(Variant::Small).detector(3, &[4, 2, 3]),
        thin(Variant::Large).classifier(5),
    ] {
        Case::new(graph, SIZE).check();
    }
}

#[test]
fn residuals_of_every_kind_are_added() {
    let (mut sketch, image) = Sketch::new();
    let stem = sketch.stem(image, 11);
    let features = sketch.depthwise(3, 1, stem);
    let project = sketch.project(11, features);
    // The first convolution's output, within a step.
    let first = sketch.add(Operation::Add, &[project, stem]);
    let features = sketch.depthwise(5, 1, first);
    let project = sketch.project(11, features);
    // What the step reads, with the padding of its depthwise convolution.
    let second = sketch.add(Operation::Add, &[project, first]);
    let expand = sketch.pointwise(23, second);
    let features = sketch.depthwise(3, 1, expand);
    let project = sketch.project(11, features);
    let third = sketch.add(Operation::Add, &[second, project]);
    let features = sketch.depthwise(3, 1, third);
    let project = sketch.project(11, features);
    // Another map.
    let fourth = sketch.add(Operation::Add, &[project, second]);
    let excited = sketch.depthwise(3, 1, fourth);
    let squeeze_channels = 5;
    let excited = sketch.add(Operation::SqueezeExcite { squeeze_channels }, &[excited]);
    let project = sketch.project(11, excited);
    let fifth = sketch.add(Operation::Add, &[project, first]);
    let case = Case::new(sketch.heads(&[(fifth, 1)]), SIZE);
    let operations = case.operations();
    assert_eq!(
        operations[..8],
        [
            "3x3 s2 + dw3x3 + 1x1",
            "dw5x5 + 1x1",
            "1x1 + dw3x3 + 1x1",
            "dw3x3",
            "1x1",
            "dw3x3",
            "se",
            "scale + 1x1"
        ]
    );
    case.check();
}

/// As at narrow widths: a block without 1x1 before its depthwise convolution.
#[test]
fn a_projection_is_computed_with_what_it_follows() {
    let (mut sketch, image) = Sketch::new();
    let [fine, _] = sketch.backbone(image);
    let first = sketch.depthwise(3, 1, fine);
    let project = sketch.project(17, first);
    let second = sketch.depthwise(3, 1, project);
    let squeeze_channels = 3;
    let excited = sketch.add(Operation::SqueezeExcite { squeeze_channels }, &[second]);
    let project = sketch.project(5, excited);
    let third = sketch.depthwise(5, 1, project);
    let project = sketch.project(7, third);
    let case = Case::new(sketch.heads(&[(project, 1)]), SIZE);
    assert_eq!(
        case.operations()[1..6],
        [
            "dw5x5 s2 + 1x1",
            "dw3x3 + 1x1",
            "dw3x3",
            "se",
            "scale + 1x1"
        ]
    );
    case.check();
}

#[test]
fn a_classifier_with_one_linear_layer_is_what_its_definitions_say() {
    let (mut sketch, image) = Sketch::new();
    let [fine, _] = sketch.backbone(image);
    let pooled = sketch.add(Operation::GlobalPool, &[fine]);
    let linear = Linear {
        in_features: 13,
        out_features: 7,
        dropout: 0.5,
        activation: Activation::HardSwish,
    };
    let logits = sketch.add(Operation::Linear(linear), &[pooled]);
    let output = Output {
        kind: OutputKind::Logits,
        numbers: 7,
    };
    sketch.add(Operation::Output(output), &[logits]);
    Case::new(sketch.0, SIZE).check();
}

/// What there is no kernel for, with a part of the message.
#[test]
fn what_no_step_can_compute_is_named() {
    let broken = |draw: &dyn Fn(&mut Sketch, [NodeId; 2], NodeId) -> NodeId| {
        let (mut sketch, image) = Sketch::new();
        let maps = sketch.backbone(image);
        let map = draw(&mut sketch, maps, image);
        Case::new(sketch.heads(&[(map, 1)]), SIZE).error()
    };
    let se = Operation::SqueezeExcite {
        squeeze_channels: 2,
    };
    // The sum of two maps that others read.
    let sum = broken(&|sketch, [fine, _], _| {
        let a = sketch.pointwise(8, fine);
        let b = sketch.pointwise(8, a);
        let c = sketch.pointwise(8, b);
        let sum = sketch.add(Operation::Add, &[a, b]);
        sketch.add(Operation::Add, &[c, sum])
    });
    assert!(sum.contains("but its sum with another"), "{sum}");
    // An activation between convolution and sum.
    let activated = broken(&|sketch, [fine, _], _| {
        let features = sketch.pointwise(13, fine);
        sketch.add(Operation::Add, &[features, fine])
    });
    assert!(activated.contains("without activation"), "{activated}");
    // Squeeze-and-excite after the first convolution, whose output is added.
    let stem = broken(&|sketch, _, image| {
        let stem = sketch.stem(image, 8);
        let features = sketch.depthwise(3, 1, stem);
        let excited = sketch.add(se, &[features]);
        let project = sketch.pointwise(8, excited);
        sketch.add(Operation::Add, &[project, stem])
    });
    assert!(stem.contains("3x3 one of stride 2"), "{stem}");
    // Squeeze-and-excite of a map that another node reads.
    let shared = broken(&|sketch, [fine, _], _| {
        let features = sketch.depthwise(3, 1, fine);
        let excited = sketch.add(se, &[features]);
        let project = sketch.pointwise(13, excited);
        sketch.add(Operation::Add, &[project, features])
    });
    assert!(shared.contains("one reader"), "{shared}");
    // Maps of two sizes.
    let sizes = broken(&|sketch, [fine, coarse], _| {
        let a = sketch.pointwise(8, fine);
        let b = sketch.pointwise(8, coarse);
        sketch.add(Operation::Add, &[a, b])
    });
    assert!(sizes.contains("maps of one size"), "{sizes}");
    let factor = broken(&|sketch, [fine, _], image| {
        sketch.add(Operation::Upsample { like: image }, &[fine])
    });
    assert!(factor.contains("half the size"), "{factor}");
    // A map as an output.
    let (mut sketch, image) = Sketch::new();
    let [fine, _] = sketch.backbone(image);
    let output = |numbers| {
        Operation::Output(Output {
            kind: OutputKind::Logits,
            numbers,
        })
    };
    sketch.add(output(13), &[fine]);
    let map = Case::new(sketch.0.clone(), SIZE).error();
    assert!(map.contains("as input"), "{map}");
    sketch.add(output(13), &[fine]);
    let twice = Case::new(sketch.0, SIZE).error();
    assert!(twice.contains("found two"), "{twice}");
}
