//! `import` and `inspect`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, TensorSpec, Variant};
use ssdlite_infer::ModelFile;

use crate::harness::{files_below, run};
use crate::pytorch::{Wrapper, legacy_file, number};
use crate::shared::{classifier, detection_data, detector, text};

fn write_pth(path: &Path, info: &ModelInfo, wrapper: Wrapper) {
    fs::write(path, legacy_file(&info.tensors(), wrapper)).unwrap();
}

/// torchvision's classifier.
fn small_imagenet() -> ModelInfo {
    ModelInfo::classifier(
        MobileNetV3::new(Variant::Small),
        ClassNames::imagenet(),
        224,
    )
}

/// torchvision's detector.
fn large_coco() -> ModelInfo {
    let backbone = MobileNetV3::new(Variant::Large).with_reduced_tail();
    ModelInfo::detector(backbone, ClassNames::coco(), 320)
}

fn inspect(folder: &Path, model: &str) -> Value {
    let ran = run(folder, &["inspect", model, "--json"]).exits(0);
    ran.json().remove(0)
}

#[test]
fn a_classifier_arrives_whole_and_has_torchvisions_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let info = small_imagenet();
    write_pth(&folder.path().join("small.pth"), &info, Wrapper::Model);
    let args = [
        "import",
        "small.pth",
        "--arch",
        "classifier-small",
        "--classes",
        "imagenet",
    ];
    let out = ["--out", "small.safetensors"];
    run(folder.path(), &[&args[..], &out].concat()).exits(0);
    let report = inspect(folder.path(), "small.safetensors");
    assert_eq!(report["parameters"], 2_542_856);
    assert_eq!(report["macs"].as_u64().unwrap() / 1_000_000, 56);
    assert_eq!(report["classes"].as_array().unwrap().len(), 1000);
    let model = ModelFile::read(&folder.path().join("small.safetensors")).unwrap();
    for spec in info.tensors() {
        let Some(numbers) = model.numbers(&spec.key) else {
            assert!(spec.key.ends_with("num_batches_tracked"), "{}", spec.key);
            continue;
        };
        let all_equal = (0..spec.elements()).all(|index| numbers[index] == number(&spec, index));
        assert!(all_equal, "{}", spec.key);
    }
    let inspected = run(folder.path(), &["inspect", "small.safetensors"]).exits(0);
    for words in [
        "MobileNetV3-Small",
        "2542856",
        "224x224",
        "tench",
        "small.pth",
    ] {
        assert!(
            inspected.stdout.contains(words),
            "{words}: {}",
            inspected.stdout
        );
    }
    let image = detection_data().join("JPEGImages/sample_00000.jpg");
    let args = ["classifier", "predict", "small.safetensors", &text(&image)];
    let predicted = run(folder.path(), &args).exits(0);
    assert_eq!(predicted.stdout.lines().count(), 6);
}

#[test]
fn a_detector_arrives_whole_and_has_torchvisions_numbers() {
    let folder = tempfile::tempdir().unwrap();
    write_pth(
        &folder.path().join("coco.pth"),
        &large_coco(),
        Wrapper::None,
    );
    let args = [
        "import",
        "coco.pth",
        "--arch",
        "ssdlite-large",
        "--classes",
        "coco",
    ];
    let out = ["--out", "coco.safetensors"];
    run(folder.path(), &[&args[..], &out].concat()).exits(0);
    let report = inspect(folder.path(), "coco.safetensors");
    assert_eq!(report["parameters"], 3_440_060);
    assert_eq!(report["macs"].as_u64().unwrap() / 1_000_000, 583);
    let inspected = run(folder.path(), &["inspect", "coco.safetensors", "--layers"]).exits(0);
    let maps = "20x20 10x10 5x5 3x3 2x2 1x1";
    for words in [
        maps,
        "0.583 GMACs",
        "reduced tail",
        "NMS at IoU",
        "squeeze-and-excite",
    ] {
        assert!(
            inspected.stdout.contains(words),
            "{words}: {}",
            inspected.stdout
        );
    }
    let image = text(&detection_data().join("JPEGImages/sample_00000.jpg"));
    let args = ["detect", "coco.safetensors", &image, "--json"];
    let [found] = run(folder.path(), &args)
        .exits(0)
        .json()
        .try_into()
        .unwrap();
    assert!(found["detections"].is_array());
}

#[test]
fn inspect_tells_of_training_and_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let report = inspect(folder.path(), &detector());
    assert_eq!(report["training"]["epochs"], "2");
    assert!(report["metrics"]["map_voc07"].is_f64(), "{report}");
    assert_eq!(report["feature_maps"].as_array().unwrap().len(), 6);
    let report = inspect(folder.path(), &classifier());
    assert!(report["metrics"]["top1"].is_f64(), "{report}");
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let sound = legacy_file(&small_imagenet().tensors(), Wrapper::Model);
    write("small.pth", &sound);
    write("truncated.pth", &sound[..sound.len() / 2]);
    write("page.pth", b"<!DOCTYPE html>");
    write("two.txt", b"cat\ndog\n");
    write("twice.txt", b"cat\ncat\n");
    let other = TensorSpec {
        key: "a\nb".into(),
        ..small_imagenet().tensors()[0].clone()
    };
    write("other.pth", &legacy_file(&[other], Wrapper::None));
    let before = files_below(folder.path());
    for (file, arch, classes, words) in [
        (
            "truncated.pth",
            "classifier-small",
            "imagenet",
            "truncated.pth",
        ),
        ("page.pth", "classifier-small", "imagenet", "page.pth"),
        ("absent.pth", "classifier-small", "imagenet", "absent.pth"),
        (
            "small.pth",
            "classifier-small",
            "two.txt",
            "expected 1000 class names",
        ),
        ("small.pth", "classifier-large", "imagenet", "features."),
        ("small.pth", "ssdlite-small", "coco", "backbone."),
        ("small.pth", "classifier-small", "twice.txt", "cat"),
        ("small.pth", "classifier-small", "absent.txt", "absent.txt"),
        (
            "other.pth",
            "classifier-small",
            "two.txt",
            "found 1 other such as \"a\\nb\"",
        ),
    ] {
        let args = [
            "import",
            file,
            "--arch",
            arch,
            "--classes",
            classes,
            "--out",
            "out",
        ];
        let ran = run(folder.path(), &args).exits(1);
        assert!(ran.stderr.contains(words), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.len() < 2000, "{args:?}: {}", ran.stderr);
    }
    let args = [
        "import",
        "small.pth",
        "--arch",
        "resnet",
        "--classes",
        "coco",
        "--out",
        "out",
    ];
    run(folder.path(), &args).exits(2);
    let args = ["import", "small.pth", "--arch", "classifier-small"];
    let onto_itself = ["--classes", "imagenet", "--out", "./small.pth"];
    let ran = run(folder.path(), &[args, onto_itself].concat()).exits(1);
    assert!(
        ran.stderr.contains("the file that is read"),
        "{}",
        ran.stderr
    );
    assert_eq!(fs::read(folder.path().join("small.pth")).unwrap(), sound);
    assert_eq!(files_below(folder.path()), before);
}

/// Imports a file into `out.safetensors`.
fn import(folder: &Path, file: &str, classes: &str, more: &[&str]) -> crate::harness::Ran {
    let args = ["import", file, "--arch", "classifier-small"];
    let rest = ["--classes", classes, "--out", "out.safetensors"];
    run(folder, &[&args[..], &rest, more].concat())
}

#[test]
fn checkpoints_of_training_scripts_are_imported_and_said_how() {
    let folder = tempfile::tempdir().unwrap();
    let info = small_imagenet();
    for (wrapper, options, words) in [
        (Wrapper::Parallel, &[][..], "`state_dict.module.`"),
        (Wrapper::Averaged, &[], "--ema"),
        (Wrapper::Averaged, &["--ema"], "`model_ema.`"),
        (Wrapper::AveragedParallel, &[], "`model_state_dict.module.`"),
        (Wrapper::AveragedParallel, &["--ema"], "`ema.module.`"),
    ] {
        write_pth(&folder.path().join("model.pth.tar"), &info, wrapper);
        let ran = import(folder.path(), "model.pth.tar", "imagenet", options).exits(0);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
        let model = ModelFile::read(&folder.path().join("out.safetensors")).unwrap();
        let expected = &info.tensors()[0];
        let numbers = model.numbers(&expected.key).unwrap();
        assert_eq!(numbers[1], number(expected, 1));
    }
    write_pth(&folder.path().join("plain.pth"), &info, Wrapper::None);
    let ran = import(folder.path(), "plain.pth", "imagenet", &["--ema"]).exits(1);
    assert!(
        ran.stderr.contains("expected averaged weights"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_model_file_is_told_from_weights_and_weights_from_a_model_file() {
    let folder = tempfile::tempdir().unwrap();
    let ran = import(folder.path(), &classifier(), "imagenet", &[]).exits(1);
    assert!(
        ran.stderr.contains("is a model file already"),
        "{}",
        ran.stderr
    );
    write_pth(
        &folder.path().join("w.pth"),
        &small_imagenet(),
        Wrapper::None,
    );
    let image = text(&detection_data().join("JPEGImages/sample_00000.jpg"));
    for args in [&["detect", "w.pth", &image][..], &["inspect", "w.pth"]] {
        let ran = run(folder.path(), args).exits(1);
        for words in ["w.pth: this is a PyTorch file", "ssdlite import"] {
            assert!(ran.stderr.contains(words), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_line_for_the_background_is_not_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let backbone = MobileNetV3::new(Variant::Small);
    let classes = ClassNames::new(["cat", "dog"]).unwrap();
    let info = ModelInfo::detector(backbone, classes, 320);
    write_pth(&folder.path().join("two.pth"), &info, Wrapper::None);
    let list = folder.path().join("labels.txt");
    let import = || {
        let from = ["import", "two.pth", "--arch", "ssdlite-small"];
        let to = ["--classes", "labels.txt", "--out", "out"];
        run(folder.path(), &[from, to].concat())
    };
    for line in ["BACKGROUND", "Background", "background", "__background__"] {
        fs::write(&list, format!("{line}\ncat\ndog\n")).unwrap();
        let imported = import().exits(1);
        let data = text(detection_data());
        let checked = ["data", "check", &data, "--classes", "labels.txt"];
        for ran in [imported, run(folder.path(), &checked).exits(1)] {
            let words = format!("labels.txt: the line `{line}` is not wanted");
            assert!(ran.stderr.contains(&words), "{}", ran.stderr);
        }
    }
    fs::write(&list, "cat\ndog\n__background__\n").unwrap();
    let data = text(detection_data());
    let ran = run(
        folder.path(),
        &["data", "check", &data, "--classes", "labels.txt"],
    );
    let words = "the line `__background__` is not wanted";
    assert!(ran.exits(1).stderr.contains(words));
    // Under another name, and one that is missing.
    for (lines, words) in [
        ("nothing\ncat\ndog\n", "expected 2 class names for two.pth"),
        (
            "nothing\ncat\ndog\n",
            "found 3 in --classes labels.txt (is one of",
        ),
        ("cat\n", "found 1 in --classes labels.txt\n"),
    ] {
        fs::write(&list, lines).unwrap();
        let ran = import().exits(1);
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    // As Windows saves it.
    let utf16 = "\u{feff}cat\r\ndog\r\n".encode_utf16();
    fs::write(&list, utf16.flat_map(u16::to_le_bytes).collect::<Vec<_>>()).unwrap();
    import().exits(0);
}

/// A pipe keeps who opens it waiting for somebody to write.
#[cfg(unix)]
#[test]
fn what_is_no_plain_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let (model, data) = (detector(), text(detection_data()));
    let out = ["--out", "out"];
    for file in ["pipe", "/dev/zero"] {
        for args in [
            &["inspect", file][..],
            &["detect", file, "image.jpg"],
            &["eval", file, &data],
            &["serve", file],
            &["train", &data, "--weights", file],
            &[
                &[
                    "import",
                    file,
                    "--arch",
                    "ssdlite-small",
                    "--classes",
                    "coco",
                ][..],
                &out,
            ]
            .concat(),
            &[
                &[
                    "import",
                    &model,
                    "--arch",
                    "ssdlite-small",
                    "--classes",
                    file,
                ][..],
                &out,
            ]
            .concat(),
        ] {
            let ran = run(folder.path(), args).exits(1);
            assert!(
                ran.stderr.contains("found a pipe or device"),
                "{args:?}: {}",
                ran.stderr
            );
            assert!(ran.stderr.contains(file), "{args:?}: {}", ran.stderr);
        }
    }
}

#[test]
fn texts_of_a_model_are_shown_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let (mut info, state) = ModelFile::read(Path::new(&detector()))
        .unwrap()
        .into_parts();
    let text = "a\u{1b}[2J\u{7}\nb";
    info.training.insert("note".into(), text.into());
    let model = ModelFile::new(info, state).unwrap();
    model.write(&folder.path().join("m.safetensors")).unwrap();
    let ran = run(folder.path(), &["inspect", "m.safetensors"]).exits(0);
    assert!(
        ran.stdout.contains("a\\u{1b}[2J\\u{7}\\nb\n"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        inspect(folder.path(), "m.safetensors")["training"]["note"],
        text
    );
}
