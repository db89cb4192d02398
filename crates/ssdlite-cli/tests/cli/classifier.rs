//! `classifier`: train, eval, predict.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{copy_folder, files_below, losses, run};
use crate::shared::{
    CLASSES, TINY, classification_data, classifier, classifier_run, detector, text,
};

fn train<'a>(data: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["classifier", "train", data][..], more, &TINY].concat()
}

#[test]
fn a_run_leaves_its_configuration_course_models_and_checkpoints() {
    let run = classifier_run();
    let rows = losses(run);
    assert_eq!(rows[0], "epoch,step,loss,lr,top1,top5");
    assert_eq!(rows.len(), 3);
    for name in ["results.png", "labels.png"] {
        let image = fs::read(run.join(name)).unwrap();
        assert!(image.starts_with(b"\x89PNG"), "{name}");
    }
    for name in ["last.safetensors", "best.safetensors"] {
        let model = ssdlite_infer::ModelFile::read(&run.join(name)).unwrap();
        assert!(model.info().classes.iter().eq(CLASSES), "{name}");
    }
    assert_eq!(files_below(&run.join("checkpoints")).len(), 2);
}

#[test]
fn the_configuration_repeats_the_run_and_options_override_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = text(&classifier_run().join("config.toml"));
    let args = ["classifier", "train", "--config", &config];
    let ran = run(folder.path(), &args).exits(0);
    let summary = ran.stdout.lines().next().unwrap_or_default();
    let words = " on val: 10 images, epoch ";
    assert!(summary.starts_with("top-1 accuracy "), "{summary}");
    assert!(summary.contains(words), "{summary}");
    let model = "runs/classifier-1/best.safetensors";
    for command in [
        format!("ssdlite classifier predict {model} PHOTOS"),
        format!(
            "ssdlite classifier eval {model} {} --split test",
            classification_data().display()
        ),
    ] {
        let mut lines = ran.stderr.lines();
        assert!(lines.any(|line| line.trim() == command), "{}", ran.stderr);
    }
    let again = folder.path().join("runs/classifier-1");
    assert_eq!(losses(&again), losses(classifier_run()));
    let more = ["--seed", "9", "--epochs", "1"];
    run(folder.path(), &[&args[..], &more].concat()).exits(0);
    let other = losses(&folder.path().join("runs/classifier-2"));
    assert_eq!(other.len(), 2);
    assert_ne!(other[1], losses(classifier_run())[1]);
}

#[test]
fn a_detectors_options_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(&classification_data());
    let coco = run(folder.path(), &train(&data, &["--weights", "coco"])).exits(2);
    assert!(coco.stderr.contains("--weights"), "{}", coco.stderr);
    let lr = ["--extra-layers-lr", "0.1"];
    let ran = run(folder.path(), &train(&data, &lr)).exits(2);
    assert!(ran.stderr.contains("--extra-layers-lr"), "{}", ran.stderr);
    let weights = ["--weights", &detector()];
    let ran = run(folder.path(), &train(&data, &weights)).exits(1);
    assert!(ran.stderr.contains("classifier"), "{}", ran.stderr);
    assert!(files_below(folder.path()).is_empty());
}

#[test]
fn patience_ends_a_run_that_gets_no_better() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(&classification_data());
    let still = ["--lr", "1e-12", "--epochs", "30", "--patience", "2"];
    let ran = run(folder.path(), &train(&data, &still)).exits(0);
    assert!(ran.stderr.contains("no better score"), "{}", ran.stderr);
    let epochs = losses(&folder.path().join("runs/classifier-1")).len() - 1;
    assert!((3..30).contains(&epochs), "{epochs} epochs");
}

#[test]
fn one_class_is_nothing_to_tell_apart() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(
        &classification_data().join("train/mug"),
        &folder.path().join("set/train/mug"),
    );
    let ran = run(folder.path(), &train("set", &["--epochs", "1"])).exits(1);
    assert!(ran.stderr.contains("two or more classes"), "{}", ran.stderr);
    assert!(!folder.path().join("runs/classifier-1").exists());
    let without_val = folder.path().join("two");
    for class in ["mug", "key"] {
        let from = classification_data().join("train").join(class);
        copy_folder(&from, &without_val.join("train").join(class));
    }
    let ran = run(folder.path(), &train("two", &["--patience", "1"])).exits(2);
    assert!(ran.stderr.contains("--patience"), "{}", ran.stderr);
}

#[test]
fn val_may_lack_a_class_and_the_check_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("set");
    copy_folder(&classification_data(), &data);
    fs::remove_dir_all(data.join("val/key")).unwrap();
    let check = run(folder.path(), &["data", "check", "set"]).exits(0);
    let warning = check
        .stdout
        .lines()
        .find(|line| line.starts_with("warning"));
    let warning = warning.unwrap_or_default();
    assert!(
        warning.contains("key") && warning.contains("val"),
        "{}",
        check.stdout
    );

    run(folder.path(), &train("set", &["--epochs", "1"])).exits(0);
    let model = "runs/classifier-1/best.safetensors";
    let eval = [
        "classifier",
        "eval",
        model,
        "set",
        "--split",
        "val",
        "--json",
    ];
    let [report] = run(folder.path(), &eval)
        .exits(0)
        .json()
        .try_into()
        .unwrap();
    assert_eq!(report["images"], 8);
    assert_eq!(report["per_class"]["key"], Value::Null);
    assert!(report["per_class"]["mug"].is_f64(), "{report}");
}

#[test]
fn one_folder_of_classes_is_divided() {
    let folder = tempfile::tempdir().unwrap();
    let train_folder = text(&classification_data().join("train"));
    let more = ["--epochs", "1", "--name", "divided"];
    let ran = run(folder.path(), &train(&train_folder, &more)).exits(0);
    // Of eight images a class one is kept for the test and one to validate.
    let shares = "30 images to learn from, 5 to evaluate";
    assert!(ran.stderr.contains(shares), "{}", ran.stderr);
}

#[test]
fn a_folder_is_divided_in_evaluation_as_it_was_in_training() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(&classification_data().join("train"));
    let shares = ["--trainval", "0.5", "--train", "0.75", "--split-seed", "4"];
    let more = ["--epochs", "1", "--name", "run"];
    let args = [&train(&data, &more)[..], &shares].concat();
    let ran = run(folder.path(), &args).exits(0);
    let counts = "15 images to learn from, 5 to evaluate";
    assert!(ran.stderr.contains(counts), "{}", ran.stderr);
    let model = "runs/run/last.safetensors";
    let args = ["classifier", "eval", model, &data, "--split"];
    let eval = |split: &str| -> Value {
        let ran = run(folder.path(), &[&args[..], &[split, "--json"]].concat());
        ran.exits(0).json().remove(0)
    };
    assert_eq!(eval("train")["images"], 15);
    assert_eq!(eval("test")["images"], 20);
    let kept = fs::read(folder.path().join("runs/run/eval/evaluation.json")).unwrap();
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert_eq!(eval("val"), kept);
}

#[test]
fn accuracy_is_told_by_class_with_a_confusion_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (classifier(), text(&classification_data()));
    let args = ["classifier", "eval", &model, &data, "--save", "numbers"];
    let ran = run(folder.path(), &args).exits(0);
    assert!(ran.stdout.starts_with("top-1 "), "{}", ran.stdout);
    for word in [
        "top-5 1.0000",
        "images: 10",
        "accuracy",
        "Rows: what there was",
        " on test: 10 images\n",
    ] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    let saved = folder.path().join("numbers");
    let image = fs::read(saved.join("confusion.png")).unwrap();
    assert!(image.starts_with(b"\x89PNG"));
    let bytes = fs::read(saved.join("evaluation.json")).unwrap();
    let saved: Value = serde_json::from_slice(&bytes).unwrap();
    let json = run(folder.path(), &[&args[..4], &["--json"]].concat()).exits(0);
    let [report] = json.json().try_into().unwrap();
    assert_eq!(report, saved);
    let rows = report["confusion"]["counts"].as_array().unwrap();
    let sum = |row: &Value| -> u64 {
        let counts = row.as_array().unwrap().iter();
        counts.map(|count| count.as_u64().unwrap()).sum()
    };
    assert!(rows.iter().all(|row| sum(row) == 2), "{report}");
    let hits: u64 = (0..5).map(|i| rows[i][i].as_u64().unwrap()).sum();
    assert_eq!(report["top1"].as_f64().unwrap(), hits as f64 / 10.0);
}

#[test]
fn a_image_that_cannot_be_read_fails_the_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&classification_data(), &folder.path().join("set"));
    fs::write(folder.path().join("set/test/mug/mug_0000.jpg"), "hello").unwrap();
    let args = ["classifier", "eval", &classifier(), "set", "--json"];
    let ran = run(folder.path(), &args).exits(1);
    assert!(ran.stderr.contains("mug_0000.jpg"), "{}", ran.stderr);
    let [report] = ran.json().try_into().unwrap();
    assert_eq!(report["images"], 9);
}

#[test]
fn what_cannot_be_evaluated_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = classification_data();
    let said = |args: &[&str]| run(folder.path(), args).exits(1).stderr;
    let other_task = said(&["classifier", "eval", &detector(), &text(&data)]);
    assert!(other_task.contains("detector"), "{other_task}");
    let train_only = folder.path().join("train-only");
    copy_folder(&data.join("train"), &train_only.join("train"));
    let missing = said(&["classifier", "eval", &classifier(), "train-only"]);
    assert!(missing.contains("test"), "{missing}");
    let others = folder.path().join("others/test/dog");
    fs::create_dir_all(&others).unwrap();
    copy_folder(
        &data.join("train/mug"),
        &folder.path().join("others/train/dog"),
    );
    copy_folder(&data.join("test/mug"), &others);
    let unknown = said(&["classifier", "eval", &classifier(), "others"]);
    assert!(unknown.contains("dog"), "{unknown}");
}

#[test]
fn predictions_have_the_promised_fields() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(
        &classification_data().join("test"),
        &folder.path().join("photos"),
    );
    let model = classifier();
    let args = [
        "classifier",
        "predict",
        &model,
        "photos/apple",
        "photos/*/mug_0001.jpg",
    ];
    let ran = run(folder.path(), &[&args[..], &["--json"]].concat()).exits(0);
    let lines = ran.json();
    let paths: Vec<_> = lines
        .iter()
        .map(|line| line["image"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "photos/apple/apple_0000.jpg",
            "photos/apple/apple_0001.jpg",
            "photos/mug/mug_0001.jpg"
        ]
    );
    for line in &lines {
        let top = line["top"].as_array().unwrap();
        assert_eq!(top.len(), 5);
        let scores: Vec<f64> = top
            .iter()
            .map(|top| top["score"].as_f64().unwrap())
            .collect();
        assert!(scores.is_sorted_by(|a, b| a >= b), "{line}");
        assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-5, "{line}");
        assert!(
            CLASSES.contains(&top[0]["class"].as_str().unwrap()),
            "{line}"
        );
    }
    let two = run(folder.path(), &[&args[..], &["--top", "2"]].concat()).exits(0);
    assert_eq!(two.stdout.lines().count(), 3 * 3);
    break_image(&folder.path().join("photos/apple/apple_0000.jpg"));
    let ran = run(folder.path(), &[&args[..], &["--json"]].concat()).exits(1);
    assert_eq!(ran.json().len(), 2);
    assert!(ran.stderr.contains("apple_0000.jpg"), "{}", ran.stderr);
}

fn break_image(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}
