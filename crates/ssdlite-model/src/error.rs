//! The error of this crate, sorted by whose fault it is.

use std::path::{Path, PathBuf};

use ssdlite_files::words_of;

/// Why a model can't be read, written or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input breaks its own format.
    #[error("{0}")]
    Malformed(String),
    /// The input is sound, but nothing here can handle it.
    #[error("{0}")]
    Unsupported(String),
    /// The input is larger than this project handles.
    #[error("{0}")]
    OverLimit(String),
    /// The weights are not those of the network.
    #[error("{0}")]
    WeightsMismatch(String),
    /// A file can't be read or written.
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
        self.at(path.display())
    }

    /// The same error, its message led by the place that it is about.
    pub(crate) fn at(self, place: impl std::fmt::Display) -> Self {
        let named = |message: String| format!("{place}: {message}");
        match self {
            Self::Malformed(message) => Self::Malformed(named(message)),
            Self::Unsupported(message) => Self::Unsupported(named(message)),
            Self::OverLimit(message) => Self::OverLimit(named(message)),
            Self::WeightsMismatch(message) => Self::WeightsMismatch(named(message)),
            Self::Io { .. } => self,
        }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

impl From<ssdlite_core::Error> for Error {
    fn from(error: ssdlite_core::Error) -> Self {
        match error {
            ssdlite_core::Error::Malformed(message) => Self::Malformed(message),
            ssdlite_core::Error::Unsupported(message) => Self::Unsupported(message),
            ssdlite_core::Error::OverLimit(message) => Self::OverLimit(message),
        }
    }
}
