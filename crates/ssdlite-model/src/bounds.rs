//! What is asked of a file before anything of it is read.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// The length in bytes of a file that is no folder, pipe or device, as these
/// may never end.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`] for something other than a file,
/// [`Error::OverLimit`] for more than `most` bytes. The messages don't name the
/// file.
pub(crate) fn file_len(path: &Path, most: u64) -> Result<u64> {
    let metadata = fs::metadata(path).map_err(|source| Error::io(path, source))?;
    if !metadata.is_file() {
        return Err(Error::Malformed(
            "expected a file, found a folder, pipe or device".into(),
        ));
    }
    if metadata.len() > most {
        let found = metadata.len();
        return Err(Error::OverLimit(format!(
            "expected at most {most} bytes, found {found}"
        )));
    }
    Ok(metadata.len())
}
