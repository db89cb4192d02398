//! Zip archives as `torch.save` writes them: records that are stored as they are, each
//! at a multiple of 64 bytes.
//!
//! Source: PKWARE's APPNOTE 6.3.10, section 4.3; `caffe2/serialize/inline_container.cc`
//! of PyTorch 2.9 for the padding.

use ssdlite_model::{Error, Result};

const LOCAL: &[u8] = b"PK\x03\x04";
const ENTRY: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";

/// Length of a local header before its name.
const LOCAL_BYTES: usize = 30;

/// Where records begin, so that a file can be mapped.
const ALIGNMENT: usize = 64;

/// The kind of the extra field that pads, and the length of what begins it.
const PADDING_KIND: &[u8] = b"FB";
const PADDING_HEAD: usize = 4;

/// Version 2.0 of the format, names in UTF-8, stored, 1 January 1980.
const VERSION: u16 = 20;
const FLAGS: u16 = 1 << 11;
const STORED: u16 = 0;
const TIME: u16 = 0;
const DATE: u16 = (1 << 5) | 1;

/// An archive under construction.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    records: u16,
}

impl Archive {
    /// Adds a record.
    ///
    /// # Errors
    /// [`Error::OverLimit`] for more than 65,535 records or 4 GiB, which a larger kind of
    /// archive would hold.
    pub(super) fn add(&mut self, name: &str, data: &[u8]) -> Result<()> {
        let over_limit =
            || Error::OverLimit(format!("{name}: expected an archive of less than 4 GiB"));
        let narrow = |number: usize| u32::try_from(number).map_err(|_| over_limit());
        let start = narrow(self.bytes.len())?;
        let len = narrow(data.len())?;
        let name_len = u16::try_from(name.len()).map_err(|_| over_limit())?;
        self.records = self.records.checked_add(1).ok_or_else(over_limit)?;

        // What a local header and an entry of the directory have in common.
        let mut common = Vec::new();
        for number in [VERSION, FLAGS, STORED, TIME, DATE] {
            common.extend(number.to_le_bytes());
        }
        for number in [crc32fast::hash(data), len, len] {
            common.extend(number.to_le_bytes());
        }
        common.extend(name_len.to_le_bytes());

        let head = self.bytes.len() + LOCAL_BYTES + name.len();
        let padding = (head + PADDING_HEAD).next_multiple_of(ALIGNMENT) - head;
        self.bytes.extend(LOCAL);
        self.bytes.extend(&common);
        self.bytes.extend((padding as u16).to_le_bytes());
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(PADDING_KIND);
        self.bytes
            .extend(((padding - PADDING_HEAD) as u16).to_le_bytes());
        self.bytes.resize(head + padding, b'Z');
        self.bytes.extend(data);

        self.directory.extend(ENTRY);
        self.directory.extend(VERSION.to_le_bytes());
        self.directory.extend(&common);
        // No extra field, no comment, first disk, no attributes.
        self.directory.extend([0; 12]);
        self.directory.extend(start.to_le_bytes());
        self.directory.extend(name.as_bytes());
        Ok(())
    }

    /// The bytes of the archive.
    ///
    /// # Errors
    /// [`Error::OverLimit`] for more than 4 GiB.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        let narrow = |number: usize| {
            u32::try_from(number)
                .map_err(|_| Error::OverLimit("expected an archive of less than 4 GiB".into()))
        };
        let (start, len) = (narrow(self.bytes.len())?, narrow(self.directory.len())?);
        self.bytes.extend(&self.directory);
        self.bytes.extend(END);
        // The first disk of one.
        self.bytes.extend([0; 4]);
        self.bytes.extend(self.records.to_le_bytes());
        self.bytes.extend(self.records.to_le_bytes());
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend(start.to_le_bytes());
        // No comment.
        self.bytes.extend([0; 2]);
        Ok(self.bytes)
    }
}
