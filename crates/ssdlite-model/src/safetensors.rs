//! The safetensors format: eight bytes that count the header, a JSON header
//! that says where each tensor lies, the tensors.
//!
//! Read and written here rather than by the crate of that name: it keeps the
//! last of keys that stand twice, where other readers may keep the first, and
//! brings eleven crates along. Source: the format's description in the
//! repository `huggingface/safetensors`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bounds;
use crate::error::{Error, Result};
use crate::json::check_keys;

/// The largest header: 10,000 class names of the greatest length fit.
pub const MAX_HEADER_BYTES: u64 = 8 << 20;

/// Bytes of the header's length at the start of the file.
const LENGTH_BYTES: usize = 8;

/// Key of the metadata among the tensors.
const METADATA: &str = "__metadata__";

/// Headers are filled up to a multiple of this with spaces, so that the numbers
/// are aligned.
const ALIGNMENT: usize = 8;

/// The format's names of the types that are read.
const F32: &str = "F32";
const I64: &str = "I64";

/// What a file holds, where it lies in the file's bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents<'a> {
    /// Texts by their names.
    pub metadata: BTreeMap<String, String>,
    /// Tensors by their names.
    pub tensors: BTreeMap<String, RawTensor<'a>>,
}

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct RawTensor<'a> {
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its numbers, the last dimension fastest.
    pub numbers: RawNumbers<'a>,
}

/// A tensor's numbers in a file, of which there are as many as its shape says.
#[derive(Clone, Debug, PartialEq)]
pub enum RawNumbers<'a> {
    /// Little-endian `f32`.
    F32(&'a [[u8; 4]]),
    /// Little-endian `i64`.
    I64(&'a [[u8; 8]]),
    /// Another type, by the format's name; its size was not checked.
    Other(String),
}

/// A tensor to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorView<'a> {
    /// Extents, outermost first; empty for a scalar.
    pub shape: &'a [usize],
    /// As many numbers as the shape says, the last dimension fastest.
    pub numbers: Numbers<'a>,
}

/// Numbers to write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Numbers<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 64-bit integers.
    I64(&'a [i64]),
}

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Entry>,
}

/// What a header says about a tensor.
#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// A file of which the header alone was read.
pub(crate) struct Opened {
    file: File,
    /// What was read.
    start: Vec<u8>,
    header: Header,
    /// Bytes behind the header.
    data_len: u64,
}

impl Opened {
    /// Reads the header of a file of `len` bytes, and checks it against them.
    pub(crate) fn new(mut file: File, len: u64) -> Result<Self> {
        let mut start = Vec::new();
        read_more(&mut file, &mut start, (LENGTH_BYTES as u64).min(len))?;
        let header_len = checked_header_length(&start, len)?;
        read_more(&mut file, &mut start, header_len)?;
        let data_len = len - start.len() as u64;
        let header = Header::from_bytes(&start[LENGTH_BYTES..], data_len)?;
        Ok(Self {
            file,
            start,
            header,
            data_len,
        })
    }

    /// Texts by their names.
    pub(crate) fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// How many bytes all tensors take.
    pub(crate) fn data_len(&self) -> u64 {
        self.data_len
    }

    /// All bytes of the file.
    pub(crate) fn read(mut self) -> Result<Vec<u8>> {
        self.start.reserve_exact(self.data_len as usize);
        read_more(&mut self.file, &mut self.start, self.data_len)?;
        Ok(self.start)
    }

    /// The file, and what its header says about each tensor: its type by the
    /// format's name, its shape, and its bytes' place in the file.
    #[cfg(feature = "pytorch")]
    pub(crate) fn into_places(self) -> (File, Vec<Place>) {
        let data = self.start.len() as u64;
        let places = self.header.tensors.into_iter().map(|(key, entry)| {
            let [start, end] = entry.data_offsets.map(|offset| data + offset as u64);
            Place {
                key,
                dtype: entry.dtype,
                shape: entry.shape,
                bytes: start..end,
            }
        });
        (self.file, places.collect())
    }
}

/// Where a tensor lies in a file.
#[cfg(feature = "pytorch")]
pub(crate) struct Place {
    pub(crate) key: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Range<u64>,
}

fn read_more(file: &mut File, bytes: &mut Vec<u8>, count: u64) -> Result<()> {
    let read = file.take(count).read_to_end(bytes);
    match read {
        Ok(read) if read as u64 == count => Ok(()),
        Ok(_) => Err(Error::Malformed("the file is cut off".into())),
        Err(error) => Err(Error::Malformed(format!("the file can't be read: {error}"))),
    }
}

/// The bytes of a file. They are read where its header is sound and says that there
/// are as many.
///
/// # Errors
/// [`Error::Io`], [`Error::Malformed`] for something other than a file or a header
/// that [`Contents::from_bytes`] would refuse, [`Error::OverLimit`] for more than
/// `most` bytes or too long a header.
pub fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let read = || {
        let (file, len) = bounds::open(path, most)?;
        Opened::new(file, len)?.read()
    };
    read().map_err(|error: Error| error.in_file(path))
}

/// The header's length in bytes, by the start of a file.
fn header_length(bytes: &[u8]) -> Result<u64> {
    let length = bytes.first_chunk::<LENGTH_BYTES>().ok_or_else(|| {
        Error::Malformed(format!(
            "expected a safetensors file, found {} bytes",
            bytes.len()
        ))
    })?;
    // How PyTorch's files begin: a zip archive, or a pickle of protocol 2 to 5. As
    // lengths these are over the limit, so no header has them.
    if length.starts_with(b"PK\x03\x04") || matches!(length, [0x80, 2..=5, 0x8a | 0x95, ..]) {
        return Err(Error::Unsupported(
            "this is a PyTorch file; a model file is made of it by \
             `ssdlite import FILE --arch ARCH --classes FILE --out MODEL`"
                .into(),
        ));
    }
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES {
        return Err(Error::OverLimit(format!(
            "expected a safetensors header of at most {MAX_HEADER_BYTES} bytes, found a length of \
             {length}: this may be no safetensors file"
        )));
    }
    Ok(length)
}

/// [`header_length`] that is no greater than a file of `len` bytes allows.
fn checked_header_length(bytes: &[u8], len: u64) -> Result<u64> {
    let length = header_length(bytes)?;
    let most = len - LENGTH_BYTES as u64;
    if length > most {
        return Err(Error::Malformed(format!(
            "expected a safetensors header of at most {most} bytes, found a length of {length}: \
             the file is cut off or no safetensors file"
        )));
    }
    Ok(length)
}

impl Header {
    /// Reads a header in front of `data_len` bytes.
    fn from_bytes(bytes: &[u8], data_len: u64) -> Result<Self> {
        let malformed =
            |fault| Error::Malformed(format!("header of the safetensors file: {fault}"));
        check_keys(bytes).map_err(malformed)?;
        let header = serde_json::from_slice(bytes);
        let header: Self = header.map_err(|error| malformed(error.to_string()))?;
        check_ranges(&header.tensors, data_len)?;
        Ok(header)
    }
}

impl<'a> Contents<'a> {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Error::OverLimit`] for a header of more than [`MAX_HEADER_BYTES`];
    /// [`Error::Malformed`] for bytes that are no safetensors file, a key that
    /// stands twice, tensors that leave gaps or overlap, or whose bytes are not
    /// as many as type and shape ask for.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        let length = checked_header_length(bytes, bytes.len() as u64)?;
        let (header, data) = bytes[LENGTH_BYTES..].split_at(length as usize);
        let Header { metadata, tensors } = Header::from_bytes(header, data.len() as u64)?;
        let tensors = tensors
            .into_iter()
            .map(|(key, entry)| {
                let tensor = raw_tensor(&key, entry, data)?;
                Ok((key, tensor))
            })
            .collect::<Result<_>>()?;
        Ok(Self { metadata, tensors })
    }
}

/// Checks that the ranges of all tensors fill `len` bytes, each byte once, as
/// the format demands.
fn check_ranges(tensors: &BTreeMap<String, Entry>, len: u64) -> Result<()> {
    let range = |entry: &Entry| entry.data_offsets.map(|offset| offset as u64);
    let mut ranges: Vec<_> = tensors.values().map(range).collect();
    ranges.sort_unstable();
    let end_of_file = [len, len];
    let mut expected = 0;
    for [start, end] in ranges.into_iter().chain([end_of_file]) {
        if start != expected || end < start {
            return Err(Error::Malformed(format!(
                "expected tensors without gap or overlap that fill {len} bytes, the next at byte \
                 {expected}, found bytes {start} to {end}"
            )));
        }
        expected = end;
    }
    Ok(())
}

/// A tensor whose range lies in `data`.
fn raw_tensor<'a>(key: &str, entry: Entry, data: &'a [u8]) -> Result<RawTensor<'a>> {
    let Entry {
        dtype,
        shape,
        data_offsets: [start, end],
    } = entry;
    let bytes = &data[start..end];
    let check = |size: usize| check_size(key, &dtype, &shape, size, bytes.len() as u64);
    let numbers = match dtype.as_str() {
        F32 => {
            check(size_of::<f32>())?;
            RawNumbers::F32(bytes.as_chunks().0)
        }
        I64 => {
            check(size_of::<i64>())?;
            RawNumbers::I64(bytes.as_chunks().0)
        }
        _ => RawNumbers::Other(dtype),
    };
    Ok(RawTensor { shape, numbers })
}

/// Checks that a tensor whose numbers have `size` bytes each takes `found` in all.
pub(crate) fn check_size(
    key: &str,
    dtype: &str,
    shape: &[usize],
    size: usize,
    found: u64,
) -> Result<()> {
    let bytes = shape.iter().try_fold(size, |all, &n| all.checked_mul(n));
    if bytes.map(|bytes| bytes as u64) == Some(found) {
        return Ok(());
    }
    Err(Error::Malformed(format!(
        "expected as many bytes for {} as {} asks for, found {found}",
        key.escape_debug(),
        describe(dtype, shape)
    )))
}

/// `f32[16,3,3,3]`
pub(crate) fn describe(dtype: &str, shape: &[usize]) -> String {
    let extents: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("{}[{}]", dtype.to_lowercase(), extents.join(","))
}

impl RawTensor<'_> {
    /// Type and shape, as in `f32[16,3,3,3]`.
    pub fn description(&self) -> String {
        let dtype = match &self.numbers {
            RawNumbers::F32(_) => F32,
            RawNumbers::I64(_) => I64,
            RawNumbers::Other(name) => name,
        };
        describe(dtype, &self.shape)
    }
}

impl Numbers<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(numbers) => numbers.len(),
            Self::I64(numbers) => numbers.len(),
        }
    }

    fn dtype(&self) -> (&'static str, usize) {
        match self {
            Self::F32(_) => (F32, size_of::<f32>()),
            Self::I64(_) => (I64, size_of::<i64>()),
        }
    }

    fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::F32(numbers) => bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes())),
            Self::I64(numbers) => bytes.extend(numbers.iter().flat_map(|x| x.to_le_bytes())),
        }
    }
}

/// The bytes of a file: wide numbers before narrow ones, so that all are
/// aligned, and in the order of their names.
///
/// # Errors
/// [`Error::Malformed`] for a tensor that has not as many numbers as its shape
/// says, or the name that the format keeps for the metadata;
/// [`Error::OverLimit`] for a header of more than [`MAX_HEADER_BYTES`].
pub fn to_bytes(
    metadata: BTreeMap<String, String>,
    tensors: &BTreeMap<String, TensorView<'_>>,
) -> Result<Vec<u8>> {
    let mut ordered: Vec<(&String, &TensorView<'_>)> = tensors.iter().collect();
    ordered.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.numbers.dtype().1));
    let mut entries = BTreeMap::new();
    let mut end = 0;
    for (key, tensor) in &ordered {
        let Range { start, end: next } = place(key, tensor, end)?;
        end = next;
        let entry = Entry {
            dtype: tensor.numbers.dtype().0.to_owned(),
            shape: tensor.shape.to_owned(),
            data_offsets: [start, next],
        };
        entries.insert((*key).clone(), entry);
    }
    let header = Header {
        metadata,
        tensors: entries,
    };
    let mut header =
        serde_json::to_vec(&header).map_err(|error| Error::Malformed(error.to_string()))?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    let length = (header.len() as u64).to_le_bytes();
    header_length(&length)?;
    let mut bytes = Vec::with_capacity(LENGTH_BYTES + header.len() + end);
    bytes.extend(length);
    bytes.extend(header);
    for (_, tensor) in ordered {
        tensor.numbers.append_to(&mut bytes);
    }
    Ok(bytes)
}

/// Where a tensor's bytes lie that begin at `start`.
fn place(key: &str, tensor: &TensorView<'_>, start: usize) -> Result<Range<usize>> {
    if key == METADATA {
        return Err(Error::Malformed(format!(
            "expected no tensor named {METADATA}"
        )));
    }
    let (found, (dtype, size)) = (tensor.numbers.len(), tensor.numbers.dtype());
    if found != tensor.shape.iter().product::<usize>() {
        return Err(Error::Malformed(format!(
            "expected as many numbers for {key} as {} asks for, found {found}",
            describe(dtype, tensor.shape)
        )));
    }
    Ok(start..start + found * size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run's checkpoint, whose header grows by each epoch, was taken for a zip.
    #[test]
    fn a_length_that_begins_like_a_zip_is_a_length() {
        for length in [0x4b50_u64, 0x3_4b50, 0x02_4b50, 0x8280] {
            assert_eq!(header_length(&length.to_le_bytes()).unwrap(), length);
        }
        for start in [*b"PK\x03\x04\x14\0\0\0", [0x80, 2, 0x8a, 10, 0, 0, 0, 0]] {
            let error = header_length(&start).unwrap_err();
            assert!(error.to_string().contains("PyTorch"), "{error}");
        }
    }
}
