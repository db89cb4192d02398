//! Reading and writing of whole files, guarded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Reads a plain file of at most `max_bytes`.
///
/// # Errors
/// [`Error::Io`], [`Error::Unsupported`] for a pipe, device or folder, which
/// could block or never end, [`Error::OverLimit`]; each names the file.
pub(crate) fn read_bounded(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let metadata = fs::metadata(path).map_err(|source| Error::io(path, source))?;
    if !metadata.is_file() {
        return Err(Error::Unsupported(format!(
            "{}: expected a plain file",
            path.display()
        )));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(max_bytes + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::io(path, source))?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::OverLimit(format!(
            "{}: expected at most {max_bytes} bytes, found {}",
            path.display(),
            metadata.len().max(bytes.len() as u64)
        )));
    }
    Ok(bytes)
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

/// Writes a file under a temporary name beside it, then renames it, so that
/// nobody ever sees half a file.
///
/// # Errors
/// [`Error::Io`]; the temporary file is removed.
pub(crate) fn write_renamed(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let aside = path.with_file_name(name);
    let written = write_new(&aside, bytes).and_then(|()| fs::rename(&aside, path));
    written.map_err(|source| {
        // Best effort: the error that matters is the one already found.
        let _ = fs::remove_file(&aside);
        Error::io(path, source)
    })
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
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
        write_renamed(&path, b"12345").unwrap();
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

    #[test]
    fn writing_leaves_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_renamed(&path, b"old").unwrap();
        write_renamed(&path, b"new").unwrap();
        assert_eq!(sorted_names(folder.path()).unwrap(), ["a"]);
        assert_eq!(read_bounded(&path, 9).unwrap(), b"new");
        let taken = folder.path().join("folder");
        make_folder(&taken).unwrap();
        assert!(write_renamed(&taken, b"x").is_err());
        assert_eq!(sorted_names(folder.path()).unwrap(), ["a", "folder"]);
    }
}
