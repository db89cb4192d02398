//! Softmax over many short rows at once.

/// `ln(2)` in two parts, the first one exact in few bits: Cody and Waite.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Adding and subtracting it rounds to a whole number: 1.5 * 2^23.
const ROUNDER: f32 = 12_582_912.0;

/// Below it `exp` is less than any normal number.
const LEAST_EXPONENT: f32 = -87.0;

/// `exp(x)` for `x <= 0`, within 2 units in the last place; `exp(-87)` for
/// anything below -87, NaN for NaN.
///
/// The standard library's is a call for each number; this is arithmetic that
/// the compiler can do on whole vectors. Polynomial: Cephes, `expf.c`.
#[inline]
fn exp_not_positive(x: f32) -> f32 {
    // Not `max`, which would drop a NaN.
    let x = if x < LEAST_EXPONENT {
        LEAST_EXPONENT
    } else {
        x
    };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let whole = shifted - ROUNDER;
    let rest = x - whole * LN_2_HIGH - whole * LN_2_LOW;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        5e-1,
    ] {
        sum = sum * rest + coefficient;
    }
    let fraction = sum * rest * rest + rest + 1.0;
    // `shifted` holds `whole` in its lowest bits; it is -126 to 0, so the
    // exponent stays in its field.
    let exponent = shifted.to_bits().wrapping_sub(ROUNDER.to_bits());
    let power = f32::from_bits(exponent.wrapping_add(127) << 23);
    fraction * power
}

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
    fn exp_agrees_with_the_standard_library() {
        for step in 0..870_000 {
            let x = -(step as f32) * 1e-4;
            let (found, expected) = (exp_not_positive(x), x.exp());
            assert!((found - expected).abs() <= 3e-7 * expected, "{x}");
        }
        assert!(exp_not_positive(-200.0) < 2e-38);
        assert!(exp_not_positive(f32::NEG_INFINITY) < 2e-38);
    }

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
