//! The making of one batch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pipeline::{Job, Stop};
use super::plan::EpochPlan;
use super::recipe::{Place, Recipe, Sample};
use super::{ImageCache, Makers, SkippedImage, Spare};
use crate::augment::Renderer;
use crate::error::{Error, Result};

/// A batch, and the images that could not be used for it.
pub(super) struct Made<B> {
    pub(super) batch: B,
    pub(super) skipped: Vec<SkippedImage>,
}

/// Makes the batches of one epoch.
pub(super) struct BatchMaker<B> {
    pub(super) recipe: Arc<dyn Recipe<Batch = B>>,
    pub(super) cache: Arc<ImageCache>,
    pub(super) plan: EpochPlan,
    pub(super) makers: Makers,
    pub(super) spare: Spare<B>,
}

/// The making of batches as a pipeline's job.
pub(super) fn new_job<B: Send + 'static>(maker: &Arc<BatchMaker<B>>) -> Job<Made<B>> {
    let maker = Arc::clone(maker);
    let renderers = Mutex::default();
    Box::new(move |number, stop| maker.make(number, &renderers, stop))
}

/// Images that could not be used for a place, and whether none could be.
struct Faults {
    skipped: Vec<SkippedImage>,
    is_filled: bool,
}

impl<B: Send> BatchMaker<B> {
    /// Makes a batch on this thread, or on those of the pool, which claim one
    /// place after another.
    fn make(
        &self,
        number: usize,
        renderers: &Mutex<Vec<Renderer>>,
        stop: &Stop,
    ) -> Result<Made<B>> {
        let positions = self.plan.positions(number);
        let spare = locked(&self.spare).pop();
        let mut batch = spare.unwrap_or_else(|| self.recipe.new_batch(positions.len()));
        let places: Vec<_> = (self.recipe.places(&mut batch).into_iter())
            .map(Mutex::new)
            .collect();
        let faults = Mutex::new(BTreeMap::new());
        let next = AtomicUsize::new(0);
        let work = || {
            let kept = locked(renderers).pop();
            let mut renderer = kept.unwrap_or_else(|| Renderer::new(self.recipe.preprocessing()));
            while !stop.is_set() {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(place) = places.get(at) else {
                    break;
                };
                let position = positions.start + at;
                let found = self.fill(position, &mut locked(place), &mut renderer);
                if !found.skipped.is_empty() {
                    locked(&faults).insert(position, found);
                }
            }
            locked(renderers).push(renderer);
        };
        match &self.makers {
            Makers::Between(pool) => pool.broadcast(|_| work()),
            Makers::Beside(_) => work(),
        }
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
            let written = self.cache.image(sample, path).and_then(|image| {
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
