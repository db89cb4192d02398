//! The steps of a plan: what each node runs on.

use std::ops::Range;

use ssdlite_core::Activation;
use ssdlite_kernels::arena::Slot;
use ssdlite_kernels::train::gradient::Store;
use ssdlite_kernels::train::map::MapShape;
use ssdlite_kernels::train::pointwise::PointwiseShape;
use ssdlite_kernels::train::upsample::UpsampleShape;

use super::source::{Gather, Kernel, Pending, Source, Target};
use crate::step::RunningStatistics;

/// A node's work in both directions.
#[derive(Debug)]
pub(super) struct Step {
    /// The node.
    pub(super) node: usize,
    /// torchvision's prefix of its tensors, or what it does.
    pub(super) key: String,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    Unit(Unit),
    Conv(Conv),
    Excite(Excite),
    Add(Add),
    Upsample(Upsample),
    Pool(Pool),
    Linear(Linear),
}

/// Convolution, batch norm and activation.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) kernel: Kernel,
    pub(super) source: Source,
    /// The convolution's output.
    pub(super) z: Slot,
    pub(super) shape: MapShape,
    pub(super) activation: Activation,
    pub(super) tensors: UnitTensors,
    /// A unit that trains is normalised by the batch's statistics, another by
    /// those of earlier batches, which stay as they are.
    pub(super) trains: Trains,
    /// The result, where it is stored.
    pub(super) stored: Option<Slot>,
    pub(super) backward: Option<UnitBackward>,
}

/// Where a unit's tensors lie.
#[derive(Debug)]
pub(super) struct UnitTensors {
    pub(super) weight: Range<usize>,
    pub(super) gamma: Range<usize>,
    pub(super) beta: Range<usize>,
    pub(super) running: RunningStatistics,
}

#[derive(Debug)]
pub(super) struct UnitBackward {
    /// The gradient of the result.
    pub(super) gradient: Slot,
    /// How the weight's gradient is written.
    pub(super) weight_store: Store,
    /// Where the sums of batch norm's backward pass come from.
    pub(super) sums: Sums,
    pub(super) input: Option<InputTarget>,
}

/// Where the sums of batch norm's backward pass come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sums {
    /// The one reader of the result gathered them.
    Gathered,
    /// A pass of their own.
    Pass,
    /// The same, through this squeeze-and-excite.
    Excited(usize),
}

/// Where a convolution's input gradient goes, and what is gathered from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct InputTarget {
    pub(super) target: Target,
    pub(super) gather: Gather,
}

/// A 1x1 convolution with bias that writes to an output of the network.
#[derive(Debug)]
pub(super) struct Conv {
    pub(super) shape: PointwiseShape,
    pub(super) source: Source,
    /// The output on its way, and later its gradient.
    pub(super) z: Slot,
    pub(super) weight: Range<usize>,
    pub(super) bias: Range<usize>,
    pub(super) rows: Rows,
    pub(super) trains: Trains,
    pub(super) backward: Option<ConvBackward>,
}

#[derive(Debug)]
pub(super) struct ConvBackward {
    /// The gradient of the output.
    pub(super) gradient: Slot,
    /// How the gradients of weight and bias are written.
    pub(super) weight_store: Store,
    pub(super) input: Option<InputTarget>,
}

/// Whether a node's parameters get gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trains {
    Yes,
    No,
}

/// Which of an output's numbers a node writes.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// The output's place in the graph's order.
    pub(super) output: usize,
    /// Numbers of an image.
    pub(super) range: Range<usize>,
}

/// Squeeze-and-excite.
#[derive(Debug)]
pub(super) struct Excite {
    /// What is scaled.
    pub(super) input: Pending,
    pub(super) shape: MapShape,
    pub(super) tensors: ExciteTensors,
    pub(super) trains: Trains,
    /// Whether the gradient goes through it.
    pub(super) has_gradient: bool,
}

/// Where the tensors of a squeeze-and-excite lie.
#[derive(Debug)]
pub(super) struct ExciteTensors {
    pub(super) squeeze: Range<usize>,
    pub(super) squeeze_bias: Range<usize>,
    pub(super) expand: Range<usize>,
    pub(super) expand_bias: Range<usize>,
}

/// The sum of two maps.
#[derive(Debug)]
pub(super) struct Add {
    pub(super) shape: MapShape,
    /// The first of both, computed on reading if it was not stored.
    pub(super) first: Source,
    pub(super) second: Slot,
    pub(super) sum: Slot,
    /// Its gradient and where that goes, for inputs that don't share it.
    pub(super) backward: Vec<(Slot, Target)>,
}

/// Nearest upsampling by two.
#[derive(Debug)]
pub(super) struct Upsample {
    pub(super) shape: UpsampleShape,
    pub(super) source: Source,
    pub(super) output: Slot,
    pub(super) backward: Option<(Slot, Target)>,
}

/// The mean of each channel over the map.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) shape: MapShape,
    pub(super) source: Source,
    pub(super) output: Slot,
    pub(super) backward: Option<(Slot, Target)>,
}

/// Dropout, linear layer and activation.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) shape: PointwiseShape,
    pub(super) input: Slot,
    /// The input after dropout, and the chance to be dropped.
    pub(super) dropped: Option<(Slot, f64)>,
    /// The layer's output.
    pub(super) z: Slot,
    pub(super) activation: Activation,
    /// After the activation, if there is one.
    pub(super) activated: Option<Slot>,
    pub(super) weight: Range<usize>,
    pub(super) bias: Range<usize>,
    /// Where the result is an output of the network.
    pub(super) rows: Option<Rows>,
    pub(super) trains: Trains,
    pub(super) backward: Option<LinearBackward>,
}

#[derive(Debug)]
pub(super) struct LinearBackward {
    /// The gradient of the result.
    pub(super) gradient: Slot,
    pub(super) input: Option<Target>,
}

impl Work {
    /// What is left for the backward pass to do.
    pub(super) fn has_backward(&self) -> bool {
        match self {
            Self::Unit(unit) => unit.backward.is_some(),
            Self::Conv(conv) => conv.backward.is_some(),
            Self::Excite(excite) => excite.has_gradient,
            Self::Add(add) => !add.backward.is_empty(),
            Self::Upsample(upsample) => upsample.backward.is_some(),
            Self::Pool(pool) => pool.backward.is_some(),
            Self::Linear(linear) => linear.backward.is_some(),
        }
    }
}
