//! Image formats: those that are read and those that are only known by name.
//!
//! A file is decoded by what its content says it is ([`format_from_content`]).
//! What its name says ([`format_from_name`]) decides which files of a folder
//! are meant to be images, so that those that can't be read are named and not
//! passed over.
//!
//! Sources: the magic numbers that each format's specification gives; for
//! ISO base media files the brand, ISO/IEC 14496-12, 4.3.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};

/// An image format that can be decoded, in the order in which files of one
/// stem are preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Joint Photographic Experts Group, ITU-T T.81.
    Jpeg,
    /// Portable Network Graphics.
    Png,
    /// WebP, lossy or lossless.
    WebP,
    /// Windows bitmap.
    Bmp,
}

impl Format {
    /// Every format that can be decoded.
    pub const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::WebP, Self::Bmp];

    /// The endings of its files' names in lower case, the common one first.
    pub const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif", "jfi", "jif", "pjpeg", "pjp"],
            Self::Png => &["png", "apng"],
            Self::WebP => &["webp"],
            Self::Bmp => &["bmp", "dib"],
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
        })
    }
}

/// An image format that is known and can't be decoded. Shown as a user is told
/// of it: `a TIFF image, which is not read; convert it to JPEG or PNG`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnreadFormat {
    /// What the format is called.
    pub name: &'static str,
}

impl fmt::Display for UnreadFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = match self.name {
            "AVIF" | "ICO" | "OpenEXR" | "SVG" => "an",
            _ => "a",
        };
        let name = self.name;
        write!(
            formatter,
            "{article} {name} image, which is not read; convert it to JPEG or PNG"
        )
    }
}

/// What the ending of a file's name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamedFormat {
    /// An image that can be decoded, should its content be what its name says.
    Read(Format),
    /// An image that can't.
    Unread(UnreadFormat),
}

/// Endings of the image formats that are known and not read.
const UNREAD_ENDINGS: [(&str, &[&str]); 23] = [
    ("TIFF", &["tif", "tiff"]),
    ("GIF", &["gif"]),
    ("PPM", &["ppm"]),
    ("PGM", &["pgm"]),
    ("PBM", &["pbm"]),
    ("PNM", &["pnm"]),
    ("PAM", &["pam"]),
    ("TGA", &["tga"]),
    (
        "JPEG 2000",
        &["jp2", "j2k", "j2c", "jpc", "jpf", "jpx", "jpm"],
    ),
    ("JPEG XL", &["jxl"]),
    ("JPEG XR", &["jxr", "wdp", "hdp"]),
    ("JPEG-LS", &["jls"]),
    ("HEIC", &["heic", "heif", "hif"]),
    ("AVIF", &["avif"]),
    (
        "raw camera",
        &[
            "dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "srf", "sr2", "orf", "rw2", "raf",
            "pef", "srw", "3fr", "iiq",
        ],
    ),
    ("Photoshop", &["psd", "psb"]),
    ("SVG", &["svg", "svgz"]),
    ("OpenEXR", &["exr"]),
    ("Radiance HDR", &["hdr"]),
    ("QOI", &["qoi"]),
    ("ICO", &["ico"]),
    ("PCX", &["pcx"]),
    ("DICOM", &["dcm", "dicom"]),
];

/// What the ending of a file's name says of it, in any case: an image that is
/// read, one that isn't, or none. The file is not looked at.
pub fn format_from_name(path: &Path) -> Option<NamedFormat> {
    let ending = path.extension()?.to_str()?;
    let is_in = |endings: &[&str]| (endings.iter()).any(|known| known.eq_ignore_ascii_case(ending));
    let read = Format::ALL
        .into_iter()
        .find(|format| is_in(format.endings()));
    let unread = || (UNREAD_ENDINGS.into_iter()).find(|(_, endings)| is_in(endings));
    read.map(NamedFormat::Read)
        .or_else(|| unread().map(|(name, _)| NamedFormat::Unread(UnreadFormat { name })))
}

/// Tells the format by the bytes that every file of it starts with; sixteen
/// are enough.
///
/// # Errors
/// [`Error::Unsupported`] for formats that are known and not read,
/// [`Error::Malformed`] for anything else.
pub fn format_from_content(bytes: &[u8]) -> Result<Format> {
    const EXPECTED: &str = "expected a JPEG, PNG, WebP or BMP image";
    match bytes {
        [] => return Err(Error::Malformed("expected an image, found no bytes".into())),
        [0xFF, 0xD8, ..] => return Ok(Format::Jpeg),
        [b'R', b'I', b'F', b'F', _, _, _, _, kind @ ..] if kind.starts_with(b"WEBP") => {
            return Ok(Format::WebP);
        }
        _ if bytes.starts_with(b"\x89PNG\r\n\x1A\n") => return Ok(Format::Png),
        [b'B', b'M', ..] => return Ok(Format::Bmp),
        _ => {}
    }
    if let Some(name) = unread_from_content(bytes) {
        let found = UnreadFormat { name };
        return Err(Error::Unsupported(format!("{EXPECTED}, found {found}")));
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return Err(Error::Unsupported(format!("{EXPECTED}, found a video")));
    }
    let found = describe(bytes);
    Err(Error::Malformed(format!("{EXPECTED}, found {found}")))
}

/// The name of the format that is known, not read and starts so.
fn unread_from_content(bytes: &[u8]) -> Option<&'static str> {
    const STARTS: [(&[u8], &str); 15] = [
        (b"GIF8", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"MM\0+", "TIFF"),
        (b"II\xBC", "JPEG XR"),
        (b"\0\0\0\x0CjP  ", "JPEG 2000"),
        (b"\xFF\x4F\xFF\x51", "JPEG 2000"),
        (b"\0\0\0\x0CJXL ", "JPEG XL"),
        (b"\xFF\x0A", "JPEG XL"),
        (b"8BPS", "Photoshop"),
        (b"<svg", "SVG"),
        (b"v/1\x01", "OpenEXR"),
        (b"#?RADIANCE", "Radiance HDR"),
        (b"qoif", "QOI"),
    ];
    let start = (STARTS.into_iter()).find(|(start, _)| bytes.starts_with(start));
    start.map(|(_, name)| name).or_else(|| match *bytes {
        [b'P', digit, space, ..] if space.is_ascii_whitespace() => match digit {
            b'1' | b'4' => Some("PBM"),
            b'2' | b'5' => Some("PGM"),
            b'3' | b'6' => Some("PPM"),
            b'7' => Some("PAM"),
            _ => None,
        },
        [_, _, _, _, b'f', b't', b'y', b'p', ref brand @ ..] => match brand.get(..4)? {
            b"avif" | b"avis" => Some("AVIF"),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1" => Some("HEIC"),
            b"crx " => Some("raw camera"),
            _ => None,
        },
        _ => None,
    })
}

/// The start of a file that is no image, for a message.
fn describe(bytes: &[u8]) -> String {
    const SHOWN: usize = 16;
    let start = &bytes[..bytes.len().min(SHOWN)];
    match std::str::from_utf8(start) {
        Ok(text) if !text.contains('\0') => format!("text that starts with {text:?}"),
        _ => format!("a file that starts with the bytes {start:02X?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_tell_what_is_read_and_what_is_not() {
        let named = |name: &str| format_from_name(Path::new(name));
        for name in ["a.jpg", "A.JPG", "b.c.Jpe", "d.JFIF", "e/f.jpeg"] {
            assert_eq!(named(name), Some(NamedFormat::Read(Format::Jpeg)), "{name}");
        }
        assert_eq!(named("x.DIB"), Some(NamedFormat::Read(Format::Bmp)));
        for (name, says) in [
            ("x.ppm", "a PPM image"),
            ("x.TIFF", "a TIFF image"),
            ("x.jp2", "a JPEG 2000 image"),
            ("x.heic", "a HEIC image"),
            ("x.Avif", "an AVIF image"),
            ("x.svg", "an SVG image"),
            ("x.nef", "a raw camera image"),
        ] {
            let Some(NamedFormat::Unread(format)) = named(name) else {
                panic!("{name} is known");
            };
            let says = format!("{says}, which is not read; convert it to JPEG or PNG");
            assert_eq!(format.to_string(), says);
        }
        for name in ["x.xml", "x.mp4", "jpg", ".jpg", "x.", "x.jpg.txt"] {
            assert_eq!(named(name), None, "{name}");
        }
    }

    #[test]
    fn no_ending_stands_for_two_formats() {
        let read = Format::ALL.into_iter().flat_map(Format::endings);
        let unread = UNREAD_ENDINGS.iter().flat_map(|(_, endings)| *endings);
        let mut endings: Vec<_> = read.chain(unread).collect();
        let count = endings.len();
        endings.sort_unstable();
        endings.dedup();
        assert_eq!(endings.len(), count);
    }
}
