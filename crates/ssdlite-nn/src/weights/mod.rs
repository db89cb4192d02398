//! Weights outside of a network: a list of named tensors, its files, and how
//! the weights of one network become those of another.

pub mod formula;
mod pytorch;
mod safetensors;
mod state_dict;
mod transfer;

pub use pytorch::read_pth;
pub use safetensors::{ModelFile, read_model, write_model};
pub use state_dict::{LoadReport, StateDict, StateTensor, Values};
pub use transfer::{detector_state_from_classifier, head_rows_by_class};

/// The largest file of weights, in bytes. The largest network that the tables
/// can describe, Large at width 4, has less than a third of it.
const MAX_FILE_BYTES: u64 = 1 << 30;
