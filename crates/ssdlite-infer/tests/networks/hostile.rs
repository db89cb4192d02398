//! Models that can't be run, or whose outputs are no numbers, end in an error.

use std::num::NonZeroUsize;

use ssdlite_core::{ImageSize, MobileNetV3, ModelInfo, Variant};
use ssdlite_infer::{Classifier, Detector, DetectorOptions, Error, ModelFile, RunOptions};
use ssdlite_model::Values;
use ssdlite_testing::model_from_formula as model;

use crate::golden::classes;
use crate::image;

/// The smallest network there is: reading it is quick.
fn info() -> ModelInfo {
    let network = MobileNetV3 {
        width_multiplier: 0.1,
        ..MobileNetV3::new(Variant::Small)
    };
    ModelInfo::detector(network, classes(2), 32)
}

/// The model with one number everywhere in some of its tensors.
fn filled(info: &ModelInfo, part_of_key: &str, number: f32) -> ModelFile {
    let (info, mut state) = model(info).into_parts();
    for spec in info.tensors() {
        let mut tensor = state.get(&spec.key).expect("a tensor").clone();
        if let Values::F32(numbers) = &mut tensor.values
            && spec.key.contains(part_of_key)
        {
            numbers.fill(number);
            state.insert(spec.key, tensor);
        }
    }
    ModelFile::new(info, state).expect("finite numbers")
}

#[test]
fn weights_that_overflow_when_folded_are_refused() {
    let file = filled(&info(), "backbone.features.0.0.", 1e38);
    let error = Detector::new(&file, &DetectorOptions::default()).expect_err("an overflow");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
}

#[test]
fn damaged_files_are_errors_or_models() {
    let bytes = model(&info()).to_bytes().expect("a model");
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().expect("a length")) as usize;
    for at in (0..header).step_by(61) {
        for byte in [0, b'"', b'}', b'9', 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            // A damaged file may still be sound, such as with another digit
            // in a metric; all that counts is that nothing panics.
            let _ = Detector::from_bytes(&damaged, &DetectorOptions::default());
        }
    }
}

#[test]
fn outputs_that_are_not_finite_are_errors() {
    let image = image(ImageSize::new(40, 30));
    let options = DetectorOptions::default();
    let is_told = |error: Error| matches!(error, Error::Malformed(_));
    for head in ["classification_head", "regression_head"] {
        let layer = format!("head.{head}.module_list.0.1.");
        let detector = Detector::new(&filled(&info(), &layer, 3e38), &options).expect("a model");
        assert!(is_told(detector.outputs(&image).expect_err("no number")));
        assert!(is_told(detector.detect(&image).expect_err("no number")));
    }
    let info = ModelInfo::classifier(info().backbone, classes(2), 32);
    let file = filled(&info, "classifier.3.", 3e38);
    let classifier = Classifier::new(&file, &RunOptions::default()).expect("a model");
    assert!(is_told(classifier.logits(&image).expect_err("no number")));
    assert!(is_told(classifier.classify(&image).expect_err("no number")));
}

#[test]
fn more_threads_than_any_machine_needs_are_refused() {
    let run = RunOptions::threads(NonZeroUsize::new(257).expect("not zero"));
    let options = DetectorOptions {
        run,
        post_processing: None,
        tiles: None,
    };
    let error = Detector::new(&model(&info()), &options).expect_err("too many threads");
    assert!(matches!(error, Error::OverLimit(_)), "{error}");
}

#[test]
fn tasks_are_told_apart() {
    let detector = model(&info());
    let error = Classifier::new(&detector, &RunOptions::default()).expect_err("a detector's file");
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
    let mut info = ModelInfo::classifier(info().backbone, classes(2), 32);
    info.preprocessing.size = ImageSize::square(32);
    let error =
        Detector::new(&model(&info), &DetectorOptions::default()).expect_err("a classifier's file");
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Detector::load("no/such/model.safetensors").expect_err("no file");
    assert!(matches!(error, Error::Io { .. }));
    assert!(error.to_string().starts_with("no/such/model.safetensors: "));
}
