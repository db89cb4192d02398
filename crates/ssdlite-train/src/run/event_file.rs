//! The course of a run for TensorBoard: an event file, with what `results.csv` says.
//!
//! TensorBoard follows a file while it grows and doesn't see that another takes its
//! place. So the file of a session is appended to, and each session begins a new one
//! with the whole course so far, which replaces the file of the session before.
//!
//! An event file is a row of records: an event's length, the length's checksum, the
//! event, its checksum. Events are protocol buffers, of which a scalar needs few fields.
//! Sources: TensorFlow's `core/lib/io/record_writer.h`, `core/lib/hash/crc32c.h`,
//! `core/util/event.proto` and `core/framework/summary.proto`.

use std::fs::{self, File};
use std::io::Write;
use std::time::SystemTime;

use super::results::EpochRow;
use super::run_folder::{RunFolder, write_file};
use crate::error::{Error, Result};

/// A session's event file.
#[derive(Debug, Default)]
pub(super) struct EventFile {
    /// None before the first row.
    file: Option<File>,
    /// Rows that are in it.
    rows: usize,
}

impl EventFile {
    /// Writes the rows of a run's course that are not in the file yet. With the first of
    /// them the files of earlier sessions go.
    pub(super) fn write(&mut self, folder: &RunFolder, rows: &[EpochRow]) -> Result<()> {
        let new = rows.iter().skip(self.rows).flat_map(record_of_row);
        match &mut self.file {
            Some(file) => {
                let bytes: Vec<u8> = new.collect();
                file.write_all(&bytes)
                    .map_err(|source| Error::io(folder.path(), source))?;
            }
            None => self.file = Some(begin(folder, new)?),
        }
        self.rows = rows.len();
        Ok(())
    }
}

/// Makes a session's file with these records of rows, and removes all others.
fn begin(folder: &RunFolder, rows: impl Iterator<Item = u8>) -> Result<File> {
    let now = seconds_since_1970();
    let path = folder.event_file(now as u64);
    let bytes: Vec<u8> = head(now).into_iter().chain(rows).collect();
    write_file(&path, &bytes)?;
    for other in folder.event_files()?.iter().filter(|other| **other != path) {
        fs::remove_file(other).map_err(|source| Error::io(other, source))?;
    }
    let file = File::options().append(true).open(&path);
    file.map_err(|source| Error::io(path, source))
}

/// Seconds since 1970, as TensorBoard counts time.
pub(super) fn seconds_since_1970() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// What a file begins with: its version, and that what TensorBoard knows of other files
/// counts no more.
fn head(now: f64) -> Vec<u8> {
    const FILE_VERSION: &[u8] = b"brain.Event:2";
    /// `SessionLog { status: START }`
    const SESSION_START: [u8; 2] = [1 << 3, 1];
    let version = event(now, 0, Content::FileVersion(FILE_VERSION));
    let start = event(now, 0, Content::SessionLog(&SESSION_START));
    [record(&version), record(&start)].concat()
}

/// A row's scalars at its step, under the names that its columns have.
fn record_of_row(row: &EpochRow) -> Vec<u8> {
    let mut summary = Vec::new();
    let mut add = |tag: &str, value| put_bytes(&mut summary, 1, &scalar(tag, value));
    add("train/loss", row.losses.total());
    if let Some(regression) = row.losses.regression {
        add("train/classification_loss", row.losses.classification);
        add("train/regression_loss", regression);
    }
    add("train/lr", row.lr);
    add("train/images_per_second", row.images_per_second);
    for (name, score) in &row.scores {
        add(&format!("val/{name}"), *score);
    }
    record(&event(row.ended, row.steps, Content::Summary(&summary)))
}

/// What an event holds.
#[derive(Clone, Copy)]
enum Content<'a> {
    FileVersion(&'a [u8]),
    Summary(&'a [u8]),
    SessionLog(&'a [u8]),
}

fn event(time: f64, step: u64, content: Content<'_>) -> Vec<u8> {
    let mut event = Vec::new();
    put_key(&mut event, 1, WireType::Bits64);
    event.extend(time.to_le_bytes());
    put_key(&mut event, 2, WireType::Varint);
    put_varint(&mut event, step);
    let (field, bytes) = match content {
        Content::FileVersion(bytes) => (3, bytes),
        Content::Summary(bytes) => (5, bytes),
        Content::SessionLog(bytes) => (7, bytes),
    };
    put_bytes(&mut event, field, bytes);
    event
}

/// A `Summary.Value` with a `tag` and a `simple_value`.
fn scalar(tag: &str, value: f64) -> Vec<u8> {
    let mut scalar = Vec::new();
    put_bytes(&mut scalar, 1, tag.as_bytes());
    put_key(&mut scalar, 2, WireType::Bits32);
    scalar.extend((value as f32).to_le_bytes());
    scalar
}

/// How a field's value is laid out. Source: protobuf's "Encoding" guide.
#[derive(Clone, Copy)]
enum WireType {
    Varint = 0,
    Bits64 = 1,
    Bytes = 2,
    Bits32 = 5,
}

/// Field numbers here are below 16, so that a key is a byte.
fn put_key(message: &mut Vec<u8>, field: u8, kind: WireType) {
    message.push((field << 3) | kind as u8);
}

/// A number of 7 bits a byte, the lowest first.
fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

fn put_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    put_key(message, field, WireType::Bytes);
    put_varint(message, bytes.len() as u64);
    message.extend(bytes);
}

/// An event with its length and their checksums.
fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let mut record = Vec::new();
    for part in [&length[..], event] {
        record.extend(part);
        record.extend(masked_crc32c(part).to_le_bytes());
    }
    record
}

/// The checksum of a record's part: a checksum of bytes that hold checksums would be
/// less good, therefore the mask.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    const MASK_DELTA: u32 = 0xa282_ead8;
    crc32c(bytes).rotate_right(15).wrapping_add(MASK_DELTA)
}

/// Castagnoli's CRC-32: RFC 3720, appendix B.4.
fn crc32c(bytes: &[u8]) -> u32 {
    /// The polynomial with its lowest power as the highest bit.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let has_carry = (crc & 1).wrapping_neg();
            crc = (crc >> 1) ^ (POLYNOMIAL & has_carry);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ssdlite_data::Overwrite;

    use super::*;
    use crate::step::Losses;

    /// A field of a message.
    #[derive(Debug, PartialEq)]
    enum Field {
        Number(u64),
        Bytes(Vec<u8>),
    }

    fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
        let (taken, rest) = bytes.split_first_chunk().unwrap();
        *bytes = rest;
        *taken
    }

    fn take_varint(bytes: &mut &[u8]) -> u64 {
        let mut number = 0;
        for place in 0.. {
            let [byte] = take(bytes);
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                break;
            }
        }
        number
    }

    /// The fields of any message with their numbers.
    fn fields(mut message: &[u8]) -> Vec<(u64, Field)> {
        let mut fields = Vec::new();
        while !message.is_empty() {
            let key = take_varint(&mut message);
            let value = match key & 7 {
                0 => Field::Number(take_varint(&mut message)),
                1 => Field::Number(u64::from_le_bytes(take(&mut message))),
                2 => {
                    let length = take_varint(&mut message) as usize;
                    let (bytes, rest) = message.split_at(length);
                    message = rest;
                    Field::Bytes(bytes.to_vec())
                }
                5 => Field::Number(u32::from_le_bytes(take(&mut message)).into()),
                other => panic!("wire type {other}"),
            };
            fields.push((key >> 3, value));
        }
        fields
    }

    /// The events of a file, each with its time, its step and its content's field.
    fn events(mut bytes: &[u8]) -> Vec<(f64, u64, (u64, Vec<u8>))> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let length: [u8; 8] = take(&mut bytes);
            assert_eq!(u32::from_le_bytes(take(&mut bytes)), masked_crc32c(&length));
            let (event, rest) = bytes.split_at(u64::from_le_bytes(length) as usize);
            bytes = rest;
            assert_eq!(u32::from_le_bytes(take(&mut bytes)), masked_crc32c(event));
            let Ok(
                [
                    (1, Field::Number(time)),
                    (2, Field::Number(step)),
                    (kind, Field::Bytes(content)),
                ],
            ) = <[_; 3]>::try_from(fields(event))
            else {
                panic!("another event: {event:?}");
            };
            events.push((f64::from_bits(time), step, (kind, content)));
        }
        events
    }

    /// The scalars of a file by step and tag, after the two events that it begins with.
    fn scalars(bytes: &[u8]) -> Vec<(u64, String, f32)> {
        let events = events(bytes);
        assert_eq!(events[0].2, (3, b"brain.Event:2".to_vec()));
        assert_eq!((events[1].1, &events[1].2), (0, &(7, vec![8, 1])));
        let mut scalars = Vec::new();
        for (time, step, (kind, summary)) in &events[2..] {
            assert_eq!((*kind, *time), (5, ENDED));
            for (number, value) in fields(summary) {
                let Field::Bytes(value) = value else {
                    panic!("{value:?}");
                };
                let value = fields(&value);
                let [(1, Field::Bytes(tag)), (2, Field::Number(bits))] = &value[..] else {
                    panic!("{value:?}");
                };
                assert_eq!(number, 1);
                let tag = String::from_utf8(tag.clone()).unwrap();
                scalars.push((*step, tag, f32::from_bits(*bits as u32)));
            }
        }
        scalars
    }

    const ENDED: f64 = 1.75e9 + 0.25;

    fn row(epoch: u32, scores: &[(&str, f64)]) -> EpochRow {
        EpochRow {
            epoch,
            steps: u64::from(epoch) * 300,
            losses: Losses {
                classification: 2.0,
                regression: Some(0.5),
            },
            lr: 2e-3,
            images_per_second: 81.5,
            seconds: 3.0,
            ended: ENDED,
            scores: scores.iter().map(|&(n, s)| (n.to_owned(), s)).collect(),
        }
    }

    fn only_file(folder: &RunFolder) -> PathBuf {
        let files = folder.event_files().unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    #[test]
    fn a_course_is_appended_to_and_a_new_session_begins_anew() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), Overwrite::Refuse).unwrap();
        let rows = [row(1, &[]), row(2, &[("map_voc07", 0.25)]), row(3, &[])];
        let mut session = EventFile::default();
        let mut before = Vec::new();
        for rows in [&rows[..1], &rows[..2], &rows[..2], &rows[..]] {
            session.write(&folder, rows).unwrap();
            let bytes = fs::read(only_file(&folder)).unwrap();
            assert!(bytes.starts_with(&before));
            before = bytes;
        }
        let expected = |step, more: &[(&str, f32)]| {
            let usual = [
                ("train/loss", 2.5),
                ("train/classification_loss", 2.0),
                ("train/regression_loss", 0.5),
                ("train/lr", 2e-3),
                ("train/images_per_second", 81.5),
            ];
            let all = [&usual[..], more].concat();
            let all = all.into_iter();
            all.map(|(tag, value)| (step, tag.to_owned(), value))
                .collect::<Vec<_>>()
        };
        let course = [
            expected(300, &[]),
            expected(600, &[("val/map_voc07", 0.25)]),
            expected(900, &[]),
        ];
        assert_eq!(scalars(&before), course.concat());

        // The run was killed while it wrote, and goes on from its second epoch.
        let old = only_file(&folder);
        fs::write(&old, &before[..before.len() - 3]).unwrap();
        let earlier = folder.event_file(7);
        fs::rename(&old, &earlier).unwrap();
        let mut session = EventFile::default();
        session.write(&folder, &rows[..2]).unwrap();
        assert!(!earlier.exists());
        session.write(&folder, &rows).unwrap();
        let bytes = fs::read(only_file(&folder)).unwrap();
        assert_eq!(scalars(&bytes), course.concat());
    }

    /// RFC 3720, appendix B.4, and the usual check value.
    #[test]
    fn checksums_are_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn numbers_of_any_size_are_read_back() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            assert_eq!(take_varint(&mut &bytes[..]), number);
        }
    }
}
