//! JPEG: sequential and progressive, in any layout of components and scans.
//!
//! The decoder stands here because none that is published both reads every
//! layout that libjpeg reads and tells when pixels are missing: `zune-jpeg`
//! 0.5.15 takes scans of one component and coarser first components for
//! others, and like `jpeg-decoder` 0.3.2 it makes up what a cut scan lacks.
//! Pixels come out as libjpeg-turbo gives them by default, to the bit: its
//! accurate integer transform, its smooth doubling, its colour tables.
//!
//! What libjpeg passes over is passed over: bytes between segments, fill
//! bytes, a missing end-of-image marker, what follows the last pixel. What it
//! fills in with grey is an error.
//!
//! | module | step |
//! |---|---|
//! | [`segments`] | markers, tables, headers |
//! | [`huffman`] | bits and codes |
//! | [`scan`] | the blocks of a scan |
//! | [`planes`] | scans to samples |
//! | [`transform`] | coefficients to samples |
//! | [`pixels`] | samples to RGB |
//!
//! Sources: ITU-T T.81; T.872 for what readers do in practice; Exif 2.32,
//! 4.7.2 (the APP1 segment).

mod huffman;
mod pixels;
mod planes;
mod scan;
mod segments;
mod transform;

use image::metadata::Orientation;
use ssdlite_core::ImageSize;

use crate::error::{Error, Result};
use planes::Planes;
use segments::{Component, Frame, Segments, Step};

const EXIF_PREFIX: &[u8] = b"Exif\0\0";

/// A JPEG file, read up to its first scan.
pub(crate) struct JpegHeader<'a> {
    segments: Segments<'a>,
    frame: Frame,
}

impl JpegHeader<'_> {
    /// The size of the stored pixels.
    pub(crate) fn stored(&self) -> ImageSize {
        self.frame.size
    }

    /// How to turn the stored pixels upright.
    pub(crate) fn orientation(&self) -> Orientation {
        (self.segments.orientation).unwrap_or(Orientation::NoTransforms)
    }

    /// The most bytes that are held at once while the image is decoded: samples
    /// and what they are made of or made into.
    pub(crate) fn decode_bytes(&self) -> u64 {
        let blocks = self.frame.components.iter().map(Component::blocks);
        let samples = blocks.sum::<usize>() as u64 * 64;
        let pixels = self.frame.size.pixels() * 3;
        let coefficients = match self.frame.progressive {
            true => samples * size_of::<i16>() as u64,
            false => 0,
        };
        samples + coefficients.max(pixels)
    }
}

/// Reads the segments up to the first scan.
pub(crate) fn read_header(bytes: &[u8]) -> Result<JpegHeader<'_>> {
    let mut segments = Segments::new(bytes);
    match segments.next_step()? {
        Step::Scan => {}
        Step::EndOfImage => return Err(malformed("the image ends before its first scan")),
        Step::EndOfFile => return Err(malformed("the file ends before its first scan")),
    }
    let frame = segments.frame.take();
    Ok(JpegHeader {
        frame: frame.ok_or_else(|| malformed("no frame header before the first scan"))?,
        segments,
    })
}

/// Decodes the stored pixels, not yet turned upright, to packed RGB.
///
/// CMYK and YCCK are taken as inverted, as Adobe writes them and PIL reads
/// them.
pub(crate) fn decode(header: JpegHeader<'_>) -> Result<Vec<u8>> {
    let JpegHeader {
        mut segments,
        frame,
    } = header;
    let mut planes = Planes::new(&frame);
    loop {
        planes.read_scan(&frame, &mut segments)?;
        if planes.are_complete() {
            break;
        }
        match segments.next_step()? {
            Step::Scan => {}
            Step::EndOfImage | Step::EndOfFile => return Err(planes.lack_of_scans()),
        }
        if segments.frame.is_some() {
            return Err(malformed("expected one frame header, found several"));
        }
    }
    let color = segments.color(&frame);
    Ok(pixels::rgb(&frame, &planes.into_samples(), color))
}

/// The orientation in an Exif block, with or without the prefix that APP1 and
/// some WebP files put before it.
pub(crate) fn orientation_from_exif(block: &[u8]) -> Option<Orientation> {
    let tiff = block.strip_prefix(EXIF_PREFIX).unwrap_or(block);
    Orientation::from_exif_chunk(tiff)
}

fn malformed(message: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("JPEG: {message}"))
}

fn unsupported(expected: &str, found: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!(
        "JPEG: expected {expected}, found {found}; save it anew as ordinary JPEG"
    ))
}
