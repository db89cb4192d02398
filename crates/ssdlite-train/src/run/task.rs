//! What detectors and classifiers do differently in a run.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use ssdlite_core::ModelInfo;
use ssdlite_data::loader::{
    ClassificationBatch, DetectionBatch, Loader, LoaderOptions, Makers, SkippedImage,
};
use ssdlite_evaluate::{EvaluationOptions, Watch};
use ssdlite_image::RgbImage;
use ssdlite_infer::all_cores;
use ssdlite_model::ModelFile;

use super::Validation;
use super::run_folder::RunFolder;
use super::session::Session;
use crate::config::{self, TrainingOptions};
use crate::error::Result;
use crate::step::{Cpu, Objective, Targets, TrainingDevice};
use crate::threads::threads_from_option;

/// The most threads that make batches unless more are asked for: each has one in memory.
const MOST_WORKERS: usize = 8;

/// What a training step needs of a batch.
pub(super) trait Samples {
    /// `[images, height, width, 3]`
    fn pixels(&self) -> &[f32];

    /// The images' numbers in their data set.
    fn samples(&self) -> &[usize];
}

impl Samples for DetectionBatch {
    fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    fn samples(&self) -> &[usize] {
        &self.samples
    }
}

impl Samples for ClassificationBatch {
    fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    fn samples(&self) -> &[usize] {
        &self.samples
    }
}

/// What detectors and classifiers do differently.
pub(super) trait Task {
    type Batch: Samples + Send + 'static;

    fn loader(&self) -> &Loader<Self::Batch>;

    /// Bytes of the decoded images that are kept from epoch to epoch, as far as the sizes
    /// of the images are known.
    fn cached_bytes(&self) -> u64;

    /// What the network's file says about it, but for training and metrics.
    fn info(&self) -> &ModelInfo;

    fn objective(&self) -> Objective;

    /// What the outputs for a batch should be.
    fn targets<'a>(&'a self, batch: &'a Self::Batch) -> Targets<'a>;

    /// The training images' names in their data set, in its order.
    fn names(&self) -> Vec<String>;

    /// The file of a training image.
    fn path(&self, sample: usize) -> PathBuf;

    /// The first images of a batch with their targets.
    fn grid_of_batch(&self, batch: &Self::Batch) -> RgbImage;

    /// How many objects of which class there are to learn from.
    fn chart_of_labels(&self) -> RgbImage;

    /// Whether there is something to evaluate on.
    fn has_validation(&self) -> bool;

    /// Evaluates a model. None if it was stopped.
    fn validate(&self, model: &ModelFile, run: &mut Session<'_>) -> Result<Option<Validation>>;

    /// What is wrong with what a model says of some images, if it learnt nothing;
    /// `score` is its best one, if there is one.
    fn fault(&self, model: &ModelFile, score: Option<f64>) -> Result<Option<String>>;

    /// Draws what the best model so far finds.
    fn draw_best(&self, model: &ModelFile, folder: &RunFolder) -> Result<()>;
}

/// What a model's file says about its training, whatever its task.
pub(super) fn training_notes(
    training: &TrainingOptions,
    model: &config::ModelOptions,
    images: usize,
) -> [(&'static str, String); 7] {
    [
        ("epochs", training.epochs.to_string()),
        ("batch", training.batch.to_string()),
        ("optimizer", format!("{:?}", training.optimizer)),
        ("lr", training.lr.to_string()),
        ("seed", training.seed.to_string()),
        ("weights", model.weights.to_string()),
        ("images", images.to_string()),
    ]
}

/// How a run's batches are made.
pub(super) fn loader_options(
    training: &TrainingOptions,
    loader: &config::LoaderOptions,
    device: &dyn TrainingDevice,
    cpu: &Cpu,
) -> LoaderOptions {
    LoaderOptions {
        batch_size: training.batch,
        seed: training.seed,
        makers: makers(loader.workers, device.takes_processor(), cpu),
        cache_bytes: cache_bytes(loader),
    }
}

/// So many threads beside the step; with 0 of them the cores that it leaves, and its own
/// threads where it leaves none.
fn makers(workers: usize, step_takes_processor: bool, cpu: &Cpu) -> Makers {
    let step = match step_takes_processor {
        true => cpu.threads().get(),
        false => 0,
    };
    let free = all_cores().get().saturating_sub(step).min(MOST_WORKERS);
    let workers = NonZeroUsize::new(workers).or(NonZeroUsize::new(free));
    workers.map_or_else(|| Makers::Between(Arc::clone(&cpu.pool)), Makers::Beside)
}

/// How a run's networks are evaluated.
pub(super) fn evaluation_options(
    training: &TrainingOptions,
    loader: &config::LoaderOptions,
) -> Result<EvaluationOptions> {
    Ok(EvaluationOptions {
        threads: threads_from_option(training.threads)?,
        cache_bytes: cache_bytes(loader),
    })
}

pub(super) fn cache_bytes(loader: &config::LoaderOptions) -> u64 {
    loader.cache.saturating_mul(1 << 20)
}

/// Runs an evaluation that a run's stop ends and whose skipped images its
/// observer hears of.
pub(super) fn watched<T>(
    run: &mut Session<'_>,
    evaluate: impl FnOnce(&mut Watch<'_>) -> ssdlite_evaluate::Result<T>,
) -> Result<T> {
    let observer = &mut *run.observer;
    let mut watch = Watch {
        stop: run.stop,
        skipped: &mut |image: &SkippedImage| observer.warning(&image.to_string()),
    };
    Ok(evaluate(&mut watch)?)
}
