//! The error of this crate, sorted by whose fault it is.

use std::io;
use std::path::{Path, PathBuf};

use ssdlite_files::words_of;

/// Why a data set can't be read, checked, split or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data set breaks its own format so far that nothing can be read.
    #[error("{0}")]
    Malformed(String),
    /// The data set is sound, but nothing here can handle it.
    #[error("{0}")]
    Unsupported(String),
    /// The data set is larger than this project handles.
    #[error("{0}")]
    OverLimit(String),
    /// The caller asked for something that can't be had, such as a share of
    /// more than the whole, or to overwrite files without saying so.
    #[error("{0}")]
    InvalidRequest(String),
    /// There is no folder where data should be.
    #[error("{}: the folder does not exist", .0.display())]
    NoSuchFolder(PathBuf),
    /// What was to be written was not finished, as it was asked to stop.
    #[error("stopped before it was finished")]
    Stopped,
    /// A thread of the batch loader could not be started or panicked: a fault
    /// of the machine or of this program.
    #[error("loader: {0}")]
    Worker(String),
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
    pub fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_owned(),
            source,
        }
    }

    /// The message without the path that it starts with.
    pub(crate) fn message_about(&self, path: &Path) -> String {
        let message = self.to_string();
        let prefix = format!("{}: ", path.display());
        message.strip_prefix(&prefix).unwrap_or(&message).to_owned()
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
