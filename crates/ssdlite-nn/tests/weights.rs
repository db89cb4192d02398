//! Weights in and out of the networks and of model files.

use std::fs;
use std::path::PathBuf;

use burn::tensor::Device;
use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
use ssdlite_nn::weights::formula::state_from_formula;
use ssdlite_nn::weights::{
    Values, detector_state_from_classifier, head_rows_by_class, read_model, write_model,
};
use ssdlite_nn::{Classifier, Detector, Error, Network, StateDict, StateTensor};
use tempfile::TempDir;

const SMALL: MobileNetV3 = MobileNetV3::new(Variant::Small);

fn classes(names: &[&str]) -> ClassNames {
    ClassNames::new(names).expect("sound names")
}

fn detector_info() -> ModelInfo {
    ModelInfo::detector(SMALL, classes(&["cat", "dog", "eel"]), 300)
}

fn formula(info: &ModelInfo) -> StateDict {
    state_from_formula(&info.tensors())
}

fn floats(state: &StateDict, key: &str) -> Vec<f32> {
    match &state.get(key).expect(key).values {
        Values::F32(values) => values.clone(),
        other => panic!("expected floats, found {other:?}"),
    }
}

fn without(state: &StateDict, key: &str) -> StateDict {
    let kept = state.iter().filter(|(other, _)| *other != key);
    kept.map(|(key, tensor)| (key.to_owned(), tensor.clone()))
        .collect()
}

/// `state` with one tensor changed.
fn changed(state: &StateDict, key: &str, change: impl FnOnce(&mut StateTensor)) -> StateDict {
    let mut state = state.clone();
    let mut tensor = state.get(key).expect(key).clone();
    change(&mut tensor);
    state.insert(key.to_owned(), tensor);
    state
}

#[test]
fn networks_have_exactly_the_tensors_of_the_table() {
    let device = Device::flex();
    for variant in [Variant::Small, Variant::Large] {
        for backbone in [
            MobileNetV3::new(variant),
            MobileNetV3::new(variant).with_reduced_tail(),
        ] {
            let (classifier, detector) = (backbone.classifier(7), backbone.detector(7));
            let state = Classifier::new(&classifier, 3, &device).state_dict();
            state
                .check(&classifier.tensors())
                .expect("the table's tensors");
            let state = Detector::new(&detector, 3, &device).state_dict();
            state
                .check(&detector.tensors())
                .expect("the table's tensors");
        }
    }
}

#[test]
fn the_other_shapes_of_the_network_are_built_too() {
    let device = Device::flex();
    let backbone = MobileNetV3 {
        width_multiplier: 0.35,
        minimalistic: true,
        ..SMALL
    };
    let network = backbone.detector(2);
    let state = Detector::new(&network, 3, &device).state_dict();
    state
        .check(&network.tensors())
        .expect("the table's tensors");
}

#[test]
fn first_values_depend_on_the_seed_alone() {
    let network = SMALL.detector(3);
    let device = Device::flex();
    let state = Detector::new(&network, 5, &device).state_dict();
    let (other, again) = (6, 5);
    let on_threads = std::thread::scope(|scope| {
        let build = |seed| {
            let network = &network;
            scope.spawn(move || Detector::new(network, seed, &Device::flex()).state_dict())
        };
        [build(other), build(again)].map(|thread| thread.join().expect("a detector"))
    });
    assert_ne!(state, on_threads[0]);
    assert_eq!(state, on_threads[1]);
}

#[test]
fn loaded_tensors_come_out_again() {
    let state = formula(&detector_info());
    let network = SMALL.detector(3);
    for device in [Device::flex(), Device::flex().autodiff()] {
        let detector = Detector::new(&network, 5, &device);
        let detector = detector.load_state_dict(&state).expect("fitting tensors");
        assert_eq!(detector.state_dict(), state);
    }
}

#[test]
fn model_files_come_back() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    let info = detector_info();
    let state = formula(&info);
    write_model(&path, &info, &state).expect("a writable folder");
    // Replacing leaves nothing else behind.
    write_model(&path, &info, &state).expect("a writable folder");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    let file = read_model(&path).expect("a model file");
    assert_eq!((file.info, file.state), (info, state));
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let info = detector_info();
    let state = formula(&info);
    let key = "backbone.features.0.0.0.weight";
    let variance = "backbone.features.0.0.1.running_var";
    let set = |index: usize, value: f32| {
        move |tensor: &mut StateTensor| {
            if let Values::F32(values) = &mut tensor.values {
                values[index] = value;
            }
        }
    };
    let cases = [
        (without(&state, key), format!("1 missing: {key}")),
        (
            changed(&state, key, |tensor| tensor.shape = vec![16, 27, 1, 1]),
            format!("expected f32[16,3,3,3] for {key}, found f32[16,27,1,1]"),
        ),
        (
            changed(&state, key, |tensor| {
                tensor.values = Values::Unread("f16".into())
            }),
            format!("expected f32[16,3,3,3] for {key}, found f16[16,3,3,3]"),
        ),
        (
            changed(&state, key, set(17, f32::NAN)),
            format!("expected finite numbers in {key}, found NaN at element 17"),
        ),
        (
            changed(&state, key, set(3, f32::INFINITY)),
            format!("expected finite numbers in {key}, found inf at element 3"),
        ),
        (
            changed(&state, variance, set(2, -0.5)),
            format!("expected no negative variance in {variance}, found -0.5 at element 2"),
        ),
    ];
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("model.safetensors");
    for (state, expected) in cases {
        let detector = Detector::new(&SMALL.detector(3), 1, &Device::flex());
        let error = detector.load_state_dict(&state).expect_err(&expected);
        assert!(error.to_string().contains(&expected), "{error}");
        assert!(write_model(&path, &info, &state).is_err());
    }
    let mut more = state.clone();
    more.insert(
        "classifier.9.weight".into(),
        state.get(key).expect(key).clone(),
    );
    let error = more.check(&info.tensors()).expect_err("one too many");
    assert!(
        error
            .to_string()
            .contains("1 unexpected: classifier.9.weight")
    );
    assert!(!path.exists());
}

fn model_bytes(folder: &TempDir) -> (PathBuf, Vec<u8>) {
    let path = folder.path().join("model.safetensors");
    let backbone = MobileNetV3 {
        width_multiplier: 0.1,
        ..SMALL
    };
    let info = ModelInfo::classifier(backbone, classes(&["a", "b"]), 32);
    write_model(&path, &info, &formula(&info)).expect("a writable folder");
    let bytes = fs::read(&path).expect("the file");
    (path, bytes)
}

#[test]
fn broken_model_files_are_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let (path, bytes) = model_bytes(&folder);
    let header = u64::from_le_bytes(*bytes.first_chunk().expect("a header")) as usize;
    let lengths = (0..header + 8)
        .step_by(997)
        .chain([bytes.len() / 2, bytes.len() - 1]);
    for length in lengths {
        fs::write(&path, &bytes[..length]).expect("a writable folder");
        let error = read_model(&path).expect_err("half a model is none");
        assert!(
            matches!(error, Error::Malformed { .. }),
            "{length}: {error}"
        );
    }
    for header in [u64::MAX, 1 << 40, (16 << 20) + 1] {
        let mut altered = bytes.clone();
        altered[..8].copy_from_slice(&header.to_le_bytes());
        fs::write(&path, &altered).expect("a writable folder");
        let error = read_model(&path).expect_err("too long a header");
        assert!(matches!(error, Error::OverLimit { .. }), "{error}");
    }
    let mut draws = ssdlite_nn::weights::formula::fractions("model file");
    for _ in 0..100 {
        let mut altered = bytes.clone();
        let [position, byte] = [(); 2].map(|()| draws.next().unwrap_or(0.0));
        altered[8 + (position * header as f64) as usize] = (byte * 256.0) as u8;
        fs::write(&path, &altered).expect("a writable folder");
        // A changed digit may still make a sound file.
        let _ = read_model(&path);
    }
}

#[test]
fn other_safetensors_files_are_told_what_they_lack() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("other.safetensors");
    let header = b"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([0; 4]);
    fs::write(&path, bytes).expect("a writable folder");
    let error = read_model(&path).expect_err("no model file");
    assert!(error.to_string().contains("under `ssdlite`"), "{error}");
}

#[test]
fn a_detector_takes_the_backbone_of_a_classifier() {
    for variant in [Variant::Small, Variant::Large] {
        let backbone = MobileNetV3::new(variant);
        let classifier = state_from_formula(&backbone.classifier(11).tensors());
        let state = detector_state_from_classifier(&classifier, &backbone);
        let network = backbone.detector(4);
        let detector = Detector::new(&network, 9, &Device::flex());
        let first = detector.state_dict();
        let (detector, report) = detector.load_matching(&state).expect("a fitting backbone");
        assert!(
            report.different.is_empty() && report.unused.is_empty(),
            "{report}"
        );
        assert!(
            report
                .missing
                .iter()
                .all(|key| !key.starts_with("backbone.features."))
        );
        let loaded = detector.state_dict();
        for (from, to) in backbone
            .classifier(11)
            .tensors()
            .iter()
            .zip(network.tensors())
        {
            if from.key.starts_with("features.") {
                assert_eq!(loaded.get(&to.key), classifier.get(&from.key), "{}", to.key);
            }
        }
        let head = &network.classification[0].output.key;
        let head = format!("{head}.weight");
        assert_eq!(loaded.get(&head), first.get(&head));
    }
}

#[test]
fn what_does_not_fit_is_listed() {
    let state = state_from_formula(&SMALL.detector(5).tensors());
    let detector = Detector::new(&SMALL.detector(3), 9, &Device::flex());
    let (_, report) = detector.load_matching(&state).expect("a fitting backbone");
    assert_eq!(report.different.len(), 12);
    let expected = "expected f32[24,288,1,1] for \
        head.classification_head.module_list.0.1.weight, found f32[36,288,1,1]";
    assert!(report.to_string().contains(expected), "{report}");

    let detector = Detector::new(&SMALL.detector(3), 9, &Device::flex());
    let classifier = state_from_formula(&SMALL.classifier(3).tensors());
    let error = detector
        .load_matching(&classifier)
        .expect_err("nothing fits");
    assert!(matches!(error, Error::WeightsMismatch(_)), "{error}");
}

#[test]
fn another_networks_weights_are_refused() {
    let narrow = MobileNetV3 {
        width_multiplier: 0.5,
        ..SMALL
    };
    let large = MobileNetV3::new(Variant::Large);
    for other in [narrow, large, large.with_reduced_tail()] {
        let state = state_from_formula(&other.detector(3).tensors());
        let specs = SMALL.detector(3).tensors();
        let error = state.select_fitting(&specs).expect_err("another network");
        let text = error.to_string();
        assert!(text.contains("another network's"), "{text}");
        assert!(text.contains("expected f32["), "{text}");
    }
    for network in [SMALL, large] {
        let full = state_from_formula(&network.classifier(3).tensors());
        let specs = network.with_reduced_tail().classifier(5).tensors();
        let (fitting, report) = full.select_fitting(&specs).expect("the same stages");
        assert!(fitting.len() > report.different.len(), "{report}");
    }
}

#[test]
fn many_missing_tensors_are_counted_by_part() {
    let classifier = state_from_formula(&SMALL.classifier(3).tensors());
    let state = detector_state_from_classifier(&classifier, &SMALL);
    let specs = SMALL.detector(3).tensors();
    let (_, report) = state.select_fitting(&specs).expect("a fitting backbone");
    let parts = "backbone.extra (72), head.classification_head (48), head.regression_head (48)";
    assert!(report.to_string().contains(parts), "{report}");
}

#[test]
fn classes_of_the_same_name_keep_their_rows() {
    let from = ["cat", "N/A", "dog", "N/A", "cow"];
    let to = classes(&["dog", "eel", "cat"]);
    let source = state_from_formula(&SMALL.detector(from.len()).tensors());
    let network = SMALL.detector(to.len());
    let initial = Detector::new(&network, 4, &Device::flex()).state_dict();
    let (heads, found) = head_rows_by_class(&source, &from, &initial, &to, &network);
    assert_eq!(found, ["dog", "cat"]);
    assert_eq!(heads.len(), 12);
    // Background, dog, eel, cat; rows of the source count its background.
    let rows = [Some(0), Some(3), None, Some(1)];
    for (key, _) in heads.iter() {
        let (old, new, first) = (
            floats(&source, key),
            floats(&heads, key),
            floats(&initial, key),
        );
        let length = new.len() / (6 * rows.len());
        for (index, values) in new.chunks_exact(length).enumerate() {
            let (default_box, row) = (index / rows.len(), index % rows.len());
            let expected = match rows[row] {
                Some(row) => &old[(default_box * 6 + row) * length..][..length],
                None => &first[index * length..][..length],
            };
            assert_eq!(values, expected, "{key}, box {default_box}, row {row}");
        }
    }
}
