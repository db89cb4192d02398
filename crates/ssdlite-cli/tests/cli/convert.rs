//! `data convert` and `--format`: every form of labels does for every command.

use std::fs;
use std::path::Path;

use crate::harness::{Ran, files_below, losses, run};
use crate::shared::{HARDLY_TRAINED, TINY, detection_data, detector, text};

fn convert(folder: &Path, from: &str, to: &str, format: &str) -> Ran {
    run(folder, &["data", "convert", from, to, "--to", format])
}

/// The numbers of a set's splits and classes.
fn stats(folder: &Path, set: &str) -> serde_json::Value {
    let ran = run(folder, &["data", "stats", set, "--json"]).exits(0);
    ran.json().remove(0)
}

#[test]
fn a_set_in_every_format_says_and_teaches_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let voc = text(detection_data());
    let train = |set: &str, name: &str| {
        let args = ["train", set, "--name", name, "--epochs", "1"];
        run(folder, &[&args[..], &HARDLY_TRAINED, &TINY].concat()).exits(0);
        folder.join("runs").join(name)
    };
    let expected = (stats(folder, &voc), train(&voc, "voc"));
    let model = |run: &Path| fs::read(run.join("best.safetensors")).unwrap();
    for format in ["yolo", "coco"] {
        let ran = convert(folder, &voc, format, format).exits(0);
        assert!(
            ran.stdout.contains(&format!("{format}: 24 images with ")),
            "{}",
            ran.stdout
        );
        assert!(ran.stderr.contains(": labels of VOC: "), "{}", ran.stderr);
        let checked = run(folder, &["data", "check", format]).exits(0);
        assert!(checked.stdout.contains("0 errors"), "{}", checked.stdout);
        assert_eq!(stats(folder, format), expected.0, "{format}");
        let trained = train(format, format);
        assert_eq!(losses(&trained), losses(&expected.1), "{format}");
        assert!(model(&trained) == model(&expected.1), "{format}");
        let config = fs::read_to_string(trained.join("config.toml")).unwrap();
        assert!(
            config.contains(&format!("format = \"{format}\"\n")),
            "{config}"
        );
        let scores = |set: &str| {
            let model = detector();
            run(folder, &["eval", &model, set, "--json"])
                .exits(0)
                .stdout
        };
        assert_eq!(scores(format), scores(&voc), "{format}");
        // And back: the same images and lists, byte by byte.
        let back = format!("{format}-back");
        convert(folder, format, &back, "voc").exits(0);
        let files = |set: &Path, inner: &str| files_below(&set.join(inner));
        for inner in ["JPEGImages", "ImageSets"] {
            assert!(
                files(&folder.join(&back), inner) == files(detection_data(), inner),
                "{format} {inner}"
            );
        }
        assert_eq!(stats(folder, &back), expected.0, "{format}");
    }
}

#[test]
fn converting_overwrites_nothing_and_says_what_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let voc = text(detection_data());
    convert(folder, &voc, "set", "coco").exits(0);
    let before = files_below(&folder.join("set"));
    let refused = convert(folder, &voc, "set", "yolo").exits(1);
    assert!(
        refused.stderr.contains("expected a new or empty folder"),
        "{}",
        refused.stderr
    );
    let inside = convert(folder, "set", "set/inner", "yolo").exits(1);
    assert!(
        inside.stderr.contains("outside of the one that is read"),
        "{}",
        inside.stderr
    );
    assert!(files_below(&folder.join("set")) == before);
    convert(folder, "set", "other", "labelme").exits(2);
    convert(
        folder,
        &text(&detection_data().join("classification")),
        "other",
        "yolo",
    )
    .exits(1);
    assert!(!folder.join("other").exists());
    // An object that can't be read is not in the new set, and that is said.
    let json = folder.join("set/annotations/train.json");
    let labels = fs::read_to_string(&json).unwrap();
    fs::write(&json, labels.replacen("\"bbox\":[", "\"bbox\":[null,", 1)).unwrap();
    let ran = convert(folder, "set", "other", "yolo").exits(1);
    assert!(
        ran.stderr.contains("not all could be converted"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("train.json: object 1: "),
        "{}",
        ran.stderr
    );
    run(folder, &["data", "check", "other"]).exits(0);
    let link = [
        "data", "convert", "other", "linked", "--to", "voc", "--link",
    ];
    run(folder, &link).exits(0);
}

#[test]
fn a_format_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let voc = text(detection_data());
    convert(folder, &voc, "set", "yolo").exits(0);
    let check = |format: &str| run(folder, &["data", "check", "set", "--format", format]);
    check("yolo").exits(0);
    let wrong = check("coco").exits(1);
    assert!(
        wrong.stderr.contains("expected JSON files"),
        "{}",
        wrong.stderr
    );
    check("xml").exits(2);
    let zero = ["data", "check", "set", "--voc-zero-based"];
    let zero = run(folder, &zero).exits(2);
    assert!(
        zero.stderr.contains("only VOC's annotations"),
        "{}",
        zero.stderr
    );
    let train = ["train", "set", "--voc-zero-based"];
    let train = run(folder, &train).exits(2);
    assert!(
        train.stderr.contains("--voc-zero-based"),
        "{}",
        train.stderr
    );
    // Splits are made anew for any form of labels.
    let split = ["data", "split", "set", "--force", "--trainval", "0.5"];
    let split = run(folder, &split).exits(0);
    assert!(
        split.stdout.contains("trainval 12, test 12"),
        "{}",
        split.stdout
    );
    let said = stats(folder, "set");
    assert_eq!(said["splits"][2]["images"], 12, "{said}");
}
