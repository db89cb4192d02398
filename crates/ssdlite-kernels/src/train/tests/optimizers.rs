//! The optimizers against their formulas, over several steps.

use super::super::optimizer::{AdamW, MovingAverage, Sgd, adamw_step, sgd_step};
use super::{assert_close_f64, f64s, for_each_context};
use crate::testing::Numbers;

const DECAY: f32 = 0.9;

#[test]
fn sgd_follows_its_formula() {
    for_each_context(|cx| {
        for (len, nesterov) in [(1, false), (15, true), (100, false), (40_001, true)] {
            let sgd = Sgd {
                gradient_scale: 0.5,
                learning_rate: 0.1,
                momentum: 0.9,
                nesterov,
                weight_decay: 0.01,
            };
            let mut numbers = Numbers::new(12);
            let mut parameter = numbers.take(len);
            let mut average = parameter.clone();
            let mut velocity = vec![0.0; len];
            let mut want = f64s(&parameter);
            let mut want_average = want.clone();
            let mut want_velocity = vec![0.0; len];
            for _ in 0..3 {
                let gradient = numbers.take(len);
                let values = MovingAverage {
                    values: &mut average,
                    decay: DECAY,
                };
                sgd_step(
                    cx,
                    sgd,
                    &gradient,
                    &mut parameter,
                    &mut velocity,
                    Some(values),
                )
                .expect("equal lengths");
                for i in 0..len {
                    let g = 0.5 * f64::from(gradient[i]) + 0.01 * want[i];
                    want_velocity[i] = 0.9 * want_velocity[i] + g;
                    want[i] -= 0.1
                        * if nesterov {
                            g + 0.9 * want_velocity[i]
                        } else {
                            want_velocity[i]
                        };
                    want_average[i] = 0.9 * want_average[i] + 0.1 * want[i];
                }
            }
            assert_close_f64(&parameter, &want, 1e-5, "parameter");
            assert_close_f64(&velocity, &want_velocity, 1e-5, "velocity");
            assert_close_f64(&average, &want_average, 1e-5, "moving average");
        }
    });
}

#[test]
fn adamw_follows_its_formula() {
    let adamw = AdamW {
        gradient_scale: 3.0,
        learning_rate: 0.01,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.05,
    };
    for_each_context(|cx| {
        for len in [1, 33, 40_001] {
            let mut numbers = Numbers::new(13);
            let mut parameter = numbers.take(len);
            let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
            let mut want = f64s(&parameter);
            let (mut want_m, mut want_v) = (vec![0.0; len], vec![0.0; len]);
            for number in 1..4 {
                let gradient = numbers.take(len);
                let moments = [&mut m[..], &mut v[..]];
                adamw_step(cx, adamw, number, &gradient, &mut parameter, moments, None)
                    .expect("equal lengths");
                for i in 0..len {
                    let g = 3.0 * f64::from(gradient[i]);
                    want[i] *= 1.0 - 0.01 * 0.05;
                    want_m[i] = 0.9 * want_m[i] + 0.1 * g;
                    want_v[i] = 0.999 * want_v[i] + 0.001 * g * g;
                    let m = want_m[i] / (1.0 - 0.9_f64.powi(number as i32));
                    let v: f64 = want_v[i] / (1.0 - 0.999_f64.powi(number as i32));
                    want[i] -= 0.01 * m / (v.sqrt() + 1e-8);
                }
            }
            assert_close_f64(&parameter, &want, 1e-5, "parameter");
        }
        let mut parameter = [0.0];
        let outcome = adamw_step(
            cx,
            adamw,
            0,
            &[1.0],
            &mut parameter,
            [&mut [0.0], &mut [0.0]],
            None,
        );
        assert!(outcome.is_err());
    });
}
