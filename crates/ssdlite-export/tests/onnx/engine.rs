//! Runs an ONNX graph as its operators are defined, slowly, and finds it sound: each
//! tensor is made once and before it is read, nothing is made in vain but a part of a
//! split, and the shapes are those that the operators ask for.
//!
//! Source: `docs/Operators.md` of ONNX 1.12, opset 17.

use std::collections::{BTreeMap, HashSet};

use onnx_rs::ast::{Attribute, DataType, Dimension, Graph, Model, Node, TensorProto, ValueInfo};

use crate::operators::{maps, rows, suppression};
use crate::tensor::{Kind, Tensor};

/// The images' extent in the shapes of a file that takes any number.
const BATCH: &str = "batch";

/// A file that was read.
pub(crate) struct Engine<'a> {
    pub(crate) model: Model<'a>,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let model = onnx_rs::parse(bytes).expect("a sound file");
        assert_eq!(model.ir_version, 8);
        let [opset] = &model.opset_import[..] else {
            panic!(
                "expected one set of operators, found {:?}",
                model.opset_import
            );
        };
        assert_eq!((opset.domain, opset.version), ("", 17));
        Self { model }
    }

    fn graph(&self) -> &Graph<'a> {
        self.model.graph.as_ref().expect("a graph")
    }

    /// What the file says about itself.
    pub(crate) fn metadata(&self, key: &str) -> &str {
        let mut entries = self.model.metadata_props.iter();
        let entry = entries.find(|entry| entry.key == key);
        entry.unwrap_or_else(|| panic!("expected {key}")).value
    }

    /// How often an operator stands in the graph.
    pub(crate) fn count(&self, operator: &str) -> usize {
        let nodes = self.graph().node.iter();
        nodes
            .filter(|node| node.op_type.as_str() == operator)
            .count()
    }

    /// The outputs by their names.
    pub(crate) fn run(&self, name: &str, image: &Tensor) -> BTreeMap<String, Tensor> {
        let graph = self.graph();
        let [input] = &graph.input[..] else {
            panic!("expected one input, found {:?}", graph.input);
        };
        assert_eq!(input.name, name);
        expect_declared(input, image, image.shape[0]);
        let mut values: BTreeMap<&str, Tensor> = BTreeMap::new();
        values.insert(input.name, image.clone());
        for initializer in &graph.initializer {
            let before = values.insert(initializer.name(), constant(initializer));
            assert!(before.is_none(), "{} is there twice", initializer.name());
        }
        let mut read: HashSet<&str> = HashSet::new();
        let mut names: HashSet<&str> = HashSet::new();
        for node in &graph.node {
            assert!(names.insert(node.name), "two nodes {}", node.name);
            let inputs = node.input.iter().map(|&input| match input {
                "" => None,
                input => {
                    read.insert(input);
                    let value = values.get(input);
                    Some(value.unwrap_or_else(|| panic!("{}: no {input} yet", node.name)))
                }
            });
            let inputs: Vec<Option<&Tensor>> = inputs.collect();
            let made = Call { node, inputs }.outputs();
            assert_eq!(made.len(), node.output.len(), "{}", node.name);
            for (&output, value) in node.output.iter().zip(made) {
                let before = values.insert(output, value);
                assert!(before.is_none(), "{output} is made twice");
            }
        }
        let outputs = graph.output.iter().map(|output| {
            read.insert(output.name);
            let value = values.get(output.name);
            let value = value.unwrap_or_else(|| panic!("no output {}", output.name));
            expect_declared(output, value, image.shape[0]);
            (output.name.to_owned(), value.clone())
        });
        let outputs: BTreeMap<String, Tensor> = outputs.collect();
        for initializer in &graph.initializer {
            assert!(read.contains(initializer.name()), "{}", initializer.name());
        }
        for node in &graph.node {
            let is_read = node.output.iter().any(|output| read.contains(output));
            assert!(is_read, "{} is made in vain", node.name);
        }
        outputs
    }
}

/// Compares a tensor with what the file says of it.
fn expect_declared(port: &ValueInfo<'_>, value: &Tensor, images: usize) {
    let kind = match port.tensor_elem_type() {
        Some(DataType::Float) => Kind::F32,
        Some(DataType::Uint8) => Kind::U8,
        other => panic!("{}: {other:?}", port.name),
    };
    assert_eq!(kind, value.kind, "{}", port.name);
    let shape = port.tensor_shape().expect("a shape");
    let extents = shape.dim.iter().map(|dim| match dim.value {
        Dimension::Value(extent) => extent as usize,
        Dimension::Param(name) => {
            assert_eq!(name, BATCH);
            images
        }
    });
    assert_eq!(extents.collect::<Vec<_>>(), value.shape, "{}", port.name);
}

fn constant(tensor: &TensorProto<'_>) -> Tensor {
    let shape: Vec<usize> = tensor.dims().iter().map(|&dim| dim as usize).collect();
    let name = tensor.name();
    match tensor.data_type() {
        DataType::Float => {
            let numbers = tensor.as_f32().expect(name);
            let numbers = numbers.iter().map(|&number| f64::from(number));
            Tensor::new(Kind::F32, &shape, numbers.collect())
        }
        DataType::Int64 => {
            let numbers = tensor.as_i64().expect(name);
            let numbers = numbers.iter().map(|&number| number as f64);
            Tensor::new(Kind::I64, &shape, numbers.collect())
        }
        other => panic!("{name}: {other:?}"),
    }
}

/// A node with its inputs.
pub(crate) struct Call<'a> {
    node: &'a Node<'a>,
    inputs: Vec<Option<&'a Tensor>>,
}

impl Call<'_> {
    pub(crate) fn input(&self, index: usize) -> &Tensor {
        let input = self.inputs.get(index).copied().flatten();
        input.unwrap_or_else(|| panic!("{}: expected input {index}", self.node.name))
    }

    pub(crate) fn inputs(&self) -> Vec<&Tensor> {
        self.inputs.iter().flatten().copied().collect()
    }

    pub(crate) fn outputs_asked(&self) -> usize {
        self.node.output.len()
    }

    fn attribute(&self, name: &str) -> Option<&Attribute<'_>> {
        let mut attributes = self.node.attribute.iter();
        attributes.find(|attribute| attribute.name == name)
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name)
            .map_or(default, |attribute| attribute.i)
    }

    pub(crate) fn axis(&self, default: usize) -> usize {
        self.int("axis", default as i64) as usize
    }

    pub(crate) fn float(&self, name: &str) -> f64 {
        let attribute = self.attribute(name);
        f64::from(attribute.unwrap_or_else(|| panic!("expected {name}")).f)
    }

    pub(crate) fn ints(&self, name: &str) -> Vec<usize> {
        let attribute = self.attribute(name);
        let ints = &attribute.unwrap_or_else(|| panic!("expected {name}")).ints;
        ints.iter().map(|&number| number as usize).collect()
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        let attribute = self.attribute(name);
        let text = attribute.unwrap_or_else(|| panic!("expected {name}")).s;
        std::str::from_utf8(text).expect("a text")
    }

    fn binary(&self, map: impl Fn(f64, f64) -> f64) -> Vec<Tensor> {
        let (one, two) = (self.input(0), self.input(1));
        vec![one.zip(two, one.kind, map)]
    }

    fn unary(&self, map: impl Fn(f64) -> f64) -> Vec<Tensor> {
        let input = self.input(0);
        assert_eq!(input.kind, Kind::F32);
        vec![input.map(Kind::F32, map)]
    }

    /// What the operator makes.
    fn outputs(&self) -> Vec<Tensor> {
        let is_whole = self.inputs().iter().all(|input| input.kind == Kind::I64);
        match self.node.op_type.as_str() {
            "Add" => self.binary(|a, b| a + b),
            "Sub" => self.binary(|a, b| a - b),
            "Mul" => self.binary(|a, b| a * b),
            "Min" => self.binary(f64::min),
            "Div" if is_whole => self.binary(|a, b| (a / b).trunc()),
            "Mod" if is_whole => self.binary(|a, b| a % b),
            "Greater" => {
                let greater = |a: f64, b: f64| f64::from(u8::from(a > b));
                vec![self.input(0).zip(self.input(1), Kind::Bool, greater)]
            }
            "Cast" => {
                assert_eq!(self.int("to", 0), 1, "only to floats");
                vec![self.input(0).map(Kind::F32, |number| number)]
            }
            "Identity" => vec![self.input(0).clone()],
            "Relu" => self.unary(|x| x.max(0.0)),
            "Exp" => self.unary(f64::exp),
            "Sigmoid" => self.unary(|x| 1.0 / (1.0 + (-x).exp())),
            "HardSwish" => self.unary(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
            "HardSigmoid" => {
                let (alpha, beta) = (self.float("alpha"), self.float("beta"));
                self.unary(|x| (alpha * x + beta).clamp(0.0, 1.0))
            }
            "Clip" => {
                let (least, most) = (self.input(1).scalar(), self.input(2).scalar());
                self.unary(|x| x.clamp(least, most))
            }
            "Conv" => vec![maps::conv(self)],
            "GlobalAveragePool" => vec![maps::average(self)],
            "Resize" => vec![maps::resize(self)],
            "Flatten" => vec![rows::flatten(self)],
            "Gemm" => vec![rows::gemm(self)],
            "Softmax" => vec![rows::softmax(self)],
            "ReduceMin" => vec![rows::reduce(self, f64::min)],
            "ReduceMax" => vec![rows::reduce(self, f64::max)],
            "Transpose" => vec![rows::transpose(self)],
            "Reshape" => vec![rows::reshape(self)],
            "Unsqueeze" => vec![rows::unsqueeze(self)],
            "Concat" => vec![rows::concat(self)],
            "Split" => rows::split(self),
            "Slice" => vec![rows::slice(self)],
            "TopK" => rows::top(self),
            "Shape" => {
                let shape = &self.input(0).shape;
                let numbers = shape.iter().map(|&extent| extent as f64);
                vec![Tensor::new(Kind::I64, &[shape.len()], numbers.collect())]
            }
            "ConstantOfShape" => {
                let shape = self.input(0).extents();
                let count = shape.iter().product();
                vec![Tensor::new(Kind::F32, &shape, vec![0.0; count])]
            }
            "GatherND" => vec![rows::gather(self)],
            "ScatterND" => vec![rows::scatter(self)],
            "NonMaxSuppression" => vec![suppression::suppress(self)],
            other => panic!(
                "{}: expected a known operator, found {other}",
                self.node.name
            ),
        }
    }
}
