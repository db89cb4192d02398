//! Steps of convolutions, packed.

use ssdlite_core::unit::{Conv, ConvKind};
use ssdlite_core::{NodeId, Operation, Preprocessing};
use ssdlite_kernels::arena::Slot;
use ssdlite_kernels::infer::{self, Depthwise, MapShape, Pointwise, Residual};
use ssdlite_model::Result;
use ssdlite_model::fold::{self, Folded};

use super::fusion::{Chain, ConvKernel};
use super::{Builder, Value, convolution, kernel_activation};
use crate::plan::{self, Source, Target};

impl Builder<'_> {
    pub(super) fn convolutions(&mut self, id: NodeId, chain: Chain) -> Result<Value> {
        if let Operation::Add = self.graph().node(id).operation {
            self.check_sizes(id)?;
        }
        match chain {
            Chain {
                depthwise: Some(depthwise),
                project: Some(project),
                ..
            } => self.bottleneck(id, chain, depthwise, project),
            Chain {
                depthwise: Some(depthwise),
                ..
            } => self.depthwise(chain, depthwise),
            Chain {
                project: Some(project),
                ..
            } => self.pointwise(id, chain, project),
            Chain { add: Some(_), .. } => Err(self.unsupported(
                id,
                "a 1x1 convolution without activation that nothing but its sum with another map reads",
            )),
            _ => Err(self.unsupported(
                id,
                "a 1x1 convolution, a depthwise one of 3x3 or 5x5, or a 3x3 one of stride 2 on the \
                 image that nothing but a depthwise one reads",
            )),
        }
    }

    /// A depthwise convolution with what comes before it and a 1x1 convolution
    /// after it.
    fn bottleneck(
        &mut self,
        id: NodeId,
        chain: Chain,
        depthwise: NodeId,
        project: NodeId,
    ) -> Result<Value> {
        let source = self.source(chain, depthwise)?;
        let depthwise = self.packed_depthwise(depthwise)?;
        let project = self.packed_pointwise(project)?;
        let scratch = self.separable_scratch(&source, &depthwise, Some(&project));
        let target = self.target(id);
        let value = value_of(&target);
        let residual = match chain.residual(self.graph()) {
            Some(_) => Residual::Input,
            None => Residual::None,
        };
        let operation = plan::Operation::Bottleneck {
            source,
            depthwise,
            project,
            residual,
            target,
            scratch,
        };
        self.push_chain(chain, operation);
        Ok(value)
    }

    /// A depthwise convolution with what comes before it.
    fn depthwise(&mut self, chain: Chain, id: NodeId) -> Result<Value> {
        let source = self.source(chain, id)?;
        let depthwise = self.packed_depthwise(id)?;
        let scratch = self.separable_scratch(&source, &depthwise, None);
        let output = self.map(id);
        let is_excited = matches!(self.readers(id), &[reader] if self.excites(reader));
        let sums = is_excited.then(|| self.slot(output.shape.blocks()));
        let operation = plan::Operation::Depthwise {
            source,
            depthwise,
            output,
            sums,
            scratch,
        };
        self.push_chain(chain, operation);
        Ok(match sums {
            Some(sums) => Value::Summed(output, sums),
            None => Value::Map(output),
        })
    }

    fn excites(&self, id: NodeId) -> bool {
        let operation = self.graph().node(id).operation;
        matches!(operation, Operation::SqueezeExcite { .. })
    }

    /// A 1x1 convolution of a map whose channels may be scaled.
    fn pointwise(&mut self, id: NodeId, chain: Chain, project: NodeId) -> Result<Value> {
        let layer = self.packed_pointwise(project)?;
        let read = self.input(project);
        let (input, scales) = match self.values[read.index()] {
            Value::Scaled(map, scales) => (map, Some(scales)),
            _ => (self.read(project, read)?, None),
        };
        let residual = chain.residual(self.graph());
        if residual == Some(read) {
            let expected = "a residual other than the input of the 1x1 convolution";
            return Err(self.unsupported(id, expected));
        }
        let residual = residual.map(|residual| self.read(id, residual));
        let residual = residual.transpose()?;
        let scratch = scales.map(|_| self.slot(infer::pointwise_scratch(self.context, &layer)));
        let target = self.target(id);
        let value = value_of(&target);
        self.use_slots([input.slot]);
        self.use_slots(scales);
        self.use_slots(residual.map(|map| map.slot));
        let operation = plan::Operation::Pointwise {
            layer,
            input,
            scales,
            residual,
            target,
            scratch,
        };
        self.push_chain(chain, operation);
        Ok(value)
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

    fn push_chain(&mut self, chain: Chain, operation: plan::Operation) {
        let nodes: Vec<NodeId> = chain.convolutions().collect();
        let scaled = match operation {
            plan::Operation::Pointwise { scales, .. } => scales,
            _ => None,
        };
        let scale = scaled.map(|_| "scale".to_owned());
        let names = nodes.iter().filter_map(|&id| self.conv_name(id));
        let names: Vec<String> = scale.into_iter().chain(names).collect();
        let info = self.info(&nodes, names.join(" + "));
        self.push(info, operation);
    }

    /// Such as `dw3x3 s2`.
    fn conv_name(&self, id: NodeId) -> Option<String> {
        let (conv, _) = convolution(self.graph().node(id).operation)?;
        let kind = match conv.kind {
            ConvKind::Depthwise => "dw",
            ConvKind::Full | ConvKind::Pointwise => "",
        };
        let stride = match conv.stride {
            1 => String::new(),
            stride => format!(" s{stride}"),
        };
        Some(format!("{kind}{0}x{0}{stride}", conv.kernel))
    }

    /// Where the last 1x1 convolution of a step writes: a head's into the rows of
    /// the output that alone reads it.
    fn target(&mut self, id: NodeId) -> Target {
        let kernels_write_rows = matches!(self.graph().node(id).operation, Operation::Conv(_));
        match &self.rows[id.index()] {
            Some(rows) if kernels_write_rows && self.readers(id).len() == 1 => {
                Target::Rows(rows.clone())
            }
            _ => Target::Map(self.map(id)),
        }
    }

    /// Both maps of a sum must be of one size.
    fn check_sizes(&self, add: NodeId) -> Result<()> {
        let inputs = &self.graph().node(add).inputs;
        let mut sizes = inputs.iter().map(|input| self.sizes[input.index()]);
        let first = sizes.next();
        if sizes.all(|size| Some(size) == first) {
            Ok(())
        } else {
            Err(self.unsupported(add, "maps of one size"))
        }
    }

    /// What a depthwise convolution reads, which the step about to be pushed
    /// uses.
    fn source(&mut self, chain: Chain, depthwise: NodeId) -> Result<Source> {
        let Some(expand) = chain.expand else {
            let map = self.read(depthwise, self.input(depthwise))?;
            self.use_slots([map.slot]);
            return Ok(Source::Map(map));
        };
        if ConvKernel::of(self.graph(), expand) == Some(ConvKernel::Stem) {
            return self.stem(expand);
        }
        let input = self.read(expand, self.input(expand))?;
        self.use_slots([input.slot]);
        Ok(Source::Expanded {
            layer: self.packed_pointwise(expand)?,
            input,
        })
    }

    fn stem(&self, id: NodeId) -> Result<Source> {
        let (_, activation) = self.conv(id)?;
        let Folded { weights, bias } = self.folded(id)?;
        let Preprocessing { mean, std, .. } = *self.network.preprocessing;
        let size = self.sizes[id.index()];
        Ok(Source::Pixels {
            layer: infer::Stem::new(&weights, &bias, mean, std, activation),
            shape: MapShape {
                channels: bias.len(),
                height: size.height,
                width: size.width,
                padding: 0,
            },
        })
    }

    fn packed_pointwise(&self, id: NodeId) -> Result<Pointwise> {
        let (_, activation) = self.conv(id)?;
        let Folded { weights, bias } = self.folded(id)?;
        Ok(Pointwise::new(&weights, &bias, activation))
    }

    fn packed_depthwise(&self, id: NodeId) -> Result<Depthwise> {
        let (conv, activation) = self.conv(id)?;
        let Folded { weights, bias } = self.folded(id)?;
        let (kernel, stride) = (conv.kernel, conv.stride);
        Ok(Depthwise::new(&weights, &bias, kernel, stride, activation))
    }

    fn conv(&self, id: NodeId) -> Result<(Conv, ssdlite_kernels::Activation)> {
        match convolution(self.graph().node(id).operation) {
            Some((conv, activation)) => Ok((conv, kernel_activation(activation))),
            None => Err(self.unsupported(id, "a convolution")),
        }
    }

    fn folded(&self, id: NodeId) -> Result<Folded> {
        fold::node(self.network.weights, self.graph().node(id))
    }
}

/// What readers find of a map that was written there.
fn value_of(target: &Target) -> Value {
    match target {
        Target::Map(map) => Value::Map(*map),
        Target::Rows(_) => Value::Written,
    }
}
