//! The kernels against their definitions, for every instruction set.

mod chain;
mod convolutions;
mod excite;
mod norms;
mod optimizers;
mod upsample;

use std::num::NonZeroUsize;

use super::norm::Affine;
use super::operand::Normalised;
use crate::activation::Activation;
use crate::testing::{Numbers, assert_close};
use crate::{Context, Isa, Pool};

/// Calls `test` for every instruction set and a few numbers of threads.
fn for_each_context(test: impl Fn(Context<'_>)) {
    for threads in [1, 2, 3] {
        let threads = NonZeroUsize::new(threads).expect("not zero");
        let pool = Pool::new(threads).expect("threads start");
        for isa in Isa::available() {
            test(Context { isa, pool: &pool });
        }
    }
}

fn f64s(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

fn assert_close_f64(got: &[f32], want: &[f64], tolerance: f32, what: &str) {
    let want: Vec<f32> = want.iter().map(|&x| x as f32).collect();
    assert_close(got, &want, tolerance, what);
}

/// An operand that is normalised on reading, with all it borrows.
struct NormalisedInput {
    z: Vec<f32>,
    affine: Affine,
    activation: Activation,
    image_scale: Option<Vec<f32>>,
}

impl NormalisedInput {
    fn random(numbers: &mut Numbers, images: usize, pixels: usize, channels: usize) -> Self {
        let ones = vec![1.0; channels];
        let (scale, shift) = (numbers.take(channels), numbers.take(channels));
        // Batch norm of mean 0 and variance 1 without epsilon.
        let affine = Affine::from_norm(&vec![0.0; channels], &ones, &scale, &shift, 0.0)
            .expect("equal lengths");
        Self {
            z: numbers
                .take(images * pixels * channels)
                .iter()
                .map(|x| 8.0 * x)
                .collect(),
            affine,
            activation: Activation::ALL[channels % 4],
            image_scale: pixels
                .is_multiple_of(2)
                .then(|| numbers.take(images * channels)),
        }
    }

    fn operand(&self) -> Normalised<'_> {
        Normalised {
            z: &self.z,
            affine: &self.affine,
            activation: self.activation,
            image_scale: self.image_scale.as_deref(),
        }
    }

    /// What the operand stands for.
    fn values(&self) -> Vec<f64> {
        let channels = self.affine.scale().len();
        let image_len = match &self.image_scale {
            Some(scale) => self.z.len() * channels / scale.len(),
            None => self.z.len(),
        };
        let value = |(i, &z): (usize, &f32)| {
            let c = i % channels;
            let scale = f64::from(self.affine.scale()[c]);
            let u = f64::from(z) * scale + f64::from(self.affine.shift()[c]);
            let y = crate::reference::activate(self.activation, u);
            match &self.image_scale {
                Some(scale) => y * f64::from(scale[i / image_len * channels + c]),
                None => y,
            }
        };
        self.z.iter().enumerate().map(value).collect()
    }
}
