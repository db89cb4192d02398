//! Folders of images for each class.

use std::collections::HashSet;

use ssdlite_core::{ClassId, ClassNames};
use ssdlite_data::finding::FindingKind;
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::stats::ClassificationStats;
use ssdlite_data::{DataFolder, Error};

use crate::maker::{Maker, assert_faults, error, warning};

#[test]
fn splits_are_folders_and_train_names_the_classes() {
    let maker = Maker::new();
    for file in [
        "train/b/2.jpg",
        "train/b/1.png",
        "train/a/1.JPG",
        "val/b/1.jpg",
        "test/a/1.jpg",
    ] {
        maker.image(file, 7, 5);
    }
    let folder = ImageFolder::open(maker.root()).unwrap();
    let options = ImageFolderOptions::default();
    let reading = folder.read(Split::TrainVal, &options).unwrap();
    assert!(reading.findings.is_empty());
    assert_eq!(reading.set.classes, ClassNames::new(["a", "b"]).unwrap());
    let found: Vec<_> = (reading.set.images.iter())
        .map(|image| (image.path.clone(), image.class.index()))
        .collect();
    let expected = [
        ("train/a/1.JPG", 0),
        ("train/b/1.png", 1),
        ("train/b/2.jpg", 1),
        ("val/b/1.jpg", 1),
    ];
    assert_eq!(
        found,
        expected.map(|(file, class)| (maker.path(file), class))
    );
    let val = folder.read(Split::Val, &options).unwrap();
    assert_eq!(val.set.classes, reading.set.classes);
    assert_eq!(val.set.images[0].class, ClassId(1));
    let stats =
        ClassificationStats::new(&[(Split::TrainVal, &reading.set), (Split::Val, &val.set)]);
    assert_eq!(stats.classes[1], ("b".to_owned(), vec![3, 1]));
}

#[test]
fn what_is_no_image_is_named_and_passed_over() {
    let maker = Maker::new();
    maker.image("train/a/1.jpg", 7, 5);
    maker.image("train/a/2.jpg", 7, 5);
    maker.image("train/a/nested/3.jpg", 7, 5);
    maker.write("train/a/notes.txt", "x");
    maker.write("train/a/.DS_Store", "x");
    maker.write("train/a/4.jpg", "no image");
    maker.write("train/README", "x");
    maker.image("train/A/1.jpg", 7, 5);
    maker.image("train/background/1.jpg", 7, 5);
    maker.image("val/extra/1.jpg", 7, 5);
    let whole = std::fs::read(maker.path("train/a/1.jpg")).unwrap();
    maker.write("val/a/1.jpg", &whole[..whole.len() - 3]);
    let DataFolder::Images(folder) = DataFolder::open(maker.root(), None).unwrap() else {
        panic!("expected an image folder");
    };
    let report = folder.check(&ImageFolderOptions::default()).unwrap();
    use FindingKind::*;
    assert_faults(
        &report.findings,
        vec![
            error("train/a/nested", None, NotAImage),
            warning("train/a/notes.txt", None, NotAImage),
            error("train/a/4.jpg", None, BadImage),
            warning("train/README", None, NotAImage),
            warning("train", None, SimilarClasses),
            error("train/background", None, InvalidClass),
            error("val/extra", None, UnknownClass),
            error("val/a/1.jpg", None, BadImage),
            warning("val", None, EmptyClass),
            warning("test", None, EmptySplit),
        ],
    );
    assert_eq!((report.images, report.losses.images_skipped), (3, 4));
    let reading = folder
        .read(Split::Train, &ImageFolderOptions::default())
        .unwrap();
    assert_eq!(reading.set.images.len(), 3);
    assert_eq!(reading.losses.images_skipped, 2);
}

#[test]
fn one_folder_is_divided_class_by_class() {
    let maker = Maker::new();
    for index in 0..20 {
        maker.image(&format!("a/{index:02}.png"), 3, 2);
        maker.image(&format!("b/{index:02}.png"), 3, 2);
    }
    let folder = ImageFolder::open(maker.root()).unwrap();
    assert!(!folder.has_split_folders());
    let options = |seed| ImageFolderOptions {
        shares: SplitShares {
            trainval: 0.8,
            train: 0.75,
            seed,
        },
        ..ImageFolderOptions::default()
    };
    let paths = |split, seed| -> Vec<_> {
        let set = folder.read(split, &options(seed)).unwrap().set;
        set.images.into_iter().map(|image| image.path).collect()
    };
    let [train, val, test] = [Split::Train, Split::Val, Split::Test].map(|split| paths(split, 1));
    assert_eq!([train.len(), val.len(), test.len()], [24, 8, 8]);
    let all: HashSet<_> = train.iter().chain(&val).chain(&test).collect();
    assert_eq!(all.len(), 40);
    let trainval: HashSet<_> = paths(Split::TrainVal, 1).into_iter().collect();
    assert_eq!(trainval, train.iter().chain(&val).cloned().collect());
    assert_eq!(train, paths(Split::Train, 1));
    assert_ne!(train, paths(Split::Train, 2));
    let of_a = train
        .iter()
        .filter(|path| path.starts_with(maker.path("a")));
    assert_eq!(of_a.count(), 12);
}

#[test]
fn sets_that_cannot_be_used_are_errors() {
    let maker = Maker::new();
    assert!(matches!(
        ImageFolder::open(maker.root()),
        Err(Error::Malformed(_))
    ));
    maker.write("train/a/notes.txt", "x");
    let message = ImageFolder::open(maker.root()).unwrap_err().to_string();
    assert!(message.contains("found no image in `train`"), "{message}");
    maker.image("train/a/1.jpg", 7, 5);
    let folder = ImageFolder::open(maker.root()).unwrap();
    let options = ImageFolderOptions::default();
    assert!(folder.read(Split::Train, &options).is_ok());
    let missing = folder.read(Split::Test, &options).unwrap_err().to_string();
    assert!(missing.contains("expected the folder test"), "{missing}");
    maker.image("test/b/1.jpg", 7, 5);
    let folder = ImageFolder::open(maker.root()).unwrap();
    let unknown = folder.read(Split::Test, &options).unwrap_err().to_string();
    assert!(
        unknown.contains("none that can be used: test/b"),
        "{unknown}"
    );
}

#[test]
fn a_voc_folder_is_not_taken_for_class_folders() {
    let maker = Maker::new();
    maker.image("JPEGImages/1.jpg", 7, 5);
    maker.write("Annotations/1.xml", "<annotation/>");
    let error = ImageFolder::open(maker.root()).unwrap_err().to_string();
    assert!(error.contains("labelled as VOC has them"), "{error}");
}

#[test]
fn a_folder_of_too_few_images_to_divide_says_so() {
    let maker = Maker::new();
    maker.image("a/1.jpg", 7, 5);
    maker.image("a/2.jpg", 7, 5);
    let folder = ImageFolder::open(maker.root()).unwrap();
    let options = ImageFolderOptions::default();
    let error = folder.read(Split::Val, &options).unwrap_err().to_string();
    assert!(error.contains("divided at random"), "{error}");
}

#[test]
fn folders_whose_names_are_one_text_are_one_class() {
    let maker = Maker::new();
    for (index, name) in ["caf\u{e9}", "cafe\u{301}", "tea"].iter().enumerate() {
        maker.image(&format!("train/{name}/{index}.jpg"), 31, 17);
    }
    let folder = ImageFolder::open(maker.root()).unwrap();
    assert_eq!(folder.classes().unwrap().len(), 2);
    let options = ImageFolderOptions::default();
    let set = folder.read(Split::Train, &options).unwrap().set;
    let classes: Vec<usize> = set.images.iter().map(|image| image.class.index()).collect();
    assert_eq!(classes, [0, 0, 1]);
}

#[test]
fn three_images_of_a_class_are_one_for_each_split() {
    let maker = Maker::new();
    for class in ["a", "b"] {
        for index in 0..3 {
            maker.image(&format!("{class}/{index}.jpg"), 7, 5);
        }
    }
    let folder = ImageFolder::open(maker.root()).unwrap();
    let options = ImageFolderOptions::default();
    for split in [Split::Train, Split::Val, Split::Test] {
        let set = folder.read(split, &options).unwrap().set;
        let classes: Vec<usize> = set.images.iter().map(|image| image.class.index()).collect();
        assert_eq!(classes, [0, 1], "{split}");
    }
}

#[test]
fn a_class_alone_and_one_without_images_are_named() {
    let maker = Maker::new();
    for split in ["train", "val", "test"] {
        maker.image(&format!("{split}/a/1.jpg"), 7, 5);
    }
    std::fs::create_dir(maker.path("train/b")).unwrap();
    let folder = ImageFolder::open(maker.root()).unwrap();
    let report = folder.check(&ImageFolderOptions::default()).unwrap();
    assert_faults(
        &report.findings,
        vec![
            error("train", None, FindingKind::NoClasses),
            error("train/b", None, FindingKind::EmptyClass),
        ],
    );
}
