//! Reading and writing model files.
//!
//! A model file is a safetensors file: the tensors under torchvision's names
//! and, in its metadata, the JSON of [`ModelInfo`]. Whatever the bytes hold,
//! reading them ends in a checked model or an error.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use ssdlite_core::model_info::METADATA_KEY;
use ssdlite_core::{ModelInfo, TensorRole, TensorSpec};

use crate::error::{Error, Result};
use crate::safetensors::{self, F32, Header, I64};

/// The largest model file: MobileNetV3-Large at a width multiplier of 4 fits.
pub const MAX_MODEL_BYTES: u64 = 1 << 30;

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
    /// more than the longest header; [`Error::Malformed`] for bytes that are
    /// no safetensors file, lack the project's metadata, have tensors that
    /// overlap, or hold numbers that are not finite; [`Error::WrongWeights`]
    /// for tensors that are missing, unexpected, or of another type or shape.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        if bytes.len() as u64 > MAX_MODEL_BYTES {
            return Err(Error::OverLimit(format!(
                "expected a model file of at most {MAX_MODEL_BYTES} bytes, found more"
            )));
        }
        let header = Header::read(&bytes)?;
        let json = header.metadata.get(METADATA_KEY).ok_or_else(|| {
            Error::Malformed(format!(
                "expected the key `{METADATA_KEY}` in the metadata: \
                 this is no model file of ssdlite; `ssdlite import` makes one"
            ))
        })?;
        let info = ModelInfo::from_json(json)?;
        let ranges = tensor_ranges(&info, header, bytes.len())?;
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
        let mut parts = BTreeMap::new();
        for spec in info.tensors() {
            if spec.role == TensorRole::BatchesTracked {
                let count = 0_i64.to_le_bytes().to_vec();
                parts.insert(spec.key, (I64, spec.shape, count));
            }
        }
        for tensor in tensors {
            let bytes = tensor.numbers.iter().flat_map(|x| x.to_le_bytes());
            parts.insert(tensor.key, (F32, tensor.shape, bytes.collect()));
        }
        let metadata = BTreeMap::from([(METADATA_KEY.to_owned(), info.to_json()?)]);
        Self::from_bytes(safetensors::file_bytes(metadata, &parts)?)
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
        let least = if is_variance { 0.0 } else { f32::MIN };
        let is_sound = |number: f32| least <= number && number <= f32::MAX;
        let bytes = &self.bytes[range.clone()];
        // Without a branch for each of the millions of numbers.
        let all_sound = numbers(bytes).fold(true, |sound, number| sound & is_sound(number));
        let mut faults = numbers(bytes)
            .enumerate()
            .filter(|&(_, number)| !is_sound(number));
        let Some((index, number)) = (!all_sound).then(|| faults.next()).flatten() else {
            return Ok(());
        };
        let what = if is_variance {
            "a variance of at least 0"
        } else {
            "finite numbers"
        };
        Err(Error::Malformed(format!(
            "expected {what} in {}, found {number} at {index}",
            spec.key
        )))
    }
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|&bytes| f32::from_le_bytes(bytes))
}

/// Where the `f32` tensors of the model lie, after all tensors were compared
/// with the inventory.
fn tensor_ranges(
    info: &ModelInfo,
    mut header: Header,
    len: usize,
) -> Result<HashMap<String, Range<usize>>> {
    let mut found = std::mem::take(&mut header.tensors);
    let mut ranges = HashMap::new();
    let mut all_ranges = Vec::new();
    for spec in info.tensors() {
        let (expected, number_size) = match spec.role {
            TensorRole::BatchesTracked => (I64, size_of::<i64>()),
            _ => (F32, size_of::<f32>()),
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
                described(&tensor.dtype, &tensor.shape)
            )));
        }
        let size = spec.elements() * number_size;
        let range = header.range(&spec.key, &tensor, size, len)?;
        all_ranges.push(range.clone());
        if expected == F32 {
            ranges.insert(spec.key, range);
        }
    }
    if let Some(key) = found.keys().next() {
        return Err(Error::WrongWeights(format!(
            "found the tensor {key}, which the network does not have"
        )));
    }
    header.check_ranges(all_ranges, len)?;
    Ok(ranges)
}

/// `f32[16,3,3,3]`
fn described(dtype: &str, shape: &[usize]) -> String {
    format!("{}{shape:?}", dtype.to_lowercase()).replace(' ', "")
}
