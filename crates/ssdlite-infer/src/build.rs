//! From a graph and its weights to a plan: one fold over the nodes.
//!
//! `fusion` says which nodes run as one step; here each step is packed and given
//! its place, in the order of the steps' last nodes.

mod convolutions;
mod fusion;
#[cfg(test)]
mod tests;
mod vectors;

use ssdlite_core::unit::{Activation, Conv};
use ssdlite_core::{Graph, MapSize, NodeId, Operation, Output, OutputKind, Preprocessing};
use ssdlite_kernels::Context;
use ssdlite_kernels::arena::{Layout, Slot};
use ssdlite_kernels::infer::MapShape;
use ssdlite_model::{Error, Result, StateDict};

use crate::plan::{self, LayerInfo, Map, Plan, Rows, Step};
use fusion::{Chain, ConvKernel};

/// What a plan is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network<'a> {
    pub(crate) graph: &'a Graph,
    /// Checked to hold the graph's tensors.
    pub(crate) weights: &'a StateDict,
    pub(crate) preprocessing: &'a Preprocessing,
}

impl Network<'_> {
    /// The plan that runs the network with this context's instruction set and
    /// number of threads.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a graph that needs a step that there is no
    /// kernel for, [`Error::Malformed`] for weights that overflow when batch
    /// norms are folded into them.
    pub(crate) fn plan(self, context: Context<'_>) -> Result<Plan> {
        let Network {
            graph,
            preprocessing,
            ..
        } = self;
        let size = preprocessing.size;
        let sizes = graph.map_sizes(MapSize::new(size.height as usize, size.width as usize));
        let chains = fusion::chains(graph, &sizes);
        let OutputRows { of_nodes, lengths } = OutputRows::new(graph, &sizes)?;
        let mut builder = Builder {
            network: self,
            context,
            sizes,
            readers: graph.readers(),
            rows: of_nodes,
            values: vec![Value::None; graph.nodes().len()],
            layout: Layout::new(1),
            steps: Vec::new(),
        };
        for ((id, _), chain) in graph.iter().zip(chains) {
            if let Some(chain) = chain {
                builder.values[id.index()] = builder.value(id, chain)?;
            }
        }
        Ok(Plan {
            steps: builder.steps,
            places: builder.layout.placed(),
            outputs: lengths,
            width: size.width as usize,
        })
    }
}

/// The outputs of a network.
struct OutputRows {
    /// Where they have the nodes that they read.
    of_nodes: Vec<Option<Rows>>,
    lengths: Vec<(OutputKind, usize)>,
}

impl OutputRows {
    fn new(graph: &Graph, sizes: &[MapSize]) -> Result<Self> {
        let mut rows = Self {
            of_nodes: vec![None; graph.nodes().len()],
            lengths: Vec::new(),
        };
        for (node, Output { kind, .. }) in graph.outputs() {
            if rows.lengths.iter().any(|&(other, _)| other == kind) {
                let message = format!("expected one output of {kind:?}, found two");
                return Err(Error::Unsupported(message));
            }
            let mut len = 0;
            for &input in &node.inputs {
                let numbers = sizes[input.index()].cells() * graph.node(input).channels;
                rows.of_nodes[input.index()] = Some(Rows {
                    output: kind,
                    range: len..len + numbers,
                });
                len += numbers;
            }
            rows.lengths.push((kind, len));
        }
        Ok(rows)
    }
}

/// A convolution with what follows it.
fn convolution(operation: Operation) -> Option<(Conv, Activation)> {
    match operation {
        Operation::ConvUnit(conv, activation) => Some((conv, activation)),
        Operation::Conv(conv) => Some((conv, Activation::Identity)),
        _ => None,
    }
}

/// The kernels' name of an activation.
fn kernel_activation(activation: Activation) -> ssdlite_kernels::Activation {
    match activation {
        Activation::Identity => ssdlite_kernels::Activation::None,
        Activation::Relu => ssdlite_kernels::Activation::Relu,
        Activation::Relu6 => ssdlite_kernels::Activation::Relu6,
        Activation::HardSwish => ssdlite_kernels::Activation::HardSwish,
    }
}

/// What a step leaves to its readers.
#[derive(Clone, Copy, Debug)]
enum Value {
    /// Nothing: the image, a part of another step, or what no reader can use.
    None,
    Map(Map),
    /// A map and the sums of its channels.
    Summed(Map, Slot),
    /// A map and the scales of its channels.
    Scaled(Map, Slot),
    Vector(Slot),
    /// Rows of an output of the network.
    Written,
}

/// A plan under construction.
struct Builder<'a> {
    network: Network<'a>,
    context: Context<'a>,
    /// The map of each node.
    sizes: Vec<MapSize>,
    readers: Vec<Vec<NodeId>>,
    /// Where outputs have the nodes that they read.
    rows: Vec<Option<Rows>>,
    values: Vec<Value>,
    layout: Layout,
    steps: Vec<Step>,
}

impl<'a> Builder<'a> {
    /// Adds the step that ends with a node, if it needs one.
    fn value(&mut self, id: NodeId, chain: Chain) -> Result<Value> {
        match self.graph().node(id).operation {
            Operation::Image => Ok(Value::None),
            Operation::ConvUnit(..) | Operation::Conv(_) | Operation::Add => {
                self.convolutions(id, chain)
            }
            Operation::SqueezeExcite { .. } => self.squeeze_excite(id),
            Operation::Upsample { like } => self.upsample(id, like),
            Operation::GlobalPool => self.average(id),
            Operation::Linear(linear) => self.linear(id, linear),
            Operation::Output(_) => self.output(id),
        }
    }

    fn graph(&self) -> &'a Graph {
        self.network.graph
    }

    fn input(&self, id: NodeId) -> NodeId {
        self.graph().node(id).inputs[0]
    }

    fn readers(&self, id: NodeId) -> &[NodeId] {
        &self.readers[id.index()]
    }

    /// The map that a node reads.
    fn read(&self, reader: NodeId, input: NodeId) -> Result<Map> {
        match self.values[input.index()] {
            Value::Map(map) => Ok(map),
            _ => Err(self.unsupported(reader, "maps as input that a step stored")),
        }
    }

    /// Padding that a node's readers need around its map.
    fn padding(&self, id: NodeId) -> usize {
        let readers = self.readers(id).iter();
        let paddings = readers.filter_map(|&reader| {
            let (conv, _) = convolution(self.graph().node(reader).operation)?;
            let pads = ConvKernel::of(self.graph(), reader) == Some(ConvKernel::Depthwise);
            pads.then_some(conv.kernel / 2)
        });
        paddings.max().unwrap_or(0)
    }

    /// The map of a node, written by the step about to be pushed.
    fn map(&mut self, id: NodeId) -> Map {
        let size = self.sizes[id.index()];
        let shape = MapShape {
            channels: self.graph().node(id).channels,
            height: size.height,
            width: size.width,
            padding: self.padding(id),
        };
        let slot = self.slot(shape.len());
        Map { slot, shape }
    }

    /// A slot that the step about to be pushed is the first to use.
    fn slot(&mut self, len: usize) -> Slot {
        self.layout.slot(len, self.steps.len())
    }

    /// The step about to be pushed uses these.
    fn use_slots(&mut self, slots: impl IntoIterator<Item = Slot>) {
        for slot in slots {
            self.layout.used(slot, self.steps.len());
        }
    }

    fn push(&mut self, info: LayerInfo, operation: plan::Operation) {
        self.steps.push(Step { info, operation });
    }

    /// What is said of a step that computes these nodes, of which there is at
    /// least one.
    fn info(&self, nodes: &[NodeId], operation: impl Into<String>) -> LayerInfo {
        let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
        let input = self.input(first);
        let layers = nodes
            .iter()
            .filter_map(|&id| self.graph().layer(id, &self.sizes));
        LayerInfo {
            key: self.name(first),
            operation: operation.into(),
            in_channels: self.graph().node(input).channels,
            out_channels: self.graph().node(last).channels,
            input: self.sizes[input.index()],
            output: self.sizes[last.index()],
            macs: layers.map(|layer| layer.macs).sum(),
        }
    }

    /// The key of a node, or those of its inputs if it has none.
    fn name(&self, id: NodeId) -> String {
        let node = self.graph().node(id);
        if node.key.is_empty() {
            let inputs: Vec<String> = node.inputs.iter().map(|&id| self.name(id)).collect();
            inputs.join(" and ")
        } else {
            node.key.clone()
        }
    }

    fn unsupported(&self, id: NodeId, expected: &str) -> Error {
        let operation = self.graph().node(id).operation;
        let name = self.name(id);
        Error::Unsupported(format!("{name}: expected {expected}, found {operation:?}"))
    }
}
