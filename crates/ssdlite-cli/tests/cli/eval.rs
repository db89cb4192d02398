//! `eval`: tables, JSON, charts, and what it refuses.

use std::fs;
use std::path::Path;

use ssdlite_core::Task;
use ssdlite_infer::ModelFile;

use crate::harness::{copy_folder, run};
use crate::shared::{CLASSES, classifier, detection_data, detector, text};

/// The objects of the test split that count, from its XML files.
fn test_objects() -> u64 {
    let data = detection_data();
    let list = fs::read_to_string(data.join("ImageSets/Main/test.txt")).unwrap();
    let objects = list.lines().map(|id| {
        let xml = fs::read_to_string(data.join(format!("Annotations/{}.xml", id.trim()))).unwrap();
        xml.matches("<difficult>0</difficult>").count() as u64
    });
    objects.sum()
}

#[test]
fn every_metric_lists_the_classes_and_their_mean() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (detector(), text(detection_data()));
    for (metric, title) in [
        ("voc07", "VOC07 11-point AP at IoU 0.5, images: 5"),
        ("voc", "VOC area AP at IoU 0.5, images: 5"),
        ("coco", "COCO AP at IoU 0.50:0.95, images: 5"),
    ] {
        let args = ["eval", &model, &data, "--metric", metric];
        let ran = run(folder.path(), &args).exits(0);
        assert!(ran.stdout.starts_with(title), "{}", ran.stdout);
        for class in CLASSES {
            // In the metric's table, that of rates, that of thresholds, and a row and a
            // column of the confusion matrix.
            assert_eq!(ran.stdout.matches(class).count(), 5, "{}", ran.stdout);
        }
        for word in ["mean ", "correct rate", "background"] {
            assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
        }
        let summary = format!("on test: 5 images, {} objects", test_objects());
        let line = ran.stdout.lines().find(|line| line.contains(&summary));
        assert!(
            line.is_some_and(|line| line.starts_with("mAP (")),
            "{line:?}"
        );

        let json = run(folder.path(), &[&args[..], &["--json"]].concat()).exits(0);
        let [report] = json.json().try_into().unwrap();
        assert_eq!(report["metric"], metric);
        assert_eq!(report["images"], 5);
        assert_eq!(report["objects"], test_objects());
        let per_class = report["per_class"].as_object().unwrap();
        assert!(per_class.keys().map(String::as_str).eq(CLASSES));
        let known: Vec<f64> = per_class.values().filter_map(|ap| ap.as_f64()).collect();
        let mean = known.iter().sum::<f64>() / known.len() as f64;
        assert!((report["map"].as_f64().unwrap() - mean).abs() < 1e-9);
    }
}

#[test]
fn charts_and_numbers_are_saved() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (detector(), text(detection_data()));
    let args = [
        "eval", &model, &data, "--split", "trainval", "--save", "a/b",
    ];
    run(folder.path(), &args).exits(0);
    let saved = folder.path().join("a/b");
    for name in ["precision_recall.png", "f1.png", "confusion.png"] {
        let image = fs::read(saved.join(name)).unwrap();
        assert!(image.starts_with(b"\x89PNG"), "{name}");
    }
    let bytes = fs::read(saved.join("evaluation.json")).unwrap();
    let numbers: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for metric in ["voc07", "voc", "coco"] {
        assert_eq!(numbers[metric]["metric"], metric);
        assert_eq!(numbers[metric]["images"], 19);
    }
    let labels = numbers["confusion"]["labels"].as_array().unwrap();
    assert_eq!(labels.len(), CLASSES.len() + 1);
    let rates = &numbers["detection_rates"]["all"];
    let count = |key: &str| rates[key].as_u64().unwrap();
    assert_eq!(count("correct") + count("missed"), count("objects"));
}

#[test]
fn precision_recall_and_f1_are_told_over_the_score() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (detector(), text(detection_data()));
    let args = ["eval", &model, &data, "--split", "train"];
    let ran = run(folder.path(), &args).exits(0);
    let table = ran.stdout.split("All classes over the score").nth(1);
    let table = table.expect("a table over the score");
    for words in ["\n0.1 ", "\n0.9 ", "precision", "recall", "F1", "\nall "] {
        assert!(table.contains(words), "{words}: {table}");
    }
    for words in [
        "\nthe model's own score threshold: ",
        "\nsuggested score threshold: ",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }

    let of = |more: &[&str]| {
        let ran = run(folder.path(), &[&args[..], &["--json"], more].concat()).exits(0);
        let [report] = ran.json().try_into().unwrap();
        report
    };
    let report = of(&["--save", "saved"]);
    assert_eq!(report["split"], "train");
    let thresholds = &report["thresholds"];
    let names = thresholds["per_class"].as_array().unwrap().iter();
    assert!(
        names
            .map(|class| class["name"].as_str().unwrap())
            .eq(CLASSES)
    );
    assert_eq!(thresholds["all"]["objects"], report["objects"]);
    let points = thresholds["all"]["points"].as_array().unwrap();
    assert_eq!(points.len(), 9);
    for point in points.iter().chain([&report["model_threshold"]]) {
        let number = |key: &str| point[key].as_f64().unwrap_or_default();
        let objects = report["objects"].as_f64().unwrap();
        let f1 = 2.0 * number("correct") / (number("detections") + objects);
        assert!((number("f1") - f1).abs() < 1e-9, "{point}");
        assert!((number("recall") - number("correct") / objects).abs() < 1e-9);
    }
    let saved = fs::read(folder.path().join("saved/evaluation.json")).unwrap();
    let saved: serde_json::Value = serde_json::from_slice(&saved).unwrap();
    assert_eq!(saved["thresholds"], *thresholds);

    // Of what is not let through nothing is said.
    let half = of(&["--score", "0.95"]);
    assert_eq!(half["thresholds"]["all"]["points"], serde_json::json!([]));
    assert!(half["model_threshold"].is_null(), "{half}");
}

/// The score threshold in a model's file changes what is shown, not how good the model
/// is.
#[test]
fn a_models_own_threshold_does_not_change_its_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let model = ModelFile::read(detector().as_ref()).unwrap();
    let (mut info, state) = model.into_parts();
    let Task::Detect(settings) = &mut info.task else {
        panic!("no detector");
    };
    settings.post_processing.score_threshold = 0.77;
    let other = ModelFile::new(info, state).unwrap();
    other
        .write(&folder.path().join("other.safetensors"))
        .unwrap();
    let of = |model: &str| {
        let ran = run(folder.path(), &["eval", model, &data, "--json"]).exits(0);
        let [mut report] = ran.json().try_into().unwrap();
        let own = report["model_threshold"].take();
        (report, own["score"].as_f64().unwrap())
    };
    let (report, own) = of("other.safetensors");
    assert!((own - 0.77).abs() < 1e-6, "{own}");
    assert_eq!(report, of(&detector()).0);
    let inspected = run(folder.path(), &["inspect", "other.safetensors"]).exits(0);
    assert!(
        inspected.stdout.contains("score 0.77, "),
        "{}",
        inspected.stdout
    );
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(detection_data(), &set);
    fs::remove_file(set.join("ImageSets/Main/test.txt")).unwrap();
    let said = |code, args: &[&str]| run(folder.path(), args).exits(code).stderr;
    let missing = said(1, &["eval", &detector(), "set"]);
    assert!(missing.contains("ImageSets/Main/test.txt"), "{missing}");
    let unknown = said(2, &["eval", &detector(), "set", "--split", "tests"]);
    assert!(unknown.contains("tests"), "{unknown}");
    let no_folder = said(1, &["eval", &detector(), "set/classification"]);
    assert!(no_folder.contains("Annotations"), "{no_folder}");
    let other_task = said(1, &["eval", &classifier(), "set"]);
    assert!(other_task.contains("classifier"), "{other_task}");
    let score = said(2, &["eval", &detector(), "set", "--score", "1.5"]);
    assert!(score.contains("1.5"), "{score}");
}

fn rename_class(set: &Path, from: &str, to: &str) {
    for entry in fs::read_dir(set.join("Annotations")).unwrap() {
        let path = entry.unwrap().path();
        let xml = fs::read_to_string(&path).unwrap();
        let renamed = xml.replace(
            &format!("<name>{from}</name>"),
            &format!("<name>{to}</name>"),
        );
        fs::write(path, renamed).unwrap();
    }
}

#[test]
fn objects_of_other_classes_are_named_and_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(detection_data(), &set);
    rename_class(&set, "mug", "cup");
    let ran = run(folder.path(), &["eval", &detector(), "set", "--json"]).exits(0);
    assert!(ran.stderr.contains("`cup`"), "{}", ran.stderr);
    let [report] = ran.json().try_into().unwrap();
    let mugs = report["per_class"]["mug"].clone();
    assert!(mugs.is_null(), "{report}");
    assert!(report["objects"].as_u64().unwrap() < test_objects());
    for class in CLASSES {
        rename_class(&set, class, &format!("{class}s"));
    }
    rename_class(&set, "cup", "cups");
    let ran = run(folder.path(), &["eval", &detector(), "set"]).exits(1);
    assert!(ran.stderr.contains("found none"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[test]
fn what_reading_leaves_out_is_a_failure_too() {
    type Damage = fn(image: &Path, annotation: &Path);
    let damages: [Damage; 4] = [
        |image, _| fs::remove_file(image).unwrap(),
        |image, _| fs::write(image, "hello").unwrap(),
        |_, annotation| fs::write(annotation, "<annotation>").unwrap(),
        |_, annotation| {
            let xml = fs::read_to_string(annotation).unwrap();
            fs::write(annotation, xml.replace("<width>", "<width>9")).unwrap();
        },
    ];
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(detection_data(), &set);
    let list = fs::read_to_string(set.join("ImageSets/Main/test.txt")).unwrap();
    for (count, (id, damage)) in list.lines().zip(damages).enumerate() {
        damage(
            &set.join(format!("JPEGImages/{id}.jpg")),
            &set.join(format!("Annotations/{id}.xml")),
        );
        let ran = run(folder.path(), &["eval", &detector(), "set", "--json"]).exits(1);
        assert!(ran.stderr.contains(id), "{}", ran.stderr);
        let [report] = ran.json().try_into().unwrap();
        assert_eq!(report["images"], 4 - count);
    }
}

#[test]
fn a_broken_image_is_named_and_the_others_count() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(detection_data(), &set);
    let list = fs::read_to_string(set.join("ImageSets/Main/test.txt")).unwrap();
    let id = list.lines().next().unwrap().trim();
    let image = set.join(format!("JPEGImages/{id}.jpg"));
    let bytes = fs::read(&image).unwrap();
    fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
    let ran = run(folder.path(), &["eval", &detector(), "set", "--json"]).exits(1);
    assert!(ran.stderr.contains(&format!("{id}.jpg")), "{}", ran.stderr);
    let [report] = ran.json().try_into().unwrap();
    assert_eq!(report["images"], 4);
}
