//! The register tiles of the matrix products, in one table for both families.
//!
//! A tile is a few rows of one operand, read number by number by broadcast,
//! times a few vectors of columns of the other. Its `rows * vectors` sums stay in
//! registers, beside the `vectors` of columns and one broadcast number: the more
//! sums, the fewer loads for each multiplication, and at least 8 sums hide the
//! latency of a multiplication on two units. So a tile is about as high as the
//! registers allow, by the number of vectors alone; how long a vector is does
//! not matter.
//!
//! Micro-kernels are generic over instruction set and tile, in this order:
//! `{op}_tile::<S, MR, NV>` has `MR` rows and `NV` vectors. One that is written
//! for a single instruction set is named `{op}_{dtype}_{MR}x{NV}_{isa}`, such as
//! `multiply_f32_14x2_avx512`.

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
pub(crate) const fn rows(registers: usize, vectors: usize) -> usize {
    match (registers >= 32, vectors) {
        (true, 1) => 16,
        (true, 2) => 14,
        (true, 3) => 9,
        (true, _) => 6,
        (false, 1) => 8,
        (false, 2) => 6,
        (false, 3) => 4,
        (false, _) => 2,
    }
}

/// Rows of a tile of a transposed product, whose rows are channels: a multiple
/// of 8 in these networks, so that 16, 12 and 8 leave fewer partial tiles.
pub(crate) const fn transposed_rows(registers: usize, vectors: usize) -> usize {
    match (registers >= 32, vectors) {
        (true, 2) => 12,
        (true, 3) => 8,
        _ => rows(registers, vectors),
    }
}

/// Runs `$body` with the constants `$mr` and `$nv` of the tile of `$count`
/// vectors, one of those listed, by the table `$rows`.
macro_rules! for_tile {
    ($simd:ty, $rows:path, $count:expr, [$($n:literal)*], |$mr:ident, $nv:ident| $body:expr) => {
        match $count {
            $($n => {
                const $nv: usize = $n;
                if const { <$simd as $crate::isa::Simd>::REGISTERS >= 32 } {
                    const $mr: usize = $rows(32, $n);
                    $body
                } else {
                    const $mr: usize = $rows(16, $n);
                    $body
                }
            })*
            count => unreachable!("no tile has {count} vectors"),
        }
    };
}
pub(crate) use for_tile;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_the_registers_and_hide_the_latency() {
        for registers in [16, 32] {
            for vectors in 1..=4 {
                for rows in [
                    rows(registers, vectors),
                    transposed_rows(registers, vectors),
                ] {
                    assert!(rows * vectors >= 8, "{rows}x{vectors}");
                    assert!(rows * vectors + vectors < registers, "{rows}x{vectors}");
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
