//! A network as a graph: what every plan, list and export is made from.
//!
//! The tables ([`crate::mobilenet`], [`crate::detector`]) are turned into a
//! [`Graph`] once. Whoever must know the network folds over its nodes: the
//! inventory of tensors ([`crate::inventory`]), sizes and costs
//! ([`crate::layers`]), the plans of inference and training.
//!
//! Nodes stand in running order, each after those that it reads. A node with one
//! reader may be computed by its reader; a node with several is stored, and its
//! gradients are added.

use crate::unit::{Activation, Conv};

/// A node by its place in the running order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

impl NodeId {
    /// Its place in [`Graph::nodes`].
    pub const fn index(self) -> usize {
        self.0
    }
}

/// The part of a network that a node belongs to: what is frozen together and
/// has a learning rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// MobileNetV3's convolutions.
    Backbone,
    /// A detector's extra blocks.
    Extra,
    /// What joins maps of different sizes.
    Neck,
    /// A detector's heads, a classifier's linear layers.
    Head,
}

/// What a node computes of its inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    /// The network's input: an RGB image.
    Image,
    /// Convolution without bias, batch norm and activation: torchvision's
    /// `Conv2dNormActivation`. Its tensors are `{key}.0.weight` (convolution)
    /// and `{key}.1.{weight,bias,running_mean,running_var,num_batches_tracked}`.
    ConvUnit(Conv, Activation),
    /// Convolution with bias: `{key}.weight`, `{key}.bias`.
    Conv(Conv),
    /// Squeeze-and-excite: average over the map, two 1x1 convolutions with bias
    /// (ReLU between them, hard sigmoid after them), scaling of each channel.
    /// Its tensors are `{key}.fc1.{weight,bias}` and `{key}.fc2.{weight,bias}`.
    SqueezeExcite {
        /// Channels between the two convolutions.
        squeeze_channels: usize,
    },
    /// The sum of two maps.
    Add,
    /// Each cell four times (nearest neighbour), cut to the size of another
    /// node's map, which is twice as large, or less by one row or column.
    Upsample {
        /// The node whose size it takes.
        like: NodeId,
    },
    /// The mean of each channel over the map.
    GlobalPool,
    /// Linear layer with bias: `{key}.weight` of shape `[out, in]`, `{key}.bias`.
    Linear(Linear),
    /// An output of the network, made of one or several inputs one after the
    /// other: [rows][`Output::numbers`], the rows of a map outermost, then its
    /// columns, then the default boxes of a cell.
    Output(Output),
}

/// A linear layer with what stands around it in a classifier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// Length of its input.
    pub in_features: usize,
    /// Length of its output.
    pub out_features: usize,
    /// Chance that a number of its input is dropped while it trains.
    pub dropout: f64,
    /// What follows it.
    pub activation: Activation,
}

/// What an output says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// Class logits: of an image, or of each default box with the background
    /// first.
    Logits,
    /// Box regressions: what the box coder decodes.
    Regressions,
}

/// An output of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Output {
    /// What it says.
    pub kind: OutputKind,
    /// Numbers in a row: of an image, or of a default box.
    pub numbers: usize,
}

/// A node of a [`Graph`].
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it computes.
    pub operation: Operation,
    /// The nodes that it reads.
    pub inputs: Vec<NodeId>,
    /// torchvision's prefix of its tensors; empty for nodes without tensors.
    pub key: String,
    /// The prefix of a convolution's weight and bias, where several nodes share
    /// them; each still has its own batch norm.
    pub shared: Option<String>,
    /// The part that it belongs to.
    pub part: Part,
    /// Channels of its map, or numbers of its vector.
    pub channels: usize,
}

impl Node {
    /// The shape of a convolution's weight.
    fn weight_shape(&self) -> Option<[usize; 4]> {
        match self.operation {
            Operation::ConvUnit(conv, _) | Operation::Conv(conv) => Some(conv.weight_shape()),
            _ => None,
        }
    }

    /// The key of the weight of a convolution or a linear layer.
    pub fn weight_key(&self) -> String {
        match (&self.shared, self.operation) {
            (Some(prefix), _) => format!("{prefix}.weight"),
            (None, Operation::ConvUnit(..)) => format!("{}.0.weight", self.key),
            (None, _) => format!("{}.weight", self.key),
        }
    }

    /// The key of the bias of a convolution without batch norm or a linear layer.
    pub fn bias_key(&self) -> String {
        format!("{}.bias", self.shared.as_ref().unwrap_or(&self.key))
    }
}

/// A network.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
}

impl Graph {
    /// A network of nothing but its input, with the input's node.
    pub fn new() -> (Self, NodeId) {
        let image = Node {
            operation: Operation::Image,
            inputs: Vec::new(),
            key: String::new(),
            shared: None,
            part: Part::Backbone,
            channels: 3,
        };
        (Self { nodes: vec![image] }, NodeId(0))
    }

    /// Adds a node that reads earlier ones.
    ///
    /// # Panics
    /// If the number of inputs or their channels don't fit the operation.
    pub fn add(
        &mut self,
        operation: Operation,
        inputs: &[NodeId],
        key: impl Into<String>,
        part: Part,
    ) -> NodeId {
        let channels = self.channels_made(operation, inputs);
        self.nodes.push(Node {
            operation,
            inputs: inputs.to_vec(),
            key: key.into(),
            shared: None,
            part,
            channels,
        });
        NodeId(self.nodes.len() - 1)
    }

    /// Lets a convolution have weight and bias under this prefix, together with
    /// all others that are given the same.
    ///
    /// # Panics
    /// If the node is no convolution, or another one has a weight of another shape
    /// there.
    pub fn share(&mut self, id: NodeId, prefix: &str) {
        let shape = self.nodes[id.0].weight_shape().expect("a convolution");
        for other in &self.nodes {
            if other.shared.as_deref() == Some(prefix) {
                assert_eq!(other.weight_shape(), Some(shape), "{prefix}");
            }
        }
        self.nodes[id.0].shared = Some(prefix.to_owned());
    }

    fn channels_made(&self, operation: Operation, inputs: &[NodeId]) -> usize {
        let read: Vec<usize> = inputs.iter().map(|&id| self.node(id).channels).collect();
        let one = |expected: usize| assert_eq!(read, [expected], "{operation:?}");
        match operation {
            Operation::Image => panic!("expected one image, which is there"),
            Operation::ConvUnit(conv, _) | Operation::Conv(conv) => {
                one(conv.in_channels);
                conv.out_channels
            }
            Operation::SqueezeExcite { .. }
            | Operation::GlobalPool
            | Operation::Upsample { .. } => {
                assert_eq!(read.len(), 1, "{operation:?}");
                read[0]
            }
            Operation::Add => {
                assert!(read.len() == 2 && read[0] == read[1], "{operation:?}");
                read[0]
            }
            Operation::Linear(linear) => {
                one(linear.in_features);
                linear.out_features
            }
            Operation::Output(output) => {
                let rows = read.iter().all(|channels| channels % output.numbers == 0);
                assert!(rows && !read.is_empty(), "{operation:?}");
                output.numbers
            }
        }
    }

    /// All nodes in running order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes in running order with their ids.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> + ExactSizeIterator {
        self.nodes
            .iter()
            .enumerate()
            .map(|(index, node)| (NodeId(index), node))
    }

    /// A node of this graph.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// For each node the nodes that read it, in running order.
    pub fn readers(&self) -> Vec<Vec<NodeId>> {
        let mut readers = vec![Vec::new(); self.nodes.len()];
        for (id, node) in self.iter() {
            for input in &node.inputs {
                readers[input.0].push(id);
            }
        }
        readers
    }

    /// The network's outputs in running order.
    pub fn outputs(&self) -> impl Iterator<Item = (&Node, Output)> {
        self.nodes.iter().filter_map(|node| match node.operation {
            Operation::Output(output) => Some((node, output)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_stand_after_what_they_read() {
        let (mut graph, image) = Graph::new();
        let conv = Operation::Conv(Conv::pointwise(3, 5));
        let one = graph.add(conv, &[image], "one", Part::Backbone);
        let sum = graph.add(Operation::Add, &[one, one], "", Part::Neck);
        assert_eq!(graph.readers(), [vec![one], vec![sum, sum], vec![]]);
        assert_eq!(graph.node(sum).channels, 5);
    }

    #[test]
    fn a_shared_weight_is_one_tensor_and_batch_norms_are_apart() {
        let (mut graph, image) = Graph::new();
        let unit = Operation::ConvUnit(Conv::depthwise(3, 3, 1), Activation::Relu);
        let one = graph.add(unit, &[image], "one", Part::Head);
        let other = graph.add(unit, &[one], "other", Part::Head);
        let alone = graph.add(unit, &[other], "alone", Part::Head);
        for id in [one, other] {
            graph.share(id, "both");
        }
        let tensors = graph.tensors();
        let keys: Vec<&str> = tensors.iter().map(|tensor| tensor.key.as_str()).collect();
        let weights = keys.iter().filter(|key| key.ends_with("weight"));
        let expected = [
            "both.weight",
            "one.1.weight",
            "other.1.weight",
            "alone.0.weight",
            "alone.1.weight",
        ];
        assert!(weights.eq(&expected));
        assert_eq!(graph.node(other).weight_key(), "both.weight");
        assert_eq!(graph.node(alone).weight_key(), "alone.0.weight");
    }

    #[test]
    #[should_panic(expected = "both")]
    fn weights_of_other_shapes_are_not_shared() {
        let (mut graph, image) = Graph::new();
        let one = graph.add(
            Operation::Conv(Conv::pointwise(3, 5)),
            &[image],
            "one",
            Part::Head,
        );
        let other = graph.add(
            Operation::Conv(Conv::pointwise(5, 3)),
            &[one],
            "other",
            Part::Head,
        );
        graph.share(one, "both");
        graph.share(other, "both");
    }

    #[test]
    #[should_panic(expected = "Conv")]
    fn other_channels_are_refused() {
        let (mut graph, image) = Graph::new();
        let conv = Operation::Conv(Conv::pointwise(4, 5));
        graph.add(conv, &[image], "one", Part::Backbone);
    }
}
