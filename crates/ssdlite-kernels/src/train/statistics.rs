//! What batch norm keeps per channel: moments, scale and shift, and the sums and
//! coefficients of its backward pass (see [`norm`](super::norm)).

use crate::error::{Error, check_len};

/// Mean and biased variance of each channel over a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// The mean.
    pub mean: Vec<f32>,
    /// The mean squared deviation; times `count / (count - 1)` it is the
    /// unbiased estimate that PyTorch keeps as the running variance.
    pub variance: Vec<f32>,
    /// Numbers per channel.
    pub count: usize,
}

/// A scale and a shift per channel: what batch norm does to its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Affine {
    /// Batch norm's `gamma / sqrt(variance + epsilon)` and `beta - mean * scale`.
    ///
    /// With a batch's moments this is training mode, with running statistics
    /// inference mode or a frozen layer.
    ///
    /// # Errors
    /// If the lengths differ.
    pub fn from_norm(
        mean: &[f32],
        variance: &[f32],
        gamma: &[f32],
        beta: &[f32],
        epsilon: f32,
    ) -> Result<Self, Error> {
        let channels = mean.len();
        check_len("variance", variance, channels)?;
        check_len("gamma", gamma, channels)?;
        check_len("beta", beta, channels)?;
        let scale: Vec<f32> = gamma
            .iter()
            .zip(variance)
            .map(|(&gamma, &variance)| gamma * inverse_sigma(variance, epsilon) as f32)
            .collect();
        let shift = beta
            .iter()
            .zip(mean)
            .zip(&scale)
            .map(|((&beta, &mean), &scale)| beta - mean * scale)
            .collect();
        Ok(Self { scale, shift })
    }

    /// The factor of each channel.
    pub fn scale(&self) -> &[f32] {
        &self.scale
    }

    /// What is added to each channel.
    pub fn shift(&self) -> &[f32] {
        &self.shift
    }

    pub(crate) fn check(&self, channels: usize) -> Result<(), Error> {
        check_len("batch norm's scale", &self.scale, channels)
    }

    pub(crate) fn pointers(&self) -> (*const f32, *const f32) {
        (self.scale.as_ptr(), self.shift.as_ptr())
    }
}

fn inverse_sigma(variance: f32, epsilon: f32) -> f64 {
    1.0 / (f64::from(variance) + f64::from(epsilon)).sqrt()
}

/// The sums of batch norm's backward pass, per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct NormSums {
    /// sum of du
    pub du: Vec<f64>,
    /// sum of du * (z - mean)
    pub du_centred: Vec<f64>,
}

/// Batch norm's parameter gradients, and what makes `dz` of `du` and `z`.
#[derive(Clone, Debug, PartialEq)]
pub struct NormGradient {
    /// Gradient of gamma.
    pub dgamma: Vec<f32>,
    /// Gradient of beta.
    pub dbeta: Vec<f32>,
    of_du: Vec<f32>,
    of_z: Vec<f32>,
    of_one: Vec<f32>,
}

impl NormSums {
    /// The gradient of batch norm in training mode.
    ///
    /// # Errors
    /// If the lengths differ.
    pub fn gradient(
        &self,
        moments: &Moments,
        gamma: &[f32],
        epsilon: f32,
    ) -> Result<NormGradient, Error> {
        let channels = self.du.len();
        check_len("mean", &moments.mean, channels)?;
        check_len("variance", &moments.variance, channels)?;
        check_len("gamma", gamma, channels)?;
        if self.du_centred.len() != channels {
            return Err(Error::Length {
                what: "sums of du * (z - mean)",
                expected: channels,
                found: self.du_centred.len(),
            });
        }
        let mut gradient = NormGradient::zeros(channels);
        let count = moments.count as f64;
        for (c, &gamma) in gamma.iter().enumerate() {
            let inverse_sigma = inverse_sigma(moments.variance[c], epsilon);
            let dgamma = self.du_centred[c] * inverse_sigma;
            let scale = f64::from(gamma) * inverse_sigma;
            let of_z = -scale * dgamma / count * inverse_sigma;
            gradient.dgamma[c] = dgamma as f32;
            gradient.dbeta[c] = self.du[c] as f32;
            gradient.of_du[c] = scale as f32;
            gradient.of_z[c] = of_z as f32;
            gradient.of_one[c] =
                (-scale * self.du[c] / count - of_z * f64::from(moments.mean[c])) as f32;
        }
        Ok(gradient)
    }
}

impl NormGradient {
    fn zeros(channels: usize) -> Self {
        let zeros = || vec![0.0; channels];
        Self {
            dgamma: zeros(),
            dbeta: zeros(),
            of_du: zeros(),
            of_z: zeros(),
            of_one: zeros(),
        }
    }

    /// The gradient of batch norm with fixed statistics and parameters: `dz`
    /// is `du * scale`, and the parameters have none.
    pub fn frozen(affine: &Affine) -> Self {
        Self {
            of_du: affine.scale.clone(),
            ..Self::zeros(affine.scale.len())
        }
    }

    pub(crate) fn check(&self, channels: usize) -> Result<(), Error> {
        check_len("batch norm's gradient", &self.of_du, channels)
    }

    pub(crate) fn pointers(&self) -> [*const f32; 3] {
        [
            self.of_du.as_ptr(),
            self.of_z.as_ptr(),
            self.of_one.as_ptr(),
        ]
    }
}
