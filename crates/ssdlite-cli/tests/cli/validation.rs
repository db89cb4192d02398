//! `train` and what the other commands then say of the model.

use std::path::Path;

use crate::harness::{Ran, copy_folder, run};
use crate::shared::{CLASSES, HARDLY_TRAINED, TINY, detection_data};

fn train(folder: &Path, config: &str, command: &[&str]) -> Ran {
    let sample = [
        "data",
        "sample",
        "set",
        "--images",
        "40",
        "--images-per-class",
        "3",
    ];
    run(folder, &sample).exits(0);
    std::fs::write(folder.join("config.toml"), config).expect("a configuration");
    let options = ["--config", "config.toml", "--name", "run"];
    run(folder, &[command, &options].concat()).exits(0)
}

/// The metric in the file's own description.
fn metric(folder: &Path, name: &str) -> f64 {
    let inspected = run(folder, &["inspect", "runs/run/last.safetensors", "--json"]);
    let json = inspected.exits(0).json();
    json[0]["metrics"][name].as_f64().expect("a metric")
}

/// What a run has in its own folder on its best network.
fn kept(folder: &Path) -> serde_json::Value {
    let kept = folder.join("runs/run/eval");
    assert!(kept.join("confusion.png").is_file());
    let bytes = std::fs::read(kept.join("evaluation.json")).expect("an evaluation");
    serde_json::from_slice(&bytes).expect("JSON")
}

#[test]
fn a_runs_evaluation_is_that_of_its_saved_detector() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = "[data]\npath = \"set\"\n[model]\nwidth = 0.35\nsize = 96\n\
                  [training]\nepochs = 8\nbatch = 4\nlr = 5e-3\nema = 0.5\n\
                  [evaluation]\nevery = 8\nnms = 0.6\nmax-detections = 250\n";
    train(folder, config, &["train"]);
    for (name, option) in [("map_voc07", "voc07"), ("map_voc", "voc")] {
        let eval = ["eval", "runs/run/last.safetensors", "set", "--split", "val"];
        let more = ["--metric", option, "--json"];
        let json = run(folder, &[&eval[..], &more].concat()).exits(0).json();
        let found = json[0]["map"].as_f64().expect("a mean");
        assert!(found > 0.0, "nothing learnt: {}", json[0]);
        assert_eq!(metric(folder, name), found, "{name}");
        // Evaluated once, at the end: the best network is the last.
        assert_eq!(kept(folder)[option]["map"], found, "{option}");
    }
    let inspected = run(folder, &["inspect", "runs/run/last.safetensors"]).exits(0);
    let settings = "NMS at IoU 0.6, 1000 candidates a class, 250 detections an image";
    assert!(inspected.stdout.contains(settings), "{}", inspected.stdout);
    // What the run was evaluated with makes a difference.
    let usual = ["--nms", "0.45", "--max-detections", "300", "--json"];
    let eval = ["eval", "runs/run/last.safetensors", "set", "--split", "val"];
    let json = run(folder, &[&eval[..], &usual].concat()).exits(0).json();
    assert_ne!(json[0]["map"], kept(folder)["voc07"]["map"]);
}

/// Two classes alone, background and "thing": their scores begin near 0.5.
#[test]
fn a_runs_models_have_the_threshold_that_their_evaluation_suggests() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    copy_folder(detection_data(), &folder.join("set"));
    for entry in std::fs::read_dir(folder.join("set/Annotations")).unwrap() {
        let path = entry.unwrap().path();
        let mut xml = std::fs::read_to_string(&path).unwrap();
        for class in CLASSES {
            xml = xml.replace(&format!("<name>{class}</name>"), "<name>thing</name>");
        }
        std::fs::write(&path, xml).unwrap();
    }
    let args = ["train", "set", "--epochs", "3", "--name", "run", "--json"];
    let ran = run(folder, &[&args[..], &HARDLY_TRAINED, &TINY].concat()).exits(0);
    let end = ran.json().pop().expect("an end");
    let stored = |name: &str| {
        let inspected = run(folder, &["inspect", name, "--json"]).exits(0).json();
        let post_processing = &inspected[0]["task"]["detect"]["post_processing"];
        post_processing["score_threshold"]
            .as_f64()
            .expect("a threshold")
    };
    let own = stored("runs/run/best.safetensors");
    assert_eq!(end["score_threshold"], own);
    let all = &kept(folder)["thresholds"]["all"];
    assert_eq!(end["suggested"], all["suggested"]);
    assert_ne!(own, 0.3);
    for name in ["best", "last"] {
        let name = format!("runs/run/{name}.safetensors");
        let eval = ["eval", &name, "set", "--split", "val", "--json"];
        let report = run(folder, &eval).exits(0).json().remove(0);
        let point = &report["model_threshold"];
        assert_eq!(point["score"], stored(&name));
        match report["thresholds"]["all"]["suggested"]["score"].as_f64() {
            Some(score) => assert_eq!(point["score"], score),
            // Above all scores, of which none tells anything.
            None => assert_eq!(point["detections"], 0, "{point}"),
        }
    }
    // What is found without an option is what reaches it.
    let detect = ["detect", "runs/run/best.safetensors", "set/JPEGImages"];
    for image in run(folder, &[&detect[..], &["--json"]].concat())
        .exits(0)
        .json()
    {
        for found in image["detections"].as_array().expect("detections") {
            assert!(found["score"].as_f64().unwrap() >= own - 1e-6, "{found}");
        }
    }
}

#[test]
fn a_runs_evaluation_is_that_of_its_saved_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = "[data]\npath = \"set/classification\"\n[model]\nwidth = 0.35\nsize = 64\n\
                  [training]\nepochs = 2\nbatch = 4\nema = 0.5\n[evaluation]\nevery = 2\n";
    train(folder, config, &["classifier", "train"]);
    let eval = ["classifier", "eval", "runs/run/last.safetensors"];
    let more = ["set/classification", "--split", "val", "--json"];
    let json = run(folder, &[&eval[..], &more].concat()).exits(0).json();
    for name in ["top1", "top5"] {
        let found = json[0][name].as_f64().expect("a share");
        assert_eq!(metric(folder, name), found, "{name}");
        assert_eq!(kept(folder)[name], found, "{name}");
    }
}
