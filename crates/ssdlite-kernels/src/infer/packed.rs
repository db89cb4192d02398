//! Weights in the order in which the kernels read them.

use super::map::blocks;
use crate::activation::Activation;
use crate::memory::{BLOCK, Block};

/// A 1x1 convolution or a matrix: `[blocks of outputs][inputs]` of blocks.
#[derive(Clone, Debug)]
pub struct Pointwise {
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) weights: Vec<Block>,
    pub(super) bias: Vec<Block>,
    pub(super) activation: Activation,
}

impl Pointwise {
    /// Packs `weights`, `[out][in]`, and `bias`, `[out]`.
    ///
    /// # Panics
    /// If there is no channel or the lengths don't fit each other.
    pub fn new(weights: &[f32], bias: &[f32], activation: Activation) -> Self {
        let out_channels = bias.len();
        assert!(out_channels > 0 && !weights.is_empty(), "no channels");
        let in_channels = weights.len() / out_channels;
        assert_eq!(weights.len(), out_channels * in_channels, "weights");
        let mut packed = vec![Block::ZERO; blocks(out_channels) * in_channels];
        for (out, row) in weights.chunks_exact(in_channels).enumerate() {
            let panel = &mut packed[out / BLOCK * in_channels..][..in_channels];
            for (block, &weight) in panel.iter_mut().zip(row) {
                block.0[out % BLOCK] = weight;
            }
        }
        Self {
            in_channels,
            out_channels,
            weights: packed,
            bias: blocked(bias),
            activation,
        }
    }

    /// Channels that it reads.
    pub const fn in_channels(&self) -> usize {
        self.in_channels
    }

    /// Channels that it writes.
    pub const fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// Blocks of output channels.
    pub(super) fn panels(&self) -> usize {
        self.bias.len()
    }
}

/// A depthwise convolution, 3x3 or 5x5, padding `kernel / 2`:
/// `[blocks of channels][kernel * kernel]` of blocks.
#[derive(Clone, Debug)]
pub struct Depthwise {
    pub(super) channels: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) weights: Vec<Block>,
    pub(super) bias: Vec<Block>,
    pub(super) activation: Activation,
}

impl Depthwise {
    /// Packs `weights`, `[channels][kernel][kernel]`, and `bias`.
    ///
    /// # Panics
    /// If the kernel is not 3 or 5 wide, the stride not 1 or 2, or the lengths
    /// don't fit.
    pub fn new(
        weights: &[f32],
        bias: &[f32],
        kernel: usize,
        stride: usize,
        activation: Activation,
    ) -> Self {
        let channels = bias.len();
        assert!(matches!(kernel, 3 | 5), "kernel {kernel}");
        assert!(matches!(stride, 1 | 2), "stride {stride}");
        let taps = kernel * kernel;
        assert_eq!(weights.len(), channels * taps, "weights");
        let mut packed = vec![Block::ZERO; blocks(channels) * taps];
        for (channel, row) in weights.chunks_exact(taps).enumerate() {
            let block = &mut packed[channel / BLOCK * taps..][..taps];
            for (tap, &weight) in block.iter_mut().zip(row) {
                tap.0[channel % BLOCK] = weight;
            }
        }
        Self {
            channels,
            kernel,
            stride,
            weights: packed,
            bias: blocked(bias),
            activation,
        }
    }

    /// Channels that it reads and writes.
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// Padding that its input map needs.
    pub const fn padding(&self) -> usize {
        self.kernel / 2
    }

    /// Rows or columns of its output for that many of its input.
    pub const fn output(&self, input: usize) -> usize {
        input.div_ceil(self.stride)
    }
}

/// The first convolution, 3x3 of stride 2 on 8-bit RGB, with the
/// normalisation of the pixels folded in.
#[derive(Clone, Debug)]
pub struct Stem {
    pub(super) product: Pointwise,
    /// What the padding holds: the byte, as a number, that normalises to zero.
    pub(super) padding: [f32; 3],
}

impl Stem {
    /// Packs `weights`, `[out][red, green, blue][3][3]`, and `bias` for pixels
    /// normalised by `(byte / 255 - mean) / std`.
    ///
    /// # Panics
    /// If the lengths don't fit.
    pub fn new(
        weights: &[f32],
        bias: &[f32],
        mean: [f32; 3],
        std: [f32; 3],
        activation: Activation,
    ) -> Self {
        assert_eq!(weights.len(), bias.len() * 27, "weights");
        let mut folded = vec![0.0; weights.len()];
        let mut shifted = Vec::with_capacity(bias.len());
        for (out, (row, &bias)) in weights.chunks_exact(27).zip(bias).enumerate() {
            let mut shift = f64::from(bias);
            for color in 0..3 {
                let (mean, std) = (f64::from(mean[color]), f64::from(std[color]));
                for tap in 0..9 {
                    let weight = f64::from(row[color * 9 + tap]);
                    folded[out * 27 + tap * 3 + color] = (weight / (255.0 * std)) as f32;
                    shift -= weight * mean / std;
                }
            }
            shifted.push(shift as f32);
        }
        Self {
            product: Pointwise::new(&folded, &shifted, activation),
            padding: mean.map(|mean| 255.0 * mean),
        }
    }
}

/// A vector in blocks.
pub(super) fn blocked(numbers: &[f32]) -> Vec<Block> {
    let mut out = vec![Block::ZERO; blocks(numbers.len())];
    for (i, &number) in numbers.iter().enumerate() {
        out[i / BLOCK].0[i % BLOCK] = number;
    }
    out
}
