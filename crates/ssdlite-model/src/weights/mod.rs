//! Weights from files of others: PyTorch's, and safetensors without our description.
//!
//! Training scripts save networks under many names, wrapped (`{"model": ...}`,
//! `{"state_dict": ...}`), with prefixes (`module.`), averages beside the plain
//! weights, and much that is none of the network. A network is known by its first
//! convolution, whose key ends each of these paths: what stands before it is taken
//! off, whatever it is.

pub(crate) mod element;
mod select;
pub(crate) mod stored;

use std::path::Path;

use ssdlite_core::ModelInfo;
use ssdlite_core::model_info::METADATA_KEY;

use crate::bounds;
use crate::error::Result;
use crate::model_file::{MAX_MODEL_BYTES, ModelFile};
use crate::pytorch;
use crate::safetensors::{Opened, check_size};
use crate::state_dict::{BATCH_COUNT, StateDict, Values};
use element::{ANOTHER_TYPE, ByteOrder, Element};
use select::Selection;
use stored::{Checkpoint, Named, Record, Source, Stored, Strided, read_error};

/// Which weights are taken of a file that holds both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightsKind {
    /// Those that the optimizer steps on, or averaged ones where there are no others.
    #[default]
    Plain,
    /// Moving averages of them.
    Averaged,
}

/// The weights in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// Tensors under torchvision's keys; floats of other widths have become `f32`.
    pub state: StateDict,
    /// The description that a model file of ours has.
    pub info: Option<ModelInfo>,
    /// What a user should know of how they were found, a sentence each.
    pub notes: Vec<String>,
}

/// Reads the weights in a model file, in a safetensors file of others, or in a
/// PyTorch file, whatever its name is. Of PyTorch's batch counts those of another type
/// than `i64`, or in a vector of one, become such.
///
/// # Errors
/// Those of [`ModelFile::read`]; [`Malformed`] for a file that is none of these, breaks
/// off, or holds no tensor, or no averaged ones where they are asked for;
/// [`Unsupported`] for TorchScript; [`OverLimit`] for a file of more than 1 GiB, tensors
/// of more than 384 MiB, or more objects than a network needs.
///
/// [`Malformed`]: crate::Error::Malformed
/// [`Unsupported`]: crate::Error::Unsupported
/// [`OverLimit`]: crate::Error::OverLimit
pub fn read_weights(path: &Path, kind: WeightsKind) -> Result<Weights> {
    read(path, kind).map_err(|error| error.in_file(path))
}

/// [`read_weights`], whose messages don't name the file.
fn read(path: &Path, kind: WeightsKind) -> Result<Weights> {
    let (file, len) = bounds::open(path, MAX_MODEL_BYTES)?;
    let mut source = Source::new(file, len);
    // The JSON of a safetensors header begins behind its length; PyTorch's files have
    // another byte there.
    let start = source.read(0, len.min(9)).map_err(read_error)?;
    let mut checkpoint = if start.get(8) == Some(&b'{') {
        let opened = Opened::new(source.into_file()?, len)?;
        if opened.metadata().contains_key(METADATA_KEY) {
            let (info, state) = ModelFile::from_opened(opened)?.into_parts();
            return Ok(Weights {
                state,
                info: Some(info),
                notes: Vec::new(),
            });
        }
        from_safetensors(opened, len)?
    } else {
        pytorch::open(source)?
    };
    let Selection { tensors, notes } = select::weights(&checkpoint.tensors, kind)?;
    let state = checkpoint.read(&tensors)?;
    Ok(Weights {
        state: with_whole_batch_counts(state),
        info: None,
        notes,
    })
}

/// The tensors of a safetensors file without our description.
fn from_safetensors(opened: Opened, len: u64) -> Result<Checkpoint> {
    let (file, places) = opened.into_places();
    let mut records = Vec::new();
    let tensors = places.into_iter().map(|place| {
        let tensor = match Element::from_safetensors(&place.dtype) {
            None => Stored::Unread(ANOTHER_TYPE),
            Some(element) => {
                let found = place.bytes.end - place.bytes.start;
                check_size(
                    &place.key,
                    &place.dtype,
                    &place.shape,
                    element.size(),
                    found,
                )?;
                records.push(Record::plain(place.bytes));
                Stored::Strided(Strided {
                    record: records.len() - 1,
                    element,
                    offset: 0,
                    strides: dense_strides(&place.shape),
                    shape: place.shape,
                })
            }
        };
        Ok(Named {
            path: place.key,
            container: 0,
            tensor,
        })
    });
    let tensors = tensors.collect::<Result<_>>()?;
    Ok(Checkpoint {
        source: Source::new(file, len),
        order: ByteOrder::Little,
        records,
        tensors,
    })
}

/// Strides of a tensor whose last dimension is the fastest. Those of one without numbers
/// are of no use, and of any size.
fn dense_strides(shape: &[usize]) -> Vec<usize> {
    let tail = |axis: usize| {
        shape[axis..]
            .iter()
            .fold(1_usize, |n, &m| n.saturating_mul(m))
    };
    (1..=shape.len()).map(tail).collect()
}

/// A state dict that was turned to half floats as a whole has such counts too, and
/// converters make vectors of one number of them.
fn with_whole_batch_counts(state: StateDict) -> StateDict {
    let tensors = state.into_iter().map(|(key, mut tensor)| {
        if key.ends_with(BATCH_COUNT) {
            if let Values::F32(counts) = &tensor.values {
                tensor.values = Values::I64(counts.iter().map(|&count| count as i64).collect());
            }
            if tensor.shape == [1] {
                tensor.shape.clear();
            }
        }
        (key, tensor)
    });
    tensors.collect()
}
