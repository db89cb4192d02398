//! Files and folders, guarded.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ssdlite_files::is_clutter;

use crate::error::{Error, Result};

/// Reads a plain file of at most `max_bytes`.
///
/// # Errors
/// [`Error::Io`], [`Error::Unsupported`] for a pipe, device or folder, which
/// could block or never end, [`Error::OverLimit`]; each names the file.
pub(crate) fn read_bounded(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    ssdlite_files::read_bounded(path, max_bytes).map_err(|source| {
        let told = || format!("{}: {source}", path.display());
        match source.kind() {
            io::ErrorKind::Unsupported => Error::Unsupported(told()),
            io::ErrorKind::FileTooLarge => Error::OverLimit(told()),
            _ => Error::io(path, source),
        }
    })
}

/// The first bytes of a plain file, as many as tell what it holds; none of what
/// can't be read.
pub(crate) fn read_start(path: &Path) -> Vec<u8> {
    const BYTES: u64 = 64 << 10;
    let mut start = Vec::new();
    let read =
        ssdlite_files::open_plain(path).and_then(|file| file.take(BYTES).read_to_end(&mut start));
    match read {
        Ok(_) => start,
        Err(_) => Vec::new(),
    }
}

/// Whether a file that exists already may be replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// It stays, and the writer gives an error before it changes anything.
    #[default]
    Refuse,
    /// It is replaced.
    Allow,
}

/// The names in a folder with the paths that they stand for, sorted, clutter
/// left out; a name that is not UTF-8 comes with replacement characters.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn entries_of(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut entries = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| (entry.file_name(), entry.path())))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(|source| Error::io(folder, source))?;
    entries.retain(|(name, _)| !is_clutter(name));
    entries.sort_unstable();
    let named = |(name, path): (OsString, _)| (name.to_string_lossy().into_owned(), path);
    Ok(entries.into_iter().map(named).collect())
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| Error::io(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_bounded_and_wants_a_plain_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_bounded(&path, 4), Err(Error::OverLimit(_))));
        assert!(matches!(
            read_bounded(folder.path(), 4),
            Err(Error::Unsupported(_))
        ));
        assert!(matches!(
            read_bounded(&folder.path().join("b"), 4),
            Err(Error::Io { .. })
        ));
    }
}
