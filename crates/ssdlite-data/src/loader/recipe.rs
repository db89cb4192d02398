//! What a kind of batch is made of.

use std::path::Path;

use ssdlite_core::{ImageSize, Preprocessing};

use crate::augment::{Reduced, Renderer};
use crate::error::Result;
use ssdlite_core::random::Rng;

/// A decoded image on its way into a batch.
pub(crate) struct Sample<'a> {
    /// Its number in the data set.
    pub(crate) index: usize,
    pub(crate) image: &'a Reduced,
    /// All random numbers that the sample needs.
    pub(crate) rng: Rng,
}

/// Where a sample of a batch is written.
pub(crate) struct Place<'a> {
    /// The input, `[height, width, 3]`.
    pub(crate) pixels: &'a mut [f32],
    /// One for a classifier, one a default box for a detector.
    pub(crate) labels: &'a mut [i32],
    /// Four numbers a default box; none for a classifier.
    pub(crate) regression: &'a mut [f32],
    /// The sample's number in the data set.
    pub(crate) sample: &'a mut usize,
}

/// Makes batches of a data set's samples. Threads share it.
pub(crate) trait Recipe: Send + Sync {
    /// A batch under construction and when done.
    type Batch;

    /// Whether the recipe makes sense.
    fn check(&self) -> Result<()>;

    /// The number of samples in the data set.
    fn samples(&self) -> usize;

    /// The file of a sample.
    fn path(&self, sample: usize) -> &Path;

    /// The least size at which the image of a sample need be decoded.
    fn least_size(&self, sample: usize) -> ImageSize;

    /// The size in which an image of this size is kept.
    fn kept_size(&self, whole: ImageSize) -> ImageSize;

    /// How images become inputs.
    fn preprocessing(&self) -> &Preprocessing;

    /// A batch of `samples` samples, all still to be written.
    fn new_batch(&self, samples: usize) -> Self::Batch;

    /// The places of a batch's samples.
    fn places<'a>(&self, batch: &'a mut Self::Batch) -> Vec<Place<'a>>;

    /// Writes all of a place. The error says why the image can't be used.
    fn write(
        &self,
        place: &mut Place<'_>,
        sample: Sample<'_>,
        renderer: &mut Renderer,
    ) -> std::result::Result<(), String>;
}

/// How many numbers one input has.
pub(crate) fn numbers_of_input(input: ImageSize) -> usize {
    3 * input.pixels() as usize
}
