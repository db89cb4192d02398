//! Batch norm, activation, squeeze-and-excite, convolution, batch norm,
//! activation: the gradients of the whole chain against finite differences of
//! its definition.

use super::super::depthwise::{DepthwiseShape, depthwise_backward, depthwise_forward_moments};
use super::super::gradient::{ConvGradients, Epilogue, InputGradient, Store};
use super::super::map::{GridShape, MapShape};
use super::super::norm::{
    Affine, Moments, NormContext, NormGradient, moments, norm_backward, norm_backward_sums,
};
use super::super::operand::{ExciteGradient, Input, NormBackward, Normalised, OutputGradient};
use super::super::pointwise::{PointwiseShape, pointwise_backward, pointwise_forward_moments};
use super::super::squeeze_excite::{Excite, excite_backward, excite_forward};
use super::{f64s, for_each_context};
use crate::Context;
use crate::activation::Activation;
use crate::reference::{self, Convolution};
use crate::testing::Numbers;

const EPSILON: f32 = 1e-3;
const STEP: f64 = 1e-5;

/// The parameters of a chain, and then their gradients; the excitation's are
/// empty where there is none.
#[derive(Clone, Debug)]
struct Chain {
    z: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    squeeze: Vec<f32>,
    squeeze_bias: Vec<f32>,
    expand: Vec<f32>,
    expand_bias: Vec<f32>,
    weight: Vec<f32>,
    out_gamma: Vec<f32>,
    out_beta: Vec<f32>,
}

impl Chain {
    fn random(numbers: &mut Numbers, shape: Convolution, squeezed: usize) -> Self {
        let (inputs, outputs) = (shape.inputs, shape.outputs);
        let scaled = |x: Vec<f32>, factor: f32| x.iter().map(|x| factor * x).collect();
        Self {
            z: scaled(numbers.take(shape.input_size()), 5.0),
            gamma: scaled(numbers.take(inputs), 3.0),
            beta: numbers.take(inputs),
            squeeze: numbers.take(squeezed * inputs),
            squeeze_bias: numbers.take(squeezed),
            expand: numbers.take(squeezed * inputs),
            expand_bias: numbers.take(if squeezed > 0 { inputs } else { 0 }),
            weight: numbers.take(shape.weight_size()),
            out_gamma: scaled(numbers.take(outputs), 3.0),
            out_beta: numbers.take(outputs),
        }
    }

    fn parts(&self) -> [(&'static str, &Vec<f32>); 10] {
        [
            ("z", &self.z),
            ("gamma", &self.gamma),
            ("beta", &self.beta),
            ("squeeze", &self.squeeze),
            ("squeeze bias", &self.squeeze_bias),
            ("expand", &self.expand),
            ("expand bias", &self.expand_bias),
            ("weight", &self.weight),
            ("out gamma", &self.out_gamma),
            ("out beta", &self.out_beta),
        ]
    }
}

/// The sum of `dy` times the chain's output, and of `other` times what its
/// convolution reads, by definition.
fn objective(
    shape: Convolution,
    activation: Activation,
    parts: &[Vec<f64>; 10],
    dy: &[f64],
    other: &[f64],
) -> f64 {
    let [
        z,
        gamma,
        beta,
        squeeze,
        squeeze_bias,
        expand,
        expand_bias,
        weight,
        out_gamma,
        out_beta,
    ] = parts;
    let epsilon = f64::from(EPSILON);
    let mut x = reference::normalise(z, (gamma, beta), epsilon, activation);
    if !squeeze_bias.is_empty() {
        let squeeze = (&squeeze[..], &squeeze_bias[..]);
        let expand = (&expand[..], &expand_bias[..]);
        let scale = reference::excite(shape.images, &x, squeeze, expand);
        let image_len = x.len() / shape.images;
        for (i, x) in x.iter_mut().enumerate() {
            *x *= scale[i / image_len * shape.inputs + i % shape.inputs];
        }
    }
    let out = shape.forward(&x, weight);
    let y = reference::normalise(&out, (out_gamma, out_beta), epsilon, activation);
    let products = y.iter().zip(dy).chain(x.iter().zip(other));
    products.map(|(y, dy)| y * dy).sum()
}

/// The convolution of a chain.
#[derive(Clone, Copy)]
enum Conv {
    Pointwise(PointwiseShape),
    Depthwise(DepthwiseShape),
}

impl Conv {
    fn new(shape: Convolution) -> Self {
        if shape.groups == 1 {
            let pixels = shape.height * shape.width;
            let map = MapShape::new(shape.images, pixels, shape.inputs).expect("possible");
            Self::Pointwise(PointwiseShape::new(map, shape.outputs).expect("possible"))
        } else {
            let input = GridShape {
                images: shape.images,
                height: shape.height,
                width: shape.width,
                channels: shape.inputs,
            };
            let shape = DepthwiseShape::new(input, shape.kernel, shape.stride);
            Self::Depthwise(shape.expect("possible"))
        }
    }

    fn forward(self, cx: Context<'_>, x: Input<'_>, weight: &[f32], z: &mut [f32]) -> Moments {
        match self {
            Self::Pointwise(shape) => pointwise_forward_moments(cx, shape, x, weight, z),
            Self::Depthwise(shape) => depthwise_forward_moments(cx, shape, x, weight, z),
        }
        .expect("lengths fit")
    }
}

/// The gradients of a chain by the kernels; the second batch norm's second pass
/// on reading or in memory. `other` is what another reader gives for the map
/// that the convolution reads, if there is one.
fn gradients(
    cx: Context<'_>,
    shape: Convolution,
    activation: Activation,
    chain: &Chain,
    dy: &[f32],
    other: Option<&[f32]>,
    in_memory: bool,
) -> Chain {
    let conv = Conv::new(shape);
    let pixels = shape.height * shape.width;
    let map = MapShape::new(shape.images, pixels, shape.inputs).expect("possible");
    let out_pixels = shape.output_height() * shape.output_width();
    let out_map = MapShape::new(shape.images, out_pixels, shape.outputs).expect("possible");

    // Forward.
    let in_moments = moments(cx, map, &chain.z).expect("lengths fit");
    let affine = affine_of(&in_moments, &chain.gamma, &chain.beta);
    let mut operand = Normalised {
        z: &chain.z,
        affine: &affine,
        activation,
        image_scale: None,
    };
    let excite = (!chain.squeeze_bias.is_empty()).then_some(Excite {
        squeeze: &chain.squeeze,
        squeeze_bias: &chain.squeeze_bias,
        expand: &chain.expand,
        expand_bias: &chain.expand_bias,
    });
    let excited = excite.map(|excite| {
        excite_forward(cx, map, Input::Normalised(operand), excite).expect("lengths fit")
    });
    operand.image_scale = excited.as_ref().map(|excited| &excited.scale[..]);
    let input = Input::Normalised(operand);
    let mut out = vec![f32::NAN; out_map.size()];
    let out_moments = conv.forward(cx, input, &chain.weight, &mut out);
    let out_affine = affine_of(&out_moments, &chain.out_gamma, &chain.out_beta);

    // Backward.
    let context = NormContext {
        affine: &out_affine,
        mean: &out_moments.mean,
        activation,
    };
    let sums = norm_backward_sums(cx, out_map, context, (dy, &out), None).expect("lengths fit");
    let out_gradient = sums
        .gradient(&out_moments, &chain.out_gamma, EPSILON)
        .expect("lengths fit");
    let norm = NormBackward {
        z: &out,
        affine: &out_affine,
        activation,
        gradient: &out_gradient,
        excite: None,
    };
    let mut dz = dy.to_vec();
    norm_backward(cx, out_map, norm, &mut dz).expect("lengths fit");
    let output = if in_memory {
        OutputGradient::Plain(&dz)
    } else {
        OutputGradient::Normalised { dy, norm }
    };

    let (mut dx, store) = match other {
        Some(other) => (other.to_vec(), Store::Add),
        None => (vec![f32::NAN; map.size()], Store::Overwrite),
    };
    let mut dweight = vec![f32::NAN; chain.weight.len()];
    let mut dscale = vec![f32::NAN; shape.images * shape.inputs];
    let epilogue = if excite.is_some() {
        Epilogue::ImageScale(&mut dscale)
    } else {
        Epilogue::NormSums {
            mean: &in_moments.mean,
        }
    };
    let wanted = ConvGradients {
        input: Some(InputGradient {
            dx: &mut dx,
            store,
            epilogue,
        }),
        weight: Some(&mut dweight),
        bias: None,
    };
    let sums = match conv {
        Conv::Pointwise(shape) => {
            pointwise_backward(cx, shape, input, output, &chain.weight, wanted)
        }
        Conv::Depthwise(shape) => {
            depthwise_backward(cx, shape, input, output, &chain.weight, wanted)
        }
    }
    .expect("lengths fit");

    let excite_gradients = excite.zip(excited.as_ref()).map(|(excite, excited)| {
        excite_backward(cx, map, excite, excited, &dscale).expect("lengths fit")
    });
    let through = excite_gradients
        .as_ref()
        .zip(excited.as_ref())
        .map(|(gradients, excited)| ExciteGradient {
            scale: &excited.scale,
            shift: &gradients.shift,
        });
    let sums = sums.unwrap_or_else(|| {
        let context = NormContext {
            affine: &affine,
            mean: &in_moments.mean,
            activation,
        };
        norm_backward_sums(cx, map, context, (&dx, &chain.z), through).expect("lengths fit")
    });
    let gradient = sums
        .gradient(&in_moments, &chain.gamma, EPSILON)
        .expect("lengths fit");
    let norm = NormBackward {
        z: &chain.z,
        affine: &affine,
        activation,
        gradient: &gradient,
        excite: through,
    };
    norm_backward(cx, map, norm, &mut dx).expect("lengths fit");
    let [squeeze, squeeze_bias, expand, expand_bias] = match excite_gradients {
        Some(g) => [g.squeeze, g.squeeze_bias, g.expand, g.expand_bias],
        None => Default::default(),
    };
    let NormGradient { dgamma, dbeta, .. } = gradient;
    Chain {
        z: dx,
        gamma: dgamma,
        beta: dbeta,
        squeeze,
        squeeze_bias,
        expand,
        expand_bias,
        weight: dweight,
        out_gamma: out_gradient.dgamma,
        out_beta: out_gradient.dbeta,
    }
}

fn affine_of(moments: &Moments, gamma: &[f32], beta: &[f32]) -> Affine {
    Affine::from_norm(&moments.mean, &moments.variance, gamma, beta, EPSILON)
        .expect("equal lengths")
}

fn check(shape: Convolution, activation: Activation, squeezed: usize) {
    let other = Numbers::new(15).take(shape.input_size());
    check_readers(shape, activation, squeezed, None);
    check_readers(shape, activation, squeezed, Some(other));
}

fn check_readers(
    shape: Convolution,
    activation: Activation,
    squeezed: usize,
    other: Option<Vec<f32>>,
) {
    let mut numbers = Numbers::new(14);
    let other64 = other.as_deref().map_or_else(Vec::new, f64s);
    let chain = Chain::random(&mut numbers, shape, squeezed);
    let dy = numbers.take(shape.output_size());
    let dy64 = f64s(&dy);
    let parts = chain.parts().map(|(_, part)| f64s(part));
    let mut want: Vec<Vec<f64>> = Vec::new();
    for part in 0..parts.len() {
        let slope = |i: usize| {
            let at = |step: f64| {
                let mut moved = parts.clone();
                moved[part][i] += step;
                objective(shape, activation, &moved, &dy64, &other64)
            };
            (at(STEP) - at(-STEP)) / (2.0 * STEP)
        };
        want.push((0..parts[part].len()).map(slope).collect());
    }
    for_each_context(|cx| {
        for in_memory in [false, true] {
            let got = gradients(
                cx,
                shape,
                activation,
                &chain,
                &dy,
                other.as_deref(),
                in_memory,
            );
            for ((name, got), want) in got.parts().into_iter().zip(&want) {
                assert_eq!(got.len(), want.len(), "{name}");
                let size = want.iter().fold(1.0_f64, |a, x| a.max(x.abs()));
                for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
                    assert!(
                        (f64::from(got) - want).abs() < 2e-4 * size,
                        "{} {shape:?} {activation:?}: {name} {i}: {got}, want {want}",
                        cx.isa
                    );
                }
            }
        }
    });
}

#[test]
fn pointwise_chains_agree_with_finite_differences() {
    for (i, activation) in Activation::ALL.into_iter().enumerate() {
        let shape = Convolution {
            images: 2,
            height: 3,
            width: 2 + i,
            inputs: 5 + 7 * i,
            outputs: 3 + i,
            kernel: 1,
            stride: 1,
            groups: 1,
        };
        check(shape, activation, 0);
        check(shape, activation, 2);
    }
}

#[test]
fn depthwise_chains_agree_with_finite_differences() {
    for (i, activation) in Activation::ALL.into_iter().enumerate() {
        for stride in [1, 2] {
            let channels = 3 + 5 * i;
            let shape = Convolution {
                images: 2,
                height: 5,
                width: 3 + i,
                inputs: channels,
                outputs: channels,
                kernel: 3 + 2 * (i % 2),
                stride,
                groups: channels,
            };
            check(shape, activation, 0);
        }
    }
}
