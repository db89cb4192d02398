//! `data`: sample, check, stats, split.

use std::fs;
use std::path::Path;

use crate::harness::{Ran, files_below, run};
use crate::shared::{
    CLASSES, TINY, classification_data, classifier, detection_data, detector, text,
};

fn sample(folder: &Path) {
    run(
        folder,
        &[
            "data",
            "sample",
            "set",
            "--images",
            "24",
            "--images-per-class",
            "3",
        ],
    )
    .exits(0);
}

#[test]
fn a_sample_is_sound_and_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    for data in ["set", "set/classification"] {
        let ran = run(folder.path(), &["data", "check", data]).exits(0);
        assert!(ran.stdout.contains("0 errors"), "{}", ran.stdout);
    }
    let again = tempfile::tempdir().unwrap();
    sample(again.path());
    for file in [
        "JPEGImages/sample_00007.jpg",
        "Annotations/sample_00007.xml",
        "ImageSets/Main/train.txt",
    ] {
        let read = |folder: &Path| fs::read(folder.join("set").join(file)).unwrap();
        assert_eq!(read(folder.path()), read(again.path()), "{file}");
    }
    run(folder.path(), &["data", "sample", "set"]).exits(1);
}

#[test]
fn a_sample_of_small_objects_has_many_that_no_default_box_matches() {
    let folder = tempfile::tempdir().unwrap();
    let few = ["--images", "10", "--images-per-class", "1", "--seed", "5"];
    let small = [&["data", "sample", "set", "--small"], &few[..]].concat();
    run(folder.path(), &small).exits(0);
    let check = run(folder.path(), &["data", "check", "set"]).exits(0);
    assert!(check.stdout.contains("0 errors"), "{}", check.stdout);
    let stats = run(folder.path(), &["data", "stats", "set", "--json"])
        .exits(0)
        .json();
    let classes = stats[0]["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 5);
    for class in classes {
        let covered = class["covered"].as_array().unwrap();
        let share = |boxes: usize| covered[boxes]["share"].as_f64().unwrap();
        assert!(share(0) < 0.4 && share(2) > share(0), "{class}");
    }
    let twice = [&["data", "sample", "again", "--small", "--small"], &few[..]].concat();
    run(folder.path(), &twice).exits(2);
    let valued = [&["data", "sample", "again", "--small=many"], &few[..]].concat();
    run(folder.path(), &valued).exits(2);
    assert!(!folder.path().join("again").exists());
}

#[test]
fn stats_count_every_split() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let stats = run(folder.path(), &["data", "stats", "set", "--json"])
        .exits(0)
        .json();
    let images: u64 = stats[0]["splits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|split| split["images"].as_u64().unwrap())
        .sum();
    assert_eq!(images, 24);
    for class in stats[0]["classes"].as_array().unwrap() {
        let covered = class["covered"].as_array().unwrap();
        let share = |index: usize| covered[index]["share"].as_f64().unwrap();
        assert_eq!(covered[0]["boxes"], "paper, stride 16", "{class}");
        // Over all splits; they are fitted to the first.
        assert!(
            share(0) > 0.5 && share(1) > 0.5 && share(2) > 0.9,
            "{class}"
        );
    }
    let text = run(folder.path(), &["data", "stats", "set"]).exits(0);
    assert!(text.stdout.contains("fit, stride 8"), "{}", text.stdout);
}

#[test]
fn a_set_with_one_list_alone_is_checked_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let lists = folder.path().join("set/ImageSets/Main");
    let train = fs::read_to_string(lists.join("train.txt")).unwrap();
    for name in ["train", "val", "test"] {
        fs::remove_dir_all(&lists).unwrap();
        fs::create_dir(&lists).unwrap();
        fs::write(lists.join(format!("{name}.txt")), &train).unwrap();
        run(folder.path(), &["data", "check", "set"]).exits(0);
        let args = ["data", "stats", "set", "--json"];
        let [stats] = run(folder.path(), &args)
            .exits(0)
            .json()
            .try_into()
            .unwrap();
        let splits = stats["splits"].as_array().unwrap();
        assert_eq!(splits.len(), 1, "{stats}");
        assert_eq!(splits[0]["images"], train.lines().count(), "{stats}");
    }
}

#[test]
fn split_refuses_to_overwrite_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let list = folder.path().join("set/ImageSets/Main/trainval.txt");
    let before = fs::read(&list).unwrap();
    let args = [
        "data",
        "split",
        "set",
        "--trainval",
        "0.5",
        "--train",
        "0.75",
        "--seed",
        "3",
    ];
    let refused = run(folder.path(), &args).exits(1);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(fs::read(&list).unwrap(), before);
    let forced = run(folder.path(), &[&args[..], &["--force"]].concat()).exits(0);
    assert!(
        forced
            .stdout
            .contains("train 9, val 3, trainval 12, test 12"),
        "{}",
        forced.stdout
    );
    let ids = fs::read_to_string(&list).unwrap();
    assert_eq!(ids.lines().count(), 12);
    run(
        folder.path(),
        &["data", "split", "set", "--trainval", "1.5", "--force"],
    )
    .exits(2);
    assert_eq!(fs::read_to_string(&list).unwrap(), ids);
}

#[test]
fn folds_are_learnt_from_and_evaluated_on_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let ran = |code, args: &[&str]| run(folder.path(), args).exits(code);
    let main = folder.path().join("set/ImageSets/Main");
    let before = files_below(&main);
    let split = ran(0, &["data", "split", "set", "--folds", "4", "--seed", "5"]);
    assert_eq!(split.stdout.lines().count(), 4, "{}", split.stdout);
    let first = "fold1: train 16, val 2, trainval 18, test 6 images";
    assert!(split.stdout.contains(first), "{}", split.stdout);
    assert_eq!(files_below(&main), before);
    let refused = ran(1, &["data", "split", "set", "--folds", "4"]);
    let said = "there are lists in ImageSets/fold1 already";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
    ran(1, &["data", "split", "set", "--folds", "3", "--force"]);
    ran(0, &["data", "split", "set", "--folds", "4", "--force"]);
    ran(2, &["data", "split", "set", "--folds", "1"]);
    ran(
        2,
        &["data", "split", "set", "--folds", "4", "--trainval", "0.5"],
    );

    let train = [
        "train", "set", "--lists", "fold2", "--name", "run", "--epochs", "1",
    ];
    let trained = ran(0, &[&train[..], &TINY].concat());
    let told = "--split test --lists fold2";
    assert!(trained.stderr.contains(told), "{}", trained.stderr);
    let config = fs::read_to_string(folder.path().join("runs/run/config.toml")).unwrap();
    assert!(config.contains("lists = \"fold2\""), "{config}");
    let eval = ["eval", "runs/run", "set", "--lists", "fold2", "--json"];
    assert_eq!(ran(0, &eval).json()[0]["images"], 6);
    ran(0, &["data", "check", "set", "--lists", "fold2"]);
    let stats = ran(0, &["data", "stats", "set", "--lists", "fold4", "--json"]).json();
    assert_eq!(stats[0]["splits"][2]["images"], 6);
    let train = ["train", "set", "--lists", "../fold1", "--name", "other"];
    for command in [
        &["eval", "runs/run", "set", "--lists", "fold5"][..],
        &["data", "check", "set", "--lists", "fold5"],
        &[&train[..], &TINY].concat(),
    ] {
        let refused = ran(1, command);
        let said = "of ImageSets, found lists in `Main`, `fold1`, `fold2`";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    let refused = ran(
        2,
        &["data", "check", "set/classification", "--lists", "fold1"],
    );
    assert!(refused.stderr.contains("--lists"), "{}", refused.stderr);
}

#[test]
fn what_looks_alike_is_not_parted_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let set = folder.path().join("set");
    // All images are one.
    let image = fs::read(set.join("JPEGImages/sample_00000.jpg")).unwrap();
    for number in 1..24 {
        fs::write(
            set.join(format!("JPEGImages/sample_{number:05}.jpg")),
            &image,
        )
        .unwrap();
    }
    let split = ["data", "split", "set", "--force"];
    let refused = run(folder.path(), &split).exits(1);
    assert!(refused.stderr.contains("--ungrouped"), "{}", refused.stderr);
    let ungrouped = [&split[..], &["--ungrouped"]].concat();
    run(folder.path(), &ungrouped).exits(0);
    let check = run(folder.path(), &["data", "check", "set"]).exits(1);
    let said = "has the same pixels as `sample_";
    assert!(check.stdout.contains(said), "{}", check.stdout);
}

/// An annotation in labelImg's manner.
fn annotation(size: (u32, u32), objects: &str) -> String {
    let (width, height) = size;
    format!(
        "<annotation><size><width>{width}</width><height>{height}</height><depth>3</depth></size>\
         {objects}</annotation>"
    )
}

fn object(name: &str, corners: [&str; 4]) -> String {
    let [xmin, ymin, xmax, ymax] = corners;
    format!(
        "<object><name>{name}</name><bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin>\
         <xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox></object>"
    )
}

#[test]
fn check_reports_every_broken_file() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let set = folder.path().join("set");
    let xml = |number: u32| set.join(format!("Annotations/sample_{number:05}.xml"));
    let jpg = |number: u32| set.join(format!("JPEGImages/sample_{number:05}.jpg"));
    let size_of = |number: u32| {
        let text = fs::read_to_string(xml(number)).unwrap();
        let value = |tag: &str| -> u32 {
            let start = text.find(&format!("<{tag}>")).unwrap() + tag.len() + 2;
            let end = text[start..].find('<').unwrap() + start;
            text[start..end].parse().unwrap()
        };
        (value("width"), value("height"))
    };
    let broken = |number: u32, corners| {
        fs::write(
            xml(number),
            annotation(size_of(number), &object("star", corners)),
        )
        .unwrap();
    };
    broken(0, ["40", "10", "12", "30"]);
    broken(1, ["10", "10", "10", "9"]);
    broken(2, ["900", "900", "950", "950"]);
    broken(3, ["200", "100", "900", "200"]);
    broken(4, ["NaN", "1", "2", "3"]);
    fs::write(xml(5), "<!DOCTYPE a [<!ENTITY b \"c\">]><annotation/>").unwrap();
    fs::write(xml(6), "<a>".repeat(10_000)).unwrap();
    fs::remove_file(jpg(7)).unwrap();
    let image = fs::read(jpg(8)).unwrap();
    fs::write(jpg(8), &image[..image.len() / 2]).unwrap();
    fs::write(xml(9), annotation((11, 13), "")).unwrap();
    fs::write(jpg(10), huge_png_header()).unwrap();
    fs::write(xml(11), "not xml").unwrap();
    fs::remove_file(xml(12)).unwrap();
    let ran = run(folder.path(), &["data", "check", "set", "--json"]).exits(1);
    let lines = ran.json();
    for number in 0..=12 {
        let id = format!("sample_{number:05}");
        let found = lines.iter().any(|line| {
            line["severity"] == "error"
                && line["file"].as_str().is_some_and(|file| file.contains(&id))
        });
        assert!(found, "{id} is not reported:\n{}", ran.stdout);
    }
    let totals = lines.last().unwrap();
    assert!(totals["errors"].as_u64().unwrap() >= 13);
    let text = run(folder.path(), &["data", "check", "set"]).exits(1);
    assert!(
        text.stdout
            .contains("sample_00000.xml: object 1: xmax 12 <= xmin 40"),
        "{}",
        text.stdout
    );
}

/// The start of a PNG of 60,000 by 60,000 pixels.
fn huge_png_header() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    bytes.extend(60_000_u32.to_be_bytes());
    bytes.extend(60_000_u32.to_be_bytes());
    bytes.extend([8, 2, 0, 0, 0]);
    // The CRC of this header, so that only its size is wrong with it.
    let crc = crc32(&bytes[12..]);
    bytes.extend(crc.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, &byte: &u8| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    };
    !bytes.iter().fold(!0, step)
}

/// The sample's first images in the layout of Roboflow's export: `train`, `valid`
/// and `test` with annotations beside the images.
fn export(folder: &Path) {
    let sample = detection_data();
    for (number, split) in ["train", "train", "train", "valid", "valid", "test"]
        .into_iter()
        .enumerate()
    {
        fs::create_dir_all(folder.join(split)).unwrap();
        for (place, ending) in [("Annotations", "xml"), ("JPEGImages", "jpg")] {
            let name = format!("sample_{number:05}.{ending}");
            let to = folder.join(split).join(&name);
            fs::copy(sample.join(place).join(&name), to).unwrap();
        }
    }
    fs::write(folder.join("README.roboflow.txt"), "x").unwrap();
}

#[test]
fn folders_of_splits_with_annotations_are_boxes_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    export(&folder.path().join("data"));
    let ran = |code, args: &[&str]| run(folder.path(), args).exits(code);
    let check = ran(0, &["data", "check", "data"]);
    assert!(check.stdout.contains("6 sound images"), "{}", check.stdout);
    assert!(check.stdout.contains("0 errors"), "{}", check.stdout);
    let [stats] = ran(0, &["data", "stats", "data", "--json"])
        .json()
        .try_into()
        .unwrap();
    let counts = stats["splits"].as_array().unwrap().iter();
    let counts: Vec<_> = counts
        .map(|split| split["images"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [3, 2, 1]);
    let eval = ["eval", &detector(), "data", "--split", "val", "--json"];
    assert_eq!(ran(0, &eval).json()[0]["images"], 2);
    let before = files_below(&folder.path().join("data"));
    let split = ran(1, &["data", "split", "data"]);
    assert!(split.stderr.contains("--force"), "{}", split.stderr);
    assert_eq!(files_below(&folder.path().join("data")), before);
    for command in [
        &["classifier", "train", "data"][..],
        &["classifier", "eval", &classifier(), "data"],
    ] {
        let refused = ran(1, command);
        let found = "found images with boxes";
        assert!(refused.stderr.contains(found), "{}", refused.stderr);
    }
    let classes = text(&classification_data());
    let refused = ran(1, &["train", &classes]);
    let found = "found images in folders named by their class, such as `train/apple`";
    assert!(refused.stderr.contains(found), "{}", refused.stderr);
}

#[test]
fn a_detector_learns_from_folders_of_splits() {
    let folder = tempfile::tempdir().unwrap();
    export(&folder.path().join("data"));
    let args = ["train", "data", "--name", "run", "--epochs", "1"];
    let ran = run(folder.path(), &[&args[..], &TINY].concat()).exits(0);
    assert!(!ran.stderr.contains("no split val"), "{}", ran.stderr);
}

/// The commands that read a data folder.
fn every_command(folder: &Path, data: &str) -> Vec<Ran> {
    let (detector, classifier) = (detector(), classifier());
    let commands: [&[&str]; 7] = [
        &["data", "check", data],
        &["data", "stats", data],
        &["data", "split", data],
        &["train", data],
        &["eval", &detector, data],
        &["classifier", "train", data],
        &["classifier", "eval", &classifier, data],
    ];
    commands.map(|command| run(folder, command).exits(1)).into()
}

#[test]
fn every_command_says_what_is_wrong_with_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for ran in every_command(folder.path(), "missing") {
        let said = "missing: the folder does not exist";
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    fs::write(folder.path().join("file"), "x").unwrap();
    for ran in every_command(folder.path(), "file") {
        let said = "file: expected a folder of data, found a file";
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    let yolo = folder.path().join("yolo/train");
    for (name, text) in [("images/a.jpg", "x"), ("labels/a.txt", "0 0.5 0.5 0.2 0.2")] {
        fs::create_dir_all(yolo.join(name).parent().unwrap()).unwrap();
        fs::write(yolo.join(name), text).unwrap();
    }
    for ran in every_command(folder.path(), "yolo") {
        let said = "`train/labels/a.txt` holds boxes as YOLO's tools write them";
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    let coco = folder.path().join("coco");
    fs::create_dir_all(coco.join("images")).unwrap();
    fs::write(coco.join("images/a.jpg"), "x").unwrap();
    let labels = r#"{"images": [], "annotations": [], "categories": []}"#;
    fs::write(coco.join("instances.json"), labels).unwrap();
    for ran in every_command(folder.path(), "coco") {
        let said = "`instances.json` lists images and boxes as COCO does";
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn images_with_their_xml_beside_them_are_a_set() {
    let folder = tempfile::tempdir().unwrap();
    let flat = folder.path().join("flat");
    fs::create_dir(&flat).unwrap();
    for (place, ending) in [("Annotations", "xml"), ("JPEGImages", "jpg")] {
        for number in 0..10 {
            let name = format!("sample_{number:05}.{ending}");
            fs::copy(detection_data().join(place).join(&name), flat.join(&name)).unwrap();
        }
    }
    let run = |args: &[&str]| run(folder.path(), args).exits(0);
    run(&["data", "split", "flat"]);
    run(&["data", "check", "flat"]);
    run(&["eval", &detector(), "flat"]);
    let train = ["train", "flat", "--epochs", "1", "--name", "run"];
    run(&[&train[..], &TINY].concat());
}

fn rename_class(set: &Path, from: &str, to: &str) {
    for entry in fs::read_dir(set.join("Annotations")).unwrap() {
        let path = entry.unwrap().path();
        let xml = fs::read_to_string(&path).unwrap();
        let name = |class: &str| format!("<name>{class}</name>");
        fs::write(path, xml.replace(&name(from), &name(to))).unwrap();
    }
}

#[test]
fn what_split_writes_the_other_commands_accept() {
    for count in 1..7_usize {
        let folder = tempfile::tempdir().unwrap();
        for (place, ending) in [("Annotations", "xml"), ("JPEGImages", "jpg")] {
            fs::create_dir_all(folder.path().join("data").join(place)).unwrap();
            for number in 0..count {
                let file = format!("{place}/sample_{number:05}.{ending}");
                let to = folder.path().join("data").join(&file);
                fs::copy(detection_data().join(&file), to).unwrap();
            }
        }
        // A class of one image in so few would be in test alone.
        for class in CLASSES {
            rename_class(&folder.path().join("data"), class, "thing");
        }
        let ran = run(folder.path(), &["data", "split", "data"]);
        if count < 3 {
            let said = format!(
                "expected at least 3 images, one each for train, val and test; \
                                found {count}"
            );
            let ran = ran.exits(1);
            assert!(ran.stderr.contains(&said), "{}", ran.stderr);
            assert!(!folder.path().join("data/ImageSets").exists());
            continue;
        }
        ran.exits(0);
        run(folder.path(), &["data", "check", "data"]).exits(0);
        run(folder.path(), &["data", "stats", "data"]).exits(0);
        run(
            folder.path(),
            &["data", "split", "data", "--force", "--train", "1"],
        )
        .exits(2);
        run(folder.path(), &["data", "check", "data"]).exits(0);
    }
}

#[test]
fn numbers_of_a_sample_have_limits() {
    let folder = tempfile::tempdir().unwrap();
    for (option, number) in [
        ("--images", "18446744073709551615"),
        ("--images", "9"),
        ("--images-per-class", "18446744073709551615"),
        ("--images-per-class", "0"),
    ] {
        let args = ["data", "sample", "set", option, number];
        let ran = run(folder.path(), &args).exits(2);
        assert!(ran.stderr.contains(number), "{}", ran.stderr);
        assert!(!folder.path().join("set").exists());
    }
}
