//! Model files that are broken in every way end in an error that says how.

use std::num::NonZeroUsize;

use ssdlite_core::{ImageSize, MobileNetV3, ModelInfo, Variant};
use ssdlite_infer::{
    Classifier, Detector, DetectorOptions, Error, ModelFile, NamedTensor, RunOptions,
};

use crate::formula::{model, picture};
use crate::golden::classes;

/// The smallest network there is: reading it is quick.
fn info() -> ModelInfo {
    let network = MobileNetV3 {
        width_multiplier: 0.1,
        ..MobileNetV3::new(Variant::Small)
    };
    ModelInfo::detector(network, classes(2), 32)
}

fn tensors(info: &ModelInfo) -> Vec<NamedTensor> {
    let file = model(info);
    let specs = info.tensors().into_iter();
    specs
        .filter_map(|spec| {
            let numbers = file.numbers(&spec.key)?;
            Some(NamedTensor {
                key: spec.key,
                shape: spec.shape,
                numbers,
            })
        })
        .collect()
}

/// The message of the error that changed tensors give.
fn message(change: impl FnOnce(&mut Vec<NamedTensor>)) -> String {
    let info = info();
    let mut tensors = tensors(&info);
    change(&mut tensors);
    let error = ModelFile::from_tensors(&info, tensors).expect_err("a broken model");
    error.to_string()
}

#[test]
fn bytes_come_back() {
    let info = info();
    let file = model(&info);
    let back = ModelFile::from_bytes(file.as_bytes().to_vec()).expect("a sound file");
    assert_eq!(back.info(), &info);
    for tensor in tensors(&info) {
        assert_eq!(back.numbers(&tensor.key), Some(tensor.numbers));
    }
}

#[test]
fn wrong_tensors_are_named() {
    let stem = "backbone.features.0.0.0.weight";
    let missing = message(|tensors| tensors.retain(|tensor| tensor.key != stem));
    assert_eq!(
        missing,
        format!("expected f32[8,3,3,3] for {stem}, found no such tensor")
    );
    let shape = message(|tensors| {
        let tensor = tensors.iter_mut().find(|tensor| tensor.key == stem);
        tensor.expect("a stem").shape = vec![8, 27];
    });
    assert_eq!(
        shape,
        format!("expected f32[8,3,3,3] for {stem}, found f32[8,27]")
    );
    let unexpected = message(|tensors| {
        tensors.push(NamedTensor {
            key: "head.more".into(),
            shape: vec![1],
            numbers: vec![0.0],
        });
    });
    assert!(unexpected.contains("head.more"), "{unexpected}");
}

#[test]
fn numbers_that_are_not_finite_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let found = message(|tensors| tensors[3].numbers[1] = bad);
        assert!(found.starts_with("expected finite numbers in "), "{found}");
    }
    let negative = message(|tensors| {
        let key = "backbone.features.0.0.1.running_var";
        let tensor = tensors.iter_mut().find(|tensor| tensor.key == key);
        tensor.expect("a variance").numbers[0] = -1.0;
    });
    assert!(negative.contains("a variance of at least 0"), "{negative}");
}

#[test]
fn weights_that_overflow_when_folded_are_refused() {
    let info = info();
    let mut tensors = tensors(&info);
    for tensor in &mut tensors {
        if tensor.key.starts_with("backbone.features.0.0.") {
            tensor.numbers.fill(1e38);
        }
    }
    let file = ModelFile::from_tensors(&info, tensors).expect("finite numbers");
    let error = Detector::new(&file, &DetectorOptions::default()).expect_err("an overflow");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
}

#[test]
fn every_truncation_and_many_damages_are_errors_or_models() {
    let bytes = model(&info()).as_bytes().to_vec();
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().expect("a length")) as usize;
    for len in (0..header + 64).step_by(97).chain([bytes.len() - 1]) {
        assert!(
            ModelFile::from_bytes(bytes[..len].to_vec()).is_err(),
            "{len}"
        );
    }
    for at in (0..header).step_by(61) {
        for byte in [0, b'"', b'}', b'9', 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            // A damaged file may still be sound, such as with another digit
            // in a metric; all that counts is that nothing panics.
            if let Ok(file) = ModelFile::from_bytes(damaged) {
                let _ = Detector::new(&file, &DetectorOptions::default());
            }
        }
    }
}

#[test]
fn lengths_that_lie_are_errors() {
    let sound = model(&info()).as_bytes().to_vec();
    for length in [0, 1, u64::MAX, u64::MAX / 2, 1 << 40] {
        let mut bytes = sound.clone();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert!(ModelFile::from_bytes(bytes).is_err(), "{length}");
    }
    let nested = format!("{{\"__metadata__\":{}", "[".repeat(100_000));
    let mut bytes = (nested.len() as u64).to_le_bytes().to_vec();
    bytes.extend(nested.bytes());
    assert!(ModelFile::from_bytes(bytes).is_err());
}

#[test]
fn bytes_that_belong_to_no_tensor_are_refused() {
    let mut bytes = model(&info()).as_bytes().to_vec();
    bytes.push(0);
    let error = ModelFile::from_bytes(bytes).expect_err("a byte too many");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
}

/// The file with its header's text changed.
fn with_header(bytes: &[u8], change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    let (header, numbers) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header = change(std::str::from_utf8(header).expect("text"));
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), numbers].concat()
}

#[test]
fn tensors_that_share_bytes_and_leave_others_are_refused() {
    let (first, second) = ("running_mean", "running_var");
    let key = |name: &str| format!("backbone.features.0.0.1.{name}");
    let bytes = with_header(model(&info()).as_bytes(), |header| {
        let mut json: serde_json::Value = serde_json::from_str(header).expect("JSON");
        let shared = json[key(second)]["data_offsets"].clone();
        json[key(first)]["data_offsets"] = shared;
        json.to_string()
    });
    let error = ModelFile::from_bytes(bytes).expect_err("an overlap");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    assert!(error.to_string().contains("gap or overlap"), "{error}");
}

#[test]
fn keys_that_stand_twice_are_refused() {
    let sound = model(&info()).as_bytes().to_vec();
    let key = "backbone.features.0.0.0.weight";
    let tensor = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    for more in [
        format!(r#"{{"{key}":{tensor},"#),
        r#"{"__metadata__":{},"#.to_owned(),
    ] {
        let bytes = with_header(&sound, |header| header.replacen('{', &more, 1));
        let error = ModelFile::from_bytes(bytes).expect_err("a key too many");
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }
    let inner = r#""__metadata__":{"a":"","a":"","#;
    let bytes = with_header(&sound, |header| {
        header.replacen(r#""__metadata__":{"#, inner, 1)
    });
    let error = ModelFile::from_bytes(bytes).expect_err("a key too many");
    assert!(error.to_string().contains("`a` stands twice"), "{error}");
}

#[test]
fn outputs_that_are_not_finite_are_errors() {
    let huge = |info: &ModelInfo, layer: &str| {
        let mut tensors = tensors(info);
        let weights = tensors
            .iter_mut()
            .filter(|tensor| tensor.key.contains(layer));
        weights.for_each(|tensor| tensor.numbers.fill(3e38));
        ModelFile::from_tensors(info, tensors).expect("finite numbers")
    };
    let picture = picture(ImageSize::new(40, 30));
    let options = DetectorOptions::default();
    let is_told = |error: Error| matches!(error, Error::Malformed(_));
    for head in ["classification_head", "regression_head"] {
        let layer = format!("head.{head}.module_list.0.1.");
        let detector = Detector::new(&huge(&info(), &layer), &options).expect("a model");
        assert!(is_told(detector.outputs(&picture).expect_err("no number")));
        assert!(is_told(detector.detect(&picture).expect_err("no number")));
    }
    let info = ModelInfo::classifier(info().backbone, classes(2), 32);
    let file = huge(&info, "classifier.3.");
    let classifier = Classifier::new(&file, RunOptions::default()).expect("a model");
    assert!(is_told(classifier.logits(&picture).expect_err("no number")));
    assert!(is_told(
        classifier.classify(&picture).expect_err("no number")
    ));
}

#[test]
fn more_threads_than_any_machine_needs_are_refused() {
    let run = RunOptions::threads(NonZeroUsize::new(257).expect("not zero"));
    let options = DetectorOptions {
        run,
        post_processing: None,
    };
    let error = Detector::new(&model(&info()), &options).expect_err("too many threads");
    assert!(matches!(error, Error::OverLimit(_)), "{error}");
}

#[test]
fn tasks_are_told_apart() {
    let detector = model(&info());
    let error = Classifier::new(&detector, RunOptions::default()).expect_err("a detector's file");
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
