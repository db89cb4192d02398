//! Forward, input gradient and weight gradient of all convolutions, with plain
//! and with normalised operands.

use super::super::depthwise::{DepthwiseShape, depthwise_backward, depthwise_forward_moments};
use super::super::gradient::{ConvGradients, Epilogue, InputGradient, Store};
use super::super::map::{GridShape, MapShape, MapSize};
use super::super::norm::Moments;
use super::super::operand::{Input, OutputGradient};
use super::super::pointwise::{
    PointwiseShape, pointwise_backward, pointwise_forward, pointwise_forward_moments,
};
use super::super::stem::{StemShape, stem_backward, stem_forward_moments};
use super::{NormalisedInput, assert_close_f64, f64s, for_each_context};
use crate::Error;
use crate::memory::Scratch;
use crate::reference::{self, Convolution};
use crate::testing::Numbers;

fn assert_moments(moments: &Moments, z: &[f64], channels: usize, what: &str) {
    let (mean, variance) = reference::moments(channels, z);
    assert_eq!(moments.count * channels, z.len());
    assert_close_f64(&moments.mean, &mean, 1e-4, &format!("{what}: mean"));
    assert_close_f64(
        &moments.variance,
        &variance,
        1e-4,
        &format!("{what}: variance"),
    );
}

/// Images, height, width, channels.
const MAPS: [[usize; 4]; 9] = [
    [1, 1, 1, 1],
    [2, 1, 1, 16],
    [1, 1, 5, 3],
    [1, 6, 1, 24],
    [3, 7, 5, 17],
    [1, 4, 9, 33],
    [2, 3, 13, 40],
    [2, 12, 11, 7],
    [1, 16, 18, 20],
];

#[test]
fn depthwise_agrees_with_its_definition() {
    for_each_context(|cx| {
        for [images, height, width, channels] in MAPS {
            for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2)] {
                let what = format!(
                    "{} {} threads, {images}x{height}x{width}x{channels} k{kernel} s{stride}",
                    cx.isa,
                    cx.pool.threads()
                );
                let input = GridShape {
                    images,
                    height,
                    width,
                    channels,
                };
                let shape = DepthwiseShape::new(input, kernel, stride).expect("a possible shape");
                let definition = Convolution {
                    images,
                    height,
                    width,
                    inputs: channels,
                    outputs: channels,
                    kernel,
                    stride,
                    groups: channels,
                };
                let mut numbers = Numbers::new(3);
                let x = NormalisedInput::random(&mut numbers, images, height * width, channels);
                let plain: Vec<f32> = x.values().iter().map(|&x| x as f32).collect();
                let weight = numbers.take(definition.weight_size());
                let dz = numbers.take(definition.output_size());
                let (x64, w64, dz64) = (f64s(&plain), f64s(&weight), f64s(&dz));
                let want_z = definition.forward(&x64, &w64);
                let want_dx = definition.input_gradient(&dz64, &w64);
                let want_dw = definition.weight_gradient(&x64, &dz64);
                for input in [Input::Plain(&plain), Input::Normalised(x.operand())] {
                    let mut z = vec![f32::NAN; want_z.len()];
                    let moments = depthwise_forward_moments(cx, shape, input, &weight, &mut z)
                        .expect("lengths fit");
                    assert_close_f64(&z, &want_z, 1e-5, &what);
                    assert_moments(&moments, &want_z, channels, &what);

                    let mut dx = vec![f32::NAN; want_dx.len()];
                    let mut dweight = vec![f32::NAN; want_dw.len()];
                    let gradients = ConvGradients {
                        input: Some(InputGradient::alone(&mut dx)),
                        weight: Some(&mut dweight),
                        bias: None,
                    };
                    let output = OutputGradient::Plain(&dz);
                    depthwise_backward(cx, shape, input, output, &weight, gradients)
                        .expect("lengths fit");
                    assert_close_f64(&dx, &want_dx, 1e-5, &format!("{what}: input gradient"));
                    assert_close_f64(
                        &dweight,
                        &want_dw,
                        2e-4,
                        &format!("{what}: weight gradient"),
                    );
                }
            }
        }
    });
}

/// Images, pixels, inputs, outputs.
const PRODUCTS: [[usize; 4]; 8] = [
    [1, 1, 1, 1],
    [5, 1, 40, 33],
    [2, 3, 5, 2],
    [1, 31, 16, 16],
    [3, 300, 8, 24],
    [2, 150, 49, 65],
    [1, 1031, 24, 10],
    [2, 9, 100, 47],
];

#[test]
fn pointwise_agrees_with_its_definition() {
    for_each_context(|cx| {
        for [images, pixels, inputs, outputs] in PRODUCTS {
            let what = format!(
                "{} {} threads, {images}x{pixels} {inputs} to {outputs}",
                cx.isa,
                cx.pool.threads()
            );
            let map = MapShape::new(images, pixels, inputs).expect("a possible shape");
            let shape = PointwiseShape::new(map, outputs).expect("a possible shape");
            let definition = Convolution {
                images,
                height: 1,
                width: pixels,
                inputs,
                outputs,
                kernel: 1,
                stride: 1,
                groups: 1,
            };
            let mut numbers = Numbers::new(4);
            let x = NormalisedInput::random(&mut numbers, images, pixels, inputs);
            let plain: Vec<f32> = x.values().iter().map(|&x| x as f32).collect();
            let weight = numbers.take(definition.weight_size());
            let bias = numbers.take(outputs);
            let dz = numbers.take(definition.output_size());
            let (x64, w64, dz64) = (f64s(&plain), f64s(&weight), f64s(&dz));
            let want_z = definition.forward(&x64, &w64);
            let with_bias: Vec<f64> = want_z
                .iter()
                .enumerate()
                .map(|(i, z)| z + f64::from(bias[i % outputs]))
                .collect();
            let want_dx = definition.input_gradient(&dz64, &w64);
            let want_dw = definition.weight_gradient(&x64, &dz64);
            let mut want_db = vec![0.0; outputs];
            for (i, dz) in dz64.iter().enumerate() {
                want_db[i % outputs] += dz;
            }
            for input in [Input::Plain(&plain), Input::Normalised(x.operand())] {
                let mut z = vec![f32::NAN; want_z.len()];
                let moments = pointwise_forward_moments(cx, shape, input, &weight, &mut z)
                    .expect("lengths fit");
                assert_close_f64(&z, &want_z, 1e-5, &what);
                assert_moments(&moments, &want_z, outputs, &what);

                z.fill(f32::NAN);
                pointwise_forward(cx, shape, input, (&weight, Some(&bias)), &mut z)
                    .expect("lengths fit");
                assert_close_f64(&z, &with_bias, 1e-5, &format!("{what}: with bias"));

                let mut dx = vec![f32::NAN; want_dx.len()];
                let mut dweight = vec![f32::NAN; want_dw.len()];
                let mut dbias = vec![f32::NAN; outputs];
                let gradients = ConvGradients {
                    input: Some(InputGradient::alone(&mut dx)),
                    weight: Some(&mut dweight),
                    bias: Some(&mut dbias),
                };
                let output = OutputGradient::Plain(&dz);
                pointwise_backward(cx, shape, input, output, &weight, gradients)
                    .expect("lengths fit");
                assert_close_f64(&dx, &want_dx, 1e-5, &format!("{what}: input gradient"));
                assert_close_f64(
                    &dweight,
                    &want_dw,
                    3e-4,
                    &format!("{what}: weight gradient"),
                );
                assert_close_f64(&dbias, &want_db, 1e-4, &format!("{what}: bias gradient"));
            }
        }
    });
}

#[test]
fn stem_agrees_with_its_definition() {
    for_each_context(|cx| {
        for [images, height, width, outputs] in MAPS {
            let what = format!("{} {images}x{height}x{width} to {outputs}", cx.isa);
            let shape = StemShape::new(images, MapSize { height, width }, outputs)
                .expect("a possible shape");
            let definition = Convolution {
                images,
                height,
                width,
                inputs: 3,
                outputs,
                kernel: 3,
                stride: 2,
                groups: 1,
            };
            let mut numbers = Numbers::new(5);
            let images = numbers.take(definition.input_size());
            let weight = numbers.take(definition.weight_size());
            let dz = numbers.take(definition.output_size());
            let (x64, w64, dz64) = (f64s(&images), f64s(&weight), f64s(&dz));
            let want_z = definition.forward(&x64, &w64);

            let mut z = vec![f32::NAN; want_z.len()];
            let moments =
                stem_forward_moments(cx, shape, &images, &weight, &mut z).expect("lengths fit");
            assert_close_f64(&z, &want_z, 1e-5, &what);
            assert_moments(&moments, &want_z, outputs, &what);

            let mut dweight = vec![f32::NAN; weight.len()];
            stem_backward(cx, shape, &images, OutputGradient::Plain(&dz), &mut dweight)
                .expect("lengths fit");
            let want_dw = definition.weight_gradient(&x64, &dz64);
            assert_close_f64(
                &dweight,
                &want_dw,
                1e-4,
                &format!("{what}: weight gradient"),
            );
        }
    });
}

#[test]
fn same_threads_give_the_same_bits() {
    for_each_context(|cx| {
        let input = GridShape {
            images: 3,
            height: 19,
            width: 23,
            channels: 21,
        };
        let shape = DepthwiseShape::new(input, 5, 2).expect("a possible shape");
        let mut numbers = Numbers::new(6);
        let x = numbers.take(shape.input().size());
        let weight = numbers.take(shape.weight_size());
        let dz = numbers.take(shape.output().size());
        let run = || {
            let mut z = vec![0.0; shape.output().size()];
            let moments = depthwise_forward_moments(cx, shape, Input::Plain(&x), &weight, &mut z)
                .expect("lengths fit");
            let mut dweight = vec![0.0; weight.len()];
            let gradients = ConvGradients {
                weight: Some(&mut dweight),
                ..Default::default()
            };
            let output = OutputGradient::Plain(&dz);
            depthwise_backward(cx, shape, Input::Plain(&x), output, &weight, gradients)
                .expect("lengths fit");
            (z, moments, dweight)
        };
        let first = run();
        for _ in 0..5 {
            assert_eq!(run(), first);
        }
    });
}

#[test]
fn wrong_lengths_are_errors() {
    for_each_context(|cx| {
        let map = MapShape::new(2, 6, 3).expect("a possible shape");
        let shape = PointwiseShape::new(map, 4).expect("a possible shape");
        let (x, weight) = (vec![0.0; 36], vec![0.0; 12]);
        let mut z = vec![0.0; 47];
        let outcome = pointwise_forward(cx, shape, Input::Plain(&x), (&weight, None), &mut z);
        assert_eq!(
            outcome,
            Err(Error::Length {
                what: "z",
                expected: 48,
                found: 47
            })
        );
        let mut z = vec![0.0; 48];
        let outcome = pointwise_forward(cx, shape, Input::Plain(&x[1..]), (&weight, None), &mut z);
        assert!(matches!(outcome, Err(Error::Length { expected: 36, .. })));
    });
}

#[test]
fn impossible_shapes_are_errors() {
    assert!(MapShape::new(0, 1, 1).is_err());
    assert!(MapShape::new(usize::MAX, 2, 1).is_err());
    let empty = MapSize {
        height: 1,
        width: 0,
    };
    assert!(StemShape::new(1, empty, 8).is_err());
    let possible = GridShape {
        images: 1,
        height: 2,
        width: 3,
        channels: 4,
    };
    assert!(DepthwiseShape::new(possible, 3, 1).is_ok());
    assert!(DepthwiseShape::new(possible, 4, 1).is_err());
    assert!(DepthwiseShape::new(possible, 3, 3).is_err());
    let impossible = GridShape {
        channels: 0,
        ..possible
    };
    assert!(DepthwiseShape::new(impossible, 3, 1).is_err());
}

#[test]
fn scratch_memory_stays_the_same_from_step_to_step() {
    for_each_context(|cx| {
        let map = MapShape::new(2, 9, 40).expect("a possible shape");
        let shape = PointwiseShape::new(map, 24).expect("a possible shape");
        let mut numbers = Numbers::new(5);
        let x = NormalisedInput::random(&mut numbers, 2, 9, 40);
        let (weight, dz) = (numbers.take(24 * 40), numbers.take(2 * 9 * 24));
        let (mut dx, mut dweight) = (vec![0.0; 2 * 9 * 40], vec![0.0; weight.len()]);
        let mean = vec![0.0; 40];
        let mut step = || {
            let gradients = ConvGradients {
                input: Some(InputGradient {
                    dx: &mut dx,
                    store: Store::Overwrite,
                    epilogue: Epilogue::NormSums { mean: &mean },
                }),
                weight: Some(&mut dweight),
                bias: None,
            };
            let input = Input::Normalised(x.operand());
            let output = OutputGradient::Plain(&dz);
            pointwise_backward(cx, shape, input, output, &weight, gradients).expect("lengths fit");
            Scratch::free_on_this_thread()
        };
        let free = step();
        for _ in 0..3 {
            assert_eq!(step(), free, "{} threads", cx.pool.threads());
        }
    });
}
