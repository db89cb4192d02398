//! The register tiles of depthwise convolution: one vector of channels of a few
//! neighbouring pixels.
//!
//! Rows of operands come from a [`Ring`](super::ring::Ring): a pixel is one
//! vector, neighbours in a row follow each other.

use super::super::gradient::Store;
use crate::isa::Simd;
use crate::width::{Either, Width};

/// The most pixels of a row that a tile reads: 5x5 at stride 2 for 4 outputs.
const MAX_READ: usize = 11;

/// The most rows that a tile reads: 5x5 at stride 2 for 2 rows.
pub(super) const MAX_ROWS: usize = 7;

/// Where a tile's results go.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// The tile's first number.
    pub(super) ptr: *mut f32,
    /// Numbers from one pixel to the next.
    pub(super) pixel: usize,
    /// Numbers from one row to the next.
    pub(super) row: usize,
    pub(super) store: Store,
}

impl Target {
    /// # Safety
    /// `ptr` must be valid for reads and writes of this many numbers.
    #[inline(always)]
    unsafe fn write<S: Simd>(self, s: S, width: Either, ptr: *mut f32, x: S::F32) {
        // SAFETY: as promised by the caller.
        unsafe {
            let x = match self.store {
                Store::Overwrite => x,
                Store::Add => s.add(width.load(s, ptr), x),
            };
            width.store(s, ptr, x);
        }
    }
}

/// `R` rows of `T` outputs of a convolution with a `K` by `K` kernel.
///
/// `rows` are the `K + STRIDE * (R - 1)` input rows, from the first pixel that
/// the tile reads; `weight` is `[K, K, lanes]`.
///
/// # Safety
/// `rows` must be valid for reads of `K + STRIDE * (T - 1)` vectors, `weight`
/// of `K * K`, and `target` for reads and writes of the tile.
#[inline(always)]
pub(super) unsafe fn convolve<
    S: Simd,
    const K: usize,
    const STRIDE: usize,
    const R: usize,
    const T: usize,
>(
    s: S,
    width: Either,
    rows: &[*const f32; MAX_ROWS],
    offset: usize,
    weight: *const f32,
    target: Target,
) {
    let mut acc = [[s.zero(); T]; R];
    for (y, row) in rows.iter().enumerate().take(K + STRIDE * (R - 1)) {
        let mut read = [s.zero(); MAX_READ];
        for (x, read) in read.iter_mut().enumerate().take(K + STRIDE * (T - 1)) {
            // SAFETY: within the pixels that the caller promised.
            *read = unsafe { s.load(row.add(offset + x * S::LANES)) };
        }
        for (r, acc) in acc.iter_mut().enumerate() {
            let Some(ky) = y.checked_sub(r * STRIDE).filter(|&ky| ky < K) else {
                continue;
            };
            for kx in 0..K {
                // SAFETY: one of the `K * K` weights.
                let weight = unsafe { s.load(weight.add((ky * K + kx) * S::LANES)) };
                for (t, acc) in acc.iter_mut().enumerate() {
                    *acc = s.mul_add(read[kx + t * STRIDE], weight, *acc);
                }
            }
        }
    }
    for (r, acc) in acc.into_iter().enumerate() {
        for (t, acc) in acc.into_iter().enumerate() {
            // SAFETY: the caller promised the tile.
            unsafe {
                let ptr = target.ptr.add(r * target.row + t * target.pixel);
                target.write(s, width, ptr, acc);
            }
        }
    }
}

/// The input gradient at stride 2 of the 2 by `2 * T` inputs over `T` outputs.
///
/// `rows` are the three rows of the output's gradient around the outputs' own,
/// from the pixel before the first output. `columns` and `lines` are how many
/// of the `2 * T` columns and 2 rows exist.
///
/// # Safety
/// `rows` must be valid for reads of `T + 2` vectors, `weight` of `K * K`, and
/// `target` for reads and writes of `lines` rows of `columns` pixels.
#[inline(always)]
pub(super) unsafe fn input_gradient_2<S: Simd, const K: usize, const T: usize>(
    s: S,
    width: Either,
    rows: &[*const f32; 3],
    offset: usize,
    weight: *const f32,
    target: Target,
    (lines, columns): (usize, usize),
) {
    let padding = K / 2;
    // By row parity, pixel and column parity.
    let mut acc = [[[s.zero(); 2]; T]; 2];
    for (y, row) in rows.iter().enumerate() {
        for x in 0..T + 2 {
            // SAFETY: within the pixels that the caller promised.
            let dz = unsafe { s.load(row.add(offset + x * S::LANES)) };
            for (a, acc) in acc.iter_mut().enumerate() {
                // Input row 2 * oy + a meets output row oy + y - 1 at this row
                // of the kernel.
                let Some(ky) = (a + padding + 2).checked_sub(2 * y).filter(|&k| k < K) else {
                    continue;
                };
                for (t, acc) in acc.iter_mut().enumerate() {
                    for (b, acc) in acc.iter_mut().enumerate() {
                        let kx = (b + padding + 2 + 2 * t).checked_sub(2 * x);
                        let Some(kx) = kx.filter(|&k| k < K) else {
                            continue;
                        };
                        // SAFETY: one of the `K * K` weights.
                        let weight = unsafe { s.load(weight.add((ky * K + kx) * S::LANES)) };
                        *acc = s.mul_add(dz, weight, *acc);
                    }
                }
            }
        }
    }
    for (a, acc) in acc.iter().enumerate() {
        for (t, acc) in acc.iter().enumerate() {
            for (b, &acc) in acc.iter().enumerate() {
                if a < lines && 2 * t + b < columns {
                    // SAFETY: the caller promised this much of the tile.
                    unsafe {
                        let ptr = target.ptr.add(a * target.row + (2 * t + b) * target.pixel);
                        target.write(s, width, ptr, acc);
                    }
                }
            }
        }
    }
}

/// Adds to the weight gradient, rows `first..first + G` of the kernel, what
/// `pixels` outputs of one row contribute.
///
/// `rows` are the `K` input rows from the first pixel read, `dz` the output's
/// gradient, `dweight` `[K, K, lanes]`.
///
/// # Safety
/// `rows` must be valid for reads of `K + STRIDE * (pixels - 1)` vectors, `dz`
/// of `pixels`, `dweight` for reads and writes of `K * K`; `first + G <= K`.
#[inline(always)]
pub(super) unsafe fn weight_gradient<
    S: Simd,
    const K: usize,
    const STRIDE: usize,
    const G: usize,
    const T: usize,
>(
    s: S,
    rows: &[*const f32; MAX_ROWS],
    first: usize,
    offset: usize,
    dz: *const f32,
    pixels: usize,
    dweight: *mut f32,
) {
    let mut acc = [[s.zero(); K]; G];
    // SAFETY (of both loops): each tile reads `K + STRIDE * (T - 1)` pixels,
    // the last of them at most the last that the caller promised.
    let mut pixel = 0;
    while pixel + T <= pixels {
        // SAFETY: as above.
        unsafe { gradient_tile::<S, K, STRIDE, G, T>(s, &mut acc, rows, first, offset, dz, pixel) };
        pixel += T;
    }
    while pixel < pixels {
        // SAFETY: as above.
        unsafe { gradient_tile::<S, K, STRIDE, G, 1>(s, &mut acc, rows, first, offset, dz, pixel) };
        pixel += 1;
    }
    for (g, acc) in acc.iter().enumerate() {
        for (kx, &acc) in acc.iter().enumerate() {
            // SAFETY: one of the `K * K` weights.
            unsafe {
                let ptr = dweight.add(((first + g) * K + kx) * S::LANES);
                s.store(ptr, s.add(s.load(ptr), acc));
            }
        }
    }
}

/// # Safety
/// As [`weight_gradient`], for `T` outputs from `pixel`.
#[inline(always)]
unsafe fn gradient_tile<
    S: Simd,
    const K: usize,
    const STRIDE: usize,
    const G: usize,
    const T: usize,
>(
    s: S,
    acc: &mut [[S::F32; K]; G],
    rows: &[*const f32; MAX_ROWS],
    first: usize,
    offset: usize,
    dz: *const f32,
    pixel: usize,
) {
    let mut gradient = [s.zero(); T];
    for (t, gradient) in gradient.iter_mut().enumerate() {
        // SAFETY: one of the outputs.
        *gradient = unsafe { s.load(dz.add((pixel + t) * S::LANES)) };
    }
    let offset = offset + pixel * STRIDE * S::LANES;
    for (g, acc) in acc.iter_mut().enumerate() {
        let row = rows[first + g];
        for x in 0..K + STRIDE * (T - 1) {
            // SAFETY: within the pixels that the caller promised.
            let read = unsafe { s.load(row.add(offset + x * S::LANES)) };
            for (t, &gradient) in gradient.iter().enumerate() {
                if let Some(kx) = x.checked_sub(t * STRIDE).filter(|&kx| kx < K) {
                    acc[kx] = s.mul_add(read, gradient, acc[kx]);
                }
            }
        }
    }
}
