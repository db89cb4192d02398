//! JPEG: sequential and progressive, in any layout of components and scans.
//!
//! The decoder stands here because none that is published both reads every
//! layout that libjpeg reads and tells when pixels are missing: `zune-jpeg`
//! 0.5.15 takes scans of one component and coarser first components for
//! others, and like `jpeg-decoder` 0.3.2 it makes up what a cut scan lacks.
//! Pixels come out as libjpeg-turbo gives them by default, to the bit: its
//! accurate integer transform, its smooth doubling, its colour tables; and so do
//! images at half, a quarter and an eighth of their size, made from the low
//! frequencies of each block.
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

/// The part of its width and height that an image is decoded at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Whole,
    Half,
    Quarter,
    Eighth,
}

impl Scale {
    /// The smallest at which an image is not below `least` on either side.
    pub(crate) fn at_least(least: ImageSize, image: ImageSize) -> Self {
        let is_enough = |scale: &Self| {
            let times = |side: u32| u64::from(side) * u64::from(scale.one_in());
            times(least.width) <= image.width.into() && times(least.height) <= image.height.into()
        };
        let smaller = [Self::Eighth, Self::Quarter, Self::Half];
        smaller.into_iter().find(is_enough).unwrap_or(Self::Whole)
    }

    /// The pixels of the whole, across and down, that one pixel stands for.
    pub(crate) fn one_in(self) -> u32 {
        match self {
            Self::Whole => 1,
            Self::Half => 2,
            Self::Quarter => 4,
            Self::Eighth => 8,
        }
    }

    /// The pixels of a block, across and down.
    fn block_side(self) -> usize {
        8 / self.one_in() as usize
    }

    /// The size of an image at this scale. Its last column and row may stand for pixels
    /// that the image doesn't have.
    pub(crate) fn of_size(self, image: ImageSize) -> ImageSize {
        let side = |side: u32| side.div_ceil(self.one_in());
        ImageSize::new(side(image.width), side(image.height))
    }
}

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
    pub(crate) fn decode_bytes(&self, scale: Scale) -> u64 {
        let frame = &self.frame;
        let blocks = |of_block: &dyn Fn(&Component) -> usize| {
            let components = frame.components.iter();
            components
                .map(|known| (known.blocks() * of_block(known)) as u64)
                .sum::<u64>()
        };
        let samples = blocks(&|known| frame.sampling(known, scale).side.pow(2));
        let pixels = frame.scaled_size(scale).pixels() * 3;
        let coefficients = match frame.progressive {
            true => blocks(&|_| size_of::<[i16; 64]>()),
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

/// Decodes the stored pixels at a scale, not yet turned upright, to packed RGB.
///
/// CMYK and YCCK are taken as inverted, as Adobe writes them and PIL reads
/// them.
pub(crate) fn decode(header: JpegHeader<'_>, scale: Scale) -> Result<Vec<u8>> {
    let JpegHeader {
        mut segments,
        frame,
    } = header;
    let mut planes = Planes::new(&frame, scale);
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
    Ok(pixels::rgb(&frame, scale, &planes.into_samples(), color))
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
