//! From a graph to the steps of a plan.
//!
//! The forward pass is laid out first, then the backward pass, node by node in
//! reverse. A slot of the arena is needed from the time at which it is written
//! to the last one at which it is read; the time is the place in the order of
//! both passes.

use std::collections::HashSet;
use std::ops::Range;

use ssdlite_core::graph::{self, Node};
use ssdlite_core::unit::ConvKind;
use ssdlite_core::{Activation, Graph, MapSize, NodeId, Operation};
use ssdlite_kernels::Buffer;
use ssdlite_kernels::arena::{Layout, Places, Slot};
use ssdlite_kernels::train::gradient::Store;
use ssdlite_kernels::train::map::{self, MapShape};
use ssdlite_kernels::train::pointwise::PointwiseShape;
use ssdlite_kernels::train::upsample::UpsampleShape;

use super::source::{Gather, Kernel, Pending, Source, Target};
use super::steps::{
    Add, Conv, ConvBackward, Excite, ExciteTensors, InputTarget, Linear, LinearBackward, Pool,
    Rows, Step, Sums, Trains, Unit, UnitBackward, UnitTensors, Upsample, Work,
};
use crate::error::{Error, Result};
use crate::step::{RunningStatistics, StepOptions, TensorLayout};

/// What a plan consists of.
pub(super) struct Built {
    pub(super) steps: Vec<Step>,
    pub(super) places: Places,
    /// Numbers of each output for the whole batch.
    pub(super) outputs: Vec<usize>,
}

/// Lays out the steps of a network.
pub(super) fn build(graph: &Graph, tensors: &TensorLayout, options: StepOptions) -> Result<Built> {
    let mut builder = Builder::new(graph, tensors, options)?;
    for (id, node) in graph.iter() {
        builder.forward(id, node)?;
    }
    let mut steps = std::mem::take(&mut builder.steps);
    for step in steps.iter_mut().rev() {
        builder.backward(step)?;
    }
    Ok(Built {
        steps,
        places: builder.slots.placed(),
        outputs: builder.outputs,
    })
}

struct Builder<'a> {
    graph: &'a Graph,
    tensors: &'a TensorLayout,
    images: usize,
    /// Sizes of the nodes' maps.
    sizes: Vec<MapSize>,
    readers: Vec<Vec<NodeId>>,
    /// Whether a gradient is wanted of a node's result.
    wanted: Vec<bool>,
    /// What the readers of a node read.
    results: Vec<Option<Source>>,
    /// The gradient of a node's result, as soon as a reader has written to it.
    gradients: Vec<Option<Slot>>,
    /// Which output's numbers a node makes.
    rows: Vec<Option<Rows>>,
    outputs: Vec<usize>,
    /// Where weights begin whose gradient a step of the backward pass has written.
    written: HashSet<usize>,
    slots: Layout,
    steps: Vec<Step>,
}

fn unsupported<T>(node: &Node, reason: &str) -> Result<T> {
    let what = if node.key.is_empty() {
        format!("{:?}", node.operation)
    } else {
        node.key.clone()
    };
    Err(Error::Unsupported(format!("{what}: {reason}")))
}

impl<'a> Builder<'a> {
    fn new(graph: &'a Graph, tensors: &'a TensorLayout, options: StepOptions) -> Result<Self> {
        let count = graph.nodes().len();
        let mut wanted: Vec<bool> = Vec::with_capacity(count);
        for node in graph.nodes() {
            let trains = tensors.trains(node.part) && !node.tensors().is_empty();
            wanted.push(trains || node.inputs.iter().any(|id| wanted[id.index()]));
        }
        let mut builder = Self {
            graph,
            tensors,
            images: options.images.get(),
            sizes: graph.map_sizes(options.input),
            readers: graph.readers(),
            wanted,
            results: vec![None; count],
            gradients: vec![None; count],
            rows: vec![None; count],
            outputs: Vec::new(),
            written: HashSet::new(),
            slots: Layout::new(Buffer::LINE),
            steps: Vec::new(),
        };
        for (output, (node, _)) in graph.outputs().enumerate() {
            let mut end = 0;
            for &input in &node.inputs {
                let start = end;
                end += builder.sizes[input.index()].cells() * graph.node(input).channels;
                if builder.readers[input.index()].len() > 1 {
                    return unsupported(graph.node(input), "expected the output as its one reader");
                }
                let range = start..end;
                builder.rows[input.index()] = Some(Rows { output, range });
            }
            builder.outputs.push(end * builder.images);
        }
        Ok(builder)
    }

    /// When a node's forward pass runs.
    fn forward_time(&self, id: usize) -> usize {
        id
    }

    /// When a node's backward pass runs.
    fn backward_time(&self, id: usize) -> usize {
        2 * self.graph.nodes().len() - 1 - id
    }

    fn map(&self, id: usize) -> Result<MapShape> {
        let node = &self.graph.nodes()[id];
        MapShape::new(self.images, self.sizes[id].cells(), node.channels)
            .or_else(|error| unsupported(node, &error.to_string()))
    }

    fn range(&self, node: &Node, name: &str) -> Result<Range<usize>> {
        self.range_of(node, &format!("{}.{name}", node.key))
    }

    fn range_of(&self, node: &Node, key: &str) -> Result<Range<usize>> {
        let range = self.tensors.range(key);
        range.map_or_else(
            || unsupported(node, &format!("expected a place for {key}")),
            Ok,
        )
    }

    /// How a step of the backward pass, the next one, writes the gradient of a
    /// weight: those of nodes that share it are added.
    fn store_of(&mut self, weight: &Range<usize>) -> Store {
        if self.written.insert(weight.start) {
            Store::Overwrite
        } else {
            Store::Add
        }
    }

    fn trains(&self, node: &Node) -> Trains {
        if self.tensors.trains(node.part) {
            Trains::Yes
        } else {
            Trains::No
        }
    }

    /// What a node reads, in use at `time`.
    fn read(&mut self, input: NodeId, time: usize) -> Result<Source> {
        let Some(source) = self.results[input.index()] else {
            let node = self.graph.node(input);
            return unsupported(node, "expected a result that can be read");
        };
        self.use_source(source, time);
        Ok(source)
    }

    fn read_stored(&mut self, input: NodeId, time: usize) -> Result<Slot> {
        match self.read(input, time)? {
            Source::Stored(slot) => Ok(slot),
            _ => unsupported(self.graph.node(input), "expected stored values"),
        }
    }

    fn use_source(&mut self, source: Source, time: usize) {
        if let Some(slot) = source.slot() {
            self.slots.used(slot, time);
        }
    }

    /// Whether a unit's result is left to its reader: there is one, which can
    /// compute it while reading.
    fn stays_pending(&self, id: NodeId) -> bool {
        let [reader] = self.readers[id.index()][..] else {
            return false;
        };
        let reader = self.graph.node(reader);
        match reader.operation {
            Operation::ConvUnit(conv, _) | Operation::Conv(conv) => conv.kind != ConvKind::Full,
            Operation::SqueezeExcite { .. }
            | Operation::GlobalPool
            | Operation::Upsample { .. } => true,
            Operation::Add => reader.inputs[0] == id,
            Operation::Image | Operation::Linear(_) | Operation::Output(_) => false,
        }
    }

    fn forward(&mut self, id: NodeId, node: &Node) -> Result<()> {
        let index = id.index();
        let (work, result) = match node.operation {
            Operation::Image => {
                self.results[index] = Some(Source::Pixels);
                return Ok(());
            }
            Operation::Output(_) => return Ok(()),
            Operation::ConvUnit(conv, activation) => self.unit(id, node, conv, activation)?,
            Operation::Conv(conv) => (Work::Conv(self.conv(index, node, conv)?), None),
            Operation::SqueezeExcite { .. } => self.excite(index, node)?,
            Operation::Add => self.add(index, node)?,
            Operation::Upsample { .. } => self.upsample(index, node)?,
            Operation::GlobalPool => self.pool(index, node)?,
            Operation::Linear(layer) => self.linear(index, node, layer)?,
        };
        self.results[index] = result;
        let key = match node.operation {
            Operation::Add => "add",
            Operation::Upsample { .. } => "upsample",
            Operation::GlobalPool => "avgpool",
            _ => &node.key,
        };
        self.steps.push(Step {
            node: index,
            key: key.into(),
            work,
        });
        Ok(())
    }

    fn unit(
        &mut self,
        id: NodeId,
        node: &Node,
        conv: ssdlite_core::unit::Conv,
        activation: Activation,
    ) -> Result<(Work, Option<Source>)> {
        let index = id.index();
        let time = self.forward_time(index);
        let input = node.inputs[0];
        let source = self.read(input, time)?;
        let kernel = Kernel::new(conv, self.images, self.sizes[input.index()])?;
        let shape = self.map(index)?;
        let z = self.slots.slot(shape.size(), time);
        let pending = self.stays_pending(id);
        let stored = (!pending).then(|| self.slots.slot(shape.size(), time));
        let result = stored.map_or(
            Source::Pending(Pending {
                unit: index,
                z,
                activation,
                excite: None,
            }),
            Source::Stored,
        );
        let unit = Unit {
            kernel,
            source,
            z,
            shape,
            activation,
            tensors: UnitTensors {
                weight: self.range_of(node, &node.weight_key())?,
                gamma: self.range(node, "1.weight")?,
                beta: self.range(node, "1.bias")?,
                running: RunningStatistics {
                    mean: self.range(node, "1.running_mean")?,
                    variance: self.range(node, "1.running_var")?,
                    batches: self.range(node, "1.num_batches_tracked")?,
                },
            },
            trains: self.trains(node),
            stored,
            backward: None,
        };
        Ok((Work::Unit(unit), Some(result)))
    }

    fn conv(&mut self, index: usize, node: &Node, conv: ssdlite_core::unit::Conv) -> Result<Conv> {
        let time = self.forward_time(index);
        let input = node.inputs[0];
        let source = self.read(input, time)?;
        let kernel = Kernel::new(conv, self.images, self.sizes[input.index()])?;
        let (Kernel::Pointwise(shape), Some(rows)) = (kernel, self.rows[index].clone()) else {
            return unsupported(
                node,
                "expected a 1x1 convolution with bias to make an output",
            );
        };
        Ok(Conv {
            shape,
            source,
            z: self.slots.slot(shape.output_size(), time),
            weight: self.range_of(node, &node.weight_key())?,
            bias: self.range_of(node, &node.bias_key())?,
            rows,
            trains: self.trains(node),
            backward: None,
        })
    }

    fn excite(&mut self, index: usize, node: &Node) -> Result<(Work, Option<Source>)> {
        let time = self.forward_time(index);
        let source = self.read(node.inputs[0], time)?;
        let Source::Pending(input @ Pending { excite: None, .. }) = source else {
            return unsupported(
                node,
                "expected a convolution with no other reader before it",
            );
        };
        let reader = match self.readers[index][..] {
            [reader] => self.graph.node(reader).operation,
            _ => return unsupported(node, "expected one reader"),
        };
        if !matches!(reader, Operation::ConvUnit(conv, _) if conv.kind != ConvKind::Full) {
            return unsupported(node, "expected a convolution after it");
        }
        let excite = Excite {
            input,
            shape: self.map(index)?,
            tensors: ExciteTensors {
                squeeze: self.range(node, "fc1.weight")?,
                squeeze_bias: self.range(node, "fc1.bias")?,
                expand: self.range(node, "fc2.weight")?,
                expand_bias: self.range(node, "fc2.bias")?,
            },
            trains: self.trains(node),
            has_gradient: false,
        };
        let result = Source::Pending(Pending {
            excite: Some(index),
            ..input
        });
        Ok((Work::Excite(excite), Some(result)))
    }

    fn add(&mut self, index: usize, node: &Node) -> Result<(Work, Option<Source>)> {
        let time = self.forward_time(index);
        if node.inputs[0] == node.inputs[1] {
            return unsupported(node, "expected two different maps");
        }
        let first = self.read(node.inputs[0], time)?;
        let second = self.read_stored(node.inputs[1], time)?;
        let shape = self.map(index)?;
        let sum = self.slots.slot(shape.size(), time);
        let add = Add {
            shape,
            first,
            second,
            sum,
            backward: Vec::new(),
        };
        Ok((Work::Add(add), Some(Source::Stored(sum))))
    }

    fn upsample(&mut self, index: usize, node: &Node) -> Result<(Work, Option<Source>)> {
        let time = self.forward_time(index);
        let input = node.inputs[0];
        let source = self.read(input, time)?;
        let (from, to) = (self.sizes[input.index()], self.sizes[index]);
        let from = map::GridShape {
            images: self.images,
            height: from.height,
            width: from.width,
            channels: node.channels,
        };
        let to = map::MapSize {
            height: to.height,
            width: to.width,
        };
        let shape =
            UpsampleShape::new(from, to).or_else(|error| unsupported(node, &error.to_string()))?;
        let output = self.slots.slot(self.map(index)?.size(), time);
        let upsample = Upsample {
            shape,
            source,
            output,
            backward: None,
        };
        Ok((Work::Upsample(upsample), Some(Source::Stored(output))))
    }

    fn pool(&mut self, index: usize, node: &Node) -> Result<(Work, Option<Source>)> {
        let time = self.forward_time(index);
        let source = self.read(node.inputs[0], time)?;
        let output = self.slots.slot(self.images * node.channels, time);
        let pool = Pool {
            shape: self.map(node.inputs[0].index())?,
            source,
            output,
            backward: None,
        };
        Ok((Work::Pool(pool), Some(Source::Stored(output))))
    }

    fn linear(
        &mut self,
        index: usize,
        node: &Node,
        layer: graph::Linear,
    ) -> Result<(Work, Option<Source>)> {
        let time = self.forward_time(index);
        let trains = self.trains(node);
        let input = self.read_stored(node.inputs[0], time)?;
        let shape = MapShape::new(self.images, 1, layer.in_features)
            .and_then(|map| PointwiseShape::new(map, layer.out_features))
            .or_else(|error| unsupported(node, &error.to_string()))?;
        let drops = trains == Trains::Yes && layer.dropout > 0.0;
        let dropped = drops.then(|| {
            let slot = self.slots.slot(self.images * layer.in_features, time);
            (slot, layer.dropout)
        });
        let z = self.slots.slot(shape.output_size(), time);
        let activated = (layer.activation != Activation::Identity)
            .then(|| self.slots.slot(shape.output_size(), time));
        let linear = Linear {
            shape,
            input,
            dropped,
            z,
            activation: layer.activation,
            activated,
            weight: self.range(node, "weight")?,
            bias: self.range(node, "bias")?,
            rows: self.rows[index].clone(),
            trains,
            backward: None,
        };
        Ok((
            Work::Linear(linear),
            Some(Source::Stored(activated.unwrap_or(z))),
        ))
    }

    /// Lays out a step's backward pass, if a gradient is wanted of its result.
    fn backward(&mut self, step: &mut Step) -> Result<()> {
        let index = step.node;
        if !self.wanted[index] {
            return Ok(());
        }
        let node = &self.graph.nodes()[index];
        let time = self.backward_time(index);
        match &mut step.work {
            Work::Unit(unit) => {
                let gradient = self.gradient(index, time)?;
                self.slots.used(unit.z, time);
                unit.backward = Some(UnitBackward {
                    gradient,
                    weight_store: self.store_of(&unit.tensors.weight),
                    sums: self.sums(index, unit.stored),
                    input: self.input_target(node.inputs[0], unit.source, time)?,
                });
            }
            Work::Conv(conv) => {
                let gradient = self.slots.slot(conv.shape.output_size(), time);
                conv.backward = Some(ConvBackward {
                    gradient,
                    weight_store: self.store_of(&conv.weight),
                    input: self.input_target(node.inputs[0], conv.source, time)?,
                });
            }
            Work::Excite(excite) => {
                // The unit takes it on through the factors.
                let gradient = self.gradient(index, time)?;
                self.gradients[excite.input.unit] = Some(gradient);
                excite.has_gradient = true;
            }
            Work::Add(add) => {
                let gradient = self.gradient(index, time)?;
                for (input, other) in [(0, 1), (1, 0)] {
                    let (input, other) = (node.inputs[input], node.inputs[other]);
                    if let Some(target) = self.pass_on(input, other, gradient, time)? {
                        add.backward.push((gradient, target));
                    }
                }
            }
            Work::Upsample(upsample) => {
                let gradient = self.gradient(index, time)?;
                upsample.backward = Some((gradient, self.target_by_part(node.inputs[0], time)?));
            }
            Work::Pool(pool) => {
                let gradient = self.gradient(index, time)?;
                pool.backward = Some((gradient, self.target_by_part(node.inputs[0], time)?));
            }
            Work::Linear(linear) => {
                let gradient = match linear.rows {
                    Some(_) => self.slots.slot(linear.shape.output_size(), time),
                    None => self.gradient(index, time)?,
                };
                let input = linear.dropped.map_or(linear.input, |(slot, _)| slot);
                self.slots.used(linear.z, time);
                self.slots.used(input, time);
                let input = node.inputs[0];
                let wanted = self.wanted[input.index()];
                linear.backward = Some(LinearBackward {
                    gradient,
                    input: wanted
                        .then(|| self.target_by_part(input, time))
                        .transpose()?,
                });
            }
        }
        Ok(())
    }

    /// The gradient of a node's result, which its readers have written.
    fn gradient(&mut self, index: usize, time: usize) -> Result<Slot> {
        let Some(slot) = self.gradients[index] else {
            let node = &self.graph.nodes()[index];
            return unsupported(node, "expected a reader that leads to an output");
        };
        self.slots.used(slot, time);
        Ok(slot)
    }

    fn sums(&self, index: usize, stored: Option<Slot>) -> Sums {
        let reader = match self.readers[index][..] {
            [reader] if stored.is_none() => reader,
            _ => return Sums::Pass,
        };
        match self.graph.node(reader).operation {
            Operation::ConvUnit(..) | Operation::Conv(_) => Sums::Gathered,
            Operation::SqueezeExcite { .. } => Sums::Excited(reader.index()),
            _ => Sums::Pass,
        }
    }

    /// Where the gradient of a convolution's input goes, if it is wanted. The
    /// input itself is read again.
    fn input_target(
        &mut self,
        input: NodeId,
        source: Source,
        time: usize,
    ) -> Result<Option<InputTarget>> {
        self.use_source(source, time);
        if !self.wanted[input.index()] {
            return Ok(None);
        }
        Ok(Some(InputTarget {
            target: self.target(input, time)?,
            gather: Gather::of(source),
        }))
    }

    /// Where a reader that can add writes the gradient of what it read.
    fn target(&mut self, input: NodeId, time: usize) -> Result<Target> {
        let index = input.index();
        let (slot, store) = match self.gradients[index] {
            None => (
                self.slots.slot(self.map(index)?.size(), time),
                Store::Overwrite,
            ),
            Some(sum) => (sum, Store::Add),
        };
        self.slots.used(slot, time);
        self.gradients[index] = Some(slot);
        Ok(Target {
            slot,
            store,
            part: None,
        })
    }

    /// The same for a reader that can't add.
    fn target_by_part(&mut self, input: NodeId, time: usize) -> Result<Target> {
        let target = self.target(input, time)?;
        let len = self.map(input.index())?.size();
        let part = (target.store == Store::Add).then(|| self.slots.slot(len, time));
        Ok(Target { part, ..target })
    }

    /// How an input of a sum takes over the sum's gradient. It may share the
    /// slot if nobody adds to it while the other input still reads it.
    fn pass_on(
        &mut self,
        input: NodeId,
        other: NodeId,
        gradient: Slot,
        time: usize,
    ) -> Result<Option<Target>> {
        let index = input.index();
        if !self.wanted[index] {
            return Ok(None);
        }
        let readers = &self.readers[index];
        let is_unit = matches!(self.graph.node(other).operation, Operation::ConvUnit(..));
        let others_done = is_unit && readers[..readers.len() - 1].iter().all(|&r| r < other);
        let is_first = self.gradients[index].is_none();
        if is_first && (readers.len() == 1 || others_done) {
            self.gradients[index] = Some(gradient);
            return Ok(None);
        }
        Ok(Some(self.target(input, time)?))
    }
}
