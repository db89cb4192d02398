//! Images to files.

use std::path::Path;

use image::codecs::{jpeg::JpegEncoder, png::PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageError};
use ssdlite_files::write_atomically;

use crate::error::{Error, Result};
use crate::rgb::RgbImage;

/// The JPEG quality of images for people, 1 to 100: at 90 the block borders
/// around drawn lines can't be seen.
pub const IMAGE_QUALITY: u8 = 90;

/// A JPEG file of `quality` 1 (worst) to 100 (best), clamped to that.
///
/// # Errors
/// [`Error::OverLimit`] if a side is longer than JPEG's 65,535 pixels.
pub fn jpeg_from_image(image: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100));
    write_pixels(encoder, image)?;
    Ok(bytes)
}

/// A PNG file.
///
/// # Errors
/// [`Error::OverLimit`] if the image is larger than PNG allows.
pub fn png_from_image(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_pixels(PngEncoder::new(&mut bytes), image)?;
    Ok(bytes)
}

/// Writes an image as JPEG of [`IMAGE_QUALITY`] or as PNG, as the file
/// name's ending says, by way of [`write_atomically`].
///
/// # Errors
/// [`Error::Unsupported`] for another ending than `.jpg`, `.jpeg` and `.png`;
/// those of the encoders; [`Error::Io`].
pub fn save(path: &Path, image: &RgbImage) -> Result<()> {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    let bytes = match ending.as_ref().and_then(|ending| ending.to_str()) {
        Some("jpg" | "jpeg") => jpeg_from_image(image, IMAGE_QUALITY),
        Some("png") => png_from_image(image),
        _ => Err(Error::Unsupported(
            "expected a file name that ends in .jpg, .jpeg or .png".into(),
        )),
    };
    let bytes = bytes.map_err(|error| error.in_file(path))?;
    write_atomically(path, &bytes).map_err(|source| Error::io(path, source))
}

fn write_pixels(encoder: impl ImageEncoder, image: &RgbImage) -> Result<()> {
    let (width, height) = (image.width(), image.height());
    encoder
        .write_image(image.pixels(), width, height, ExtendedColorType::Rgb8)
        .map_err(|error| encoder_error(image, &error))
}

fn encoder_error(image: &RgbImage, error: &ImageError) -> Error {
    Error::OverLimit(format!("an image of {}: {error}", image.size()))
}
