//! The sample data is sound and the same everywhere.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ssdlite_core::ClassNames;
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::sample::{
    ClassificationSampleOptions, DetectionSampleOptions, SampleObjects, class_names,
    write_classification_sample, write_detection_sample,
};
use ssdlite_data::split::Split;
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, Error};

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

fn few_large(images: usize, seed: u64) -> DetectionSampleOptions {
    DetectionSampleOptions {
        images,
        seed,
        objects: SampleObjects::FewLarge,
    }
}

fn many_small(images: usize, seed: u64) -> DetectionSampleOptions {
    DetectionSampleOptions {
        images,
        seed,
        objects: SampleObjects::ManySmall,
    }
}

/// FNV-1a of all names and bytes, 64 bits.
fn hash(files: &BTreeMap<String, Vec<u8>>) -> u64 {
    let bytes = files
        .iter()
        .flat_map(|(name, bytes)| name.bytes().chain(bytes.iter().copied()));
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The numbers are this program's own: they tell when a machine or a change of the
/// code gives another set.
#[test]
fn detection_samples_are_the_same_to_the_last_bit() {
    let maker = Maker::new();
    let written = |name: &str, options| {
        write_detection_sample(&maker.path(name), &options).unwrap();
        hash(&files_under(&maker.path(name)))
    };
    assert_eq!(
        written("large", few_large(10, 0)),
        5_729_902_268_507_482_945
    );
    assert_eq!(
        written("small", many_small(10, 0)),
        13_989_570_355_970_054_488
    );
}

#[test]
fn many_small_objects_are_small_and_whole_sets_have_all_classes() {
    let maker = Maker::new();
    let write = |name: &str, options| {
        write_detection_sample(&maker.path(name), &options).unwrap();
        files_under(&maker.path(name))
    };
    let first = write("one", many_small(30, 3));
    let other = write("two", many_small(10, 4));
    let images = other.keys().filter(|name| name.starts_with("JPEGImages"));
    for image in images {
        assert_ne!(first[image], other[image], "{image}");
    }
    let folder = DetectionFolder::open(&maker.path("one"), None).unwrap();
    let report = folder.check(&DetectionFolderOptions::default()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let read = |split| {
        folder
            .read(split, &DetectionFolderOptions::default())
            .unwrap()
            .set
    };
    let (trainval, test) = (read(Split::TrainVal), read(Split::Test));
    assert_eq!(trainval.classes, ClassNames::new(class_names()).unwrap());
    assert_eq!(test.classes, trainval.classes);
    let images: Vec<_> = trainval.images.iter().chain(&test.images).collect();
    assert_eq!(images.len(), 30);
    let mut sides = Vec::new();
    for image in images {
        let size = image.size;
        assert!(size.width.min(size.height) >= 480, "{size}");
        let count = image.objects.len();
        assert!(count <= 25, "{count} objects");
        for (index, object) in image.objects.iter().enumerate() {
            let bbox = object.bbox;
            assert!(bbox.is_valid());
            assert_eq!(bbox, bbox.clipped(size));
            let shorter = size.width.min(size.height) as f32;
            sides.push(bbox.width().max(bbox.height()) / shorter);
            // Two of about one size never lie on top of each other.
            for other in &image.objects[..index] {
                assert!(bbox.iou(&other.bbox) < 0.5, "{bbox} and {}", other.bbox);
            }
        }
    }
    assert!(sides.len() > 30 * 10, "{} objects", sides.len());
    let share = |holds: &dyn Fn(f32) -> bool| {
        sides.iter().filter(|&&side| holds(side)).count() as f32 / sides.len() as f32
    };
    let small = share(&|side| (0.02..=0.135).contains(&side));
    assert!(
        (0.85..0.97).contains(&small),
        "{small} of the objects are small"
    );
    assert!(share(&|side| side >= 0.15) > 0.02);
}

#[test]
fn a_detection_sample_is_sound_and_repeatable() {
    let maker = Maker::new();
    let write = |name: &str, seed| {
        let root = maker.path(name);
        write_detection_sample(&root, &few_large(24, seed)).unwrap();
        files_under(&root)
    };
    let first = write("one", 7);
    assert_eq!(first.len(), 24 * 2 + 4);
    assert_eq!(first, write("two", 7));
    let other = write("three", 8);
    let image = "JPEGImages/sample_00000.jpg";
    assert_ne!(first[image], other[image]);
    let folder = DetectionFolder::open(&maker.path("one"), None).unwrap();
    let report = folder.check(&DetectionFolderOptions::default()).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(report.images, 24);
    let set = folder
        .read(Split::TrainVal, &DetectionFolderOptions::default())
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
    let options = few_large(10, 0);
    let taken = write_detection_sample(&maker.path("taken"), &options);
    assert!(matches!(taken, Err(Error::InvalidRequest(_))));
    let file = write_detection_sample(&maker.path("taken/file"), &options);
    assert!(matches!(file, Err(Error::InvalidRequest(_))));
    write_detection_sample(&maker.path("empty"), &options).unwrap();
    assert!(write_detection_sample(&maker.path("few"), &few_large(9, 0)).is_err());
    let none = ClassificationSampleOptions {
        train_images_per_class: 0,
        seed: 0,
    };
    assert!(write_classification_sample(&maker.path("none"), &none).is_err());
    let names: Vec<_> = files_under(maker.root()).into_keys().collect();
    assert!(names.iter().all(|name| !name.contains(".tmp")));
    assert_eq!(fs::read_dir(maker.root()).unwrap().count(), 2);
}
