//! The network as ONNX nodes: one fold over the graph.

use std::collections::HashMap;

use ssdlite_core::graph::Linear;
use ssdlite_core::unit::{Conv, MapSize};
use ssdlite_core::{Activation, Graph, Node, NodeId, Operation, Output, OutputKind};
use ssdlite_model::fold::{self, Folded};
use ssdlite_model::{Error, Result, StateDict};

use super::graph::{Attribute, GraphBuilder, Value};
use super::image::Image;

/// How h-swish is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HardSwish {
    /// By its own operator, which engines fuse with the convolution before it.
    Operator,
    /// As the product with a hard sigmoid: TensorRT knows no such operator before 8.5,
    /// and the Jetson Nano has 8.2.
    Product,
}

/// What the network says, by its kind.
#[derive(Debug)]
pub(super) struct Outputs {
    /// `[images, default boxes, logits a box]`, or `[images, classes]`.
    pub(super) logits: Value,
    /// `[images, default boxes, 4]`; a classifier has none.
    pub(super) regressions: Option<Value>,
}

/// A network and its weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network<'a> {
    pub(super) graph: &'a Graph,
    /// Checked to hold the graph's tensors.
    pub(super) weights: &'a StateDict,
    /// Of the input.
    pub(super) input: MapSize,
    pub(super) hard_swish: HardSwish,
}

impl Network<'_> {
    /// Adds all nodes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for weights that overflow when batch norms and normalising
    /// are folded into them; [`Error::Unsupported`] for a graph without logits, or with
    /// an image that something else than a convolution reads.
    pub(super) fn add(self, builder: &mut GraphBuilder, image: Image) -> Result<Outputs> {
        let mut fold = Fold {
            builder,
            network: self,
            sizes: self.graph.map_sizes(self.input),
            image,
            shared: HashMap::new(),
            relu6_limits: None,
            values: Vec::with_capacity(self.graph.nodes().len()),
        };
        let mut outputs = HashMap::new();
        for (id, node) in self.graph.iter() {
            let value = fold.node(id, node)?;
            if let Operation::Output(output) = node.operation {
                outputs.insert(output.kind, value.clone());
            }
            fold.values.push(value);
        }
        let logits = outputs.remove(&OutputKind::Logits);
        Ok(Outputs {
            logits: logits.ok_or_else(|| {
                Error::Unsupported("expected a network with class logits, found none".into())
            })?,
            regressions: outputs.remove(&OutputKind::Regressions),
        })
    }
}

/// Weight and bias of the graph.
#[derive(Clone, Debug)]
struct Parameters {
    weight: Value,
    bias: Value,
}

struct Fold<'a> {
    builder: &'a mut GraphBuilder,
    network: Network<'a>,
    /// Of each node's map.
    sizes: Vec<MapSize>,
    image: Image,
    /// Parameters of layers without batch norm, by the weight's key: maps may share them.
    shared: HashMap<String, Parameters>,
    relu6_limits: Option<[Value; 2]>,
    /// What each node so far has made.
    values: Vec<Value>,
}

impl Fold<'_> {
    fn node(&mut self, id: NodeId, node: &Node) -> Result<Value> {
        let name = match node.key.as_str() {
            "" => format!("node.{}", id.index()),
            key => key.to_owned(),
        };
        let reads_image = node.inputs.iter().any(|&id| self.is_image(id));
        if reads_image && !matches!(node.operation, Operation::ConvUnit(..)) {
            return Err(Error::Unsupported(format!(
                "expected a convolution with batch norm to read the image, found {:?}",
                node.operation
            )));
        }
        match node.operation {
            Operation::ConvUnit(conv, activation) => self.unit(&name, node, conv, activation),
            Operation::Conv(conv) => {
                let parameters = self.plain(node, &conv.weight_shape())?;
                Ok(self.conv(&name, self.read(node, 0), conv, &parameters))
            }
            Operation::SqueezeExcite { squeeze_channels } => {
                self.squeeze_excite(&name, node, squeeze_channels)
            }
            Operation::Add => {
                let inputs = [&self.read(node, 0), &self.read(node, 1)];
                Ok(self.builder.node("Add", &name, &inputs, &[]))
            }
            Operation::Upsample { like } => Ok(self.upsample(&name, node, like)),
            Operation::GlobalPool => {
                let input = self.read(node, 0);
                let mean = format!("{name}.mean");
                let pooled = self
                    .builder
                    .node("GlobalAveragePool", &mean, &[&input], &[]);
                let axis = [("axis", Attribute::Int(1))];
                Ok(self.builder.node("Flatten", &name, &[&pooled], &axis))
            }
            Operation::Linear(linear) => self.linear(&name, node, linear),
            Operation::Output(output) => Ok(self.output(&name, node, output)),
            Operation::Image => Ok(self.image.value.clone()),
        }
    }

    fn is_image(&self, id: NodeId) -> bool {
        self.network.graph.node(id).operation == Operation::Image
    }

    /// What an input of a node has made.
    fn read(&self, node: &Node, input: usize) -> Value {
        self.values[node.inputs[input].index()].clone()
    }

    fn unit(
        &mut self,
        name: &str,
        node: &Node,
        conv: Conv,
        activation: Activation,
    ) -> Result<Value> {
        let mut folded = fold::node(self.network.weights, node)?;
        if node.inputs.iter().any(|&id| self.is_image(id)) {
            self.image.scale_weights(&mut folded.weights, conv.kernel);
            if folded.weights.iter().any(|weight| !weight.is_finite()) {
                return Err(Error::Malformed(format!(
                    "expected finite numbers after folding the normalising into {name}, found \
                     an overflow"
                )));
            }
        }
        let parameters = self.parameters(name, &conv.weight_shape(), &folded);
        let input = self.read(node, 0);
        if activation == Activation::Identity {
            return Ok(self.conv(name, input, conv, &parameters));
        }
        let mapped = self.conv(&format!("{name}.conv"), input, conv, &parameters);
        Ok(self.activation(name, mapped, activation))
    }

    fn parameters(&mut self, prefix: &str, shape: &[usize], folded: &Folded) -> Parameters {
        let [weight, bias] = ["weight", "bias"].map(|name| format!("{prefix}.{name}"));
        Parameters {
            weight: self.builder.floats(&weight, shape, &folded.weights),
            bias: self.builder.floats(&bias, &shape[..1], &folded.bias),
        }
    }

    /// The parameters of a layer without batch norm.
    fn plain(&mut self, node: &Node, shape: &[usize]) -> Result<Parameters> {
        let key = node.weight_key();
        if let Some(parameters) = self.shared.get(&key) {
            return Ok(parameters.clone());
        }
        let folded = fold::node(self.network.weights, node)?;
        let prefix = key.strip_suffix(".weight").unwrap_or(&key);
        let parameters = self.parameters(prefix, shape, &folded);
        self.shared.insert(key, parameters.clone());
        Ok(parameters)
    }

    fn conv(&mut self, name: &str, input: Value, conv: Conv, parameters: &Parameters) -> Value {
        let pad = (conv.kernel / 2) as i64;
        let (kernel, stride) = (conv.kernel as i64, conv.stride as i64);
        let attributes = [
            ("group", Attribute::Int(conv.groups() as i64)),
            ("kernel_shape", Attribute::Ints(&[kernel; 2])),
            ("pads", Attribute::Ints(&[pad; 4])),
            ("strides", Attribute::Ints(&[stride; 2])),
        ];
        let inputs = [&input, &parameters.weight, &parameters.bias];
        self.builder.node("Conv", name, &inputs, &attributes)
    }

    fn activation(&mut self, name: &str, input: Value, activation: Activation) -> Value {
        match activation {
            Activation::Identity => input,
            Activation::Relu => self.builder.node("Relu", name, &[&input], &[]),
            Activation::Relu6 => {
                let builder = &mut *self.builder;
                let [least, most] = self.relu6_limits.get_or_insert_with(|| {
                    [
                        builder.floats("relu6.least", &[], &[0.0]),
                        builder.floats("relu6.most", &[], &[6.0]),
                    ]
                });
                self.builder
                    .node("Clip", name, &[&input, &*least, &*most], &[])
            }
            Activation::HardSwish => match self.network.hard_swish {
                HardSwish::Operator => self.builder.node("HardSwish", name, &[&input], &[]),
                HardSwish::Product => {
                    let scale = self.hard_sigmoid(&format!("{name}.scale"), &input);
                    self.builder.node("Mul", name, &[&input, &scale], &[])
                }
            },
        }
    }

    /// `relu6(x + 3) / 6`.
    fn hard_sigmoid(&mut self, name: &str, input: &Value) -> Value {
        let attributes = [
            ("alpha", Attribute::Float(1.0 / 6.0)),
            ("beta", Attribute::Float(0.5)),
        ];
        self.builder
            .node("HardSigmoid", name, &[input], &attributes)
    }

    fn squeeze_excite(&mut self, name: &str, node: &Node, squeezed: usize) -> Result<Value> {
        let input = self.read(node, 0);
        let pool = format!("{name}.mean");
        let mut scale = self
            .builder
            .node("GlobalAveragePool", &pool, &[&input], &[]);
        let convs = [
            ("fc1", Conv::pointwise(node.channels, squeezed)),
            ("fc2", Conv::pointwise(squeezed, node.channels)),
        ];
        for (layer, conv) in convs {
            let prefix = format!("{name}.{layer}");
            let keys = [format!("{prefix}.weight"), format!("{prefix}.bias")];
            let keys = keys.each_ref().map(String::as_str);
            let folded = fold::plain(self.network.weights, keys)?;
            let parameters = self.parameters(&prefix, &conv.weight_shape(), &folded);
            let made = self.conv(&format!("{prefix}.conv"), scale, conv, &parameters);
            scale = match layer {
                "fc1" => self.activation(&prefix, made, Activation::Relu),
                _ => self.hard_sigmoid(&prefix, &made),
            };
        }
        Ok(self.builder.node("Mul", name, &[&input, &scale], &[]))
    }

    /// Each cell four times, then cut to the size of another map.
    fn upsample(&mut self, name: &str, node: &Node, like: NodeId) -> Value {
        let input = self.read(node, 0);
        let from = self.sizes[node.inputs[0].index()];
        let to = self.sizes[like.index()];
        let scales = self
            .builder
            .floats(&format!("{name}.scales"), &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = [
            (
                "coordinate_transformation_mode",
                Attribute::Text("asymmetric"),
            ),
            ("mode", Attribute::Text("nearest")),
            ("nearest_mode", Attribute::Text("floor")),
        ];
        let inputs = [&input, &Value::none(), &scales];
        if to == MapSize::new(2 * from.height, 2 * from.width) {
            return self.builder.node("Resize", name, &inputs, &attributes);
        }
        let twice = format!("{name}.twice");
        let twice = self.builder.node("Resize", &twice, &inputs, &attributes);
        let ends = [to.height as i64, to.width as i64];
        let [starts, ends, axes] = [("starts", [0, 0]), ("ends", ends), ("axes", [2, 3])]
            .map(|(what, numbers)| self.builder.ints(&format!("{name}.{what}"), &numbers));
        self.builder
            .node("Slice", name, &[&twice, &starts, &ends, &axes], &[])
    }

    fn linear(&mut self, name: &str, node: &Node, linear: Linear) -> Result<Value> {
        let shape = [linear.out_features, linear.in_features];
        let parameters = self.plain(node, &shape)?;
        let input = self.read(node, 0);
        let inputs = [&input, &parameters.weight, &parameters.bias];
        let made = match linear.activation {
            Activation::Identity => name.to_owned(),
            _ => format!("{name}.linear"),
        };
        let transposed = [("transB", Attribute::Int(1))];
        let made = self.builder.node("Gemm", &made, &inputs, &transposed);
        Ok(self.activation(name, made, linear.activation))
    }

    /// A vector as it is; of maps the rows of each, one map after the other.
    fn output(&mut self, name: &str, node: &Node, output: Output) -> Value {
        if let [input] = node.inputs[..]
            && let Operation::Linear(_) = self.network.graph.node(input).operation
        {
            return self.read(node, 0);
        }
        let kind = match output.kind {
            OutputKind::Logits => "logits",
            OutputKind::Regressions => "regressions",
        };
        let mut maps = Vec::with_capacity(node.inputs.len());
        for (map, &input) in node.inputs.iter().enumerate() {
            let channels = self.network.graph.node(input).channels;
            let rows = self.sizes[input.index()].cells() * (channels / output.numbers);
            let (name, values) = (format!("{kind}.{map}"), self.values[input.index()].clone());
            let channels_last = [("perm", Attribute::Ints(&[0, 2, 3, 1]))];
            let turned = format!("{name}.channels_last");
            let turned = self
                .builder
                .node("Transpose", &turned, &[&values], &channels_last);
            // 0 stands for as many images as there are.
            let shape = [0, rows as i64, output.numbers as i64];
            let shape = self.builder.ints(&format!("{name}.shape"), &shape);
            maps.push(self.builder.node("Reshape", &name, &[&turned, &shape], &[]));
        }
        let maps: Vec<&Value> = maps.iter().collect();
        let axis = [("axis", Attribute::Int(1))];
        self.builder.node("Concat", name, &maps, &axis)
    }
}
