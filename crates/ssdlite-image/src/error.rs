//! The error of this crate, sorted by whose fault it is.

use std::any::Any;
use std::path::{Path, PathBuf};

use ssdlite_files::words_of;

/// Why an image can't be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes break their own format: cut off, damaged, or no image.
    #[error("{0}")]
    Malformed(String),
    /// A sound file of a kind that is not handled.
    #[error("{0}")]
    Unsupported(String),
    /// Larger than [`Limits`](crate::Limits) allow.
    #[error("{0}")]
    OverLimit(String),
    /// The file could not be read or written.
    #[error("{}: {}", path.display(), words_of(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The same error, its message led by the file it is about.
    #[must_use]
    pub fn in_file(self, path: &Path) -> Self {
        let named = |message: String| format!("{}: {message}", path.display());
        match self {
            Self::Malformed(message) => Self::Malformed(named(message)),
            Self::Unsupported(message) => Self::Unsupported(named(message)),
            Self::OverLimit(message) => Self::OverLimit(named(message)),
            Self::Io { .. } => self,
        }
    }

    /// An operating system's error about `path`.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// What a panic that was caught said.
pub fn text_of_panic(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
