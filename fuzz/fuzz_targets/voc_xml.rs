//! Bytes of an annotation file beside an image: findings, or sound objects, and
//! none lost without a word.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use quick_xml::Reader;
use quick_xml::events::Event;
use ssdlite_core::ImageSize;
use ssdlite_data::split::Split;
use ssdlite_data::{DetectionFolder, DetectionFolderOptions};
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
    let opened = DetectionFolder::open(folder, None).expect("a sound folder");
    let Ok(reading) = opened.read(Split::Train, &DetectionFolderOptions::default()) else {
        return;
    };
    for image in &reading.set.images {
        for object in &image.objects {
            assert!(object.bbox.is_valid());
            assert_eq!(object.bbox, object.bbox.clipped(image.size));
            assert!(reading.set.classes.get(object.class).is_some());
        }
    }
    if !reading.set.images.is_empty()
        && let Some(objects) = object_elements(annotation)
    {
        assert!(reading.set.object_count() + reading.losses.objects_skipped >= objects);
    }
}

/// How many elements are called `object`, if the file is plain UTF-8.
fn object_elements(annotation: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(annotation).ok()?;
    if !text.starts_with("<annotation") {
        return None;
    }
    let mut reader = Reader::from_str(text);
    let mut count = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) | Event::Empty(start) => {
                let name = start.local_name();
                count += usize::from(name.as_ref().eq_ignore_ascii_case("object"));
            }
            Event::Eof => return Some(count),
            _ => {}
        }
    }
}
