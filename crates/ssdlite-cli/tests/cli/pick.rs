//! `data pick`: what to label next.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::harness::{files_below, run};
use crate::shared::{classifier, detection_data, detector, detector_run, text};

/// Makes a folder of six of the sample's images without annotations, one of them in a
/// folder of its own.
fn photos(folder: &Path) {
    fs::create_dir_all(folder.join("more")).unwrap();
    for number in 0..6 {
        let name = format!("sample_{number:05}.jpg");
        let to = if number == 5 { "more" } else { "." };
        let from = detection_data().join("JPEGImages").join(&name);
        fs::copy(from, folder.join(to).join(&name)).unwrap();
    }
}

#[test]
fn photos_are_chosen_told_listed_and_copied() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    let ran = |code, args: &[&str]| run(folder.path(), args).exits(code);
    let model = detector();
    let pick = ["data", "pick", "photos", &model, "--count", "4"];
    let options = ["--list", "list.txt", "--copy", "to/label", "--json"];
    let picked = ran(0, &[&pick[..], &options].concat()).json();
    assert_eq!(picked.len(), 4);
    let worth: Vec<f64> = (picked.iter())
        .map(|photo| photo["worth"].as_f64().unwrap())
        .collect();
    assert!(
        worth.is_sorted_by(|a, b| a >= b) && worth[3] > 0.0,
        "{worth:?}"
    );
    for photo in &picked {
        assert!(photo["doubt"].as_f64().unwrap() >= 0.0, "{photo}");
        assert!(photo["disagreement"].is_null(), "{photo}");
        assert_eq!(photo["alike_labelled"], 0, "{photo}");
    }
    let images: Vec<&str> = picked
        .iter()
        .map(|photo| photo["image"].as_str().unwrap())
        .collect();
    let list = fs::read_to_string(folder.path().join("list.txt")).unwrap();
    assert_eq!(list.lines().collect::<Vec<_>>(), images);
    let copies = files_below(&folder.path().join("to/label"));
    assert_eq!(copies.len(), 4);
    for image in &images {
        let name = image.strip_prefix("photos/").unwrap();
        assert_eq!(copies[name], fs::read(folder.path().join(image)).unwrap());
    }
    let again = ran(0, &[&pick[..], &["--json"]].concat()).json();
    assert_eq!(again, picked);

    let refused = ran(1, &[&pick[..], &["--copy", "to/label"]].concat());
    assert!(
        refused.stderr.contains("new or empty folder"),
        "{}",
        refused.stderr
    );
    let words = ran(0, &pick).stdout;
    assert!(
        words.contains("labels in doubt, looks like no other one"),
        "{words}"
    );
}

#[test]
fn what_looks_like_a_labelled_photo_is_worth_less() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    // Of the last one there is another that no annotation is of.
    let own = folder.path().join("photos/more/own.jpg");
    let other = detection_data().join("classification/train/apple/apple_0000.jpg");
    fs::copy(other, own).unwrap();
    let (model, run_folder) = (detector(), text(detector_run()));
    let data = text(detection_data());
    let options = ["--labelled", &data, "--second", &run_folder, "--json"];
    let pick = ["data", "pick", "photos", &model, "--count", "99"];
    let ran = run(folder.path(), &[&pick[..], &options].concat()).exits(0);
    assert!(
        ran.stderr.contains("no more than 7 photos"),
        "{}",
        ran.stderr
    );
    let picked = ran.json();
    let alike: BTreeSet<(bool, u64)> = (picked.iter())
        .map(|photo| {
            let is_own = photo["image"].as_str().unwrap().ends_with("own.jpg");
            (is_own, photo["alike_labelled"].as_u64().unwrap())
        })
        .collect();
    assert!(
        alike
            .iter()
            .all(|(is_own, labelled)| (*labelled == 0) == *is_own),
        "{alike:?}"
    );
    // A model does not differ from itself.
    assert!(
        picked.iter().all(|photo| photo["disagreement"] == 0.0),
        "{picked:?}"
    );
}

#[test]
fn an_annotation_in_the_folder_makes_a_photo_labelled() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    for number in [1, 4] {
        let name = format!("sample_{number:05}.xml");
        let from = detection_data().join("Annotations").join(&name);
        fs::copy(from, folder.path().join("photos").join(&name)).unwrap();
    }
    fs::write(folder.path().join("photos/broken.jpg"), "x").unwrap();
    let model = detector();
    let pick = ["data", "pick", "photos", &model, "--count", "9"];
    let ran = run(folder.path(), &pick).exits(1);
    assert!(ran.stderr.contains("broken.jpg"), "{}", ran.stderr);
    let chosen: Vec<&str> = ran.stdout.lines().collect();
    let is_labelled = |line: &&str| line.contains("_00001.jpg") || line.contains("_00004.jpg");
    assert!(
        chosen.len() == 4 && !chosen.iter().any(is_labelled),
        "{chosen:?}"
    );
}

#[test]
fn what_cannot_be_chosen_from_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    photos(&folder.path().join("photos"));
    fs::create_dir(folder.path().join("empty")).unwrap();
    let (model, names, data) = (detector(), classifier(), text(detection_data()));
    for (args, code, said) in [
        (&["photos", &*model, "--count", "0"][..], 2, "--count"),
        (&["photos", &model], 2, "--count"),
        (&["empty", &model, "--count", "1"], 1, "found no image"),
        (
            &["missing", &model, "--count", "1"],
            1,
            "the folder does not exist",
        ),
        (&["photos", &names, "--count", "1"], 1, "is a classifier"),
        (
            &["photos", &model, "--count", "1", "--labelled", "photos"],
            1,
            "found none",
        ),
        (
            &["photos", &model, "--count", "1", "--second", &names],
            1,
            "is a classifier",
        ),
    ] {
        let refused = run(folder.path(), &[&["data", "pick"][..], args].concat()).exits(code);
        assert!(refused.stderr.contains(said), "{said}: {}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    let all = folder.path().join("all");
    for place in ["Annotations", "JPEGImages"] {
        fs::create_dir_all(all.join(place)).unwrap();
    }
    for file in [
        "Annotations/sample_00003.xml",
        "JPEGImages/sample_00003.jpg",
    ] {
        fs::copy(Path::new(&data).join(file), all.join(file)).unwrap();
    }
    let refused = run(
        folder.path(),
        &["data", "pick", "all", &model, "--count", "1"],
    )
    .exits(1);
    let said = "expected photos without an annotation, found 1 image that all have one";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
}
