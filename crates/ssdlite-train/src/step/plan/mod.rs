//! A training step on the CPU as a plan: made once from the graph and the size
//! of the batch, run for each batch.
//!
//! The steps are the graph's nodes in order; the backward pass runs them in
//! reverse. A convolution with batch norm keeps its raw output `z` and the
//! batch's moments. Its result is computed by its reader where it has a single
//! one, and stored where it has several; the gradients of several readers are
//! added. All maps and their gradients lie in one arena, each for as long as
//! somebody needs it. Parameters and gradients are read and written where they
//! lie in the flat vectors.
//!
//! Batch normalisation: arXiv 1502.03167. Squeeze-and-excite: arXiv 1709.01507,
//! with the factors of MobileNetV3 (arXiv 1905.02244, section 5.3).

mod backward;
mod build;
mod forward;
mod linear;
mod source;
mod steps;

use ssdlite_core::Graph;
use ssdlite_kernels::Buffer;
use ssdlite_kernels::arena::Places;

use super::{Batch, Cpu, Losses, StepOptions, StepTensors, TensorLayout, TrainingStep};
use crate::error::{Error, Result};
pub use linear::drop_out;
use source::State;
use steps::Step;

/// A direction in which the steps are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// From the images to the outputs.
    Forward,
    /// From the gradient of the outputs to those of the parameters.
    Backward,
}

/// A training step of one network on batches of one size.
pub struct StepPlan {
    steps: Vec<Step>,
    places: Places,
    arena: Buffer,
    states: Vec<State>,
    outputs: Vec<Vec<f32>>,
    options: StepOptions,
    cpu: Cpu,
    /// Numbers of all tensors.
    tensors: usize,
}

/// Batches that are in memory beside a step: the one it works on and those that
/// are made meanwhile.
const BATCHES: usize = 4;

/// Checks that the system gives the memory of a step, where to ask for too much
/// would end the process.
fn expect_memory(arena: usize, options: StepOptions) -> Result<()> {
    let StepOptions { images, input, .. } = options;
    let pixels = images.get() * input.height * input.width * 3;
    let numbers = arena.saturating_add(BATCHES * pixels);
    let asked = Vec::<f32>::new().try_reserve_exact(numbers);
    asked.map_err(|_| {
        let gibibytes = numbers as f64 * 4.0 / f64::from(1 << 30);
        Error::Config(format!(
            "a batch of {images} at {}x{} pixels takes {gibibytes:.1} GiB of memory, which the system \
             refuses: a smaller batch or smaller images take less",
            input.width, input.height
        ))
    })
}

impl StepPlan {
    /// A plan for a network whose tensors lie as `layout` says. Parts that
    /// don't train are normalised by their running statistics, and nothing is
    /// kept of them.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an operation that there is no kernel for, or
    /// nodes in a combination that no network here has; [`Error::Config`] for
    /// more memory than the system gives.
    pub fn new(
        graph: &Graph,
        layout: &TensorLayout,
        options: StepOptions,
        cpu: &Cpu,
    ) -> Result<Self> {
        let built = build::build(graph, layout, options)?;
        expect_memory(built.places.len(), options)?;
        Ok(Self {
            arena: Buffer::zeroed(built.places.len()),
            states: graph.nodes().iter().map(|_| State::default()).collect(),
            steps: built.steps,
            places: built.places,
            outputs: built.outputs.iter().map(|&len| vec![0.0; len]).collect(),
            options,
            cpu: cpu.clone(),
            tensors: layout.len(),
        })
    }

    /// Bytes that a plan takes, which it is not made for: those of its arena, and of the
    /// outputs with their gradients.
    ///
    /// # Errors
    /// [`Error::Unsupported`], as [`Self::new`].
    pub fn bytes(graph: &Graph, layout: &TensorLayout, options: StepOptions) -> Result<u64> {
        let built = build::build(graph, layout, options)?;
        let outputs: usize = built.outputs.iter().sum();
        let numbers = (built.places.len() as u64).saturating_add(2 * outputs as u64);
        Ok(numbers.saturating_mul(size_of::<f32>() as u64))
    }

    /// The network's outputs for a batch of `pixels`,
    /// `[images, height, width, 3]`, in the order of the graph: each
    /// `[images, rows, numbers]`. Parts that train are normalised by the batch's
    /// statistics.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for vectors of other lengths.
    pub fn forward(&mut self, pixels: &[f32], values: &[f32]) -> Result<&[Vec<f32>]> {
        self.check("tensors", values.len(), self.tensors)?;
        self.check_pixels(pixels)?;
        self.run_forward(pixels, values, 0, &mut |_, _| {});
        Ok(&self.outputs)
    }

    /// [`TrainingStep::run`]; `after` is told the key of each node in each
    /// direction when it is done: for timing.
    ///
    /// # Errors
    /// As [`TrainingStep::run`].
    pub fn run_watched(
        &mut self,
        batch: Batch<'_>,
        tensors: StepTensors<'_>,
        mut after: impl FnMut(Pass, &str),
    ) -> Result<Losses> {
        let StepTensors { values, gradients } = tensors;
        self.check("tensors", values.len(), self.tensors)?;
        self.check("gradients", gradients.len(), self.tensors)?;
        self.check_pixels(batch.pixels)?;
        self.run_forward(batch.pixels, values, batch.random, &mut after);
        let (losses, output_gradients) = self.options.objective.evaluate(
            &self.outputs,
            batch.targets,
            self.options.images,
            self.cpu.threads(),
        )?;
        let pass = backward::Backward {
            pixels: batch.pixels,
            values,
            gradients,
            outputs: &output_gradients,
            random: batch.random,
        };
        self.run_backward(pass, &mut after);
        Ok(losses)
    }

    /// Bytes of the maps and gradients of a step.
    pub fn arena_bytes(&self) -> usize {
        self.arena.len() * size_of::<f32>()
    }

    fn check_pixels(&self, pixels: &[f32]) -> Result<()> {
        let expected = self.options.images.get() * self.options.input.cells() * 3;
        self.check("pixels", pixels.len(), expected)
    }

    fn check(&self, what: &str, found: usize, expected: usize) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(Error::InvalidRequest(format!(
            "{what} of a step: expected {expected} numbers, found {found}"
        )))
    }
}

impl TrainingStep for StepPlan {
    fn run(&mut self, batch: Batch<'_>, tensors: StepTensors<'_>) -> Result<Losses> {
        self.run_watched(batch, tensors, |_, _| {})
    }

    fn gather_statistics(&mut self, pixels: &[f32], values: &mut [f32]) -> Result<()> {
        self.forward(pixels, values)?;
        self.add_statistics(values);
        Ok(())
    }
}
