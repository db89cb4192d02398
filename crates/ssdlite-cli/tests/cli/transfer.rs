//! `train --weights FILE`: what is taken over from another network.

use std::fs;
use std::path::Path;

use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Variant};
use ssdlite_infer::ModelFile;

use crate::harness::{copy_folder, run};
use crate::pytorch::{Wrapper, legacy_file};
use crate::shared::{
    TINY, classification_data, classifier, classifier_run, detection_data, detector, detector_run,
    text,
};

/// One epoch with these options; returns what was said.
fn train(folder: &Path, data: &str, options: &[&str]) -> String {
    let args = ["train", data, "--epochs", "1", "--name", "run"];
    let args = [&args[..], &TINY, options].concat();
    run(folder, &args).exits(0).stderr
}

fn model(path: &Path) -> ModelFile {
    ModelFile::read(path).unwrap()
}

#[test]
fn a_frozen_backbone_stays_that_of_the_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let weights = ["--weights", &classifier(), "--freeze", "backbone"];
    let said = train(folder.path(), &text(detection_data()), &weights);
    assert!(said.contains("tensors loaded"), "{said}");
    assert!(said.contains("kept their first values"), "{said}");
    let parts = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("by part: "));
    let parts: Vec<&str> = parts.unwrap().split(", ").collect();
    let [backbone, neck, heads] = parts[..] else {
        panic!("{said}");
    };
    let (taken, all) = backbone.split_once(" of ").unwrap();
    assert_eq!(taken, format!("backbone {all}"));
    assert!(neck.starts_with("neck 0 of "), "{neck}");
    assert!(heads.starts_with("heads 0 of "), "{heads}");
    let words = "the file is a classifier's: all but the backbone begins anew";
    assert!(said.contains(words), "{said}");
    let from = model(&classifier_run().join("best.safetensors"));
    let to = model(&folder.path().join("runs/run/last.safetensors"));
    let stem = "0.0.weight";
    let old = from.numbers(&format!("features.{stem}")).unwrap();
    assert_eq!(
        to.numbers(&format!("backbone.features.0.{stem}")).unwrap(),
        old
    );
    let running = "0.1.running_mean";
    let old = from.numbers(&format!("features.{running}")).unwrap();
    assert_eq!(
        to.numbers(&format!("backbone.features.0.{running}"))
            .unwrap(),
        old
    );
}

/// A copy of the shared data whose annotations have other classes.
fn write_renamed(set: &Path, rename: impl Fn(String) -> String) {
    copy_folder(detection_data(), set);
    for entry in fs::read_dir(set.join("Annotations")).unwrap() {
        let path = entry.unwrap().path();
        let xml = fs::read_to_string(&path).unwrap();
        fs::write(path, rename(xml)).unwrap();
    }
}

#[test]
fn a_detector_with_other_classes_keeps_the_heads_of_those_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    write_renamed(&folder.path().join("set"), |xml| {
        xml.replace("<name>apple</name>", "<name>mug</name>")
            .replace("<name>key</name>", "<name>zebra</name>")
    });
    let options = ["--weights", &detector(), "--lr", "1e-9", "--ema", "0"];
    let said = train(folder.path(), "set", &options);
    assert!(
        said.contains(
            "class heads taken over by name; classes in both: book, leaf, mug; here alone: zebra; \
             in the file alone: apple, key\n"
        ),
        "{said}"
    );
    let from = model(&detector_run().join("best.safetensors"));
    let to = model(&folder.path().join("runs/run/last.safetensors"));
    assert!(
        to.info()
            .classes
            .iter()
            .eq(["book", "leaf", "mug", "zebra"])
    );
    let bias = "head.classification_head.module_list.0.1.bias";
    let (old, new) = (from.numbers(bias).unwrap(), to.numbers(bias).unwrap());
    // Outputs of the first default box: background, then the classes.
    for (row, old_row) in [(0, 0), (1, 2), (2, 4), (3, 5)] {
        assert!((new[row] - old[old_row]).abs() < 1e-6, "{row}");
    }
}

#[test]
fn a_pytorch_detector_of_coco_gives_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let mut backbone = MobileNetV3::new(Variant::Small).with_reduced_tail();
    backbone.width_multiplier = 0.1;
    let info = ModelInfo::detector(backbone, ClassNames::coco(), 64);
    let write = |name: &str, wrapper| {
        let bytes = legacy_file(&info.tensors(), wrapper);
        fs::write(folder.path().join(name), bytes).unwrap();
    };
    write("both.pth", Wrapper::AveragedParallel);
    let options = ["--weights", "both.pth", "--reduced-tail"];
    let both = train(folder.path(), &text(detection_data()), &options);
    for words in [
        "the plain weights under `model_state_dict.module.` are taken",
        "the averaged ones under `ema.module.`",
        "`model_state_dict.module.` was taken off",
    ] {
        assert!(both.contains(words), "{words}: {both}");
    }
    fs::remove_dir_all(folder.path().join("runs")).unwrap();
    write("coco.pth.tar", Wrapper::Parallel);
    let options = ["--weights", "coco.pth.tar", "--reduced-tail"];
    let said = train(folder.path(), &text(detection_data()), &options);
    assert!(
        said.contains("`state_dict.module.` was taken off"),
        "{said}"
    );
    // COCO knows apples and books.
    assert!(
        said.contains(
            "class heads taken over by name; classes in both: apple, book; here alone: key, leaf, \
             mug; in the file alone: person, "
        ),
        "{said}"
    );
    assert!(!said.contains("kept their first values"), "{said}");
}

#[test]
fn a_classifier_with_other_classes_keeps_all_but_its_last_layer() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(&classification_data(), &set);
    for split in ["train", "val", "test"] {
        fs::remove_dir_all(set.join(split).join("leaf")).unwrap();
    }
    let weights = classifier();
    let args = ["classifier", "train", "set", "--weights", &weights];
    let more = ["--epochs", "1", "--name", "run", "--freeze", "backbone"];
    let ran = run(folder.path(), &[&args[..], &more, &TINY].concat()).exits(0);
    for words in [
        "2 kept their first values: expected f32[4,",
        "last layer begun anew; classes in both: apple, book, key, mug; here alone: none; in the \
         file alone: leaf",
    ] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let from = model(&classifier_run().join("best.safetensors"));
    let to = model(&folder.path().join("runs/run/last.safetensors"));
    assert!(to.info().classes.iter().eq(["apple", "book", "key", "mug"]));
    let stem = "features.0.0.weight";
    assert!(from.numbers(stem).is_some());
    assert_eq!(from.numbers(stem), to.numbers(stem));
}

#[test]
fn a_detector_that_shares_no_class_gives_all_but_its_class_heads() {
    let folder = tempfile::tempdir().unwrap();
    write_renamed(&folder.path().join("set"), |xml| {
        xml.replace("<name>", "<name>wild ")
    });
    // A run's folder stands for its best model.
    let said = train(folder.path(), "set", &["--weights", &text(detector_run())]);
    for words in [
        "class heads begun anew but for the background; classes in both: none; here alone: wild",
        "in the file alone: apple, book, key, leaf, mug\n",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn another_networks_weights_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let weights = detector();
    let other = [&["train", &data, "--weights", &weights][..], &TINY].concat();
    let ran = run(
        folder.path(),
        &[&other[..], &["--backbone", "large"]].concat(),
    )
    .exits(1);
    let words = "expected weights of the backbone large, width 0.1, found those of the backbone \
                 small, width 0.1";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    let info = ModelInfo::detector(MobileNetV3::new(Variant::Large), ClassNames::coco(), 320);
    let large = legacy_file(&info.tensors(), Wrapper::None);
    fs::write(folder.path().join("large.pth"), large).unwrap();
    let args = ["train", &data, "--weights", "large.pth", "--size", "64"];
    let ran = run(folder.path(), &args).exits(1);
    let words = "large.pth: the weights are another network's";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert!(!folder.path().join("runs/detector-1").exists());
}

#[test]
fn what_is_no_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.safetensors"), "<!DOCTYPE html>").unwrap();
    let data = text(detection_data());
    for weights in ["page.safetensors", "absent.safetensors", "absent.pth"] {
        let args = ["train", &data, "--weights", weights];
        let ran = run(folder.path(), &[&args[..], &TINY].concat()).exits(1);
        assert!(ran.stderr.contains(weights), "{weights}: {}", ran.stderr);
        assert!(!ran.stderr.contains("run folder"), "{}", ran.stderr);
        assert!(!folder.path().join("runs/detector-1").exists(), "{weights}");
    }
}
