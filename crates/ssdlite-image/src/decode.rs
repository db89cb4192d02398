//! Bytes to upright RGB pixels.
//!
//! JPEG (baseline, progressive; grey, colour, CMYK), PNG, WebP and BMP, told
//! apart by their content and never by a file's name. Colours come out as
//! PIL's `convert("RGB")` gives them: alpha is dropped, not blended, a palette
//! is looked up, grey is repeated, 16 bits are rounded to 8. Colour profiles
//! are ignored. The Exif orientation is applied. Of an animation the first
//! image is read.
//!
//! Limits are checked against the header before any pixel is allocated.
//! A file that ends before its pixels do is an error, also where other readers
//! fill in grey. What follows the pixels, such as an end marker, may be missing
//! or be something else.
//! PNG, WebP and BMP are decoded by other crates; a panic in one is caught and
//! is an error, unless the program is built to abort on panics.

use std::cell::Cell;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::codecs::{bmp::BmpDecoder, png::PngDecoder, webp::WebPDecoder};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError};
use ssdlite_core::{ImageSize, PixelBox};
use ssdlite_files::open_plain;

use crate::error::{Error, Result};
use crate::format::{Format, NamedFormat, format_from_content, format_from_name};
use crate::jpeg::Scale;
pub use crate::limits::Limits;
use crate::reduced::{Decoded, Reduction};
use crate::rgb::RgbImage;
use crate::{jpeg, png};

/// The most bytes that a PNG file's profile, text and Exif chunks may unpack
/// to: a compressed chunk can grow a thousandfold.
const PNG_METADATA_BYTES: u64 = 16 << 20;

/// What an image file says about itself before its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The file's format.
    pub format: Format,
    /// The size as stored in the file, before the Exif orientation is applied.
    pub stored: ImageSize,
    /// The size as shown, which is the size of the decoded image. Width and
    /// height are swapped where the Exif orientation turns by 90 degrees.
    pub displayed: ImageSize,
    orientation: Orientation,
}

impl Header {
    /// Whether the image is shown turned or mirrored.
    pub fn is_turned(&self) -> bool {
        self.orientation != Orientation::NoTransforms
    }

    /// Where the image as shown begins in one that has more columns on the right or rows
    /// below as stored.
    fn before_whole(&self, stored: ImageSize) -> (u32, u32) {
        let ImageSize { width, height } = self.stored;
        let whole = PixelBox::new(0.0, 0.0, width as f32, height as f32);
        let padded = Self { stored, ..*self };
        let PixelBox { x1, y1, .. } = padded.displayed_box(whole);
        (x1 as u32, y1 as u32)
    }

    /// A box given in pixels of the image as stored, in pixels as shown.
    pub fn displayed_box(&self, stored: PixelBox) -> PixelBox {
        let (width, height) = (self.stored.width as f32, self.stored.height as f32);
        let PixelBox { x1, y1, x2, y2, .. } = stored;
        let (left, right) = (width - x2, width - x1);
        let (top, bottom) = (height - y2, height - y1);
        match self.orientation {
            Orientation::NoTransforms => stored,
            Orientation::FlipHorizontal => PixelBox::new(left, y1, right, y2),
            Orientation::FlipVertical => PixelBox::new(x1, top, x2, bottom),
            Orientation::Rotate180 => PixelBox::new(left, top, right, bottom),
            Orientation::Rotate90 => PixelBox::new(top, x1, bottom, x2),
            Orientation::Rotate270 => PixelBox::new(y1, left, y2, right),
            Orientation::Rotate90FlipH => PixelBox::new(y1, x1, y2, x2),
            Orientation::Rotate270FlipH => PixelBox::new(top, left, bottom, right),
        }
    }
}

/// Reads the header of an image without decoding it.
///
/// # Errors
/// [`Error::Malformed`] or [`Error::Unsupported`]. No limit is applied.
pub fn header(bytes: &[u8]) -> Result<Header> {
    contained(|| Ok(Source::open(bytes)?.header()))
}

/// The bytes from a file's start that usually hold all of a JPEG's header.
const HEADER_BYTES: u64 = 1 << 16;

/// [`header`] of the file at `path`. Of most JPEG files only the start is
/// read.
///
/// # Errors
/// Those of [`header`], [`Error::Io`], and [`Error::OverLimit`] for more than
/// `limits.max_bytes`; the message names the file.
pub fn header_of_file(path: &Path, limits: &Limits) -> Result<Header> {
    let io_error = |source| Error::io(path, source);
    let file = open_plain(path).map_err(io_error)?;
    limits
        .check_bytes(file.metadata().map_err(io_error)?.len())
        .map_err(|error| error.in_file(path))?;
    let mut start = Vec::new();
    file.take(HEADER_BYTES)
        .read_to_end(&mut start)
        .map_err(io_error)?;
    if let (Ok(Format::Jpeg), Ok(header)) = (format_from_content(&start), header(&start)) {
        return Ok(header);
    }
    let bytes = read_file(path, limits)?;
    header(&bytes).map_err(|error| error.in_file(path))
}

/// Decodes an image to upright RGB pixels.
///
/// # Errors
/// [`Error::Malformed`] for damaged files, files that lack pixels, and files
/// that are no image, [`Error::Unsupported`] for formats and variants not listed at the
/// head of this module, [`Error::OverLimit`] for images larger than `limits`.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    Ok(decode_at_least(bytes, limits, WHOLE)?.into_image())
}

/// What no image is larger than: asked for at least so large, each is decoded whole.
pub const WHOLE: ImageSize = ImageSize::square(u32::MAX);

/// [`decode`] no larger than needed: a JPEG at an eighth, a quarter or half of its width
/// and height, the smallest that is not below `least` on either side; other images, and
/// those that are smaller, whole. `limits` hold for the whole image.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_at_least(bytes: &[u8], limits: &Limits, least: ImageSize) -> Result<Decoded> {
    decode_in_room(bytes, limits, least, |_| ())
}

/// [`decode_at_least`]; what `take` makes of the bytes of memory that it needs is held
/// meanwhile.
pub(crate) fn decode_in_room<R>(
    bytes: &[u8],
    limits: &Limits,
    least: ImageSize,
    take: impl FnOnce(u64) -> R,
) -> Result<Decoded> {
    limits.check_bytes(bytes.len() as u64)?;
    contained(|| {
        let source = Source::open(bytes)?;
        limits.check_size(source.header().stored)?;
        let scale = source.scale(least);
        let _room = take(source.decode_bytes(scale));
        source.decode(scale)
    })
}

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a decoder whose panic will become an error: a
/// program's panic hook has nothing to say of it then.
pub fn is_contained() -> bool {
    IS_CONTAINED.get()
}

/// Runs a decoder; a panic in it becomes an error. What it worked on is gone
/// then, so no half-done state is left.
fn contained<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    IS_CONTAINED.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    IS_CONTAINED.set(false);
    result.unwrap_or_else(|_| {
        Err(Error::Malformed(
            "expected a sound image, found one that its decoder gives up on".into(),
        ))
    })
}

/// [`decode`] for the file at `path`.
///
/// # Errors
/// Those of [`decode`], and [`Error::Io`]; the message names the file.
pub fn decode_file(path: &Path, limits: &Limits) -> Result<RgbImage> {
    Ok(decode_file_at_least(path, limits, WHOLE)?.into_image())
}

/// [`decode_at_least`] for the file at `path`.
///
/// # Errors
/// Those of [`decode_file`].
pub fn decode_file_at_least(path: &Path, limits: &Limits, least: ImageSize) -> Result<Decoded> {
    let bytes = read_image_file(path, limits)?;
    decode_at_least(&bytes, limits, least).map_err(|error| error.in_file(path))
}

/// [`read_file`], unless the file's name tells of a format that is not read and its
/// content of none that is.
pub(crate) fn read_image_file(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let bytes = read_file(path, limits)?;
    match (format_from_content(&bytes), format_from_name(path)) {
        // Not all formats can be told by their content.
        (Err(Error::Malformed(_)), Some(NamedFormat::Unread(format))) => Err(Error::Unsupported(
            format!("expected a JPEG, PNG, WebP or BMP image, found {format}"),
        )
        .in_file(path)),
        _ => Ok(bytes),
    }
}

/// Reads at most `max_bytes`, whatever the file's size is said to be.
fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let io_error = |source| Error::io(path, source);
    let file = open_plain(path).map_err(io_error)?;
    let stated = file.metadata().map_err(io_error)?.len();
    let check = |bytes| {
        limits
            .check_bytes(bytes)
            .map_err(|error| error.in_file(path))
    };
    check(stated)?;
    let mut bytes = Vec::with_capacity(stated as usize);
    file.take(limits.max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io_error)?;
    check(bytes.len() as u64)?;
    Ok(bytes)
}

/// An image file with its header read.
enum Source<'a> {
    Jpeg(Box<jpeg::JpegHeader<'a>>),
    Other {
        format: Format,
        file_bytes: usize,
        decoder: Box<dyn ImageDecoder + 'a>,
        orientation: Orientation,
    },
}

impl<'a> Source<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self> {
        let format = format_from_content(bytes)?;
        let from_image = |error| image_error(format, error, None, bytes.len());
        let mut decoder: Box<dyn ImageDecoder + 'a> = match format {
            Format::Jpeg => return Ok(Self::Jpeg(Box::new(jpeg::read_header(bytes)?))),
            Format::Png => {
                let mut metadata = image::Limits::no_limits();
                metadata.max_alloc = Some(PNG_METADATA_BYTES);
                let reader = Cursor::new(png::completed(bytes));
                Box::new(PngDecoder::with_limits(reader, metadata).map_err(from_image)?)
            }
            Format::WebP => Box::new(WebPDecoder::new(Cursor::new(bytes)).map_err(from_image)?),
            Format::Bmp => {
                check_bmp(bytes)?;
                Box::new(BmpDecoder::new(Cursor::new(bytes)).map_err(from_image)?)
            }
        };
        // Without it the image is upright.
        let exif = decoder.exif_metadata().ok().flatten();
        Ok(Self::Other {
            format,
            file_bytes: bytes.len(),
            decoder,
            orientation: exif
                .and_then(|block| jpeg::orientation_from_exif(&block))
                .unwrap_or(Orientation::NoTransforms),
        })
    }

    /// The scale at which it is decoded if it is to be not below `least` as shown.
    fn scale(&self, least: ImageSize) -> Scale {
        match self {
            Self::Jpeg(_) => Scale::at_least(least, self.header().displayed),
            Self::Other { .. } => Scale::Whole,
        }
    }

    /// About the most bytes that are held at once while it is decoded, those
    /// of the file not counted.
    fn decode_bytes(&self, scale: Scale) -> u64 {
        let header = self.header();
        let pixels = scale.of_size(header.stored).pixels() * 3;
        let decoding = match self {
            Self::Jpeg(header) => header.decode_bytes(scale),
            Self::Other { decoder, .. } => decoder.total_bytes().saturating_add(pixels),
        };
        let turning = if header.is_turned() { 2 * pixels } else { 0 };
        decoding.max(turning)
    }

    fn header(&self) -> Header {
        let (format, stored, orientation) = match self {
            Self::Jpeg(header) => (Format::Jpeg, header.stored(), header.orientation()),
            Self::Other {
                format,
                decoder,
                orientation,
                ..
            } => {
                let (width, height) = decoder.dimensions();
                (*format, ImageSize::new(width, height), *orientation)
            }
        };
        let displayed = match orientation {
            Orientation::NoTransforms
            | Orientation::FlipHorizontal
            | Orientation::FlipVertical
            | Orientation::Rotate180 => stored,
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => ImageSize::new(stored.height, stored.width),
        };
        Header {
            format,
            stored,
            displayed,
            orientation,
        }
    }

    fn decode(self, scale: Scale) -> Result<Decoded> {
        let header = self.header();
        let size = scale.of_size(header.stored);
        let pixels = match self {
            Self::Jpeg(jpeg) => jpeg::decode(*jpeg, scale)?,
            Self::Other {
                format,
                file_bytes,
                decoder,
                ..
            } => rgb_from_decoder(decoder, size)
                .map_err(|error| image_error(format, error, Some(size), file_bytes))?,
        };
        let one_in = scale.one_in();
        Ok(Decoded {
            image: upright(RgbImage::new(size, pixels)?, header.orientation)?,
            reduction: Reduction {
                whole: header.displayed,
                one_in,
                before: header
                    .before_whole(ImageSize::new(size.width * one_in, size.height * one_in)),
            },
        })
    }
}

fn rgb_from_decoder(
    decoder: Box<dyn ImageDecoder + '_>,
    size: ImageSize,
) -> std::result::Result<Vec<u8>, ImageError> {
    if decoder.color_type() == ColorType::Rgb8 {
        let mut pixels = vec![0; size.pixels() as usize * 3];
        decoder.read_image_boxed(&mut pixels)?;
        return Ok(pixels);
    }
    Ok(DynamicImage::from_decoder(decoder)?.into_rgb8().into_raw())
}

fn upright(image: RgbImage, orientation: Orientation) -> Result<RgbImage> {
    if orientation == Orientation::NoTransforms {
        return Ok(image);
    }
    let mut turned = DynamicImage::ImageRgb8(image.into_buffer());
    turned.apply_orientation(orientation);
    let size = ImageSize::new(turned.width(), turned.height());
    RgbImage::new(size, turned.into_rgb8().into_raw())
}

/// The decoders don't tell damaged files from those that end too early.
fn image_error(
    format: Format,
    error: ImageError,
    size: Option<ImageSize>,
    file_bytes: usize,
) -> Error {
    match error {
        ImageError::Unsupported(_) => Error::Unsupported(format!(
            "{format}: expected a common kind of {format} image, found one that is not read; \
             save it anew as PNG or JPEG"
        )),
        ImageError::Limits(_) => Error::OverLimit(format!(
            "{format}: expected an image that is decoded within the limits of memory, found \
             one that needs more"
        )),
        _ => {
            let expected = match size {
                Some(size) => format!("the pixels of {size}"),
                None => "a header".into(),
            };
            Error::Malformed(format!(
                "{format}: expected {expected}, found data that is damaged or ends too early in a \
                 file of {file_bytes} bytes"
            ))
        }
    }
}

/// The decoder takes the start of the pixels as it is stated, be it inside of
/// the header.
fn check_bmp(bytes: &[u8]) -> Result<()> {
    /// Of the file's header, before the image's, which begins with its length.
    const FILE_HEADER: u32 = 14;
    let number = |at: usize| {
        let number = bytes.get(at..).and_then(|rest| rest.first_chunk());
        number.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let (start, headers) = (number(10), number(14).saturating_add(FILE_HEADER));
    if start < headers {
        return Err(Error::Malformed(format!(
            "BMP: expected pixels behind the headers' {headers} bytes, found them stated to start \
             at byte {start}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoders_panic_is_an_error_that_a_panic_hook_can_pass_over() {
        let error = contained::<()>(|| {
            assert!(is_contained());
            std::panic::resume_unwind(Box::new("out of bounds"))
        });
        assert!(matches!(error, Err(Error::Malformed(_))));
        assert!(!is_contained());
    }

    #[test]
    fn boxes_turn_with_their_image() {
        let stored = ImageSize::new(5, 3);
        let (x, y) = (3, 1);
        let mut image = RgbImage::filled(stored, [0; 3]);
        let offset = (y * stored.width + x) as usize * 3;
        image.pixels_mut()[offset] = 255;
        let marked = PixelBox::new(x as f32, y as f32, x as f32 + 1.0, y as f32 + 1.0);
        for orientation in (1..=8).filter_map(Orientation::from_exif) {
            let shown = upright(image.clone(), orientation).unwrap();
            let header = Header {
                format: Format::Jpeg,
                stored,
                displayed: shown.size(),
                orientation,
            };
            let turned = header.displayed_box(marked);
            assert_eq!((turned.width(), turned.height()), (1.0, 1.0));
            let pixel = shown.pixel(turned.x1 as u32, turned.y1 as u32);
            assert_eq!(pixel, Some([255, 0, 0]), "{orientation:?}");
        }
    }
}
