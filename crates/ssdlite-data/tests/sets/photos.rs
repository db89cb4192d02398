//! Folders of photos with and without labels.

use ssdlite_data::Error;
use ssdlite_data::photos::{Photo, PhotoFolder};

use crate::maker::{Maker, annotation};

fn names(photos: &[Photo]) -> Vec<&str> {
    photos.iter().map(|photo| photo.name.as_str()).collect()
}

#[test]
fn photos_without_any_annotation_are_unlabelled_wherever_they_are() {
    for files in [
        &["a.jpg", "b.PNG"][..],
        &["one.jpg", "more/c.jpg"],
        &["cats/1.jpg", "dogs/1.jpg"],
        &["JPEGImages/a.jpg", "JPEGImages/more/a.jpg"],
        &["x/y/z/a.jpg"],
    ] {
        let maker = Maker::new();
        for file in files {
            maker.image(file, 31, 17);
        }
        maker.write("notes.txt", "x");
        let photos = PhotoFolder::open(maker.root()).unwrap();
        let stems: Vec<&str> = files.iter().map(|file| &file[..file.len() - 4]).collect();
        assert_eq!(names(&photos.unlabelled), stems);
        assert!(photos.labelled.is_empty());
        for (photo, file) in photos.unlabelled.iter().zip(files) {
            assert_eq!(photo.path, maker.path(file));
        }
    }
}

#[test]
fn an_annotation_makes_a_photo_labelled() {
    let maker = Maker::voc();
    maker.labelled("b", 31, 17, &[("x", ["2", "3", "9", "9"])]);
    maker.labelled("clip/d", 31, 17, &[]);
    maker.image("JPEGImages/a.jpg", 31, 17);
    maker.image("JPEGImages/clip/c.jpg", 31, 17);
    maker.annotation("of nothing", &annotation(31, 17, &[]));
    let photos = PhotoFolder::open(maker.root()).unwrap();
    assert_eq!(names(&photos.labelled), ["b", "clip/d"]);
    assert_eq!(names(&photos.unlabelled), ["a", "clip/c"]);
}

#[test]
fn what_holds_no_photo_or_other_labels_is_refused() {
    let maker = Maker::new();
    let opened = |maker: &Maker| PhotoFolder::open(maker.root());
    let fault = opened(&maker).unwrap_err().to_string();
    assert!(
        fault.ends_with("expected photos, found no image"),
        "{fault}"
    );
    maker.write("a.txt", "x");
    let fault = opened(&maker).unwrap_err().to_string();
    assert!(
        fault.ends_with("expected photos, found no image"),
        "{fault}"
    );
    let missing = PhotoFolder::open(&maker.path("missing"));
    assert!(matches!(missing, Err(Error::NoSuchFolder(_))));
    let file = PhotoFolder::open(&maker.path("a.txt"));
    assert!(matches!(file, Err(Error::Malformed(_))));
    // Two sets: of whose images the annotations are can't be told.
    for set in ["one", "two"] {
        maker.image(&format!("{set}/JPEGImages/a.jpg"), 31, 17);
        maker.write(&format!("{set}/Annotations/a.xml"), annotation(31, 17, &[]));
        maker.write(&format!("{set}/ImageSets/Main/train.txt"), "a");
    }
    assert!(matches!(opened(&maker), Err(Error::Malformed(_))));
}
