//! Batches for a detector.

use std::path::Path;
use std::sync::Arc;

use ssdlite_core::ImageSize;
use ssdlite_core::detector::BOX_NUMBERS;
use ssdlite_core::preprocessing::{Fit, Preprocessing};

use super::recipe::{Place, Recipe, Sample, numbers_of_input};
use super::targets::{BACKGROUND, TargetEncoder};
use crate::augment::{DetectorAugment, Renderer};
use crate::dataset::DetectionSet;
use crate::error::{Error, Result};

/// What a detector's batches are made from.
#[derive(Clone, Debug)]
pub struct DetectionRecipe {
    /// The images and their objects.
    pub set: Arc<DetectionSet>,
    /// How an image becomes the network's input; it must stretch it.
    pub preprocessing: Preprocessing,
    /// How images are changed at random.
    pub augment: DetectorAugment,
    /// How objects become targets.
    pub targets: TargetEncoder,
}

/// Samples for a detector. `N` is their number.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionBatch {
    /// Normalised pixels, `[N, height, width, 3]` of `input`.
    pub pixels: Vec<f32>,
    /// Size of each input.
    pub input: ImageSize,
    /// Labels of the default boxes, `[N, boxes]`: 0 for background, else the
    /// class id + 1.
    pub labels: Vec<i32>,
    /// Regression targets of the default boxes, `[N, boxes, 4]`: dx, dy, dw,
    /// dh, 0 for background.
    pub regression: Vec<f32>,
    /// The number of each sample in the data set, `[N]`.
    pub samples: Vec<usize>,
}

impl Recipe for DetectionRecipe {
    type Batch = DetectionBatch;

    fn check(&self) -> Result<()> {
        self.preprocessing.validate()?;
        if self.preprocessing.fit != Fit::Stretch {
            return Err(Error::InvalidRequest(format!(
                "expected a preprocessing that stretches images for a detector, found {:?}",
                self.preprocessing.fit
            )));
        }
        self.targets.coder.validate()?;
        self.augment.check()
    }

    fn samples(&self) -> usize {
        self.set.images.len()
    }

    fn path(&self, sample: usize) -> &Path {
        &self.set.images[sample].path
    }

    fn least_size(&self, sample: usize) -> ImageSize {
        self.kept_size(self.set.images[sample].size)
    }

    fn kept_size(&self, whole: ImageSize) -> ImageSize {
        self.augment.kept_size(whole, self.preprocessing.size)
    }

    fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    fn new_batch(&self, samples: usize) -> DetectionBatch {
        let boxes = self.targets.default_boxes.len();
        DetectionBatch {
            pixels: vec![0.0; samples * numbers_of_input(self.preprocessing.size)],
            input: self.preprocessing.size,
            labels: vec![BACKGROUND; samples * boxes],
            regression: vec![0.0; samples * boxes * BOX_NUMBERS],
            samples: vec![0; samples],
        }
    }

    fn places<'a>(&self, batch: &'a mut DetectionBatch) -> Vec<Place<'a>> {
        let boxes = self.targets.default_boxes.len();
        let pixels = batch.pixels.chunks_exact_mut(numbers_of_input(batch.input));
        let labels = batch.labels.chunks_exact_mut(boxes);
        let regressions = batch.regression.chunks_exact_mut(boxes * BOX_NUMBERS);
        let targets = labels.zip(regressions);
        (pixels.zip(targets).zip(&mut batch.samples))
            .map(|((pixels, (labels, regression)), sample)| Place {
                pixels,
                labels,
                regression,
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
        let annotated = &self.set.images[index];
        if image.whole() != annotated.size {
            return Err(format!(
                "expected an image of {} as annotated, found {}",
                annotated.size,
                image.whole()
            ));
        }
        let view = (self.augment).draw_view(annotated.size, &annotated.objects, &mut rng);
        let distortion = self.augment.draw_distortion(&mut rng);
        renderer
            .render_view(image, &view, distortion, place.pixels)
            .map_err(|error| error.to_string())?;
        let input = self.preprocessing.size;
        let objects = view.objects_in_input(&annotated.objects, input);
        (self.targets).write(&objects, input, place.labels, place.regression);
        *place.sample = index;
        Ok(())
    }
}
