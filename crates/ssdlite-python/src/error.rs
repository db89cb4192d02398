//! What fails, and the exceptions that it becomes.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use ssdlite::image::error::text_of_panic;

pyo3::create_exception!(
    ssdlite,
    SsdliteError,
    PyException,
    "A model file or an image that can't be used; the message says what was expected and what \
     was found."
);

/// Why a call fails, told without the interpreter.
#[derive(Debug)]
pub(crate) enum Fault {
    /// An argument that can't be meant: `ValueError`.
    Argument(String),
    /// A file or an image that can't be used: [`SsdliteError`].
    Input(String),
    /// A file that the system doesn't give: `OSError`, or what of it Python has for the
    /// kind, such as `FileNotFoundError`.
    System {
        kind: io::ErrorKind,
        message: String,
    },
}

impl Fault {
    /// The same about one image of several, counted from 0.
    pub(crate) fn of_image(self, number: usize) -> Self {
        let of_image = |message| format!("image {number}: {message}");
        match self {
            Self::Argument(message) => Self::Argument(of_image(message)),
            Self::Input(message) => Self::Input(of_image(message)),
            Self::System { kind, message } => Self::System {
                kind,
                message: of_image(message),
            },
        }
    }
}

impl From<ssdlite::image::Error> for Fault {
    fn from(error: ssdlite::image::Error) -> Self {
        use ssdlite::image::Error;
        let message = error.to_string();
        match error {
            Error::Io { source, .. } => Self::System {
                kind: source.kind(),
                message,
            },
            Error::Malformed(_) | Error::Unsupported(_) | Error::OverLimit(_) => {
                Self::Input(message)
            }
        }
    }
}

impl From<ssdlite::Error> for Fault {
    fn from(error: ssdlite::Error) -> Self {
        use ssdlite::Error;
        let message = error.to_string();
        match error {
            Error::Io { source, .. } => Self::System {
                kind: source.kind(),
                message,
            },
            Error::Malformed(_)
            | Error::Unsupported(_)
            | Error::OverLimit(_)
            | Error::WeightsMismatch(_) => Self::Input(message),
        }
    }
}

impl From<Fault> for PyErr {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Argument(message) => PyValueError::new_err(message),
            Fault::Input(message) => SsdliteError::new_err(message),
            Fault::System { kind, message } => io::Error::new(kind, message).into(),
        }
    }
}

/// Computes while other threads of the interpreter go on.
///
/// A panic, which is a fault of this package, becomes an exception that programs catch
/// as they catch others.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    compute: impl FnOnce() -> Result<T, Fault> + Send,
) -> PyResult<T> {
    match py.detach(|| catch_unwind(AssertUnwindSafe(compute))) {
        Ok(computed) => Ok(computed?),
        Err(panic) => Err(SsdliteError::new_err(format!(
            "a fault of ssdlite itself: {}",
            text_of_panic(&*panic)
        ))),
    }
}
