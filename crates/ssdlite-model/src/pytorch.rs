//! PyTorch checkpoints, in the zip and the legacy format. `pytorch-reader`
//! parses their pickle and runs no code from it.

use std::collections::HashMap;
use std::path::Path;

use pytorch_reader::{DType, PytorchError, PytorchReader, Tensor};

use crate::bounds::file_len;
use crate::error::{Error, Result};
use crate::model_file::MAX_MODEL_BYTES;
use crate::safetensors::{RawNumbers, RawTensor};
use crate::state_dict::{StateDict, StateTensor};

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
    read(path).map_err(|error| error.in_file(path))
}

/// [`read_pth`], whose messages don't name the file.
fn read(path: &Path) -> Result<StateDict> {
    file_len(path, MAX_MODEL_BYTES)?;
    let reader = PytorchReader::new(path).map_err(|error| match error {
        PytorchError::Io(error) => error_from_read(path, error),
        other => Error::Malformed(format!("not a readable PyTorch checkpoint: {other}")),
    })?;
    let tensors = unwrapped(reader.into_tensors());
    if tensors.is_empty() {
        return Err(Error::Malformed("expected tensors, found none".into()));
    }
    check_total_size(&tensors)?;
    tensors
        .into_iter()
        .map(|(key, tensor)| {
            let read = read_tensor(&tensor).map_err(|error| error_from_read(path, error))?;
            Ok((key, read))
        })
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
fn check_total_size(tensors: &[(String, Tensor)]) -> Result<()> {
    let bytes = tensors
        .iter()
        .map(|(_, tensor)| tensor.byte_len() as u64)
        .fold(0, u64::saturating_add);
    if bytes > MAX_MODEL_BYTES {
        return Err(Error::OverLimit(format!(
            "expected at most {MAX_MODEL_BYTES} bytes of tensors, found {bytes}"
        )));
    }
    Ok(())
}

fn read_tensor(tensor: &Tensor) -> std::io::Result<StateTensor> {
    let bytes = match tensor.dtype() {
        DType::F32 | DType::I64 => tensor.read()?,
        _ => Vec::new(),
    };
    let numbers = match tensor.dtype() {
        DType::F32 => RawNumbers::F32(bytes.as_chunks().0),
        DType::I64 => RawNumbers::I64(bytes.as_chunks().0),
        other => RawNumbers::Other(format!("{other:?}")),
    };
    let shape = tensor.shape().to_vec();
    Ok(RawTensor { shape, numbers }.into())
}

/// `pytorch-reader` reports a file that disagrees with itself, or a compression
/// that it lacks, by these kinds; the others are the operating system's.
fn error_from_read(path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof, Unsupported};
    match error.kind() {
        InvalidData | InvalidInput | Other | UnexpectedEof | Unsupported => {
            Error::Malformed(error.to_string())
        }
        _ => Error::io(path, error),
    }
}
