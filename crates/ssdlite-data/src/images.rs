//! Image files of a data set, before anything is made of them.

use std::fs;
use std::path::Path;

use ssdlite_image::decode::header_of_file;
use ssdlite_image::{Header, Limits, NamedFormat, format_from_name};

/// The endings of the images that are read, for a message.
pub(crate) const SHOWN_ENDINGS: &str = ".jpg, .jpeg, .png, .webp, .bmp";

/// A name without the ending of an image, if it has one.
pub(crate) fn without_image_ending(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if format_from_name(Path::new(name)).is_some() => stem,
        _ => name,
    }
}

/// Where a file stands among the images of one id: the common formats and endings
/// come first, those that are not read last.
pub(crate) fn preference(file: &str) -> (usize, usize) {
    let path = Path::new(file);
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    let last = usize::MAX;
    match format_from_name(path) {
        Some(NamedFormat::Read(format)) => {
            let mut endings = format.endings().iter();
            let position = endings.position(|known| known.eq_ignore_ascii_case(ending));
            (format as usize, position.unwrap_or(last))
        }
        Some(NamedFormat::Unread(_)) | None => (last, last),
    }
}

/// The header of an image that may be decoded; the error is a message for the
/// user.
pub(crate) fn header_within_limits(path: &Path) -> std::result::Result<Header, String> {
    // A pipe would block, a device might never end.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err("expected a plain file".into());
    }
    let limits = Limits::default();
    let header = header_of_file(path, &limits).map_err(|error| match format_from_name(path) {
        Some(NamedFormat::Unread(format)) => format!("is {format}"),
        Some(NamedFormat::Read(_)) | None => image_fault(&error, path),
    })?;
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
