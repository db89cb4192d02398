//! Steps without a depthwise convolution.

use ssdlite_core::Activation;
use ssdlite_core::unit::{ConvUnit, Linear, SqueezeExcite};
use ssdlite_kernels::infer::{self, MapShape};
use ssdlite_model::Result;

use super::LOGITS;
use super::builder::{Builder, map_size};
use crate::fold::{self, Folded, kernel_activation};
use crate::plan::{Map, Operation, Rows};
use ssdlite_kernels::arena::Slot;

impl Builder<'_> {
    /// Turns the slot's sums into scales.
    pub(super) fn squeeze_excite(
        &mut self,
        layer: &SqueezeExcite,
        map: Map,
        sums: Slot,
    ) -> Result<Slot> {
        let squeeze = fold::plain(self.file, &format!("{}.fc1", layer.key))?;
        let excite = fold::plain(self.file, &format!("{}.fc2", layer.key))?;
        let relu = ssdlite_kernels::Activation::Relu;
        let packed = infer::SqueezeExcite::new(
            infer::Dense::new(&squeeze.weights, &squeeze.bias, relu),
            infer::Dense::new(
                &excite.weights,
                &excite.bias,
                ssdlite_kernels::Activation::None,
            ),
        );
        let scratch = self.slot(packed.scratch());
        let macs = 2 * (layer.channels * layer.squeeze_channels) as u64;
        let one = MapShape {
            channels: layer.channels,
            height: 1,
            width: 1,
            padding: 0,
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

    pub(super) fn pointwise(&mut self, unit: &ConvUnit, input: Map, margin: usize) -> Result<Map> {
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

    pub(super) fn scaled_pointwise(
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

    pub(super) fn average(&mut self, input: Map) -> Slot {
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

    pub(super) fn linear(
        &mut self,
        linear: &Linear,
        input: Slot,
        activation: Activation,
    ) -> Result<Slot> {
        let Folded { weights, bias } = fold::plain(self.file, &linear.key)?;
        let layer = infer::Dense::new(&weights, &bias, kernel_activation(activation));
        let output = self.slot(infer::blocks(linear.out_features));
        let one = MapShape {
            channels: linear.out_features,
            height: 1,
            width: 1,
            padding: 0,
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

    pub(super) fn emit(&mut self, input: Slot, numbers: usize) {
        let one = MapShape {
            channels: numbers,
            height: 1,
            width: 1,
            padding: 0,
        };
        let info = self.info("output", "copy", (numbers, map_size(one)), one);
        self.use_slots(&[input]);
        let rows = Rows {
            output: LOGITS,
            range: 0..numbers,
        };
        self.push(info, 0, Operation::Emit { input, rows });
    }
}
