//! Batches for a classifier.

use std::path::Path;
use std::sync::Arc;

use ssdlite_core::{ImageSize, Preprocessing};

use super::recipe::{Place, Recipe, Sample, numbers_of_input};
use crate::augment::{ClassifierAugment, Renderer};
use crate::dataset::ClassificationSet;
use crate::error::Result;

/// What a classifier's batches are made from.
#[derive(Clone, Debug)]
pub struct ClassificationRecipe {
    /// The images and their classes.
    pub set: Arc<ClassificationSet>,
    /// How an image becomes the network's input.
    pub preprocessing: Preprocessing,
    /// How images are changed at random.
    pub augment: ClassifierAugment,
}

/// Samples for a classifier. `N` is their number.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationBatch {
    /// Normalised pixels, `[N, height, width, 3]` of `input`.
    pub pixels: Vec<f32>,
    /// Size of each input.
    pub input: ImageSize,
    /// Class ids, `[N]`.
    pub labels: Vec<i32>,
    /// The number of each sample in the data set, `[N]`.
    pub samples: Vec<usize>,
}

impl Recipe for ClassificationRecipe {
    type Batch = ClassificationBatch;

    fn check(&self) -> Result<()> {
        self.preprocessing.validate()?;
        self.augment.check()
    }

    fn samples(&self) -> usize {
        self.set.images.len()
    }

    fn path(&self, sample: usize) -> &Path {
        &self.set.images[sample].path
    }

    fn least_size(&self, _: usize) -> ImageSize {
        self.preprocessing.enough()
    }

    fn kept_size(&self, whole: ImageSize) -> ImageSize {
        ClassifierAugment::kept_size(whole, &self.preprocessing)
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn new_batch(&self, samples: usize) -> ClassificationBatch {
        ClassificationBatch {
            pixels: vec![0.0; samples * numbers_of_input(self.preprocessing.size)],
            input: self.preprocessing.size,
            labels: vec![0; samples],
            samples: vec![0; samples],
        }
    }

    fn places<'a>(&self, batch: &'a mut ClassificationBatch) -> Vec<Place<'a>> {
        let pixels = batch.pixels.chunks_exact_mut(numbers_of_input(batch.input));
        let labels = batch.labels.chunks_exact_mut(1);
        (pixels.zip(labels).zip(&mut batch.samples))
            .map(|((pixels, labels), sample)| Place {
                pixels,
                labels,
                regression: &mut [],
                sample,
            })
            .collect()
    }

    fn write(
        &self,
        place: &mut Place<'_>,
        sample: Sample<'_>,
        renderer: &mut Renderer,
    ) -> std::result::Result<(), String> {
        let Sample {
            index,
            image,
            mut rng,
        } = sample;
        let view = (self.augment).draw_view(image.whole(), &self.preprocessing, &mut rng);
        renderer
            .render_view(image, &view, None, place.pixels)
            .map_err(|error| error.to_string())?;
        // There are at most `MAX_CLASSES` classes.
        (place.labels).fill(self.set.images[index].class.index() as i32);
        *place.sample = index;
        Ok(())
    }
}
