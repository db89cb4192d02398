//! Layers on vectors: linear layers, squeeze-and-excite, averages.

use super::map::{MapRef, blocks};
use super::packed::Pointwise;
use super::share;
use crate::Context;
use crate::activation::{Activation, Function, for_activation, hard_sigmoid};
use crate::isa::{Kernel, Simd};
use crate::memory::{BLOCK, Block, Shared};

/// Vectors of outputs that are summed side by side, so that several streams of
/// weights are read at once.
const STREAMS: usize = 4;

/// Sums of each of them: with the streams enough to hide an addition's latency.
const CHAINS: usize = 2;

/// A linear layer.
#[derive(Clone, Debug)]
pub struct Dense {
    layer: Pointwise,
}

impl Dense {
    /// Packs `weights`, `[out][in]`, and `bias`, `[out]`.
    ///
    /// # Panics
    /// If there is no number or the lengths don't fit each other.
    pub fn new(weights: &[f32], bias: &[f32], activation: Activation) -> Self {
        Self {
            layer: Pointwise::new(weights, bias, activation),
        }
    }

    /// Numbers that it reads.
    pub const fn inputs(&self) -> usize {
        self.layer.in_channels
    }

    /// Numbers that it writes.
    pub const fn outputs(&self) -> usize {
        self.layer.out_channels
    }
}

/// `output = activation(weights * input + bias)`.
///
/// # Panics
/// If the lengths don't fit.
pub fn dense(context: Context<'_>, layer: &Dense, input: &[Block], output: &mut [Block]) {
    let layer = &layer.layer;
    let epilogue = Epilogue::Activation(layer.activation);
    panels(context, layer, input, output, epilogue);
}

/// Both layers of a squeeze-and-excite.
#[derive(Clone, Debug)]
pub struct SqueezeExcite {
    squeeze: Dense,
    excite: Dense,
}

impl SqueezeExcite {
    /// From the layer that narrows (ReLU follows) and the one that widens
    /// (hard sigmoid follows).
    ///
    /// # Panics
    /// If they don't fit each other.
    pub fn new(squeeze: Dense, excite: Dense) -> Self {
        assert_eq!(squeeze.outputs(), excite.inputs(), "squeezed channels");
        assert_eq!(squeeze.inputs(), excite.outputs(), "channels");
        Self { squeeze, excite }
    }

    /// Channels that are scaled.
    pub const fn channels(&self) -> usize {
        self.squeeze.inputs()
    }

    /// Blocks of scratch that [`squeeze_excite`] needs.
    pub fn scratch(&self) -> usize {
        blocks(self.squeeze.outputs())
    }
}

/// Replaces the sums of the channels over `pixels` pixels by the factors of
/// the channels.
///
/// # Panics
/// If the lengths don't fit.
pub fn squeeze_excite(
    context: Context<'_>,
    layer: &SqueezeExcite,
    pixels: usize,
    sums: &mut [Block],
    scratch: &mut [Block],
) {
    let squeezed = &mut scratch[..layer.scratch()];
    for sum in sums.iter_mut() {
        for x in &mut sum.0 {
            *x /= pixels as f32;
        }
    }
    dense(context, &layer.squeeze, sums, squeezed);
    let excite = &layer.excite.layer;
    panels(context, excite, squeezed, sums, Epilogue::HardSigmoid);
}

/// The average of each channel over a map.
///
/// # Panics
/// If `output` doesn't fit.
pub fn average(context: Context<'_>, input: MapRef<'_>, output: &mut [Block]) {
    let shape = input.shape();
    assert_eq!(output.len(), shape.blocks(), "averages");
    let view = input.view();
    for (block, out) in output.iter_mut().enumerate() {
        let mut sum = Block::ZERO;
        for y in 0..shape.height {
            context.isa.run(SumRow {
                ptr: view.at(block, y),
                pixels: shape.width,
                sum: &mut sum,
            });
        }
        for (out, sum) in out.0.iter_mut().zip(sum.0) {
            *out = sum / shape.pixels() as f32;
        }
    }
}

/// # Safety
/// To be run only while `ptr` is valid for the pixels.
struct SumRow<'a> {
    ptr: *const f32,
    pixels: usize,
    sum: &'a mut Block,
}

impl Kernel for SumRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut lane = 0;
        while lane < BLOCK {
            // SAFETY: promised by the maker.
            unsafe {
                let out = self.sum.0.as_mut_ptr().add(lane);
                let mut sum = s.load(out);
                for pixel in 0..self.pixels {
                    sum = s.add(sum, s.load(self.ptr.add(pixel * BLOCK + lane)));
                }
                s.store(out, sum);
            }
            lane += S::LANES;
        }
    }
}

/// What is done to a sum before it is written.
#[derive(Clone, Copy)]
enum Epilogue {
    Activation(Activation),
    HardSigmoid,
}

fn panels(
    context: Context<'_>,
    layer: &Pointwise,
    input: &[Block],
    output: &mut [Block],
    epilogue: Epilogue,
) {
    assert_eq!(input.len(), blocks(layer.in_channels), "inputs");
    assert_eq!(output.len(), layer.panels(), "outputs");
    let macs = layer.in_channels * layer.out_channels;
    let (count, output) = (output.len(), Shared::new(output));
    share(context, macs, count, |_, range| {
        // SAFETY: each panel belongs to one thread.
        let out = unsafe { output.part(range.clone()) };
        context.isa.run(Panels {
            weights: &layer.weights[range.start * layer.in_channels..]
                [..range.len() * layer.in_channels],
            bias: &layer.bias[range],
            inputs: layer.in_channels,
            input,
            out,
            epilogue,
        });
    });
}

/// Some panels of a matrix times a vector.
struct Panels<'a> {
    weights: &'a [Block],
    bias: &'a [Block],
    inputs: usize,
    input: &'a [Block],
    out: &'a mut [Block],
    epilogue: Epilogue,
}

impl Kernel for Panels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let vectors = self.out.len() * BLOCK / S::LANES;
        let mut vector = 0;
        while vector + STREAMS <= vectors {
            // SAFETY: there are so many vectors.
            unsafe { self.vectors::<S, STREAMS>(s, vector) };
            vector += STREAMS;
        }
        while vector < vectors {
            // SAFETY: as above.
            unsafe { self.vectors::<S, 1>(s, vector) };
            vector += 1;
        }
    }
}

impl Panels<'_> {
    /// `N` vectors of the output from vector `first` on.
    #[inline(always)]
    unsafe fn vectors<S: Simd, const N: usize>(&mut self, s: S, first: usize) {
        // SAFETY: the panels of these vectors are in the slices.
        unsafe {
            let bias = self.bias.as_ptr().cast::<f32>();
            let input = self.input.as_ptr().cast::<f32>();
            let mut rows = [std::ptr::null(); N];
            let mut sums = [[s.zero(); CHAINS]; N];
            for v in 0..N {
                let lane = (first + v) * S::LANES;
                let panel = lane / BLOCK * self.inputs * BLOCK;
                rows[v] = self
                    .weights
                    .as_ptr()
                    .cast::<f32>()
                    .add(panel + lane % BLOCK);
                sums[v][0] = s.load(bias.add(lane));
            }
            let mut k = 0;
            while k + CHAINS <= self.inputs {
                for chain in 0..CHAINS {
                    let x = s.splat(*input.add(k + chain));
                    for (row, sums) in rows.iter().zip(&mut sums) {
                        let weight = s.load(row.add((k + chain) * BLOCK));
                        sums[chain] = s.mul_add(x, weight, sums[chain]);
                    }
                }
                k += CHAINS;
            }
            while k < self.inputs {
                let x = s.splat(*input.add(k));
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let weight = s.load(row.add(k * BLOCK));
                    sums[0] = s.mul_add(x, weight, sums[0]);
                }
                k += 1;
            }
            let out = self.out.as_mut_ptr().cast::<f32>();
            for (v, [a, b]) in sums.into_iter().enumerate() {
                let x = self.epilogue(s, s.add(a, b));
                s.store(out.add((first + v) * S::LANES), x);
            }
        }
    }

    #[inline(always)]
    fn epilogue<S: Simd>(&self, s: S, x: S::F32) -> S::F32 {
        match self.epilogue {
            Epilogue::HardSigmoid => hard_sigmoid(s, x),
            Epilogue::Activation(activation) => for_activation!(activation, F => F::value(s, x)),
        }
    }
}
