//! One training step: a batch in, losses and the gradient vector out.
//!
//! A network's tensors lie in one flat vector, each in its named range
//! ([`TensorLayout`]); gradients, the optimizer's moments and the moving average
//! are vectors of the same layout beside it. What computes the gradients is a
//! [`TrainingStep`]: on the CPU a [`StepPlan`]. The loop around it knows no
//! layer.

mod initial;
pub mod loss;
mod objective;
mod optimizer;
mod parameters;
mod plan;
mod schedule;
mod statistics;
mod taken_over;
mod tensors;

use std::num::NonZeroUsize;
use std::sync::Arc;

use ssdlite_core::{Graph, MapSize};
use ssdlite_kernels::{Context, Isa, Pool};

pub use initial::random_values;
pub(crate) use initial::{detector_of_weights, first_values, values_from_file};
pub use objective::{Objective, Targets};
pub use parameters::Parameters;
pub use plan::{Pass, StepPlan, drop_out};
pub use schedule::{Decay, Schedule};
pub use statistics::{BatchStatistics, RunningStatistics};
pub use tensors::{TensorLayout, TensorSlot};

use crate::error::{Error, Result};

/// Losses, of one step or as a mean over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Losses {
    /// Loss of the classes.
    pub classification: f64,
    /// Loss of the boxes; a classifier has none.
    pub regression: Option<f64>,
}

impl Losses {
    /// What is minimised.
    pub fn total(&self) -> f64 {
        self.classification + self.regression.unwrap_or(0.0)
    }
}

/// A batch as the network gets it, in memory.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// `[images, height, width, 3]`, preprocessed.
    pub pixels: &'a [f32],
    /// What the outputs should be.
    pub targets: Targets<'a>,
    /// What the step draws its random numbers from.
    pub random: u64,
}

/// The vectors that a step reads and writes, both of the network's
/// [`TensorLayout`].
#[derive(Debug)]
pub struct StepTensors<'a> {
    /// Parameters, and the running statistics of parts that don't train.
    pub values: &'a [f32],
    /// The ranges of trained parameters receive the gradients; nothing is
    /// written to the others.
    pub gradients: &'a mut [f32],
}

/// What a training step is made for.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// Images in each batch.
    pub images: NonZeroUsize,
    /// Size of the images.
    pub input: MapSize,
    /// The loss.
    pub objective: Objective,
}

/// The processor's instruction set and the threads that share its work.
#[derive(Clone, Debug)]
pub struct Cpu {
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Threads.
    pub pool: Arc<Pool>,
}

impl Cpu {
    /// The best instruction set of this machine on this many threads.
    ///
    /// # Errors
    /// [`Error::Threads`] if the system doesn't start them.
    pub fn new(threads: NonZeroUsize) -> Result<Self> {
        let pool = Pool::new(threads).map_err(|source| Error::Threads { threads, source })?;
        Ok(Self {
            isa: Isa::detect(),
            pool: Arc::new(pool),
        })
    }

    /// What kernels run on.
    pub fn context(&self) -> Context<'_> {
        Context {
            isa: self.isa,
            pool: &self.pool,
        }
    }

    /// The number of threads.
    pub fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.pool.threads()).unwrap_or(NonZeroUsize::MIN)
    }
}

/// What training steps run on.
pub trait TrainingDevice {
    /// Bytes of this machine's memory that a step takes besides its tensors and its
    /// batches; 0 for a device with a memory of its own.
    ///
    /// # Errors
    /// As [`TrainingDevice::step`].
    fn step_bytes(&self, graph: &Graph, layout: &TensorLayout, options: StepOptions)
    -> Result<u64>;

    /// Whether a step takes the processor's threads, so that nothing else runs on them
    /// meanwhile.
    fn takes_processor(&self) -> bool {
        true
    }

    /// A step of a network whose tensors lie as `layout` says. Losses, and
    /// whatever else the device leaves to the processor, run on `cpu`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a network that the device can't run,
    /// [`Error::Device`] if it refuses.
    fn step(
        &self,
        graph: &Graph,
        layout: &TensorLayout,
        options: StepOptions,
        cpu: &Cpu,
    ) -> Result<Box<dyn TrainingStep>>;
}

/// Training on the processor, by a [`StepPlan`].
#[derive(Clone, Copy, Debug, Default)]
pub struct OnCpu;

impl TrainingDevice for OnCpu {
    fn step_bytes(
        &self,
        graph: &Graph,
        layout: &TensorLayout,
        options: StepOptions,
    ) -> Result<u64> {
        StepPlan::bytes(graph, layout, options)
    }

    fn step(
        &self,
        graph: &Graph,
        layout: &TensorLayout,
        options: StepOptions,
        cpu: &Cpu,
    ) -> Result<Box<dyn TrainingStep>> {
        Ok(Box::new(StepPlan::new(graph, layout, options, cpu)?))
    }
}

/// What computes the losses and gradients of a batch.
pub trait TrainingStep {
    /// Forward, loss and backward.
    ///
    /// # Errors
    /// [`crate::Error::InvalidRequest`] for a batch of another size than the one that
    /// this was made for.
    fn run(&mut self, batch: Batch<'_>, tensors: StepTensors<'_>) -> Result<Losses>;

    /// Counts a batch of `pixels`, `[images, height, width, 3]`, into the running
    /// statistics of the parts that train, which lie in `values`.
    ///
    /// # Errors
    /// As [`Self::run`].
    fn gather_statistics(&mut self, pixels: &[f32], values: &mut [f32]) -> Result<()>;
}
