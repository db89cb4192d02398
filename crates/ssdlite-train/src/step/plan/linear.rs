//! What surrounds a linear layer, on vectors of a few thousand numbers.

use ssdlite_core::Activation;
use ssdlite_core::random::Rng;

/// Writes `activation(z)` to `y`.
pub(super) fn activate(activation: Activation, z: &[f32], y: &mut [f32]) {
    for (y, &z) in y.iter_mut().zip(z) {
        *y = match activation {
            Activation::Identity => z,
            // Not `max`, which would turn NaN into 0.
            Activation::Relu if z < 0.0 => 0.0,
            Activation::Relu => z,
            Activation::Relu6 => z.clamp(0.0, 6.0),
            Activation::HardSwish => z * (z + 3.0).clamp(0.0, 6.0) / 6.0,
        };
    }
}

/// Makes of `gradient`, that of `activation(z)`, that of `z`. Where there is no
/// derivative, PyTorch is followed.
pub(super) fn activate_backward(activation: Activation, z: &[f32], gradient: &mut [f32]) {
    for (gradient, &z) in gradient.iter_mut().zip(z) {
        let slope = match activation {
            Activation::Identity => 1.0,
            Activation::Relu => f32::from(z > 0.0),
            Activation::Relu6 => f32::from(z > 0.0 && z < 6.0),
            Activation::HardSwish if z <= -3.0 => 0.0,
            Activation::HardSwish if z >= 3.0 => 1.0,
            Activation::HardSwish => z / 3.0 + 0.5,
        };
        *gradient *= slope;
    }
}

/// Zeroes each number with this chance and scales the others, so that their
/// mean stays (arXiv 1207.0580): the same ones for the same `keys`.
pub fn drop_out(values: &mut [f32], chance: f64, keys: [u64; 2]) {
    let mut rng = Rng::from_keys(&keys);
    let scale = (1.0 / (1.0 - chance)) as f32;
    for value in values {
        *value = if rng.chance(chance as f32) {
            0.0
        } else {
            *value * scale
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVATIONS: [Activation; 4] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::HardSwish,
    ];

    #[test]
    fn slopes_agree_with_finite_differences() {
        let points = [-4.0_f32, -2.0, -0.5, 0.5, 2.0, 4.0, 7.0];
        for activation in ACTIVATIONS {
            for z in points {
                let value = |z: f32| {
                    let mut y = [0.0];
                    activate(activation, &[z], &mut y);
                    y[0]
                };
                let expected = (value(z + 0.01) - value(z - 0.01)) / 0.02;
                let mut found = [2.0];
                activate_backward(activation, &[z], &mut found);
                assert!(
                    (found[0] - 2.0 * expected).abs() < 1e-3,
                    "{activation:?} at {z}"
                );
            }
        }
    }

    #[test]
    fn dropout_keeps_the_mean_and_is_a_function_of_its_seed() {
        let dropped = |seed| {
            let mut values = vec![1.0; 20_000];
            drop_out(&mut values, 0.2, [seed, 5]);
            values
        };
        let values = dropped(1);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        // Four standard errors: each number has deviation 0.5.
        assert!((mean - 1.0).abs() < 4.0 * 0.5 / (values.len() as f32).sqrt());
        assert!(values.iter().all(|&value| value == 0.0 || value == 1.25));
        assert_eq!(values, dropped(1));
        assert_ne!(values, dropped(2));
    }
}
