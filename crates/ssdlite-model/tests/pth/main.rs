//! PyTorch checkpoints (`reference/pth_files.py`) are read right, and broken
//! ones refused.

mod hostile;
mod networks;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};

use ssdlite_model::{Error, StateDict, Values, Weights, WeightsKind, read_weights};
use ssdlite_testing::{fractions, signed};
use tempfile::TempDir;

const FILES: [&str; 3] = ["zip.pth", "legacy.pth", "wrapped.pth"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn read(path: &Path) -> Result<Weights, Error> {
    read_weights(path, WeightsKind::Plain)
}

fn assert_floats(state: &StateDict, key: &str, shape: &[usize], expected: &[f32]) {
    let tensor = state.get(key).unwrap_or_else(|| panic!("{key} is missing"));
    assert_eq!(tensor.shape, shape, "{key}");
    assert_eq!(tensor.values, Values::F32(expected.to_vec()), "{key}");
}

#[test]
fn every_format_gives_the_same_tensors() {
    for name in FILES {
        let state = read(&golden(name)).expect(name).state;
        assert_eq!(state.len(), 5, "{name}");
        let weight = signed("conv.weight", 30, 1.0);
        assert_floats(&state, "conv.weight", &[5, 3, 1, 2], &weight);
        let table = signed("table", 21, 1.0);
        assert_floats(&state, "row", &[7], &table[7..14]);
        let transposed: Vec<f32> = (0..21).map(|i| table[i % 3 * 7 + i / 3]).collect();
        assert_floats(&state, "transposed", &[7, 3], &transposed);
        let counter = state.get("norm.num_batches_tracked").expect("a counter");
        assert!(counter.shape.is_empty());
        assert_eq!(counter.values, Values::I64(vec![1_234_567_890_123]));
        let half = state.get("half").and_then(|tensor| tensor.floats());
        for (half, whole) in half.expect("widened floats").iter().zip(&weight) {
            // Ten bits of fraction, rounded.
            assert!(
                (half - whole).abs() <= whole.abs() / 2048.0,
                "{half} {whole}"
            );
        }
    }
}

/// Whatever the bytes are, reading them ends, and a result is no larger than
/// the file could make it.
fn read_bytes(folder: &TempDir, bytes: &[u8]) -> Result<Weights, Error> {
    let path = folder.path().join("broken.pth");
    fs::write(&path, bytes).expect("a writable folder");
    read(&path)
}

#[test]
fn truncated_files_are_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    for name in FILES {
        let bytes = fs::read(golden(name)).expect(name);
        for length in (0..bytes.len()).step_by(7) {
            let result = read_bytes(&folder, &bytes[..length]);
            let error = result.expect_err("half a checkpoint is none");
            assert!(matches!(error, Error::Malformed(_)), "{length}: {error}");
            assert!(error.to_string().contains("broken.pth"));
        }
    }
}

#[test]
fn altered_files_never_panic() {
    let folder = TempDir::new().expect("a temporary folder");
    for name in FILES {
        let bytes = fs::read(golden(name)).expect(name);
        let mut draws = fractions(name);
        for _ in 0..250 {
            let mut altered = bytes.clone();
            for _ in 0..3 {
                let [position, byte] = [(); 2].map(|()| draws.next().unwrap_or(0.0));
                altered[(position * bytes.len() as f64) as usize] = (byte * 256.0) as u8;
            }
            if let Err(error) = read_bytes(&folder, &altered) {
                let of_the_file = matches!(
                    error,
                    Error::Malformed(_) | Error::OverLimit(_) | Error::Unsupported(_)
                );
                assert!(of_the_file, "{error}");
            }
        }
    }
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    for bytes in [
        &b""[..],
        b"PK\x03\x04",
        b"\x80\x02",
        b"hello",
        &[0x80; 4096],
        &[b'('; 100_000],
    ] {
        let error = read_bytes(&folder, bytes).expect_err("no checkpoint");
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }
    let error = read(folder.path()).expect_err("a folder");
    assert!(matches!(error, Error::Malformed(_)), "{error}");
    let error = read(&folder.path().join("none.pth")).expect_err("no file");
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

/// Pickled code: `os.system("true")` by REDUCE, as a hostile file would hold it.
#[test]
fn pickled_code_is_not_run() {
    let folder = TempDir::new().expect("a temporary folder");
    let marker = folder.path().join("ran");
    let command = format!("touch {}", marker.display());
    let mut bytes = b"\x80\x02cos\nsystem\nX".to_vec();
    bytes.extend((command.len() as u32).to_le_bytes());
    bytes.extend(command.bytes());
    bytes.extend(b"\x85R.");
    assert!(read_bytes(&folder, &bytes).is_err());
    assert!(!marker.exists());
}
