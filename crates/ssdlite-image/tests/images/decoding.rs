//! What sound files decode to.

use crate::fixtures::{
    Jpeg, crc32, exif, exif_segment, files, jpeg_with_segments, mean_difference, png, ramp,
};
use image::ExtendedColorType;
use ssdlite_image::decode::{Limits, decode, decode_file, header, header_of_file};
use ssdlite_image::{Error, Format, ImageSize, RgbImage};

const SIZE: ImageSize = ImageSize::new(31, 23);

fn decoded(bytes: &[u8]) -> RgbImage {
    decode(bytes, &Limits::default()).unwrap()
}

#[test]
fn every_variant_comes_out_as_the_image_that_went_in() {
    let original = ramp(SIZE);
    let grey: Vec<u8> = original
        .pixels()
        .chunks(3)
        .flat_map(|color| [color[0]; 3])
        .collect();
    let grey = RgbImage::new(SIZE, grey).unwrap();
    for (name, bytes) in files() {
        if name == "exif.jpg" {
            continue;
        }
        let expected = if name.starts_with("grey") {
            &grey
        } else {
            &original
        };
        let difference = mean_difference(&decoded(&bytes), expected);
        let lossy = name.ends_with(".jpg") || name == "lossy.webp";
        let allowed = if lossy { 2.5 } else { 0.0 };
        assert!(difference <= allowed, "{name}: {difference} levels");
    }
}

#[test]
fn sixteen_bits_and_small_palettes_become_eight_bits() {
    let size = ImageSize::new(3, 1);
    let deep = [0u16, 0x1234, 0xFFFF].map(u16::to_ne_bytes).concat();
    let image = decoded(&png(size, &deep, ExtendedColorType::L16));
    assert_eq!(image.pixels(), [[0; 3], [0x12; 3], [255; 3]].concat());

    let palette = palette_png();
    assert_eq!(header(&palette).unwrap().stored, size);
    let image = decoded(&palette);
    assert_eq!(image.pixels(), [7, 8, 9, 250, 0, 3, 7, 8, 9]);
}

#[test]
fn alpha_is_dropped_and_not_blended() {
    let size = ImageSize::new(2, 1);
    let image = decoded(&png(
        size,
        &[10, 20, 30, 0, 40, 50, 60, 255],
        ExtendedColorType::Rgba8,
    ));
    assert_eq!(image.pixels(), [10, 20, 30, 40, 50, 60]);
}

/// The column and row in the stored image that orientation `o` shows at
/// `x, y`; Exif 2.32, table 4.6.4 A, tag 0x0112.
fn stored_position(orientation: u8, x: u32, y: u32) -> (u32, u32) {
    let (right, bottom) = (SIZE.width - 1, SIZE.height - 1);
    match orientation {
        1 => (x, y),
        2 => (right - x, y),
        3 => (right - x, bottom - y),
        4 => (x, bottom - y),
        5 => (y, x),
        6 => (y, bottom - x),
        7 => (right - y, bottom - x),
        8 => (right - y, x),
        _ => unreachable!("there are eight orientations"),
    }
}

#[test]
fn all_eight_orientations_are_applied() {
    let stored = ramp(SIZE);
    for orientation in 1..=8 {
        let bytes = png_with_exif(&stored, orientation);
        let shown = decoded(&bytes);
        let head = header(&bytes).unwrap();
        assert_eq!(head.stored, SIZE);
        assert_eq!(head.displayed, shown.size());
        for y in 0..shown.height() {
            for x in 0..shown.width() {
                let (from_x, from_y) = stored_position(orientation, x, y);
                assert_eq!(
                    shown.pixel(x, y),
                    stored.pixel(from_x, from_y),
                    "orientation {orientation} at {x}, {y}"
                );
            }
        }
    }
}

#[test]
fn a_jpeg_files_orientation_is_applied_and_both_sizes_are_known() {
    let stored = ramp(SIZE);
    for orientation in 1..=8 {
        let segment = exif_segment(orientation);
        let bytes = jpeg_with_segments(Jpeg::COLOR, SIZE, stored.pixels(), &[(1, &segment)]);
        let head = header(&bytes).unwrap();
        assert_eq!((head.format, head.stored), (Format::Jpeg, SIZE));
        let shown = decoded(&bytes);
        assert_eq!(shown.size(), head.displayed);
        assert_eq!(head.displayed.width == SIZE.width, orientation < 5);
        let upright = decoded(&png_with_exif(&stored, orientation));
        assert!(mean_difference(&shown, &upright) < 2.5);
    }
}

#[test]
fn a_damaged_exif_block_is_no_orientation() {
    let pixels = ramp(SIZE);
    for segment in [
        exif_segment(0),
        exif_segment(9),
        b"Exif\0\0MM\0*\xFF\xFF\xFF\xFF".to_vec(),
        b"Exif\0\0".to_vec(),
        Vec::new(),
    ] {
        let bytes = jpeg_with_segments(Jpeg::COLOR, SIZE, pixels.pixels(), &[(1, &segment)]);
        assert_eq!(header(&bytes).unwrap().displayed, SIZE);
        assert_eq!(decoded(&bytes).size(), SIZE);
    }
}

#[test]
fn files_are_told_by_content_and_errors_name_them() {
    let folder = std::env::temp_dir().join(format!("ssdlite-image-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let limits = Limits::default();

    let misnamed = folder.join("really_a_png.jpg");
    let bytes = png(SIZE, ramp(SIZE).pixels(), ExtendedColorType::Rgb8);
    std::fs::write(&misnamed, &bytes).unwrap();
    assert_eq!(decode_file(&misnamed, &limits).unwrap(), ramp(SIZE));
    assert_eq!(
        header_of_file(&misnamed, &limits).unwrap().format,
        Format::Png
    );

    let small = Limits {
        max_bytes: bytes.len() as u64 - 1,
        ..limits
    };
    let error = decode_file(&misnamed, &small).unwrap_err();
    assert!(matches!(&error, Error::OverLimit(text) if text.contains("really_a_png.jpg")));

    std::fs::write(&misnamed, b"these are not pixels").unwrap();
    let error = decode_file(&misnamed, &limits).unwrap_err();
    assert!(matches!(&error, Error::Malformed(text)
        if text.contains("really_a_png.jpg") && text.contains("these are not pi")));

    let error = decode_file(&folder.join("missing.png"), &limits).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("missing.png")));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A PNG file with an Exif chunk.
fn png_with_exif(image: &RgbImage, orientation: u8) -> Vec<u8> {
    use image::ImageEncoder;
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(exif(orientation)).unwrap();
    encoder
        .write_image(
            image.pixels(),
            image.width(),
            image.height(),
            ExtendedColorType::Rgb8,
        )
        .unwrap();
    bytes
}

/// A PNG file of 3x1 pixels with 1-bit indices 0, 1, 0 into a palette whose
/// first colour is transparent.
fn palette_png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1A\n".to_vec();
    let mut chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [kind.as_slice(), data].concat();
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(&body);
        bytes.extend(crc32(&body).to_be_bytes());
    };
    chunk(b"IHDR", &[0, 0, 0, 3, 0, 0, 0, 1, 1, 3, 0, 0, 0]);
    chunk(b"PLTE", &[7, 8, 9, 250, 0, 3]);
    chunk(b"tRNS", &[0]);
    // One stored deflate block of two bytes: filter 0, then the bits 010.
    let row = [0, 0b0100_0000];
    let mut zlib = vec![0x78, 0x01, 0x01, 2, 0, 0xFD, 0xFF];
    zlib.extend(row);
    zlib.extend(adler32(&row).to_be_bytes());
    chunk(b"IDAT", &zlib);
    chunk(b"IEND", &[]);
    bytes
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    (b << 16) | a
}
