//! Batches for training, made between its steps or beside them.
//!
//! What a batch holds depends on the seed, the epoch and its number alone, not
//! on who makes it or the cache. An epoch can be entered at any batch. An image
//! that can't be used is replaced by the next one and reported once.
//!
//! Where the training step takes all of the machine, its own threads make the
//! next batch between two steps ([`Makers::Between`]): threads of the loader's
//! own beside them would take turns with them, and a step waits for the thread
//! that is put aside. Elsewhere threads of the loader's own work ahead
//! ([`Makers::Beside`]); at most one more batch than there are of them exists
//! then besides the one that was taken last.
//!
//! Batches are plain vectors; making tensors of them is left to the caller.

mod cache;
mod classification;
mod detection;
mod maker;
mod pipeline;
mod plan;
mod recipe;
mod targets;

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub use cache::{ImageCache, Kept};
pub use classification::{ClassificationBatch, ClassificationRecipe};
pub use detection::{DetectionBatch, DetectionRecipe};
pub use targets::{BACKGROUND, DifficultObjects, TargetEncoder};

use ssdlite_kernels::Pool;

use maker::{BatchMaker, Made, new_job};
use pipeline::Pipeline;
use plan::{EpochPlan, batches_per_epoch};
use recipe::Recipe;

use crate::augment::Reduced;
use crate::error::{Error, Result};

/// The most worker threads of a loader.
pub const MAX_WORKERS: usize = 256;

/// Who makes batches.
#[derive(Clone, Debug)]
pub enum Makers {
    /// The threads of a pool, when a batch is asked for. They share its samples.
    Between(Arc<Pool>),
    /// So many threads of the loader's own, ahead of it, each a batch of its own.
    Beside(NonZeroUsize),
}

impl Makers {
    fn workers(&self) -> usize {
        match self {
            Self::Between(_) => 0,
            Self::Beside(workers) => workers.get(),
        }
    }

    /// What shares the samples of a batch.
    fn pool(&self) -> Arc<Pool> {
        match self {
            Self::Between(pool) => Arc::clone(pool),
            Self::Beside(_) => Arc::new(Pool::single()),
        }
    }
}

/// How a loader works.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Samples in a batch.
    pub batch_size: usize,
    /// What order and augmentation are drawn from.
    pub seed: u64,
    /// Who makes batches.
    pub makers: Makers,
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
    cache: Arc<ImageCache<Reduced>>,
    reported: Arc<Mutex<HashSet<usize>>>,
    spare: Spare<B>,
}

/// Batches that were given back, to be written anew.
type Spare<B> = Arc<Mutex<Vec<B>>>;

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
            spare: Arc::default(),
        })
    }

    /// The threads of the loader's own.
    pub fn workers(&self) -> usize {
        self.options.makers.workers()
    }

    /// The number of batches of every epoch.
    pub fn batches_per_epoch(&self) -> usize {
        batches_per_epoch(self.recipe.samples(), self.options.batch_size)
    }

    /// The batches of an epoch from `start_batch` on: the same as those of the
    /// whole epoch once `start_batch` of them are taken.
    ///
    /// Threads of the loader's own start at once.
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
            pool: self.options.makers.pool(),
            spare: Arc::clone(&self.spare),
        });
        let end = self.batches_per_epoch();
        let jobs = start_batch.min(end)..end;
        Ok(Batches {
            made: Pipeline::start(jobs, self.workers(), || new_job(&maker))?,
            reported: Arc::clone(&self.reported),
            spare: Arc::clone(&self.spare),
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
        if self.makers.workers() > MAX_WORKERS {
            return Err(Error::OverLimit(format!(
                "loader: expected at most {MAX_WORKERS} workers, found {}",
                self.makers.workers()
            )));
        }
        Ok(())
    }
}

/// The batches of an epoch, in order. Dropping it ends its threads.
pub struct Batches<B> {
    made: Pipeline<Made<B>>,
    reported: Arc<Mutex<HashSet<usize>>>,
    spare: Spare<B>,
    skipped: Vec<SkippedImage>,
}

impl<B> Batches<B> {
    /// Hands a batch back whose memory may be written anew: fresh memory costs
    /// as much as a part of the augmentation.
    pub fn give_back(&mut self, batch: B) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(batch);
    }

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

#[cfg(test)]
mod tests;
