//! `export`.

use std::fs;
use std::path::Path;

use ssdlite_core::Task;
use ssdlite_model::{ModelFile, WeightsKind, read_weights};

use crate::harness::{Ran, files_below, run};
use crate::shared::{classifier, detector, detector_run, text};

fn export(folder: &Path, model: &str, to: &str, out: &str, more: &[&str]) -> Ran {
    let args = ["export", model, "--to", to, "--out", out];
    run(folder, &[&args[..], more].concat())
}

#[test]
fn every_layout_is_written_and_its_tensors_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for (layout, options, words) in [
        (
            "raw",
            &[][..],
            &["images f32[1,3,64,64] -> boxes f32[1,", "scores f32[1,"][..],
        ),
        (
            "nms",
            &["--max-detections", "7"],
            &["detections f32[1,7,6]"],
        ),
        (
            "yolo",
            &["--batch", "3"],
            &["images f32[3,3,64,64] -> output0 f32[3,9,"],
        ),
        (
            "yolo",
            &["--batch", "dynamic"],
            &["images f32[batch,3,64,64]"],
        ),
        (
            "ssd7",
            &["--input", "uint8"],
            &["images u8[1,3,64,64]", "detection_out f32[1,1,300,7]"],
        ),
        ("jetson", &[], &["input_0 f32[1,3,64,64] -> scores f32[1,"]),
    ] {
        let args = [&["--layout", layout][..], options].concat();
        let ran = export(folder.path(), &detector(), "onnx", "model.onnx", &args).exits(0);
        for words in words {
            assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        }
        let bytes = fs::read(folder.path().join("model.onnx")).unwrap();
        assert!(bytes.len() > 10_000, "{layout}");
    }
    // A run's folder stands for its best model, and an ending may be in capitals.
    let args = ["--layout", "raw"];
    export(
        folder.path(),
        &text(detector_run()),
        "onnx",
        "run.ONNX",
        &args,
    )
    .exits(0);
    let best = export(folder.path(), &detector(), "onnx", "best.onnx", &args).exits(0);
    assert!(best.stdout.is_empty(), "{}", best.stdout);
    let files = files_below(folder.path());
    assert_eq!(files["run.ONNX"], files["best.onnx"]);
}

/// As the consumers of a layout count them.
#[test]
fn a_labelmap_has_the_names_of_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    let names = ModelFile::read(Path::new(&detector())).unwrap();
    let names: Vec<String> = names.info().classes.iter().map(str::to_owned).collect();
    let numbered = |first: usize| {
        let lines = names.iter().enumerate();
        let lines = lines.map(|(id, name)| format!("{} {name}\n", id + first));
        lines.collect::<String>()
    };
    for (layout, expected) in [
        ("yolo", numbered(0)),
        ("ssd7", numbered(1)),
        ("jetson", format!("BACKGROUND\n{}\n", names.join("\n"))),
    ] {
        let args = ["--layout", layout, "--labelmap", "labels.txt"];
        let ran = export(folder.path(), &detector(), "onnx", "model.onnx", &args).exits(0);
        let told = format!("labels.txt: {} classes", names.len());
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
        let text = fs::read_to_string(folder.path().join("labels.txt")).unwrap();
        assert_eq!(text, expected, "{layout}");
    }
    // Not the model, whose name may end so too.
    fs::copy(detector(), folder.path().join("model.txt")).unwrap();
    let before = files_below(folder.path());
    let args = ["--labelmap", "./model.txt"];
    let ran = export(folder.path(), "model.txt", "onnx", "m.onnx", &args).exits(1);
    let words = "this is the file that is read";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(files_below(folder.path()), before);
}

#[test]
fn a_classifier_gives_probabilities_and_has_no_other_layout() {
    let folder = tempfile::tempdir().unwrap();
    let ran = export(folder.path(), &classifier(), "onnx", "names.onnx", &[]).exits(0);
    let words = "-> probabilities f32[1,5]";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    let before = files_below(folder.path());
    for layout in ["nms", "yolo", "ssd7", "jetson"] {
        let args = ["--layout", layout];
        let ran = export(folder.path(), &classifier(), "onnx", "other.onnx", &args).exits(1);
        for words in ["best.safetensors", layout, "found a classifier"] {
            assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        }
    }
    assert_eq!(files_below(folder.path()), before);
}

#[test]
fn a_pytorch_file_holds_the_models_tensors_and_is_imported_again() {
    let folder = tempfile::tempdir().unwrap();
    for model in [detector(), classifier()] {
        export(folder.path(), &model, "pth", "w.pth", &[]).exits(0);
        let weights = read_weights(&folder.path().join("w.pth"), WeightsKind::Plain).unwrap();
        let file = ModelFile::read(Path::new(&model)).unwrap();
        assert_eq!(&weights.state, file.state());
    }
}

#[test]
fn it_is_told_that_a_file_cuts_no_tiles() {
    let folder = tempfile::tempdir().unwrap();
    let (mut info, state) = ModelFile::read(Path::new(&detector()))
        .unwrap()
        .into_parts();
    let Task::Detect(settings) = &mut info.task else {
        panic!("expected a detector");
    };
    settings.learnt_view.as_mut().unwrap().tiles = true;
    let path = folder.path().join("tiles.safetensors");
    ModelFile::new(info, state).unwrap().write(&path).unwrap();
    let ran = export(folder.path(), &text(&path), "onnx", "m.onnx", &[]).exits(0);
    assert!(ran.stderr.contains("learnt from tiles"), "{}", ran.stderr);
    for (to, model) in [("pth", text(&path)), ("onnx", detector())] {
        let ran = export(folder.path(), &model, to, &format!("m.{to}"), &[]).exits(0);
        assert!(!ran.stderr.contains("tiles of"), "{}", ran.stderr);
    }
}

#[test]
fn wrong_usage_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    for (to, out, options, words) in [
        (
            "onnx",
            "model.bin",
            &[][..],
            "--out: expected a name that ends in .onnx",
        ),
        (
            "onnx",
            "model",
            &[],
            "--out: expected a name that ends in .onnx",
        ),
        (
            "onnx",
            "model.pth",
            &[],
            "--out: expected a name that ends in .onnx",
        ),
        (
            "pth",
            "model.onnx",
            &[],
            "--out: expected a name that ends in .pth",
        ),
        ("tflite", "model.tflite", &[], "--to"),
        (
            "onnx",
            "m.onnx",
            &["--labelmap", "m.onnx"],
            "--labelmap: expected a name that ends in .txt",
        ),
        (
            "pth",
            "w.pth",
            &["--labelmap", "labels.txt"],
            "--labelmap: this would have no effect",
        ),
        (
            "pth",
            "w.pth",
            &["--layout", "raw"],
            "--layout: this would have no effect",
        ),
        (
            "pth",
            "w.pth",
            &["--batch", "1"],
            "--batch: this would have no effect",
        ),
        (
            "pth",
            "w.pth",
            &["--score", "0.5"],
            "--score: this would have no effect",
        ),
        (
            "onnx",
            "m.onnx",
            &["--score", "0.5"],
            "--score: this would have no effect",
        ),
        (
            "onnx",
            "m.onnx",
            &["--layout", "yolo", "--nms", "0.5"],
            "with --layout yolo",
        ),
        (
            "onnx",
            "m.onnx",
            &["--layout", "nms", "--score", "2"],
            "--score",
        ),
        ("onnx", "m.onnx", &["--layout", "rows"], "--layout"),
        ("onnx", "m.onnx", &["--batch", "0"], "--batch"),
        (
            "onnx",
            "m.onnx",
            &["--batch", "1e9"],
            "1 to 1024, or `dynamic`",
        ),
        ("onnx", "m.onnx", &["--input", "int8"], "--input"),
    ] {
        let ran = export(folder.path(), &detector(), to, out, options).exits(2);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    for (options, words) in [
        (
            &["--layout", "ssd7", "--batch", "2"][..],
            "expected one image",
        ),
        (
            &["--layout", "jetson", "--input", "uint8"],
            "expected floats",
        ),
    ] {
        let ran = export(folder.path(), &detector(), "onnx", "m.onnx", options).exits(1);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert!(files_below(folder.path()).is_empty());
}

#[test]
fn the_model_that_is_read_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pth");
    fs::copy(detector(), &path).unwrap();
    let before = files_below(folder.path());
    let ran = export(folder.path(), "model.pth", "pth", "./model.pth", &[]).exits(1);
    let words = "this is the file that is read";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(files_below(folder.path()), before);
    // What is no model, or not there.
    fs::write(&path, b"no model").unwrap();
    for (model, words) in [("model.pth", "model.pth"), ("absent", "absent")] {
        let ran = export(folder.path(), model, "onnx", "m.onnx", &[]).exits(1);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    // A folder that is not there, and a folder where the file should be.
    fs::create_dir(folder.path().join("taken.onnx")).unwrap();
    for out in ["absent/m.onnx", "taken.onnx"] {
        let ran = export(folder.path(), &detector(), "onnx", out, &[]).exits(1);
        assert!(ran.stderr.contains(out), "{}", ran.stderr);
    }
}
