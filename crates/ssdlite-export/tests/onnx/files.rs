//! What a file says about itself.

use ssdlite_core::model_info::METADATA_KEY;
use ssdlite_core::{ModelInfo, Variant};
use ssdlite_export::{Batch, InputNumbers, Layout, OnnxOptions, onnx_from_model};

use crate::engine::Engine;
use crate::models::{classifier, detectors};

#[test]
fn ultralytics_keys_are_pythons_literals() {
    let [case, ..] = detectors();
    for (layout, batch, args) in [
        (
            Layout::Yolo,
            Batch::Fixed(3),
            "{'batch': 3, 'dynamic': False, 'nms': False}",
        ),
        (
            Layout::Nms,
            Batch::Dynamic,
            "{'batch': 1, 'dynamic': True, 'nms': True}",
        ),
    ] {
        let options = OnnxOptions {
            layout,
            batch,
            ..OnnxOptions::default()
        };
        let onnx = onnx_from_model(&case.model, &options).expect("a sound model");
        let engine = Engine::new(&onnx.bytes);
        for (key, expected) in [
            ("names", "{0: 'cat', 1: \"it's a dog\", 2: 'Äpfel'}"),
            ("imgsz", "[72, 100]"),
            ("stride", "4"),
            ("task", "detect"),
            ("channels", "3"),
            ("args", args),
        ] {
            assert_eq!(engine.metadata(key), expected, "{key}");
        }
    }
    let case = classifier(Variant::Small);
    let onnx = onnx_from_model(&case.model, &OnnxOptions::default()).expect("a sound model");
    assert_eq!(Engine::new(&onnx.bytes).metadata("task"), "classify");
}

#[test]
fn our_description_is_in_the_file_and_one_model_gives_one_file() {
    for case in detectors() {
        let write = || onnx_from_model(&case.model, &OnnxOptions::default()).expect("a file");
        let onnx = write();
        let json = Engine::new(&onnx.bytes).metadata(METADATA_KEY).to_owned();
        let info = ModelInfo::from_json(&json).expect("a description");
        assert_eq!(&info, case.model.info());
        assert_eq!(onnx.bytes, write().bytes);
    }
}

#[test]
fn ports_are_told_as_they_are() {
    let [case, ..] = detectors();
    let info = case.model.info();
    let boxes = info.default_boxes().expect("a detector").len();
    let told = |options: OnnxOptions| {
        let onnx = onnx_from_model(&case.model, &options).expect("a sound model");
        let ports = [&onnx.input].into_iter().chain(&onnx.outputs);
        ports.map(ToString::to_string).collect::<Vec<_>>()
    };
    let raw = OnnxOptions {
        batch: Batch::Dynamic,
        input: InputNumbers::Bytes,
        ..OnnxOptions::default()
    };
    let expected = [
        "images u8[batch,3,72,100]".to_owned(),
        format!("boxes f32[batch,{boxes},4]"),
        format!("scores f32[batch,{boxes},3]"),
    ];
    assert_eq!(told(raw), expected);
    let ssd7 = OnnxOptions {
        layout: Layout::Ssd7,
        ..OnnxOptions::default()
    };
    assert_eq!(
        told(ssd7),
        ["images f32[1,3,72,100]", "detection_out f32[1,1,300,7]"]
    );
}
