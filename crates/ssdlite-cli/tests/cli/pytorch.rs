//! Writes state dicts as PyTorch's `torch.save` did before 1.6.
//!
//! Source: `_legacy_save` in torch/serialization.py: five pickles (a magic
//! number, a version, the system, the object, the keys of its storages), then
//! each storage as its length and its numbers.

use ssdlite_core::{TensorRole, TensorSpec};

/// Pickle protocol 2, and its end.
const START: &[u8] = b"\x80\x02";
const STOP: &[u8] = b".";

/// 0x1950a86a20f9469cfc6c, as LONG1.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// What a state dict stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrapper {
    /// Nothing.
    None,
    /// A dictionary under the key "model", beside an epoch, as torchvision's
    /// references save it.
    Model,
    /// The dictionary "state_dict" of PyTorch's ImageNet example, whose keys begin with
    /// "module.".
    Parallel,
    /// A dictionary "model" and, with the same tensors, one "model_ema".
    Averaged,
    /// A dictionary "model_state_dict" and, with the same tensors, one "ema"; the keys
    /// of both begin with "module.".
    AveragedParallel,
}

impl Wrapper {
    /// The dictionaries' names, outside none.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::Model => &["model"],
            Self::Parallel => &["state_dict"],
            Self::Averaged => &["model", "model_ema"],
            Self::AveragedParallel => &["model_state_dict", "ema"],
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Parallel | Self::AveragedParallel => "module.",
            Self::None | Self::Model | Self::Averaged => "",
        }
    }
}

/// The bytes of a file with these tensors, filled by [`number`].
pub(crate) fn legacy_file(specs: &[TensorSpec], wrapper: Wrapper) -> Vec<u8> {
    let mut bytes = [START, MAGIC, STOP].concat();
    bytes.extend([START, b"M\xe9\x03", STOP].concat());
    bytes.extend([START, b"}"].concat());
    string(&mut bytes, "little_endian");
    bytes.extend([b"\x88s", STOP].concat());
    bytes.extend(START);
    if wrapper == Wrapper::None {
        state_dict(&mut bytes, specs, wrapper);
    } else {
        bytes.extend(b"}(");
        string(&mut bytes, "epoch");
        integer(&mut bytes, 3);
        for name in wrapper.names() {
            string(&mut bytes, name);
            state_dict(&mut bytes, specs, wrapper);
        }
        bytes.extend(b"u");
    }
    bytes.extend(STOP);
    bytes.extend([START, b"]("].concat());
    for index in 0..specs.len() {
        string(&mut bytes, &index.to_string());
    }
    bytes.extend([b"e", STOP].concat());
    for spec in specs {
        storage(&mut bytes, spec);
    }
    bytes
}

fn state_dict(bytes: &mut Vec<u8>, specs: &[TensorSpec], wrapper: Wrapper) {
    bytes.extend(b"ccollections\nOrderedDict\n)R(");
    for (index, spec) in specs.iter().enumerate() {
        string(bytes, &format!("{}{}", wrapper.prefix(), spec.key));
        tensor(bytes, index, spec);
    }
    bytes.extend(b"u");
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'X');
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn integer(bytes: &mut Vec<u8>, number: usize) {
    bytes.push(b'J');
    bytes.extend((number as u32).to_le_bytes());
}

/// `torch._utils._rebuild_tensor_v2(storage, 0, size, stride, False, {})`.
fn tensor(bytes: &mut Vec<u8>, index: usize, spec: &TensorSpec) {
    let elements = spec.elements();
    let kind = match spec.role {
        TensorRole::BatchesTracked => "LongStorage",
        _ => "FloatStorage",
    };
    bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    string(bytes, "storage");
    bytes.extend(format!("ctorch\n{kind}\n").as_bytes());
    string(bytes, &index.to_string());
    string(bytes, "cpu");
    integer(bytes, elements);
    bytes.extend(b"NtQ");
    integer(bytes, 0);
    tuple(bytes, &spec.shape);
    let strides = (1..=spec.shape.len()).map(|axis| spec.shape[axis..].iter().product());
    tuple(bytes, &strides.collect::<Vec<usize>>());
    bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
}

fn tuple(bytes: &mut Vec<u8>, numbers: &[usize]) {
    bytes.push(b'(');
    for &number in numbers {
        integer(bytes, number);
    }
    bytes.push(b't');
}

fn storage(bytes: &mut Vec<u8>, spec: &TensorSpec) {
    let elements = spec.elements();
    bytes.extend((elements as u64).to_le_bytes());
    for index in 0..elements {
        match spec.role {
            TensorRole::BatchesTracked => bytes.extend(7_i64.to_le_bytes()),
            _ => bytes.extend(number(spec, index).to_le_bytes()),
        }
    }
}

/// Variances are 1; everything else is small, of both signs, and differs from
/// its neighbours.
pub(crate) fn number(spec: &TensorSpec, index: usize) -> f32 {
    match spec.role {
        TensorRole::RunningVar => 1.0,
        _ => ((index * 37 + spec.key.len()) % 101) as f32 / 1010.0 - 0.05,
    }
}
