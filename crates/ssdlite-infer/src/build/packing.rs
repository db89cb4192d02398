//! Layers of the model file, folded and packed.

use ssdlite_core::Preprocessing;
use ssdlite_core::unit::{ConvUnit, HeadConv};
use ssdlite_kernels::infer::{self, Depthwise, MapShape, Pointwise};
use ssdlite_model::Result;

use super::builder::Builder;
use super::separable::Front;
use crate::fold::{self, Folded, kernel_activation};
use crate::plan::Source;

impl Builder<'_> {
    /// The packed source of a depthwise convolution; its slot is marked as used
    /// by the step about to be pushed.
    pub(super) fn source(&mut self, front: Front<'_>) -> Result<Source> {
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
                        padding: 0,
                    },
                }
            }
        };
        if let Some(slot) = source.slot() {
            self.use_slots(&[slot]);
        }
        Ok(source)
    }

    pub(super) fn packed_pointwise(&self, unit: &ConvUnit) -> Result<Pointwise> {
        let Folded { weights, bias } = fold::unit(self.file, unit)?;
        let activation = kernel_activation(unit.activation);
        Ok(Pointwise::new(&weights, &bias, activation))
    }

    pub(super) fn packed_head(&self, head: &HeadConv) -> Result<Pointwise> {
        let Folded { weights, bias } = fold::plain(self.file, &head.key)?;
        Ok(Pointwise::new(
            &weights,
            &bias,
            ssdlite_kernels::Activation::None,
        ))
    }

    pub(super) fn packed_depthwise(&self, unit: &ConvUnit) -> Result<Depthwise> {
        let Folded { weights, bias } = fold::unit(self.file, unit)?;
        let activation = kernel_activation(unit.activation);
        let (kernel, stride) = (unit.conv.kernel, unit.conv.stride);
        Ok(Depthwise::new(&weights, &bias, kernel, stride, activation))
    }
}
