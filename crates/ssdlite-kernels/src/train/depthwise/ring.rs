//! The last few rows of an image, padded with zeros, in the cache.

use super::super::map::MapSize;
use super::super::operand::{Layout, Place, Rows};
use crate::isa::Simd;
use crate::memory::Scratch;

/// Rows of one image, computed from an operand as they are needed.
///
/// A row is `[channel vectors, padding + width + padding, lanes]`: a vector's pixels
/// are neighbours, the padding's pixels are zero. Lanes past the last channel hold
/// anything.
pub(super) struct Ring<R> {
    source: R,
    size: MapSize,
    layout: Layout,
    padding: usize,
    lanes: usize,
    row_len: usize,
    slots: usize,
    /// The slots, then one row of zeros.
    data: Scratch,
    image: usize,
    /// The next row to be computed.
    next: usize,
}

impl<R: Rows> Ring<R> {
    /// A ring of `slots` rows of maps of `size`, with `padding` zero pixels at
    /// both ends.
    pub(super) fn new<S: Simd>(
        source: R,
        size: MapSize,
        channels: usize,
        padding: usize,
        slots: usize,
    ) -> Self {
        let pitch = (size.width + 2 * padding) * S::LANES;
        let row_len = channels.div_ceil(S::LANES) * pitch;
        let mut data = Scratch::take((slots + 1) * row_len);
        let (rows, zeros) = data.split_at_mut(slots * row_len);
        zeros.fill(0.0);
        for vector in rows.chunks_exact_mut(pitch) {
            vector[..padding * S::LANES].fill(0.0);
            vector[pitch - padding * S::LANES..].fill(0.0);
        }
        Self {
            source,
            size,
            layout: Layout {
                channels,
                pixels: size.height * size.width,
            },
            padding,
            lanes: S::LANES,
            row_len,
            slots,
            data,
            image: 0,
            next: 0,
        }
    }

    /// Numbers between two channel vectors of a row.
    #[inline(always)]
    pub(super) fn pitch(&self) -> usize {
        (self.size.width + 2 * self.padding) * self.lanes
    }

    /// Begins an image at its row `first`, or at row 0 where that is negative.
    pub(super) fn start(&mut self, image: usize, first: isize) {
        self.image = image;
        self.next = usize::try_from(first).unwrap_or(0);
    }

    /// Computes the rows up to, not including, `end`.
    ///
    /// # Safety
    /// The image must exist in the source.
    #[inline(always)]
    pub(super) unsafe fn advance<S: Simd>(&mut self, s: S, end: usize) {
        let place = Place {
            row: S::LANES,
            vector: self.pitch(),
        };
        while self.next < end.min(self.size.height) {
            let start = self.next % self.slots * self.row_len;
            let slot = &mut self.data[start..start + self.row_len];
            let row = (self.image * self.size.height + self.next) * self.size.width;
            // SAFETY: the row is one of the image's; its slot holds `width`
            // pixels of each vector after the padding.
            unsafe {
                let dst = slot.as_mut_ptr().add(self.padding * S::LANES);
                let pixels = row..row + self.size.width;
                self.source.fill(s, self.layout, pixels, dst, place);
            }
            self.next += 1;
        }
    }

    /// Row `y`, from the first pixel of its padding; zeros outside of the image.
    ///
    /// Inside it must be among the last `slots` rows computed.
    #[inline(always)]
    fn row(&self, y: isize) -> *const f32 {
        let slot = match usize::try_from(y) {
            Ok(y) if y < self.size.height => {
                debug_assert!(y < self.next && y + self.slots >= self.next);
                y % self.slots
            }
            _ => self.slots,
        };
        self.data[slot * self.row_len..].as_ptr()
    }

    /// `count` rows from row `first` on; the others are null.
    #[inline(always)]
    pub(super) fn rows<const N: usize>(&self, first: isize, count: usize) -> [*const f32; N] {
        let mut rows = [std::ptr::null(); N];
        for (y, row) in rows.iter_mut().enumerate().take(count) {
            *row = self.row(first + y as isize);
        }
        rows
    }
}
