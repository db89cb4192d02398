//! The integer formula of `reference/formula.py`, which fills tensors for
//! comparisons with torchvision without any committed weights.

use ssdlite_core::{TensorRole, TensorSpec};

use super::{StateDict, StateTensor, Values};

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
    let (low, width) = match spec.role {
        TensorRole::BatchesTracked => return Values::I64(vec![BATCHES_TRACKED]),
        TensorRole::Weight => {
            let fan_in: usize = spec.shape[1..].iter().product();
            return Values::F32(signed(
                &spec.key,
                spec.elements(),
                (5.0 / fan_in as f64).sqrt(),
            ));
        }
        TensorRole::Bias => return Values::F32(signed(&spec.key, spec.elements(), 0.125)),
        TensorRole::BatchNormBias | TensorRole::RunningMean => {
            return Values::F32(signed(&spec.key, spec.elements(), 0.25));
        }
        TensorRole::BatchNormWeight => (0.75, 0.5),
        TensorRole::RunningVar => (0.5, 1.0),
    };
    let fractions = fractions(&spec.key).take(spec.elements());
    Values::F32(fractions.map(|u| (low + u * width) as f32).collect())
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
