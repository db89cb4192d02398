//! A model, run on a data set, and how good it is there.
//!
//! The one evaluation of the project: a training run's and `ssdlite eval`'s.
//! It runs the model as its user will, on the inference engine, so that the
//! score that picks the best network is the score of the file that is kept.
//!
//! And the photos that a model learns most from when they are labelled next: [`pick`].
//!
//! What the scores mean is `ssdlite-eval`'s business; no training.

mod error;
pub mod pick;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ssdlite_core::{ClassNames, ImageSize};
use ssdlite_data::loader::{ImageCache, SkippedImage};
use ssdlite_data::{ClassificationSet, DetectionSet, parallel};
use ssdlite_eval::{Classification, ClassificationReport, Evaluation};
use ssdlite_image::Decoded;
use ssdlite_infer::{Classifier, Detector};

pub use error::{Error, Result};

/// How an evaluation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvaluationOptions {
    /// Threads that take images from each other. A model with one thread
    /// leaves each of them its own core.
    pub threads: NonZeroUsize,
    /// Bytes of decoded images that are kept for the next evaluation.
    pub cache_bytes: u64,
}

/// What goes on around an evaluation.
pub struct Watch<'a> {
    /// Once it is set, the evaluation ends without a result.
    pub stop: &'a AtomicBool,
    /// Hears of images that can't be used; they don't count. Each is named
    /// once in the life of its evaluator.
    pub skipped: &'a mut dyn FnMut(&SkippedImage),
}

/// An evaluation and the images that are in it.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// What was found.
    pub evaluation: Evaluation,
    /// For each image of the evaluation, in its order, the number that it has in the
    /// set: some of the set's may not have been usable.
    pub images: Vec<usize>,
}

/// Evaluates detectors on one set of images.
pub struct DetectorEvaluator {
    set: Arc<DetectionSet>,
    images: Images,
}

impl DetectorEvaluator {
    /// An evaluator for detectors of the set's classes.
    pub fn new(set: Arc<DetectionSet>, options: EvaluationOptions) -> Self {
        Self {
            images: Images::new(set.images.len(), options),
            set,
        }
    }

    /// Detections and objects of all images, or none if it was stopped.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a detector of other classes;
    /// [`Error::Malformed`] if no image can be used; [`Error::Inference`] for
    /// a network whose outputs are not finite.
    pub fn evaluate(
        &self,
        detector: &Detector,
        watch: &mut Watch<'_>,
    ) -> Result<Option<Evaluated>> {
        check_classes(detector.classes(), &self.set.classes)?;
        let images = &self.set.images;
        let paths: Vec<&Path> = images.iter().map(|image| image.path.as_path()).collect();
        let least = detector.enough();
        let found = self.images.each(&paths, least, watch, |index, image| {
            let annotated = images[index].size;
            if image.whole_size() != annotated {
                return Err(Fault::Image(format!(
                    "expected an image of {annotated} as annotated, found {}",
                    image.whole_size()
                )));
            }
            Ok(detector.detect(image)?)
        })?;
        let Some(found) = found else {
            return Ok(None);
        };
        let mut evaluated = Evaluated {
            evaluation: Evaluation::new(self.set.classes.clone()),
            images: Vec::with_capacity(found.len()),
        };
        for (index, detections) in found {
            let objects = &images[index].objects;
            evaluated.evaluation.add_image(objects, &detections)?;
            evaluated.images.push(index);
        }
        Ok(Some(evaluated))
    }
}

/// Evaluates classifiers on one set of images.
pub struct ClassifierEvaluator {
    set: Arc<ClassificationSet>,
    images: Images,
}

impl ClassifierEvaluator {
    /// An evaluator for classifiers of the set's classes.
    pub fn new(set: Arc<ClassificationSet>, options: EvaluationOptions) -> Self {
        Self {
            images: Images::new(set.images.len(), options),
            set,
        }
    }

    /// The accuracy on all images, or none if it was stopped.
    ///
    /// # Errors
    /// As [`DetectorEvaluator::evaluate`].
    pub fn evaluate(
        &self,
        classifier: &Classifier,
        watch: &mut Watch<'_>,
    ) -> Result<Option<ClassificationReport>> {
        check_classes(classifier.classes(), &self.set.classes)?;
        let images = &self.set.images;
        let paths: Vec<&Path> = images.iter().map(|image| image.path.as_path()).collect();
        let least = classifier.enough();
        let found = self.images.each(&paths, least, watch, |_, image| {
            Ok(classifier.classify(image)?)
        })?;
        let Some(found) = found else {
            return Ok(None);
        };
        let mut counts = Classification::new(self.set.classes.clone());
        for (index, scores) in found {
            counts.add_image(images[index].class, &scores)?;
        }
        Ok(Some(counts.report()))
    }
}

fn check_classes(model: &ClassNames, set: &ClassNames) -> Result<()> {
    if model == set {
        return Ok(());
    }
    Err(Error::InvalidRequest(format!(
        "expected images of the classes {model}, found {set}"
    )))
}

/// Why there is nothing for an image.
enum Fault {
    /// It can't be used; the text says why.
    Image(String),
    /// The model can't be used.
    Model(ssdlite_infer::Error),
    /// The evaluation was stopped before its turn.
    Stopped,
}

impl From<ssdlite_infer::Error> for Fault {
    fn from(error: ssdlite_infer::Error) -> Self {
        Self::Model(error)
    }
}

/// The images of a set, for one evaluation after another.
struct Images {
    threads: NonZeroUsize,
    cache: ImageCache<Decoded>,
    reported: Mutex<HashSet<usize>>,
}

impl Images {
    fn new(samples: usize, options: EvaluationOptions) -> Self {
        Self {
            threads: options.threads,
            cache: ImageCache::new(samples, options.cache_bytes),
            reported: Mutex::default(),
        }
    }

    /// What `find` makes of each image, decoded no larger than needed for
    /// `least`, in their order, with the image's number; none if it was stopped.
    fn each<T: Send>(
        &self,
        paths: &[&Path],
        least: ImageSize,
        watch: &mut Watch<'_>,
        find: impl Fn(usize, &Decoded) -> std::result::Result<T, Fault> + Sync,
    ) -> Result<Option<Vec<(usize, T)>>> {
        let stop = watch.stop;
        let numbered: Vec<(usize, &Path)> = paths.iter().copied().enumerate().collect();
        let found = parallel::map_on(self.threads, &numbered, |&(index, path)| {
            if stop.load(Ordering::Relaxed) {
                return Err(Fault::Stopped);
            }
            let image = self.cache.image(index, path, least, |decoded| decoded);
            let image = image.map_err(Fault::Image)?;
            find(index, &image)
        });
        let mut usable = Vec::with_capacity(found.len());
        let mut first_skipped = None;
        for (&(sample, path), found) in numbered.iter().zip(found) {
            match found {
                Ok(found) => usable.push((sample, found)),
                Err(Fault::Stopped) => return Ok(None),
                Err(Fault::Model(error)) => return Err(error.in_file(path).into()),
                Err(Fault::Image(reason)) => {
                    let skipped = SkippedImage {
                        sample,
                        path: path.to_owned(),
                        reason,
                    };
                    if self.reported().insert(sample) {
                        (watch.skipped)(&skipped);
                    }
                    first_skipped.get_or_insert(skipped);
                }
            }
        }
        match first_skipped.filter(|_| usable.is_empty()) {
            Some(skipped) => Err(Error::Malformed(format!(
                "none of the images can be used; {skipped}"
            ))),
            None => Ok(Some(usable)),
        }
    }

    fn reported(&self) -> std::sync::MutexGuard<'_, HashSet<usize>> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
