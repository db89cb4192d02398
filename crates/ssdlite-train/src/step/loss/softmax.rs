//! Softmax over many short rows at once.

use super::exponential::exp_not_positive;

/// What softmax makes of rows of logits.
#[derive(Clone, Debug, Default)]
pub(super) struct Softmax {
    /// `exp(logit - highest of its row)`.
    exponentials: Vec<f32>,
    /// Sums of the rows of `exponentials`.
    sums: Vec<f32>,
    /// `ln(sum of exp)` of each row.
    log_sums: Vec<f32>,
    width: usize,
}

impl Softmax {
    /// Fills itself with the softmax of `logits`, `[rows, width]`, keeping its
    /// memory.
    pub(super) fn compute(&mut self, logits: &[f32], width: usize) {
        self.width = width;
        self.exponentials.clear();
        self.sums.clear();
        self.log_sums.clear();
        for row in logits.chunks_exact(width) {
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            self.exponentials
                .extend(row.iter().map(|logit| logit - highest));
            self.log_sums.push(highest);
        }
        for value in &mut self.exponentials {
            *value = exp_not_positive(*value);
        }
        for (row, log_sum) in self
            .exponentials
            .chunks_exact(width)
            .zip(&mut self.log_sums)
        {
            let sum: f32 = row.iter().sum();
            *log_sum += sum.ln();
            self.sums.push(sum);
        }
    }

    /// `ln(sum of exp)` of each row, so `-ln p` of a class is this less its
    /// logit.
    pub(super) fn log_sums(&self) -> &[f32] {
        &self.log_sums
    }

    /// Probabilities of a row.
    pub(super) fn probabilities(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        let scale = 1.0 / self.sums[row];
        let start = row * self.width;
        self.exponentials[start..start + self.width]
            .iter()
            .map(move |value| value * scale)
    }
}

/// Cross entropy of one row and its gradient times `scale`, added to
/// `gradient`. Its target has `1 - smoothing` more for `class` than the
/// `smoothing / width` that all classes have.
pub(super) fn row_loss(
    softmax: &Softmax,
    row: usize,
    logits: &[f32],
    target: RowTarget,
    gradient: &mut [f32],
) -> f64 {
    let width = logits.len() as f32;
    let RowTarget {
        class,
        smoothing,
        scale,
    } = target;
    let log_sum = softmax.log_sums()[row];
    let spread = smoothing / width;
    for (slot, probability) in gradient.iter_mut().zip(softmax.probabilities(row)) {
        *slot = (probability - spread) * scale;
    }
    gradient[class] -= (1.0 - smoothing) * scale;
    let mut loss = f64::from(1.0 - smoothing) * f64::from(log_sum - logits[class]);
    if smoothing > 0.0 {
        let all: f64 = logits.iter().map(|&l| f64::from(log_sum - l)).sum();
        loss += f64::from(spread) * all;
    }
    loss
}

/// What a row should have been.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowTarget {
    /// The true class.
    pub(super) class: usize,
    /// Share of the target that is spread over all classes.
    pub(super) smoothing: f32,
    /// Factor on the gradient.
    pub(super) scale: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_sum_to_one_and_a_shift_changes_nothing() {
        let logits = [0.5_f32, -3.0, 40.0, 2.0, 2.0, -90.0];
        let shifted = logits.map(|logit| logit + 8.0);
        let (mut plain, mut moved) = (Softmax::default(), Softmax::default());
        plain.compute(&logits, 3);
        moved.compute(&shifted, 3);
        for row in 0..2 {
            assert!((plain.probabilities(row).sum::<f32>() - 1.0).abs() < 1e-6);
            assert!((moved.log_sums()[row] - plain.log_sums()[row] - 8.0).abs() < 1e-5);
        }
        let last: Vec<f32> = plain.probabilities(1).collect();
        assert!((last[0] - 0.5).abs() < 1e-6 && last[2] < 1e-37);
    }

    #[test]
    fn what_is_not_finite_stays_visible() {
        let mut softmax = Softmax::default();
        softmax.compute(&[1.0, f32::NAN, f32::INFINITY, 0.0, 2.0, 1.0], 2);
        let finite: Vec<bool> = softmax.log_sums().iter().map(|x| x.is_finite()).collect();
        assert_eq!(finite, [false, false, true]);
    }
}
