//! Outputs of the networks agree with torchvision's
//! (`reference/forward.py`): weights and inputs come from the same formula.

use burn::tensor::{Device, Tensor, TensorData};
use serde::Deserialize;
use ssdlite_core::model_info::DetectorSettings;
use ssdlite_core::post_processing::{RawOutputs, detections_from_outputs};
use ssdlite_core::{
    DefaultBoxes, ImageSize, MapSize, MobileNetV3, PostProcessing, Suppression, Variant,
};
use ssdlite_nn::{Classifier, Detector, Network};
use ssdlite_testing::{Summary, TOLERANCE, image_bytes, signed, state_from_formula};

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
    serde_json::from_str(include_str!("golden/forward.json")).expect("a golden file")
}

fn images(shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values = signed("images", shape.iter().product(), 2.0);
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn classifier(variant: Variant, classes: usize, device: &Device) -> Classifier {
    let network = MobileNetV3::new(variant).classifier(classes);
    let state = state_from_formula(&network.tensors());
    Classifier::new(&network, 1, device)
        .load_state_dict(&state)
        .expect("the formula fits the network")
}

fn detector(golden: &GoldenDetector, device: &Device) -> Detector {
    let backbone = MobileNetV3 {
        reduced_tail: golden.reduced_tail,
        ..MobileNetV3::new(golden.variant)
    };
    let network = backbone.detector(golden.outputs - 1);
    let state = state_from_formula(&network.tensors());
    Detector::new(&network, 1, device)
        .load_state_dict(&state)
        .expect("the formula fits the network")
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

fn assert_summary<const D: usize>(name: &str, found: Tensor<D>, expected: &Summary) {
    let shape = found.dims();
    let values: Vec<f32> = found.into_data().iter::<f32>().collect();
    expected.assert_close(name, &shape, &values);
}

#[test]
fn classifiers_agree_with_torchvision() {
    let device = Device::flex();
    for golden in golden().classifiers {
        let classes = golden.logits.len() / golden.input[0];
        let model = classifier(golden.variant, classes, &device);
        let logits = model.forward(images(golden.input, &device));
        let found: Vec<f32> = logits.into_data().iter::<f32>().collect();
        assert_close(&found, &golden.logits);
    }
}

#[test]
fn heads_agree_with_torchvision() {
    let device = Device::flex();
    for golden in golden().detectors {
        let model = detector(&golden, &device);
        let output = model.forward(images(golden.input, &device));
        assert_summary("logits", output.logits, &golden.logits);
        assert_summary("regressions", output.regressions, &golden.regressions);
    }
}

/// An image scaled to -1 to 1 as a detector wants, `[1, 3, side, side]`.
fn picture(side: usize, device: &Device) -> Tensor<4> {
    let bytes = image_bytes(ImageSize::square(side as u32));
    let values: Vec<f32> = bytes
        .iter()
        .map(|&byte| (f32::from(byte) / 255.0 - 0.5) / 0.5)
        .collect();
    let data = TensorData::new(values, [1, side, side, 3]);
    Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2])
}

#[test]
fn detections_agree_with_torchvision() {
    let device = Device::flex();
    let golden = golden();
    let model = detector(&golden.detectors[0], &device);
    let output = model.forward(picture(320, &device));
    let [_, boxes, outputs] = output.logits.dims();
    let logits: Vec<f32> = output.logits.into_data().iter::<f32>().collect();
    let regressions: Vec<f32> = output.regressions.into_data().iter::<f32>().collect();

    let settings = DetectorSettings::default();
    let network = MobileNetV3::new(Variant::Large)
        .with_reduced_tail()
        .detector(outputs - 1);
    let maps = network.feature_maps(MapSize::new(320, 320));
    let default_boxes = DefaultBoxes::new(&settings.default_boxes, &maps);
    assert_eq!(default_boxes.len(), boxes);
    let found = detections_from_outputs(
        RawOutputs {
            logits: &logits,
            regressions: &regressions,
        },
        &default_boxes,
        &settings.box_coder,
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
