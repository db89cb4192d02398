//! What `torch.save` wrote before 1.6, and writes where it is asked to.
//!
//! Five pickles one after the other: a magic number, a version, the system, the
//! object, the keys of its storages. Then each storage: the count of its numbers in
//! eight bytes, the numbers, both little-endian on all systems. Source:
//! `_legacy_save` and `_legacy_load` in `torch/serialization.py`.

use std::collections::HashMap;

use super::pickle::{Pickle, Value};
use super::{MAX_PICKLE_BYTES, Records, named_tensors};
use crate::error::{Error, Result};
use crate::weights::element::ByteOrder;
use crate::weights::stored::{Checkpoint, Record, Source, read_error};

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: &[u8] = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Bytes of the count before a storage.
const COUNT_BYTES: u64 = 8;

/// Finds the tensors of a file.
pub(super) fn open(mut source: Source) -> Result<Checkpoint> {
    let len = source.len.min(MAX_PICKLE_BYTES);
    let bytes = source.read(0, len).map_err(read_error)?;
    let (_, _, mut at) = Pickle::read(&bytes)?;
    if !bytes[..at].windows(MAGIC.len()).any(|bytes| bytes == MAGIC) {
        return Err(Error::Malformed(
            "expected a file of torch.save, found another pickle".into(),
        ));
    }
    for _ in ["version", "system"] {
        at += Pickle::read(&bytes[at..])?.2;
    }
    let (pickle, value, len) = Pickle::read(&bytes[at..])?;
    at += len;
    let (keys, list, len) = Pickle::read(&bytes[at..])?;
    at += len;
    let sizes: HashMap<&[u8], usize> = pickle
        .storages()
        .iter()
        .map(|storage| (pickle.text(storage.key), storage.size))
        .collect();
    let mut start = at as u64;
    let mut records = Records::default();
    for &key in keys.held(list) {
        let Value::Text(key) = key else {
            return Err(Error::Malformed(
                "expected the storages' names to be texts".into(),
            ));
        };
        let key = keys.text(key);
        let name = String::from_utf8_lossy(key);
        let size = *sizes.get(key).ok_or_else(|| {
            Error::Malformed(format!("expected a tensor in storage {name}, found none"))
        })?;
        let count = source.read(start, COUNT_BYTES).map_err(read_error)?;
        let count = u64::from_le_bytes(*count.first_chunk().unwrap_or(&[0; 8]));
        start += COUNT_BYTES;
        let len = count.checked_mul(size as u64);
        let len = len
            .filter(|&len| len <= source.len - start)
            .ok_or_else(|| {
                Error::Malformed(format!(
                    "expected {count} numbers in storage {name}: the file is cut off"
                ))
            })?;
        records.index(&name, || Ok(Record::plain(start..start + len)))?;
        start += len;
    }
    let tensors = named_tensors(&pickle, value, |key| {
        records.by_name.get(key).copied().ok_or_else(|| {
            Error::Malformed(format!("expected storage {key} in the file, found none"))
        })
    })?;
    Ok(Checkpoint {
        source,
        order: ByteOrder::Little,
        records: records.all,
        tensors,
    })
}
