//! Files and folders, guarded.

use std::fs;
use std::io;
use std::path::Path;

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

/// Whether a file that exists already may be replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// It stays, and the writer gives an error before it changes anything.
    #[default]
    Refuse,
    /// It is replaced.
    Allow,
}

/// The names in a folder, sorted; a name that is not UTF-8 comes with
/// replacement characters.
pub(crate) fn sorted_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(|source| Error::io(folder, source))?;
    names.sort_unstable();
    Ok(names)
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
