//! A training step on a GPU.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use burn::tensor::{Device, Tensor, TensorData, Transaction};
use ssdlite_core::Graph;
use ssdlite_train::step::{
    Batch, BatchStatistics, Losses, RunningStatistics, StepOptions, StepTensors, TensorLayout,
    TensorSlot, TrainingStep,
};
use ssdlite_train::{Error, Result};

use crate::guard::{failed, guarded};
use crate::network::{Forward, Moments, Results, Statistics};

/// What a step is doing when it fails.
const STEP: &str = "expected the GPU to run a step";

/// A training step of one network on batches of one size.
pub(crate) struct GpuStep {
    graph: Graph,
    layout: TensorLayout,
    /// For each node the places of its tensors among those of the layout, some of
    /// which nodes share.
    slots: Vec<Vec<usize>>,
    statistics: Vec<Statistics>,
    options: StepOptions,
    threads: NonZeroUsize,
    device: Device,
}

/// A batch's moments in memory.
struct ReadMoments {
    node: usize,
    mean: Vec<f32>,
    variance: Vec<f32>,
    count: usize,
}

impl GpuStep {
    pub(crate) fn new(
        graph: &Graph,
        layout: &TensorLayout,
        options: StepOptions,
        threads: NonZeroUsize,
        device: &Device,
    ) -> Self {
        let places: HashMap<&str, usize> = (layout.slots().iter().zip(0..))
            .map(|(slot, place)| (slot.spec.key.as_str(), place))
            .collect();
        let slots = graph.nodes().iter().map(|node| {
            let tensors = node.tensors().into_iter();
            tensors.map(|tensor| places[tensor.key.as_str()]).collect()
        });
        let statistics = graph.nodes().iter().map(|node| {
            if layout.trains(node.part) {
                Statistics::Batch
            } else {
                Statistics::Running
            }
        });
        Self {
            slots: slots.collect(),
            statistics: statistics.collect(),
            graph: graph.clone(),
            layout: layout.clone(),
            options,
            threads,
            device: device.clone().autodiff(),
        }
    }

    fn forward(&self, pixels: &[f32], tensors: &[Tensor<1>], random: u64) -> Results {
        let of_node = |places: &Vec<usize>| {
            let tensors = places.iter().map(|&place| tensors[place].clone());
            tensors.collect()
        };
        let tensors: Vec<Vec<Tensor<1>>> = self.slots.iter().map(of_node).collect();
        let forward = Forward {
            graph: &self.graph,
            tensors: &tensors,
            statistics: &self.statistics,
            random,
            device: &self.device,
        };
        forward.run(self.images(pixels))
    }

    /// The losses and the gradient of each trained tensor.
    fn compute(&self, batch: Batch<'_>, values: &[f32]) -> Result<(Losses, Vec<Vec<f32>>)> {
        let tensors = self.upload(values);
        let outputs = self.forward(batch.pixels, &tensors, batch.random).outputs;
        let (losses, gradients) = self.options.objective.evaluate(
            &read_outputs(&outputs, self.options.images.get())?,
            batch.targets,
            self.options.images,
            self.threads,
        )?;
        Ok((losses, self.backward(outputs, gradients, &tensors)?))
    }

    fn images(&self, pixels: &[f32]) -> Tensor<4> {
        let StepOptions { images, input, .. } = self.options;
        let shape = [images.get(), input.height, input.width, 3];
        let data = TensorData::new(pixels.to_vec(), shape);
        Tensor::<4>::from_data(data, &self.device).permute([0, 3, 1, 2])
    }

    /// The layout's tensors, of which the trained ones get gradients.
    fn upload(&self, values: &[f32]) -> Vec<Tensor<1>> {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        let flat = Tensor::<1>::from_data(data, &self.device);
        let tensor = |slot: &TensorSlot| {
            let tensor = flat.clone().slice([slot.range.clone()]);
            if slot.trained {
                tensor.require_grad()
            } else {
                tensor
            }
        };
        self.layout.slots().iter().map(tensor).collect()
    }

    /// The gradients of the trained tensors in the order of the layout, from
    /// those of the outputs: `sum(output * gradient)` has these.
    fn backward(
        &self,
        outputs: Vec<Vec<Tensor<2>>>,
        gradients: Vec<Vec<f32>>,
        tensors: &[Tensor<1>],
    ) -> Result<Vec<Vec<f32>>> {
        let mut products = Vec::new();
        for (parts, gradient) in outputs.into_iter().zip(gradients) {
            let lengths = lengths(&parts);
            for (part, gradient) in parts.into_iter().zip(split(&gradient, &lengths)) {
                let data = TensorData::new(gradient, part.dims());
                products.push((part * Tensor::from_data(data, &self.device)).sum());
            }
        }
        let sum = products.into_iter().reduce(|sum, product| sum + product);
        let Some(surrogate) = sum else {
            return Ok(Vec::new());
        };
        if !surrogate.is_tracked() {
            return Ok(Vec::new());
        }
        let mut gradients = surrogate.backward();
        let mut transaction = Transaction::default();
        let trained = self.layout.slots().iter().zip(tensors);
        for (slot, tensor) in trained.filter(|(slot, _)| slot.trained) {
            let gradient = tensor.grad_remove(&mut gradients).ok_or_else(|| {
                failed(STEP, &format!("there is no gradient of {}", slot.spec.key))
            })?;
            transaction = transaction.register(gradient);
        }
        read(transaction)
    }

    /// Counts the batch into a node's running statistics.
    fn add_statistics(&self, values: &mut [f32], moments: &ReadMoments) {
        let [_, _, _, mean, variance, batches] = self.slots[moments.node][..] else {
            return;
        };
        let range = |place: usize| self.layout.slots()[place].range.clone();
        let running = RunningStatistics {
            mean: range(mean),
            variance: range(variance),
            batches: range(batches),
        };
        let batch = BatchStatistics {
            mean: &moments.mean,
            variance: &moments.variance,
            count: moments.count,
        };
        running.add(values, batch);
    }

    fn check_pixels(&self, pixels: &[f32]) -> Result<()> {
        let expected = self.options.images.get() * self.options.input.cells() * 3;
        check("pixels", pixels.len(), expected)
    }
}

impl TrainingStep for GpuStep {
    fn run(&mut self, batch: Batch<'_>, tensors: StepTensors<'_>) -> Result<Losses> {
        let StepTensors { values, gradients } = tensors;
        self.check_pixels(batch.pixels)?;
        check("tensors", values.len(), self.layout.len())?;
        check("gradients", gradients.len(), self.layout.len())?;
        let (losses, read) = guarded(STEP, || self.compute(batch, values))?;
        let trained = self.layout.slots().iter().filter(|slot| slot.trained);
        for (slot, gradient) in trained.zip(read) {
            gradients[slot.range.clone()].copy_from_slice(&gradient);
        }
        Ok(losses)
    }

    fn gather_statistics(&mut self, pixels: &[f32], values: &mut [f32]) -> Result<()> {
        self.check_pixels(pixels)?;
        check("tensors", values.len(), self.layout.len())?;
        let moments = guarded(STEP, || {
            let tensors = self.upload(values);
            read_moments(self.forward(pixels, &tensors, 0).moments)
        })?;
        for moments in &moments {
            self.add_statistics(values, moments);
        }
        Ok(())
    }
}

fn check(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::InvalidRequest(format!(
        "{what} of a step: expected {expected} numbers, found {found}"
    )))
}

/// For each part of an output its numbers of one image.
fn lengths(parts: &[Tensor<2>]) -> Vec<usize> {
    parts.iter().map(|part| part.dims()[1]).collect()
}

/// An output whose images hold their numbers of each part one after the other.
fn join(parts: &[Vec<f32>], lengths: &[usize], images: usize) -> Vec<f32> {
    let of_image = |image: usize| {
        let parts = parts.iter().zip(lengths);
        parts.flat_map(move |(part, &length)| &part[image * length..][..length])
    };
    (0..images).flat_map(of_image).copied().collect()
}

/// Undoes [`join`].
fn split(output: &[f32], lengths: &[usize]) -> Vec<Vec<f32>> {
    let mut parts = vec![Vec::new(); lengths.len()];
    for mut image in output.chunks_exact(lengths.iter().sum()) {
        for (part, &length) in parts.iter_mut().zip(lengths) {
            let (numbers, rest) = image.split_at(length);
            part.extend_from_slice(numbers);
            image = rest;
        }
    }
    parts
}

/// The outputs in memory, in one transfer.
fn read_outputs(outputs: &[Vec<Tensor<2>>], images: usize) -> Result<Vec<Vec<f32>>> {
    let mut transaction = Transaction::default();
    for part in outputs.iter().flatten() {
        transaction = transaction.register(part.clone());
    }
    let mut read = read(transaction)?.into_iter();
    let joined = outputs.iter().map(|parts| {
        let numbers: Vec<_> = read.by_ref().take(parts.len()).collect();
        join(&numbers, &lengths(parts), images)
    });
    Ok(joined.collect())
}

/// The batch's moments in memory, in one transfer.
fn read_moments(moments: Vec<Moments>) -> Result<Vec<ReadMoments>> {
    let mut transaction = Transaction::default();
    let mut places = Vec::with_capacity(moments.len());
    for Moments {
        node,
        mean,
        variance,
        count,
    } in moments
    {
        transaction = transaction.register(mean).register(variance);
        places.push((node, count));
    }
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let mut read = read(transaction)?.into_iter();
    let mut next = || read.next().unwrap_or_default();
    let moments = places.into_iter().map(|(node, count)| ReadMoments {
        node,
        mean: next(),
        variance: next(),
        count,
    });
    Ok(moments.collect())
}

fn read(transaction: Transaction) -> Result<Vec<Vec<f32>>> {
    let read = transaction
        .try_execute()
        .map_err(|error| failed(STEP, &error))?;
    let numbers = |data: TensorData| data.try_into_vec::<f32>();
    let numbers: std::result::Result<_, _> = read.into_iter().map(numbers).collect();
    numbers.map_err(|error| failed(STEP, &format!("{error:?}")))
}
