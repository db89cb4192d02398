//! Images that were written come back.

use std::path::Path;

use crate::fixtures::{mean_difference, ramp};
use ssdlite_image::decode::{Limits, decode, decode_file};
use ssdlite_image::encode::{jpeg_from_image, png_from_image, save};
use ssdlite_image::{Error, ImageSize, RgbImage};

#[test]
fn png_comes_back_as_it_was_and_jpeg_nearly() {
    let limits = Limits::default();
    let image = ramp(ImageSize::new(61, 43));
    let png = png_from_image(&image).unwrap();
    assert_eq!(decode(&png, &limits).unwrap(), image);

    let good = jpeg_from_image(&image, 95).unwrap();
    let poor = jpeg_from_image(&image, 20).unwrap();
    assert!(mean_difference(&decode(&good, &limits).unwrap(), &image) < 2.5);
    assert!(poor.len() < good.len());
    for quality in [0, 255] {
        let bytes = jpeg_from_image(&image, quality).unwrap();
        assert_eq!(decode(&bytes, &limits).unwrap().size(), image.size());
    }
}

#[test]
fn a_side_too_long_for_jpeg_is_an_error() {
    let image = RgbImage::filled(ImageSize::new(70_000, 1), [0; 3]);
    assert!(matches!(
        jpeg_from_image(&image, 90),
        Err(Error::OverLimit(text)) if text.contains("70000x1")
    ));
}

#[test]
fn saving_goes_by_the_ending_and_leaves_no_temporary_file() {
    let folder = std::env::temp_dir().join(format!("ssdlite-save-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let image = ramp(ImageSize::new(31, 23));
    for name in ["a.png", "b.JPG", "c.jpeg"] {
        let path = folder.join(name);
        save(&path, &RgbImage::filled(image.size(), [0; 3])).unwrap();
        save(&path, &image).unwrap();
        let back = decode_file(&path, &Limits::default()).unwrap();
        assert!(mean_difference(&back, &image) < 4.0, "{name}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);

    let error = save(&folder.join("d.gif"), &image).unwrap_err();
    assert!(matches!(&error, Error::Unsupported(text) if text.contains("d.gif")));
    let nowhere = folder.join("missing").join("e.png");
    assert!(matches!(
        save(&nowhere, &image),
        Err(Error::Io { path, .. }) if path == Path::new(&nowhere)
    ));
    std::fs::remove_dir_all(&folder).unwrap();
}
