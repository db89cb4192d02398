//! Writes files as `torch.save` does: pickles of protocol 2, zip archives, and the
//! format before.

use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use ssdlite_model::{StateDict, Values};

/// An object of a file.
pub(crate) enum Object {
    Int(u16),
    Dict(Vec<(String, Object)>),
    /// Any pickle that makes one object.
    Pickle(Vec<u8>),
    Tensor(Tensor),
}

/// A view of a storage.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) storage: usize,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// Numbers of one type, little-endian.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) class: &'static str,
    pub(crate) count: usize,
    pub(crate) bytes: Vec<u8>,
}

/// A file to write.
pub(crate) struct File {
    pub(crate) object: Object,
    pub(crate) storages: Vec<Storage>,
}

impl Storage {
    pub(crate) fn floats(numbers: &[f32]) -> Self {
        Self {
            class: "FloatStorage",
            count: numbers.len(),
            bytes: numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    pub(crate) fn longs(numbers: &[i64]) -> Self {
        Self {
            class: "LongStorage",
            count: numbers.len(),
            bytes: numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

impl Tensor {
    /// All of a storage, the last dimension fastest.
    pub(crate) fn dense(storage: usize, shape: &[usize]) -> Self {
        let strides = (1..=shape.len()).map(|axis| shape[axis..].iter().product());
        Self {
            storage,
            offset: 0,
            shape: shape.to_vec(),
            strides: strides.collect(),
        }
    }
}

pub(crate) fn dict<const N: usize>(entries: [(&str, Object); N]) -> Object {
    Object::Dict(entries.map(|(key, value)| (key.to_owned(), value)).into())
}

/// The tensors of a state dict, each in a storage of its own, which is added.
pub(crate) fn tensors(state: &StateDict, storages: &mut Vec<Storage>) -> Vec<(String, Object)> {
    let tensors = state.iter().map(|(key, tensor)| {
        storages.push(match &tensor.values {
            Values::F32(numbers) => Storage::floats(numbers),
            Values::I64(numbers) => Storage::longs(numbers),
            Values::Unread(_) => panic!("{key}: expected numbers"),
        });
        let tensor = Tensor::dense(storages.len() - 1, &tensor.shape);
        (key.to_owned(), Object::Tensor(tensor))
    });
    tensors.collect()
}

pub(crate) fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'X');
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A whole number from 0 on, as LONG1.
pub(crate) fn integer(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend([0x8a, 8]);
    bytes.extend((number as i64).to_le_bytes());
}

fn tuple(bytes: &mut Vec<u8>, numbers: &[usize]) {
    bytes.push(b'(');
    for &number in numbers {
        integer(bytes, number);
    }
    bytes.push(b't');
}

impl File {
    /// The object's opcodes.
    fn object(&self, bytes: &mut Vec<u8>, object: &Object) {
        match object {
            Object::Int(number) => {
                bytes.push(b'M');
                bytes.extend(number.to_le_bytes());
            }
            Object::Pickle(pickle) => bytes.extend(pickle),
            Object::Dict(entries) => {
                bytes.extend(b"ccollections\nOrderedDict\n)R(");
                for (key, value) in entries {
                    text(bytes, key);
                    self.object(bytes, value);
                }
                bytes.push(b'u');
            }
            Object::Tensor(tensor) => self.tensor(bytes, tensor),
        }
    }

    /// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, {})`.
    pub(crate) fn tensor(&self, bytes: &mut Vec<u8>, tensor: &Tensor) {
        bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n(");
        self.storage(bytes, tensor.storage);
        integer(bytes, tensor.offset);
        tuple(bytes, &tensor.shape);
        tuple(bytes, &tensor.strides);
        bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }

    /// The persistent id of a storage.
    pub(crate) fn storage(&self, bytes: &mut Vec<u8>, index: usize) {
        let storage = &self.storages[index];
        bytes.push(b'(');
        text(bytes, "storage");
        bytes.extend(format!("ctorch\n{}\n", storage.class).as_bytes());
        text(bytes, &index.to_string());
        text(bytes, "cpu");
        integer(bytes, storage.count);
        bytes.extend(b"tQ");
    }

    pub(crate) fn pickle(&self) -> Vec<u8> {
        let mut bytes = b"\x80\x02".to_vec();
        self.object(&mut bytes, &self.object);
        bytes.push(b'.');
        bytes
    }

    /// The records of a zip archive, without the name of its folder.
    pub(crate) fn records(&self) -> Vec<(String, Vec<u8>)> {
        let storages = self.storages.iter().enumerate();
        let storages = storages.map(|(i, storage)| (format!("data/{i}"), storage.bytes.clone()));
        let mut records = vec![("data.pkl".to_owned(), self.pickle())];
        records.extend(storages);
        records.push(("version".into(), b"3\n".to_vec()));
        records
    }

    pub(crate) fn zip(&self, name: &str) -> Vec<u8> {
        zip(name, &self.records(), Packing::Stored)
    }

    /// What PyTorch wrote before 1.6.
    pub(crate) fn legacy(&self) -> Vec<u8> {
        let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
        let mut bytes = [&magic[..], b"\x80\x02M\xe9\x03.", b"\x80\x02}."].concat();
        bytes.extend(self.pickle());
        bytes.extend(b"\x80\x02](");
        for index in 0..self.storages.len() {
            text(&mut bytes, &index.to_string());
        }
        bytes.extend(b"e.");
        for storage in &self.storages {
            bytes.extend((storage.count as u64).to_le_bytes());
            bytes.extend(&storage.bytes);
        }
        bytes
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Stored,
    Deflated,
}

/// A zip archive; records begin at multiples of 64 bytes, as PyTorch's do.
pub(crate) fn zip(folder: &str, records: &[(String, Vec<u8>)], packing: Packing) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data) in records {
        let name = format!("{folder}/{name}");
        let mut crc = Crc::new();
        crc.update(data);
        let (method, stored) = match packing {
            Packing::Stored => (0_u16, data.clone()),
            Packing::Deflated => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(data).expect("memory");
                (8, encoder.finish().expect("memory"))
            }
        };
        let mut common = vec![0, 0, 0, 8];
        common.extend(method.to_le_bytes());
        common.extend([0; 4]);
        common.extend(crc.sum().to_le_bytes());
        common.extend((stored.len() as u32).to_le_bytes());
        common.extend((data.len() as u32).to_le_bytes());
        common.extend((name.len() as u16).to_le_bytes());
        let start = bytes.len();
        let padding =
            (start + 30 + name.len() + 4).next_multiple_of(64) - (start + 30 + name.len());
        bytes.extend(b"PK\x03\x04");
        bytes.extend(&common);
        bytes.extend((padding as u16).to_le_bytes());
        bytes.extend(name.as_bytes());
        bytes.extend(b"FB");
        bytes.extend((padding as u16 - 4).to_le_bytes());
        bytes.extend(vec![b'Z'; padding - 4]);
        bytes.extend(&stored);
        directory.extend(b"PK\x01\x02\0\0");
        directory.extend(&common);
        directory.extend([0; 12]);
        directory.extend((start as u32).to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([(records.len() as u16).to_le_bytes(); 2].concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(start.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}
