//! Images and files for the tests, made here by encoders.

use image::{ExtendedColorType, ImageEncoder};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use ssdlite_image::{ImageSize, RgbImage};

/// A lossy WebP of [`ramp`] at 31x23, by
/// `PIL.Image.save("f.webp", quality=90)` of Pillow 13.0.0; there is no
/// encoder for it in Rust.
const LOSSY_WEBP: &[u8] = include_bytes!("ramp_31x23.webp");

/// An image that differs in every direction and channel.
pub(crate) fn ramp(size: ImageSize) -> RgbImage {
    let mut pixels = Vec::new();
    for y in 0..size.height {
        for x in 0..size.width {
            let (u, v) = (x * 255 / size.width, y * 255 / size.height);
            pixels.extend([u as u8, v as u8, ((u + v) / 2) as u8]);
        }
    }
    RgbImage::new(size, pixels).unwrap()
}

/// Everything that can be chosen about a test's JPEG file.
#[derive(Clone, Copy)]
pub(crate) struct Jpeg {
    pub(crate) color: ColorType,
    pub(crate) sampling: SamplingFactor,
    pub(crate) progressive: bool,
    pub(crate) restart_interval: u16,
}

impl Jpeg {
    pub(crate) const COLOR: Self = Self {
        color: ColorType::Rgb,
        sampling: SamplingFactor::F_1_1,
        progressive: false,
        restart_interval: 0,
    };
}

/// A JPEG file of `size` from bytes in the order that its colour type says.
pub(crate) fn jpeg(options: Jpeg, size: ImageSize, data: &[u8]) -> Vec<u8> {
    jpeg_with_segments(options, size, data, &[])
}

/// A JPEG file with segments (marker number, payload) before its frame.
pub(crate) fn jpeg_with_segments(
    options: Jpeg,
    size: ImageSize,
    data: &[u8],
    segments: &[(u8, &[u8])],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 95);
    encoder.set_sampling_factor(options.sampling);
    encoder.set_progressive(options.progressive);
    if options.restart_interval > 0 {
        encoder.set_restart_interval(options.restart_interval);
    }
    for (number, payload) in segments {
        encoder.add_app_segment(*number, payload.to_vec()).unwrap();
    }
    let (width, height) = (size.width as u16, size.height as u16);
    encoder.encode(data, width, height, options.color).unwrap();
    bytes
}

/// A PNG file.
pub(crate) fn png(size: ImageSize, data: &[u8], color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(data, size.width, size.height, color)
        .unwrap();
    bytes
}

/// A lossless WebP file.
pub(crate) fn webp(size: ImageSize, data: &[u8], color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::webp::WebPEncoder::new_lossless(&mut bytes)
        .write_image(data, size.width, size.height, color)
        .unwrap();
    bytes
}

/// A BMP file.
pub(crate) fn bmp(size: ImageSize, data: &[u8], color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::bmp::BmpEncoder::new(&mut bytes)
        .write_image(data, size.width, size.height, color)
        .unwrap();
    bytes
}

/// An Exif block, big-endian, that holds an orientation and nothing else.
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01".to_vec();
    block.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    block.extend([0; 4]);
    block
}

/// The payload of a JPEG file's Exif segment.
pub(crate) fn exif_segment(orientation: u8) -> Vec<u8> {
    [b"Exif\0\0".to_vec(), exif(orientation)].concat()
}

/// One small file of each format and variant, by name.
pub(crate) fn files() -> Vec<(&'static str, Vec<u8>)> {
    let size = ImageSize::new(31, 23);
    let image = ramp(size);
    let rgb = image.pixels();
    let grey: Vec<u8> = rgb.iter().step_by(3).copied().collect();
    let cmyk: Vec<u8> = rgb
        .chunks(3)
        .flat_map(|c| [255 - c[0], 255 - c[1], 255 - c[2], 0])
        .collect();
    let rgba: Vec<u8> = rgb
        .chunks(3)
        .flat_map(|c| [c[0], c[1], c[2], c[0]])
        .collect();
    let deep: Vec<u8> = rgb.iter().flat_map(|&c| [c, c]).collect();

    let progressive = Jpeg {
        progressive: true,
        ..Jpeg::COLOR
    };
    let subsampled = Jpeg {
        sampling: SamplingFactor::F_2_2,
        restart_interval: 2,
        ..Jpeg::COLOR
    };
    let of_color = |color| Jpeg {
        color,
        ..Jpeg::COLOR
    };
    vec![
        ("baseline.jpg", jpeg(Jpeg::COLOR, size, rgb)),
        ("progressive.jpg", jpeg(progressive, size, rgb)),
        ("subsampled.jpg", jpeg(subsampled, size, rgb)),
        ("grey.jpg", jpeg(of_color(ColorType::Luma), size, &grey)),
        ("cmyk.jpg", jpeg(of_color(ColorType::Cmyk), size, &cmyk)),
        (
            "ycck.jpg",
            jpeg(of_color(ColorType::CmykAsYcck), size, &cmyk),
        ),
        (
            "exif.jpg",
            jpeg_with_segments(Jpeg::COLOR, size, rgb, &[(1, &exif_segment(6))]),
        ),
        ("rgb.png", png(size, rgb, ExtendedColorType::Rgb8)),
        ("rgba.png", png(size, &rgba, ExtendedColorType::Rgba8)),
        ("rgb16.png", png(size, &deep, ExtendedColorType::Rgb16)),
        ("lossless.webp", webp(size, rgb, ExtendedColorType::Rgb8)),
        ("alpha.webp", webp(size, &rgba, ExtendedColorType::Rgba8)),
        ("lossy.webp", LOSSY_WEBP.to_vec()),
        ("rgb.bmp", bmp(size, rgb, ExtendedColorType::Rgb8)),
        ("grey.bmp", bmp(size, &grey, ExtendedColorType::L8)),
    ]
}

/// The mean absolute difference of two images of one size, in levels.
pub(crate) fn mean_difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.size(), b.size());
    let sum: u64 = a
        .pixels()
        .iter()
        .zip(b.pixels())
        .map(|(&a, &b)| u64::from(a.abs_diff(b)))
        .sum();
    sum as f64 / a.pixels().len() as f64
}

/// The check sum of a PNG chunk's kind and data.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    })
}
