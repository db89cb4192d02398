//! The error of this crate, sorted by whose fault it is.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ssdlite_files::words_of;

/// Why a training run can't start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option of the run is wrong; the message names it.
    #[error("{0}")]
    Config(String),
    /// The value of one key of the configuration is wrong.
    #[error("{key}: {fault}")]
    Setting {
        /// Section and key, such as `training.lr`.
        key: &'static str,
        /// What was expected and what was found.
        fault: String,
    },
    /// A file that was read breaks its own format.
    #[error("{0}")]
    Malformed(String),
    /// The caller asked for something that can't be had, such as to overwrite
    /// a run without saying so.
    #[error("{0}")]
    InvalidRequest(String),
    /// Weights or a checkpoint don't fit the network.
    #[error("{0}")]
    WeightsMismatch(String),
    /// The loss or its gradient stopped being a number. The parameters are
    /// those from before the step.
    #[error(
        "step {step}: expected a finite {what}, found {value}; {cause}; if that changes nothing, \
         look at the batch's images: {}",
        first_of(images)
    )]
    NotFinite {
        /// The step, counted from 1 over all epochs.
        step: u64,
        /// `loss` or `norm of the gradients`.
        what: &'static str,
        /// What it came to.
        value: f64,
        /// What is most likely wrong, and what to try.
        cause: String,
        /// The files that the batch was made of.
        images: Vec<PathBuf>,
    },
    /// A file or folder can't be read or written.
    #[error("{}: {}", path.display(), words_of(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A model can't be described.
    #[error(transparent)]
    Core(#[from] ssdlite_core::Error),
    /// The data can't be read.
    #[error(transparent)]
    Data(#[from] ssdlite_data::Error),
    /// A network can't be evaluated.
    #[error(transparent)]
    Evaluation(#[from] ssdlite_evaluate::Error),
    /// An image can't be drawn or written.
    #[error(transparent)]
    Image(#[from] ssdlite_image::Error),
    /// A model can't be read, written, fitted or run.
    #[error(transparent)]
    Model(#[from] ssdlite_model::Error),
    /// The network has an operation that the training device can't run.
    #[error("{0}")]
    Unsupported(String),
    /// The system can't start the threads of a step.
    #[error("expected to start {threads} threads, but the system refused: {source}")]
    Threads {
        /// How many were asked for.
        threads: NonZeroUsize,
        /// What the operating system said.
        source: io::Error,
    },
    /// A training device can't be had, or failed.
    #[error("{0}")]
    Device(String),
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
}

/// The most images that a message names.
const NAMED_IMAGES: usize = 3;

fn first_of(images: &[PathBuf]) -> String {
    let named = images.iter().take(NAMED_IMAGES);
    let mut names: Vec<String> = named.map(|path| path.display().to_string()).collect();
    if images.len() > NAMED_IMAGES {
        names.push(format!("and {} more", images.len() - NAMED_IMAGES));
    }
    names.join(", ")
}
