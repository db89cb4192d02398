//! Comparison with the numbers of torchvision's side.

use serde::Deserialize;

/// Largest difference to torchvision, relative to the size of the numbers.
pub const TOLERANCE: f64 = 1e-4;

/// `summary` of `reference/formula.py`.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    shape: Vec<usize>,
    sum: f64,
    sum_of_squares: f64,
    samples: Vec<(usize, f64)>,
}

impl Summary {
    /// The tensor's extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Compares a tensor of this shape: the samples, relative to themselves or
    /// to the root mean square, and both sums.
    ///
    /// # Panics
    /// If it differs by more than [`TOLERANCE`].
    #[track_caller]
    pub fn assert_close(&self, name: &str, shape: &[usize], values: &[f32]) {
        assert_eq!(shape, self.shape, "{name}");
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        let norm = self.sum_of_squares.sqrt();
        let mean = norm / (values.len() as f64).sqrt();
        for &(index, expected) in &self.samples {
            let found = f64::from(values[index]);
            let allowed = TOLERANCE * mean.max(expected.abs());
            assert!(
                (found - expected).abs() < allowed,
                "{name}, element {index}: {found}, torchvision {expected}"
            );
        }
        let of_all = |term: fn(f64) -> f64| -> f64 {
            values.iter().map(|&value| term(f64::from(value))).sum()
        };
        let sum = of_all(|value| value);
        let allowed = TOLERANCE * norm * (values.len() as f64).sqrt();
        assert!((sum - self.sum).abs() < allowed, "{name}: sum {sum}");
        let found = of_all(|value| value * value).sqrt();
        assert!(
            (found - norm).abs() < TOLERANCE * norm,
            "{name}: norm {found}"
        );
    }
}
