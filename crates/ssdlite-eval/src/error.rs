//! The error of this crate, sorted by whose fault it is.

/// Why something can't be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object, a detection, a score or a threshold is out of its range.
    #[error("{0}")]
    Malformed(String),
    /// The COCO evaluator refused what passed the checks of this crate: a
    /// fault of this program.
    #[error("COCO evaluation: {0}")]
    Coco(String),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
