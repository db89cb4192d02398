//! PyTorch's files: where the tensors lie in them.
//!
//! Read here are the zip archives that `torch.save` writes since 1.6 and the files
//! before (`legacy`). Nothing in a file is run: `pickle` makes plain values of it,
//! `rebuild` knows the few functions that make tensors, `walk` finds these among
//! whatever else was saved. Readers in other crates give no bound on what a file
//! of few bytes may unpack to.

mod archive;
mod legacy;
mod pickle;
mod rebuild;
mod walk;

use std::collections::HashMap;

use archive::Archive;
use pickle::{Pickle, Value};

use crate::error::{Error, Result};
use crate::weights::element::ByteOrder;
use crate::weights::stored::{Checkpoint, Named, Record, Source, Stored, Strided, read_error};

/// The largest pickle: all of a file but the tensors' numbers.
const MAX_PICKLE_BYTES: u64 = 32 << 20;

/// How zip archives begin.
const ZIP: &[u8] = b"PK\x03\x04";

/// Where tar archives have their mark, and the mark.
const TAR_START: u64 = 257;
const TAR: &[u8] = b"ustar";

/// Finds the tensors of a file.
///
/// # Errors
/// [`Error::Malformed`] for a file that is none of PyTorch's or breaks off,
/// [`Error::Unsupported`] for one that holds no plain tensors, [`Error::OverLimit`]
/// for one that holds more than a network's weights may.
pub(crate) fn open(mut source: Source) -> Result<Checkpoint> {
    let len = source.len.min(TAR_START + TAR.len() as u64);
    let start = source.read(0, len).map_err(read_error)?;
    if start.starts_with(ZIP) {
        from_archive(source)
    } else if start.first() == Some(&0x80) {
        legacy::open(source)
    } else if start.ends_with(TAR) {
        Err(Error::Unsupported(
            "this is a tar archive, as PyTorch wrote before 0.2 or as others pack files in: \
             unpack it, or load and save it with a newer PyTorch"
                .into(),
        ))
    } else {
        Err(Error::Malformed(
            "expected a PyTorch or safetensors file, found neither".into(),
        ))
    }
}

/// Finds the tensors of a zip archive.
fn from_archive(mut source: Source) -> Result<Checkpoint> {
    let archive = Archive::read(&mut source)?;
    let mut names = archive.names();
    if names.any(|name| name.ends_with("/constants.pkl") || name.contains("/code/")) {
        return Err(Error::Unsupported(
            "this is a TorchScript program: save its weights alone, with \
             torch.save(torch.jit.load(FILE).state_dict(), NEW)"
                .into(),
        ));
    }
    let names = archive.names();
    let pickles = names.filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let name = pickles.min_by_key(|name| name.len()).ok_or_else(|| {
        Error::Malformed(
            "expected a file of torch.save, found a zip archive without data.pkl".into(),
        )
    })?;
    let folder = name.trim_end_matches("data.pkl");
    let bytes = small_record(&archive, &mut source, name)?.unwrap_or_default();
    let order = small_record(&archive, &mut source, &format!("{folder}byteorder"))?;
    let order = match order.as_deref() {
        Some(b"big") => ByteOrder::Big,
        _ => ByteOrder::Little,
    };
    let (pickle, value, _) = Pickle::read(&bytes)?;
    let mut records = Records::default();
    let tensors = named_tensors(&pickle, value, |key| {
        records.index(key, || {
            let name = format!("{folder}data/{key}");
            archive.record(&mut source, &name)?.ok_or_else(|| {
                Error::Malformed(format!("expected {name} in the zip archive, found none"))
            })
        })
    })?;
    Ok(Checkpoint {
        source,
        order,
        records: records.all,
        tensors,
    })
}

/// The bytes of a record that holds no tensor's numbers.
fn small_record(archive: &Archive, source: &mut Source, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(record) = archive.record(source, name)? else {
        return Ok(None);
    };
    if record.most_bytes() > MAX_PICKLE_BYTES {
        return Err(Error::OverLimit(format!(
            "{name}: expected at most {MAX_PICKLE_BYTES} bytes, found {}",
            record.most_bytes()
        )));
    }
    record
        .read(source)
        .map(Some)
        .map_err(|error| error.at(name))
}

/// Records by their names, each once.
#[derive(Default)]
struct Records {
    all: Vec<Record>,
    by_name: HashMap<String, usize>,
}

impl Records {
    fn index(&mut self, name: &str, find: impl FnOnce() -> Result<Record>) -> Result<usize> {
        if let Some(&index) = self.by_name.get(name) {
            return Ok(index);
        }
        self.all.push(find()?);
        let index = self.all.len() - 1;
        self.by_name.insert(name.to_owned(), index);
        Ok(index)
    }
}

/// The tensors of a pickle, whose storages have records.
fn named_tensors(
    pickle: &Pickle<'_>,
    value: Value,
    mut record: impl FnMut(&str) -> Result<usize>,
) -> Result<Vec<Named>> {
    let found = walk::tensors(pickle, value)?;
    let named = found.into_iter().map(|found| {
        let view = pickle.view(found.tensor);
        let tensor = match view.map_err(|error| error.at(&found.path))? {
            Err(kind) => Stored::Unread(kind),
            Ok(view) => {
                let key = String::from_utf8_lossy(pickle.text(view.storage));
                Stored::Strided(Strided {
                    record: record(&key).map_err(|error| error.at(&found.path))?,
                    element: view.element,
                    offset: view.offset,
                    shape: view.shape,
                    strides: view.strides,
                })
            }
        };
        Ok(Named {
            path: found.path,
            container: found.container,
            tensor,
        })
    });
    named.collect()
}
