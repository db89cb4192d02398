//! Model files: safetensors with a model's description in the metadata.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use ssdlite_core::ModelInfo;
use ssdlite_core::model_info::METADATA_KEY;

use super::{MAX_FILE_BYTES, StateDict, StateTensor, Values};
use crate::error::{Error, Result};

/// The longest header of a model file, in bytes: thousands of times what the
/// tensors of a network need.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Bytes of the header's length at the start of the file.
const LENGTH_BYTES: usize = 8;

/// A model as it lies in its file.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// What the model is.
    pub info: ModelInfo,
    /// Its tensors: exactly those that `info` asks for.
    pub state: StateDict,
}

/// Reads a model file and checks its tensors against its description.
///
/// # Errors
/// [`Error::Io`], [`Error::OverLimit`] for more than 1 GiB or a header of more
/// than 16 MiB, [`Error::Malformed`] for a file that is no safetensors or has
/// no description, [`Error::Model`] for a bad description,
/// [`Error::WeightsMismatch`] for tensors that don't fit it.
pub fn read_model(path: &Path) -> Result<ModelFile> {
    let bytes = read_bounded(path)?;
    let malformed = |reason: &dyn std::fmt::Display| {
        Error::malformed(path, format!("not a readable safetensors file: {reason}"))
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| malformed(&error))?;
    let json = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get(METADATA_KEY))
        .ok_or_else(|| {
            Error::malformed(
                path,
                format!("expected a model's description under `{METADATA_KEY}` in the metadata, found none"),
            )
        })?;
    let info = ModelInfo::from_json(json)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| malformed(&error))?;
    let state: StateDict = tensors
        .iter()
        .map(|(key, view)| (key.to_owned(), state_tensor_from_view(&view)))
        .collect();
    state.check(&info.tensors())?;
    Ok(ModelFile { info, state })
}

/// Writes a model file: to a temporary name beside it, then renamed, so that no
/// reader ever sees half a model.
///
/// # Errors
/// [`Error::WeightsMismatch`] for tensors that don't fit the description,
/// [`Error::Model`] for a description that can't be written, [`Error::Io`].
pub fn write_model(path: &Path, info: &ModelInfo, state: &StateDict) -> Result<()> {
    state.check(&info.tensors())?;
    let bytes = bytes_from_model(info, state)?;
    let temporary = temporary_name(path);
    let result = write_synced(&temporary, &bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| Error::io(path, error));
    if result.is_err() {
        // The error that matters is the one above.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn bytes_from_model(info: &ModelInfo, state: &StateDict) -> Result<Vec<u8>> {
    let buffers: Vec<(&str, Dtype, &[usize], Vec<u8>)> = state
        .iter()
        .filter_map(|(key, tensor)| {
            let (dtype, bytes) = match &tensor.values {
                Values::F32(values) => {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                    (Dtype::F32, bytes.collect())
                }
                Values::I64(values) => {
                    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                    (Dtype::I64, bytes.collect())
                }
                Values::Unread(_) => return None,
            };
            Some((key, dtype, tensor.shape.as_slice(), bytes))
        })
        .collect();
    let mismatch = |error: safetensors::SafeTensorError| Error::WeightsMismatch(error.to_string());
    let views = buffers
        .iter()
        .map(|(key, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.to_vec(), bytes).map_err(mismatch)?;
            Ok((*key, view))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), info.to_json()?)]);
    safetensors::serialize(views, Some(metadata)).map_err(mismatch)
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The file's bytes, after a look at its size and at the header's length.
fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let io = |error| Error::io(path, error);
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > MAX_FILE_BYTES {
        return Err(Error::over_limit(
            path,
            format!("expected at most {MAX_FILE_BYTES} bytes, found {length}"),
        ));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    // The file may grow while it is read.
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    let header = bytes
        .first_chunk::<LENGTH_BYTES>()
        .map(|&b| u64::from_le_bytes(b));
    if let Some(header) = header
        && header > MAX_HEADER_BYTES
    {
        return Err(Error::over_limit(
            path,
            format!(
                "expected a safetensors header of at most {MAX_HEADER_BYTES} bytes, found a \
                 length of {header}: this may be no safetensors file"
            ),
        ));
    }
    Ok(bytes)
}

fn state_tensor_from_view(view: &TensorView<'_>) -> StateTensor {
    let values = match view.dtype() {
        Dtype::F32 => Values::F32(f32_from_le_bytes(view.data())),
        Dtype::I64 => Values::I64(i64_from_le_bytes(view.data())),
        other => Values::Unread(format!("{other:?}").to_lowercase()),
    };
    StateTensor {
        shape: view.shape().to_vec(),
        values,
    }
}

pub(super) fn f32_from_le_bytes(bytes: &[u8]) -> Vec<f32> {
    let (chunks, _) = bytes.as_chunks::<4>();
    chunks
        .iter()
        .map(|&chunk| f32::from_le_bytes(chunk))
        .collect()
}

pub(super) fn i64_from_le_bytes(bytes: &[u8]) -> Vec<i64> {
    let (chunks, _) = bytes.as_chunks::<8>();
    chunks
        .iter()
        .map(|&chunk| i64::from_le_bytes(chunk))
        .collect()
}
