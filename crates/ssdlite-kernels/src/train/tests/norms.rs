//! Moments, batch norm into memory, pooling.

use super::super::map::MapShape;
use super::super::norm::{moments, normalise};
use super::super::operand::Input;
use super::super::squeeze_excite::{average_pool, average_pool_backward};
use super::{NormalisedInput, assert_close_f64, f64s, for_each_context};
use crate::reference;
use crate::testing::Numbers;

/// Images, pixels, channels.
const MAPS: [[usize; 3]; 6] = [
    [1, 1, 1],
    [3, 1, 17],
    [2, 35, 16],
    [1, 700, 24],
    [2, 1030, 5],
    [3, 18, 131],
];

#[test]
fn moments_agree_with_their_definition() {
    for_each_context(|cx| {
        for [images, pixels, channels] in MAPS {
            let shape = MapShape::new(images, pixels, channels).expect("a possible shape");
            let z = Numbers::new(7).take(shape.size());
            let got = moments(cx, shape, &z).expect("lengths fit");
            let (mean, variance) = reference::moments(channels, &f64s(&z));
            assert_close_f64(&got.mean, &mean, 1e-6, "mean");
            assert_close_f64(&got.variance, &variance, 1e-6, "variance");
        }
    });
}

#[test]
fn a_mean_of_ten_thousand_deviations_leaves_the_variance_right() {
    for_each_context(|cx| {
        let shape = MapShape::new(2, 5000, 19).expect("a possible shape");
        let z: Vec<f32> = Numbers::new(8)
            .take(shape.size())
            .iter()
            .map(|x| 1000.0 + 0.1 * x)
            .collect();
        let got = moments(cx, shape, &z).expect("lengths fit");
        let (mean, variance) = reference::moments(19, &f64s(&z));
        for c in 0..19 {
            assert!((f64::from(got.mean[c]) - mean[c]).abs() < 1e-4);
            let relative = f64::from(got.variance[c]) / variance[c] - 1.0;
            assert!(relative.abs() < 1e-4, "variance off by {relative}");
        }
    });
}

#[test]
fn an_outlier_in_the_first_row_leaves_the_variance_right() {
    for_each_context(|cx| {
        let shape = MapShape::new(1, 4000, 3).expect("a possible shape");
        let mut z = Numbers::new(9).take(shape.size());
        z[..3].fill(-500.0);
        let got = moments(cx, shape, &z).expect("lengths fit");
        let (_, variance) = reference::moments(3, &f64s(&z));
        for (&got, want) in got.variance.iter().zip(variance) {
            let relative = f64::from(got) / want - 1.0;
            assert!(relative.abs() < 1e-3, "variance off by {relative}");
        }
    });
}

#[test]
fn normalise_writes_what_convolutions_read() {
    for_each_context(|cx| {
        for [images, pixels, channels] in MAPS {
            let shape = MapShape::new(images, pixels, channels).expect("a possible shape");
            let mut numbers = Numbers::new(10);
            let input = NormalisedInput::random(&mut numbers, images, pixels, channels);
            let residual = numbers.take(shape.size());
            let want = input.values();
            let sum: Vec<f64> = want
                .iter()
                .zip(&residual)
                .map(|(y, &residual)| y + f64::from(residual))
                .collect();
            let mut y = vec![f32::NAN; shape.size()];
            normalise(cx, shape, input.operand(), None, &mut y).expect("lengths fit");
            assert_close_f64(&y, &want, 1e-5, "normalised");
            normalise(cx, shape, input.operand(), Some(&residual), &mut y).expect("lengths fit");
            assert_close_f64(&y, &sum, 1e-5, "normalised, plus residual");
        }
    });
}

#[test]
fn pooling_averages_and_its_gradient_shares_out() {
    for_each_context(|cx| {
        for [images, pixels, channels] in MAPS {
            let shape = MapShape::new(images, pixels, channels).expect("a possible shape");
            let mut numbers = Numbers::new(11);
            let x = numbers.take(shape.size());
            let mut pooled = vec![f32::NAN; images * channels];
            average_pool(cx, shape, Input::Plain(&x), &mut pooled).expect("lengths fit");
            let want = reference::average_pool(images, channels, &f64s(&x));
            assert_close_f64(&pooled, &want, 1e-6, "pooled");

            let mut dx = vec![f32::NAN; shape.size()];
            average_pool_backward(cx, shape, &pooled, &mut dx).expect("lengths fit");
            for (i, dx) in dx.iter().enumerate() {
                let image = i / (pixels * channels);
                let want = pooled[image * channels + i % channels] / pixels as f32;
                assert!((dx - want).abs() < 1e-6);
            }
        }
    });
}
