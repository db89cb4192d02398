//! What a kind of batch is made of.

use std::path::Path;

use ssdlite_core::Preprocessing;
use ssdlite_image::RgbImage;

use crate::augment::Renderer;
use crate::error::Result;
use ssdlite_core::random::Rng;

/// A decoded image on its way into a batch.
pub(crate) struct Sample<'a> {
    /// Its number in the data set.
    pub(crate) index: usize,
    pub(crate) image: &'a RgbImage,
    /// All random numbers that the sample needs.
    pub(crate) rng: Rng,
}

/// Makes batches of a data set's samples. Workers share it.
pub(crate) trait Recipe: Send + Sync {
    /// A batch under construction and when done.
    type Batch;

    /// Whether the recipe makes sense.
    fn check(&self) -> Result<()>;

    /// The number of samples in the data set.
    fn samples(&self) -> usize;

    /// The file of a sample.
    fn path(&self, sample: usize) -> &Path;

    /// How images become inputs.
    fn preprocessing(&self) -> &Preprocessing;

    /// An empty batch with room for `capacity` samples.
    fn new_batch(&self, capacity: usize) -> Self::Batch;

    /// Adds a sample. The error says why its image can't be used; the batch
    /// is unchanged then.
    fn add(
        &self,
        batch: &mut Self::Batch,
        sample: Sample<'_>,
        renderer: &mut Renderer,
    ) -> std::result::Result<(), String>;
}

/// How many numbers one input has.
pub(crate) fn numbers_of_input(preprocessing: &Preprocessing) -> usize {
    3 * preprocessing.size.pixels() as usize
}

/// Appends an input that `render` writes over zeros; if it fails, the inputs
/// stay as they were.
pub(crate) fn append_input(
    inputs: &mut Vec<f32>,
    preprocessing: &Preprocessing,
    render: impl FnOnce(&mut [f32]) -> ssdlite_image::Result<()>,
) -> std::result::Result<(), String> {
    let start = inputs.len();
    inputs.resize(start + numbers_of_input(preprocessing), 0.0);
    render(&mut inputs[start..]).map_err(|error| {
        inputs.truncate(start);
        error.to_string()
    })
}
