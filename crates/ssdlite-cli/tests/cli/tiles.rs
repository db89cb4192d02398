//! `--tiles` of the commands that train and run a detector.

use ssdlite_core::Task;
use ssdlite_infer::ModelFile;

use crate::harness::run;
use crate::shared::{HARDLY_TRAINED, TINY, classifier, detection_data, detector, text};

#[test]
fn wrong_values_are_told_with_what_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (detector(), text(detection_data()));
    let calls: [&[&str]; 5] = [
        &["train", &data],
        &["eval", &model, &data],
        &["detect", &model, &data],
        &["live", &model],
        &["serve", &model],
    ];
    for call in calls {
        for value in ["1", "17", "on", "640px", ""] {
            let option = format!("--tiles={value}");
            let ran = run(folder.path(), &[call, &[&option]].concat()).exits(2);
            let told = ran.stderr.contains("--tiles") && ran.stderr.contains("2 to 16");
            assert!(told, "{option}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_classifier_has_no_tiles() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (classifier(), text(detection_data()));
    let calls: [&[&str]; 3] = [
        &["eval", &model, &data],
        &["detect", &model, &data],
        &["live", &model, "--port", "0"],
    ];
    for call in calls {
        let ran = run(folder.path(), &[call, &["--tiles", "2"]].concat());
        assert_ne!(ran.code, 0, "{call:?}");
        assert!(ran.stderr.contains("classifier"), "{}", ran.stderr);
    }
}

#[test]
fn a_model_that_does_not_know_its_images_is_told_for_auto() {
    let folder = tempfile::tempdir().unwrap();
    let (mut info, state) = ModelFile::read(detector().as_ref()).unwrap().into_parts();
    let Task::Detect(settings) = &mut info.task else {
        panic!("a detector");
    };
    assert!(settings.learnt_view.take().is_some_and(|view| !view.tiles));
    let old = folder.path().join("old.safetensors");
    ModelFile::new(info, state).unwrap().write(&old).unwrap();
    let images = text(&detection_data().join("JPEGImages"));
    let args = ["detect", "old.safetensors", &images];
    let ran = run(folder.path(), &[&args[..], &["--tiles", "auto"]].concat()).exits(1);
    for word in ["old.safetensors", "tiles auto", "2 to 16"] {
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    }
    run(folder.path(), &[&args[..], &["--tiles", "2"]].concat()).exits(0);
}

#[test]
fn a_model_trained_on_tiles_is_run_on_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let args = ["train", &data, "--name", "tiled", "--epochs", "1"];
    let ran = run(
        folder.path(),
        &[&args[..], &["--tiles", "3"], &HARDLY_TRAINED, &TINY].concat(),
    )
    .exits(0);
    assert!(ran.stderr.contains("tiles 3: half"), "{}", ran.stderr);
    let config = std::fs::read_to_string(folder.path().join("runs/tiled/config.toml")).unwrap();
    assert!(config.contains("tiles = \"3\""), "{config}");

    let eval = |options: &[&str]| {
        let args = ["eval", "runs/tiled", &data, "--json"];
        let ran = run(folder.path(), &[&args[..], options].concat()).exits(0);
        (ran.stderr, ran.stdout)
    };
    let (told, tiled) = eval(&[]);
    assert!(told.contains("tiles auto: 5 of 5 images"), "{told}");
    let (told, whole) = eval(&["--tiles", "off"]);
    assert!(!told.contains("tiles"), "{told}");
    assert_ne!(tiled, whole);

    let images = text(&detection_data().join("JPEGImages"));
    let detect = |options: &[&str]| {
        let args = ["detect", "runs/tiled", &images, "--json", "--score", "0.02"];
        run(folder.path(), &[&args[..], options].concat())
            .exits(0)
            .stdout
    };
    assert_eq!(detect(&[]), detect(&["--tiles", "auto"]));
    assert_ne!(detect(&[]), detect(&["--tiles", "off"]));
    let inspected = run(folder.path(), &["inspect", "runs/tiled"]).exits(0);
    assert!(inspected.stdout.contains("learnt from"));
}
