//! Bytes of an annotation file beside an image: findings, or sound objects.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ssdlite_core::ImageSize;
use ssdlite_data::split::Split;
use ssdlite_data::voc::{VocFolder, VocOptions};
use ssdlite_image::{RgbImage, encode};
use tempfile::TempDir;

/// A folder with one image of 96x64.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for the data");
    let path = folder.path();
    for inner in ["Annotations", "ImageSets/Main", "JPEGImages"] {
        fs::create_dir_all(path.join(inner)).expect("a folder");
    }
    for list in ["train", "trainval"] {
        let list = path.join(format!("ImageSets/Main/{list}.txt"));
        fs::write(list, "one\n").expect("a list");
    }
    let image = RgbImage::filled(ImageSize::new(96, 64), [9, 80, 200]);
    encode::save(&path.join("JPEGImages/one.png"), &image).expect("an image");
    folder
});

fuzz_target!(|data: &[u8]| read(FOLDER.path(), data));

fn read(folder: &Path, annotation: &[u8]) {
    fs::write(folder.join("Annotations/one.xml"), annotation).expect("an annotation");
    let opened = VocFolder::open(folder).expect("a sound folder");
    let Ok(reading) = opened.read(Split::Train, &VocOptions::default()) else {
        return;
    };
    for image in &reading.set.images {
        for object in &image.objects {
            assert!(object.bbox.is_valid());
            assert_eq!(object.bbox, object.bbox.clipped(image.size));
            assert!(reading.set.classes.get(object.class).is_some());
        }
    }
}
