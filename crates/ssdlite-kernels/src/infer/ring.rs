//! The rows that a depthwise convolution reads, made on demand.

use super::map::View;
use super::packed::Pointwise;
use super::product::{Matrix, Product, RowBreaks, Target};
use super::source::Source;
use super::stem::StemRows;
use crate::isa::Isa;
use crate::memory::BLOCK;
use std::ops::Range;

/// Puts rows into the ring of a thread, one after the other.
pub(super) struct Filler<'a> {
    isa: Isa,
    source: Source<'a>,
    /// Rows of the map that the ring is of.
    height: usize,
    /// The ring's first block of channels.
    first_block: usize,
    ring: View<'a>,
    /// The row that it began with.
    first: usize,
    /// The next row.
    next: usize,
    stem: Option<StemRows<'a>>,
}

impl<'a> Filler<'a> {
    /// Rows from `next` on, of `height`.
    pub(super) fn new(
        isa: Isa,
        source: Source<'a>,
        ring: View<'a>,
        first_block: usize,
        (next, height): (usize, usize),
    ) -> Self {
        let stem = match source {
            Source::Pixels {
                layer,
                pixels,
                width,
            } => Some(StemRows::new(isa, layer, pixels, width, next)),
            _ => None,
        };
        Self {
            isa,
            source,
            height,
            first_block,
            ring,
            first: next,
            next,
            stem,
        }
    }

    /// Fills in some blocks of the rows up to `end`, or of all rows where the
    /// ring holds them.
    pub(super) fn fill(&mut self, blocks: &Range<usize>, end: usize) {
        if let Source::Expanded { layer, input } = self.source {
            let view = input.view();
            if self.holds_all() && view.padding == 0 {
                if self.next == self.first {
                    self.expand(layer, blocks, view, 0, self.height);
                }
                return;
            }
            for y in self.next..end {
                self.expand(layer, blocks, view, y, 1);
            }
        } else if let Some(stem) = &mut self.stem {
            // It makes all blocks of a row at once.
            for _ in self.next..end {
                // SAFETY: this thread alone has its ring.
                unsafe { stem.next(self.ring) };
            }
            self.next = self.next.max(end);
        }
    }

    /// All blocks of the rows up to `end` are filled in.
    pub(super) fn filled(&mut self, end: usize) {
        self.next = self.next.max(end);
    }

    fn holds_all(&self) -> bool {
        self.ring.rows == self.height
    }

    /// Expands some blocks of `rows` rows from `y` on.
    fn expand(
        &self,
        layer: &Pointwise,
        blocks: &Range<usize>,
        input: View<'_>,
        y: usize,
        rows: usize,
    ) {
        let ring = self.ring;
        self.isa.run(Product::<BLOCK> {
            weights: layer,
            panels_ptr: layer.weights.as_ptr().cast(),
            first_panel: blocks.start,
            panels: blocks.len(),
            input: Matrix {
                ptr: input.at(0, y),
                segment_len: BLOCK,
                segment: input.block,
            },
            pixels: rows * input.width,
            target: Target::Blocks {
                ptr: ring.at(0, y).wrapping_sub(self.first_block * ring.block),
                block: ring.block,
                rows: if rows == 1 {
                    RowBreaks::NONE
                } else {
                    RowBreaks {
                        column: 0,
                        width: ring.width,
                        gap: 2 * ring.padding,
                    }
                },
                residual: None,
            },
        });
    }
}
