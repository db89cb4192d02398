//! The error of this crate, sorted by whose fault it is.

/// Why a model's description can't be used.
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
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
