//! Outputs of the networks agree with torchvision's
//! (`reference/forward.py`): weights and inputs come from the same formula, batch
//! norms have their running statistics.

use serde::Deserialize;
use ssdlite_core::post_processing::{RawOutputs, detections_from_outputs};
use ssdlite_core::{
    BoxCoder, DefaultBoxSizes, DefaultBoxes, ImageSize, MapSize, MobileNetV3, PostProcessing,
    Scores, Suppression, Variant,
};
use ssdlite_testing::{Summary, TOLERANCE};

use crate::network::{CROSS_ENTROPY, MULTIBOX, Network, Options, channels_last, images};

#[derive(Deserialize)]
struct Golden {
    classifiers: Vec<GoldenClassifier>,
    detectors: Vec<GoldenDetector>,
    detections: GoldenDetections,
}

#[derive(Deserialize)]
struct GoldenClassifier {
    variant: Variant,
    input: [usize; 4],
    logits: Vec<f32>,
}

#[derive(Deserialize)]
struct GoldenDetector {
    variant: Variant,
    outputs: usize,
    reduced_tail: bool,
    input: [usize; 4],
    logits: Summary,
    regressions: Summary,
}

#[derive(Deserialize)]
struct GoldenDetections {
    count: usize,
    first: Vec<GoldenDetection>,
}

#[derive(Deserialize)]
struct GoldenDetection {
    label: u32,
    score: f32,
    #[serde(rename = "box")]
    bbox: [f32; 4],
}

/// The settings of `ssdlite320_mobilenet_v3_large`.
const TORCHVISION: PostProcessing = PostProcessing {
    score_threshold: 0.001,
    suppression: Suppression::Hard { max_iou: 0.55 },
    candidates_per_class: 300,
    max_detections: 300,
};

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/forward.json")).expect("a golden file")
}

fn options([images, _, height, width]: [usize; 4]) -> Options {
    Options {
        images,
        input: MapSize::new(height, width),
        objective: MULTIBOX,
    }
}

fn detector(golden: &GoldenDetector, input: [usize; 4]) -> Network {
    let backbone = MobileNetV3 {
        reduced_tail: golden.reduced_tail,
        ..MobileNetV3::new(golden.variant)
    };
    let graph = backbone.detector(golden.outputs - 1, &[6; 6]);
    Network::new(&graph, &[], options(input))
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let scale = expected
        .iter()
        .fold(0.0_f32, |top, value| top.max(value.abs()));
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        let error = f64::from((a - b).abs() / scale);
        assert!(error < TOLERANCE, "element {index}: {a}, torchvision {b}");
    }
}

#[test]
fn classifiers_agree_with_torchvision() {
    for golden in golden().classifiers {
        let classes = golden.logits.len() / golden.input[0];
        let graph = MobileNetV3::new(golden.variant).classifier(classes);
        let options = Options {
            objective: CROSS_ENTROPY,
            ..options(golden.input)
        };
        let mut network = Network::new(&graph, &[], options);
        let outputs = network.forward(&images(golden.input));
        assert_close(&outputs[0], &golden.logits);
    }
}

#[test]
fn heads_agree_with_torchvision() {
    for golden in golden().detectors {
        let mut network = detector(&golden, golden.input);
        let outputs = network.forward(&images(golden.input));
        for (output, expected) in outputs.iter().zip([&golden.logits, &golden.regressions]) {
            expected.assert_close("output", expected.shape(), output);
        }
    }
}

/// `image` of `reference/formula.py`, scaled to -1 to 1 as a detector wants.
fn image(side: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(3 * side * side);
    for channel in 0..3 {
        for y in 0..side {
            for x in 0..side {
                let wave = (x * (3 + channel) + y * (7 - 2 * channel)) % 256;
                let blocks = ((x / 37 + y / 53 + channel) % 3) * 60;
                let byte = (wave / 2 + blocks) % 256;
                values.push((byte as f32 / 255.0 - 0.5) / 0.5);
            }
        }
    }
    channels_last(&values, [1, 3, side, side])
}

#[test]
fn detections_agree_with_torchvision() {
    let golden = golden();
    let mut network = detector(&golden.detectors[0], [1, 3, 320, 320]);
    let outputs = network.forward(&image(320));
    let graph = MobileNetV3::new(Variant::Large)
        .with_reduced_tail()
        .detector(golden.detectors[0].outputs - 1, &[6; 6]);
    let maps = graph.feature_maps(MapSize::new(320, 320));
    let default_boxes = DefaultBoxes::new(&DefaultBoxSizes::default(), &maps);
    let found = detections_from_outputs(
        RawOutputs {
            logits: &outputs[0],
            scores: Scores::Softmax,
            regressions: &outputs[1],
        },
        &default_boxes,
        &BoxCoder::default(),
        &TORCHVISION,
        ImageSize::square(320),
    )
    .expect("sound outputs");
    assert_eq!(found.len(), golden.detections.count);
    for (index, (found, expected)) in found.iter().zip(&golden.detections.first).enumerate() {
        assert_eq!(found.class.0 + 1, expected.label, "detection {index}");
        assert!((found.score - expected.score).abs() < TOLERANCE as f32);
        for (a, b) in found.bbox.to_array().iter().zip(expected.bbox) {
            let error = (a - b).abs() / 320.0;
            assert!(
                error < TOLERANCE as f32,
                "detection {index}: {a}, torchvision {b}"
            );
        }
    }
}
