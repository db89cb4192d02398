//! `detect --save-labels`.

use std::fs;
use std::path::Path;

use ssdlite_core::ImageSize;
use ssdlite_data::split::Split;
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, Grouping, Overwrite};

use crate::harness::{Ran, files_below, run};
use crate::shared::{detector, photos, text};

fn detect(folder: &Path, options: &[&str]) -> Ran {
    let model = detector();
    run(
        folder,
        &[&["detect", &model, "photos", "--json"], options].concat(),
    )
}

const LABELS: [&str; 4] = ["--save-labels", "voc", "--labels", "set"];

/// The objects of a JSON line as class and box in whole pixels, and their scores.
fn objects(line: &serde_json::Value) -> (Vec<(String, [f64; 4])>, Vec<f64>) {
    let detections = line["detections"].as_array().unwrap().iter();
    let object = |found: &serde_json::Value| {
        let edge = |index: usize| found["box"][index].as_f64().unwrap().round();
        let class = found["class"].as_str().unwrap().to_owned();
        (
            (class, [0, 1, 2, 3].map(edge)),
            found["score"].as_f64().unwrap(),
        )
    };
    detections.map(object).unzip()
}

#[test]
fn what_is_found_is_a_set_that_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 4);
    let before = files_below(&folder.path().join("photos"));
    let ran = detect(folder.path(), &[&LABELS[..], &["--score", "0.02"]].concat()).exits(0);
    assert!(ran.stderr.contains("set: 4 images with"), "{}", ran.stderr);
    let set = DetectionFolder::open(&folder.path().join("set"), None).unwrap();
    assert_eq!(set.findings(), []);
    let lists = set.divide(&Default::default(), Grouping::Apart, Overwrite::Refuse);
    lists.unwrap().write().unwrap();
    let mut images = Vec::new();
    for split in [Split::TrainVal, Split::Test] {
        let set = DetectionFolder::open(&folder.path().join("set"), None).unwrap();
        let reading = set.read(split, &DetectionFolderOptions::default()).unwrap();
        assert_eq!(reading.findings, [], "{split}");
        let classes = reading.set.classes;
        for image in reading.set.images {
            let objects = image.objects.into_iter().map(|object| {
                let class = classes.get(object.class).unwrap().to_owned();
                (class, object.bbox.to_array().map(f64::from))
            });
            images.push((image.id, image.size, objects.collect::<Vec<_>>()));
        }
    }
    images.sort_by(|one, other| one.0.cmp(&other.0));
    let lines = ran.json();
    assert_eq!(images.len(), lines.len());
    let mut found = 0;
    for ((id, size, read), line) in images.iter().zip(&lines) {
        assert_eq!(line["image"], format!("photos/{id}.jpg"));
        let side = |key: &str| line[key].as_u64().unwrap() as u32;
        assert_eq!(*size, ImageSize::new(side("width"), side("height")));
        assert_eq!(*read, objects(line).0, "{id}");
        let copy = fs::read(folder.path().join(format!("set/JPEGImages/{id}.jpg")));
        assert_eq!(copy.unwrap(), before[&format!("{id}.jpg")]);
        found += read.len();
    }
    assert!(found > 0, "nothing was found, so nothing was tested");
    assert!(!folder.path().join("set/review.txt").exists());
}

#[test]
fn images_with_scores_of_a_band_are_listed_apart() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 6);
    let all = detect(folder.path(), &["--score", "0.02"]).exits(0).json();
    let mut scores: Vec<f64> = all.iter().flat_map(|line| objects(line).1).collect();
    scores.sort_by(f64::total_cmp);
    // From the middle of all scores to the upper quarter.
    let [low, high] = [scores.len() / 2, scores.len() * 3 / 4].map(|at| scores[at]);
    let band = format!("{low:.4}..{high:.4}");
    let (low, high): (f64, f64) = {
        let (low, high) = band.split_once("..").unwrap();
        (low.parse().unwrap(), high.parse().unwrap())
    };
    let ran = detect(folder.path(), &[&LABELS[..], &["--review", &band]].concat()).exits(0);
    let mut expected = Vec::new();
    for line in ran.json() {
        let (_, scores) = objects(&line);
        assert!(scores.iter().all(|&score| score >= low - 1e-6), "{line}");
        if scores.iter().any(|&score| score <= high) {
            let name = line["image"].as_str().unwrap();
            expected.push(name.strip_prefix("photos/").unwrap().to_owned());
        }
    }
    let list = fs::read_to_string(folder.path().join("set/review.txt")).unwrap();
    assert_eq!(list.lines().collect::<Vec<_>>(), expected);
    let told = format!("{} image", expected.len());
    assert!(ran.stderr.contains(&told), "{}", ran.stderr);

    // A band without an image is an empty list.
    let args = ["--save-labels", "voc", "--labels", "other"];
    detect(
        folder.path(),
        &[&args[..], &["--review", "0.999..1"]].concat(),
    )
    .exits(0);
    let list = fs::read(folder.path().join("other/review.txt")).unwrap();
    assert_eq!(list, b"");
}

#[test]
fn a_folder_with_something_in_it_is_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 1);
    fs::create_dir(folder.path().join("set")).unwrap();
    fs::write(folder.path().join("set/mine.txt"), b"mine").unwrap();
    fs::write(folder.path().join("file"), b"mine").unwrap();
    for name in ["set", "file"] {
        let args = ["--save-labels", "voc", "--labels", name];
        let ran = detect(folder.path(), &args).exits(1);
        assert_eq!(ran.stdout, "");
        let told = format!("error: {name}: expected a new or empty folder");
        assert!(ran.stderr.starts_with(&told), "{}", ran.stderr);
    }
    let left: Vec<_> = files_below(&folder.path().join("set"))
        .into_keys()
        .collect();
    assert_eq!(left, ["mine.txt"]);
}

#[test]
fn options_of_labels_need_each_other() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 1);
    let band = ["--review", "0.3..0.6"];
    let calls: [(&[&str], &str); 6] = [
        (&["--save-labels", "voc"], "--labels"),
        (&["--labels", "set"], "--save-labels"),
        (&band, "--save-labels"),
        (
            &[&LABELS[..], &band, &["--score", "0.1"]].concat(),
            "--score",
        ),
        (
            &[&LABELS[..], &["--review", "0.6..0.3"]].concat(),
            "the lower one first",
        ),
        (&["--save-labels", "xml", "--labels", "set"], "voc"),
    ];
    for (options, told) in calls {
        let ran = detect(folder.path(), options).exits(2);
        assert!(ran.stderr.contains(told), "{options:?}: {}", ran.stderr);
    }
    for drawn in ["set", "./set", "set/drawn"] {
        let options = [&LABELS[..], &["--save", drawn]].concat();
        let ran = detect(folder.path(), &options).exits(2);
        assert!(ran.stderr.contains("--labels"), "{}", ran.stderr);
    }
    fs::write(folder.path().join("photos/a.mp4"), b"a video by its name").unwrap();
    let ran = detect(folder.path(), &LABELS).exits(2);
    assert!(ran.stderr.contains("images alone"), "{}", ran.stderr);
    assert!(!folder.path().join("set").exists());
}

#[test]
fn an_image_that_can_not_be_used_is_not_in_the_set() {
    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 3);
    fs::write(folder.path().join("photos/sample_00001.jpg"), "no image").unwrap();
    let ran = detect(folder.path(), &LABELS).exits(1);
    assert!(ran.stderr.contains("sample_00001.jpg"), "{}", ran.stderr);
    let annotations = files_below(&folder.path().join("set/Annotations"));
    let names: Vec<_> = annotations.keys().collect();
    assert_eq!(names, ["sample_00000.xml", "sample_00002.xml"]);

    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("photos")).unwrap();
    fs::write(other.path().join("photos/a.jpg"), "no image").unwrap();
    let ran = detect(other.path(), &LABELS).exits(1);
    assert!(ran.stderr.contains("no data set"), "{}", ran.stderr);
    assert!(!other.path().join("set").exists());
}

#[test]
fn a_reader_that_goes_away_costs_no_label_of_what_was_done() {
    use std::process::Stdio;

    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 3);
    let model = detector();
    let args = [&["detect", &model, "photos", "--json"][..], &LABELS].concat();
    let mut child = crate::harness::command(folder.path(), &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap()).exits(0);
    // The first image's result could not be told any more.
    assert!(ran.stderr.contains("set: "), "{}", ran.stderr);
}

/// What was done before Ctrl-C is a whole set.
#[cfg(unix)]
#[test]
fn a_set_is_whole_after_a_signal() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let folder = tempfile::tempdir().unwrap();
    photos(folder.path(), 6);
    let (model, photos) = (detector(), text(&folder.path().join("photos")));
    // Many images, so that the signal comes before the last.
    let sources = vec![photos.as_str(); 200];
    let args = [&["detect", &model][..], &sources, &LABELS, &["--json"]].concat();
    let mut child = crate::harness::command(folder.path(), &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let id = child.id().to_string();
    let status = Command::new("sh")
        .args(["-c", "kill -s INT \"$1\"", "sh", &id])
        .status();
    assert!(status.unwrap().success());
    let told = 1 + lines.map(Result::unwrap).count();
    let ran = Ran::from(child.wait_with_output().unwrap()).exits(1);
    assert!(told < 1200, "the signal came too late: {}", ran.stderr);
    let written = files_below(&folder.path().join("set"));
    let count = |ending: &str| written.keys().filter(|name| name.ends_with(ending)).count();
    assert_eq!((count(".xml"), count(".jpg")), (told, told));
    let set = DetectionFolder::open(&folder.path().join("set"), None).unwrap();
    assert_eq!(set.findings(), []);
    let names = fs::read_dir(folder.path()).unwrap();
    assert_eq!(names.count(), 2, "nothing half written is left");
}
