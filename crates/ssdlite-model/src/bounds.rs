//! What is asked of a file before anything of it is read.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Opens a plain file of bounded length; returns its length in bytes too.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`] for a folder, pipe or device,
/// [`Error::OverLimit`] for more than `most` bytes. The messages of the last two
/// don't name the file.
pub(crate) fn open(path: &Path, most: u64) -> Result<(File, u64)> {
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::Unsupported => Error::Malformed(error.to_string()),
        _ => Error::io(path, error),
    };
    let file = ssdlite_files::open_plain(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    if len > most {
        return Err(Error::OverLimit(format!(
            "expected at most {most} bytes, found {len}"
        )));
    }
    Ok((file, len))
}
