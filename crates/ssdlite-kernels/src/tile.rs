//! The register tiles of the matrix products, in one table for both families.
//!
//! A tile is a few rows of one operand, read number by number by broadcast,
//! times a few vectors of columns of the other. Its `rows * vectors` sums stay in
//! registers, beside the `vectors` of columns and one broadcast number: the more
//! sums, the fewer loads for each multiplication, and at least 8 sums hide the
//! latency of a multiplication on two units. So a tile is about as high as the
//! registers allow, by the number of vectors alone; how long a vector is does
//! not matter. Where a multiplication takes its number from a lane of a vector
//! ([`Simd::BY_LANE`]), four numbers of each row are loaded at once, and the tile
//! holds those vectors too.
//!
//! Micro-kernels are generic over instruction set and tile, in this order:
//! `{op}_tile::<S, MR, NV>` has `MR` rows and `NV` vectors. One that is written
//! for a single instruction set is named `{op}_{dtype}_{MR}x{NV}_{isa}`, such as
//! `multiply_f32_14x2_avx512`.

use crate::isa::Simd;

/// What the height of a tile depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registers {
    /// 16 registers.
    Sixteen,
    /// 32 registers.
    ThirtyTwo,
    /// 32 registers, multiplication by a lane.
    ThirtyTwoByLane,
}

impl Registers {
    /// Those of `S`.
    pub(crate) const fn of<S: Simd>() -> Self {
        match (S::REGISTERS >= 32, S::BY_LANE) {
            (true, true) => Self::ThirtyTwoByLane,
            (true, false) => Self::ThirtyTwo,
            (false, _) => Self::Sixteen,
        }
    }
}

/// Vectors of the next tile of `left`: an odd number starts with three, so that
/// none is narrow unless all is.
#[inline(always)]
pub(crate) const fn vectors(left: usize) -> usize {
    match left {
        1 => 1,
        left if left % 2 == 1 => 3,
        _ => 2,
    }
}

/// Rows of a tile whose columns are packed in the order of reading. Four vectors
/// are a block of 16 channels on four lanes.
pub(crate) const fn rows(registers: Registers, vectors: usize) -> usize {
    match (registers, vectors) {
        (Registers::ThirtyTwo, 1) => 16,
        (Registers::ThirtyTwo, 2) => 14,
        (Registers::ThirtyTwo, 3) => 9,
        (Registers::ThirtyTwo, _) => 6,
        (Registers::ThirtyTwoByLane, 1) => 12,
        (Registers::ThirtyTwoByLane, 2) => 9,
        (Registers::ThirtyTwoByLane, 3) => 7,
        (Registers::ThirtyTwoByLane, _) => 6,
        (Registers::Sixteen, 1) => 8,
        (Registers::Sixteen, 2) => 6,
        (Registers::Sixteen, 3) => 4,
        (Registers::Sixteen, _) => 2,
    }
}

/// Rows of a tile of a transposed product, whose rows are channels: a multiple
/// of 8 in these networks, so that 16, 12 and 8 leave fewer partial tiles. A
/// vector holds the numbers of four rows.
pub(crate) const fn transposed_rows(registers: Registers, vectors: usize) -> usize {
    match (registers, vectors) {
        (Registers::Sixteen, _) => rows(registers, vectors),
        (_, 1) => 16,
        (_, 2) => 12,
        (_, 3) => 8,
        (_, _) => 4,
    }
}

/// Runs `$body` with the constants `$mr` and `$nv` of the tile of `$count`
/// vectors, one of those listed, by the table `$rows`.
macro_rules! for_tile {
    ($simd:ty, $rows:path, $count:expr, [$($n:literal)*], |$mr:ident, $nv:ident| $body:expr) => {
        match $count {
            $($n => {
                const $nv: usize = $n;
                // A constant of a generic function can't name the type's own.
                match const { $crate::tile::Registers::of::<$simd>() } {
                    $crate::tile::Registers::Sixteen => {
                        const $mr: usize = $rows($crate::tile::Registers::Sixteen, $n);
                        $body
                    }
                    $crate::tile::Registers::ThirtyTwo => {
                        const $mr: usize = $rows($crate::tile::Registers::ThirtyTwo, $n);
                        $body
                    }
                    $crate::tile::Registers::ThirtyTwoByLane => {
                        const $mr: usize = $rows($crate::tile::Registers::ThirtyTwoByLane, $n);
                        $body
                    }
                }
            })*
            count => unreachable!("no tile has {count} vectors"),
        }
    };
}
pub(crate) use for_tile;

/// Four steps of a product by lane: adds to the sums each row's four `numbers`
/// times the four rows of columns at `columns`, `distance` numbers apart.
///
/// # Safety
/// `columns` must be valid for reads of `NV` vectors in each of the four rows.
#[inline(always)]
pub(crate) unsafe fn four_steps<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    sums: &mut [[S::F32; NV]; MR],
    numbers: &[S::F32; MR],
    columns: *const f32,
    distance: usize,
) {
    // SAFETY: as promised by the caller.
    unsafe {
        step::<S, MR, NV, 0>(s, sums, numbers, columns);
        step::<S, MR, NV, 1>(s, sums, numbers, columns.add(distance));
        step::<S, MR, NV, 2>(s, sums, numbers, columns.add(2 * distance));
        step::<S, MR, NV, 3>(s, sums, numbers, columns.add(3 * distance));
    }
}

/// Vector by vector, so that one of the columns is in a register at a time.
///
/// # Safety
/// `columns` must be valid for reads of `NV` vectors.
#[inline(always)]
unsafe fn step<S: Simd, const MR: usize, const NV: usize, const LANE: i32>(
    s: S,
    sums: &mut [[S::F32; NV]; MR],
    numbers: &[S::F32; MR],
    columns: *const f32,
) {
    for v in 0..NV {
        // SAFETY: as promised by the caller.
        let column = unsafe { s.load(columns.add(v * S::LANES)) };
        for (row, &number) in sums.iter_mut().zip(numbers) {
            row[v] = s.mul_add_lane::<LANE>(number, column, row[v]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_the_registers_and_hide_the_latency() {
        for (registers, count) in [
            (Registers::Sixteen, 16),
            (Registers::ThirtyTwo, 32),
            (Registers::ThirtyTwoByLane, 32),
        ] {
            for vectors in 1..=4 {
                let (by_columns, transposed) = (
                    rows(registers, vectors),
                    transposed_rows(registers, vectors),
                );
                for rows in [by_columns, transposed] {
                    assert!(rows * vectors >= 8, "{rows}x{vectors}");
                    assert!(rows * vectors + vectors < count, "{rows}x{vectors}");
                }
                if registers == Registers::ThirtyTwoByLane {
                    // A pair of columns is loaded by one instruction.
                    let held = by_columns + vectors.min(2);
                    assert!(by_columns * vectors + held <= count, "{vectors}");
                    assert_eq!(transposed % 4, 0, "{vectors}");
                    let held = transposed / 4 + vectors;
                    assert!(transposed * vectors + held <= count, "{vectors}");
                }
            }
        }
    }

    #[test]
    fn tiles_cover_all_vectors() {
        for all in 0..20 {
            let mut left = all;
            while left > 0 {
                let count = vectors(left);
                assert!(count > 1 || all == 1, "{all}");
                left -= count;
            }
        }
    }
}
