//! The error of this crate, sorted by whose fault it is.

use std::io;
use std::path::{Path, PathBuf};

use ssdlite_files::words_of;

/// Why frames can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes break their own format: cut off, damaged, or no image.
    #[error("{0}")]
    Malformed(String),
    /// A sound input of a kind that is not handled.
    #[error("{0}")]
    Unsupported(String),
    /// Larger than this project handles.
    #[error("{0}")]
    OverLimit(String),
    /// The caller asked for something that can't be had, such as a folder
    /// without images.
    #[error("{0}")]
    InvalidRequest(String),
    /// The program that reads videos is not installed.
    #[error("{0}")]
    MissingProgram(String),
    /// A camera or a stream gives no frames.
    #[error("{0}")]
    Lost(String),
    /// A file or folder can't be read or written.
    #[error("{}: {}", path.display(), words_of(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An I/O error at `path`.
    pub(crate) fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_owned(),
            source,
        }
    }
}

impl From<ssdlite_image::Error> for Error {
    fn from(error: ssdlite_image::Error) -> Self {
        match error {
            ssdlite_image::Error::Malformed(message) => Self::Malformed(message),
            ssdlite_image::Error::Unsupported(message) => Self::Unsupported(message),
            ssdlite_image::Error::OverLimit(message) => Self::OverLimit(message),
            ssdlite_image::Error::Io { path, source } => Self::Io { path, source },
        }
    }
}
