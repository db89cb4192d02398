//! The error of this crate, sorted by whose fault it is.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Why weights can't be read, written or used, or a network can't be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file breaks its own format.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The file is larger than this project handles.
    #[error("{}: {reason}", path.display())]
    OverLimit {
        /// The file.
        path: PathBuf,
        /// The limit and what was found.
        reason: String,
    },
    /// The weights don't fit the network.
    #[error("{0}")]
    WeightsMismatch(String),
    /// The operating system can't start the threads of the CPU's operations.
    #[error("expected to start {threads} threads, but the system refused: {source}")]
    Threads {
        /// How many were asked for.
        threads: NonZeroUsize,
        /// Its reason.
        source: std::io::Error,
    },
    /// The model's description can't be used.
    #[error(transparent)]
    Model(#[from] ssdlite_core::Error),
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn malformed(path: &Path, reason: impl ToString) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn over_limit(path: &Path, reason: String) -> Self {
        Self::OverLimit {
            path: path.to_owned(),
            reason,
        }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
