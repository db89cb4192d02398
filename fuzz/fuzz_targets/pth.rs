//! Bytes of a file of weights that others wrote: an error, or tensors as large as their shapes
//! say.

#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ssdlite_model::{Values, WeightsKind, read_weights};
use tempfile::TempDir;

/// The reader wants a file.
static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a folder for the data"));

fuzz_target!(|data: &[u8]| {
    let path = FOLDER.path().join("weights.pth");
    fs::write(&path, data).expect("a writable folder");
    let Ok(weights) = read_weights(&path, WeightsKind::Plain) else {
        return;
    };
    for (_, tensor) in weights.state.iter() {
        let elements: usize = tensor.shape.iter().product();
        match &tensor.values {
            Values::F32(values) => assert_eq!(values.len(), elements),
            Values::I64(values) => assert_eq!(values.len(), elements),
            Values::Unread(_) => {}
        }
    }
});
