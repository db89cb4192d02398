//! Bytes of a label file in another form than XML, after one that tells which: findings,
//! or sound objects.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ssdlite_core::ImageSize;
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, Format};
use ssdlite_image::{RgbImage, encode};
use tempfile::TempDir;

/// Where the bytes go, and the format that the folder is read as.
const FILES: [(&str, Format); 4] = [
    ("labels/one.txt", Format::Yolo),
    ("data.yaml", Format::Yolo),
    ("instances.json", Format::Coco),
    ("images/one.json", Format::LabelMe),
];

/// A folder for each of them, with one image of 96x64.
static FOLDERS: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for the data");
    let image = RgbImage::filled(ImageSize::new(96, 64), [9, 80, 200]);
    for index in 0..FILES.len() {
        let set = folder_of(folder.path(), index);
        for inner in ["images", "labels"] {
            fs::create_dir_all(set.join(inner)).expect("a folder");
        }
        fs::write(set.join("labels/one.txt"), "0 0.5 0.5 0.5 0.5\n").expect("labels");
        encode::save(&set.join("images/one.png"), &image).expect("an image");
    }
    folder
});

fn folder_of(root: &Path, index: usize) -> PathBuf {
    root.join(index.to_string())
}

fuzz_target!(|data: &[u8]| {
    if let Some((&which, bytes)) = data.split_first() {
        let index = usize::from(which) % FILES.len();
        read(&folder_of(FOLDERS.path(), index), FILES[index], bytes);
    }
});

fn read(folder: &Path, (file, format): (&str, Format), bytes: &[u8]) {
    fs::write(folder.join(file), bytes).expect("a label file");
    let Ok(opened) = DetectionFolder::open(folder, Some(format)) else {
        return;
    };
    let Ok(reading) = opened.read_all(&DetectionFolderOptions::default()) else {
        return;
    };
    for image in reading.set.parts.iter().flat_map(|part| &part.images) {
        for object in &image.objects {
            assert!(object.bbox.is_valid());
            assert_eq!(object.bbox, object.bbox.clipped(image.size));
            assert!(reading.set.classes.get(object.class).is_some());
        }
    }
    if file == "labels/one.txt" && !reading.set.parts.is_empty() {
        let text = String::from_utf8_lossy(bytes);
        let rows = text
            .split(['\n', '\r'])
            .filter(|row| !row.trim().is_empty());
        let objects = reading.set.parts.iter().flat_map(|part| &part.images);
        let objects: usize = objects.map(|image| image.objects.len()).sum();
        if std::str::from_utf8(bytes).is_ok() && !bytes.starts_with(b"\xEF\xBB\xBF") {
            assert_eq!(objects + reading.losses.objects_skipped, rows.count());
        }
    }
}
