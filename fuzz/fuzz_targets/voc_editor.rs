//! Bytes of an annotation file whose objects are corrected: what is corrected is read
//! back, and what is not stays.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ssdlite_core::{ImageSize, PixelBox};
use ssdlite_data::voc::{AddedObject, ChangedObject, Corrections, FiledObject, VocEditor};
use ssdlite_image::decode::header;
use ssdlite_image::encode::png_from_image;
use ssdlite_image::{Header, RgbImage};

const ADDED: PixelBox = PixelBox::new(3.0, 5.0, 60.0, 40.0);

/// Of an image of 96x64.
static HEADER: LazyLock<Header> = LazyLock::new(|| {
    let image = RgbImage::filled(ImageSize::new(96, 64), [9, 80, 200]);
    header(&png_from_image(&image).expect("an image")).expect("a header")
});

fuzz_target!(|data: &[u8]| correct(data));

fn correct(annotation: &[u8]) {
    let Ok(editor) = VocEditor::new(annotation, &HEADER) else {
        return;
    };
    let before = editor.objects().to_vec();
    let named = |name: &str, bbox| FiledObject {
        name: Some(name.into()),
        bbox: Ok(bbox),
        difficult: false,
    };
    let mut expected = before.clone();
    let mut corrections = Corrections {
        added: vec![AddedObject {
            name: "<new>&".into(),
            bbox: ADDED,
        }],
        ..Corrections::default()
    };
    if let Some(first) = before.first().filter(|object| object.bbox.is_ok()) {
        corrections.changed.push(ChangedObject {
            index: 0,
            name: Some("changed".into()),
            bbox: Some(ADDED),
        });
        let difficult = first.difficult;
        expected[0] = FiledObject {
            difficult,
            ..named("changed", ADDED)
        };
    }
    if before.len() > 1 {
        corrections.deleted.push(before.len() - 1);
        expected.pop();
    }
    expected.push(named("<new>&", ADDED));
    // It may only be refused as too large.
    let Ok(text) = editor.corrected(&corrections) else {
        assert!(annotation.len() > 1 << 20);
        return;
    };
    // Boxes that were all shares of the image, or lay outside of it, are known as such
    // once another is there.
    if let Ok(again) = VocEditor::new(text.as_bytes(), &HEADER) {
        assert_eq!(names(again.objects()), names(&expected));
    }
}

fn names(objects: &[FiledObject]) -> Vec<Option<&str>> {
    objects
        .iter()
        .map(|object| object.name.as_deref())
        .collect()
}
