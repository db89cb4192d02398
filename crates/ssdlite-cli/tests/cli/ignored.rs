//! Options that would have no effect, alone and beside a file of options.

use std::fs;

use crate::harness::{copy_folder, losses, run};
use crate::shared::{
    TINY, classification_data, classifier, detection_data, detector, detector_run, text,
};

#[test]
fn options_that_others_make_idle_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (boxes, classes) = (text(detection_data()), text(&classification_data()));
    let multi_step = ["--schedule", "multi-step", "--milestones", "1"];
    let train: [(&[&str], &str); 8] = [
        (&["--momentum", "0.8"], "--momentum"),
        (&["--optimizer", "adamw", "--nesterov"], "--nesterov"),
        (&["--milestones", "1,2"], "--milestones"),
        (&["--schedule", "cosine", "--gamma", "0.5"], "--gamma"),
        (
            &["--freeze", "backbone", "--base-net-lr", "0.1"],
            "--base-net-lr",
        ),
        (
            &["--freeze", "all-but-heads", "--base-net-lr", "0.1"],
            "--base-net-lr",
        ),
        // The value that it would have anyway was still asked for.
        (&["--momentum", "0.9"], "--momentum"),
        (&["--schedule", "multi-step"], "--schedule"),
    ];
    for (options, named) in train {
        for command in [&["train", &boxes][..], &["classifier", "train", &classes]] {
            let ran = run(folder.path(), &[command, options].concat()).exits(2);
            let told = format!("error: {named}: ");
            assert!(ran.stderr.starts_with(&told), "{options:?}: {}", ran.stderr);
        }
    }
    let image = text(&detection_data().join("JPEGImages/sample_00000.jpg"));
    let (model, names) = (detector(), classifier());
    let resume = text(detector_run());
    for (args, named) in [
        (
            &[
                "train",
                &boxes,
                "--freeze",
                "all-but-heads",
                "--extra-layers-lr",
                "1",
            ][..],
            "--extra-layers-lr",
        ),
        (
            &[
                "train",
                &boxes,
                "--classification-loss",
                "quality-focal",
                "--negative-ratio",
                "3",
            ],
            "--negative-ratio",
        ),
        (
            &["classifier", "train", &classes, "--split-seed", "3"],
            "--split-seed",
        ),
        (&["detect", &model, &image, "--track"], "--track"),
        (&["detect", &model, &image, "--stall", "3"], "--stall"),
        (&["detect", &model, &image, "--retry"], "--retry"),
        (&["detect", &model, &image, "a.mp4", "--retry"], ""),
        (&["data", "stats", &classes, "--size", "320"], "--size"),
        (
            &["data", "check", &classes, "--voc-zero-based"],
            "--voc-zero-based",
        ),
        (&["train", "--resume", &resume, "--runs", "there"], "--runs"),
        (&["inspect", &names, "--json", "--layers"], "--layers"),
    ] {
        // What can't be found may be a camera's.
        let code = if named.is_empty() { 1 } else { 2 };
        let ran = run(folder.path(), args).exits(code);
        assert!(ran.stderr.contains(named), "{args:?}: {}", ran.stderr);
    }
    // With those that take notice of them they are fine.
    let sgd = ["--optimizer", "sgd", "--momentum", "0.8", "--nesterov"];
    let args = ["train", &boxes, "--epochs", "1", "--gamma", "0.5"];
    let args = [&args[..], &multi_step, &sgd, &TINY].concat();
    run(folder.path(), &args).exits(0);
}

#[test]
fn a_file_of_options_is_asked_for_what_it_says_itself() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let config = folder.path().join("own.toml");
    let head = format!("[data]\npath = {data:?}\n[training]\n");
    let call = |lines: &str, options: &[&str]| {
        fs::write(&config, format!("{head}{lines}\n")).unwrap();
        let args = ["train", "--config", "own.toml", "--epochs", "1"];
        run(folder.path(), &[&args[..], options, &TINY].concat())
    };
    let told = call("\nmomentum = 0.8", &[]).exits(1).stderr;
    assert!(
        told.contains("own.toml: line 5, `momentum = 0.8`: this would have no effect"),
        "{told}"
    );
    // An option's fault is the option's, also beside a file.
    let told = call("lr = 0.1", &["--ema", "1"]).exits(2).stderr;
    assert!(told.starts_with("error: --ema: expected"), "{told}");
    assert!(!told.contains("own.toml"), "{told}");
    let told = call("lr = 0.1", &["--nesterov"]).exits(2).stderr;
    assert!(told.starts_with("error: --nesterov: "), "{told}");
    // What is wrong there but overridden does no harm, nor what is usual, nor what
    // only the option beside it makes idle.
    call("lr = -1", &["--lr", "0.001"]).exits(0);
    call("lr = \"high\"", &["--lr", "0.001"]).exits(0);
    call("momentum = 0.9\ngamma = 0.1", &[]).exits(0);
    let sgd = "optimizer = \"sgd\"\nmomentum = 0.8";
    call(sgd, &["--optimizer", "adamw"]).exits(0);
}

#[test]
fn a_runs_own_configuration_repeats_it() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = folder.path().join("first");
    copy_folder(detector_run(), &run_folder);
    let config = text(&run_folder.join("config.toml"));
    let args = ["train", "--config", &config, "--name", "again"];
    run(folder.path(), &args).exits(0);
    let again = folder.path().join("runs/again");
    assert_eq!(losses(&again), losses(&run_folder));
}
