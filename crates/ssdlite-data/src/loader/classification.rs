//! Batches for a classifier.

use std::path::Path;
use std::sync::Arc;

use ssdlite_core::{ImageSize, Preprocessing};

use super::recipe::{Recipe, Sample, append_input, numbers_of_input};
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

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn new_batch(&self, capacity: usize) -> ClassificationBatch {
        ClassificationBatch {
            pixels: Vec::with_capacity(capacity * numbers_of_input(&self.preprocessing)),
            input: self.preprocessing.size,
            labels: Vec::with_capacity(capacity),
            samples: Vec::with_capacity(capacity),
        }
    }

    fn add(
        &self,
        batch: &mut ClassificationBatch,
        sample: Sample<'_>,
        renderer: &mut Renderer,
    ) -> std::result::Result<(), String> {
        let Sample {
            index,
            image,
            mut rng,
        } = sample;
        append_input(&mut batch.pixels, &self.preprocessing, |input| {
            let view = (self.augment).draw_view(image.size(), &self.preprocessing, &mut rng);
            renderer.render_view(image, &view, None, input)
        })?;
        // There are at most `MAX_CLASSES` classes.
        batch
            .labels
            .push(self.set.images[index].class.index() as i32);
        batch.samples.push(index);
        Ok(())
    }
}
