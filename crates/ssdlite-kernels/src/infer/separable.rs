//! Chains of an optional 1x1, a depthwise and an optional 1x1 convolution,
//! without a whole map between them.
//!
//! A thread takes a range of output rows and all channels, or a range of
//! channels and all rows. The expanded rows that the next output row reads lie
//! in a ring, which stays in the first or second level of the cache.

use super::depthwise::{DepthwiseRow, MOST_ROWS};
use super::map::{MapMut, MapShape, View};
use super::packed::{Depthwise, Pointwise};
use super::pointwise::{OutputView, RESIDUAL_OF_ROWS};
use super::product::{self, Matrix, Product};
use super::ring::Filler;
use super::source::{Source, SourceKind};
use super::{Output, share};
use crate::Context;
use crate::cache::Caches;
use crate::memory::{BLOCK, Block};
use std::ops::Range;

/// Pixels of a band that make the last product's tiles large enough.
const BAND_PIXELS: usize = 28;

/// Channel blocks that are expanded together where threads split channels.
const MOST_CHUNK: usize = 3;

/// Blocks of a band of rows beyond which it leaves the second-level cache, whose
/// rest is for weights; and no larger one was ever faster.
fn most_band_blocks() -> usize {
    let bytes = Caches::of_this_machine().second * 3 / 8;
    bytes.min(192 * 1024) / size_of::<Block>()
}

/// Most columns of a map of which all rows are expanded at once, where threads
/// split channels.
const MOST_COLUMNS_HELD: usize = 14;

/// Maps with fewer rows are split by channels if they can be.
const LEAST_ROWS_TO_SPLIT: usize = 32;

/// A chain of convolutions.
#[derive(Debug)]
pub struct Separable<'a> {
    /// What the depthwise convolution reads.
    pub source: Source<'a>,
    /// The depthwise convolution.
    pub depthwise: &'a Depthwise,
    /// What follows it.
    pub epilogue: Epilogue<'a>,
}

/// What follows a depthwise convolution.
#[derive(Debug)]
pub enum Epilogue<'a> {
    /// Its output is written.
    Depthwise {
        /// The depthwise convolution's output.
        output: MapMut<'a>,
        /// The sum of each channel over the output map, for squeeze-and-excite.
        sums: Option<&'a mut [Block]>,
    },
    /// A 1x1 convolution.
    Project {
        /// The convolution.
        layer: &'a Pointwise,
        /// What is added to its output.
        residual: Residual,
        /// Its output.
        output: Output<'a>,
    },
}

/// What is added to the output of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// Nothing.
    None,
    /// The input of the chain, or the first convolution's output where that is
    /// the source.
    Input,
}

/// Blocks of scratch that [`separable`] needs; `map` is what the depthwise
/// convolution reads.
pub fn separable_scratch(
    context: Context<'_>,
    source: SourceKind,
    depthwise: &Depthwise,
    project: Option<&Pointwise>,
    map: MapShape,
) -> usize {
    Sizes::new(source, depthwise, project, map).scratch(context)
}

/// Runs a chain of convolutions.
///
/// # Panics
/// If the shapes don't fit each other, for an activation or a residual with an
/// output in rows, or if `scratch` is shorter than [`separable_scratch`].
pub fn separable(context: Context<'_>, mut layers: Separable<'_>, scratch: &mut [Block]) {
    let source = layers.source;
    let shape = source.shape();
    assert_eq!(shape.channels, layers.depthwise.channels, "channels");
    match source {
        Source::Map(_) => assert!(shape.padding >= layers.depthwise.padding(), "input padding"),
        Source::Expanded { layer, input } => {
            assert_eq!(input.shape().channels, layer.in_channels, "input channels");
        }
        Source::Pixels { .. } => {}
    }
    let project = match &layers.epilogue {
        Epilogue::Depthwise { .. } => None,
        Epilogue::Project { layer, .. } => Some(*layer),
    };
    let sizes = Sizes::new(source.kind(), layers.depthwise, project, shape);
    let needed = sizes.scratch(context);
    assert!(scratch.len() >= needed, "scratch of {}", scratch.len());
    let (row_sums, threads_scratch) = scratch.split_at_mut(sizes.row_sums());
    let mut sums_out = None;
    let end = End::new(&mut layers.epilogue, &source, &sizes, &mut sums_out);
    let work = Work {
        context,
        sizes,
        band: end.band(&sizes),
        source,
        depthwise: layers.depthwise,
        end,
        row_sums: sums_out
            .is_some()
            .then(|| sizes.row_sums_view(row_sums.as_mut_ptr().cast())),
        scratch: View::flat(threads_scratch),
    };
    work.run();
    if let Some(sums) = sums_out {
        let rows = row_sums.chunks_exact(sizes.output.height);
        for (sum, rows) in sums.iter_mut().zip(rows) {
            *sum = Block::ZERO;
            for row in rows {
                for (sum, x) in sum.0.iter_mut().zip(row.0) {
                    *sum += x;
                }
            }
        }
    }
}

/// Shapes that follow from the layers and the input.
#[derive(Clone, Copy)]
struct Sizes {
    /// What the depthwise convolution reads, with just its padding.
    expanded: MapShape,
    /// What it writes.
    output: MapShape,
    expands: bool,
    projects: bool,
    /// Whether threads split rows rather than channels.
    by_rows: bool,
    /// Expanded rows that are held at a time: the kernel's, or all.
    ring_rows: usize,
    /// Most rows that are projected together.
    band: usize,
    macs: usize,
}

impl Sizes {
    fn new(
        source: SourceKind,
        depthwise: &Depthwise,
        project: Option<&Pointwise>,
        map: MapShape,
    ) -> Self {
        let output = MapShape {
            channels: depthwise.channels,
            height: depthwise.output(map.height),
            width: depthwise.output(map.width),
            padding: 0,
        };
        let projection = project.map_or(0, |layer| layer.out_channels);
        let taps = depthwise.kernel * depthwise.kernel;
        let a_channel = map.pixels() * source.inputs() + output.pixels() * (taps + projection);
        // The first convolution makes all channels of a row at once.
        let by_rows = project.is_some()
            || source == SourceKind::Pixels
            || output.height >= LEAST_ROWS_TO_SPLIT;
        let holds_all = !by_rows && map.width <= MOST_COLUMNS_HELD;
        Self {
            expanded: MapShape {
                channels: depthwise.channels,
                padding: depthwise.padding(),
                ..map
            },
            output,
            expands: source != SourceKind::Map,
            projects: project.is_some(),
            by_rows,
            ring_rows: if holds_all {
                map.height
            } else {
                depthwise.kernel
            },
            band: project.map_or(1, |layer| most_band_rows(layer, output)),
            macs: depthwise.channels * a_channel,
        }
    }

    /// Blocks of scratch: the sums of rows, then a part for each thread.
    fn scratch(&self, context: Context<'_>) -> usize {
        self.row_sums() + context.pool.threads() * self.thread_scratch()
    }

    fn row_sums(&self) -> usize {
        if self.projects {
            0
        } else {
            self.output.blocks() * self.output.height
        }
    }

    fn row_sums_view<'a>(&self, ptr: *mut f32) -> View<'a> {
        let shape = MapShape {
            width: 1,
            ..self.output
        };
        View::new(shape, ptr)
    }

    /// Most channel blocks that a thread has in hand.
    fn chunk(&self) -> usize {
        if self.by_rows {
            self.output.blocks()
        } else {
            MOST_CHUNK
        }
    }

    fn ring(&self) -> MapShape {
        MapShape {
            channels: self.chunk() * BLOCK,
            height: self.ring_rows,
            ..self.expanded
        }
    }

    fn band_map(&self) -> MapShape {
        MapShape {
            height: self.band,
            ..self.output
        }
    }

    fn ring_len(&self) -> usize {
        if self.expands { self.ring().len() } else { 0 }
    }

    /// Blocks of scratch of one thread: the ring, then the band.
    fn thread_scratch(&self) -> usize {
        let band = if self.projects {
            self.band_map().len()
        } else {
            0
        };
        self.ring_len() + band
    }
}

/// Rows that are projected together: enough that the tiles are large and that
/// weights, which pass through the first-level cache once for each band, are
/// not most of what is read.
fn most_band_rows(layer: &Pointwise, output: MapShape) -> usize {
    let row_len = output.blocks() * output.width;
    let for_weights = layer.weights.len().min(most_band_blocks()) / row_len;
    let for_tiles = BAND_PIXELS.div_ceil(output.width);
    for_tiles.max(for_weights).min(output.height)
}

enum End<'a> {
    Depthwise(View<'a>),
    Project {
        layer: &'a Pointwise,
        residual: Option<ResidualView<'a>>,
        output: OutputView<'a>,
    },
}

#[derive(Clone, Copy)]
enum ResidualView<'a> {
    Map(View<'a>),
    /// The rows in the ring.
    Ring,
}

impl<'a> End<'a> {
    /// The views of an epilogue, after all shapes were compared.
    fn new(
        epilogue: &mut Epilogue<'a>,
        source: &Source<'a>,
        sizes: &Sizes,
        sums_out: &mut Option<&'a mut [Block]>,
    ) -> Self {
        let shape = sizes.output;
        match epilogue {
            Epilogue::Depthwise { output, sums } => {
                let found = output.shape();
                let expected = MapShape {
                    padding: found.padding,
                    ..shape
                };
                assert_eq!(found, expected, "output of the depthwise convolution");
                if let Some(sums) = sums.take() {
                    assert_eq!(sums.len(), shape.blocks(), "sums");
                    *sums_out = Some(sums);
                }
                Self::Depthwise(output.view())
            }
            Epilogue::Project {
                layer,
                residual,
                output,
            } => {
                assert_eq!(layer.in_channels, shape.channels, "projected channels");
                let fits = *residual == Residual::None || output.takes_residual();
                assert!(fits, "{RESIDUAL_OF_ROWS}");
                let residual = (*residual == Residual::Input).then(|| {
                    let (view, found) = match source {
                        Source::Map(map) | Source::Expanded { input: map, .. } => {
                            (ResidualView::Map(map.view()), map.shape())
                        }
                        Source::Pixels { .. } => (ResidualView::Ring, source.shape()),
                    };
                    let expected = MapShape {
                        channels: layer.out_channels,
                        padding: found.padding,
                        ..shape
                    };
                    assert_eq!(found, expected, "residual");
                    view
                });
                Self::Project {
                    layer,
                    residual,
                    output: OutputView::new(layer, shape, output),
                }
            }
        }
    }

    /// Rows that are projected together: one where a residual has padding.
    fn band(&self, sizes: &Sizes) -> usize {
        match self {
            Self::Project {
                residual: Some(ResidualView::Ring),
                ..
            } => 1,
            Self::Project {
                residual: Some(ResidualView::Map(view)),
                ..
            } if view.padding > 0 => 1,
            _ => sizes.band,
        }
    }
}

struct Work<'a> {
    context: Context<'a>,
    sizes: Sizes,
    /// Rows that are projected together.
    band: usize,
    source: Source<'a>,
    depthwise: &'a Depthwise,
    end: End<'a>,
    row_sums: Option<View<'a>>,
    scratch: View<'a>,
}

impl Work<'_> {
    fn run(&self) {
        let sizes = &self.sizes;
        let all_blocks = 0..sizes.output.blocks();
        let all_rows = 0..sizes.output.height;
        if sizes.by_rows {
            share(self.context, sizes.macs, all_rows.end, |thread, rows| {
                self.chunk(thread, all_blocks.clone(), rows);
            });
            return;
        }
        share(self.context, sizes.macs, all_blocks.end, |thread, range| {
            let mut first = range.start;
            while first < range.end {
                let lanes = self.context.isa.lanes();
                let chunk = product::group(lanes, range.end - first);
                self.chunk(thread, first..first + chunk, all_rows.clone());
                first += chunk;
            }
        });
    }

    /// The output rows `rows` of the channel blocks `chunk`.
    fn chunk(&self, thread: usize, chunk: Range<usize>, rows: Range<usize>) {
        let sizes = &self.sizes;
        let scratch = self.scratch.at(0, 0);
        let ring_ptr = scratch.wrapping_add(thread * sizes.thread_scratch() * BLOCK);
        let band_ptr = ring_ptr.wrapping_add(sizes.ring_len() * BLOCK);
        let band = View::new(sizes.band_map(), band_ptr);
        let ring = View::new(sizes.ring(), ring_ptr);
        if sizes.expands {
            for block in 0..chunk.len() {
                for slot in 0..sizes.ring_rows {
                    // SAFETY: this thread alone has its part of the scratch.
                    unsafe { ring.clear_padding(block, slot) };
                }
            }
        }
        let (stride, padding) = (self.depthwise.stride, self.depthwise.padding());
        let held = match self.source {
            Source::Map(map) => Held {
                view: map.view(),
                first_block: 0,
            },
            _ => Held {
                view: ring,
                first_block: chunk.start,
            },
        };
        let first = (rows.start * stride).saturating_sub(padding);
        let mut filler = Filler::new(
            self.context.isa,
            self.source,
            ring,
            chunk.start,
            (first, sizes.expanded.height),
        );
        let mut y = rows.start;
        while y < rows.end {
            let band_end = (y + self.band).min(rows.end);
            for out_y in y..band_end {
                let end = (out_y * stride + padding + 1).min(sizes.expanded.height);
                let mut block = chunk.start;
                while block < chunk.end {
                    // A few blocks at a time, which are read back from the
                    // first-level cache.
                    let lanes = self.context.isa.lanes();
                    let blocks = block..block + product::group(lanes, chunk.end - block);
                    filler.fill(&blocks, end);
                    for block in blocks.clone() {
                        let out = match self.end {
                            End::Depthwise(view) => view.at(block, out_y),
                            End::Project { .. } => band.at(block, out_y - y),
                        };
                        self.depthwise_row(held, block, out_y, out);
                    }
                    block = blocks.end;
                }
                filler.filled(end);
                if let End::Depthwise(view) = self.end
                    && view.padding > 0
                {
                    for block in chunk.clone() {
                        // SAFETY: this thread alone has this row of this block.
                        unsafe { view.clear_padding(block, out_y) };
                    }
                }
            }
            self.project(band, ring, y..band_end);
            y = band_end;
        }
    }

    fn depthwise_row(&self, held: Held<'_>, block: usize, out_y: usize, out: *mut f32) {
        let (kernel, padding) = (self.depthwise.kernel, self.depthwise.padding());
        let top = out_y * self.depthwise.stride;
        let first_row = padding.saturating_sub(top);
        let end_row = kernel.min(self.sizes.expanded.height + padding - top);
        let mut rows = [std::ptr::null(); MOST_ROWS];
        for (ky, row) in rows.iter_mut().enumerate().take(end_row).skip(first_row) {
            let at = held.view.at(block - held.first_block, top + ky - padding);
            *row = at.wrapping_sub(padding * BLOCK).cast_const();
        }
        self.context.isa.run(DepthwiseRow {
            weights: self.depthwise,
            block,
            rows,
            first_row,
            end_row,
            out,
            width: self.sizes.output.width,
            sum: self.row_sums.map(|view| view.at(block, out_y)),
        });
    }

    fn project(&self, band: View<'_>, ring: View<'_>, rows: Range<usize>) {
        let End::Project {
            layer,
            residual,
            output,
        } = self.end
        else {
            return;
        };
        for y in rows.clone() {
            // SAFETY: this thread alone has the row.
            unsafe { output.clear_padding(y) };
        }
        let residual = residual.map(|residual| match residual {
            ResidualView::Map(view) => view,
            ResidualView::Ring => ring,
        });
        self.context.isa.run(Product::<BLOCK> {
            weights: layer,
            panels_ptr: layer.weights.as_ptr().cast(),
            first_panel: 0,
            panels: layer.panels(),
            input: Matrix {
                ptr: band.at(0, 0),
                segment_len: BLOCK,
                segment: band.block,
            },
            pixels: rows.len() * self.sizes.output.width,
            target: output.target(residual, rows.start, 0),
        });
    }
}

/// What a depthwise convolution reads: a ring of some blocks or a whole map.
#[derive(Clone, Copy)]
struct Held<'a> {
    view: View<'a>,
    /// The block of channels that comes first in the view.
    first_block: usize,
}
