//! Steps around a depthwise convolution.

use ssdlite_core::MapSize;
use ssdlite_core::detector::Head;
use ssdlite_core::unit::ConvUnit;
use ssdlite_kernels::infer::{MapShape, Residual};
use ssdlite_model::Result;

use super::builder::{Builder, map_size};
use crate::plan::{Map, Operation, Rows, Target};
use ssdlite_kernels::arena::Slot;

/// What comes before a depthwise convolution.
#[derive(Clone, Copy)]
pub(super) enum Front<'a> {
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
pub(super) enum Wanted {
    Map,
    /// The map and the sums of its channels.
    Sums,
}

/// Convolutions that run as one step.
pub(super) struct Chain<'a> {
    pub(super) front: Front<'a>,
    pub(super) depthwise: &'a ConvUnit,
    pub(super) project: &'a ConvUnit,
    pub(super) residual: Residual,
    pub(super) out_margin: usize,
}

impl Builder<'_> {
    pub(super) fn head(&mut self, head: &Head, input: Map, rows: Rows) -> Result<()> {
        let source = self.source(Front::Map(input))?;
        let depthwise = self.packed_depthwise(&head.depthwise)?;
        let project = self.packed_head(&head.output)?;
        let scratch = self.separable_scratch(&source, &depthwise, Some(&project));
        let output = MapShape {
            channels: head.output.conv.out_channels,
            padding: 0,
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

    pub(super) fn chain(&mut self, chain: &Chain<'_>) -> Result<Map> {
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

    pub(super) fn depthwise(
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
