//! The matrix product under the stem and the 1x1 convolutions: a tile of
//! pixels times a few vectors of channels, held in registers.
//!
//! `MR` is the number of pixels of a tile, `NV` of vectors; how many fit is in
//! [`tile`].

use super::packed::Pointwise;
use crate::activation::{Function, for_activation};
use crate::isa::{Cache, Kernel, Simd};
use crate::memory::BLOCK;
use crate::pool::split;
use crate::tile::{self, for_tile};

/// Where the numbers of a run of pixels are.
#[derive(Clone, Copy)]
pub(super) struct Matrix {
    /// Input 0 of pixel 0.
    pub(super) ptr: *const f32,
    /// Inputs that lie side by side.
    pub(super) segment_len: usize,
    /// From one such segment to the next.
    pub(super) segment: usize,
}

/// Where the results of a run of pixels go. Pointers are to pixel 0.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// Pixels of a blocked map.
    Blocks {
        /// Block 0 of the output channels, whichever panel comes first.
        ptr: *mut f32,
        /// From a block of channels to the next.
        block: usize,
        /// Where rows end, if the run goes beyond one.
        rows: RowBreaks,
        /// The map that is added, if any: pointer and distance of blocks. It
        /// has no padding if the run goes beyond one row.
        residual: Option<(*const f32, usize)>,
    },
    /// Rows of `channels` numbers.
    Rows {
        /// Channel 0.
        ptr: *mut f32,
        /// Channels, the length of a row.
        channels: usize,
    },
}

/// Where the rows of a map end in a run of pixels that goes over several.
#[derive(Clone, Copy)]
pub(super) struct RowBreaks {
    /// Column of the run's first pixel.
    pub(super) column: usize,
    /// Pixels in a row.
    pub(super) width: usize,
    /// Blocks of padding between two rows; 0 for a run in one row.
    pub(super) gap: usize,
}

impl RowBreaks {
    /// A run that stays in a row, or a map without padding.
    pub(super) const NONE: Self = Self {
        column: 0,
        width: 1,
        gap: 0,
    };

    /// Blocks between pixel 0 of the run and pixel `pixel`.
    #[inline(always)]
    fn offset(self, pixel: usize) -> usize {
        if self.gap == 0 {
            pixel
        } else {
            pixel + (self.column + pixel) / self.width * self.gap
        }
    }
}

/// A product over a run of neighbouring pixels.
///
/// `PIXEL` is the distance of pixels in the input.
///
/// # Safety
/// To be run only while all pointers are valid for the shapes given and nobody
/// else uses the pixels that are written.
pub(super) struct Product<'a, const PIXEL: usize> {
    pub(super) weights: &'a Pointwise,
    /// The packed weights, or a scaled copy of them: the first of all panels.
    pub(super) panels_ptr: *const f32,
    pub(super) first_panel: usize,
    pub(super) panels: usize,
    pub(super) input: Matrix,
    pub(super) pixels: usize,
    pub(super) target: Target,
}

/// Panels of the next tile of `left` panels: one, unless a panel is one vector.
pub(super) const fn group(lanes: usize, left: usize) -> usize {
    if lanes == BLOCK {
        tile::vectors(left)
    } else {
        1
    }
}

/// Most pixels of a tile. A tile's loop is compiled for each number of pixels up
/// to its height, and more than this many are no gain.
const MOST_PIXELS: usize = 14;

impl<const PIXEL: usize> Kernel for Product<'_, PIXEL> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut panel = self.first_panel;
        let end = panel + self.panels;
        while panel < end {
            let panels = group(S::LANES, end - panel);
            for_tile!(S, tile::rows, panels * BLOCK / S::LANES, [1 2 3 4], |MR, NV| {
                self.pixels::<S, MR, NV>(s, panel);
            });
            panel += panels;
        }
    }
}

impl<const PIXEL: usize> Product<'_, PIXEL> {
    /// All pixels of a group of panels that are `NV` vectors, in tiles of nearly
    /// equal size, each at most `MR` pixels.
    #[inline(always)]
    fn pixels<S: Simd, const MR: usize, const NV: usize>(&self, s: S, panel: usize) {
        let panels = NV * S::LANES / BLOCK;
        let tiles = self.pixels.div_ceil(MR.min(MOST_PIXELS));
        // While a group is multiplied the next one's weights are fetched, a
        // part of them in each tile.
        let next = (panel + panels) * self.weights.in_channels;
        let lines = panels * self.weights.in_channels;
        for tile in 0..tiles {
            let range = split(self.pixels, tiles, tile);
            let ahead = split(lines, tiles, tile);
            let tile = Tile {
                product: self,
                panel,
                pixel: range.start,
                ahead: self.panels_ptr.wrapping_add((next + ahead.start) * BLOCK),
                lines: ahead.len(),
            };
            macro_rules! dispatch {
                ($($pixels:literal)*) => {
                    match range.len() {
                        // SAFETY: promised by the maker of the product.
                        $($pixels if const { $pixels <= MR } => unsafe {
                            tile.run::<S, $pixels, NV>(s)
                        },)*
                        pixels => unreachable!("a tile of {pixels} pixels"),
                    }
                };
            }
            dispatch!(14 13 12 11 10 9 8 7 6 5 4 3 2 1);
        }
    }
}

struct Tile<'p, 'a, const PIXEL: usize> {
    product: &'p Product<'a, PIXEL>,
    panel: usize,
    pixel: usize,
    /// Weights to fetch for later.
    ahead: *const f32,
    /// Cache lines of them.
    lines: usize,
}

impl<const PIXEL: usize> Tile<'_, '_, PIXEL> {
    #[inline(always)]
    unsafe fn run<S: Simd, const MR: usize, const NV: usize>(&self, s: S) {
        // SAFETY: promised by the caller.
        unsafe {
            let sums = self.sums::<S, MR, NV>(s);
            match self.product.target {
                Target::Blocks {
                    ptr,
                    block,
                    rows,
                    residual,
                } => {
                    let sums = match residual {
                        None => sums,
                        Some((residual, distance)) => {
                            let at = self.panel * distance + self.pixel * BLOCK;
                            add(s, sums, residual.wrapping_add(at), distance)
                        }
                    };
                    let ptr = ptr.wrapping_add(self.panel * block);
                    self.store_blocks(s, sums, ptr, block, rows);
                }
                Target::Rows { ptr, channels } => {
                    self.store_rows(s, sums, ptr.add(self.pixel * channels), channels);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn sums<S: Simd, const MR: usize, const NV: usize>(&self, s: S) -> [[S::F32; NV]; MR] {
        let product = self.product;
        let inputs = product.weights.in_channels;
        let panel_len = inputs * BLOCK;
        // SAFETY: the panels, the bias and the pixels are as the maker of the
        // product promised.
        unsafe {
            let bias = product.weights.bias.as_ptr().cast::<f32>();
            let bias = bias.add(self.panel * BLOCK);
            let mut sums = [[s.zero(); NV]; MR];
            for row in &mut sums {
                for (v, sum) in row.iter_mut().enumerate() {
                    *sum = s.load(bias.add(v * S::LANES));
                }
            }
            let mut weights = product.panels_ptr.add(self.panel * panel_len);
            let mut input = product.input.ptr.add(self.pixel * PIXEL);
            let mut ahead = self.ahead;
            let last = ahead.wrapping_add(self.lines * BLOCK);
            let mut left = inputs;
            while left > 0 {
                let len = left.min(product.input.segment_len);
                let mut k = 0;
                while S::BY_LANE && k + 4 <= len {
                    if ahead != last {
                        s.prefetch(ahead, Cache::Second);
                        ahead = ahead.wrapping_add(BLOCK);
                    }
                    let mut x = [s.zero(); MR];
                    for (p, x) in x.iter_mut().enumerate() {
                        *x = s.load(input.add(p * PIXEL + k));
                    }
                    tile::four_steps(s, &mut sums, &x, weights, BLOCK);
                    weights = weights.add(4 * BLOCK);
                    k += 4;
                }
                while k < len {
                    if ahead != last {
                        s.prefetch(ahead, Cache::Second);
                        ahead = ahead.wrapping_add(BLOCK);
                    }
                    let mut w = [s.zero(); NV];
                    for (v, w) in w.iter_mut().enumerate() {
                        let lane = v * S::LANES;
                        *w = s.load(weights.add(lane / BLOCK * panel_len + lane % BLOCK));
                    }
                    for (p, row) in sums.iter_mut().enumerate() {
                        let x = s.splat(*input.add(p * PIXEL + k));
                        for (sum, w) in row.iter_mut().zip(w) {
                            *sum = s.mul_add(x, w, *sum);
                        }
                    }
                    weights = weights.add(BLOCK);
                    k += 1;
                }
                input = input.wrapping_add(product.input.segment);
                left -= len;
            }
            sums
        }
    }

    #[inline(always)]
    unsafe fn store_blocks<S: Simd, const MR: usize, const NV: usize>(
        &self,
        s: S,
        mut sums: [[S::F32; NV]; MR],
        out: *mut f32,
        block: usize,
        rows: RowBreaks,
    ) {
        for_activation!(self.product.weights.activation, F => {
            for row in &mut sums {
                for x in row {
                    *x = F::value(s, *x);
                }
            }
        });
        for (p, row) in sums.into_iter().enumerate() {
            let out = out.wrapping_add(rows.offset(self.pixel + p) * BLOCK);
            for (v, x) in row.into_iter().enumerate() {
                let lane = v * S::LANES;
                // SAFETY: within the tile, which the target holds.
                unsafe { s.store(out.add(lane / BLOCK * block + lane % BLOCK), x) };
            }
        }
    }

    /// Stores without an activation.
    #[inline(always)]
    unsafe fn store_rows<S: Simd, const MR: usize, const NV: usize>(
        &self,
        s: S,
        sums: [[S::F32; NV]; MR],
        out: *mut f32,
        channels: usize,
    ) {
        for (p, row) in sums.into_iter().enumerate() {
            for (v, x) in row.into_iter().enumerate() {
                let channel = self.panel * BLOCK + v * S::LANES;
                let len = channels.saturating_sub(channel).min(S::LANES);
                // SAFETY: within the row of `channels` numbers of this pixel;
                // nothing is written where `len` is 0.
                unsafe { s.store_partial(out.wrapping_add(p * channels + channel), x, len) };
            }
        }
    }
}

#[inline(always)]
unsafe fn add<S: Simd, const MR: usize, const NV: usize>(
    s: S,
    mut sums: [[S::F32; NV]; MR],
    other: *const f32,
    block: usize,
) -> [[S::F32; NV]; MR] {
    for (p, row) in sums.iter_mut().enumerate() {
        for (v, x) in row.iter_mut().enumerate() {
            let lane = v * S::LANES;
            // SAFETY: the other map has the tile too.
            let y = unsafe { s.load(other.add(lane / BLOCK * block + p * BLOCK + lane % BLOCK)) };
            *x = s.add(*x, y);
        }
    }
    sums
}
