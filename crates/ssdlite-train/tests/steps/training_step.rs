//! A training step agrees with torchvision's (`reference/training_step.py`):
//! losses, gradients, parameters after SGD and running statistics.

use std::collections::HashMap;

use serde::Deserialize;
use ssdlite_core::unit::MapSize;
use ssdlite_core::{
    BoxCoder, DefaultBoxSizes, DefaultBoxes, FractionBox, Graph, ImageSize, MobileNetV3, Operation,
    PixelBox, TensorRole, Variant,
};
use ssdlite_kernels::train::optimizer::{Sgd, sgd_step};
use ssdlite_kernels::{Context, Pool};
use ssdlite_testing::{Summary, TOLERANCE};
use ssdlite_train::step::Targets;

use crate::network::{ALL, CROSS_ENTROPY, MULTIBOX, Network, Options, images};

/// Momentum of the running statistics in torchvision's `mobilenetv3.py`.
const CLASSIFIER_MOMENTUM: f32 = 0.01;

/// Momentum of the running statistics in torchvision's `ssdlite.py`.
const DETECTOR_MOMENTUM: f32 = 0.03;

/// What both files have.
#[derive(Deserialize)]
struct Expected {
    learning_rate: f32,
    weight_decay: f32,
    #[serde(default)]
    momentum: f32,
    loss: HashMap<String, f64>,
    gradients: HashMap<String, Summary>,
    updated: HashMap<String, Summary>,
    running: HashMap<String, Summary>,
}

#[derive(Deserialize)]
struct GoldenClassifier {
    variant: Variant,
    classes: usize,
    input: [usize; 4],
    labels: Vec<i32>,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Deserialize)]
struct GoldenDetector {
    variant: Variant,
    outputs: usize,
    input: [usize; 4],
    boxes: usize,
    targets: Vec<Target>,
    /// Default box and the target's object that it has, image by image.
    matches: Vec<Vec<(usize, usize)>>,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Deserialize)]
struct Target {
    /// Corners in pixels.
    boxes: Vec<[f32; 4]>,
    labels: Vec<i32>,
}

impl Expected {
    fn assert_loss(&self, name: &str, found: f64) {
        let expected = self.loss[name];
        let error = (found - expected).abs();
        assert!(
            error < TOLERANCE * expected,
            "{name}: {found}, torchvision {expected}"
        );
    }

    /// Compares what a step has left, whose parameters were as in `before`.
    fn assert_step(&self, network: &Network, before: &Network) {
        for (key, expected) in &self.gradients {
            expected.assert_close(key, network.shape(key), network.gradient(key));
        }
        let pool = Pool::single();
        let sgd = Sgd {
            gradient_scale: 1.0,
            learning_rate: self.learning_rate,
            momentum: self.momentum,
            nesterov: false,
            weight_decay: self.weight_decay,
        };
        for (key, expected) in &self.updated {
            let mut values = before.values(key).to_vec();
            let mut velocity = vec![0.0; values.len()];
            let gradient = network.gradient(key);
            let cx = Context::detect(&pool);
            sgd_step(cx, sgd, gradient, &mut values, &mut velocity, None).unwrap();
            expected.assert_close(key, network.shape(key), &values);
        }
    }

    /// Compares the running statistics, moved once with torchvision's momentum: the
    /// share that a batch has after so many others.
    fn assert_statistics(&self, network: &mut Network, pixels: &[f32], momentum: f32) {
        network.fill(TensorRole::BatchesTracked, 1.0 / momentum - 1.0);
        network.gather_statistics(pixels);
        for (key, expected) in &self.running {
            expected.assert_close(key, network.shape(key), network.values(key));
        }
        for key in network.keys(TensorRole::BatchesTracked) {
            assert_eq!(network.values(&key), [1.0 / momentum], "{key}");
        }
    }
}

/// The same network whose layers drop nothing, as the golden one's.
fn without_dropout(graph: &Graph) -> Graph {
    let (mut same, _) = Graph::new();
    for node in &graph.nodes()[1..] {
        let operation = match node.operation {
            Operation::Linear(mut layer) => {
                layer.dropout = 0.0;
                Operation::Linear(layer)
            }
            other => other,
        };
        same.add(operation, &node.inputs, node.key.clone(), node.part);
    }
    same
}

#[test]
fn a_classifier_step_agrees_with_torchvision() {
    let golden: GoldenClassifier =
        serde_json::from_str(include_str!("../golden/classifier_step.json")).unwrap();
    let graph = MobileNetV3::new(golden.variant).classifier(golden.classes);
    let graph = without_dropout(&graph);
    let [batch, _, height, width] = golden.input;
    let options = Options {
        images: batch,
        input: MapSize::new(height, width),
        objective: CROSS_ENTROPY,
    };
    let before = Network::new(&graph, &ALL, options);
    let mut network = Network::new(&graph, &ALL, options);
    let pixels = images(golden.input);
    let losses = network.step(&pixels, Targets::Classes(&golden.labels));
    let expected = &golden.expected;
    expected.assert_loss("cross_entropy", losses.classification);
    expected.assert_step(&network, &before);
    expected.assert_statistics(&mut network, &pixels, CLASSIFIER_MOMENTUM);
}

/// Labels and regression targets of all default boxes.
fn targets(golden: &GoldenDetector, default_boxes: &DefaultBoxes) -> (Vec<i32>, Vec<f32>) {
    let [batch, _, height, width] = golden.input;
    let input = ImageSize::new(width as u32, height as u32);
    let mut labels = vec![0; batch * golden.boxes];
    let mut regressions = vec![0.0; batch * golden.boxes * 4];
    for (image, matches) in golden.matches.iter().enumerate() {
        for &(index, object) in matches {
            let row = image * golden.boxes + index;
            let [x1, y1, x2, y2] = golden.targets[image].boxes[object];
            let bbox: FractionBox = PixelBox::new(x1, y1, x2, y2).to_fractions(input);
            let numbers = BoxCoder::default().encode(&bbox, &default_boxes.centers()[index]);
            labels[row] = golden.targets[image].labels[object];
            regressions[row * 4..row * 4 + 4].copy_from_slice(&numbers);
        }
    }
    (labels, regressions)
}

#[test]
fn a_detector_step_agrees_with_torchvision() {
    let golden: GoldenDetector =
        serde_json::from_str(include_str!("../golden/detector_step.json")).unwrap();
    let graph = MobileNetV3::new(golden.variant).detector(golden.outputs - 1, &[6; 6]);
    let [batch, _, height, width] = golden.input;
    let input = MapSize::new(height, width);
    let maps = graph.feature_maps(input);
    let default_boxes = DefaultBoxes::new(&DefaultBoxSizes::default(), &maps);
    assert_eq!(default_boxes.len(), golden.boxes);
    let options = Options {
        images: batch,
        input,
        objective: MULTIBOX,
    };
    let before = Network::new(&graph, &ALL, options);
    let mut network = Network::new(&graph, &ALL, options);
    let (labels, regressions) = targets(&golden, &default_boxes);
    let targets = Targets::Boxes {
        labels: &labels,
        regressions: &regressions,
        default_boxes: default_boxes.centers(),
    };
    let pixels = images(golden.input);
    let losses = network.step(&pixels, targets);
    let expected = &golden.expected;
    expected.assert_loss("classification", losses.classification);
    expected.assert_loss("bbox_regression", losses.regression.unwrap());
    expected.assert_step(&network, &before);
    expected.assert_statistics(&mut network, &pixels, DETECTOR_MOMENTUM);
}
