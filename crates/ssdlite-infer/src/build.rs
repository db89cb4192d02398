//! From the tables of `ssdlite-core` and a model file to a plan.

use ssdlite_core::detector::{BOX_NUMBERS, ExtraBlock, Head};
use ssdlite_core::mobilenet::{Backbone, InvertedResidual};
use ssdlite_core::unit::{ConvUnit, HeadConv, Linear};
use ssdlite_core::{Activation, ClassifierNetwork, DetectorNetwork, MapSize, Preprocessing};
use ssdlite_kernels::Context;
use ssdlite_kernels::infer::{self, Depthwise, MapShape, Pointwise};

use crate::arena::{Layout, Slot};
use crate::engine::LayerInfo;
use crate::error::Result;
use crate::fold::{self, Folded, kernel_activation};
use crate::model_file::ModelFile;
use crate::plan::{Map, Operation, Plan, Rows, Step, Target};

/// Index of the class logits among a detector's outputs.
pub(crate) const LOGITS: usize = 0;

/// Index of the box regressions among a detector's outputs.
pub(crate) const REGRESSIONS: usize = 1;

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
    let (heads, last) = builder.backbone(&network.backbone, Some(network))?;
    let mut heads = heads.unwrap_or_default();
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
    ) -> Result<(Option<HeadLengths>, Map)> {
        let mut heads = None;
        let mut map = self.stem(&backbone.stem, margin_for(backbone.blocks.first()))?;
        for (index, block) in backbone.blocks.iter().enumerate() {
            let out_margin = margin_for(backbone.blocks.get(index + 1));
            let tapped = detector.filter(|_| index == backbone.c4_block);
            let (input, expand) = match (tapped, &block.expand) {
                (Some(network), Some(expand)) => {
                    let margin = HEAD_MARGIN.max(block.depthwise.conv.kernel / 2);
                    let c4 = self.pointwise(expand, map, margin)?;
                    let mut lengths = HeadLengths::default();
                    self.heads(network, 0, c4, &mut lengths)?;
                    heads = Some(lengths);
                    (c4, None)
                }
                _ => (map, block.expand.as_ref()),
            };
            map = self.bottleneck(block, expand, input, map, out_margin)?;
        }
        let margin = if detector.is_some() { HEAD_MARGIN } else { 0 };
        let last = self.pointwise(&backbone.last, map, margin)?;
        Ok((heads, last))
    }

    fn stem(&mut self, unit: &ConvUnit, margin: usize) -> Result<Map> {
        let Folded { weights, bias } = fold::unit(self.file, unit)?;
        let Preprocessing { mean, std, .. } = self.preprocessing;
        let activation = kernel_activation(unit.activation);
        let layer = infer::Stem::new(&weights, &bias, mean, std, activation);
        let size = self.preprocessing.size;
        let input = MapSize::new(size.height as usize, size.width as usize);
        let output = self.map(&unit.conv, input, margin);
        let info = self.info(&unit.key, "3x3 s2", (3, input), output.shape);
        let macs = unit.conv.macs(input);
        self.push(info, macs, Operation::Stem { layer, output });
        Ok(output)
    }

    /// The rest of a bottleneck whose expansion, if any, is `expand`. `block_in`
    /// is the bottleneck's own input, for the residual.
    fn bottleneck(
        &mut self,
        block: &InvertedResidual,
        expand: Option<&ConvUnit>,
        input: Map,
        block_in: Map,
        out_margin: usize,
    ) -> Result<Map> {
        let residual = block.residual.then_some(block_in);
        let residual_is_input = residual.is_none_or(|map| map.slot == input.slot);
        if block.squeeze_excite.is_none() && residual_is_input {
            let chain = Chain {
                expand,
                depthwise: &block.depthwise,
                project: &block.project,
                has_residual: residual.is_some(),
                out_margin,
            };
            return self.chain(&chain, input);
        }
        let wants_sums = block.squeeze_excite.is_some();
        let (map, sums) = self.depthwise(expand, &block.depthwise, input, wants_sums)?;
        let scales = match (&block.squeeze_excite, sums) {
            (Some(layer), Some(sums)) => {
                self.squeeze_excite(layer, map, sums)?;
                Some(sums)
            }
            _ => None,
        };
        self.scaled_pointwise(&block.project, map, scales, residual, out_margin)
    }

    fn extra(&mut self, block: &ExtraBlock, input: Map) -> Result<Map> {
        let chain = Chain {
            expand: Some(&block.squeeze),
            depthwise: &block.depthwise,
            project: &block.expand,
            has_residual: false,
            out_margin: HEAD_MARGIN,
        };
        self.chain(&chain, input)
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
        let depthwise = self.packed_depthwise(&head.depthwise)?;
        let project = self.packed_head(&head.output)?;
        let scratch = self.separable_scratch(None, &depthwise, Some(&project), input);
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
        self.use_slots(&[input.slot]);
        let operation = Operation::Bottleneck {
            expand: None,
            depthwise,
            project,
            has_residual: false,
            input,
            target: Target::Rows(rows),
            scratch,
        };
        self.push(info, macs, operation);
        Ok(())
    }

    fn chain(&mut self, chain: &Chain<'_>, input: Map) -> Result<Map> {
        let expand = self.packed_expansion(chain.expand)?;
        let depthwise = self.packed_depthwise(chain.depthwise)?;
        let project = self.packed_pointwise(chain.project)?;
        let scratch = self.separable_scratch(expand.as_ref(), &depthwise, Some(&project), input);
        let size = map_size(input.shape);
        let strided = size.strided(chain.depthwise.conv.stride);
        let output = self.map(&chain.project.conv, strided, chain.out_margin);
        let macs = chain.expand.map_or(0, |unit| unit.conv.macs(size))
            + chain.depthwise.conv.macs(size)
            + chain.project.conv.macs(strided);
        let name = chain_name(chain.expand, chain.depthwise) + " + 1x1";
        let key = chain.expand.unwrap_or(chain.depthwise).key.clone();
        let info = self.info(&key, &name, (input.shape.channels, size), output.shape);
        self.use_slots(&[input.slot]);
        let operation = Operation::Bottleneck {
            expand,
            depthwise,
            project,
            has_residual: chain.has_residual,
            input,
            target: Target::Map(output),
            scratch,
        };
        self.push(info, macs, operation);
        Ok(output)
    }

    fn depthwise(
        &mut self,
        expand: Option<&ConvUnit>,
        unit: &ConvUnit,
        input: Map,
        wants_sums: bool,
    ) -> Result<(Map, Option<Slot>)> {
        let packed_expand = self.packed_expansion(expand)?;
        let depthwise = self.packed_depthwise(unit)?;
        let scratch = self.separable_scratch(packed_expand.as_ref(), &depthwise, None, input);
        let size = map_size(input.shape);
        let output = self.map(&unit.conv, size, 0);
        let sums = wants_sums.then(|| self.slot(output.shape.blocks()));
        let macs = expand.map_or(0, |unit| unit.conv.macs(size)) + unit.conv.macs(size);
        let key = expand.unwrap_or(unit).key.clone();
        let name = chain_name(expand, unit);
        let info = self.info(&key, &name, (input.shape.channels, size), output.shape);
        self.use_slots(&[input.slot]);
        let operation = Operation::Depthwise {
            expand: packed_expand,
            depthwise,
            input,
            output,
            sums,
            scratch,
        };
        self.push(info, macs, operation);
        Ok((output, sums))
    }

    fn squeeze_excite(
        &mut self,
        layer: &ssdlite_core::unit::SqueezeExcite,
        map: Map,
        sums: Slot,
    ) -> Result<()> {
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
        Ok(())
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

    fn packed_expansion(&self, unit: Option<&ConvUnit>) -> Result<Option<Pointwise>> {
        unit.map(|unit| self.packed_pointwise(unit)).transpose()
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
        expand: Option<&Pointwise>,
        depthwise: &Depthwise,
        project: Option<&Pointwise>,
        input: Map,
    ) -> Slot {
        let len = infer::separable_scratch(self.context, expand, depthwise, project, input.shape);
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

/// Convolutions that run as one step.
struct Chain<'a> {
    expand: Option<&'a ConvUnit>,
    depthwise: &'a ConvUnit,
    project: &'a ConvUnit,
    has_residual: bool,
    out_margin: usize,
}

fn chain_name(expand: Option<&ConvUnit>, depthwise: &ConvUnit) -> String {
    let kernel = depthwise.conv.kernel;
    let stride = match depthwise.conv.stride {
        1 => String::new(),
        stride => format!(" s{stride}"),
    };
    let expand = if expand.is_some() { "1x1 + " } else { "" };
    format!("{expand}dw{kernel}x{kernel}{stride}")
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
