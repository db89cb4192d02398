//! Coefficients to samples.
//!
//! Sources: `jidctint.c` and, for fewer samples than coefficients, `jidctred.c`
//! of the Independent JPEG Group. The first follows
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

/// The most samples of a block across and down.
const SIDE: usize = 8;

/// How a block's samples come from its coefficients.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) coefficients: &'a [i16; 64],
    /// The quantisation steps.
    pub(super) steps: &'a [u16; 64],
    /// The samples across and down: 8, 4, 2 or 1.
    pub(super) side: usize,
    /// Whether all coefficients but the first are zero.
    pub(super) is_flat: bool,
}

/// Whether all coefficients but the first are zero.
pub(super) fn is_flat(coefficients: &[i16; 64]) -> bool {
    let mut others = *coefficients;
    others[0] = 0;
    others.iter().fold(0, |bits, value| bits | value) == 0
}

impl Block<'_> {
    /// Writes the samples to the start of rows that are `stride` apart.
    pub(super) fn write(self, isa: Isa, samples: &mut [u8], stride: usize) {
        let Self {
            coefficients,
            steps,
            side,
            is_flat,
        } = self;
        if is_flat || side == 1 {
            let value = i32::from(coefficients[0]) * i32::from(steps[0]);
            let flat = sample(value << PASS_BITS, PASS_BITS + 3);
            for row in samples.chunks_mut(stride).take(side) {
                row[..side].fill(flat);
            }
            return;
        }
        match side {
            8 => put(&isa.run(Inverse::<8>(self)), samples, stride),
            4 => put(&isa.run(Inverse::<4>(self)), samples, stride),
            _ => put(&isa.run(Inverse::<2>(self)), samples, stride),
        }
    }
}

fn put<const N: usize>(square: &[[u8; N]; N], samples: &mut [u8], stride: usize) {
    for (row, square) in samples.chunks_mut(stride).zip(square) {
        row[..N].copy_from_slice(square);
    }
}

/// A block to `N` samples across and down.
struct Inverse<'a, const N: usize>(Block<'a>);

impl<const N: usize> Kernel for Inverse<'_, N>
where
    Fewer<N>: Transform<N>,
{
    type Output = [[u8; N]; N];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [[u8; N]; N] {
        let Block {
            coefficients,
            steps,
            ..
        } = self.0;
        let mut values = [[0; SIDE]; SIDE];
        let scaled = coefficients.iter().zip(steps);
        for (value, (&coefficient, &step)) in values.as_flattened_mut().iter_mut().zip(scaled) {
            *value = i32::from(coefficient) * i32::from(step);
        }
        let bits = CONST_BITS + Fewer::<N>::BITS;
        let mut columns = transform(values);
        for row in &mut columns {
            for sum in row {
                *sum = rounded(*sum, bits - PASS_BITS);
            }
        }
        let rows = transpose(transform(transpose(columns)));
        let mut samples = [[0; N]; N];
        for y in 0..N {
            for x in 0..N {
                samples[y][x] = sample(rows[y][x], bits + PASS_BITS + 3);
            }
        }
        samples
    }
}

#[inline(always)]
fn transpose<const W: usize, const H: usize>(rows: [[i32; W]; H]) -> [[i32; H]; W] {
    let mut transposed = [[0; H]; W];
    for y in 0..H {
        for x in 0..W {
            transposed[x][y] = rows[y][x];
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

/// [`Transform`] of each column.
#[inline(always)]
fn transform<const N: usize, const W: usize>(input: [[i32; W]; SIDE]) -> [[i32; W]; N]
where
    Fewer<N>: Transform<N>,
{
    let mut output = [[0; W]; N];
    for x in 0..W {
        let column = Fewer::<N>::transform(std::array::from_fn(|v| Wrapping(input[v][x])));
        for v in 0..N {
            output[v][x] = column[v].0;
        }
    }
    output
}

/// Eight coefficients to `N` samples.
struct Fewer<const N: usize>;

trait Transform<const N: usize> {
    /// Bits behind the point that the sums have beyond [`CONST_BITS`].
    const BITS: usize;

    /// The inverse transform times `sqrt(8)`, with [`CONST_BITS`] and [`Self::BITS`]
    /// more behind the point.
    fn transform(input: [Fixed; SIDE]) -> [Fixed; N];
}

#[inline(always)]
fn times(value: Fixed, factor: i32) -> Fixed {
    value * Wrapping(factor)
}

impl Transform<8> for Fewer<8> {
    const BITS: usize = 0;

    #[inline(always)]
    fn transform(input: [Fixed; SIDE]) -> [Fixed; 8] {
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
}

impl Transform<4> for Fewer<4> {
    const BITS: usize = 1;

    #[inline(always)]
    fn transform(input: [Fixed; SIDE]) -> [Fixed; 4] {
        let [c0, c1, c2, c3, _, c5, c6, c7] = input;
        let e0 = c0 << (CONST_BITS + 1);
        let e1 = times(c2, 15137) - times(c6, 6270); // 1.847759065, 0.765366865
        let odd = [
            // 2.562915447, 0.899976223, 0.601344887, 0.509795579
            times(c1, 20995) + times(c3, 7373) - times(c5, 4926) - times(c7, 4176),
            // 1.061594337, 2.172734803, 1.451774981, 0.211164243
            times(c1, 8697) - times(c3, 17799) + times(c5, 11893) - times(c7, 1730),
        ];
        [
            e0 + e1 + odd[0],
            e0 - e1 + odd[1],
            e0 - e1 - odd[1],
            e0 + e1 - odd[0],
        ]
    }
}

impl Transform<2> for Fewer<2> {
    const BITS: usize = 2;

    #[inline(always)]
    fn transform(input: [Fixed; SIDE]) -> [Fixed; 2] {
        let [c0, c1, _, c3, _, c5, _, c7] = input;
        let even = c0 << (CONST_BITS + 2);
        // 3.624509785, 1.272758580, 0.850430095, 0.720959822
        let odd = times(c1, 29692) - times(c3, 10426) + times(c5, 6967) - times(c7, 5906);
        [even + odd, even - odd]
    }
}
