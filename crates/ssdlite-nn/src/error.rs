//! The error of this crate.

use std::num::NonZeroUsize;

/// Why a network can't be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system can't start the threads of the CPU's operations.
    #[error("expected to start {threads} threads, but the system refused: {source}")]
    Threads {
        /// How many were asked for.
        threads: NonZeroUsize,
        /// Its reason.
        source: std::io::Error,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
