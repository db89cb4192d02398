//! Image files of a data set, before anything is made of them.

use std::fs;
use std::path::Path;

use ssdlite_image::decode::header_of_file;
use ssdlite_image::{DecodeMemory, Header, Limits};

/// Endings of image files in the order in which they are preferred.
pub(crate) const IMAGE_ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// The stem of a file that is not hidden and has one of these endings, in any
/// case, and which ending it is.
pub(crate) fn stem_with_ending<'a>(name: &'a str, endings: &[&str]) -> Option<(&'a str, usize)> {
    if name.starts_with('.') {
        return None;
    }
    let (stem, ending) = name.rsplit_once('.')?;
    let index = endings
        .iter()
        .position(|known| known.eq_ignore_ascii_case(ending))?;
    Some((stem, index))
}

/// Decodes an image, in memory that other threads share, and forgets it; the
/// error is a message for the user.
pub(crate) fn decode_fault(path: &Path, memory: &DecodeMemory) -> Option<String> {
    memory
        .decode_file(path, &Limits::default())
        .err()
        .map(|error| image_fault(&error, path))
}

/// The header of an image that may be decoded; the error is a message for the
/// user.
pub(crate) fn header_within_limits(path: &Path) -> std::result::Result<Header, String> {
    // A pipe would block, a device might never end.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err("expected a plain file".into());
    }
    let limits = Limits::default();
    let header = header_of_file(path, &limits).map_err(|error| image_fault(&error, path))?;
    limits
        .check_size(header.stored)
        .map_err(|error| error.to_string())?;
    Ok(header)
}

/// An image error without the path, which a finding has already.
pub(crate) fn image_fault(error: &ssdlite_image::Error, path: &Path) -> String {
    let message = match error {
        ssdlite_image::Error::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    };
    let prefix = format!("{}: ", path.display());
    message.strip_prefix(&prefix).unwrap_or(&message).to_owned()
}
