//! `train`: the run folder, the configuration, what stops a run.

use std::fs;
use std::path::Path;

use crate::harness::{Ran, command, copy_folder, files_below, losses, run};
use crate::shared::{CLASSES, TINY, detection_data, detector_run, text};

#[test]
fn a_run_leaves_its_configuration_course_models_and_checkpoints() {
    let run = detector_run();
    for name in ["results.png", "labels.png"] {
        let image = fs::read(run.join(name)).unwrap();
        assert!(image.starts_with(b"\x89PNG"), "{name}");
    }
    let scores = fs::read_to_string(run.join("eval/best.txt")).unwrap();
    assert!(scores.starts_with("VOC07"), "{scores}");
    for name in ["train_batch0.jpg", "val_batch0_pred.jpg"] {
        let image = fs::read(run.join(name)).unwrap();
        assert!(image.starts_with(b"\xff\xd8"), "{name}");
    }
    for name in ["last.safetensors", "best.safetensors"] {
        let model = ssdlite_infer::ModelFile::read(&run.join(name)).unwrap();
        assert_eq!(model.info().classes.len(), 5, "{name}");
    }
    let checkpoints = files_below(&run.join("checkpoints"));
    let names: Vec<_> = checkpoints.keys().map(String::as_str).collect();
    let expected = ["step-0000000004.safetensors", "step-0000000008.safetensors"];
    assert_eq!(names, expected);
    let rows = losses(run);
    assert_eq!(
        rows[0],
        "epoch,step,loss,classification_loss,regression_loss,lr,map_voc07,map_voc"
    );
    assert_eq!(rows.len(), 3);
    assert!(rows[2].starts_with("2,8,"), "{}", rows[2]);
}

#[test]
fn the_run_folders_configuration_repeats_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let config = text(&detector_run().join("config.toml"));
    let args = ["train", "--config", &config, "--name", "again", "--json"];
    let ran = run(folder.path(), &args).exits(0);
    let again = folder.path().join("runs/again");
    assert_eq!(losses(&again), losses(detector_run()));
    for name in ["config.toml", "last.safetensors", "best.safetensors"] {
        let read = |run: &Path| fs::read(run.join(name)).unwrap();
        assert!(read(&again) == read(detector_run()), "{name}");
    }
    let epochs = ran.json();
    assert_eq!(epochs.len(), 3);
    assert_eq!(epochs[1]["epoch"], 2);
    for key in ["classification_loss", "regression_loss", "lr", "score"] {
        assert!(epochs[1][key].is_f64(), "{key}: {}", epochs[1]);
    }
    let end = &epochs[2];
    assert_eq!(end["end"], "finished");
    assert_eq!(end["epochs"], 2);
    assert_eq!(end["metric"], "map_voc07");
    assert_eq!((&end["split"], &end["images"]), (&"val".into(), &2.into()));
    let best = end["best_epoch"].as_u64().unwrap();
    assert_eq!(end["score"], epochs[best as usize - 1]["score"]);
    assert!(end["score_threshold"].as_f64().unwrap() >= 0.05);
    assert_eq!(end["per_class"].as_object().unwrap().len(), 5);
    assert_eq!(end["model"], "runs/again/best.safetensors");
    for file in end["files"].as_array().unwrap() {
        let file = folder.path().join(file.as_str().unwrap());
        assert!(file.is_file(), "{}", file.display());
    }
}

#[test]
fn a_run_ends_with_its_metric_its_classes_its_files_and_the_next_command() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(detection_data(), &folder.path().join("my set"));
    let args = ["train", "my set", "--epochs", "1", "--runs", "my runs"];
    let ran = run(folder.path(), &[&args[..], &TINY].concat()).exits(0);
    let (first, table) = ran.stdout.split_once('\n').unwrap();
    assert!(first.starts_with("mAP (VOC07) 0."), "{first}");
    assert!(first.contains(" on val: 2 images, "), "{first}");
    assert!(first.ends_with(" objects, epoch 1"), "{first}");
    for class in CLASSES {
        assert_eq!(table.matches(class).count(), 1, "{table}");
    }
    assert!(table.contains("score threshold"), "{table}");
    for (name, words) in [
        ("best.safetensors", "the best model"),
        ("results.png", "losses and scores"),
        ("eval/f1.png", "F1 over the score"),
        ("eval/confusion.png", "which class"),
    ] {
        let mut lines = ran.stderr.lines();
        let line = lines.find(|line| line.trim_start().starts_with(name));
        assert!(
            line.is_some_and(|line| line.contains(words)),
            "{}",
            ran.stderr
        );
    }
    let model = "'my runs/detector-1/best.safetensors'";
    for command in [
        format!("ssdlite detect {model} PHOTOS --save found"),
        format!("ssdlite eval {model} 'my set' --split test"),
    ] {
        let mut lines = ran.stderr.lines();
        assert!(lines.any(|line| line.trim() == command), "{}", ran.stderr);
    }
}

#[test]
fn an_option_overrides_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = text(&detector_run().join("config.toml"));
    let mut args = vec!["train", "--config", &config, "--epochs", "1"];
    args.extend(["--optimizer", "sgd", "--lr", "0.01", "--clip-norm", "2.5"]);
    args.extend(["--schedule", "multi-step", "--milestones", "0.5,0.75"]);
    let ran = run(folder.path(), &args).exits(0);
    assert!(ran.stderr.contains("detector-1"), "{}", ran.stderr);
    let written = folder.path().join("runs/detector-1");
    assert_eq!(losses(&written).len(), 2);
    let read = |run: &Path| -> toml::Table {
        let text = fs::read_to_string(run.join("config.toml")).unwrap();
        text.parse().unwrap()
    };
    let mut expected = read(detector_run());
    let training = expected["training"].as_table_mut().unwrap();
    training.insert("epochs".into(), 1.into());
    training.insert("optimizer".into(), "sgd".into());
    training.insert("lr".into(), 0.01.into());
    training.insert("clip-norm".into(), 2.5.into());
    training.insert("schedule".into(), "multi-step".into());
    training.insert("milestones".into(), vec![0.5, 0.75].into());
    assert_eq!(read(&written), expected);
}

#[test]
fn patience_of_a_file_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let config = folder.path().join("config.toml");
    let head = format!("[data]\npath = {data:?}\n[training]\n");
    fs::write(
        &config,
        format!("{head}patience = 1\nlr = 1e-12\nepochs = 4\n"),
    )
    .unwrap();
    let args = ["train", "--config", "config.toml", "--name", "run"];
    let more = ["--patience", "0"];
    run(folder.path(), &[&args[..], &more, &TINY].concat()).exits(0);
    assert_eq!(losses(&folder.path().join("runs/run")).len(), 5);
}

/// Builds with Vulkan may find no graphics card.
#[cfg(not(feature = "vulkan"))]
#[test]
fn a_run_on_another_device_does_not_go_on_here() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    copy_folder(detector_run(), &copy);
    let config = fs::read_to_string(copy.join("config.toml")).unwrap();
    let cpu = "device = \"cpu\"";
    assert!(config.contains(cpu), "{config}");
    fs::write(
        copy.join("config.toml"),
        config.replace("\"cpu\"", "\"vulkan\""),
    )
    .unwrap();
    let ran = run(folder.path(), &["train", "--resume", "copy"]).exits(1);
    assert!(ran.stderr.contains("--features vulkan"), "{}", ran.stderr);
    let args = ["train", "--resume", "copy", "--device", "cpu"];
    run(folder.path(), &args).exits(2);
}

/// Each line would be a wrong configuration; the words after it must be said.
const WRONG_CONFIGURATIONS: [(&str, &[&str]); 7] = [
    (
        "[training]\nlearning-rate = 1.0",
        &["config.toml: line 4", "learning-rate"],
    ),
    (
        "[trainer]\nlr = 1.0",
        &["line 3", "trainer", "like it are training"],
    ),
    (
        "[training]\n\nlr = -1.0",
        &["config.toml: line 5, `lr = -1.0`", "0 or more"],
    ),
    ("[training]\nwarmup = 1", &["line 4, `warmup = 1`"]),
    ("[model]\nbackbone = \"huge\"", &["huge", "large"]),
    ("[data]\npath = 7", &["line 2", "path", "a text in quotes"]),
    ("[model\n", &["config.toml: line 3"]),
];

#[test]
fn a_wrong_configuration_is_an_error_that_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let config = folder.path().join("config.toml");
    for (lines, words) in WRONG_CONFIGURATIONS {
        let head = if lines.starts_with("[data]") {
            String::new()
        } else {
            format!("[data]\npath = {data:?}\n")
        };
        fs::write(&config, format!("{head}{lines}\n")).unwrap();
        let ran = run(folder.path(), &["train", "--config", "config.toml"]).exits(1);
        for word in words {
            assert!(ran.stderr.contains(word), "{lines}: {}", ran.stderr);
        }
        assert!(!folder.path().join("runs").exists(), "{lines}");
    }
}

#[test]
fn a_files_lines_are_counted_in_the_file_whatever_the_options() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let config = folder.path().join("config.toml");
    // Without [data], which the command line gives.
    fs::write(&config, "# a\n\n[training]\nepoch = 3\n").unwrap();
    let args = ["train", &data, "--config", "config.toml", "--lr", "1"];
    let ran = run(folder.path(), &args).exits(1);
    for words in ["config.toml: line 4", "`epoch`", "epochs"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn a_data_folder_that_does_not_exist_is_said_not_to() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &["train", "absent", "--weights", "coco"]).exits(1);
    let words = "absent: the folder does not exist";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert!(!folder.path().join("runs").exists());

    // A run whose data was moved.
    let copy = folder.path().join("copy");
    copy_folder(detector_run(), &copy);
    let config = fs::read_to_string(copy.join("config.toml")).unwrap();
    let data = text(detection_data());
    assert!(config.contains(&data), "{config}");
    fs::write(copy.join("config.toml"), config.replace(&data, "/moved")).unwrap();
    let ran = run(folder.path(), &["train", "--resume", "copy"]).exits(1);
    for words in [
        "copy/config.toml",
        "/moved: the folder does not exist",
        "`path`",
    ] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

/// Changes every annotation of a set.
fn rewrite(set: &Path, change: impl Fn(&str) -> String) {
    for entry in fs::read_dir(set.join("Annotations")).unwrap() {
        let path = entry.unwrap().path();
        let xml = fs::read_to_string(&path).unwrap();
        fs::write(path, change(&xml)).unwrap();
    }
}

#[test]
fn what_teaches_nothing_is_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(detection_data(), &set);
    let difficult = |xml: &str| xml.replace("<difficult>0<", "<difficult>1<");
    rewrite(&set, difficult);
    let args = ["train", "set", "--epochs", "1", "--name", "run"];
    let args = [&args[..], &TINY].concat();
    let ran = run(folder.path(), &args).exits(1);
    for words in ["split train", "difficult", "17 images"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert!(!folder.path().join("runs/run").exists());
    let all = [&args[..], &["--train-difficult"]].concat();
    let ran = run(folder.path(), &all).exits(1);
    let words = "expected objects to evaluate on in the split val, found none that count";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert!(!folder.path().join("runs/run").exists());
    fs::remove_file(set.join("ImageSets/Main/val.txt")).unwrap();
    let ran = run(folder.path(), &all).exits(0);
    assert!(ran.stderr.contains("no split val"), "{}", ran.stderr);
    let patient = ["train", "set", "--train-difficult", "--patience", "2"];
    let patient = [&patient[..], &TINY].concat();
    let ran = run(folder.path(), &patient).exits(2);
    assert!(ran.stderr.contains("--patience"), "{}", ran.stderr);
    let eval = ["eval", "runs/run/best.safetensors", "set"];
    let ran = run(folder.path(), &eval).exits(1);
    assert!(ran.stderr.contains("difficult"), "{}", ran.stderr);
}

#[test]
fn a_split_of_broken_images_is_refused_before_the_work() {
    for split in ["train", "val"] {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path().join("set");
        copy_folder(detection_data(), &set);
        let list = fs::read_to_string(set.join(format!("ImageSets/Main/{split}.txt"))).unwrap();
        for id in list.lines() {
            let image = set.join(format!("JPEGImages/{}.jpg", id.trim()));
            let bytes = fs::read(&image).unwrap();
            fs::write(&image, &bytes[..bytes.len() / 2]).unwrap();
        }
        let args = ["train", "set", "--epochs", "1", "--name", "run"];
        let ran = run(folder.path(), &[&args[..], &TINY].concat()).exits(1);
        assert!(ran.stderr.contains("none of the images"), "{}", ran.stderr);
        assert!(!folder.path().join("runs/run").exists(), "{split}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_whose_epochs_can_not_be_printed_ends_whole_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let args = ["train", &data, "--json", "--epochs", "1", "--name", "run"];
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(folder.path(), &[&args[..], &TINY].concat())
        .stdout(full)
        .output()
        .unwrap();
    let ran = Ran::from(output).exits(1);
    assert!(ran.stderr.contains("standard output"), "{}", ran.stderr);
    assert!(folder.path().join("runs/run/eval/evaluation.json").exists());
}

#[test]
fn an_existing_run_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    fs::create_dir_all(folder.path().join("runs/mine")).unwrap();
    fs::write(folder.path().join("runs/mine/notes.txt"), "mine").unwrap();
    let before = files_below(folder.path());
    let args = ["train", &data, "--name", "mine"];
    let ran = run(folder.path(), &[&args[..], &TINY].concat()).exits(1);
    assert!(ran.stderr.contains("runs/mine"), "{}", ran.stderr);
    assert_eq!(files_below(folder.path()), before);
}

#[test]
fn a_run_that_cannot_begin_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("set/Annotations")).unwrap();
    run(folder.path(), &["train", "set"]).exits(1);
    assert!(!folder.path().join("runs/detector-1").exists());
}

#[test]
fn a_set_with_nothing_but_a_train_list_is_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(detection_data(), &set);
    for split in ["val", "trainval", "test"] {
        fs::remove_file(set.join(format!("ImageSets/Main/{split}.txt"))).unwrap();
    }
    let args = ["train", "set", "--epochs", "1", "--name", "run"];
    let ran = run(folder.path(), &[&args[..], &TINY].concat()).exits(0);
    assert!(
        ran.stderr.contains("there is no split val"),
        "{}",
        ran.stderr
    );
    assert!(folder.path().join("runs/run/best.safetensors").exists());
    let words = "its score threshold is the usual 0.3";
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
    assert!(!ran.stderr.contains("--split test"), "{}", ran.stderr);
    let inspected = run(folder.path(), &["inspect", "runs/run/best.safetensors"]).exits(0);
    assert!(
        inspected.stdout.contains("score 0.3, "),
        "{}",
        inspected.stdout
    );
}

#[test]
fn what_is_broken_in_the_data_is_named_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(detection_data(), &set);
    let list = fs::read_to_string(set.join("ImageSets/Main/train.txt")).unwrap();
    let ids: Vec<&str> = list.lines().map(str::trim).collect();
    let image = |id: &str| set.join(format!("JPEGImages/{id}.jpg"));
    fs::remove_file(image(ids[0])).unwrap();
    let half = fs::read(image(ids[1])).unwrap();
    fs::write(image(ids[1]), &half[..half.len() / 2]).unwrap();
    let xml = set.join(format!("Annotations/{}.xml", ids[2]));
    let annotation = fs::read_to_string(&xml).unwrap();
    let (before, box_and_rest) = annotation.split_once("<xmax>").unwrap();
    let (_, after) = box_and_rest.split_once("</xmax>").unwrap();
    fs::write(&xml, format!("{before}<xmax>0</xmax>{after}")).unwrap();

    let args = ["train", "set", "--epochs", "1", "--name", "run"];
    let ran = run(folder.path(), &[&args[..], &TINY].concat()).exits(0);
    for id in &ids[..3] {
        let mut lines = ran.stderr.lines();
        let warned = lines.any(|line| line.starts_with("warning: ") && line.contains(id));
        assert!(warned, "{id}: {}", ran.stderr);
    }
    let totals = "train: 1 image skipped, 1 object skipped";
    assert!(ran.stderr.contains(totals), "{}", ran.stderr);
    assert_eq!(losses(&folder.path().join("runs/run")).len(), 2);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_and_names_the_images() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(detection_data());
    let args = ["train", &data, "--lr", "1e30", "--epochs", "9"];
    let more = ["--clip-norm", "0", "--warmup", "0", "--name", "wild"];
    let ran = run(folder.path(), &[&args[..], &more, &TINY].concat()).exits(1);
    let error = ran.stderr.lines().last().unwrap();
    assert!(error.contains("expected a finite"), "{}", ran.stderr);
    let images = error.matches("JPEGImages").count();
    assert_eq!(images, 3, "{error}");
    for words in ["--lr 0.002 and --clip-norm 10", "and 1 more"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    // It doesn't hold its name.
    let args = ["train", &data, "--epochs", "1", "--name", "wild"];
    run(folder.path(), &[&args[..], &TINY].concat()).exits(0);
    let ran = run(folder.path(), &[&args[..], &TINY].concat()).exits(1);
    let words = "found a run in it: go on with it by `--resume runs/wild`";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
}

#[test]
fn resuming_takes_a_run_and_no_other_options() {
    let folder = tempfile::tempdir().unwrap();
    let finished = text(detector_run());
    let ran = run(
        folder.path(),
        &["train", "--resume", &finished, "--lr", "0.1"],
    )
    .exits(2);
    let words = "--lr can't stand beside --resume";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    let args = ["train", "set", "--resume", &finished, "--batch", "3"];
    let more = ["--epochs", "9", "--mirror", "0"];
    let ran = run(folder.path(), &[&args[..], &more].concat()).exits(2);
    let words = "--mirror, DATA, --batch can't stand";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    let ran = run(folder.path(), &["train", "--resume", "runs/none"]).exits(1);
    assert!(ran.stderr.contains("runs/none"), "{}", ran.stderr);
    let other = ["classifier", "train", "--resume", &finished];
    let ran = run(folder.path(), &other).exits(1);
    let words = format!("{finished} is no classifier's run");
    assert!(ran.stderr.contains(&words), "{}", ran.stderr);
    let way_on = format!("`ssdlite train --resume {finished}` goes on");
    assert!(ran.stderr.contains(&way_on), "{}", ran.stderr);
}

#[test]
fn objects_below_a_pixel_of_the_input_and_classes_without_any_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("set");
    copy_folder(detection_data(), &set);
    let corners = ["xmin", "ymin", "xmax", "ymax"];
    let moved = |xml: &str, to: [&str; 4]| {
        let mut lines: Vec<String> = xml.lines().map(str::to_owned).collect();
        for line in &mut lines {
            for (corner, value) in corners.iter().zip(to) {
                if line.contains(&format!("<{corner}>")) {
                    *line = format!("<{corner}>{value}</{corner}>");
                }
            }
        }
        lines.join("\n")
    };
    let args = ["train", "set", "--epochs", "1", "--name", "run"];
    let args = [&args[..], &TINY].concat();
    rewrite(&set, |xml| moved(xml, ["5", "5", "6", "6"]));
    let ran = run(folder.path(), &args).exits(1);
    let said = "narrower or lower than a pixel of the input";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(!ran.stderr.contains("run folder"), "{}", ran.stderr);
    // One of them large enough, and of a class that no image to learn from has.
    let train = fs::read_to_string(set.join("ImageSets/Main/train.txt")).unwrap();
    let first = train.lines().next().unwrap().trim();
    let path = set.join(format!("Annotations/{first}.xml"));
    let xml = fs::read_to_string(&path).unwrap();
    fs::write(&path, moved(&xml, ["5", "5", "99", "99"])).unwrap();
    let val = fs::read_to_string(set.join("ImageSets/Main/val.txt")).unwrap();
    let first = val.lines().next().unwrap().trim();
    let path = set.join(format!("Annotations/{first}.xml"));
    let xml = fs::read_to_string(&path).unwrap();
    fs::write(&path, xml.replacen("<name>", "<name>rare ", 1)).unwrap();
    let ran = run(folder.path(), &args).exits(0);
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let rare = "has no objects to learn from: the network will not know it";
    assert!(ran.stderr.contains(rare), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("run folder: runs/run"),
        "{}",
        ran.stderr
    );
}
