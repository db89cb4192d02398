//! Batches for training, made beside it by worker threads.
//!
//! What a batch holds depends on the seed, the epoch and its number alone, not
//! on the number of workers or the cache. An epoch can be entered at any batch.
//! At most `workers + 1` batches exist besides the one that was taken last. A
//! image that can't be used is replaced by the next one and reported once.
//!
//! Batches are plain vectors; making tensors of them is left to the caller.

mod cache;
mod classification;
mod detection;
mod pipeline;
mod plan;
mod recipe;
mod targets;

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use cache::ImageCache;
pub use classification::{ClassificationBatch, ClassificationRecipe};
pub use detection::{DetectionBatch, DetectionRecipe};
pub use targets::{BACKGROUND, DifficultObjects, TargetEncoder};

use pipeline::{Job, Pipeline, Stop};
use plan::{EpochPlan, batches_per_epoch};
use recipe::{Recipe, Sample};

use crate::augment::Renderer;
use crate::error::{Error, Result};

/// The most worker threads of a loader.
pub const MAX_WORKERS: usize = 256;

/// How a loader works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Samples in a batch.
    pub batch_size: usize,
    /// What order and augmentation are drawn from.
    pub seed: u64,
    /// Threads that make batches; with 0 the calling thread makes them.
    pub workers: usize,
    /// How many bytes of decoded images may be kept from epoch to epoch.
    pub cache_bytes: u64,
}

/// An image that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedImage {
    /// Its number in the data set.
    pub sample: usize,
    /// Its file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for SkippedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: skipped: {}", self.path.display(), self.reason)
    }
}

/// Makes the batches of a data set, epoch after epoch.
pub struct Loader<B> {
    recipe: Arc<dyn Recipe<Batch = B>>,
    options: LoaderOptions,
    cache: Arc<ImageCache>,
    reported: Arc<Mutex<HashSet<usize>>>,
}

impl Loader<DetectionBatch> {
    /// A loader of images with objects.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a recipe or options that make no sense,
    /// such as no sample or none in a batch; [`Error::Malformed`] or
    /// [`Error::OverLimit`] for a preprocessing that is not sound or more than
    /// [`MAX_WORKERS`].
    pub fn for_detection(recipe: DetectionRecipe, options: LoaderOptions) -> Result<Self> {
        Self::new(Arc::new(recipe), options)
    }
}

impl Loader<ClassificationBatch> {
    /// A loader of images with one label each.
    ///
    /// # Errors
    /// As [`Loader::for_detection`].
    pub fn for_classification(
        recipe: ClassificationRecipe,
        options: LoaderOptions,
    ) -> Result<Self> {
        Self::new(Arc::new(recipe), options)
    }
}

impl<B: Send + 'static> Loader<B> {
    fn new(recipe: Arc<dyn Recipe<Batch = B>>, options: LoaderOptions) -> Result<Self> {
        recipe.check()?;
        options.check(recipe.samples())?;
        Ok(Self {
            cache: Arc::new(ImageCache::new(recipe.samples(), options.cache_bytes)),
            recipe,
            options,
            reported: Arc::default(),
        })
    }

    /// The threads that make batches.
    pub fn workers(&self) -> usize {
        self.options.workers
    }

    /// The number of batches of every epoch.
    pub fn batches_per_epoch(&self) -> usize {
        batches_per_epoch(self.recipe.samples(), self.options.batch_size)
    }

    /// The batches of an epoch from `start_batch` on: the same as those of the
    /// whole epoch once `start_batch` of them are taken.
    ///
    /// The workers start at once. Asking for the next epoch's batches before
    /// they are needed, such as before validation, spares the wait for the
    /// first one.
    ///
    /// # Errors
    /// [`Error::Worker`] if a thread can't be started.
    pub fn epoch(&self, epoch: u64, start_batch: usize) -> Result<Batches<B>> {
        let LoaderOptions {
            batch_size, seed, ..
        } = self.options;
        let maker = Arc::new(BatchMaker {
            recipe: Arc::clone(&self.recipe),
            cache: Arc::clone(&self.cache),
            plan: EpochPlan::new(seed, epoch, self.recipe.samples(), batch_size),
        });
        let end = self.batches_per_epoch();
        let jobs = start_batch.min(end)..end;
        Ok(Batches {
            made: Pipeline::start(jobs, self.options.workers, || new_job(&maker))?,
            reported: Arc::clone(&self.reported),
            skipped: Vec::new(),
        })
    }
}

impl LoaderOptions {
    fn check(&self, samples: usize) -> Result<()> {
        let counts = [("sample", samples), ("sample in a batch", self.batch_size)];
        for (what, count) in counts {
            if count == 0 {
                return Err(Error::InvalidRequest(format!(
                    "loader: expected at least one {what}, found none"
                )));
            }
        }
        if self.workers > MAX_WORKERS {
            return Err(Error::OverLimit(format!(
                "loader: expected at most {MAX_WORKERS} workers, found {}",
                self.workers
            )));
        }
        Ok(())
    }
}

/// The batches of an epoch, in order. Dropping it ends its threads.
pub struct Batches<B> {
    made: Pipeline<Made<B>>,
    reported: Arc<Mutex<HashSet<usize>>>,
    skipped: Vec<SkippedImage>,
}

impl<B> Batches<B> {
    /// The images that could not be used in the batches taken so far, each
    /// one once in the life of its loader.
    pub fn take_skipped(&mut self) -> Vec<SkippedImage> {
        std::mem::take(&mut self.skipped)
    }

    fn report(&mut self, skipped: Vec<SkippedImage>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        for image in skipped {
            if reported.insert(image.sample) {
                self.skipped.push(image);
            }
        }
    }
}

impl<B> Iterator for Batches<B> {
    /// A full batch. After an error there is nothing more.
    type Item = Result<B>;

    fn next(&mut self) -> Option<Self::Item> {
        let made = self.made.next()?;
        Some(made.map(|Made { batch, skipped }| {
            self.report(skipped);
            batch
        }))
    }
}

fn none_usable(example: &SkippedImage) -> Error {
    Error::Malformed(format!("none of the images can be used; {example}"))
}

/// A batch, and the images that could not be used for it.
struct Made<B> {
    batch: B,
    skipped: Vec<SkippedImage>,
}

struct BatchMaker<B> {
    recipe: Arc<dyn Recipe<Batch = B>>,
    cache: Arc<ImageCache>,
    plan: EpochPlan,
}

fn new_job<B: 'static>(maker: &Arc<BatchMaker<B>>) -> Job<Made<B>> {
    let maker = Arc::clone(maker);
    let mut renderer = Renderer::new(maker.recipe.preprocessing());
    Box::new(move |number, stop| maker.make(number, &mut renderer, stop))
}

impl<B> BatchMaker<B> {
    fn make(&self, number: usize, renderer: &mut Renderer, stop: &Stop) -> Result<Made<B>> {
        let positions = self.plan.positions(number);
        let mut batch = self.recipe.new_batch(positions.len());
        let mut skipped = Vec::new();
        for position in positions {
            if stop.is_set() {
                break;
            }
            let first_skipped = skipped.len();
            if !self.fill(position, &mut batch, renderer, &mut skipped) {
                return Err(none_usable(&skipped[first_skipped]));
            }
        }
        Ok(Made { batch, skipped })
    }

    /// Adds the first usable candidate for a place of the epoch, if there is
    /// one.
    fn fill(
        &self,
        position: usize,
        batch: &mut B,
        renderer: &mut Renderer,
        skipped: &mut Vec<SkippedImage>,
    ) -> bool {
        for sample in self.plan.candidates(position) {
            let path = self.recipe.path(sample);
            let added = self.cache.image(sample, path).and_then(|image| {
                let sample = Sample {
                    index: sample,
                    image: &image,
                    rng: self.plan.rng(position),
                };
                self.recipe.add(batch, sample, renderer)
            });
            match added {
                Ok(()) => return true,
                Err(reason) => skipped.push(SkippedImage {
                    sample,
                    path: path.to_owned(),
                    reason,
                }),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests;
