//! A network as a list of steps on an arena, and how a step runs.

use std::ops::Range;

use ssdlite_core::{MapSize, OutputKind};
use ssdlite_kernels::Context;
use ssdlite_kernels::arena::{Places, Slot};
use ssdlite_kernels::infer::{
    self, Block, Dense, Depthwise, Epilogue, Input, MapMut, MapRef, MapShape, Output, Pointwise,
    Residual, Separable, SourceKind, SqueezeExcite, Stem,
};

/// A step of a network: layers that run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// Key of the first of its layers in torchvision's `state_dict`.
    pub key: String,
    /// What is computed, such as `1x1 + dw3x3 s2 + 1x1`.
    pub operation: String,
    /// Channels that it reads.
    pub in_channels: usize,
    /// Channels that it writes.
    pub out_channels: usize,
    /// Map that it reads.
    pub input: MapSize,
    /// Map that it writes.
    pub output: MapSize,
    /// Multiplications with addition for one image.
    pub macs: u64,
}

impl LayerInfo {
    /// What it reads and writes: `16x112x112 -> 24x56x56`, channels first.
    pub fn shape_text(&self) -> String {
        format!(
            "{}x{}x{} -> {}x{}x{}",
            self.in_channels,
            self.input.height,
            self.input.width,
            self.out_channels,
            self.output.height,
            self.output.width
        )
    }
}

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
    pub(crate) output: OutputKind,
    pub(crate) range: Range<usize>,
}

/// What a network says about an image; empty where it has no such output.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outputs {
    pub(crate) logits: Vec<f32>,
    pub(crate) regressions: Vec<f32>,
}

impl Outputs {
    fn of(&mut self, kind: OutputKind) -> &mut Vec<f32> {
        match kind {
            OutputKind::Logits => &mut self.logits,
            OutputKind::Regressions => &mut self.regressions,
        }
    }

    fn rows(&mut self, rows: &Rows) -> &mut [f32] {
        &mut self.of(rows.output)[rows.range.clone()]
    }
}

/// Where a 1x1 convolution writes.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Map(Map),
    Rows(Rows),
}

impl Target {
    /// The slot that is written, if any.
    fn slot(&self) -> Option<Slot> {
        match self {
            Self::Map(map) => Some(map.slot),
            Self::Rows(_) => None,
        }
    }

    /// The kernels' output; `cells` are those of the slot, if there is one.
    fn bind<'a>(&self, cells: &'a mut [Block], outputs: &'a mut Outputs) -> Output<'a> {
        match self {
            Self::Map(map) => Output::Map(map.write(cells)),
            Self::Rows(rows) => Output::Rows(outputs.rows(rows)),
        }
    }
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
    fn bind<'a>(&'a self, cells: &'a [Block], image: Image<'a>) -> infer::Source<'a> {
        match self {
            Self::Map(map) => infer::Source::Map(map.read(cells)),
            Self::Expanded { layer, input } => infer::Source::Expanded {
                layer,
                input: input.read(cells),
            },
            Self::Pixels { layer, .. } => infer::Source::Pixels {
                layer,
                pixels: image.pixels,
                width: image.width,
            },
        }
    }
}

/// The network's input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image<'a> {
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
    /// A 1x1 convolution, perhaps of scaled channels.
    Pointwise {
        layer: Pointwise,
        input: Map,
        scales: Option<Slot>,
        residual: Option<Map>,
        target: Target,
        /// For scaled channels.
        scratch: Option<Slot>,
    },
    /// Nearest upsampling by two.
    Upsample {
        input: Map,
        output: Map,
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
    /// The outputs with their lengths.
    pub(crate) outputs: Vec<(OutputKind, usize)>,
    /// Pixels of a row of the input.
    pub(crate) width: usize,
}

impl Plan {
    /// Runs the network on one image of packed RGB bytes. `after` is told the
    /// index of each step when it is done.
    pub(crate) fn run(
        &self,
        context: Context<'_>,
        pixels: &[u8],
        arena: &mut [Block],
        outputs: &mut Outputs,
        after: &mut dyn FnMut(usize),
    ) {
        for &(kind, len) in &self.outputs {
            outputs.of(kind).resize(len, 0.0);
        }
        let image = Image {
            pixels,
            width: self.width,
        };
        for (index, step) in self.steps.iter().enumerate() {
            self.step(&step.operation, context, image, arena, outputs);
            after(index);
        }
    }

    fn step(
        &self,
        operation: &Operation,
        context: Context<'_>,
        image: Image<'_>,
        arena: &mut [Block],
        outputs: &mut Outputs,
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
                    source: source.bind(cells, image),
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
                let slots = [source.slot(), target.slot(), Some(*scratch)];
                let [cells, out, scratch] = places.some_slots(arena, slots);
                let layers = Separable {
                    source: source.bind(cells, image),
                    depthwise,
                    epilogue: Epilogue::Project {
                        layer: project,
                        residual: *residual,
                        output: target.bind(out, outputs),
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
                scales,
                residual,
                target,
                scratch,
            } => {
                let slots = [
                    Some(input.slot),
                    *scales,
                    target.slot(),
                    *scratch,
                    residual.map(|map| map.slot),
                ];
                let [cells, scale, out, scratch, other] = places.some_slots(arena, slots);
                let input = match scales {
                    None => Input::Map(input.read(cells)),
                    Some(_) => Input::Scaled {
                        map: input.write(cells),
                        scale,
                    },
                };
                let residual = residual.map(|map| map.read(other));
                let output = target.bind(out, outputs);
                infer::pointwise(context, layer, input, residual, output, scratch);
            }
            Operation::Upsample { input, output } => {
                let [cells, out] = places.slots(arena, [input.slot, output.slot]);
                infer::upsample_nearest(context, input.read(cells), output.write(out));
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
                let out = outputs.rows(rows);
                for (out, block) in out.chunks_mut(infer::BLOCK).zip(input.iter()) {
                    out.copy_from_slice(&block.0[..out.len()]);
                }
            }
        }
    }
}
