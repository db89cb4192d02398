//! Blocked maps and the raw views of them that threads share.

use std::marker::PhantomData;

use crate::memory::{BLOCK, Block};

/// Blocks that hold `channels` channels.
pub const fn blocks(channels: usize) -> usize {
    channels.div_ceil(BLOCK)
}

/// The shape of a blocked map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Channels, not rounded up.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns, without padding.
    pub width: usize,
    /// Columns of zeros to the left and to the right of each row, for the
    /// depthwise convolutions that read the map.
    pub padding: usize,
}

impl MapShape {
    /// Blocks of all channels at one pixel.
    pub const fn blocks(&self) -> usize {
        blocks(self.channels)
    }

    /// Pixels.
    pub const fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Blocks in the buffer of such a map.
    ///
    /// # Panics
    /// If they are more than can be counted.
    pub const fn len(&self) -> usize {
        match self.checked_len() {
            Some(len) => len,
            None => panic!("expected a map that fits the address space"),
        }
    }

    const fn checked_len(&self) -> Option<usize> {
        let Some(padding) = self.padding.checked_mul(2) else {
            return None;
        };
        let Some(row) = self.width.checked_add(padding) else {
            return None;
        };
        let Some(rows) = self.blocks().checked_mul(self.height) else {
            return None;
        };
        rows.checked_mul(row)
    }

    /// Whether the map has no pixel or no channel.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Blocks in a row with its padding.
    const fn row(&self) -> usize {
        self.width + 2 * self.padding
    }

    /// The numbers of a map in the order `[channel][row][column]`.
    ///
    /// # Panics
    /// If `map` is not as long as the shape says.
    pub fn unblocked(&self, map: &[Block]) -> Vec<f32> {
        assert_eq!(map.len(), self.len(), "blocks of {self:?}");
        let mut out = Vec::with_capacity(self.channels * self.pixels());
        for channel in 0..self.channels {
            for y in 0..self.height {
                let row = (channel / BLOCK * self.height + y) * self.row() + self.padding;
                let cells = &map[row..row + self.width];
                out.extend(cells.iter().map(|cell| cell.0[channel % BLOCK]));
            }
        }
        out
    }
}

/// A map to read.
#[derive(Clone, Copy, Debug)]
pub struct MapRef<'a> {
    shape: MapShape,
    cells: &'a [Block],
}

impl<'a> MapRef<'a> {
    /// A map of this shape.
    ///
    /// # Panics
    /// If `cells` is not as long as the shape says, or no slice can be.
    pub fn new(shape: MapShape, cells: &'a [Block]) -> Self {
        assert_eq!(cells.len(), shape.len(), "blocks of {shape:?}");
        Self { shape, cells }
    }

    /// Its shape.
    pub const fn shape(&self) -> MapShape {
        self.shape
    }

    pub(super) fn view(&self) -> View<'a> {
        View::new(self.shape, self.cells.as_ptr().cast_mut().cast())
    }
}

/// A map to write.
#[derive(Debug)]
pub struct MapMut<'a> {
    shape: MapShape,
    cells: &'a mut [Block],
}

impl<'a> MapMut<'a> {
    /// A map of this shape.
    ///
    /// # Panics
    /// If `cells` is not as long as the shape says, or no slice can be.
    pub fn new(shape: MapShape, cells: &'a mut [Block]) -> Self {
        assert_eq!(cells.len(), shape.len(), "blocks of {shape:?}");
        Self { shape, cells }
    }

    /// Its shape.
    pub const fn shape(&self) -> MapShape {
        self.shape
    }

    pub(super) fn view(&mut self) -> View<'a> {
        View::new(self.shape, self.cells.as_mut_ptr().cast())
    }
}

/// Pointers into a map, or into a ring of its rows, for the threads that share
/// the work on it. Distances count numbers.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// Column 0 of the first row of the first block.
    pub(super) ptr: *mut f32,
    /// From a row to the next.
    pub(super) row: usize,
    /// From a block of channels to the next.
    pub(super) block: usize,
    /// Rows held: row `y` lies in place `y % rows`.
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) padding: usize,
    map: PhantomData<&'a [Block]>,
}

// SAFETY: a view is a pointer into a slice that `'a` borrows; every use of it
// is unsafe and must keep the parts that threads write apart.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}

impl View<'_> {
    pub(super) fn new(shape: MapShape, first: *mut f32) -> Self {
        Self {
            ptr: first.wrapping_add(shape.padding * BLOCK),
            row: shape.row() * BLOCK,
            block: shape.height * shape.row() * BLOCK,
            rows: shape.height,
            width: shape.width,
            padding: shape.padding,
            map: PhantomData,
        }
    }

    /// Blocks without further order.
    pub(super) fn flat(cells: &mut [Block]) -> Self {
        let shape = MapShape {
            channels: BLOCK,
            height: 1,
            width: cells.len(),
            padding: 0,
        };
        Self::new(shape, cells.as_mut_ptr().cast())
    }

    /// Column 0 of row `y` of block `block`.
    pub(super) fn at(&self, block: usize, y: usize) -> *mut f32 {
        self.ptr
            .wrapping_add(block * self.block + y % self.rows * self.row)
    }

    /// Zeros the padding of row `y` of block `block`.
    ///
    /// # Safety
    /// The row must be in the view's buffer, and nobody else may use it.
    pub(super) unsafe fn clear_padding(&self, block: usize, y: usize) {
        let numbers = self.padding * BLOCK;
        let first = self.at(block, y);
        // SAFETY: a row has `padding` blocks before column 0 and after the last.
        unsafe {
            first.sub(numbers).write_bytes(0, numbers);
            first.add(self.width * BLOCK).write_bytes(0, numbers);
        }
    }
}
