//! JPEG: the header, and the pixels by way of `zune-jpeg`.
//!
//! The segments before the first scan are walked here and not by the decoder,
//! because the decoder neither tells where the entropy-coded data starts nor
//! minds that its end is missing.
//!
//! Sources: ITU-T T.81, annex B (markers); Exif 2.32, 4.7.2 (the APP1 segment).

use image::metadata::Orientation;
use ssdlite_core::ImageSize;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use crate::error::{Error, Result};

const EXIF_PREFIX: &[u8] = b"Exif\0\0";
const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];

/// What a JPEG file says before its first scan.
pub(crate) struct JpegHeader<'a> {
    /// The size of the stored pixels.
    pub(crate) stored: ImageSize,
    /// How to turn the stored pixels upright.
    pub(crate) orientation: Orientation,
    /// The rest of the file, from the first scan's header on.
    scans: &'a [u8],
}

/// Reads the segments up to the first scan.
pub(crate) fn read_header(bytes: &[u8]) -> Result<JpegHeader<'_>> {
    let mut stored = None;
    let mut orientation = None;
    let mut rest = bytes;
    loop {
        let marker = next_marker(&mut rest)?;
        match marker {
            // TEM, restart and start-of-image markers stand alone.
            0x01 | 0xD0..=0xD8 => continue,
            0xD9 => return Err(malformed("the image ends before its first scan")),
            0xDA => break,
            _ => {}
        }
        let payload = take_payload(&mut rest, marker)?;
        match marker {
            0xC0..=0xC2 => stored = Some(size_from_frame(payload)?),
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Err(Error::Unsupported(format!(
                    "JPEG: expected baseline or progressive Huffman coding, found {}",
                    coding_process(marker)
                )));
            }
            0xE1 => orientation = orientation.or_else(|| orientation_from_exif(payload)),
            _ => {}
        }
    }
    Ok(JpegHeader {
        stored: stored.ok_or_else(|| malformed("no frame header before the first scan"))?,
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
        scans: rest,
    })
}

/// Decodes the stored pixels, not yet turned upright, to packed RGB.
///
/// CMYK and YCCK are taken as inverted, as Adobe writes them and PIL reads
/// them.
pub(crate) fn decode(bytes: &[u8], header: &JpegHeader<'_>) -> Result<Vec<u8>> {
    if !header
        .scans
        .windows(2)
        .rev()
        .any(|pair| pair == END_OF_IMAGE)
    {
        return Err(malformed(format!(
            "expected an end-of-image marker, found the end of the file after {} bytes",
            bytes.len()
        )));
    }
    let (width, height) = (header.stored.width as usize, header.stored.height as usize);
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(width)
        .set_max_height(height)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(decode_error)?;
    if decoder.dimensions() != Some((width, height)) {
        return Err(malformed("expected one frame header, found several"));
    }
    decoder.decode().map_err(decode_error)
}

/// The orientation in an Exif block, with or without the prefix that APP1 and
/// some WebP files put before it.
pub(crate) fn orientation_from_exif(block: &[u8]) -> Option<Orientation> {
    let tiff = block.strip_prefix(EXIF_PREFIX).unwrap_or(block);
    Orientation::from_exif_chunk(tiff)
}

/// Reads a frame header: precision, height, width, number of components.
fn size_from_frame(payload: &[u8]) -> Result<ImageSize> {
    let &[precision, h1, h0, w1, w0, components, ..] = payload else {
        return Err(malformed(format!(
            "expected a frame header of at least 6 bytes, found {}",
            payload.len()
        )));
    };
    if precision != 8 {
        return Err(Error::Unsupported(format!(
            "JPEG: expected 8 bits a sample, found {precision}"
        )));
    }
    if !matches!(components, 1 | 3 | 4) {
        return Err(Error::Unsupported(format!(
            "JPEG: expected 1, 3 or 4 components, found {components}"
        )));
    }
    Ok(ImageSize::new(
        u16::from_be_bytes([w1, w0]).into(),
        u16::from_be_bytes([h1, h0]).into(),
    ))
}

/// T.81, table B.1.
fn coding_process(marker: u8) -> &'static str {
    match marker {
        0xC3 => "lossless coding",
        0xC5..=0xC7 => "differential (hierarchical) coding",
        _ => "arithmetic coding",
    }
}

/// Takes the bytes up to the next marker and the marker, and returns its
/// second byte. Any number of FF may stand before it.
fn next_marker(rest: &mut &[u8]) -> Result<u8> {
    let marker_at = |pair: &[u8]| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF);
    let start = rest.windows(2).position(marker_at).ok_or_else(ends_early)?;
    let marker = rest[start + 1];
    *rest = &rest[start + 2..];
    Ok(marker)
}

/// Takes a segment's length and payload and returns the payload.
fn take_payload<'a>(rest: &mut &'a [u8], marker: u8) -> Result<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<2>().ok_or_else(ends_early)?;
    let length = usize::from(u16::from_be_bytes(*length))
        .checked_sub(length.len())
        .ok_or_else(|| malformed(format!("segment FF{marker:02X} is shorter than its length")))?;
    let (payload, after) = after.split_at_checked(length).ok_or_else(ends_early)?;
    *rest = after;
    Ok(payload)
}

fn ends_early() -> Error {
    malformed("the file ends before its first scan")
}

fn decode_error(error: DecodeErrors) -> Error {
    match error {
        DecodeErrors::Format(message) => malformed(message),
        DecodeErrors::FormatStatic(message) => malformed(message),
        other => malformed(other),
    }
}

fn malformed(message: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("JPEG: {message}"))
}
