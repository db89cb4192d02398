//! A network as a list of steps on an arena, and how a step runs.

use std::ops::Range;

use ssdlite_kernels::Context;
use ssdlite_kernels::infer::{
    self, Block, Dense, Depthwise, Ending, Input, MapMut, MapRef, MapShape, Output, Pointwise,
    Separable, SqueezeExcite, Stem,
};

use crate::arena::{Places, Slot};
use crate::engine::LayerInfo;

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

/// What a step computes.
#[derive(Debug)]
pub(crate) enum Operation {
    Stem {
        layer: Stem,
        output: Map,
    },
    /// A depthwise convolution, with an expansion before it or without.
    Depthwise {
        expand: Option<Pointwise>,
        depthwise: Depthwise,
        input: Map,
        output: Map,
        sums: Option<Slot>,
        scratch: Slot,
    },
    /// The same with a 1x1 convolution after it. The residual is the input.
    Bottleneck {
        expand: Option<Pointwise>,
        depthwise: Depthwise,
        project: Pointwise,
        has_residual: bool,
        input: Map,
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
        for (index, step) in self.steps.iter().enumerate() {
            self.step(&step.operation, context, pixels, arena, outputs);
            after(index);
        }
    }

    fn step(
        &self,
        operation: &Operation,
        context: Context<'_>,
        pixels: &[u8],
        arena: &mut [Block],
        outputs: &mut [Vec<f32>],
    ) {
        let places = &self.places;
        match operation {
            Operation::Stem { layer, output } => {
                let [cells] = places.slots(arena, [output.slot]);
                infer::stem(context, layer, pixels, self.width, output.write(cells));
            }
            Operation::Depthwise {
                expand,
                depthwise,
                input,
                output,
                sums,
                scratch,
            } => {
                let (cells, out, sums, scratch) = match sums {
                    Some(sums) => {
                        let slots = [input.slot, output.slot, *scratch, *sums];
                        let [cells, out, scratch, sums] = places.slots(arena, slots);
                        (cells, out, Some(sums), scratch)
                    }
                    None => {
                        let slots = [input.slot, output.slot, *scratch];
                        let [cells, out, scratch] = places.slots(arena, slots);
                        (cells, out, None, scratch)
                    }
                };
                let layers = Separable {
                    expand: expand.as_ref(),
                    depthwise,
                    ending: Ending::Depthwise {
                        output: output.write(out),
                        sums,
                    },
                };
                infer::separable(context, layers, input.read(cells), scratch);
            }
            Operation::Bottleneck {
                expand,
                depthwise,
                project,
                has_residual,
                input,
                target,
                scratch,
            } => {
                let (cells, output, scratch) = match target {
                    Target::Map(map) => {
                        let slots = [input.slot, map.slot, *scratch];
                        let [cells, out, scratch] = places.slots(arena, slots);
                        (cells, Output::Map(map.write(out)), scratch)
                    }
                    Target::Rows(rows) => {
                        let [cells, scratch] = places.slots(arena, [input.slot, *scratch]);
                        let out = &mut outputs[rows.output][rows.range.clone()];
                        (cells, Output::Rows(out), scratch)
                    }
                };
                let input = input.read(cells);
                let layers = Separable {
                    expand: expand.as_ref(),
                    depthwise,
                    ending: Ending::Project {
                        layer: project,
                        residual: has_residual.then_some(input),
                        output,
                    },
                };
                infer::separable(context, layers, input, scratch);
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
                let (cells, scale, out, scratch, residual_cells) = match residual {
                    Some(map) => {
                        let slots = [input.slot, *scales, output.slot, *scratch, map.slot];
                        let [cells, scale, out, scratch, other] = places.slots(arena, slots);
                        (cells, scale, out, scratch, Some(map.read(other)))
                    }
                    None => {
                        let slots = [input.slot, *scales, output.slot, *scratch];
                        let [cells, scale, out, scratch] = places.slots(arena, slots);
                        (cells, scale, out, scratch, None)
                    }
                };
                let input = Input::Scaled {
                    map: input.write(cells),
                    scale,
                };
                let output = Output::Map(output.write(out));
                infer::pointwise(context, layer, input, residual_cells, output, scratch);
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
