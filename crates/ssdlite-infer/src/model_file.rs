//! Reading and writing model files.
//!
//! A model file is a safetensors file: the tensors under torchvision's names
//! and, in its metadata, the JSON of [`ModelInfo`]. Whatever the bytes hold,
//! reading them ends in a checked model or an error.
//!
//! Source: the format's description in the `safetensors` repository.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};
use ssdlite_core::model_info::METADATA_KEY;
use ssdlite_core::{ModelInfo, TensorRole, TensorSpec};

use crate::error::{Error, Result};

/// The largest header: 10,000 class names of the greatest length fit.
pub const MAX_HEADER_BYTES: u64 = 8 << 20;

/// The largest model file: MobileNetV3-Large at a width multiplier of 4 fits.
pub const MAX_MODEL_BYTES: u64 = 1 << 30;

/// Bytes of the header's length at the start of the file.
const LENGTH_BYTES: usize = 8;

/// A model's description and weights, checked against each other.
#[derive(Clone, Debug)]
pub struct ModelFile {
    info: ModelInfo,
    bytes: Vec<u8>,
    ranges: HashMap<String, Range<usize>>,
}

/// A tensor to write: its name, its numbers in PyTorch's order.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// torchvision's key.
    pub key: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers.
    pub numbers: Vec<f32>,
}

impl ModelFile {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file can't be read, otherwise as [`Self::from_bytes`].
    pub fn read(path: &Path) -> Result<Self> {
        let io = |source| Error::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        let mut bytes = Vec::with_capacity(len.min(MAX_MODEL_BYTES) as usize + 1);
        // One byte more than allowed shows that there are too many, whatever
        // the length of the file is said to be.
        file.take(MAX_MODEL_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        Self::from_bytes(bytes).map_err(|error| error.in_file(path))
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// [`Error::OverLimit`] for more than [`MAX_MODEL_BYTES`] or a header of
    /// more than [`MAX_HEADER_BYTES`]; [`Error::Malformed`] for bytes that are
    /// no safetensors file, lack the project's metadata, or hold numbers that
    /// are not finite; [`Error::WrongWeights`] for tensors that are missing,
    /// unexpected, or of another type or shape.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        check_lengths(&bytes)?;
        let (header, metadata) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| Error::Malformed(format!("no sound safetensors file: {error}")))?;
        let json = metadata
            .metadata()
            .as_ref()
            .and_then(|entries| entries.get(METADATA_KEY))
            .ok_or_else(|| {
                Error::Malformed(format!(
                    "expected the key `{METADATA_KEY}` in the metadata: \
                     this is no model file of ssdlite; `ssdlite import` makes one"
                ))
            })?;
        let info = ModelInfo::from_json(json)?;
        let data = LENGTH_BYTES + header;
        let ranges = tensor_ranges(&info, &metadata, data, bytes.len())?;
        let file = Self {
            info,
            bytes,
            ranges,
        };
        for spec in file.info.tensors() {
            file.check_numbers(&spec)?;
        }
        Ok(file)
    }

    /// A model from its parts. PyTorch's batch counts, which nothing reads, are
    /// added.
    ///
    /// # Errors
    /// As [`Self::from_bytes`].
    pub fn from_tensors(
        info: &ModelInfo,
        tensors: impl IntoIterator<Item = NamedTensor>,
    ) -> Result<Self> {
        info.validate()?;
        let mut parts: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
        for spec in info.tensors() {
            if spec.role == TensorRole::BatchesTracked {
                let count = 0_i64.to_le_bytes().to_vec();
                parts.insert(spec.key, (Dtype::I64, spec.shape, count));
            }
        }
        for tensor in tensors {
            let bytes = tensor.numbers.iter().flat_map(|x| x.to_le_bytes());
            let part = (Dtype::F32, tensor.shape, bytes.collect());
            parts.insert(tensor.key, part);
        }
        let mut views = Vec::with_capacity(parts.len());
        for (key, (dtype, shape, bytes)) in &parts {
            let view = TensorView::new(*dtype, shape.clone(), bytes)
                .map_err(|error| Error::WrongWeights(format!("{key}: {error}")))?;
            views.push((key, view));
        }
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), info.to_json()?)]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| Error::WrongWeights(error.to_string()))?;
        Self::from_bytes(bytes)
    }

    /// The bytes of the file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the file says about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The numbers of a tensor of the model, but not PyTorch's batch counts.
    pub fn numbers(&self, key: &str) -> Option<Vec<f32>> {
        let range = self.ranges.get(key)?;
        Some(numbers(&self.bytes[range.clone()]).collect())
    }

    fn check_numbers(&self, spec: &TensorSpec) -> Result<()> {
        let Some(range) = self.ranges.get(&spec.key) else {
            return Ok(());
        };
        let is_variance = spec.role == TensorRole::RunningVar;
        for (index, number) in numbers(&self.bytes[range.clone()]).enumerate() {
            if !number.is_finite() || (is_variance && number < 0.0) {
                let what = if is_variance {
                    "a variance of at least 0"
                } else {
                    "finite numbers"
                };
                return Err(Error::Malformed(format!(
                    "expected {what} in {}, found {number} at {index}",
                    spec.key
                )));
            }
        }
        Ok(())
    }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|&bytes| f32::from_le_bytes(bytes))
}

fn check_lengths(bytes: &[u8]) -> Result<()> {
    if bytes.len() as u64 > MAX_MODEL_BYTES {
        return Err(Error::OverLimit(format!(
            "expected a model file of at most {MAX_MODEL_BYTES} bytes, found more"
        )));
    }
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else {
        return Err(Error::Malformed(format!(
            "expected a safetensors file, found {} bytes",
            bytes.len()
        )));
    };
    let header = u64::from_le_bytes(*length);
    let rest = (bytes.len() - LENGTH_BYTES) as u64;
    if header > rest {
        return Err(Error::Malformed(format!(
            "expected a safetensors header of at most {rest} bytes, found a length of {header}: \
             the file is cut off or no safetensors file"
        )));
    }
    if header > MAX_HEADER_BYTES {
        return Err(Error::OverLimit(format!(
            "expected a header of at most {MAX_HEADER_BYTES} bytes, found {header}"
        )));
    }
    Ok(())
}

/// Where the `f32` tensors of the model lie, after all tensors were compared
/// with the inventory.
fn tensor_ranges(
    info: &ModelInfo,
    metadata: &Metadata,
    data: usize,
    len: usize,
) -> Result<HashMap<String, Range<usize>>> {
    let mut found = metadata.tensors();
    let mut ranges = HashMap::new();
    for spec in info.tensors() {
        let expected = match spec.role {
            TensorRole::BatchesTracked => Dtype::I64,
            _ => Dtype::F32,
        };
        let Some(tensor) = found.remove(&spec.key) else {
            return Err(Error::WrongWeights(format!(
                "expected {} for {}, found no such tensor",
                described(expected, &spec.shape),
                spec.key
            )));
        };
        if tensor.dtype != expected || tensor.shape != spec.shape {
            return Err(Error::WrongWeights(format!(
                "expected {} for {}, found {}",
                described(expected, &spec.shape),
                spec.key,
                described(tensor.dtype, &tensor.shape)
            )));
        }
        let (start, end) = tensor.data_offsets;
        let range = data.saturating_add(start)..data.saturating_add(end);
        let fits = range.start <= range.end && range.end <= len;
        if !fits {
            return Err(Error::Malformed(format!(
                "expected {} within the file's {len} bytes, found bytes {} to {}",
                spec.key, range.start, range.end
            )));
        }
        if expected == Dtype::F32 {
            ranges.insert(spec.key, range);
        }
    }
    match found.keys().min() {
        None => Ok(ranges),
        Some(key) => Err(Error::WrongWeights(format!(
            "found the tensor {key}, which the network does not have"
        ))),
    }
}

/// `f32[16,3,3,3]`
fn described(dtype: Dtype, shape: &[usize]) -> String {
    let name = match dtype {
        Dtype::F64 => "f64",
        Dtype::F32 => "f32",
        Dtype::F16 => "f16",
        Dtype::BF16 => "bf16",
        Dtype::I64 => "i64",
        Dtype::I32 => "i32",
        other => return format!("{other:?}{shape:?}").replace(' ', ""),
    };
    format!("{name}{shape:?}").replace(' ', "")
}
