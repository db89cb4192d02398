//! Model files: safetensors with the tensors under torchvision's names and, in
//! the metadata, the JSON of [`ModelInfo`].

use std::collections::BTreeMap;
use std::path::Path;

use ssdlite_core::model_info::METADATA_KEY;
use ssdlite_core::{ModelInfo, TensorRole, TensorSpec};

use crate::bounds;
use crate::error::{Error, Result};
use crate::json::check_keys;
use crate::safetensors::{Contents, Numbers, Opened, TensorView, to_bytes};
use crate::state_dict::{StateDict, StateTensor, Values};

/// The largest file of weights: MobileNetV3-Large at a width multiplier of 4
/// has less than a third of it.
pub const MAX_MODEL_BYTES: u64 = 1 << 30;

/// A model's description and weights, checked against each other.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    info: ModelInfo,
    state: StateDict,
}

impl ModelFile {
    /// A model from its parts. PyTorch's batch counts, which nothing reads, are
    /// set to 0 where they are missing.
    ///
    /// # Errors
    /// What [`ModelInfo::validate`] and [`StateDict::check`] find.
    pub fn new(info: ModelInfo, mut state: StateDict) -> Result<Self> {
        info.validate()?;
        let (uncounted, specs): (Vec<_>, Vec<_>) = info.tensors().into_iter().partition(|spec| {
            spec.role == TensorRole::BatchesTracked && state.get(&spec.key).is_none()
        });
        state.check(&specs)?;
        for spec in uncounted {
            let count = StateTensor {
                shape: spec.shape,
                values: Values::I64(vec![0]),
            };
            state.insert(spec.key, count);
        }
        Ok(Self { info, state })
    }

    /// Reads a model file. Its tensors are read where it describes a model that asks
    /// for about as many bytes.
    ///
    /// # Errors
    /// [`Error::Io`] and those of [`Self::from_bytes`], led by the file's name;
    /// [`Error::OverLimit`] for more than [`MAX_MODEL_BYTES`].
    pub fn read(path: &Path) -> Result<Self> {
        let read = || {
            let (file, len) = bounds::open(path, MAX_MODEL_BYTES)?;
            Self::from_opened(Opened::new(file, len)?)
        };
        read().map_err(|error: Error| error.in_file(path))
    }

    /// [`Self::read`], whose messages don't name the file.
    pub(crate) fn from_opened(opened: Opened) -> Result<Self> {
        let info = described(opened.metadata())?;
        let needed: usize = info.tensors().iter().map(TensorSpec::elements).sum();
        // Batch counts take twice as many.
        let most = 2 * (needed * size_of::<f32>()) as u64;
        let found = opened.data_len();
        if found > most {
            return Err(Error::WeightsMismatch(format!(
                "expected at most {most} bytes of tensors for the network that the file \
                 describes, found {found}"
            )));
        }
        Self::from_bytes(&opened.read()?)
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// Those of [`Contents::from_bytes`], [`ModelInfo::from_json`] and
    /// [`StateDict::check`]; [`Error::Malformed`] for a file without a
    /// description.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let Contents { metadata, tensors } = Contents::from_bytes(bytes)?;
        let info = described(&metadata)?;
        let state: StateDict = tensors
            .into_iter()
            .map(|(key, tensor)| (key, tensor.into()))
            .collect();
        state.check(&info.tensors())?;
        Ok(Self { info, state })
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a metric that is not a finite number,
    /// [`Error::OverLimit`] for texts that make too long a header.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let views = self.state.iter().filter_map(|(key, tensor)| {
            let numbers = match &tensor.values {
                Values::F32(values) => Numbers::F32(values),
                Values::I64(values) => Numbers::I64(values),
                Values::Unread(_) => return None,
            };
            let shape = &tensor.shape;
            Some((key.to_owned(), TensorView { shape, numbers }))
        });
        let metadata = BTreeMap::from([(METADATA_KEY.to_owned(), self.info.to_json()?)]);
        to_bytes(metadata, &views.collect())
    }

    /// Writes the file, so that no reader ever sees half a model.
    ///
    /// # Errors
    /// Those of [`Self::to_bytes`] and [`Error::Io`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes().map_err(|error| error.in_file(path))?;
        ssdlite_files::remove_leftovers_of(path);
        ssdlite_files::write_atomically(path, &bytes).map_err(|source| Error::io(path, source))
    }

    /// What the file says about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Its tensors: exactly those that [`Self::info`] asks for.
    pub fn state(&self) -> &StateDict {
        &self.state
    }

    /// What [`Self::info`] and [`Self::state`] give.
    pub fn into_parts(self) -> (ModelInfo, StateDict) {
        (self.info, self.state)
    }

    /// The numbers of a tensor of the model in PyTorch's order, but not
    /// PyTorch's batch counts.
    pub fn numbers(&self, key: &str) -> Option<&[f32]> {
        self.state.get(key)?.floats()
    }
}

/// What a file's metadata says about its model.
fn described(metadata: &BTreeMap<String, String>) -> Result<ModelInfo> {
    let json = metadata.get(METADATA_KEY).ok_or_else(|| {
        Error::Malformed(format!(
            "expected the key `{METADATA_KEY}` in the metadata: this is no model file of ssdlite; \
             one is made of it by `ssdlite import FILE --arch ARCH --classes FILE --out MODEL`"
        ))
    })?;
    check_keys(json.as_bytes())
        .map_err(|error| Error::Malformed(format!("model metadata `{METADATA_KEY}`: {error}")))?;
    Ok(ModelInfo::from_json(json)?)
}
