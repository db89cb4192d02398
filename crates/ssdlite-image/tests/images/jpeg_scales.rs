//! JPEG files decoded at a half, a quarter and an eighth of their width and height.

use serde::Deserialize;
use ssdlite_core::{PixelBox, Preprocessing};
use ssdlite_image::decode::{Limits, decode, decode_at_least, header};
use ssdlite_image::{DecodeMemory, Decoded, Error, ImageSize, Preprocessor, RgbImage};

use crate::fixtures::{self, Jpeg, crc32, jpeg, ramp};
use crate::jpeg_layouts::{FACTORS, coarseness, layouts};
use crate::jpeg_writer::Coefficients;

/// What libjpeg-turbo makes of a file; see reference/jpeg_scales.py.
#[derive(Deserialize)]
struct Case {
    name: String,
    jpeg: String,
    /// At the whole, a half, a quarter and an eighth.
    scales: Vec<Scaled>,
}

#[derive(Deserialize)]
struct Scaled {
    size: (u32, u32),
    crc: u32,
}

fn cases() -> Vec<(Case, Vec<u8>)> {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../golden/jpeg_scales.json")).unwrap();
    let with_bytes = |case: Case| {
        let digits = case.jpeg.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes = digits.map(byte).collect();
        (case, bytes)
    };
    cases.into_iter().map(with_bytes).collect()
}

/// Decodes at one pixel in so many across and down.
fn at(bytes: &[u8], one_in: u32) -> Result<Decoded, Error> {
    let whole = header(bytes)?.displayed;
    let least = ImageSize::new(whole.width / one_in, whole.height / one_in);
    decode_at_least(bytes, &Limits::default(), least)
}

#[test]
fn every_scale_is_libjpeg_turbos_to_the_bit() {
    for (case, bytes) in cases() {
        for (one_in, expected) in [1, 2, 4, 8].into_iter().zip(&case.scales) {
            let found = at(&bytes, one_in).unwrap().into_image();
            let (width, height) = expected.size;
            assert_eq!(found.size(), ImageSize::new(width, height), "{}", case.name);
            let crc = crc32(found.pixels());
            assert_eq!(crc, expected.crc, "{}, one in {one_in}", case.name);
        }
    }
}

/// Odd, so that the last blocks are never full.
const SIZE: (usize, usize) = (141, 107);

/// A component without edges.
fn smooth(index: usize, u: f64, v: f64) -> f64 {
    match index {
        0 => 128.0 + 60.0 * (3.0 * u).sin() - 50.0 * v,
        1 => 128.0 + 40.0 * (u - v),
        _ => 128.0 - 50.0 * u * v,
    }
}

/// The mean of the pixels that each pixel of a reduced image stands for.
fn reduced(image: &RgbImage, one_in: u32) -> Vec<f64> {
    let columns = 0..image.width().div_ceil(one_in);
    let rows = 0..image.height().div_ceil(one_in);
    let mean = |x: u32, y: u32, channel: usize| {
        let inside = |x: &(u32, u32)| x.0 < image.width() && x.1 < image.height();
        let square = (0..one_in.pow(2)).map(|i| (x * one_in + i % one_in, y * one_in + i / one_in));
        let values = square
            .filter(inside)
            .map(|(x, y)| image.pixel(x, y).unwrap()[channel]);
        let (sum, count) = values.fold((0.0, 0.0), |(sum, n), v| (sum + f64::from(v), n + 1.0));
        sum / count
    };
    let pixels = rows.flat_map(|y| columns.clone().map(move |x| (x, y)));
    pixels
        .flat_map(|(x, y)| [0, 1, 2].map(|channel| mean(x, y, channel)))
        .collect()
}

#[test]
fn every_layout_is_reduced_to_the_mean_of_its_pixels() {
    for factors in FACTORS {
        let image = Coefficients::new(SIZE, &factors, smooth);
        // All at once, and in bands.
        for (progressive, scans) in layouts(3).into_iter().step_by(4) {
            let bytes = image.to_jpeg(progressive, &scans, 5, None);
            let whole = decode(&bytes, &Limits::default()).unwrap();
            for one_in in [2, 4, 8] {
                let found = at(&bytes, one_in).unwrap();
                assert_eq!(found.whole_size(), whole.size());
                let differences = (found.image().pixels().iter()).zip(reduced(&whole, one_in));
                let largest = differences
                    .map(|(&found, expected)| (f64::from(found) - expected).abs())
                    .fold(0.0, f64::max);
                // The last pixels stand for padding too, and coarse samples for many.
                let allowed = 2.5 + 0.75 * f64::from(one_in) * coarseness(&factors) as f64;
                let name = format!("{factors:?}, {scans:?}, one in {one_in}");
                assert!(largest <= allowed, "{name}: {largest} levels of {allowed}");
            }
        }
    }
}

#[test]
fn an_image_is_as_small_as_it_may_be_and_no_smaller() {
    let size = ImageSize::new(80, 57);
    let file = jpeg(Jpeg::COLOR, size, ramp(size).pixels());
    let turned = fixtures::jpeg_with_segments(
        Jpeg::COLOR,
        size,
        ramp(size).pixels(),
        &[(1, &fixtures::exif_segment(6))],
    );
    for ((width, height), one_in) in [
        ((10, 7), 8),
        ((11, 7), 4),
        ((10, 8), 4),
        ((20, 14), 4),
        ((20, 15), 2),
        ((40, 28), 2),
        ((40, 29), 1),
        ((41, 1), 1),
        ((80, 57), 1),
        ((u32::MAX, 0), 1),
        ((0, 0), 8),
    ] {
        for (file, whole, least) in [
            (&file, size, ImageSize::new(width, height)),
            (
                &turned,
                ImageSize::new(57, 80),
                ImageSize::new(height, width),
            ),
        ] {
            let found = decode_at_least(file, &Limits::default(), least).unwrap();
            assert_eq!(found.whole_size(), whole);
            assert_eq!(found.reduction().is_none(), one_in == 1);
            let side = |side: u32| side.div_ceil(one_in);
            let expected = ImageSize::new(side(whole.width), side(whole.height));
            assert_eq!(found.image().size(), expected, "{least}");
            if one_in == 1 {
                assert_eq!(*found.image(), decode(file, &Limits::default()).unwrap());
            }
        }
    }
}

#[test]
fn other_formats_are_decoded_whole() {
    for (name, bytes) in fixtures::files() {
        let found = decode_at_least(&bytes, &Limits::default(), ImageSize::new(1, 1)).unwrap();
        assert_eq!(
            found.reduction().is_none(),
            !name.ends_with(".jpg"),
            "{name}"
        );
        assert_eq!(found.whole_size(), header(&bytes).unwrap().displayed);
    }
}

/// A white square in black, whose place is the same at every scale and however the image
/// is turned.
#[test]
fn boxes_of_reduced_images_are_found_in_the_whole() {
    let size = ImageSize::new(157, 99);
    let mut image = RgbImage::filled(size, [0; 3]);
    image.paste(&RgbImage::filled(ImageSize::new(32, 24), [255; 3]), 48, 40);
    for orientation in 1..=8 {
        let segment = fixtures::exif_segment(orientation);
        let segments = [(1, segment.as_slice())];
        let file = fixtures::jpeg_with_segments(Jpeg::COLOR, size, image.pixels(), &segments);
        let header = header(&file).unwrap();
        let square = header.displayed_box(PixelBox::new(48.0, 40.0, 80.0, 64.0));
        for one_in in [1, 2, 4, 8] {
            let found = at(&file, one_in).unwrap();
            let PixelBox { x1, y1, x2, y2, .. } = found.reduction().reduced_box(square);
            let is_inside =
                |x: u32, y: u32| (x1..x2).contains(&(x as f32)) && (y1..y2).contains(&(y as f32));
            let reduced = found.image();
            for (x, y) in
                (0..reduced.width()).flat_map(|x| (0..reduced.height()).map(move |y| (x, y)))
            {
                let is_white = reduced.pixel(x, y).unwrap()[0] > 127;
                assert_eq!(
                    is_white,
                    is_inside(x, y),
                    "{orientation}, {one_in}: {x}, {y}"
                );
            }
            assert_eq!(
                found
                    .reduction()
                    .whole_box(found.reduction().reduced_box(square)),
                square
            );
            let all = PixelBox::new(0.0, 0.0, reduced.width() as f32, reduced.height() as f32);
            let whole = header.displayed;
            let expected = PixelBox::new(0.0, 0.0, whole.width as f32, whole.height as f32);
            assert_eq!(found.reduction().whole_box(all), expected);
        }
    }
}

#[test]
fn limits_and_faults_are_those_of_the_whole() {
    let tight = Limits {
        max_pixels: 400,
        ..Limits::default()
    };
    for (case, bytes) in cases() {
        let least = ImageSize::new(1, 1);
        let error = decode_at_least(&bytes, &tight, least).unwrap_err();
        assert!(matches!(error, Error::OverLimit(_)), "{}", case.name);
        for end in (0..bytes.len() - 2).step_by(61) {
            let cut = &bytes[..end];
            let Err(expected) = decode(cut, &Limits::default()) else {
                panic!("{}: {end} bytes are enough", case.name);
            };
            for one_in in [2, 4, 8] {
                let least = ImageSize::new(30 / one_in, 30 / one_in);
                let error = decode_at_least(cut, &Limits::default(), least).unwrap_err();
                assert_eq!(
                    error.to_string(),
                    expected.to_string(),
                    "{}, {end}",
                    case.name
                );
            }
        }
    }
}

#[test]
fn decoders_that_share_memory_give_the_same() {
    let memory = DecodeMemory::new(1);
    for (case, bytes) in cases() {
        let least = ImageSize::new(8, 8);
        let found = memory.decode_at_least(&bytes, &Limits::default(), least);
        let expected = decode_at_least(&bytes, &Limits::default(), least);
        assert_eq!(found.unwrap(), expected.unwrap(), "{}", case.name);
    }
}

/// Also at the borders, which padding reaches on any side.
#[test]
fn a_network_sees_a_reduced_image_as_it_sees_the_whole() {
    let size = ImageSize::new(157, 99);
    let spec = Preprocessing::detector(ImageSize::new(37, 32));
    let image = ramp(size);
    for orientation in 1..=8 {
        let segment = fixtures::exif_segment(orientation);
        let segments = [(1, segment.as_slice())];
        let file = fixtures::jpeg_with_segments(Jpeg::COLOR, size, image.pixels(), &segments);
        let mut of_whole = Preprocessor::new(&spec).unwrap();
        let whole = at(&file, 1).unwrap();
        let whole = of_whole.fit(&whole);
        for one_in in [2, 4] {
            let reduced = at(&file, one_in).unwrap();
            let mut of_reduced = Preprocessor::new(&spec).unwrap();
            let reduced = of_reduced.fit(&reduced);
            let pixels = reduced.pixels().iter().zip(whole.pixels());
            let largest = pixels.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(
                largest <= 3,
                "{orientation}, one in {one_in}: {largest} levels"
            );
        }
    }
}

#[test]
fn images_below_four_times_the_input_are_enough_only_whole() {
    for (spec, side) in [
        (Preprocessing::detector(ImageSize::square(32)), 128),
        (Preprocessing::classifier(56), 256),
    ] {
        for (side, is_whole) in [(side - 1, true), (side, false)] {
            let size = ImageSize::new(side + 20, side);
            let file = jpeg(Jpeg::COLOR, size, ramp(size).pixels());
            let found = decode_at_least(&file, &Limits::default(), spec.enough()).unwrap();
            assert_eq!(found.reduction().is_none(), is_whole, "{spec:?}, {size}");
        }
    }
}
