//! The zip archives that `torch.save` writes: their directory alone.
//!
//! A record's place and size are taken from the central directory at the end of the
//! file; of its local header only the lengths are read that say where its bytes
//! begin, as PyTorch does. Source: PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.3.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::weights::stored::{Packing, Record, Source, read_error};

/// The largest central directory: 65,536 records with names of 192 bytes.
const MAX_DIRECTORY_BYTES: u64 = 16 << 20;

/// Length of the directory's end record, and of a comment behind it.
const END_BYTES: u64 = 22;
const MAX_COMMENT_BYTES: u64 = 0xffff;

/// Length of the locator that stands before it in large archives.
const LOCATOR_BYTES: u64 = 20;

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const ENTRY: &[u8] = b"PK\x01\x02";
const LOCAL: &[u8] = b"PK\x03\x04";

/// Lengths of the fixed parts of an entry and of a local header.
const ENTRY_BYTES: usize = 46;
const LOCAL_BYTES: u64 = 30;

/// Stands for a number that is given in 64 bits elsewhere.
const ELSEWHERE: u64 = 0xffff_ffff;

/// The kind of an extra field that holds numbers of 64 bits.
const EXTRA_64: u64 = 1;

/// What the directory says about a record.
#[derive(Clone, Copy, Debug)]
struct Entry {
    packing: u64,
    crc: u32,
    stored: u64,
    size: u64,
    header: u64,
}

/// The records of an archive by their names.
pub(super) struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Reads the directory.
    ///
    /// # Errors
    /// [`Error::Malformed`] for one that is damaged or has a name twice,
    /// [`Error::OverLimit`] for too long a one.
    pub(super) fn read(source: &mut Source) -> Result<Self> {
        let (start, len) = directory(source)?;
        if len > MAX_DIRECTORY_BYTES {
            return Err(Error::OverLimit(format!(
                "expected a zip directory of at most {MAX_DIRECTORY_BYTES} bytes, found {len}"
            )));
        }
        let bytes = source.read(start, len).map_err(read_error)?;
        let mut rest = &bytes[..];
        let mut entries = BTreeMap::new();
        while rest.starts_with(ENTRY) {
            let (name, entry, len) = entry(rest).ok_or_else(cut_off)?;
            if entries.contains_key(&name) {
                return Err(Error::Malformed(format!(
                    "{name} stands twice in the zip archive, and readers differ in which they take"
                )));
            }
            entries.insert(name, entry);
            rest = &rest[len..];
        }
        Ok(Self { entries })
    }

    /// All names in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Where the record of this name lies; `None` if there is none.
    pub(super) fn record(&self, source: &mut Source, name: &str) -> Result<Option<Record>> {
        let Some(entry) = self.entries.get(name) else {
            return Ok(None);
        };
        let packing = match entry.packing {
            0 => Packing::Plain,
            8 => Packing::Deflated,
            other => {
                return Err(Error::Unsupported(format!(
                    "{name}: expected bytes that are stored or deflated, found the zip method \
                     {other}"
                )));
            }
        };
        let header = source.read(entry.header, LOCAL_BYTES).map_err(read_error)?;
        if !header.starts_with(LOCAL) {
            return Err(Error::Malformed(format!(
                "{name}: expected its zip header at byte {}, found none",
                entry.header
            )));
        }
        let lengths = number(&header, 26, 2).zip(number(&header, 28, 2));
        let (name_len, extra_len) = lengths.ok_or_else(cut_off)?;
        Ok(Some(Record {
            // The header was read at this place, so that nothing overflows.
            start: entry.header + LOCAL_BYTES + name_len + extra_len,
            stored: entry.stored,
            size: entry.size,
            packing,
            crc: Some(entry.crc).filter(|&crc| crc != 0),
        }))
    }
}

/// Where the central directory begins, and its length.
fn directory(source: &mut Source) -> Result<(u64, u64)> {
    let len = source
        .len
        .min(END_BYTES + MAX_COMMENT_BYTES + LOCATOR_BYTES);
    let tail = source.read(source.len - len, len).map_err(read_error)?;
    let at = tail.windows(END.len()).rposition(|bytes| bytes == END);
    let at = at.ok_or_else(|| {
        Error::Malformed(
            "expected the end of a zip archive, found none: the file is cut off".into(),
        )
    })?;
    let (len, start) = number(&tail, at + 12, 4)
        .zip(number(&tail, at + 16, 4))
        .filter(|_| tail.len() - at >= END_BYTES as usize)
        .ok_or_else(cut_off)?;
    let locator = at.checked_sub(LOCATOR_BYTES as usize);
    let locator = locator.filter(|&at| tail[at..].starts_with(LOCATOR_64));
    let Some(locator) = locator else {
        return Ok((start, len));
    };
    let end = number(&tail, locator + 8, 8).ok_or_else(cut_off)?;
    let end = source.read(end, 56).map_err(read_error)?;
    if !end.starts_with(END_64) {
        return Err(cut_off());
    }
    let (len, start) = number(&end, 40, 8)
        .zip(number(&end, 48, 8))
        .ok_or_else(cut_off)?;
    Ok((start, len))
}

/// An entry of the directory with its name and its length.
fn entry(bytes: &[u8]) -> Option<(String, Entry, usize)> {
    let [name_len, extra_len, comment_len] = [28, 30, 32].map(|at| number(bytes, at, 2));
    let name_end = ENTRY_BYTES + name_len? as usize;
    let extra_end = name_end + extra_len? as usize;
    let len = extra_end + comment_len? as usize;
    let mut entry = Entry {
        packing: number(bytes, 10, 2)?,
        crc: number(bytes, 16, 4)? as u32,
        stored: number(bytes, 20, 4)?,
        size: number(bytes, 24, 4)?,
        header: number(bytes, 42, 4)?,
    };
    widen(&mut entry, bytes.get(name_end..extra_end)?)?;
    let name = String::from_utf8_lossy(&bytes[ENTRY_BYTES..name_end]).into_owned();
    bytes.get(..len)?;
    Some((name, entry, len))
}

/// Takes the numbers that stand in an extra field.
fn widen(entry: &mut Entry, mut extra: &[u8]) -> Option<()> {
    while extra.len() >= 4 {
        let (kind, len) = (number(extra, 0, 2)?, number(extra, 2, 2)? as usize);
        let mut field = extra.get(4..4 + len)?;
        if kind == EXTRA_64 {
            for wide in [&mut entry.size, &mut entry.stored, &mut entry.header] {
                if *wide == ELSEWHERE {
                    *wide = number(field, 0, 8)?;
                    field = &field[8..];
                }
            }
        }
        extra = &extra[4 + len..];
    }
    Some(())
}

/// A little-endian number of `len` bytes.
fn number(bytes: &[u8], at: usize, len: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..len].copy_from_slice(bytes.get(at..at + len)?);
    Some(u64::from_le_bytes(number))
}

fn cut_off() -> Error {
    Error::Malformed("expected the directory of a zip archive, found it damaged".into())
}
