//! One row of a depthwise convolution.

use super::packed::Depthwise;
use crate::activation::{Function, for_activation};
use crate::isa::{Kernel, Simd};
use crate::memory::BLOCK;
use crate::pool::split;

/// The widest kernel.
pub(super) const MOST_ROWS: usize = 5;

/// Most output pixels whose sums are held in registers.
const STRIP: usize = 8;

/// An output row of one block of channels.
///
/// # Safety
/// To be run only while all pointers are valid for the shapes given, input rows
/// with their padding, and nobody else uses the row that is written.
pub(super) struct DepthwiseRow<'a> {
    pub(super) weights: &'a Depthwise,
    pub(super) block: usize,
    /// The first column that the leftmost output reads, one pointer for each
    /// row of the kernel; those outside `first_row..end_row` are not read.
    pub(super) rows: [*const f32; MOST_ROWS],
    pub(super) first_row: usize,
    pub(super) end_row: usize,
    pub(super) out: *mut f32,
    pub(super) width: usize,
    /// Where the sum of the row's outputs goes: 16 numbers.
    pub(super) sum: Option<*mut f32>,
}

impl Kernel for DepthwiseRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: promised by the maker of the row.
        unsafe {
            match (self.weights.kernel, self.weights.stride) {
                (3, 1) => self.strips::<S, 3, 1>(s),
                (3, _) => self.strips::<S, 3, 2>(s),
                (_, 1) => self.strips::<S, 5, 1>(s),
                _ => self.strips::<S, 5, 2>(s),
            }
        }
    }
}

impl DepthwiseRow<'_> {
    #[inline(always)]
    unsafe fn strips<S: Simd, const K: usize, const STRIDE: usize>(&self, s: S) {
        let strips = self.width.div_ceil(STRIP);
        let mut lane = 0;
        while lane < BLOCK {
            let mut sum = s.zero();
            for strip in 0..strips {
                let range = split(self.width, strips, strip);
                let at = (lane, range.start);
                macro_rules! dispatch {
                    ($($w:literal)*) => {
                        match range.len() {
                            // SAFETY: promised by the caller.
                            $($w => unsafe { self.strip::<S, K, STRIDE, $w>(s, at, sum) },)*
                            _ => unreachable!("strips have at most {STRIP} pixels"),
                        }
                    };
                }
                sum = dispatch!(8 7 6 5 4 3 2 1);
            }
            if let Some(ptr) = self.sum {
                // SAFETY: there is room for a block.
                unsafe { s.store(ptr.add(lane), sum) };
            }
            lane += S::LANES;
        }
    }

    /// Computes and stores `W` outputs; returns `sum` with them added.
    #[inline(always)]
    unsafe fn strip<S: Simd, const K: usize, const STRIDE: usize, const W: usize>(
        &self,
        s: S,
        (lane, x): (usize, usize),
        mut sum: S::F32,
    ) -> S::F32 {
        // SAFETY: weights and bias hold the block; input rows hold all columns
        // that an output of this row reads; the output row holds the strip.
        unsafe {
            let taps = self.weights.weights.as_ptr().cast::<f32>();
            let taps = taps.add(self.block * K * K * BLOCK + lane);
            let bias = self.weights.bias.as_ptr().cast::<f32>();
            let mut sums = [s.load(bias.add(self.block * BLOCK + lane)); W];
            for ky in self.first_row..self.end_row {
                let row = self.rows[ky].add(x * STRIDE * BLOCK + lane);
                for kx in 0..K {
                    let tap = s.load(taps.add((ky * K + kx) * BLOCK));
                    for (o, sum) in sums.iter_mut().enumerate() {
                        let input = s.load(row.add((o * STRIDE + kx) * BLOCK));
                        *sum = s.mul_add(input, tap, *sum);
                    }
                }
            }
            for_activation!(self.weights.activation, F => {
                for x in &mut sums {
                    *x = F::value(s, *x);
                }
            });
            let out = self.out.add(x * BLOCK + lane);
            for (o, x) in sums.into_iter().enumerate() {
                s.store(out.add(o * BLOCK), x);
            }
            if self.sum.is_some() {
                for x in sums {
                    sum = s.add(sum, x);
                }
            }
        }
        sum
    }
}
