//! The integer formula of `reference/formula.py`.

use ssdlite_core::{ImageSize, ModelInfo, TensorRole, TensorSpec};
use ssdlite_model::{ModelFile, StateDict, StateTensor, Values};

/// What the formula puts for PyTorch's batch counts.
const BATCHES_TRACKED: i64 = 7;

/// All tensors of a network by the formula.
pub fn state_from_formula(specs: &[TensorSpec]) -> StateDict {
    specs
        .iter()
        .map(|spec| {
            let tensor = StateTensor {
                shape: spec.shape.clone(),
                values: values(spec),
            };
            (spec.key.clone(), tensor)
        })
        .collect()
}

fn values(spec: &TensorSpec) -> Values {
    let signed = |bound| signed(&spec.key, spec.elements(), bound);
    let positive = |low: f64, width: f64| {
        let fractions = fractions(&spec.key).take(spec.elements());
        fractions.map(|u| (low + u * width) as f32).collect()
    };
    Values::F32(match spec.role {
        TensorRole::BatchesTracked => return Values::I64(vec![BATCHES_TRACKED]),
        TensorRole::Weight => {
            let fan_in: usize = spec.shape[1..].iter().product();
            signed((5.0 / fan_in as f64).sqrt())
        }
        TensorRole::Bias => signed(0.125),
        TensorRole::BatchNormBias | TensorRole::RunningMean => signed(0.25),
        TensorRole::BatchNormWeight => positive(0.75, 0.5),
        TensorRole::RunningVar => positive(0.5, 1.0),
    })
}

/// The model with all tensors by the formula.
///
/// # Panics
/// For a description that is not sound.
pub fn model_from_formula(info: &ModelInfo) -> ModelFile {
    let state = state_from_formula(&info.tensors());
    ModelFile::new(info.clone(), state).expect("a sound description")
}

/// `count` numbers from `-bound` to `bound`, by name.
pub fn signed(name: &str, count: usize, bound: f64) -> Vec<f32> {
    fractions(name)
        .take(count)
        .map(|u| ((2.0 * u - 1.0) * bound) as f32)
        .collect()
}

/// Numbers in [0, 1), multiples of 2^-24: FNV-1a of the name, then a finaliser
/// over name and index.
pub fn fractions(name: &str) -> impl Iterator<Item = f64> + use<> {
    let seed = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (0_u32..).map(move |index| {
        let mut bits = index.wrapping_mul(0x9e37_79b9).wrapping_add(seed);
        bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
        bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
        bits ^= bits >> 16;
        f64::from(bits >> 8) / f64::from(1 << 24)
    })
}

/// `image` of `reference/formula.py`: RGB, row by row.
pub fn image_bytes(size: ImageSize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size.pixels() as usize * 3);
    for y in 0..size.height {
        for x in 0..size.width {
            for channel in 0..3 {
                let wave = (x * (3 + channel) + y * (7 - 2 * channel)) % 256;
                let blocks = ((x / 37 + y / 53 + channel) % 3) * 60;
                bytes.push(((wave / 2 + blocks) % 256) as u8);
            }
        }
    }
    bytes
}
