//! Outputs agree with torchvision's (`reference/infer.py`).

use serde::Deserialize;
use ssdlite_core::{ClassNames, ImageSize, MobileNetV3, ModelInfo, Variant};
use ssdlite_infer::{Classifier, Detector, DetectorOptions};

use crate::formula::{model, picture};
use crate::variants::every_run;

#[derive(Deserialize)]
struct Golden {
    classifiers: Vec<GoldenClassifier>,
    detectors: Vec<GoldenDetector>,
}

#[derive(Deserialize)]
struct GoldenClassifier {
    variant: Variant,
    height: u32,
    width: u32,
    logits: Vec<f32>,
}

#[derive(Deserialize)]
struct GoldenDetector {
    variant: Variant,
    reduced_tail: bool,
    outputs: usize,
    height: u32,
    width: u32,
    logits: Summary,
    regressions: Summary,
}

#[derive(Deserialize)]
struct Summary {
    shape: Vec<usize>,
    sum: f64,
    sum_of_squares: f64,
    samples: Vec<(usize, f64)>,
}

/// Largest difference to torchvision, relative to the usual size of a number.
const TOLERANCE: f64 = 1e-4;

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/outputs.json")).expect("a golden file")
}

pub(crate) fn classes(count: usize) -> ClassNames {
    ClassNames::new((0..count).map(|class| format!("class {class}"))).expect("distinct names")
}

#[test]
fn classifiers_agree_with_torchvision() {
    for golden in golden().classifiers {
        let network = MobileNetV3::new(golden.variant);
        let mut info = ModelInfo::classifier(network, classes(golden.logits.len()), 224);
        info.preprocessing.size = ImageSize::new(golden.width, golden.height);
        info.preprocessing.fit = ssdlite_core::Fit::Stretch;
        let picture = picture(info.preprocessing.size);
        let file = model(&info);
        let scale = golden
            .logits
            .iter()
            .fold(0.0_f32, |top, x| top.max(x.abs()));
        for run in every_run() {
            let model = Classifier::new(&file, run).expect("a sound model");
            let logits = model.logits(&picture).expect("a sound picture");
            assert_eq!(logits.len(), golden.logits.len());
            for (found, expected) in logits.iter().zip(&golden.logits) {
                let error = f64::from((found - expected).abs() / scale);
                assert!(
                    error < TOLERANCE,
                    "{run:?}: {found}, torchvision {expected}"
                );
            }
        }
    }
}

#[test]
fn detectors_agree_with_torchvision() {
    for golden in golden().detectors {
        let network = MobileNetV3 {
            reduced_tail: golden.reduced_tail,
            ..MobileNetV3::new(golden.variant)
        };
        let mut info = ModelInfo::detector(network, classes(golden.outputs - 1), 320);
        info.preprocessing.size = ImageSize::new(golden.width, golden.height);
        let picture = picture(info.preprocessing.size);
        let file = model(&info);
        for run in every_run() {
            let options = DetectorOptions {
                run,
                ..DetectorOptions::default()
            };
            let model = Detector::new(&file, &options).expect("a sound model");
            let outputs = model.outputs(&picture).expect("a sound picture");
            assert_summary(&outputs.logits, &golden.logits);
            assert_summary(&outputs.regressions, &golden.regressions);
        }
    }
}

fn assert_summary(found: &[f32], expected: &Summary) {
    assert_eq!(found.len(), expected.shape.iter().product::<usize>());
    let norm = expected.sum_of_squares.sqrt();
    let scale = norm / (found.len() as f64).sqrt();
    for &(index, value) in &expected.samples {
        let found = f64::from(found[index]);
        let allowed = TOLERANCE * scale.max(value.abs());
        let error = (found - value).abs();
        assert!(error < allowed, "{index}: {found}, torchvision {value}");
    }
    let sum: f64 = found.iter().map(|&x| f64::from(x)).sum();
    let squares: f64 = found.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    assert!((sum - expected.sum).abs() < TOLERANCE * norm * (found.len() as f64).sqrt());
    assert!((squares.sqrt() - norm).abs() < TOLERANCE * norm);
}
