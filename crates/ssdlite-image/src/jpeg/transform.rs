//! Coefficients to samples.
//!
//! Source: `jidctint.c` of the Independent JPEG Group, which follows
//! C. Loeffler, A. Ligtenberg, G. Moschytz, "Practical Fast 1-D DCT Algorithms
//! with 11 Multiplications", ICASSP 1989. Sums wrap, which they do for
//! coefficients alone that no image has.

use std::num::Wrapping;

type Fixed = Wrapping<i32>;

/// Bits behind the point of the constants.
const CONST_BITS: usize = 13;

/// Bits behind the point that are kept between columns and rows.
const PASS_BITS: usize = 2;

/// What the middle of the samples' range is coded as.
const LEVEL: i32 = 128;

/// Writes the 8x8 samples of a block to the start of rows that are `stride`
/// apart.
pub(super) fn block(
    coefficients: &[i16; 64],
    steps: &[u16; 64],
    samples: &mut [u8],
    stride: usize,
) {
    let value = |at: usize| Wrapping(i32::from(coefficients[at]) * i32::from(steps[at]));
    if coefficients[1..]
        .iter()
        .all(|&coefficient| coefficient == 0)
    {
        let flat = sample(value(0) << PASS_BITS, PASS_BITS + 3);
        for row in samples.chunks_mut(stride).take(8) {
            row[..8].fill(flat);
        }
        return;
    }
    let mut columns = [[Wrapping(0); 8]; 8];
    for (x, column) in columns.iter_mut().enumerate() {
        let sums = transform(std::array::from_fn(|v| value(v * 8 + x)));
        *column = sums.map(|sum| rounded(sum, CONST_BITS - PASS_BITS));
    }
    for (y, row) in samples.chunks_mut(stride).take(8).enumerate() {
        let sums = transform(std::array::from_fn(|u| columns[u][y]));
        for (out, sum) in row.iter_mut().zip(sums) {
            *out = sample(sum, CONST_BITS + PASS_BITS + 3);
        }
    }
}

fn rounded(value: Fixed, bits: usize) -> Fixed {
    (value + Wrapping(1 << (bits - 1))) >> bits
}

fn sample(value: Fixed, bits: usize) -> u8 {
    (rounded(value, bits).0.saturating_add(LEVEL)).clamp(0, 255) as u8
}

/// The inverse transform of eight numbers, times `sqrt(8)` and with
/// [`CONST_BITS`] more behind the point.
#[inline]
fn transform(input: [Fixed; 8]) -> [Fixed; 8] {
    let times = |value: Fixed, factor: i32| value * Wrapping(factor);

    let [c0, c1, c2, c3, c4, c5, c6, c7] = input;
    let turned = times(c2 + c6, 4433); // 0.541196100
    let e2 = turned - times(c6, 15137); // 1.847759065
    let e3 = turned + times(c2, 6270); // 0.765366865
    let e0 = (c0 + c4) << CONST_BITS;
    let e1 = (c0 - c4) << CONST_BITS;
    let even = [e0 + e3, e1 + e2, e1 - e2, e0 - e3];

    let z5 = times(c7 + c3 + c5 + c1, 9633); // 1.175875602
    let z1 = times(c7 + c1, -7373); // 0.899976223
    let z2 = times(c5 + c3, -20995); // 2.562915447
    let z3 = times(c7 + c3, -16069) + z5; // 1.961570560
    let z4 = times(c5 + c1, -3196) + z5; // 0.390180644
    let odd = [
        times(c1, 12299) + z1 + z4, // 1.501321110
        times(c3, 25172) + z2 + z3, // 3.072711026
        times(c5, 16819) + z2 + z4, // 2.053119869
        times(c7, 2446) + z1 + z3,  // 0.298631336
    ];
    std::array::from_fn(|i| match i {
        0..4 => even[i] + odd[i],
        _ => even[7 - i] - odd[7 - i],
    })
}
