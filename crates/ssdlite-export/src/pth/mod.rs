//! A model's tensors as a file of PyTorch's: what
//! `torch.save(module.state_dict(), path)` writes since 1.6.
//!
//! The other way, with all that others put into such files, is `ssdlite-model`'s.

mod pickle;
mod zip;

use ssdlite_model::{Error, ModelFile, Result, StateTensor, Values};

use pickle::Entry;
use zip::Archive;

/// The folder in which all records lie.
const FOLDER: &str = "archive";

/// The version of the layout of records.
const VERSION: &[u8] = b"3\n";

/// A model's state dict as a PyTorch file, in the order of the network's layers.
///
/// The keys are torchvision's, so that its modules load it with `strict=True`; a map of
/// stride 8 and a pyramid are none of torchvision's. What the model file says besides
/// the tensors, such as its classes, is left out.
///
/// # Errors
/// [`Error::OverLimit`] for more than 4 GiB.
pub fn pth_from_model(model: &ModelFile) -> Result<Vec<u8>> {
    let specs = model.info().tensors();
    let mut tensors = Vec::with_capacity(specs.len());
    for spec in &specs {
        let tensor = model.state().get(&spec.key);
        let tensor = tensor.and_then(|tensor| Some((tensor, numbers(tensor)?)));
        let (tensor, numbers) = tensor.ok_or_else(|| {
            Error::WeightsMismatch(format!("expected numbers for {}, found none", spec.key))
        })?;
        tensors.push((spec.key.as_str(), tensor, numbers));
    }
    let entries = tensors.iter().enumerate();
    let pickle = pickle::from_entries(entries.map(|(record, (key, tensor, numbers))| Entry {
        key,
        record,
        storage: numbers.storage,
        shape: &tensor.shape,
    }))?;
    let mut archive = Archive::default();
    archive.add(&format!("{FOLDER}/data.pkl"), &pickle)?;
    archive.add(&format!("{FOLDER}/byteorder"), b"little")?;
    for (record, (_, _, numbers)) in tensors.iter().enumerate() {
        archive.add(&format!("{FOLDER}/data/{record}"), &numbers.bytes)?;
    }
    archive.add(&format!("{FOLDER}/version"), VERSION)?;
    archive.finish()
}

/// The numbers of a tensor as PyTorch stores them.
struct Numbers {
    storage: &'static str,
    /// Little-endian.
    bytes: Vec<u8>,
}

fn numbers(tensor: &StateTensor) -> Option<Numbers> {
    let (storage, bytes) = match &tensor.values {
        Values::F32(numbers) => {
            let bytes = numbers.iter().flat_map(|x| x.to_le_bytes());
            ("FloatStorage", bytes.collect())
        }
        Values::I64(numbers) => {
            let bytes = numbers.iter().flat_map(|x| x.to_le_bytes());
            ("LongStorage", bytes.collect())
        }
        Values::Unread(_) => return None,
    };
    Some(Numbers { storage, bytes })
}
