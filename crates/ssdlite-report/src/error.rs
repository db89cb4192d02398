//! The error of this crate, sorted by whose fault it is.

use std::path::{Path, PathBuf};

use ssdlite_files::words_of;

/// Why a report can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder holds a page that no report wrote.
    #[error(
        "{}: expected the page of a report or none, found another one; choose another folder",
        .0.display()
    )]
    ForeignPage(PathBuf),
    /// What is to be shown does not fit together.
    #[error("{0}")]
    Malformed(String),
    /// The evaluation refuses what is asked of it.
    #[error(transparent)]
    Evaluation(#[from] ssdlite_eval::Error),
    /// An image can't be read or written.
    #[error(transparent)]
    Image(#[from] ssdlite_image::Error),
    /// A file or folder can't be read or written.
    #[error("{}: {}", path.display(), words_of(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An operating system's error about `path`.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
