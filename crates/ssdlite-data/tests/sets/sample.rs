//! The sample data is sound and the same everywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ssdlite_core::ClassNames;
use ssdlite_data::Error;
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::sample::{
    ClassificationSampleOptions, DetectionSampleOptions, class_names, write_classification_sample,
    write_detection_sample,
};
use ssdlite_data::split::Split;
use ssdlite_data::voc::{VocFolder, VocOptions};

use crate::maker::Maker;

fn files_under(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = files_under(&path).into_iter();
            files.extend(inner.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            files.insert(name, fs::read(path).unwrap());
        }
    }
    files
}

#[test]
fn a_detection_sample_is_sound_and_repeatable() {
    let maker = Maker::new();
    let write = |name: &str, seed| {
        let root = maker.path(name);
        write_detection_sample(&root, &DetectionSampleOptions { images: 24, seed }).unwrap();
        files_under(&root)
    };
    let first = write("one", 7);
    assert_eq!(first.len(), 24 * 2 + 4);
    assert_eq!(first, write("two", 7));
    let other = write("three", 8);
    let image = "JPEGImages/sample_00000.jpg";
    assert_ne!(first[image], other[image]);
    let folder = VocFolder::open(&maker.path("one")).unwrap();
    let report = folder.check(&VocOptions::default()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.images, 24);
    let set = folder
        .read(Split::TrainVal, &VocOptions::default())
        .unwrap()
        .set;
    assert_eq!(set.classes, ClassNames::new(class_names()).unwrap());
    for image in &set.images {
        for object in &image.objects {
            assert!(object.bbox.width() >= 20.0 && object.bbox.height() >= 20.0);
        }
    }
    assert_eq!(fs::read_dir(maker.root()).unwrap().count(), 3);
}

#[test]
fn a_classification_sample_is_sound_and_repeatable() {
    let maker = Maker::new();
    let options = ClassificationSampleOptions {
        train_images_per_class: 5,
        seed: 7,
    };
    write_classification_sample(&maker.path("one"), &options).unwrap();
    write_classification_sample(&maker.path("two"), &options).unwrap();
    let files = files_under(&maker.path("one"));
    assert_eq!(files, files_under(&maker.path("two")));
    assert_eq!(files.len(), class_names().len() * (5 + 2 + 2));
    let folder = ImageFolder::open(&maker.path("one")).unwrap();
    let report = folder.check(&ImageFolderOptions::default()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
}

#[test]
fn a_sample_never_mixes_with_other_files() {
    let maker = Maker::new();
    maker.write("taken/file", "x");
    fs::create_dir(maker.path("empty")).unwrap();
    let options = DetectionSampleOptions {
        images: 10,
        seed: 0,
    };
    let taken = write_detection_sample(&maker.path("taken"), &options);
    assert!(matches!(taken, Err(Error::InvalidRequest(_))));
    let file = write_detection_sample(&maker.path("taken/file"), &options);
    assert!(matches!(file, Err(Error::InvalidRequest(_))));
    write_detection_sample(&maker.path("empty"), &options).unwrap();
    let few = DetectionSampleOptions { images: 9, seed: 0 };
    assert!(write_detection_sample(&maker.path("few"), &few).is_err());
    let none = ClassificationSampleOptions {
        train_images_per_class: 0,
        seed: 0,
    };
    assert!(write_classification_sample(&maker.path("none"), &none).is_err());
    let names: Vec<_> = files_under(maker.root()).into_keys().collect();
    assert!(names.iter().all(|name| !name.contains(".tmp")));
    assert_eq!(fs::read_dir(maker.root()).unwrap().count(), 2);
}
