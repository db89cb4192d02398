//! Tensors that lie in a file: where, and reading some of them under a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use flate2::Crc;
use flate2::read::DeflateDecoder;

use super::element::{ByteOrder, Element};
use crate::error::{Error, Result};
use crate::model_file::MAX_MODEL_BYTES;
use crate::state_dict::{StateDict, StateTensor, Values};

/// Bytes that tensors may take beyond those of their file, in which a tensor of
/// one number may stand for many: the largest network of a usual width has a
/// quarter of it.
const LEAST_BUDGET: u64 = 128 << 20;

/// Bytes that no network's tensors exceed: MobileNetV3-Large at a width multiplier of 4
/// has less.
const MOST_BUDGET: u64 = MAX_MODEL_BYTES / 8 * 3;

/// A file of known length that is read piece by piece.
#[derive(Debug)]
pub(crate) struct Source {
    file: File,
    /// Its length in bytes.
    pub(crate) len: u64,
}

impl Source {
    pub(crate) fn new(file: File, len: u64) -> Self {
        Self { file, len }
    }

    /// The file, to be read from its start.
    pub(crate) fn into_file(mut self) -> Result<File> {
        self.file.rewind().map_err(read_error)?;
        Ok(self.file)
    }

    /// `len` bytes from `start` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] where the file has fewer; nothing is read then.
    pub(crate) fn read(&mut self, start: u64, len: u64) -> io::Result<Vec<u8>> {
        if start.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = Vec::with_capacity(len as usize);
        self.file.seek(SeekFrom::Start(start))?;
        (&self.file).take(len).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

/// A run of bytes in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its first byte.
    pub(crate) start: u64,
    /// How many bytes lie in the file.
    pub(crate) stored: u64,
    /// How many they are when they are unpacked.
    pub(crate) size: u64,
    pub(crate) packing: Packing,
    /// The checksum of the unpacked bytes, if the file gives one.
    pub(crate) crc: Option<u32>,
}

/// How a record lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Deflated,
}

impl Record {
    /// One that lies in its file as it is.
    pub(crate) fn plain(bytes: Range<u64>) -> Self {
        let size = bytes.end - bytes.start;
        Self {
            start: bytes.start,
            stored: size,
            size,
            packing: Packing::Plain,
            crc: None,
        }
    }

    /// Bytes of it as it lies in the file or unpacked, whichever are more.
    pub(crate) fn most_bytes(&self) -> u64 {
        self.stored.max(self.size)
    }

    /// Reads and unpacks it, where the caller has found [`Self::most_bytes`] bearable.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another number of bytes than it says, or another
    /// checksum.
    pub(crate) fn read(&self, source: &mut Source) -> Result<Vec<u8>> {
        let stored = source.read(self.start, self.stored).map_err(read_error)?;
        let bytes = match self.packing {
            Packing::Plain => stored,
            Packing::Deflated => {
                let mut bytes = Vec::new();
                let mut unpacked = DeflateDecoder::new(&stored[..]).take(self.size);
                unpacked.read_to_end(&mut bytes).map_err(read_error)?;
                bytes
            }
        };
        if bytes.len() as u64 != self.size {
            return Err(Error::Malformed(format!(
                "expected {} bytes that begin at byte {}, found {}",
                self.size,
                self.start,
                bytes.len()
            )));
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        if self.crc.is_some_and(|expected| crc.sum() != expected) {
            return Err(Error::Malformed(
                "expected bytes with the checksum that the zip archive gives: the file is damaged"
                    .into(),
            ));
        }
        Ok(bytes)
    }
}

/// The error of reading a file that was opened.
pub(crate) fn read_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Malformed("the file is cut off".into()),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Error::Malformed(format!("the file is damaged: {error}"))
        }
        _ => Error::Malformed(format!("the file can't be read: {error}")),
    }
}

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stored {
    /// Numbers in a record.
    Strided(Strided),
    /// A kind of tensor that no network here has, by its name.
    Unread(&'static str),
}

/// A view of a record's numbers: that at `indices` lies
/// `offset + sum(indices * strides)` numbers from the start.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Strided {
    /// The record, counted in [`Checkpoint::records`].
    pub(crate) record: usize,
    pub(crate) element: Element,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    /// As many as extents.
    pub(crate) strides: Vec<usize>,
}

impl Strided {
    fn elements(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1_usize, |all, &extent| all.checked_mul(extent))
    }

    /// Where its numbers end in the record, in bytes.
    fn end(&self) -> Option<usize> {
        let last = self
            .shape
            .iter()
            .zip(&self.strides)
            .try_fold(self.offset, |last, (&extent, &stride)| {
                (extent - 1).checked_mul(stride)?.checked_add(last)
            })?;
        last.checked_add(1)?.checked_mul(self.element.size())
    }

    /// Its numbers, of which there are as many as its shape says.
    fn values(&self, record: &[u8], order: ByteOrder, elements: usize) -> Result<Values> {
        let end = if elements == 0 { Some(0) } else { self.end() };
        if end.is_none_or(|end| end > record.len()) {
            return Err(Error::Malformed(format!(
                "expected a tensor within its {} bytes, found one of shape {:?} and strides {:?} \
                 from number {}",
                record.len(),
                self.shape,
                self.strides,
                self.offset
            )));
        }
        let mut indices = vec![0; self.shape.len()];
        let mut at = self.offset;
        let places = (0..elements).map(|_| {
            let place = at * self.element.size();
            for axis in (0..indices.len()).rev() {
                indices[axis] += 1;
                at += self.strides[axis];
                if indices[axis] < self.shape[axis] {
                    break;
                }
                at -= self.shape[axis] * self.strides[axis];
                indices[axis] = 0;
            }
            place
        });
        Ok(self.element.values(record, order, places))
    }
}

/// A tensor of a file under its name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Named {
    /// The keys on the way to it, joined by dots.
    pub(crate) path: String,
    /// The length in bytes of the path of the dictionary that holds it, with the dot
    /// behind it.
    pub(crate) container: usize,
    pub(crate) tensor: Stored,
}

impl Named {
    /// The path of what holds it.
    pub(crate) fn container(&self) -> &str {
        self.path.get(..self.container).unwrap_or(&self.path)
    }
}

/// A file's tensors.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) source: Source,
    pub(crate) order: ByteOrder,
    pub(crate) records: Vec<Record>,
    pub(crate) tensors: Vec<Named>,
}

impl Checkpoint {
    /// Reads tensors under the keys given for them.
    ///
    /// # Errors
    /// [`Error::OverLimit`] for more numbers than such a file should hold, before any
    /// of them is read; [`Error::Malformed`] for a tensor that reaches beyond its
    /// record, or a file that breaks off or is damaged.
    pub(crate) fn read(&mut self, selected: &[(String, Stored)]) -> Result<StateDict> {
        self.check_budget(selected)?;
        let mut by_record: BTreeMap<usize, Vec<(&str, &Strided)>> = BTreeMap::new();
        let mut state = StateDict::default();
        for (key, tensor) in selected {
            match tensor {
                Stored::Strided(strided) => {
                    let tensors = by_record.entry(strided.record).or_default();
                    tensors.push((key, strided));
                }
                Stored::Unread(kind) => {
                    let tensor = StateTensor {
                        shape: Vec::new(),
                        values: Values::Unread((*kind).to_owned()),
                    };
                    state.insert(key.clone(), tensor);
                }
            }
        }
        for (record, tensors) in by_record {
            let bytes = self.records[record].read(&mut self.source);
            let first = tensors[0].0;
            let bytes = bytes.map_err(|error| error.at(first))?;
            for (key, strided) in tensors {
                let elements = strided.elements().unwrap_or(usize::MAX);
                let values = strided.values(&bytes, self.order, elements);
                let values = values.map_err(|error| error.at(key))?;
                let shape = strided.shape.clone();
                state.insert(key.to_owned(), StateTensor { shape, values });
            }
        }
        Ok(state)
    }

    /// Adds up what tensors take in memory, and what their records do.
    fn check_budget(&self, selected: &[(String, Stored)]) -> Result<()> {
        let len = self.source.len;
        let budget = (2 * len + LEAST_BUDGET).min(MOST_BUDGET);
        let (mut numbers, mut of_records) = (0_u64, 0_u64);
        let mut records = BTreeSet::new();
        for (key, tensor) in selected {
            let Stored::Strided(strided) = tensor else {
                continue;
            };
            let elements = strided.elements();
            let bytes = elements.and_then(|n| n.checked_mul(strided.element.read_size()));
            numbers = numbers.saturating_add(bytes.map_or(u64::MAX, |n| n as u64));
            if records.insert(strided.record) {
                let record = self.records[strided.record];
                of_records = of_records.saturating_add(record.most_bytes());
            }
            if numbers > budget || of_records > budget {
                return Err(Error::OverLimit(format!(
                    "{key}: expected tensors of at most {budget} bytes in a file of {len}, found more"
                )));
            }
        }
        Ok(())
    }
}
