//! Which nodes run as one step.
//!
//! A node with one reader is computed by its reader where that is faster; a node
//! with several is stored. What counts are steps: several nodes of one step are
//! one reader.

use ssdlite_core::unit::{Activation, ConvKind};
use ssdlite_core::{Graph, MapSize, NodeId, Operation};

use super::convolution;

/// Maps of so few pixels are made by channels, not by rows, where a 1x1
/// convolution narrows them, so that its weights, which are more than the
/// pixels, are read once.
const MOST_PIXELS_BY_CHANNELS: usize = 100;

/// The nodes of a step; none of them for a node that runs alone and is no
/// convolution with a kernel of its own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain {
    /// What the depthwise convolution reads: a 1x1 convolution or the first one.
    pub(super) expand: Option<NodeId>,
    /// A depthwise convolution.
    pub(super) depthwise: Option<NodeId>,
    /// A 1x1 convolution.
    pub(super) project: Option<NodeId>,
    /// The sum of that and another map.
    pub(super) add: Option<NodeId>,
}

impl Chain {
    /// What is added to the 1x1 convolution.
    pub(super) fn residual(&self, graph: &Graph) -> Option<NodeId> {
        let (add, project) = (self.add?, self.project?);
        let mut inputs = graph.node(add).inputs.iter().copied();
        inputs.find(|&input| input != project)
    }

    /// The convolutions in running order.
    pub(super) fn convolutions(&self) -> impl Iterator<Item = NodeId> + use<> {
        [self.expand, self.depthwise, self.project]
            .into_iter()
            .flatten()
    }
}

/// A convolution that there are kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConvKernel {
    /// The first one, on the image.
    Stem,
    Pointwise,
    Depthwise,
}

impl ConvKernel {
    pub(super) fn of(graph: &Graph, id: NodeId) -> Option<Self> {
        let node = graph.node(id);
        let (conv, _) = convolution(node.operation)?;
        let on_image = || graph.node(node.inputs[0]).operation == Operation::Image;
        match (conv.kind, conv.kernel, conv.stride) {
            (ConvKind::Full, 3, 2) if on_image() => Some(Self::Stem),
            (ConvKind::Pointwise, 1, 1) => Some(Self::Pointwise),
            (ConvKind::Depthwise, 3 | 5, 1 | 2) => Some(Self::Depthwise),
            _ => None,
        }
    }
}

/// For each node the step that ends with it, or none if another step computes
/// it.
pub(super) fn chains(graph: &Graph, sizes: &[MapSize]) -> Vec<Option<Chain>> {
    let fusion = Fusion {
        graph,
        sizes,
        readers: graph.readers(),
    };
    let mut chains: Vec<Option<Chain>> = vec![None; graph.nodes().len()];
    // The step of each node, by its last node.
    let mut steps: Vec<NodeId> = graph.iter().map(|(id, _)| id).collect();
    for (id, _) in graph.iter().rev() {
        let readers = fusion.readers[id.index()].iter();
        let mut readers = readers.map(|reader| steps[reader.index()]);
        let first = readers.next();
        let reader = first.filter(|&first| readers.all(|step| step == first));
        let joined = reader.and_then(|step| {
            let chain = fusion.joined(chains[step.index()]?, id)?;
            Some((step, chain))
        });
        let (step, chain) = joined.unwrap_or_else(|| (id, fusion.alone(id)));
        steps[id.index()] = step;
        chains[step.index()] = Some(chain);
    }
    chains
}

struct Fusion<'a> {
    graph: &'a Graph,
    sizes: &'a [MapSize],
    readers: Vec<Vec<NodeId>>,
}

impl Fusion<'_> {
    fn kernel(&self, id: NodeId) -> Option<ConvKernel> {
        ConvKernel::of(self.graph, id)
    }

    fn input(&self, id: NodeId) -> NodeId {
        self.graph.node(id).inputs[0]
    }

    /// The step of nothing but this node.
    fn alone(&self, id: NodeId) -> Chain {
        let (mut depthwise, mut project) = (None, None);
        match self.kernel(id) {
            Some(ConvKernel::Pointwise) => project = Some(id),
            Some(ConvKernel::Depthwise) => depthwise = Some(id),
            Some(ConvKernel::Stem) | None => {}
        }
        let add = (self.graph.node(id).operation == Operation::Add).then_some(id);
        Chain {
            expand: None,
            depthwise,
            project,
            add,
        }
    }

    /// The step with one more node, which it alone reads, if it has a place for
    /// that.
    fn joined(&self, chain: Chain, id: NodeId) -> Option<Chain> {
        let kernel = self.kernel(id)?;
        let only =
            |reader: Option<NodeId>| self.readers[id.index()].as_slice() == reader.as_slice();
        let mut joined = chain;
        match kernel {
            // What is added may be the first convolution, too.
            ConvKernel::Stem => {
                let reads = chain
                    .depthwise
                    .is_some_and(|reader| self.input(reader) == id);
                (reads && chain.expand.is_none()).then(|| joined.expand = Some(id))?;
            }
            ConvKernel::Pointwise if only(chain.depthwise) => {
                let reads = chain.depthwise.and_then(|reader| self.expansion(reader));
                (reads == Some(id)).then(|| joined.expand = Some(id))?;
            }
            ConvKernel::Pointwise => {
                // Kernels add before the activation.
                let fits = chain.project.is_none() && only(chain.add) && !self.is_activated(id);
                fits.then(|| joined.project = Some(id))?;
            }
            ConvKernel::Depthwise => {
                let fits = chain.depthwise.is_none()
                    && only(chain.project)
                    && self.adds_what_it_reads(chain, id)
                    && !self.is_made_by_channels(id);
                fits.then(|| joined.depthwise = Some(id))?;
            }
        }
        Some(joined)
    }

    /// The 1x1 convolution that a step with this depthwise one begins with: not
    /// one that follows a depthwise convolution itself, whose map is larger.
    fn expansion(&self, depthwise: NodeId) -> Option<NodeId> {
        let input = self.input(depthwise);
        let joins = self.kernel(input) == Some(ConvKernel::Pointwise)
            && self.readers[input.index()] == [depthwise]
            && !self.is_depthwise_or_excited(self.input(input));
        joins.then_some(input)
    }

    fn is_depthwise_or_excited(&self, id: NodeId) -> bool {
        let operation = self.graph.node(id).operation;
        matches!(operation, Operation::SqueezeExcite { .. })
            || self.kernel(id) == Some(ConvKernel::Depthwise)
    }

    fn is_activated(&self, id: NodeId) -> bool {
        let convolution = convolution(self.graph.node(id).operation);
        convolution.is_some_and(|(_, activation)| activation != Activation::Identity)
    }

    /// Whether what is added, if anything, is what the step reads once it begins
    /// with this depthwise convolution.
    fn adds_what_it_reads(&self, chain: Chain, depthwise: NodeId) -> bool {
        let first = self.expansion(depthwise).unwrap_or(depthwise);
        let residual = chain.residual(self.graph);
        residual.is_none_or(|residual| residual == self.input(first))
    }

    fn is_made_by_channels(&self, depthwise: NodeId) -> bool {
        self.expansion(depthwise).is_some_and(|expand| {
            let channels = |id: NodeId| self.graph.node(id).channels;
            channels(expand) < channels(self.input(expand))
                && self.sizes[expand.index()].cells() <= MOST_PIXELS_BY_CHANNELS
        })
    }
}
