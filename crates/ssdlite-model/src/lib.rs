//! Model files, PyTorch's files, and how the weights of one network become
//! another's.
//!
//! The one reader and the one writer of [`ModelFile`]s, for training and for
//! inference. Whatever the bytes hold, reading them ends in numbers that were
//! checked against the tables of `ssdlite-core`, or in an error. A
//! [`StateDict`] is the tensors alone, [`fold`] what is left of them where a batch norm is
//! part of its convolution; no network is built or run here.

mod bounds;
mod error;
pub mod fold;
mod json;
mod model_file;
#[cfg(feature = "pytorch")]
mod pytorch;
pub mod safetensors;
mod state_dict;
mod transfer;
#[cfg(feature = "pytorch")]
mod weights;

pub use error::{Error, Result};
pub use model_file::{MAX_MODEL_BYTES, ModelFile};
pub use state_dict::{LoadReport, StateDict, StateTensor, Values};
pub use transfer::{
    HeadClasses, class_head_keys, detector_state_from_classifier, head_rows_by_class, output_count,
};
#[cfg(feature = "pytorch")]
pub use weights::{Weights, WeightsKind, read_weights};
