//! The definitions: plain loops in `f64` that say what the kernels compute.
//!
//! They serve the tests; nothing here is quick.

use crate::activation::Activation;

/// The shape of a convolution with a square kernel, padded with half of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Convolution {
    /// Images in the batch.
    pub(crate) images: usize,
    /// Rows of pixels of the input.
    pub(crate) height: usize,
    /// Pixels in a row of the input.
    pub(crate) width: usize,
    /// Channels of the input.
    pub(crate) inputs: usize,
    /// Channels of the output.
    pub(crate) outputs: usize,
    /// Rows, and columns, of the kernel.
    pub(crate) kernel: usize,
    /// Step in both directions.
    pub(crate) stride: usize,
    /// Groups of channels: 1, or all for a depthwise convolution.
    pub(crate) groups: usize,
}

/// One product that a convolution adds up, as indices.
struct Term {
    input: usize,
    weight: usize,
    output: usize,
}

impl Convolution {
    /// Rows of pixels of the output.
    pub(crate) fn output_height(&self) -> usize {
        self.height.div_ceil(self.stride)
    }

    /// Pixels in a row of the output.
    pub(crate) fn output_width(&self) -> usize {
        self.width.div_ceil(self.stride)
    }

    /// Numbers in the input, `[images, height, width, inputs]`.
    pub(crate) fn input_size(&self) -> usize {
        self.images * self.height * self.width * self.inputs
    }

    /// Numbers in the output, `[images, height, width, outputs]`.
    pub(crate) fn output_size(&self) -> usize {
        self.images * self.output_height() * self.output_width() * self.outputs
    }

    /// Numbers in the weight, `[outputs, inputs / groups, kernel, kernel]`.
    pub(crate) fn weight_size(&self) -> usize {
        self.outputs * self.inputs / self.groups * self.kernel * self.kernel
    }

    fn for_each_term(&self, mut visit: impl FnMut(Term)) {
        let padding = self.kernel / 2;
        let (out_height, out_width) = (self.output_height(), self.output_width());
        let inputs = self.inputs / self.groups;
        let outputs = self.outputs / self.groups;
        for image in 0..self.images {
            for (oy, ox) in (0..out_height).flat_map(|y| (0..out_width).map(move |x| (y, x))) {
                for o in 0..self.outputs {
                    let output = ((image * out_height + oy) * out_width + ox) * self.outputs + o;
                    for i in 0..inputs {
                        let channel = o / outputs * inputs + i;
                        for ky in 0..self.kernel {
                            for kx in 0..self.kernel {
                                let y = (oy * self.stride + ky).wrapping_sub(padding);
                                let x = (ox * self.stride + kx).wrapping_sub(padding);
                                if y >= self.height || x >= self.width {
                                    continue;
                                }
                                let pixel = (image * self.height + y) * self.width + x;
                                visit(Term {
                                    input: pixel * self.inputs + channel,
                                    weight: ((o * inputs + i) * self.kernel + ky) * self.kernel
                                        + kx,
                                    output,
                                });
                            }
                        }
                    }
                }
            }
        }
    }

    /// The output.
    pub(crate) fn forward(&self, input: &[f64], weight: &[f64]) -> Vec<f64> {
        let mut output = vec![0.0; self.output_size()];
        self.for_each_term(|term| output[term.output] += input[term.input] * weight[term.weight]);
        output
    }

    /// The input's gradient, given the output's.
    pub(crate) fn input_gradient(&self, output: &[f64], weight: &[f64]) -> Vec<f64> {
        let mut input = vec![0.0; self.input_size()];
        self.for_each_term(|term| input[term.input] += output[term.output] * weight[term.weight]);
        input
    }

    /// The weight's gradient, given the output's.
    pub(crate) fn weight_gradient(&self, input: &[f64], output: &[f64]) -> Vec<f64> {
        let mut weight = vec![0.0; self.weight_size()];
        self.for_each_term(|term| weight[term.weight] += input[term.input] * output[term.output]);
        weight
    }
}

/// The value of an activation.
pub(crate) fn activate(activation: Activation, u: f64) -> f64 {
    match activation {
        Activation::None => u,
        Activation::Relu => u.max(0.0),
        Activation::Relu6 => u.clamp(0.0, 6.0),
        Activation::HardSwish => u * hard_sigmoid(u),
    }
}

/// min(max(u/6 + 1/2, 0), 1)
pub(crate) fn hard_sigmoid(u: f64) -> f64 {
    (u / 6.0 + 0.5).clamp(0.0, 1.0)
}

/// Mean and biased variance of each channel.
pub(crate) fn moments(channels: usize, z: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let rows = (z.len() / channels) as f64;
    let mut mean = vec![0.0; channels];
    for (i, z) in z.iter().enumerate() {
        mean[i % channels] += z / rows;
    }
    let mut variance = vec![0.0; channels];
    for (i, z) in z.iter().enumerate() {
        variance[i % channels] += (z - mean[i % channels]).powi(2) / rows;
    }
    (mean, variance)
}

/// Batch norm in training mode, then an activation.
pub(crate) fn normalise(
    z: &[f64],
    (gamma, beta): (&[f64], &[f64]),
    epsilon: f64,
    activation: Activation,
) -> Vec<f64> {
    let channels = gamma.len();
    let (mean, variance) = moments(channels, z);
    z.iter()
        .enumerate()
        .map(|(i, z)| {
            let c = i % channels;
            let xhat = (z - mean[c]) / (variance[c] + epsilon).sqrt();
            activate(activation, gamma[c] * xhat + beta[c])
        })
        .collect()
}

/// The average over the pixels of each image, `[images, channels]`.
pub(crate) fn average_pool(images: usize, channels: usize, x: &[f64]) -> Vec<f64> {
    let image_len = x.len() / images;
    let mut pooled = vec![0.0; images * channels];
    for (i, x) in x.iter().enumerate() {
        let pixels = (image_len / channels) as f64;
        pooled[i / image_len * channels + i % channels] += x / pixels;
    }
    pooled
}

/// A linear layer: `x` `[rows, inputs]`, `weight` `[outputs, inputs]`.
pub(crate) fn linear(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let inputs = weight.len() / bias.len();
    x.chunks_exact(inputs)
        .flat_map(|x| {
            weight
                .chunks_exact(inputs)
                .zip(bias)
                .map(|(weight, bias)| bias + x.iter().zip(weight).map(|(x, w)| x * w).sum::<f64>())
        })
        .collect()
}

/// Squeeze-and-excite's factors, `[images, channels]`; both layers as weight
/// and bias.
pub(crate) fn excite(
    images: usize,
    x: &[f64],
    (squeeze, squeeze_bias): (&[f64], &[f64]),
    (expand, expand_bias): (&[f64], &[f64]),
) -> Vec<f64> {
    let pooled = average_pool(images, expand_bias.len(), x);
    let hidden: Vec<f64> = linear(&pooled, squeeze, squeeze_bias)
        .iter()
        .map(|x| x.max(0.0))
        .collect();
    linear(&hidden, expand, expand_bias)
        .iter()
        .map(|&x| hard_sigmoid(x))
        .collect()
}
