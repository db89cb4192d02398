//! A graph's forward pass in Burn's operations.
//!
//! Maps are `[N, C, H, W]`; vectors are maps of one cell.

use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm, batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use ssdlite_core::graph::Linear;
use ssdlite_core::unit::{BATCH_NORM_EPS, Conv};
use ssdlite_core::{Activation, Graph, Operation};
use ssdlite_train::step::drop_out;

/// What a forward pass reads.
pub(crate) struct Forward<'a> {
    pub(crate) graph: &'a Graph,
    /// For each node its tensors in the order of its inventory, flat.
    pub(crate) tensors: &'a [Vec<Tensor<1>>],
    /// For each node what it is normalised by.
    pub(crate) statistics: &'a [Statistics],
    /// What dropout is drawn from.
    pub(crate) random: u64,
    pub(crate) device: &'a Device,
}

/// What a node is normalised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statistics {
    /// The batch's own; the node trains.
    Batch,
    /// Those of earlier batches.
    Running,
}

/// What a forward pass gives.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// In the order of the graph, for each of an output's inputs its numbers
    /// `[N, rows * numbers]`. They are joined in memory: the gradients of parts
    /// of a joined tensor would be views of it, and Burn 0.22.1 takes a view
    /// `[N, H, W, C]` whose images stand apart for one of a single piece when it
    /// computes the gradient of a pointwise convolution's weights.
    pub(crate) outputs: Vec<Vec<Tensor<2>>>,
    pub(crate) moments: Vec<Moments>,
}

/// A batch's statistics.
#[derive(Debug)]
pub(crate) struct Moments {
    /// The node.
    pub(crate) node: usize,
    /// Mean of each channel.
    pub(crate) mean: Tensor<1>,
    /// Biased variance of each channel.
    pub(crate) variance: Tensor<1>,
    /// Values of a channel.
    pub(crate) count: usize,
}

impl Forward<'_> {
    /// The results for images `[N, 3, H, W]`.
    pub(crate) fn run(&self, images: Tensor<4>) -> Results {
        let mut results = Results::default();
        let mut maps: Vec<Tensor<4>> = Vec::with_capacity(self.graph.nodes().len());
        for (id, node) in self.graph.iter() {
            let index = id.index();
            let tensor = |place: usize| self.tensors[index][place].clone();
            let input = |place: usize| maps[node.inputs[place].index()].clone();
            let map = match node.operation {
                Operation::Image => images.clone(),
                Operation::ConvUnit(conv, activation) => {
                    let z = convolve(conv, input(0), tensor(0), None);
                    let normalised = self.normalise(index, z, &mut results.moments);
                    activate(activation, normalised)
                }
                Operation::Conv(conv) => convolve(conv, input(0), tensor(0), Some(tensor(1))),
                Operation::SqueezeExcite { squeeze_channels } => {
                    let map = input(0);
                    let (wide, narrow) = (node.channels, squeeze_channels);
                    let squeeze = Conv::pointwise(wide, narrow);
                    let expand = Conv::pointwise(narrow, wide);
                    let mean = average(map.clone());
                    let hidden = relu(convolve(squeeze, mean, tensor(0), Some(tensor(1))));
                    let gate = convolve(expand, hidden, tensor(2), Some(tensor(3)));
                    map * hard_sigmoid(gate)
                }
                Operation::Add => input(0) + input(1),
                Operation::Upsample { like } => {
                    let [_, _, height, width] = maps[like.index()].dims();
                    upsample(input(0), [height, width])
                }
                Operation::GlobalPool => average(input(0)),
                Operation::Linear(linear) => {
                    let dropped = self.drop_out(index, linear, input(0));
                    let layer = Conv::pointwise(linear.in_features, linear.out_features);
                    let z = convolve(layer, dropped, tensor(0), Some(tensor(1)));
                    activate(linear.activation, z)
                }
                Operation::Output(_) => {
                    let inputs = 0..node.inputs.len();
                    let numbers = inputs.map(|place| channels_innermost(input(place)));
                    results.outputs.push(numbers.collect());
                    // No node reads it.
                    input(0)
                }
            };
            maps.push(map);
        }
        results
    }

    /// Batch norm; the batch's moments are kept where they are used.
    fn normalise(&self, index: usize, z: Tensor<4>, kept: &mut Vec<Moments>) -> Tensor<4> {
        let [gamma, beta, mean, variance] =
            [1, 2, 3, 4].map(|place| self.tensors[index][place].clone());
        match self.statistics[index] {
            Statistics::Batch => {
                let [images, _, height, width] = z.dims();
                let normalised = batch_norm_train(z, gamma, beta, BATCH_NORM_EPS);
                kept.push(Moments {
                    node: index,
                    mean: normalised.mean,
                    variance: normalised.variance,
                    count: images * height * width,
                });
                normalised.output
            }
            Statistics::Running => batch_norm(z, gamma, beta, mean, variance, BATCH_NORM_EPS),
        }
    }

    fn drop_out(&self, index: usize, linear: Linear, input: Tensor<4>) -> Tensor<4> {
        if linear.dropout == 0.0 {
            return input;
        }
        let shape = input.dims();
        let keys = [self.random, index as u64];
        let mut factors = vec![1.0; shape.iter().product()];
        drop_out(&mut factors, linear.dropout, keys);
        input * Tensor::from_data(TensorData::new(factors, shape), self.device)
    }
}

fn convolve(conv: Conv, input: Tensor<4>, weight: Tensor<1>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let padding = conv.kernel / 2;
    let options = ConvOptions::new([conv.stride; 2], [padding; 2], [1, 1], conv.groups());
    conv2d(input, weight.reshape(conv.weight_shape()), bias, options)
}

fn activate(activation: Activation, z: Tensor<4>) -> Tensor<4> {
    match activation {
        Activation::Identity => z,
        Activation::Relu => relu(z),
        Activation::Relu6 => relu(z).clamp_max(6.0),
        Activation::HardSwish => z.clone() * hard_sigmoid(z),
    }
}

/// `relu6(x + 3) / 6`.
fn hard_sigmoid(x: Tensor<4>) -> Tensor<4> {
    (x + 3.0).clamp(0.0, 6.0) / 6.0
}

fn average(map: Tensor<4>) -> Tensor<4> {
    map.mean_dims(&[2, 3])
}

/// Each cell four times, cut to this height and width.
fn upsample(map: Tensor<4>, [height, width]: [usize; 2]) -> Tensor<4> {
    let [images, channels, rows, columns] = map.dims();
    map.reshape([images, channels, rows, 1, columns, 1])
        .expand([images, channels, rows, 2, columns, 2])
        .reshape([images, channels, 2 * rows, 2 * columns])
        .slice([0..images, 0..channels, 0..height, 0..width])
}

/// A map's numbers, `[N, H * W * C]`.
fn channels_innermost(map: Tensor<4>) -> Tensor<2> {
    let [images, channels, height, width] = map.dims();
    map.permute([0, 2, 3, 1])
        .reshape([images, height * width * channels])
}
