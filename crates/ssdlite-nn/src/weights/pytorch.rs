//! PyTorch checkpoints, in the zip and the legacy format. `pytorch-reader`
//! parses their pickle and runs no code from it.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use pytorch_reader::{DType, PytorchError, PytorchReader, Tensor};

use super::safetensors::{f32_from_le_bytes, i64_from_le_bytes};
use super::{MAX_FILE_BYTES, StateDict, StateTensor, Values};
use crate::error::{Error, Result};

/// Keys under which training scripts keep the state dict beside other things;
/// torchvision's references use the first.
const WRAPPERS: [&str; 3] = ["model", "state_dict", "model_state_dict"];

/// Reads the state dict in a `.pth` file, also one that is wrapped as
/// `{"model": ...}`, `{"state_dict": ...}` or `{"model_state_dict": ...}`.
///
/// # Errors
/// [`Error::Io`], [`Error::OverLimit`] for a file or tensors of more than
/// 1 GiB, [`Error::Malformed`] for a file that is no checkpoint, that breaks
/// off, or that holds no tensor.
pub fn read_pth(path: &Path) -> Result<StateDict> {
    let metadata = fs::metadata(path).map_err(|error| Error::io(path, error))?;
    if !metadata.is_file() {
        return Err(Error::malformed(path, "expected a file"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        let found = metadata.len();
        return Err(Error::over_limit(
            path,
            format!("expected at most {MAX_FILE_BYTES} bytes, found {found}"),
        ));
    }
    let reader = PytorchReader::new(path).map_err(|error| match error {
        PytorchError::Io(error) => error_from_read(path, error),
        other => Error::malformed(path, format!("not a readable PyTorch checkpoint: {other}")),
    })?;
    let tensors = unwrapped(reader.into_tensors());
    if tensors.is_empty() {
        return Err(Error::malformed(path, "expected tensors, found none"));
    }
    check_total_size(path, &tensors)?;
    tensors
        .into_iter()
        .map(|(key, tensor)| Ok((key, read_tensor(path, &tensor)?)))
        .collect()
}

/// The tensors of the state dict, without a wrapper's key in front.
fn unwrapped(tensors: HashMap<String, Tensor>) -> Vec<(String, Tensor)> {
    for wrapper in WRAPPERS {
        let prefix = format!("{wrapper}.");
        let inner: Vec<_> = tensors
            .iter()
            .filter_map(|(key, tensor)| Some((key.strip_prefix(&prefix)?, tensor)))
            .map(|(key, tensor)| (key.to_owned(), tensor.clone()))
            .collect();
        if !inner.is_empty() {
            return inner;
        }
    }
    tensors.into_iter().collect()
}

/// A view with stride 0 can be far larger than its file, so the tensors are
/// added up before any of them is read.
fn check_total_size(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let bytes = tensors
        .iter()
        .map(|(_, tensor)| tensor.byte_len() as u64)
        .fold(0, u64::saturating_add);
    if bytes > MAX_FILE_BYTES {
        return Err(Error::over_limit(
            path,
            format!("expected at most {MAX_FILE_BYTES} bytes of tensors, found {bytes}"),
        ));
    }
    Ok(())
}

fn read_tensor(path: &Path, tensor: &Tensor) -> Result<StateTensor> {
    let read = || tensor.read().map_err(|error| error_from_read(path, error));
    let values = match tensor.dtype() {
        DType::F32 => Values::F32(f32_from_le_bytes(&read()?)),
        DType::I64 => Values::I64(i64_from_le_bytes(&read()?)),
        other => Values::Unread(format!("{other:?}").to_lowercase()),
    };
    Ok(StateTensor {
        shape: tensor.shape().to_vec(),
        values,
    })
}

/// `pytorch-reader` reports a file that disagrees with itself, or a compression
/// that it lacks, by these kinds; the others are the operating system's.
fn error_from_read(path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof, Unsupported};
    match error.kind() {
        InvalidData | InvalidInput | Other | UnexpectedEof | Unsupported => {
            Error::malformed(path, error)
        }
        _ => Error::io(path, error),
    }
}
