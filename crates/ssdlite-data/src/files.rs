//! Files and folders, guarded.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ssdlite_files::{NewFolder, is_clutter};

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

/// Lets `write` fill a folder beside `root`, then gives it its name.
///
/// # Errors
/// [`Error::InvalidRequest`] if there is something in it already, [`Error::Io`].
pub(crate) fn write_folder_aside(
    root: &Path,
    write: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    if root.exists() {
        let is_empty = |mut entries: fs::ReadDir| entries.next().is_none();
        if !fs::read_dir(root).is_ok_and(is_empty) {
            return Err(Error::InvalidRequest(format!(
                "{}: expected a new or empty folder to write to",
                root.display()
            )));
        }
        fs::remove_dir(root).map_err(|source| Error::io(root, source))?;
    }
    if let Some(parent) = root.parent() {
        make_folder(parent)?;
    }
    let folder = NewFolder::create(root).map_err(|source| Error::io(root, source))?;
    write(folder.path())?;
    folder.commit().map_err(|source| Error::io(root, source))
}

/// Writes a file of a folder that has no name yet. What can be made again need not
/// reach the disk first, which would take longer than the making.
pub(crate) fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|source| Error::io(path, source))
}

/// Refuses to go on once `stop` is set.
pub(crate) fn expect_going_on(stop: &AtomicBool) -> Result<()> {
    if stop.load(Ordering::Relaxed) {
        Err(Error::Stopped)
    } else {
        Ok(())
    }
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
