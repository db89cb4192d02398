//! From the tables of `ssdlite-core` and a model file to a plan.

use ssdlite_core::detector::{BOX_NUMBERS, ExtraBlock, Head};
use ssdlite_core::mobilenet::{Backbone, InvertedResidual};
use ssdlite_core::unit::{ConvUnit, HeadConv, Linear};
use ssdlite_core::{Activation, ClassifierNetwork, DetectorNetwork, MapSize, Preprocessing};
use ssdlite_kernels::Context;
use ssdlite_kernels::infer::{self, Depthwise, MapShape, Pointwise, Residual};

use crate::arena::{Layout, Slot};
use crate::engine::LayerInfo;
use crate::error::{Error, Result};
use crate::fold::{self, Folded, kernel_activation};
use crate::model_file::ModelFile;
use crate::plan::{Map, Operation, Plan, Rows, Source, Step, Target};

/// Index of the class logits among a detector's outputs.
pub(crate) const LOGITS: usize = 0;

/// Index of the box regressions among a detector's outputs.
pub(crate) const REGRESSIONS: usize = 1;

/// Maps of so few pixels are expanded by channels, not by rows, so that the
/// weights, which are more than the pixels, are read once.
const MOST_PIXELS_BY_CHANNELS: usize = 100;

/// Margin of the maps that heads read: their kernels are 3x3.
const HEAD_MARGIN: usize = 1;

/// The plan of a classifier, whose one output is a logit for each class.
pub(crate) fn classifier_plan(
    file: &ModelFile,
    network: &ClassifierNetwork,
    context: Context<'_>,
) -> Result<Plan> {
    let mut builder = Builder::new(file, context);
    let (_, last) = builder.backbone(&network.backbone, None)?;
    let averages = builder.average(last);
    let hidden = builder.linear(&network.hidden, averages, Activation::HardSwish)?;
    let output = builder.linear(&network.output, hidden, Activation::Identity)?;
    let classes = network.output.out_features;
    builder.emit(output, classes);
    Ok(builder.plan(vec![classes]))
}

/// The plan of a detector, whose outputs are [`LOGITS`] and [`REGRESSIONS`].
pub(crate) fn detector_plan(
    file: &ModelFile,
    network: &DetectorNetwork,
    context: Context<'_>,
) -> Result<Plan> {
    let mut builder = Builder::new(file, context);
    let (mut heads, last) = builder.backbone(&network.backbone, Some(network))?;
    let mut map = last;
    builder.heads(network, 1, map, &mut heads)?;
    for (index, block) in network.extra.iter().enumerate() {
        map = builder.extra(block, map)?;
        builder.heads(network, index + 2, map, &mut heads)?;
    }
    Ok(builder.plan(vec![heads.logits, heads.regressions]))
}

/// Numbers of each output that are placed so far.
#[derive(Clone, Copy, Debug, Default)]
struct HeadLengths {
    logits: usize,
    regressions: usize,
}

struct Builder<'a> {
    file: &'a ModelFile,
    preprocessing: Preprocessing,
    context: Context<'a>,
    layout: Layout,
    steps: Vec<Step>,
}

impl<'a> Builder<'a> {
    fn new(file: &'a ModelFile, context: Context<'a>) -> Self {
        Self {
            file,
            preprocessing: file.info().preprocessing,
            context,
            layout: Layout::default(),
            steps: Vec::new(),
        }
    }

    fn plan(self, outputs: Vec<usize>) -> Plan {
        let size = self.preprocessing.size;
        Plan {
            steps: self.steps,
            places: self.layout.placed(),
            outputs,
            width: size.width as usize,
        }
    }

    /// Adds the backbone. For a detector, also the heads of C4 as soon as that
    /// is there; what they write is returned with C5.
    fn backbone(
        &mut self,
        backbone: &Backbone,
        detector: Option<&DetectorNetwork>,
    ) -> Result<(HeadLengths, Map)> {
        let mut heads = HeadLengths::default();
        let mut front = Front::Stem(&backbone.stem);
        let mut map = None;
        for (index, block) in backbone.blocks.iter().enumerate() {
            let out_margin = margin_for(backbone.blocks.get(index + 1));
            let tapped = detector.filter(|_| index == backbone.c4_block);
            front = match (map, &block.expand, tapped) {
                (None, None, None) => front,
                (Some(map), None, None) => Front::Map(map),
                (Some(map), Some(unit), None) => Front::Expand(unit, map),
                (Some(map), Some(unit), Some(network)) => {
                    let margin = HEAD_MARGIN.max(block.depthwise.conv.kernel / 2);
                    let c4 = self.pointwise(unit, map, margin)?;
                    self.heads(network, 0, c4, &mut heads)?;
                    Front::Map(c4)
                }
                _ => {
                    return Err(Error::Unsupported(format!(
                        "bottleneck {index}: expected an expansion at C4 and none after the stem"
                    )));
                }
            };
            map = Some(self.bottleneck(block, front, map, out_margin)?);
        }
        let map = map.ok_or_else(|| Error::Unsupported("expected a bottleneck".into()))?;
        let margin = if detector.is_some() { HEAD_MARGIN } else { 0 };
        let last = self.pointwise(&backbone.last, map, margin)?;
        Ok((heads, last))
    }

    /// A bottleneck from its depthwise convolution on. `input` is the
    /// bottleneck's own input, for the residual.
    fn bottleneck(
        &mut self,
        block: &InvertedResidual,
        front: Front<'_>,
        input: Option<Map>,
        out_margin: usize,
    ) -> Result<Map> {
        let Some(squeeze_excite) = &block.squeeze_excite else {
            let chain = Chain {
                front,
                depthwise: &block.depthwise,
                project: &block.project,
                residual: if block.residual {
                    Residual::Input
                } else {
                    Residual::None
                },
                out_margin,
            };
            return self.chain(&chain);
        };
        let (map, sums) = self.depthwise(front, &block.depthwise, Wanted::Sums)?;
        let scales = sums.map(|sums| self.squeeze_excite(squeeze_excite, map, sums));
        let scales = scales.transpose()?;
        let residual = input.filter(|_| block.residual);
        self.scaled_pointwise(&block.project, map, scales, residual, out_margin)
    }

    fn extra(&mut self, block: &ExtraBlock, input: Map) -> Result<Map> {
        let front = Front::Expand(&block.squeeze, input);
        if input.shape.pixels() <= MOST_PIXELS_BY_CHANNELS {
            let (map, _) = self.depthwise(front, &block.depthwise, Wanted::Map)?;
            return self.pointwise(&block.expand, map, HEAD_MARGIN);
        }
        let chain = Chain {
            front,
            depthwise: &block.depthwise,
            project: &block.expand,
            residual: Residual::None,
            out_margin: HEAD_MARGIN,
        };
        self.chain(&chain)
    }

    /// Both heads of feature map `index`.
    fn heads(
        &mut self,
        network: &DetectorNetwork,
        index: usize,
        map: Map,
        lengths: &mut HeadLengths,
    ) -> Result<()> {
        let boxes = map.shape.pixels() * ssdlite_core::default_boxes::BOXES_PER_CELL;
        let numbers = boxes * network.outputs_per_box;
        let logits = Rows {
            output: LOGITS,
            range: lengths.logits..lengths.logits + numbers,
        };
        let numbers = boxes * BOX_NUMBERS;
        let regressions = Rows {
            output: REGRESSIONS,
            range: lengths.regressions..lengths.regressions + numbers,
        };
        lengths.logits = logits.range.end;
        lengths.regressions = regressions.range.end;
        self.head(&network.classification[index], map, logits)?;
        self.head(&network.regression[index], map, regressions)
    }

    fn head(&mut self, head: &Head, input: Map, rows: Rows) -> Result<()> {
        let source = self.source(Front::Map(input))?;
        let depthwise = self.packed_depthwise(&head.depthwise)?;
        let project = self.packed_head(&head.output)?;
        let scratch = self.separable_scratch(&source, &depthwise, Some(&project));
        let output = MapShape {
            channels: head.output.conv.out_channels,
            margin: 0,
            ..input.shape
        };
        let size = map_size(input.shape);
        let macs = head.depthwise.conv.macs(size) + head.output.conv.macs(size);
        let info = self.info(
            &head.output.key,
            "dw3x3 + 1x1",
            (input.shape.channels, size),
            output,
        );
        let operation = Operation::Bottleneck {
            source,
            depthwise,
            project,
            residual: Residual::None,
            target: Target::Rows(rows),
            scratch,
        };
        self.push(info, macs, operation);
        Ok(())
    }

    fn chain(&mut self, chain: &Chain<'_>) -> Result<Map> {
        let front = chain.front;
        let source = self.source(front)?;
        let depthwise = self.packed_depthwise(chain.depthwise)?;
        let project = self.packed_pointwise(chain.project)?;
        let scratch = self.separable_scratch(&source, &depthwise, Some(&project));
        let size = map_size(source.shape());
        let strided = size.strided(chain.depthwise.conv.stride);
        let output = self.map(&chain.project.conv, strided, chain.out_margin);
        let macs =
            self.macs(front) + chain.depthwise.conv.macs(size) + chain.project.conv.macs(strided);
        let name = chain_name(front, chain.depthwise) + " + 1x1";
        let key = front.key().unwrap_or(&chain.depthwise.key);
        let info = self.info(key, &name, self.input_of(front), output.shape);
        let operation = Operation::Bottleneck {
            source,
            depthwise,
            project,
            residual: chain.residual,
            target: Target::Map(output),
            scratch,
        };
        self.push(info, macs, operation);
        Ok(output)
    }

    fn depthwise(
        &mut self,
        front: Front<'_>,
        unit: &ConvUnit,
        wanted: Wanted,
    ) -> Result<(Map, Option<Slot>)> {
        let source = self.source(front)?;
        let depthwise = self.packed_depthwise(unit)?;
        let scratch = self.separable_scratch(&source, &depthwise, None);
        let size = map_size(source.shape());
        let output = self.map(&unit.conv, size, 0);
        let sums = (wanted == Wanted::Sums).then(|| self.slot(output.shape.blocks()));
        let macs = self.macs(front) + unit.conv.macs(size);
        let key = front.key().unwrap_or(&unit.key);
        let name = chain_name(front, unit);
        let info = self.info(key, &name, self.input_of(front), output.shape);
        let operation = Operation::Depthwise {
            source,
            depthwise,
            output,
            sums,
            scratch,
        };
        self.push(info, macs, operation);
        Ok((output, sums))
    }

    /// The packed source of a depthwise convolution; its slot is marked as used
    /// by the step about to be pushed.
    fn source(&mut self, front: Front<'_>) -> Result<Source> {
        let source = match front {
            Front::Map(map) => Source::Map(map),
            Front::Expand(unit, input) => Source::Expanded {
                layer: self.packed_pointwise(unit)?,
                input,
            },
            Front::Stem(unit) => {
                let Folded { weights, bias } = fold::unit(self.file, unit)?;
                let Preprocessing { mean, std, .. } = self.preprocessing;
                let activation = kernel_activation(unit.activation);
                let output = self.input().strided(unit.conv.stride);
                Source::Pixels {
                    layer: infer::Stem::new(&weights, &bias, mean, std, activation),
                    shape: MapShape {
                        channels: unit.conv.out_channels,
                        height: output.height,
                        width: output.width,
                        margin: 0,
                    },
                }
            }
        };
        if let Some(slot) = source.slot() {
            self.use_slots(&[slot]);
        }
        Ok(source)
    }

    /// Multiplications of what comes before a depthwise convolution.
    fn macs(&self, front: Front<'_>) -> u64 {
        match front {
            Front::Map(_) => 0,
            Front::Expand(unit, input) => unit.conv.macs(map_size(input.shape)),
            Front::Stem(unit) => unit.conv.macs(self.input()),
        }
    }

    /// Channels and size of what a step with this front reads.
    fn input_of(&self, front: Front<'_>) -> (usize, MapSize) {
        match front {
            Front::Map(map) | Front::Expand(_, map) => (map.shape.channels, map_size(map.shape)),
            Front::Stem(unit) => (unit.conv.in_channels, self.input()),
        }
    }

    /// The network's input.
    fn input(&self) -> MapSize {
        let size = self.preprocessing.size;
        MapSize::new(size.height as usize, size.width as usize)
    }

    /// Turns the slot's sums into scales.
    fn squeeze_excite(
        &mut self,
        layer: &ssdlite_core::unit::SqueezeExcite,
        map: Map,
        sums: Slot,
    ) -> Result<Slot> {
        let squeeze = fold::plain(self.file, &format!("{}.fc1", layer.key))?;
        let excite = fold::plain(self.file, &format!("{}.fc2", layer.key))?;
        let relu = infer::Activation::Relu;
        let packed = infer::SqueezeExcite::new(
            infer::Dense::new(&squeeze.weights, &squeeze.bias, relu),
            infer::Dense::new(&excite.weights, &excite.bias, infer::Activation::None),
        );
        let scratch = self.slot(packed.scratch());
        let macs = 2 * (layer.channels * layer.squeeze_channels) as u64;
        let one = MapShape {
            channels: layer.channels,
            height: 1,
            width: 1,
            margin: 0,
        };
        let info = self.info(&layer.key, "se", (layer.channels, map_size(one)), one);
        self.use_slots(&[sums]);
        let operation = Operation::SqueezeExcite {
            layer: packed,
            pixels: map.shape.pixels(),
            sums,
            scratch,
        };
        self.push(info, macs, operation);
        Ok(sums)
    }

    fn pointwise(&mut self, unit: &ConvUnit, input: Map, margin: usize) -> Result<Map> {
        let layer = self.packed_pointwise(unit)?;
        let size = map_size(input.shape);
        let output = self.map(&unit.conv, size, margin);
        let info = self.info(&unit.key, "1x1", (input.shape.channels, size), output.shape);
        self.use_slots(&[input.slot]);
        let operation = Operation::Pointwise {
            layer,
            input,
            output,
        };
        self.push(info, unit.conv.macs(size), operation);
        Ok(output)
    }

    fn scaled_pointwise(
        &mut self,
        unit: &ConvUnit,
        input: Map,
        scales: Option<Slot>,
        residual: Option<Map>,
        margin: usize,
    ) -> Result<Map> {
        let Some(scales) = scales else {
            return self.pointwise(unit, input, margin);
        };
        let layer = self.packed_pointwise(unit)?;
        let size = map_size(input.shape);
        let scratch = self.slot(infer::pointwise_scratch(self.context, &layer));
        let output = self.map(&unit.conv, size, margin);
        let info = self.info(
            &unit.key,
            "scale + 1x1",
            (input.shape.channels, size),
            output.shape,
        );
        self.use_slots(&[input.slot, scales]);
        if let Some(map) = residual {
            self.use_slots(&[map.slot]);
        }
        let operation = Operation::ScaledPointwise {
            layer,
            input,
            scales,
            residual,
            output,
            scratch,
        };
        self.push(info, unit.conv.macs(size), operation);
        Ok(output)
    }

    fn average(&mut self, input: Map) -> Slot {
        let output = self.slot(input.shape.blocks());
        let one = MapShape {
            height: 1,
            width: 1,
            ..input.shape
        };
        let size = map_size(input.shape);
        let info = self.info("avgpool", "average", (input.shape.channels, size), one);
        self.use_slots(&[input.slot]);
        self.push(info, 0, Operation::Average { input, output });
        output
    }

    fn linear(&mut self, linear: &Linear, input: Slot, activation: Activation) -> Result<Slot> {
        let Folded { weights, bias } = fold::plain(self.file, &linear.key)?;
        let layer = infer::Dense::new(&weights, &bias, kernel_activation(activation));
        let output = self.slot(infer::blocks(linear.out_features));
        let one = MapShape {
            channels: linear.out_features,
            height: 1,
            width: 1,
            margin: 0,
        };
        let macs = (linear.in_features * linear.out_features) as u64;
        let info = self.info(
            &linear.key,
            "linear",
            (linear.in_features, map_size(one)),
            one,
        );
        self.use_slots(&[input]);
        let operation = Operation::Dense {
            layer,
            input,
            output,
        };
        self.push(info, macs, operation);
        Ok(output)
    }

    fn emit(&mut self, input: Slot, numbers: usize) {
        let one = MapShape {
            channels: numbers,
            height: 1,
            width: 1,
            margin: 0,
        };
        let info = self.info("output", "copy", (numbers, map_size(one)), one);
        self.use_slots(&[input]);
        let rows = Rows {
            output: LOGITS,
            range: 0..numbers,
        };
        self.push(info, 0, Operation::Emit { input, rows });
    }

    fn packed_pointwise(&self, unit: &ConvUnit) -> Result<Pointwise> {
        let Folded { weights, bias } = fold::unit(self.file, unit)?;
        let activation = kernel_activation(unit.activation);
        Ok(Pointwise::new(&weights, &bias, activation))
    }

    fn packed_head(&self, head: &HeadConv) -> Result<Pointwise> {
        let Folded { weights, bias } = fold::plain(self.file, &head.key)?;
        Ok(Pointwise::new(&weights, &bias, infer::Activation::None))
    }

    fn packed_depthwise(&self, unit: &ConvUnit) -> Result<Depthwise> {
        let Folded { weights, bias } = fold::unit(self.file, unit)?;
        let activation = kernel_activation(unit.activation);
        let (kernel, stride) = (unit.conv.kernel, unit.conv.stride);
        Ok(Depthwise::new(&weights, &bias, kernel, stride, activation))
    }

    /// The map that a convolution makes of one of size `input`.
    fn map(&mut self, conv: &ssdlite_core::unit::Conv, input: MapSize, margin: usize) -> Map {
        let output = input.strided(conv.stride);
        let shape = MapShape {
            channels: conv.out_channels,
            height: output.height,
            width: output.width,
            margin,
        };
        let slot = self.slot(shape.len());
        Map { slot, shape }
    }

    fn separable_scratch(
        &mut self,
        source: &Source,
        depthwise: &Depthwise,
        project: Option<&Pointwise>,
    ) -> Slot {
        let (kind, shape) = (source.kind(), source.shape());
        let len = infer::separable_scratch(self.context, kind, depthwise, project, shape);
        self.slot(len)
    }

    /// A slot that the step about to be pushed is the first to use.
    fn slot(&mut self, len: usize) -> Slot {
        self.layout.slot(len, self.steps.len())
    }

    /// The step about to be pushed uses these.
    fn use_slots(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.layout.used(slot, self.steps.len());
        }
    }

    fn info(
        &self,
        key: &str,
        operation: &str,
        (in_channels, input): (usize, MapSize),
        output: MapShape,
    ) -> LayerInfo {
        LayerInfo {
            key: key.to_owned(),
            operation: operation.to_owned(),
            in_channels,
            out_channels: output.channels,
            input,
            output: map_size(output),
            macs: 0,
        }
    }

    fn push(&mut self, info: LayerInfo, macs: u64, operation: Operation) {
        let info = LayerInfo { macs, ..info };
        self.steps.push(Step { info, operation });
    }
}

/// What comes before a depthwise convolution.
#[derive(Clone, Copy)]
enum Front<'a> {
    Map(Map),
    Expand(&'a ConvUnit, Map),
    Stem(&'a ConvUnit),
}

impl<'a> Front<'a> {
    /// Key of the unit before the depthwise convolution.
    fn key(self) -> Option<&'a str> {
        match self {
            Self::Map(_) => None,
            Self::Expand(unit, _) | Self::Stem(unit) => Some(&unit.key),
        }
    }
}

/// What a depthwise convolution hands on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Map,
    /// The map and the sums of its channels.
    Sums,
}

/// Convolutions that run as one step.
struct Chain<'a> {
    front: Front<'a>,
    depthwise: &'a ConvUnit,
    project: &'a ConvUnit,
    residual: Residual,
    out_margin: usize,
}

fn chain_name(front: Front<'_>, depthwise: &ConvUnit) -> String {
    let kernel = depthwise.conv.kernel;
    let stride = match depthwise.conv.stride {
        1 => String::new(),
        stride => format!(" s{stride}"),
    };
    let front = match front {
        Front::Map(_) => "",
        Front::Expand(..) => "1x1 + ",
        Front::Stem(_) => "3x3 s2 + ",
    };
    format!("{front}dw{kernel}x{kernel}{stride}")
}

/// Margin of the map that a bottleneck reads: only one without expansion gives
/// it to its depthwise convolution.
fn margin_for(next: Option<&InvertedResidual>) -> usize {
    match next {
        Some(block) if block.expand.is_none() => block.depthwise.conv.kernel / 2,
        _ => 0,
    }
}

fn map_size(shape: MapShape) -> MapSize {
    MapSize::new(shape.height, shape.width)
}
