//! Files that ask for more than they hold, or hold something else, end in an error.

use std::fs;
use std::io::{Seek, Write};

use ssdlite_model::{Error, Weights, WeightsKind, read_weights};
use tempfile::TempDir;

use crate::writer::{File, Object, Packing, Storage, Tensor, dict, text, zip};

fn read(bytes: &[u8]) -> Result<Weights, Error> {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("w.pth");
    fs::write(&path, bytes).expect("a writable folder");
    read_weights(&path, WeightsKind::Plain)
}

/// The error that reading gives.
fn fault(bytes: &[u8]) -> Error {
    read(bytes)
        .map(|weights| weights.state.len())
        .expect_err("a hostile file")
}

/// An archive of one pickle.
fn pickled(pickle: &[u8], packing: Packing) -> Vec<u8> {
    zip("a", &[("data.pkl".to_owned(), pickle.to_vec())], packing)
}

fn view(shape: &[usize], strides: &[usize]) -> File {
    let tensor = Tensor {
        storage: 0,
        offset: 0,
        shape: shape.to_vec(),
        strides: strides.to_vec(),
    };
    File {
        object: dict([("weight", Object::Tensor(tensor))]),
        storages: vec![Storage::floats(&[0.5])],
    }
}

#[test]
fn objects_are_bounded() {
    let many = |start: &[u8], one: &[u8], count: usize, end: &[u8]| {
        [start, &one.repeat(count), end].concat()
    };
    for pickle in [
        many(b"\x80\x02](", b"]", 60 << 20, b"e."),
        many(b"\x80\x02](", b"]", 4 << 20, b"e."),
        many(b"\x80\x02](", b"N", 4 << 20, b"e."),
        many(b"\x80\x02]", b"\x94", 4 << 20, b"."),
        many(b"\x80\x02]", b"2", 4 << 20, b"."),
        // Nested as deep, and a copy of a list for each step.
        many(b"\x80\x02N", b"\x85", 4 << 20, b"."),
        many(
            b"\x80\x02(",
            b"K\x01K\x02\x86",
            2000,
            &many(b"t\x85q\0", b"ccollections\nOrderedDict\nh\0R", 2000, b"."),
        ),
    ] {
        let error = fault(&pickled(&pickle, Packing::Deflated));
        assert!(matches!(error, Error::OverLimit(_)), "{error}");
    }
}

#[test]
fn nested_and_circular_objects_end() {
    let deep = [&b"\x80\x02N"[..], &b"\x85".repeat(500_000), b"."].concat();
    // A dictionary that holds itself, and lists that hold the one before twice.
    let circular = b"\x80\x02}q\0U\x01ah\0s.".to_vec();
    let mut doubled = b"\x80\x02]q\0".to_vec();
    for index in 0..60_u8 {
        doubled.extend([b'(', b'h', index, b'h', index, b'l', b'q', index + 1]);
    }
    doubled.push(b'.');
    for pickle in [deep, circular, doubled] {
        let error = fault(&pickled(&pickle, Packing::Stored));
        assert!(
            matches!(error, Error::Malformed(_) | Error::OverLimit(_)),
            "{error}"
        );
    }
}

#[test]
fn tensors_are_no_larger_than_their_file_allows() {
    for (shape, strides) in [
        (&[1 << 30][..], &[0][..]),
        (&[usize::MAX >> 1], &[0]),
        (&[1 << 30, 1 << 30, 1 << 30], &[0, 0, 0]),
    ] {
        let file = view(shape, strides);
        for bytes in [file.zip("a"), file.legacy()] {
            let error = fault(&bytes);
            assert!(matches!(error, Error::OverLimit(_)), "{error}");
            assert!(error.to_string().contains("weight"), "{error}");
        }
    }
    for (shape, strides) in [
        (&[2][..], &[1][..]),
        (&[3, 2], &[0, 1 << 40]),
        (&[3, 3], &[usize::MAX >> 1, usize::MAX >> 1]),
        (&[2], &[]),
    ] {
        let file = view(shape, strides);
        for bytes in [file.zip("a"), file.legacy()] {
            let error = fault(&bytes);
            assert!(matches!(error, Error::Malformed(_)), "{shape:?}: {error}");
        }
    }
}

#[test]
fn many_views_of_one_storage_are_added_up() {
    let numbers = 1 << 20;
    let tensors = (0..200).map(|index| {
        let tensor = Object::Tensor(Tensor::dense(0, &[numbers]));
        (format!("weight{index}"), tensor)
    });
    let file = File {
        object: Object::Dict(tensors.collect()),
        storages: vec![Storage::floats(&vec![0.0; numbers])],
    };
    let error = fault(&zip("a", &file.records(), Packing::Deflated));
    assert!(matches!(error, Error::OverLimit(_)), "{error}");
}

#[test]
fn records_unpack_to_as_many_bytes_as_they_say() {
    let file = view(&[1], &[1]);
    let mut records = file.records();
    records[0].1.extend(vec![b' '; 64 << 20]);
    let error = fault(&zip("a", &records, Packing::Deflated));
    assert!(matches!(error, Error::OverLimit(_)), "{error}");
    // The directory tells fewer bytes than there are.
    let mut records = file.records();
    records[1].1 = vec![0; 1 << 20];
    let mut bytes = zip("a", &records, Packing::Deflated);
    let size = (1_u32 << 20).to_le_bytes();
    let at = bytes
        .windows(4)
        .rposition(|bytes| bytes == size)
        .expect("a size");
    bytes[at..at + 4].copy_from_slice(&4_u32.to_le_bytes());
    let error = fault(&bytes);
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    bytes[at..at + 4].copy_from_slice(&[0xfe, 0xff, 0xff, 0xff]);
    let error = fault(&bytes);
    assert!(matches!(error, Error::OverLimit(_)), "{error}");
}

#[test]
fn records_that_take_more_in_the_file_than_unpacked_are_not_read() {
    let mut bytes = zip("a", &view(&[1], &[1]).records(), Packing::Deflated);
    let find = |what: &[u8]| bytes.windows(what.len()).rposition(|bytes| bytes == what);
    let storage = find(b"a/data/0").expect("an entry") - 46;
    let directory = bytes.windows(4).position(|bytes| bytes == b"PK\x01\x02");
    let directory = directory.expect("a directory");
    let blank = 400_u32 << 20;
    bytes[storage + 20..][..4].copy_from_slice(&blank.to_le_bytes());
    let start = bytes.len() - 6;
    bytes[start..][..4].copy_from_slice(&(directory as u32 + blank).to_le_bytes());
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("w.pth");
    let mut file = fs::File::create(&path).expect("a writable folder");
    file.write_all(&bytes[..directory]).expect("room");
    file.seek_relative(blank.into()).expect("a file with holes");
    file.write_all(&bytes[directory..]).expect("room");
    let error = read_weights(&path, WeightsKind::Plain).expect_err("blank bytes");
    assert!(matches!(error, Error::OverLimit(_)), "{error}");
}

#[test]
fn an_archive_with_a_name_twice_is_refused() {
    let mut records = view(&[1], &[1]).records();
    records.push(records[1].clone());
    let error = fault(&zip("a", &records, Packing::Stored)).to_string();
    assert!(error.contains("a/data/0 stands twice"), "{error}");
}

#[test]
fn other_files_are_told_from_checkpoints() {
    let record = |name: &str| (name.to_owned(), b"\x80\x02}.".to_vec());
    let script = zip(
        "a",
        &[record("data.pkl"), record("constants.pkl")],
        Packing::Stored,
    );
    let other = zip("word", &[record("document.xml")], Packing::Stored);
    let mut tar = vec![0; 1024];
    tar[257..262].copy_from_slice(b"ustar");
    let mut pickle = b"\x80\x02".to_vec();
    text(&mut pickle, "no checkpoint");
    pickle.push(b'.');
    for (bytes, words) in [
        (script, "TorchScript"),
        (other, "data.pkl"),
        (tar, "tar archive"),
        (pickle, "another pickle"),
        (b"<!DOCTYPE html>".to_vec(), "found neither"),
    ] {
        let error = fault(&bytes).to_string();
        assert!(error.contains(words), "{error}");
        assert!(error.contains("w.pth"), "{error}");
    }
}
