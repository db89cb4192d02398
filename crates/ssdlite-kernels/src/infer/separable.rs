//! Chains of an optional 1x1, a depthwise and an optional 1x1 convolution,
//! without a whole map between them.
//!
//! A thread takes a range of output rows and all channels, or a range of
//! channels and all rows. The expanded rows that the next output row reads lie
//! in a ring, which stays in the first or second level of the cache.

use super::depthwise::{DepthwiseRow, MOST_ROWS};
use super::map::{BLOCK, Block, MapMut, MapRef, MapShape, View};
use super::packed::{Depthwise, Pointwise};
use super::pointwise::OutputView;
use super::product::{Matrix, Product, Target};
use super::{Output, share};
use crate::Context;
use std::ops::Range;

/// Pixels of a band that make the last product's tiles large enough.
const BAND_PIXELS: usize = 28;

/// Channel blocks that are expanded together where threads split channels.
const MOST_CHUNK: usize = 3;

/// Maps with fewer rows are split by channels if they can be.
const LEAST_ROWS_TO_SPLIT: usize = 32;

/// A chain of convolutions on one map.
#[derive(Debug)]
pub struct Separable<'a> {
    /// The 1x1 convolution before the depthwise one.
    pub expand: Option<&'a Pointwise>,
    /// The depthwise convolution.
    pub depthwise: &'a Depthwise,
    /// What follows it.
    pub ending: Ending<'a>,
}

/// What follows a depthwise convolution.
#[derive(Debug)]
pub enum Ending<'a> {
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
        /// A map that is added to its output.
        residual: Option<MapRef<'a>>,
        /// Its output.
        output: Output<'a>,
    },
}

/// Blocks of scratch that [`separable`] needs for these layers on an input of
/// this shape.
pub fn separable_scratch(
    context: Context<'_>,
    expand: Option<&Pointwise>,
    depthwise: &Depthwise,
    project: Option<&Pointwise>,
    input: MapShape,
) -> usize {
    Sizes::new(expand, depthwise, project, input).scratch(context)
}

/// Runs a chain of convolutions. The input needs the depthwise convolution's
/// margin where there is no expansion.
///
/// # Panics
/// If the shapes don't fit each other, or `scratch` is shorter than
/// [`separable_scratch`].
pub fn separable(
    context: Context<'_>,
    mut layers: Separable<'_>,
    input: MapRef<'_>,
    scratch: &mut [Block],
) {
    let project = match &layers.ending {
        Ending::Depthwise { .. } => None,
        Ending::Project { layer, .. } => Some(*layer),
    };
    let sizes = Sizes::new(layers.expand, layers.depthwise, project, input.shape());
    let needed = sizes.scratch(context);
    assert!(scratch.len() >= needed, "scratch of {}", scratch.len());
    let band = band_rows(&layers.ending, sizes.output);
    check_input(&layers, input.shape());
    let (row_sums, threads_scratch) = scratch.split_at_mut(sizes.row_sums());
    let out_shape = sizes.output;
    let mut sums_out = None;
    let end = match &mut layers.ending {
        Ending::Depthwise { output, sums } => {
            let shape = output.shape();
            let found = (shape.channels, shape.height, shape.width);
            let expected = (out_shape.channels, out_shape.height, out_shape.width);
            assert_eq!(found, expected, "output of the depthwise convolution");
            if let Some(sums) = sums.take() {
                assert_eq!(sums.len(), out_shape.blocks(), "sums");
                sums_out = Some(sums);
            }
            End::Depthwise(output.view())
        }
        Ending::Project {
            layer,
            residual,
            output,
        } => {
            let shape = out_shape;
            assert_eq!(layer.in_channels, shape.channels, "projected channels");
            End::Project {
                layer,
                residual: residual.map(|map| {
                    let found = map.shape();
                    assert_eq!(found.channels, layer.out_channels, "residual");
                    assert_eq!(found.height, shape.height, "residual");
                    assert_eq!(found.width, shape.width, "residual");
                    map.view()
                }),
                output: OutputView::new(layer, shape, output),
            }
        }
    };
    let work = Work {
        context,
        sizes,
        band,
        expand: layers.expand,
        depthwise: layers.depthwise,
        input: input.view(),
        end,
        row_sums: sums_out
            .is_some()
            .then(|| sizes.row_sums_view(row_sums.as_mut_ptr().cast())),
        scratch: View::new(
            MapShape {
                channels: BLOCK,
                height: 1,
                width: threads_scratch.len(),
                margin: 0,
            },
            threads_scratch.as_mut_ptr().cast(),
        ),
    };
    work.run();
    if let Some(sums) = sums_out {
        let rows = row_sums.chunks_exact(out_shape.height);
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

fn check_input(layers: &Separable<'_>, input: MapShape) {
    match layers.expand {
        Some(expand) => {
            assert_eq!(input.channels, expand.in_channels, "input channels");
            assert_eq!(expand.out_channels, layers.depthwise.channels, "expanded");
        }
        None => {
            assert_eq!(input.channels, layers.depthwise.channels, "input channels");
            assert!(input.margin >= layers.depthwise.margin(), "input margin");
        }
    }
}

/// Shapes that follow from the layers and the input.
#[derive(Clone, Copy)]
struct Sizes {
    /// What the depthwise convolution reads, with just its margin.
    expanded: MapShape,
    /// What it writes.
    output: MapShape,
    expands: bool,
    projects: bool,
    /// Whether threads split rows rather than channels.
    by_rows: bool,
    ring_rows: usize,
    macs: usize,
}

impl Sizes {
    fn new(
        expand: Option<&Pointwise>,
        depthwise: &Depthwise,
        project: Option<&Pointwise>,
        input: MapShape,
    ) -> Self {
        let output = MapShape {
            channels: depthwise.channels,
            height: depthwise.output(input.height),
            width: depthwise.output(input.width),
            margin: 0,
        };
        let expansion = expand.map_or(0, |layer| layer.in_channels);
        let projection = project.map_or(0, |layer| layer.out_channels);
        let taps = depthwise.kernel * depthwise.kernel;
        let a_channel = input.pixels() * expansion + output.pixels() * (taps + projection);
        Self {
            expanded: MapShape {
                channels: depthwise.channels,
                margin: depthwise.margin(),
                ..input
            },
            output,
            expands: expand.is_some(),
            projects: project.is_some(),
            by_rows: project.is_some() || output.height >= LEAST_ROWS_TO_SPLIT,
            ring_rows: depthwise.kernel,
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
            height: most_band_rows(self.output),
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

/// Rows that are projected together: several where the pixels of all follow
/// each other in the output and in the residual map.
fn band_rows(ending: &Ending<'_>, output: MapShape) -> usize {
    let Ending::Project {
        residual,
        output: target,
        ..
    } = ending
    else {
        return 1;
    };
    let target_margin = match target {
        Output::Map(map) => map.shape().margin,
        Output::Rows(_) => 0,
    };
    let residual_margin = residual.map_or(0, |map| map.shape().margin);
    if target_margin == 0 && residual_margin == 0 {
        most_band_rows(output)
    } else {
        1
    }
}

fn most_band_rows(output: MapShape) -> usize {
    BAND_PIXELS.div_ceil(output.width).min(output.height)
}

enum End<'a> {
    Depthwise(View<'a>),
    Project {
        layer: &'a Pointwise,
        residual: Option<View<'a>>,
        output: OutputView<'a>,
    },
}

struct Work<'a> {
    context: Context<'a>,
    sizes: Sizes,
    /// Rows that are projected together.
    band: usize,
    expand: Option<&'a Pointwise>,
    depthwise: &'a Depthwise,
    input: View<'a>,
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
                let chunk = super::product::group(lanes, range.end - first);
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
                    unsafe { ring.clear_margins(block, slot) };
                }
            }
        }
        let (stride, margin) = (self.depthwise.stride, self.depthwise.margin());
        let mut next = (rows.start * stride).saturating_sub(margin);
        let mut y = rows.start;
        while y < rows.end {
            let band_end = (y + self.band).min(rows.end);
            for out_y in y..band_end {
                let end = (out_y * stride + margin + 1).min(sizes.expanded.height);
                if let Some(expand) = self.expand {
                    for row in next..end {
                        self.expand_row(expand, &chunk, row, ring);
                    }
                    next = next.max(end);
                }
                let source = if sizes.expands {
                    Source {
                        view: ring,
                        first_block: chunk.start,
                    }
                } else {
                    Source {
                        view: self.input,
                        first_block: 0,
                    }
                };
                for block in chunk.clone() {
                    let out = match self.end {
                        End::Depthwise(view) => view.at(block, out_y),
                        End::Project { .. } => band.at(block, out_y - y),
                    };
                    self.depthwise_row(source, block, out_y, out);
                    if let End::Depthwise(view) = self.end
                        && view.margin > 0
                    {
                        // SAFETY: this thread alone has this row of this block.
                        unsafe { view.clear_margins(block, out_y) };
                    }
                }
            }
            self.project(band, y..band_end);
            y = band_end;
        }
    }

    fn expand_row(&self, expand: &Pointwise, chunk: &Range<usize>, y: usize, ring: View<'_>) {
        self.context.isa.run(Product::<BLOCK> {
            weights: expand,
            panels_ptr: expand.weights.as_ptr().cast(),
            first_panel: chunk.start,
            panels: chunk.len(),
            input: Matrix {
                ptr: self.input.at(0, y),
                segment_len: BLOCK,
                segment: self.input.block,
            },
            pixels: self.input.width,
            target: Target::Blocks {
                ptr: ring.at(0, y).wrapping_sub(chunk.start * ring.block),
                block: ring.block,
                residual: None,
            },
        });
    }

    fn depthwise_row(&self, source: Source<'_>, block: usize, out_y: usize, out: *mut f32) {
        let (kernel, margin) = (self.depthwise.kernel, self.depthwise.margin());
        let top = out_y * self.depthwise.stride;
        let first_row = margin.saturating_sub(top);
        let end_row = kernel.min(self.sizes.expanded.height + margin - top);
        let mut rows = [std::ptr::null(); MOST_ROWS];
        for (ky, row) in rows.iter_mut().enumerate().take(end_row).skip(first_row) {
            let at = source
                .view
                .at(block - source.first_block, top + ky - margin);
            *row = at.wrapping_sub(margin * BLOCK).cast_const();
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

    fn project(&self, band: View<'_>, rows: Range<usize>) {
        let End::Project {
            layer,
            residual,
            output,
        } = self.end
        else {
            return;
        };
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
        for y in rows {
            // SAFETY: this thread alone has the row.
            unsafe { output.clear_margins(y) };
        }
    }
}

/// What a depthwise convolution reads: a ring of some blocks or a whole map.
#[derive(Clone, Copy)]
struct Source<'a> {
    view: View<'a>,
    /// The block of channels that comes first in the view.
    first_block: usize,
}
