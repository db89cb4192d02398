//! A network as a list of steps on an arena, and how a step runs.

use std::ops::Range;

use ssdlite_kernels::Context;
use ssdlite_kernels::infer::{
    self, Block, Dense, Depthwise, Epilogue, Input, MapMut, MapRef, MapShape, Output, Pointwise,
    Residual, Separable, SourceKind, SqueezeExcite, Stem,
};

use crate::engine::LayerInfo;
use ssdlite_kernels::arena::{Places, Slot};

/// A map in the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map {
    pub(crate) slot: Slot,
    pub(crate) shape: MapShape,
}

impl Map {
    fn read<'a>(&self, cells: &'a [Block]) -> MapRef<'a> {
        MapRef::new(self.shape, cells)
    }

    fn write<'a>(&self, cells: &'a mut [Block]) -> MapMut<'a> {
        MapMut::new(self.shape, cells)
    }
}

/// Which of a network's outputs a step writes.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) output: usize,
    pub(crate) range: Range<usize>,
}

/// Where a 1x1 convolution writes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Map(Map),
    Rows(Rows),
}

/// What a depthwise convolution reads.
#[derive(Debug)]
pub(crate) enum Source {
    Map(Map),
    Expanded {
        layer: Pointwise,
        input: Map,
    },
    /// The first convolution, on the network's input.
    Pixels {
        layer: Stem,
        /// The map that it would write.
        shape: MapShape,
    },
}

impl Source {
    /// The slot that is read, if any.
    pub(crate) fn slot(&self) -> Option<Slot> {
        match self {
            Self::Map(map) | Self::Expanded { input: map, .. } => Some(map.slot),
            Self::Pixels { .. } => None,
        }
    }

    /// What the depthwise convolution reads.
    pub(crate) fn shape(&self) -> MapShape {
        match self {
            Self::Map(map) => map.shape,
            Self::Expanded { layer, input } => MapShape {
                channels: layer.out_channels(),
                padding: 0,
                ..input.shape
            },
            Self::Pixels { shape, .. } => *shape,
        }
    }

    pub(crate) fn kind(&self) -> SourceKind {
        match self {
            Self::Map(_) => SourceKind::Map,
            Self::Expanded { layer, .. } => SourceKind::Expanded {
                in_channels: layer.in_channels(),
            },
            Self::Pixels { .. } => SourceKind::Pixels,
        }
    }

    /// The kernels' source; `cells` are those of the slot, if there is one.
    fn bind<'a>(&'a self, cells: &'a [Block], picture: &Picture<'a>) -> infer::Source<'a> {
        match self {
            Self::Map(map) => infer::Source::Map(map.read(cells)),
            Self::Expanded { layer, input } => infer::Source::Expanded {
                layer,
                input: input.read(cells),
            },
            Self::Pixels { layer, .. } => infer::Source::Pixels {
                layer,
                pixels: picture.pixels,
                width: picture.width,
            },
        }
    }
}

/// The network's input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture<'a> {
    /// Packed RGB bytes.
    pub(crate) pixels: &'a [u8],
    /// Pixels in a row.
    pub(crate) width: usize,
}

/// What a step computes.
#[derive(Debug)]
pub(crate) enum Operation {
    /// A depthwise convolution with what comes before it.
    Depthwise {
        source: Source,
        depthwise: Depthwise,
        output: Map,
        sums: Option<Slot>,
        scratch: Slot,
    },
    /// The same with a 1x1 convolution after it.
    Bottleneck {
        source: Source,
        depthwise: Depthwise,
        project: Pointwise,
        residual: Residual,
        target: Target,
        scratch: Slot,
    },
    /// Sums become scales.
    SqueezeExcite {
        layer: SqueezeExcite,
        pixels: usize,
        sums: Slot,
        scratch: Slot,
    },
    /// A 1x1 convolution.
    Pointwise {
        layer: Pointwise,
        input: Map,
        output: Map,
    },
    /// A 1x1 convolution of scaled channels.
    ScaledPointwise {
        layer: Pointwise,
        input: Map,
        scales: Slot,
        residual: Option<Map>,
        output: Map,
        scratch: Slot,
    },
    Average {
        input: Map,
        output: Slot,
    },
    Dense {
        layer: Dense,
        input: Slot,
        output: Slot,
    },
    /// A vector becomes an output of the network.
    Emit {
        input: Slot,
        rows: Rows,
    },
}

/// A step with its name and cost.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) info: LayerInfo,
    pub(crate) operation: Operation,
}

/// A network, ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) places: Places,
    /// Lengths of the outputs.
    pub(crate) outputs: Vec<usize>,
    /// Pixels of a row of the input.
    pub(crate) width: usize,
}

impl Plan {
    /// Runs the network on one picture of packed RGB bytes. `after` is told the
    /// index of each step when it is done.
    pub(crate) fn run(
        &self,
        context: Context<'_>,
        pixels: &[u8],
        arena: &mut [Block],
        outputs: &mut [Vec<f32>],
        after: &mut dyn FnMut(usize),
    ) {
        for (output, &len) in outputs.iter_mut().zip(&self.outputs) {
            output.resize(len, 0.0);
        }
        let picture = Picture {
            pixels,
            width: self.width,
        };
        for (index, step) in self.steps.iter().enumerate() {
            self.step(&step.operation, context, picture, arena, outputs);
            after(index);
        }
    }

    fn step(
        &self,
        operation: &Operation,
        context: Context<'_>,
        picture: Picture<'_>,
        arena: &mut [Block],
        outputs: &mut [Vec<f32>],
    ) {
        let places = &self.places;
        match operation {
            Operation::Depthwise {
                source,
                depthwise,
                output,
                sums,
                scratch,
            } => {
                let slots = [source.slot(), Some(output.slot), Some(*scratch), *sums];
                let [cells, out, scratch, sums] = places.some_slots(arena, slots);
                let layers = Separable {
                    source: source.bind(cells, &picture),
                    depthwise,
                    epilogue: Epilogue::Depthwise {
                        output: output.write(out),
                        sums: (!sums.is_empty()).then_some(sums),
                    },
                };
                infer::separable(context, layers, scratch);
            }
            Operation::Bottleneck {
                source,
                depthwise,
                project,
                residual,
                target,
                scratch,
            } => {
                let target_slot = match target {
                    Target::Map(map) => Some(map.slot),
                    Target::Rows(_) => None,
                };
                let slots = [source.slot(), target_slot, Some(*scratch)];
                let [cells, out, scratch] = places.some_slots(arena, slots);
                let output = match target {
                    Target::Map(map) => Output::Map(map.write(out)),
                    Target::Rows(rows) => {
                        Output::Rows(&mut outputs[rows.output][rows.range.clone()])
                    }
                };
                let layers = Separable {
                    source: source.bind(cells, &picture),
                    depthwise,
                    epilogue: Epilogue::Project {
                        layer: project,
                        residual: *residual,
                        output,
                    },
                };
                infer::separable(context, layers, scratch);
            }
            Operation::SqueezeExcite {
                layer,
                pixels,
                sums,
                scratch,
            } => {
                let [sums, scratch] = places.slots(arena, [*sums, *scratch]);
                infer::squeeze_excite(context, layer, *pixels, sums, scratch);
            }
            Operation::Pointwise {
                layer,
                input,
                output,
            } => {
                let [cells, out] = places.slots(arena, [input.slot, output.slot]);
                let input = Input::Map(input.read(cells));
                let output = Output::Map(output.write(out));
                infer::pointwise(context, layer, input, None, output, &mut []);
            }
            Operation::ScaledPointwise {
                layer,
                input,
                scales,
                residual,
                output,
                scratch,
            } => {
                let slots = [
                    Some(input.slot),
                    Some(*scales),
                    Some(output.slot),
                    Some(*scratch),
                    residual.map(|map| map.slot),
                ];
                let [cells, scale, out, scratch, other] = places.some_slots(arena, slots);
                let residual = residual.map(|map| map.read(other));
                let input = Input::Scaled {
                    map: input.write(cells),
                    scale,
                };
                let output = Output::Map(output.write(out));
                infer::pointwise(context, layer, input, residual, output, scratch);
            }
            Operation::Average { input, output } => {
                let [cells, out] = places.slots(arena, [input.slot, *output]);
                infer::average(context, input.read(cells), out);
            }
            Operation::Dense {
                layer,
                input,
                output,
            } => {
                let [input, out] = places.slots(arena, [*input, *output]);
                infer::dense(context, layer, input, out);
            }
            Operation::Emit { input, rows } => {
                let [input] = places.slots(arena, [*input]);
                let out = &mut outputs[rows.output][rows.range.clone()];
                for (out, block) in out.chunks_mut(infer::BLOCK).zip(input.iter()) {
                    out.copy_from_slice(&block.0[..out.len()]);
                }
            }
        }
    }
}
