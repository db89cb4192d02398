//! Coefficients to samples.
//!
//! Source: `jidctint.c` of the Independent JPEG Group, which follows
//! C. Loeffler, A. Ligtenberg, G. Moschytz, "Practical Fast 1-D DCT Algorithms
//! with 11 Multiplications", ICASSP 1989. Sums wrap, which they do for
//! coefficients alone that no image has.

use std::num::Wrapping;

use ssdlite_kernels::Isa;
use ssdlite_kernels::isa::{Kernel, Simd};

/// Bits behind the point of the constants.
const CONST_BITS: usize = 13;

/// Bits behind the point that are kept between columns and rows.
const PASS_BITS: usize = 2;

/// What the middle of the samples' range is coded as.
const LEVEL: i32 = 128;

type Fixed = Wrapping<i32>;

/// Eight numbers a row, eight rows.
type Square<T> = [[T; 8]; 8];

/// Writes the 8x8 samples of a block to the start of rows that are `stride`
/// apart.
pub(super) fn block(
    isa: Isa,
    coefficients: &[i16; 64],
    steps: &[u16; 64],
    samples: &mut [u8],
    stride: usize,
) {
    if coefficients[1..]
        .iter()
        .all(|&coefficient| coefficient == 0)
    {
        let value = i32::from(coefficients[0]) * i32::from(steps[0]);
        let flat = sample(value << PASS_BITS, PASS_BITS + 3);
        for row in samples.chunks_mut(stride).take(8) {
            row[..8].fill(flat);
        }
        return;
    }
    let square = isa.run(Inverse {
        coefficients,
        steps,
    });
    for (row, square) in samples.chunks_mut(stride).zip(&square) {
        row[..8].copy_from_slice(square);
    }
}

struct Inverse<'a> {
    coefficients: &'a [i16; 64],
    steps: &'a [u16; 64],
}

impl Kernel for Inverse<'_> {
    type Output = Square<u8>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Square<u8> {
        let mut values = [[0; 8]; 8];
        let numbers = self.coefficients.iter().zip(self.steps);
        for (value, (&coefficient, &step)) in values.as_flattened_mut().iter_mut().zip(numbers) {
            *value = i32::from(coefficient) * i32::from(step);
        }
        let mut columns = transform(values);
        for row in &mut columns {
            for sum in row {
                *sum = rounded(*sum, CONST_BITS - PASS_BITS);
            }
        }
        let rows = transpose(transform(transpose(columns)));
        let mut samples = [[0; 8]; 8];
        for y in 0..8 {
            for x in 0..8 {
                samples[y][x] = sample(rows[y][x], CONST_BITS + PASS_BITS + 3);
            }
        }
        samples
    }
}

#[inline(always)]
fn transpose(square: Square<i32>) -> Square<i32> {
    let mut transposed = [[0; 8]; 8];
    for y in 0..8 {
        for x in 0..8 {
            transposed[x][y] = square[y][x];
        }
    }
    transposed
}

#[inline(always)]
fn rounded(value: i32, bits: usize) -> i32 {
    value.wrapping_add(1 << (bits - 1)) >> bits
}

#[inline(always)]
fn sample(value: i32, bits: usize) -> u8 {
    rounded(value, bits).saturating_add(LEVEL).clamp(0, 255) as u8
}

/// The inverse transform of each column, times `sqrt(8)` and with
/// [`CONST_BITS`] more behind the point.
#[inline(always)]
fn transform(input: Square<i32>) -> Square<i32> {
    let mut output = [[0; 8]; 8];
    for x in 0..8 {
        let column = transform_one(std::array::from_fn(|v| Wrapping(input[v][x])));
        for v in 0..8 {
            output[v][x] = column[v].0;
        }
    }
    output
}

/// [`transform`] of eight numbers.
#[inline(always)]
fn transform_one(input: [Fixed; 8]) -> [Fixed; 8] {
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
