//! Runs that are prolonged, taken for a model, or named.

use std::fs;

use crate::harness::{copy_folder, files_below, losses, run};
use crate::shared::{
    TINY, classification_data, classifier_run, detection_data, detector_run, text,
};

#[test]
fn a_finished_run_says_so_and_goes_on_to_more_epochs() {
    let folder = tempfile::tempdir().unwrap();
    for (finished, command) in [
        (detector_run(), &["train"][..]),
        (classifier_run(), &["classifier", "train"]),
    ] {
        let name = command.concat();
        let copy = folder.path().join(&name);
        copy_folder(finished, &copy);
        let resume = [command, &["--resume", &name]].concat();
        let way_on = format!("`ssdlite {} --epochs N` goes on", resume.join(" "));
        let ran = run(folder.path(), &resume).exits(0);
        assert!(ran.stderr.contains("2 epochs done"), "{}", ran.stderr);
        assert!(ran.stderr.contains(&way_on), "{}", ran.stderr);
        assert_eq!(losses(&copy), losses(finished));

        let config = fs::read(copy.join("config.toml")).unwrap();
        for epochs in ["0", "1", "2"] {
            let refused = [&resume[..], &["--epochs", epochs]].concat();
            let ran = run(folder.path(), &refused).exits(2);
            let told = ran.stderr.lines().find(|line| line.starts_with("error: "));
            let told = told.unwrap_or_default();
            assert!(told.starts_with("error: --epochs: expected"), "{told}");
            assert!(told.ends_with(&format!("found {epochs}")), "{told}");
            assert_eq!(fs::read(copy.join("config.toml")).unwrap(), config);
        }
        let ran = run(folder.path(), &[&resume[..], &["--epochs", "3"]].concat()).exits(0);
        let words = "3 epochs from now on: the learning rate is that of a run of so many";
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert!(!ran.stderr.contains("goes on"), "{}", ran.stderr);
        // Of so few images the last network is kept, not the best.
        assert!(ran.stderr.contains("too few to pick"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("(best)"), "{}", ran.stderr);
        let rows = losses(&copy);
        assert_eq!(rows[..3], losses(finished));
        assert_eq!(rows.len(), 4);
        let text = fs::read_to_string(copy.join("config.toml")).unwrap();
        assert!(text.contains("epochs = 3"), "{text}");
    }
}

#[test]
fn a_runs_folder_is_taken_for_its_best_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (found, named) = (text(detector_run()), text(classifier_run()));
    let data = text(detection_data());
    let image = fs::read_dir(detection_data().join("JPEGImages"))
        .unwrap()
        .next();
    let image = text(&image.unwrap().unwrap().path());
    let same = |command: &[&str], run_folder: &str, after: &[&str]| {
        let best = format!("{run_folder}/best.safetensors");
        let said = |model: &str| {
            let args = [command, &[model], after].concat();
            run(path, &args).exits(0).stdout
        };
        assert_eq!(said(run_folder), said(&best), "{command:?}");
    };
    same(&["inspect"], &found, &[]);
    same(&["detect"], &found, &[&image, "--json"]);
    same(&["eval"], &found, &[&data, "--json"]);
    same(&["classifier", "predict"], &named, &[&image, "--json"]);
    let photos = text(&classification_data());
    same(&["classifier", "eval"], &named, &[&photos, "--json"]);
    let import = ["--arch", "ssdlite-small", "--classes", "coco", "--out", "o"];
    let ran = run(path, &[&["import", &found][..], &import].concat()).exits(1);
    assert!(
        ran.stderr.contains("a model file already"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_folder_without_a_model_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    copy_folder(detector_run(), &path.join("runs/first"));
    fs::remove_file(path.join("runs/first/best.safetensors")).unwrap();
    let data = text(detection_data());
    for (model, words) in [
        ("runs/first", "has no model yet"),
        ("runs/first", "`--resume runs/first`"),
        ("runs", "name one of them, such as runs/first"),
        (&*data, "a folder without a config.toml"),
    ] {
        for args in [
            &["inspect", model][..],
            &["detect", model, "photo.jpg"],
            &["eval", model, &data],
            &["live", model, "--port", "0"],
            &["serve", model, "--port", "0"],
            &["classifier", "predict", model, "photo.jpg"],
            &["classifier", "eval", model, &data],
            &["train", &data, "--weights", model, "--name", "next"],
        ] {
            let ran = run(path, args).exits(1);
            assert!(ran.stderr.contains(words), "{args:?}: {}", ran.stderr);
            assert!(ran.stderr.contains(model), "{args:?}: {}", ran.stderr);
        }
    }
    assert!(!path.join("runs/next").exists());
}

#[test]
fn a_name_that_leaves_the_folder_of_runs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let absolute = text(&folder.path().join("x"));
    for name in ["../x", &absolute, ".", "..", "", "a/b", "a\\b", "a\nb"] {
        for command in [&["train"][..], &["classifier", "train"]] {
            let args = [command, &[&data, "--name", name]].concat();
            let ran = run(folder.path(), &args).exits(2);
            assert!(ran.stderr.contains("--name"), "{name}: {}", ran.stderr);
        }
    }
    assert!(files_below(folder.path()).is_empty());
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn what_failed_before_its_first_epoch_leaves_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let data = text(detection_data());
    fs::write(path.join("broken.safetensors"), "no weights").unwrap();
    fs::create_dir_all(path.join("empty/Annotations")).unwrap();
    let args = ["--epochs", "1", "--name", "mine"];
    let args = [&args[..], &TINY].concat();
    let wild = ["--lr", "1e30", "--clip-norm", "0", "--warmup", "0"];
    for failing in [
        &["train", &data, "--weights", "broken.safetensors"][..],
        &["train", "empty"],
        &[&["train", &data][..], &wild].concat(),
        &["train", &data],
    ] {
        let code = i32::from(failing.len() != 2 || failing[1] == "empty");
        run(path, &[failing, &args].concat()).exits(code);
    }
    assert!(path.join("runs/mine/best.safetensors").exists());
}
