//! Outputs agree with torchvision's (`reference/infer.py`).

use serde::Deserialize;
use ssdlite_core::{ClassNames, ImageSize, MobileNetV3, ModelInfo, Variant};
use ssdlite_infer::{Classifier, Detector, DetectorOptions};

use ssdlite_testing::{Summary, TOLERANCE, model_from_formula as model};

use crate::picture;
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
            for (name, found, expected) in [
                ("logits", &outputs.logits, &golden.logits),
                ("regressions", &outputs.regressions, &golden.regressions),
            ] {
                expected.assert_close(name, expected.shape(), found);
            }
        }
    }
}
