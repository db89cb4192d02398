//! `exp` and `ln(1 + x)` over whole vectors.
//!
//! The standard library's are calls for each number; these are arithmetic that the
//! compiler can do on whole vectors.

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
/// Polynomial: Cephes, `expf.c`.
#[inline]
pub(super) fn exp_not_positive(x: f32) -> f32 {
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

/// `ln(1 + x)` for `x` in 0 to 1, within 3 units in the last place; NaN for NaN.
///
/// `2 artanh(s)` with `s = x / (2 + x)`, at most 1/3, by its series: the first term
/// that is left out is less than 1e-8 of the sum.
#[inline]
pub(super) fn ln_1p_of_unit(x: f32) -> f32 {
    let s = x / (2.0 + x);
    let square = s * s;
    let mut sum = 1.0 / 15.0;
    for divisor in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * square + 1.0 / divisor;
    }
    2.0 * s * sum
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
    fn ln_agrees_with_the_standard_library() {
        for step in 0..=1_000_000 {
            let x = step as f32 * 1e-6;
            let (found, expected) = (ln_1p_of_unit(x), x.ln_1p());
            assert!((found - expected).abs() <= 4e-7 * expected, "{x}");
        }
        assert!((ln_1p_of_unit(1e-37) - 1e-37).abs() < 1e-43);
        assert!(ln_1p_of_unit(f32::NAN).is_nan());
    }
}
