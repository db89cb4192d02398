//! The making of one batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ssdlite_image::Decoded;
use ssdlite_kernels::Pool;

use super::pipeline::{Job, Stop};
use super::plan::EpochPlan;
use super::recipe::{Place, Recipe, Sample};
use super::{ImageCache, SkippedImage, Spare};
use crate::augment::{Reduced, Renderer};
use crate::error::{Error, Result};

/// A batch, and the images that could not be used for it.
pub(super) struct Made<B> {
    pub(super) batch: B,
    pub(super) skipped: Vec<SkippedImage>,
}

/// Makes the batches of one epoch.
pub(super) struct BatchMaker<B> {
    pub(super) recipe: Arc<dyn Recipe<Batch = B>>,
    pub(super) cache: Arc<ImageCache<Reduced>>,
    pub(super) plan: EpochPlan,
    /// What a batch's places are shared among.
    pub(super) pool: Arc<Pool>,
    pub(super) spare: Spare<B>,
}

/// The making of batches as a pipeline's job.
pub(super) fn new_job<B: Send + 'static>(maker: &Arc<BatchMaker<B>>) -> Job<Made<B>> {
    let maker = Arc::clone(maker);
    let preprocessing = maker.recipe.preprocessing();
    let renderers = (0..maker.pool.threads())
        .map(|_| Mutex::new(Renderer::new(preprocessing)))
        .collect();
    Box::new(move |number, stop| maker.make(number, &renderers, stop))
}

/// One for each thread.
type Renderers = Vec<Mutex<Renderer>>;

/// Images that could not be used for a place, and whether none could be.
struct Faults {
    skipped: Vec<SkippedImage>,
    is_filled: bool,
}

impl<B: Send> BatchMaker<B> {
    /// Makes a batch, whose places the threads of the pool claim.
    fn make(&self, number: usize, renderers: &Renderers, stop: &Stop) -> Result<Made<B>> {
        let positions = self.plan.positions(number);
        let spare = locked(&self.spare).pop();
        let mut batch = spare.unwrap_or_else(|| self.recipe.new_batch(positions.len()));
        let places = self.recipe.places(&mut batch);
        let places: Vec<_> = places.into_iter().map(Mutex::new).collect();
        let faults = Mutex::new(BTreeMap::new());
        self.pool.run(places.len(), |part| {
            if stop.is_set() {
                return;
            }
            let position = positions.start + part.index;
            let mut place = locked(&places[part.index]);
            let found = self.fill(position, &mut place, &mut locked(&renderers[part.thread]));
            if !found.skipped.is_empty() {
                locked(&faults).insert(position, found);
            }
        });
        drop(places);
        let faults = faults.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut skipped = Vec::new();
        for found in faults.into_values() {
            match found.skipped.first() {
                Some(example) if !found.is_filled => return Err(none_usable(example)),
                _ => skipped.extend(found.skipped),
            }
        }
        Ok(Made { batch, skipped })
    }

    /// Writes the first usable candidate for a place of the epoch, if there is
    /// one.
    fn fill(&self, position: usize, place: &mut Place<'_>, renderer: &mut Renderer) -> Faults {
        let mut skipped = Vec::new();
        for sample in self.plan.candidates(position) {
            let path = self.recipe.path(sample);
            let keep = |decoded: Decoded| {
                let size = self.recipe.kept_size(decoded.whole_size());
                Reduced::new(decoded, size)
            };
            let least = self.recipe.least_size(sample);
            let image = self.cache.image(sample, path, least, keep);
            let written = image.and_then(|image| {
                let sample = Sample {
                    index: sample,
                    image: &image,
                    rng: self.plan.rng(position),
                };
                self.recipe.write(place, sample, renderer)
            });
            match written {
                Ok(()) => {
                    return Faults {
                        skipped,
                        is_filled: true,
                    };
                }
                Err(reason) => skipped.push(SkippedImage {
                    sample,
                    path: path.to_owned(),
                    reason,
                }),
            }
        }
        Faults {
            skipped,
            is_filled: false,
        }
    }
}

fn none_usable(example: &SkippedImage) -> Error {
    Error::Malformed(format!("none of the images can be used; {example}"))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
