//! The error of this crate, sorted by whose fault it is. What goes wrong with
//! a single request is answered over HTTP instead; see the module `refusal`.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use ssdlite_files::words_of;

/// Why a server can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for something that can't be had, such as two models
    /// of one name.
    #[error("{0}")]
    InvalidRequest(String),
    /// A model can't be used.
    #[error("{0}")]
    Model(#[from] ssdlite_infer::Error),
    /// A source of frames can't be used.
    #[error("{0}")]
    Media(#[from] ssdlite_media::Error),
    /// Frames can't be kept in the folder that is meant for them.
    #[error("{}: {reason}", folder.display())]
    Keep {
        /// The folder.
        folder: PathBuf,
        /// What was expected and found, or what the operating system said.
        reason: String,
    },
    /// The address can't be listened on.
    #[error("{address}: {}", words_of(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused threads for images.
    #[error(
        "expected {expected} threads for images, the system refused the next after {started}: {}",
        words_of(source)
    )]
    Threads {
        /// How many were asked for.
        expected: NonZeroUsize,
        /// How many there were by then.
        started: usize,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused threads, timers or signals.
    #[error("{0}")]
    System(io::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
