//! A plan under construction: steps, and the arena's slots.

use ssdlite_core::{MapSize, Preprocessing};
use ssdlite_kernels::Context;
use ssdlite_kernels::infer::{self, Depthwise, MapShape, Pointwise};
use ssdlite_model::ModelFile;

use crate::engine::LayerInfo;
use crate::plan::{Map, Operation, Plan, Source, Step};
use ssdlite_kernels::arena::{Layout, Slot};

pub(super) struct Builder<'a> {
    pub(super) file: &'a ModelFile,
    pub(super) preprocessing: Preprocessing,
    pub(super) context: Context<'a>,
    pub(super) layout: Layout,
    pub(super) steps: Vec<Step>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(file: &'a ModelFile, context: Context<'a>) -> Self {
        Self {
            file,
            preprocessing: file.info().preprocessing,
            context,
            layout: Layout::new(1),
            steps: Vec::new(),
        }
    }

    pub(super) fn plan(self, outputs: Vec<usize>) -> Plan {
        let size = self.preprocessing.size;
        Plan {
            steps: self.steps,
            places: self.layout.placed(),
            outputs,
            width: size.width as usize,
        }
    }

    /// The network's input.
    pub(super) fn input(&self) -> MapSize {
        let size = self.preprocessing.size;
        MapSize::new(size.height as usize, size.width as usize)
    }

    /// The map that a convolution makes of one of size `input`.
    pub(super) fn map(
        &mut self,
        conv: &ssdlite_core::unit::Conv,
        input: MapSize,
        margin: usize,
    ) -> Map {
        let output = input.strided(conv.stride);
        let shape = MapShape {
            channels: conv.out_channels,
            height: output.height,
            width: output.width,
            padding: margin,
        };
        let slot = self.slot(shape.len());
        Map { slot, shape }
    }

    pub(super) fn separable_scratch(
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
    pub(super) fn slot(&mut self, len: usize) -> Slot {
        self.layout.slot(len, self.steps.len())
    }

    /// The step about to be pushed uses these.
    pub(super) fn use_slots(&mut self, slots: &[Slot]) {
        for &slot in slots {
            self.layout.used(slot, self.steps.len());
        }
    }

    pub(super) fn info(
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

    pub(super) fn push(&mut self, info: LayerInfo, macs: u64, operation: Operation) {
        let info = LayerInfo { macs, ..info };
        self.steps.push(Step { info, operation });
    }
}

pub(super) fn map_size(shape: MapShape) -> MapSize {
    MapSize::new(shape.height, shape.width)
}
