//! Bytes of a file of named tensors, as checkpoints and model files are: an
//! error, or tensors that come back when they are written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ssdlite_model::safetensors::{Contents, Numbers, RawNumbers, TensorView, to_bytes};

/// A tensor's numbers, taken out of the file.
enum Owned {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

fuzz_target!(|data: &[u8]| {
    let Ok(contents) = Contents::from_bytes(data) else {
        return;
    };
    let tensors = contents.tensors.iter();
    let read = tensors.filter_map(|(key, tensor)| {
        let numbers = match &tensor.numbers {
            RawNumbers::F32(raw) => {
                Owned::F32(raw.iter().map(|&x| f32::from_le_bytes(x)).collect())
            }
            RawNumbers::I64(raw) => {
                Owned::I64(raw.iter().map(|&x| i64::from_le_bytes(x)).collect())
            }
            RawNumbers::Other(_) => return None,
        };
        Some((key, &tensor.shape, numbers))
    });
    let read: Vec<_> = read.collect();
    let views = read.iter().map(|(key, shape, numbers)| {
        let numbers = match numbers {
            Owned::F32(numbers) => Numbers::F32(numbers),
            Owned::I64(numbers) => Numbers::I64(numbers),
        };
        ((*key).clone(), TensorView { shape, numbers })
    });
    // Escaped texts may grow beyond the longest header.
    let Ok(bytes) = to_bytes(contents.metadata.clone(), &views.collect()) else {
        return;
    };
    let back = Contents::from_bytes(&bytes).expect("what was written");
    assert_eq!(back.metadata, contents.metadata);
    assert_eq!(back.tensors.len(), read.len());
    for (key, tensor) in &back.tensors {
        assert_eq!(Some(tensor), contents.tensors.get(key));
    }
});
