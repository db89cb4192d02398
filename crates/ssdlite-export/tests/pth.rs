//! What is written as a PyTorch file is read back equal. That PyTorch reads it too is
//! tried by `.ci/onnx`.

use std::fs;

use ssdlite_core::{
    ClassNames, DefaultBoxSizes, DetectorSettings, FinestMap, Head, MobileNetV3, ModelInfo, Task,
    Variant,
};
use ssdlite_export::pth_from_model;
use ssdlite_model::{ModelFile, WeightsKind, read_weights};
use ssdlite_testing::model_from_formula;

fn models() -> Vec<ModelFile> {
    let classes = ClassNames::new(["cat", "dog"]).expect("distinct names");
    let mut models = Vec::new();
    for variant in [Variant::Small, Variant::Large] {
        let backbone = MobileNetV3 {
            width_multiplier: 0.1,
            ..MobileNetV3::new(variant)
        };
        let classifier = ModelInfo::classifier(backbone, classes.clone(), 64);
        let paper = ModelInfo::detector(backbone, classes.clone(), 64);
        let (head, finest) = (Head::Fpn { channels: 16 }, FinestMap::Stride8);
        let pyramid = ModelInfo {
            task: Task::Detect(DetectorSettings {
                head,
                finest,
                default_boxes: DefaultBoxSizes::paper(head, finest),
                ..DetectorSettings::default()
            }),
            ..paper.clone()
        };
        models.extend([classifier, paper, pyramid].iter().map(model_from_formula));
    }
    models
}

#[test]
fn what_is_written_is_read_back_equal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (index, model) in models().iter().enumerate() {
        let path = folder.path().join(format!("{index}.pth"));
        let bytes = pth_from_model(model).expect("a sound model");
        fs::write(&path, &bytes).expect("a writable folder");
        let weights = read_weights(&path, WeightsKind::Plain).expect("a sound file");
        assert_eq!(&weights.state, model.state());
        assert!(weights.info.is_none() && weights.notes.is_empty());
        assert_eq!(bytes, pth_from_model(model).expect("the same again"));
    }
}

/// Where PyTorch maps a file, numbers must lie at multiples of their size.
#[test]
fn records_begin_at_multiples_of_64_bytes_and_keep_the_networks_order() {
    for model in models() {
        let bytes = pth_from_model(&model).expect("a sound model");
        let mut at = 0;
        let mut names = Vec::new();
        let number = |at: usize| {
            let bytes: [u8; 2] = bytes[at..at + 2].try_into().expect("two bytes");
            usize::from(u16::from_le_bytes(bytes))
        };
        while bytes[at..].starts_with(b"PK\x03\x04") {
            let name = at + 30..at + 30 + number(at + 26);
            let size: [u8; 4] = bytes[at + 18..at + 22].try_into().expect("four bytes");
            names.push(String::from_utf8(bytes[name.clone()].to_vec()).expect("a name"));
            at = name.end + number(at + 28);
            assert_eq!(at % 64, 0);
            at += u32::from_le_bytes(size) as usize;
        }
        assert_eq!(names[0], "archive/data.pkl");
        assert_eq!(names.last().map(String::as_str), Some("archive/version"));
        let specs = model.info().tensors();
        assert_eq!(names.len(), specs.len() + 3);
        // Keys stand in the pickle in the order of the layers.
        let mut rest = &bytes[..];
        for spec in &specs {
            let key = spec.key.as_bytes();
            let place = rest.windows(key.len()).position(|window| window == key);
            rest = &rest[place.expect("a key after the last") + key.len()..];
        }
    }
}
