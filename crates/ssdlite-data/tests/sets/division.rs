//! Divisions in which what looks alike stays together.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use ssdlite_data::finding::FindingKind;
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, Error, Grouping, Overwrite};
use ssdlite_image::encode::jpeg_from_image;

use crate::maker::{Maker, annotation, assert_faults, divide, error, noise, warning};

/// Writes an image with one object of this class; images of one scene look alike, each
/// quality being another file.
fn labelled(maker: &Maker, id: &str, scene: &str, quality: u8, class: &str) {
    let image = jpeg_from_image(&noise(scene, 64, 48), quality).unwrap();
    maker.write(&format!("JPEGImages/{id}.jpg"), image);
    let objects = [(class, ["2", "3", "30", "20"])];
    maker.annotation(id, &annotation(64, 48, &objects));
}

/// Ten scenes in three files each.
fn scenes() -> Maker {
    let maker = Maker::voc();
    for scene in 0..10 {
        for (shot, quality) in [("a", 95), ("b", 80), ("c", 60)] {
            let name = format!("scene {scene}");
            let class = if scene % 2 == 0 { "even" } else { "odd" };
            labelled(&maker, &format!("{shot}{scene}"), &name, quality, class);
        }
    }
    maker
}

/// The splits in whose lists each scene has an image.
fn splits_of_scenes(maker: &Maker) -> BTreeMap<String, BTreeSet<Split>> {
    let mut splits: BTreeMap<String, BTreeSet<Split>> = BTreeMap::new();
    for split in [Split::Train, Split::Val, Split::Test] {
        let list = maker.path(&format!("ImageSets/Main/{split}.txt"));
        for id in fs::read_to_string(list).unwrap().lines() {
            splits.entry(id[1..].to_owned()).or_default().insert(split);
        }
    }
    splits
}

#[test]
fn near_duplicates_stand_in_one_split() {
    let maker = scenes();
    let mut tests = BTreeSet::new();
    for seed in 0..5 {
        let shares = SplitShares {
            seed,
            ..SplitShares::default()
        };
        let counts = divide(&maker.open(), &shares, Overwrite::Allow).unwrap();
        assert_eq!((counts.train, counts.val, counts.test), (24, 3, 3));
        let together = counts.together;
        assert_eq!(
            (together.images, together.groups, together.largest),
            (30, 10, 3)
        );
        assert_eq!(together.findings, []);
        let splits = splits_of_scenes(&maker);
        assert!(
            splits.values().all(|splits| splits.len() == 1),
            "{splits:?}"
        );
        tests.extend(fs::read_to_string(maker.path("ImageSets/Main/test.txt")));
        let report = maker
            .open()
            .check(&DetectionFolderOptions::default())
            .unwrap();
        assert_eq!(report.findings, []);
    }
    assert!(tests.len() > 1);
    let apart = maker.open();
    let apart = apart.divide(&SplitShares::default(), Grouping::Apart, Overwrite::Allow);
    let apart = apart.unwrap();
    apart.write().unwrap();
    assert_eq!(apart.counts()[0].together, Default::default());
    let splits = splits_of_scenes(&maker);
    assert!(splits.values().any(|splits| splits.len() > 1));
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    assert!(!report.has_errors());
    assert!((report.findings.iter()).any(|finding| finding.kind == FindingKind::LookAlike));
}

#[test]
fn one_scene_alone_is_not_divided_unless_it_is_asked_for() {
    let maker = Maker::voc();
    for number in 0..6 {
        labelled(&maker, &number.to_string(), "one", 70 + number, "x");
    }
    let shares = SplitShares::default();
    let fault = divide(&maker.open(), &shares, Overwrite::Refuse).unwrap_err();
    assert!(matches!(fault, Error::InvalidRequest(_)));
    let expected = "expected at least 3 groups of images with an object that counts, one each for \
                    train, val and test; found 1";
    assert!(fault.to_string().contains(expected), "{fault}");
    assert_eq!(
        fs::read_dir(maker.path("ImageSets/Main")).unwrap().count(),
        0
    );
    let folder = maker.open();
    let apart = folder.divide(&shares, Grouping::Apart, Overwrite::Refuse);
    assert_eq!(apart.unwrap().counts()[0].test, 1);
}

#[test]
fn an_image_that_cannot_be_read_is_told_and_divided() {
    let maker = scenes();
    maker.write("JPEGImages/a3.jpg", "no image");
    let counts = divide(&maker.open(), &SplitShares::default(), Overwrite::Refuse).unwrap();
    let expected = error("JPEGImages/a3.jpg", None, FindingKind::BadImage);
    assert_faults(&counts.together.findings, vec![expected]);
    assert_eq!(counts.together.images, 29);
    assert_eq!(counts.train + counts.val + counts.test, 30);
}

#[test]
fn folds_test_every_image_once_and_are_read_by_name() {
    let maker = scenes();
    let shares = SplitShares::default();
    let ids = |folder: &DetectionFolder, split| {
        let set = folder
            .read(split, &DetectionFolderOptions::default())
            .unwrap()
            .set;
        let ids = set.images.into_iter().map(|image| image.id);
        ids.collect::<BTreeSet<String>>()
    };
    let folds = |count, overwrite| {
        let folder = maker.open();
        let lists = folder.divide_into_folds(count, &shares, Grouping::ByLook, overwrite)?;
        lists.write()?;
        Ok::<_, Error>(lists.counts().to_vec())
    };
    let counts = folds(5, Overwrite::Refuse).unwrap();
    assert!(counts.iter().all(|fold| fold.test == 6), "{counts:?}");
    let mut tested = BTreeSet::new();
    for number in 1..=5 {
        let folder = maker.open().with_lists(&format!("fold{number}")).unwrap();
        let [train, val, test, trainval] = [Split::Train, Split::Val, Split::Test, Split::TrainVal]
            .map(|split| ids(&folder, split));
        assert_eq!(test.len(), 6);
        assert!(!val.is_empty() && train.len() > val.len());
        assert_eq!(trainval, train.union(&val).cloned().collect());
        assert!(test.is_disjoint(&trainval) && train.is_disjoint(&val));
        for scene in 0..10 {
            let shots = ["a", "b", "c"].map(|shot| test.contains(&format!("{shot}{scene}")));
            assert!(shots == [shots[0]; 3], "{scene}");
        }
        tested.extend(test);
        let report = folder.check(&DetectionFolderOptions::default()).unwrap();
        assert_eq!(report.findings, []);
    }
    assert_eq!(tested.len(), 30);
    assert!(!maker.open().has_split(Split::Train));
    for (count, overwrite) in [
        (5, Overwrite::Refuse),
        (4, Overwrite::Allow),
        (1, Overwrite::Allow),
    ] {
        let refused = folds(count, overwrite);
        assert!(matches!(refused, Err(Error::InvalidRequest(_))), "{count}");
    }
    assert_eq!(folds(5, Overwrite::Allow).unwrap(), counts);
    for name in [
        "fold6",
        "",
        ".",
        "..",
        "fold1/",
        "Fold1",
        "../ImageSets/fold1",
    ] {
        let fault = maker.open().with_lists(name).unwrap_err().to_string();
        assert!(fault.contains("found lists in `fold1`"), "{fault}");
    }
    assert!(maker.open().with_lists("Main").is_ok());
}

#[test]
fn a_check_names_images_that_show_the_same_in_two_splits() {
    let maker = Maker::voc();
    labelled(&maker, "a", "one", 90, "x");
    labelled(&maker, "b", "two", 90, "x");
    labelled(&maker, "c", "three", 90, "x");
    // A copy of the file, and the photo compressed anew.
    labelled(&maker, "d", "one", 90, "x");
    labelled(&maker, "e", "two", 60, "x");
    labelled(&maker, "f", "four", 90, "x");
    maker.list("train", "a\nb\nc\n");
    maker.list("val", "d\n");
    maker.list("trainval", "a\nb\nc\nd\n");
    maker.list("test", "e\nf\n");
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    assert_faults(
        &report.findings,
        vec![
            error("ImageSets/Main/val.txt", None, FindingKind::Leak),
            warning("ImageSets/Main/test.txt", None, FindingKind::LookAlike),
        ],
    );
    let told: Vec<&str> = (report.findings.iter())
        .map(|finding| finding.message.as_str())
        .collect();
    assert!(
        told[0].starts_with("`e` looks like `b` in train: "),
        "{told:?}"
    );
    assert_eq!(told[1], "`d` has the same pixels as `a` in train");
}

#[test]
fn a_check_of_class_folders_names_them_too() {
    let maker = Maker::new();
    for (file, scene, quality) in [
        ("train/ant/1.jpg", "one", 90),
        ("train/bee/1.jpg", "two", 90),
        ("val/ant/7.jpg", "three", 90),
        ("val/bee/7.jpg", "two", 70),
        ("test/ant/x.jpg", "one", 90),
        ("test/bee/x.jpg", "four", 90),
    ] {
        maker.write(
            file,
            jpeg_from_image(&noise(scene, 64, 48), quality).unwrap(),
        );
    }
    let folder = ImageFolder::open(maker.root()).unwrap();
    let report = folder.check(&ImageFolderOptions::default()).unwrap();
    assert_faults(
        &report.findings,
        vec![
            error("test", None, FindingKind::Leak),
            warning("val", None, FindingKind::LookAlike),
        ],
    );
}
