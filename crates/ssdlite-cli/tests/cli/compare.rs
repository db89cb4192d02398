//! `compare`, and the pages of `eval` and `compare`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
use ssdlite_testing::model_from_formula;

use crate::harness::{copy_folder, files_below, run};
use crate::shared::{CLASSES, classifier, detection_data, detector, text};

/// A network of the other backbone, which has learnt nothing.
fn write_large(path: &Path, classes: &[&str]) {
    let network = MobileNetV3 {
        width_multiplier: 0.1,
        ..MobileNetV3::new(Variant::Large)
    };
    let classes = ClassNames::new(classes).unwrap();
    let info = ModelInfo::detector(network, classes, 64);
    model_from_formula(&info).write(path).unwrap();
}

/// What does not depend on time.
fn without_times(mut report: Value) -> Value {
    for model in report["models"].as_array_mut().unwrap() {
        let model = model.as_object_mut().unwrap();
        for time in ["median_ms", "min_ms"] {
            assert!(model.remove(time).unwrap().as_f64().unwrap() > 0.0);
        }
    }
    report
}

#[test]
fn a_small_model_is_compared_with_a_large_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    write_large(&folder.path().join("large.safetensors"), &CLASSES);
    let args = ["compare", &detector(), "large.safetensors", &data];
    let ran = run(folder.path(), &args).exits(0);
    for words in [
        "A: ",
        "MobileNetV3-Small",
        "MobileNetV3-Large",
        "VOC07 11-point AP at IoU 0.5, images: 5",
        "95% interval",
        "mAP (voc07) of B - A on test: ",
    ] {
        assert!(ran.stdout.contains(words), "{words}: {}", ran.stdout);
    }

    let of = |a: &str, b: &str| {
        let args = ["compare", a, b, &data, "--json"];
        let [report] = run(folder.path(), &args)
            .exits(0)
            .json()
            .try_into()
            .unwrap();
        without_times(report)
    };
    let report = of(&detector(), "large.safetensors");
    assert_eq!(report, of(&detector(), "large.safetensors"));
    assert_eq!(report["metric"], "voc07");
    assert_eq!(report["split"], "test");
    assert_eq!(report["models"][1]["model"], "large.safetensors");
    let bytes = fs::metadata(folder.path().join("large.safetensors")).unwrap();
    assert_eq!(report["models"][1]["file_bytes"], bytes.len());
    let names = report["per_class"].as_object().unwrap().keys();
    assert!(names.map(String::as_str).eq(CLASSES));
    // What `eval` says of each.
    for (side, model) in [("a", detector()), ("b", "large.safetensors".into())] {
        let args = ["eval", &model, &data, "--json"];
        let [alone] = run(folder.path(), &args)
            .exits(0)
            .json()
            .try_into()
            .unwrap();
        assert_eq!(report["map"][side], alone["map"]);
        assert_eq!(report[side]["f1"], alone["model_threshold"]["f1"]);
        assert_eq!(report["images"], alone["images"]);
    }

    let swapped = of("large.safetensors", &detector());
    let number = |report: &Value, key: &str| report["map"]["interval"][key].as_f64().unwrap();
    assert_eq!(number(&report, "low"), -number(&swapped, "high"));
    let itself = of(&detector(), &detector());
    assert_eq!(itself["map"]["difference"], 0.0);
    assert_eq!(itself["differing"], serde_json::json!([]));
    assert_eq!(
        (number(&itself, "low"), number(&itself, "high")),
        (0.0, 0.0)
    );
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (detector(), text(detection_data()));
    let said = |code, args: &[&str]| run(folder.path(), args).exits(code).stderr;
    let mut classes = CLASSES;
    classes.swap(0, 1);
    write_large(&folder.path().join("other.safetensors"), &classes);
    let told = said(1, &["compare", &model, "other.safetensors", &data]);
    assert!(told.contains("same classes"), "{told}");
    let told = said(1, &["compare", &model, &classifier(), &data]);
    assert!(told.contains("classifier"), "{told}");
    let told = said(1, &["compare", &model, "absent.safetensors", &data]);
    assert!(told.contains("absent.safetensors"), "{told}");
    let told = said(1, &["compare", &model, &model, "absent"]);
    assert!(told.contains("absent"), "{told}");
    let told = said(2, &["compare", &model, &model, &data, "--metric", "coco"]);
    assert!(told.contains("coco"), "{told}");
    let told = said(2, &["compare", &model, &data]);
    assert!(told.contains("DATA"), "{told}");
}

#[test]
fn reports_are_written_and_replace_only_reports() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (detector(), text(detection_data()));
    for args in [
        vec!["eval", &model, &data, "--report", "a/b"],
        vec!["compare", &model, &model, &data, "--report", "a/b"],
        vec!["eval", &model, &data, "--report", "a/b", "--json"],
    ] {
        let ran = run(folder.path(), &args).exits(0);
        assert!(ran.stderr.contains("a/b/index.html"), "{}", ran.stderr);
        let page = fs::read_to_string(folder.path().join("a/b/index.html")).unwrap();
        assert!(page.starts_with("<!DOCTYPE html>"));
        for class in CLASSES {
            assert!(page.contains(class), "{class}");
        }
    }
    // The page is all there is.
    let written = files_below(&folder.path().join("a"));
    assert!(written.keys().eq(["b/index.html"]));

    fs::write(folder.path().join("index.html"), "mine").unwrap();
    let ran = run(folder.path(), &["eval", &model, &data, "--report", "."]).exits(1);
    assert!(ran.stderr.contains("index.html"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    let kept = fs::read_to_string(folder.path().join("index.html")).unwrap();
    assert_eq!(kept, "mine");
}

/// The names over the pictures of a page.
fn shown_names(page: &Path) -> Vec<String> {
    let page = fs::read_to_string(page).unwrap();
    let names = page.split("<h3>").skip(1);
    names
        .map(|rest| rest.split("</h3>").next().unwrap().to_owned())
        .collect()
}

#[test]
fn an_image_that_cannot_be_used_leaves_the_others_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(detection_data(), &set);
    let list = fs::read_to_string(set.join("ImageSets/Main/test.txt")).unwrap();
    let ids: Vec<&str> = list.lines().map(str::trim).collect();
    let image = set.join(format!("JPEGImages/{}.jpg", ids[0]));
    let bytes = fs::read(&image).unwrap();
    fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
    let model = detector();
    write_large(&folder.path().join("large.safetensors"), &CLASSES);
    for args in [
        vec!["eval", "large.safetensors", "set", "--report", "page"],
        vec![
            "compare",
            &model,
            "large.safetensors",
            "set",
            "--report",
            "page",
        ],
    ] {
        let ran = run(folder.path(), &args).exits(1);
        let told = format!("{}.jpg", ids[0]);
        assert_eq!(ran.stderr.matches(&told).count(), 1, "{}", ran.stderr);
        let names = shown_names(&folder.path().join("page/index.html"));
        assert!(!names.is_empty());
        for name in names {
            assert!(ids[1..].contains(&name.as_str()), "{name}");
        }
    }
}
