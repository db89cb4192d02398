//! Steps on vectors, and those that only move numbers.

use ssdlite_core::graph::Linear;
use ssdlite_core::{MapSize, NodeId};
use ssdlite_kernels::infer;
use ssdlite_model::Result;
use ssdlite_model::fold::{self, Folded};

use super::{Builder, Value, kernel_activation};
use crate::plan::{self, LayerInfo};

impl Builder<'_> {
    /// Turns sums into scales, for the one node that reads them.
    pub(super) fn squeeze_excite(&mut self, id: NodeId) -> Result<Value> {
        let (Value::Summed(map, sums), [_]) =
            (self.values[self.input(id).index()], self.readers(id))
        else {
            let expected = "one reader, and a depthwise convolution that nothing else reads as \
                            input";
            return Err(self.unsupported(id, expected));
        };
        let plain = |name: &str| {
            let key = format!("{}.{name}", self.graph().node(id).key);
            let keys = [format!("{key}.weight"), format!("{key}.bias")];
            fold::plain(self.network.weights, keys.each_ref().map(String::as_str))
        };
        let (squeeze, excite) = (plain("fc1")?, plain("fc2")?);
        let relu = ssdlite_kernels::Activation::Relu;
        let layer = infer::SqueezeExcite::new(
            infer::Dense::new(&squeeze.weights, &squeeze.bias, relu),
            infer::Dense::new(
                &excite.weights,
                &excite.bias,
                ssdlite_kernels::Activation::None,
            ),
        );
        let scratch = self.slot(layer.scratch());
        self.use_slots([sums]);
        let one = MapSize::new(1, 1);
        let info = LayerInfo {
            input: one,
            output: one,
            ..self.info(&[id], "se")
        };
        let operation = plan::Operation::SqueezeExcite {
            layer,
            pixels: map.shape.pixels(),
            sums,
            scratch,
        };
        self.push(info, operation);
        Ok(Value::Scaled(map, sums))
    }

    pub(super) fn average(&mut self, id: NodeId) -> Result<Value> {
        let input = self.read(id, self.input(id))?;
        let output = self.slot(input.shape.blocks());
        self.use_slots([input.slot]);
        let info = LayerInfo {
            key: "avgpool".into(),
            ..self.info(&[id], "average")
        };
        self.push(info, plan::Operation::Average { input, output });
        Ok(Value::Vector(output))
    }

    pub(super) fn linear(&mut self, id: NodeId, linear: Linear) -> Result<Value> {
        let Value::Vector(input) = self.values[self.input(id).index()] else {
            return Err(self.unsupported(id, "a vector as input"));
        };
        let node = self.graph().node(id);
        let Folded { weights, bias } = fold::node(self.network.weights, node)?;
        let layer = infer::Dense::new(&weights, &bias, kernel_activation(linear.activation));
        let output = self.slot(infer::blocks(linear.out_features));
        self.use_slots([input]);
        let info = self.info(&[id], "linear");
        let operation = plan::Operation::Dense {
            layer,
            input,
            output,
        };
        self.push(info, operation);
        Ok(Value::Vector(output))
    }

    /// Nearest upsampling to the size of another node's map.
    pub(super) fn upsample(&mut self, id: NodeId, like: NodeId) -> Result<Value> {
        let input = self.read(id, self.input(id))?;
        let size = self.sizes[like.index()];
        let half = size.strided(2);
        if (half.height, half.width) != (input.shape.height, input.shape.width) {
            return Err(self.unsupported(id, "a map of half the size as input"));
        }
        let output = self.map(id);
        self.use_slots([input.slot]);
        let info = self.info(&[id], "upsample");
        self.push(info, plan::Operation::Upsample { input, output });
        Ok(Value::Map(output))
    }

    /// An output of the network, whose maps were written where they were
    /// computed.
    pub(super) fn output(&mut self, id: NodeId) -> Result<Value> {
        for &input in &self.graph().node(id).inputs {
            match (self.values[input.index()], &self.rows[input.index()]) {
                (Value::Written, _) => {}
                (Value::Vector(slot), Some(rows)) => {
                    let rows = rows.clone();
                    self.use_slots([slot]);
                    let info = LayerInfo {
                        key: "output".into(),
                        ..self.info(&[id], "copy")
                    };
                    self.push(info, plan::Operation::Emit { input: slot, rows });
                }
                _ => {
                    let expected = "vectors, or 1x1 convolutions with bias that nothing else \
                                    reads, as input";
                    return Err(self.unsupported(id, expected));
                }
            }
        }
        Ok(Value::None)
    }
}
