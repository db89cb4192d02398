//! Laws of the one resampling filter, and of the one way to a network's input.

mod common;

use common::part_of;
use serde::Deserialize;
use ssdlite_core::PixelBox;
use ssdlite_core::preprocessing::Preprocessing;
use ssdlite_image::{AsRgb, Error, ImageSize, Preprocessor, Resizer, RgbImage, RgbView};

/// Noise, so that a swap, a shift or a missing tap shows.
fn noise(size: ImageSize) -> RgbImage {
    let mut state = 1u32;
    let pixels = (0..size.pixels() * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    RgbImage::new(size, pixels.collect()).unwrap()
}

/// The taps of one output position of an antialiased triangle filter:
/// `w(x) = max(0, 1 - |x + 0.5 - center| / max(1, scale))`, sum 1.
fn taps(from: u32, to: u32, position: u32) -> Vec<f64> {
    let scale = f64::from(from) / f64::from(to);
    let center = (f64::from(position) + 0.5) * scale;
    let weights: Vec<f64> = (0..from)
        .map(|x| (1.0 - (f64::from(x) + 0.5 - center).abs() / scale.max(1.0)).max(0.0))
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

fn stretched_by_definition(image: &RgbImage, size: ImageSize) -> Vec<f64> {
    let mut output = Vec::new();
    for y in 0..size.height {
        let rows = taps(image.height(), size.height, y);
        for x in 0..size.width {
            let columns = taps(image.width(), size.width, x);
            for channel in 0..3 {
                let mut sum = 0.0;
                for (row, row_weight) in (0u32..).zip(&rows) {
                    for (column, weight) in columns.iter().enumerate() {
                        let value = image.row(row)[column * 3 + channel];
                        sum += row_weight * weight * f64::from(value);
                    }
                }
                output.push(sum);
            }
        }
    }
    output
}

fn assert_close(found: &RgbImage, expected: &RgbImage, levels: u8) {
    assert_eq!(found.size(), expected.size());
    for (index, (a, b)) in found.pixels().iter().zip(expected.pixels()).enumerate() {
        assert!(a.abs_diff(*b) <= levels, "byte {index}: {a} and {b}");
    }
}

fn center_crop(
    resizer: &mut Resizer,
    image: &RgbImage,
    shorter_side: u32,
    size: ImageSize,
) -> RgbImage {
    let mut target = RgbImage::filled(size, [0; 3]);
    resizer.center_crop_into(image, shorter_side, &mut target);
    target
}

/// An image of [`noise`] as PIL or torchvision bring it to a size; see
/// `reference/preprocessing.py`.
#[derive(Deserialize)]
struct Golden {
    from: (u32, u32),
    shorter_side: Option<u32>,
    to: (u32, u32),
    pixels: Vec<u8>,
}

#[test]
fn pixels_are_those_of_pil_and_torchvision_within_a_level() {
    let golden = include_str!("golden/preprocessing.json");
    let golden: Vec<Golden> = serde_json::from_str(golden).unwrap();
    assert_eq!(golden.len(), 5);
    let mut resizer = Resizer::new();
    for case in golden {
        let image = noise(ImageSize::new(case.from.0, case.from.1));
        let size = ImageSize::new(case.to.0, case.to.1);
        let found = match case.shorter_side {
            Some(shorter_side) => center_crop(&mut resizer, &image, shorter_side, size),
            None => resizer.stretch(&image, size),
        };
        assert_close(&found, &RgbImage::new(size, case.pixels).unwrap(), 1);
    }
}

#[test]
fn stretching_follows_the_definition_within_a_level() {
    let image = noise(ImageSize::new(37, 29));
    let mut resizer = Resizer::new();
    for size in [
        ImageSize::new(11, 7),
        ImageSize::new(7, 53),
        ImageSize::new(61, 43),
        ImageSize::new(1, 1),
        ImageSize::new(36, 30),
    ] {
        let found = resizer.stretch(&image, size);
        let expected = stretched_by_definition(&image, size);
        for (index, (found, expected)) in found.pixels().iter().zip(expected).enumerate() {
            let difference = (f64::from(*found) - expected).abs();
            assert!(
                difference < 1.1,
                "{size}, byte {index}: {found}, {expected}"
            );
        }
    }
}

#[test]
fn stretching_keeps_one_colour_the_same_size_and_mirror_images() {
    let mut resizer = Resizer::new();
    let plain = RgbImage::filled(ImageSize::new(31, 17), [3, 141, 255]);
    let size = ImageSize::new(13, 19);
    let expected = RgbImage::filled(size, [3, 141, 255]);
    assert_eq!(resizer.stretch(&plain, size), expected);

    let image = noise(ImageSize::new(31, 17));
    assert_eq!(resizer.stretch(&image, image.size()), image);

    let of_mirrored = resizer.stretch(&image.mirrored(), size);
    assert_close(&of_mirrored, &resizer.stretch(&image, size).mirrored(), 1);
}

#[test]
fn a_resizer_remembers_nothing_of_the_last_image() {
    let (large, small) = (noise(ImageSize::new(90, 70)), noise(ImageSize::new(19, 23)));
    let size = ImageSize::new(33, 27);
    let mut used = Resizer::new();
    used.stretch(&large, size);
    assert_eq!(
        used.stretch(&small, size),
        Resizer::new().stretch(&small, size)
    );
}

#[test]
fn a_centre_crop_is_the_middle_of_the_scaled_image() {
    let mut resizer = Resizer::new();
    // Image, its shorter side, its scaled size, the crop, the crop's corner:
    // ties are rounded to even.
    let cases = [
        ((97, 61), 40, (63, 40), (35, 35), (14, 2)),
        ((61, 97), 40, (40, 63), (31, 33), (4, 15)),
        ((53, 53), 64, (64, 64), (61, 64), (2, 0)),
        ((300, 40), 41, (307, 41), (41, 38), (133, 2)),
    ];
    for (from, shorter_side, scaled, crop, corner) in cases {
        let image = noise(ImageSize::new(from.0, from.1));
        let crop = ImageSize::new(crop.0, crop.1);
        let scaled = resizer.stretch(&image, ImageSize::new(scaled.0, scaled.1));
        let expected = part_of(&scaled, corner, crop);
        let found = center_crop(&mut resizer, &image, shorter_side, crop);
        assert_close(&found, &expected, 1);
    }
}

#[test]
fn a_image_of_any_shape_can_be_cropped() {
    let mut resizer = Resizer::new();
    for size in [
        ImageSize::new(1, 1),
        ImageSize::new(1, 30_011),
        ImageSize::new(30_011, 1),
        ImageSize::new(2, 3),
    ] {
        let image = RgbImage::filled(size, [9, 8, 7]);
        let found = center_crop(&mut resizer, &image, 256, ImageSize::square(224));
        assert_eq!(found, RgbImage::filled(ImageSize::square(224), [9, 8, 7]));
    }
}

#[test]
fn a_region_reads_only_around_itself() {
    let size = ImageSize::new(40, 30);
    let mut image = RgbImage::filled(size, [200; 3]);
    for y in 10..20 {
        for x in 5..25 {
            let at = (y * 40 + x) * 3;
            image.pixels_mut()[at..at + 3].copy_from_slice(&[50, 60, 70]);
        }
    }
    let mut resizer = Resizer::new();
    let target = ImageSize::new(8, 4);
    let inner = PixelBox::new(8.0, 13.0, 22.0, 17.0);
    let found = resizer.stretch_region(&image, inner, target).unwrap();
    assert_eq!(found, RgbImage::filled(target, [50, 60, 70]));

    let whole = PixelBox::new(0.0, 0.0, 40.0, 30.0);
    let found = resizer.stretch_region(&image, whole, target).unwrap();
    assert_eq!(found, resizer.stretch(&image, target));

    for outside in [
        PixelBox::new(-1.0, 0.0, 4.0, 4.0),
        PixelBox::new(0.0, 0.0, 40.5, 4.0),
        PixelBox::new(4.0, 4.0, 4.0, 8.0),
        PixelBox::new(0.0, f32::NAN, 4.0, 4.0),
    ] {
        let found = resizer.stretch_region(&image, outside, target);
        assert!(matches!(found, Err(Error::Malformed(_))));
    }
}

#[test]
fn a_detectors_input_is_the_stretched_image() {
    let size = ImageSize::new(41, 37);
    let spec = Preprocessing::detector(size);
    let mut preprocessor = Preprocessor::new(&spec).unwrap();
    let image = noise(ImageSize::new(97, 61));
    let stretched = Resizer::new().stretch(&image, size);
    assert_eq!(preprocessor.fit(&image), stretched.as_rgb());

    let fitting = noise(size);
    assert_eq!(preprocessor.fit(&fitting), fitting.as_rgb());

    // A view is the image, and one that fits is handed back as it is.
    let view = RgbView::new(image.size(), image.pixels()).unwrap();
    assert_eq!(preprocessor.fit(&view), stretched.as_rgb());
    let view = RgbView::new(size, fitting.pixels()).unwrap();
    assert!(std::ptr::eq(
        preprocessor.fit(&view).pixels(),
        fitting.pixels()
    ));
}

#[test]
fn a_classifiers_input_is_the_middle_of_the_image() {
    let spec = Preprocessing::classifier(49);
    let mut preprocessor = Preprocessor::new(&spec).unwrap();
    let image = noise(ImageSize::new(97, 61));
    let expected = center_crop(&mut Resizer::new(), &image, 56, ImageSize::square(49));
    assert_eq!(preprocessor.fit(&image), expected.as_rgb());
}

#[test]
fn an_unsound_description_is_refused() {
    let spec = Preprocessing {
        std: [0.0; 3],
        ..Preprocessing::detector(ImageSize::square(320))
    };
    assert!(matches!(Preprocessor::new(&spec), Err(Error::Malformed(_))));
}
