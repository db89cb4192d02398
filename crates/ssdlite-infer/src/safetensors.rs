//! The safetensors format: eight bytes that count the header, a JSON header
//! that says where each tensor lies, the tensors.
//!
//! Read and written here rather than by the crate of that name, which brings
//! eleven others along. Source: the format's description in the repository
//! `huggingface/safetensors`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The largest header: 10,000 class names of the greatest length fit.
pub const MAX_HEADER_BYTES: u64 = 8 << 20;

/// Bytes of the header's length at the start of the file.
const LENGTH_BYTES: usize = 8;

/// Key of the metadata among the tensors.
const METADATA: &str = "__metadata__";

/// Headers are filled up to a multiple of this with spaces, so that the numbers
/// are aligned.
const ALIGNMENT: usize = 8;

/// A tensor's type; others than these two are only named.
pub(crate) const F32: &str = "F32";
pub(crate) const I64: &str = "I64";

/// What a header says about a tensor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Tensor {
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// A header.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tensors: BTreeMap<String, Tensor>,
    /// Where the tensors begin.
    data: usize,
}

#[derive(Serialize, Deserialize)]
struct Json {
    #[serde(rename = "__metadata__", default, deserialize_with = "unique")]
    metadata: BTreeMap<String, String>,
    #[serde(flatten, deserialize_with = "unique")]
    tensors: BTreeMap<String, Tensor>,
}

/// Reads a map in which no key stands twice.
fn unique<'de, V, D>(deserializer: D) -> std::result::Result<BTreeMap<String, V>, D::Error>
where
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(Unique(PhantomData))
}

struct Unique<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut entries: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, V>()? {
            match map.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(place) => {
                    let fault = format!("the key `{}` stands twice", place.key());
                    return Err(A::Error::custom(fault));
                }
            }
        }
        Ok(map)
    }
}

impl Header {
    /// Reads the header of a file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self> {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(Error::Malformed(format!(
                "expected a safetensors file, found {} bytes",
                bytes.len()
            )));
        };
        let length = u64::from_le_bytes(*length);
        if length > rest.len() as u64 {
            return Err(Error::Malformed(format!(
                "expected a safetensors header of at most {} bytes, found a length of {length}: \
                 the file is cut off or no safetensors file",
                rest.len()
            )));
        }
        if length > MAX_HEADER_BYTES {
            return Err(Error::OverLimit(format!(
                "expected a safetensors header of at most {MAX_HEADER_BYTES} bytes, found a \
                 length of {length}: this may be no safetensors file"
            )));
        }
        let json: Json = serde_json::from_slice(&rest[..length as usize]).map_err(|error| {
            Error::Malformed(format!("header of the safetensors file: {error}"))
        })?;
        Ok(Self {
            metadata: json.metadata,
            tensors: json.tensors,
            data: LENGTH_BYTES + length as usize,
        })
    }

    /// Where the `size` bytes of a tensor lie in a file of `len` bytes.
    pub(crate) fn range(
        &self,
        key: &str,
        tensor: &Tensor,
        size: usize,
        len: usize,
    ) -> Result<Range<usize>> {
        let [start, end] = tensor.data_offsets;
        let fits = start <= end && end - start == size && end <= len - self.data;
        if fits {
            Ok(self.data + start..self.data + end)
        } else {
            Err(Error::Malformed(format!(
                "expected {size} bytes for {key} within the {} of all tensors, \
                 found bytes {start} to {end}",
                len - self.data
            )))
        }
    }

    /// Checks that the ranges of all tensors fill a file of `len` bytes, each
    /// byte once, as the format demands.
    pub(crate) fn check_ranges(&self, mut ranges: Vec<Range<usize>>, len: usize) -> Result<()> {
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let end_of_file = len..len;
        let mut expected = self.data;
        for range in ranges.into_iter().chain([end_of_file]) {
            if range.start != expected {
                return Err(Error::Malformed(format!(
                    "expected tensors without gap or overlap, the next at byte {}, found {}",
                    expected - self.data,
                    range.start - self.data
                )));
            }
            expected = range.end;
        }
        Ok(())
    }
}

/// The bytes of a file: metadata, then tensors of type, shape and bytes.
pub(crate) fn file_bytes(
    metadata: BTreeMap<String, String>,
    parts: &BTreeMap<String, (&'static str, Vec<usize>, Vec<u8>)>,
) -> Result<Vec<u8>> {
    let mut tensors = BTreeMap::new();
    let mut end = 0;
    for (key, (dtype, shape, bytes)) in parts {
        if key == METADATA {
            return Err(Error::Malformed(format!(
                "expected no tensor named {METADATA}"
            )));
        }
        let start = end;
        end += bytes.len();
        let tensor = Tensor {
            dtype: (*dtype).to_owned(),
            shape: shape.clone(),
            data_offsets: [start, end],
        };
        tensors.insert(key.clone(), tensor);
    }
    let mut header = serde_json::to_vec(&Json { metadata, tensors })
        .map_err(|error| Error::Malformed(error.to_string()))?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    let mut bytes = Vec::with_capacity(LENGTH_BYTES + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for (_, _, part) in parts.values() {
        bytes.extend(part);
    }
    Ok(bytes)
}
