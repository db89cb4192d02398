//! The integer formula of `reference/formula.py`, which fills tensors and
//! pictures for comparisons with torchvision.

use ssdlite_core::{ImageSize, ModelInfo, TensorRole, TensorSpec};
use ssdlite_image::RgbImage;
use ssdlite_infer::{ModelFile, NamedTensor};

/// The model with all tensors by the formula.
pub(crate) fn model(info: &ModelInfo) -> ModelFile {
    let specs = info.tensors();
    let trained = specs
        .iter()
        .filter(|spec| spec.role != TensorRole::BatchesTracked);
    let tensors = trained.map(|spec| NamedTensor {
        key: spec.key.clone(),
        shape: spec.shape.clone(),
        numbers: numbers(spec),
    });
    ModelFile::from_tensors(info, tensors).expect("the formula fits the network")
}

fn numbers(spec: &TensorSpec) -> Vec<f32> {
    let signed = |bound: f64| (-bound, 2.0 * bound);
    let (low, width) = match spec.role {
        TensorRole::Weight => {
            let fan_in: usize = spec.shape[1..].iter().product();
            signed((5.0 / fan_in as f64).sqrt())
        }
        TensorRole::Bias => signed(0.125),
        TensorRole::BatchNormBias | TensorRole::RunningMean => signed(0.25),
        TensorRole::BatchNormWeight => (0.75, 0.5),
        TensorRole::RunningVar => (0.5, 1.0),
        TensorRole::BatchesTracked => return Vec::new(),
    };
    let fractions = fractions(&spec.key).take(spec.elements());
    fractions.map(|u| (low + u * width) as f32).collect()
}

/// Numbers in [0, 1), multiples of 2^-24.
fn fractions(name: &str) -> impl Iterator<Item = f64> + use<> {
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

/// `picture` of `reference/formula.py`.
pub(crate) fn picture(size: ImageSize) -> RgbImage {
    let mut pixels = Vec::with_capacity(size.pixels() as usize * 3);
    for y in 0..size.height {
        for x in 0..size.width {
            for channel in 0..3 {
                let wave = (x * (3 + channel) + y * (7 - 2 * channel)) % 256;
                let blocks = ((x / 37 + y / 53 + channel) % 3) * 60;
                pixels.push(((wave / 2 + blocks) % 256) as u8);
            }
        }
    }
    RgbImage::new(size, pixels).expect("three bytes a pixel")
}
