//! The error of this crate, sorted by whose fault it is.

/// Why a model can't be evaluated on a data set.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model has other classes than the data set.
    #[error("{0}")]
    InvalidRequest(String),
    /// No image of the data set can be used.
    #[error("{0}")]
    Malformed(String),
    /// The metrics refuse what the model found.
    #[error(transparent)]
    Evaluation(#[from] ssdlite_eval::Error),
    /// The inference engine refuses the model.
    #[error(transparent)]
    Inference(#[from] ssdlite_infer::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
