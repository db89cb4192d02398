//! Upsampling and sums of maps: the definition, and the laws that tie a gradient
//! to it.

use super::super::accumulate::accumulate;
use super::super::map::{GridShape, MapSize};
use super::super::operand::Input;
use super::super::upsample::{UpsampleShape, upsample_nearest, upsample_nearest_backward};
use super::{NormalisedInput, assert_close_f64, f64s, for_each_context};
use crate::Error;
use crate::testing::Numbers;

/// Images, channels, height and width of the output.
const MAPS: [[usize; 4]; 7] = [
    [1, 1, 1, 1],
    [2, 16, 2, 1],
    [1, 3, 5, 10],
    [3, 17, 10, 5],
    [2, 33, 19, 19],
    [1, 40, 3, 14],
    [4, 7, 1, 9],
];

fn shapes([images, channels, height, width]: [usize; 4]) -> (GridShape, UpsampleShape) {
    let input = GridShape {
        images,
        height: height.div_ceil(2),
        width: width.div_ceil(2),
        channels,
    };
    let shape = UpsampleShape::new(input, MapSize { height, width });
    (input, shape.expect("a possible shape"))
}

/// The output of which each number is the input's at `index(i)`.
fn index(input: GridShape, [_, channels, height, width]: [usize; 4], i: usize) -> usize {
    let (pixel, c) = (i / channels, i % channels);
    let (line, x) = (pixel / width, pixel % width);
    let (image, y) = (line / height, line % height);
    ((image * input.height + y / 2) * input.width + x / 2) * channels + c
}

#[test]
fn upsampling_agrees_with_its_definition() {
    for_each_context(|cx| {
        for map in MAPS {
            let (input, shape) = shapes(map);
            let mut numbers = Numbers::new(16);
            let pixels = input.height * input.width;
            let x = NormalisedInput::random(&mut numbers, map[0], pixels, map[1]);
            let values = x.values();
            let plain: Vec<f32> = values.iter().map(|&x| x as f32).collect();
            let want: Vec<f64> = (0..shape.output().size())
                .map(|i| values[index(input, map, i)])
                .collect();
            for input in [Input::Plain(&plain), Input::Normalised(x.operand())] {
                let mut y = vec![f32::NAN; want.len()];
                upsample_nearest(cx, shape, input, &mut y).expect("lengths fit");
                assert_close_f64(&y, &want, 1e-5, &format!("{} {map:?}", cx.isa));
            }
        }
    });
}

#[test]
fn upsampling_backward_is_its_adjoint() {
    for_each_context(|cx| {
        for map in MAPS {
            let (input, shape) = shapes(map);
            let mut numbers = Numbers::new(17);
            let dy = numbers.take(shape.output().size());
            let mut dx = vec![f32::NAN; shape.input().size()];
            upsample_nearest_backward(cx, shape, &dy, &mut dx).expect("lengths fit");
            let mut want = vec![0.0; dx.len()];
            for (i, &dy) in dy.iter().enumerate() {
                want[index(input, map, i)] += f64::from(dy);
            }
            assert_close_f64(&dx, &want, 1e-6, &format!("{} {map:?}", cx.isa));

            // <up(x), dy> = <x, up^T(dy)>
            let x = numbers.take(dx.len());
            let mut y = vec![f32::NAN; dy.len()];
            upsample_nearest(cx, shape, Input::Plain(&x), &mut y).expect("lengths fit");
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                f64s(a).iter().zip(f64s(b)).map(|(a, b)| a * b).sum()
            };
            let (left, right) = (dot(&y, &dy), dot(&x, &dx));
            let size = 1e-6 * dy.len() as f64;
            assert!((left - right).abs() < size, "{left}, not {right}");
        }
    });
}

#[test]
fn sizes_that_are_not_twice_are_errors() {
    let (input, _) = shapes([1, 2, 5, 6]);
    for (height, width) in [(4, 6), (7, 6), (5, 4), (5, 7), (0, 6)] {
        let size = MapSize { height, width };
        assert!(UpsampleShape::new(input, size).is_err(), "{size:?}");
    }
}

#[test]
fn accumulating_adds_each_number_once() {
    for_each_context(|cx| {
        for len in [0, 1, 15, 33, 16 * 1024, 40_001] {
            let mut numbers = Numbers::new(18);
            let (mut y, x) = (numbers.take(len), numbers.take(len));
            let want: Vec<f32> = y.iter().zip(&x).map(|(y, x)| y + x).collect();
            accumulate(cx, &mut y, &x).expect("equal lengths");
            assert_eq!(y, want, "{} {len}", cx.isa);
        }
        let outcome = accumulate(cx, &mut [0.0; 3], &[0.0; 2]);
        assert!(matches!(outcome, Err(Error::Length { expected: 3, .. })));
    });
}
