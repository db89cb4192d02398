//! An ONNX graph under construction.
//!
//! Source: `onnx/onnx.proto` of ONNX 1.12, whose numbers of fields stand here alone.

use std::fmt;

use super::proto::Message;

/// The versions of the format and of the operators that are written: those of 2022, which
/// TensorRT 8.5 takes whole. What a Jetson's file has of them is as in opset 13, up to
/// which TensorRT 8.2 goes.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Who writes, and the graph's name.
const PRODUCER: &str = "ssdlite";

/// The graph's name for a number of images that is chosen when it runs.
const BATCH: &str = "batch";

/// The name of a tensor of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value(String);

impl Value {
    /// In the place of an input that is left out.
    pub(super) fn none() -> Self {
        Self(String::new())
    }
}

/// What an operator is told besides its inputs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attribute<'a> {
    Float(f32),
    Int(i64),
    Ints(&'a [i64]),
    Text(&'a str),
}

pub(super) type Attributes<'a> = &'a [(&'a str, Attribute<'a>)];

/// The type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    U8,
    I64,
}

impl Element {
    /// `TensorProto.DataType`.
    pub(super) const fn number(self) -> i64 {
        match self {
            Self::F32 => 1,
            Self::U8 => 2,
            Self::I64 => 7,
        }
    }
}

/// An extent of an input or an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// As many as this.
    Fixed(usize),
    /// As many as there are images, which is chosen when the file is run.
    Images,
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(extent) => write!(f, "{extent}"),
            Self::Images => f.write_str(BATCH),
        }
    }
}

/// An input or an output of a file. Printed, it is as `images f32[1,3,300,300]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: &'static str,
    element: Element,
    /// Its extents, outermost first.
    pub shape: Vec<Dimension>,
}

impl Port {
    pub(super) fn new(name: &'static str, element: Element, shape: &[Dimension]) -> Self {
        Self {
            name,
            element,
            shape: shape.to_vec(),
        }
    }

    pub(super) const fn element(&self) -> Element {
        self.element
    }

    /// `ValueInfoProto`.
    fn message(&self) -> Message {
        let mut shape = Message::default();
        for dimension in &self.shape {
            let mut message = Message::default();
            match *dimension {
                Dimension::Fixed(extent) => message.int(1, extent as i64),
                Dimension::Images => message.text(2, BATCH),
            }
            shape.message(1, &message);
        }
        let mut tensor = Message::default();
        tensor.int(1, self.element.number());
        tensor.message(2, &shape);
        let mut kind = Message::default();
        kind.message(1, &tensor);
        let mut info = Message::default();
        info.text(1, self.name);
        info.message(2, &kind);
        info
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let element = match self.element {
            Element::F32 => "f32",
            Element::U8 => "u8",
            Element::I64 => "i64",
        };
        let shape: Vec<String> = self.shape.iter().map(Dimension::to_string).collect();
        write!(f, "{} {element}[{}]", self.name, shape.join(","))
    }
}

/// A graph under construction. Whoever adds to it gives each tensor a name of its own.
#[derive(Debug, Default)]
pub(super) struct GraphBuilder {
    nodes: Message,
    initializers: Message,
    inputs: Message,
    outputs: Message,
}

impl GraphBuilder {
    pub(super) fn input(&mut self, port: &Port) -> Value {
        self.inputs.message(11, &port.message());
        Value(port.name.to_owned())
    }

    /// Lets the tensor of this name be an output.
    pub(super) fn output(&mut self, port: &Port) {
        self.outputs.message(12, &port.message());
    }

    /// Adds a node of one output, which has its name.
    pub(super) fn node(
        &mut self,
        operator: &str,
        name: &str,
        inputs: &[&Value],
        attributes: Attributes<'_>,
    ) -> Value {
        let [output] = self.node_of(operator, [name], inputs, attributes);
        output
    }

    /// Adds a node with outputs of these names.
    pub(super) fn node_of<const N: usize>(
        &mut self,
        operator: &str,
        names: [&str; N],
        inputs: &[&Value],
        attributes: Attributes<'_>,
    ) -> [Value; N] {
        let mut node = Message::default();
        for input in inputs {
            node.text(1, &input.0);
        }
        for name in names {
            node.text(2, name);
        }
        node.text(3, names[0]);
        node.text(4, operator);
        for &(name, attribute) in attributes {
            node.message(5, &attribute_message(name, attribute));
        }
        self.nodes.message(1, &node);
        names.map(|name| Value(name.to_owned()))
    }

    /// Adds numbers, as many as `shape` says, row-major; one for an empty shape.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], numbers: &[f32]) -> Value {
        debug_assert_eq!(numbers.len(), shape.iter().product::<usize>(), "{name}");
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.initializer(name, Element::F32, shape, &bytes)
    }

    /// Adds a row of whole numbers.
    pub(super) fn ints(&mut self, name: &str, numbers: &[i64]) -> Value {
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.initializer(name, Element::I64, &[numbers.len()], &bytes)
    }

    fn initializer(
        &mut self,
        name: &str,
        element: Element,
        shape: &[usize],
        bytes: &[u8],
    ) -> Value {
        let mut tensor = Message::default();
        for &extent in shape {
            tensor.int(1, extent as i64);
        }
        tensor.int(2, element.number());
        tensor.text(8, name);
        tensor.bytes(9, bytes);
        self.initializers.message(5, &tensor);
        Value(name.to_owned())
    }

    /// The bytes of the file, with what it says about itself.
    pub(super) fn finish(self, metadata: &[(&str, String)]) -> Vec<u8> {
        let mut graph = self.nodes;
        graph.text(2, PRODUCER);
        graph.extend(self.initializers);
        graph.extend(self.inputs);
        graph.extend(self.outputs);
        let mut opset = Message::default();
        opset.int(2, OPSET);
        let mut model = Message::default();
        model.int(1, IR_VERSION);
        model.text(2, PRODUCER);
        model.text(3, env!("CARGO_PKG_VERSION"));
        model.message(7, &graph);
        model.message(8, &opset);
        for (key, value) in metadata {
            let mut entry = Message::default();
            entry.text(1, key);
            entry.text(2, value);
            model.message(14, &entry);
        }
        model.into_bytes()
    }
}

/// `AttributeProto`.
fn attribute_message(name: &str, attribute: Attribute<'_>) -> Message {
    let mut message = Message::default();
    message.text(1, name);
    let kind = match attribute {
        Attribute::Float(number) => {
            message.float(2, number);
            1
        }
        Attribute::Int(number) => {
            message.int(3, number);
            2
        }
        Attribute::Text(text) => {
            message.text(4, text);
            3
        }
        Attribute::Ints(numbers) => {
            for &number in numbers {
                message.int(8, number);
            }
            7
        }
    };
    message.int(20, kind);
    message
}
