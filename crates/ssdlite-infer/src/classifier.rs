//! Saying what an image shows.

use ssdlite_core::{ClassId, ImageSize, ModelInfo, Task};
use ssdlite_image::AsRgb;
use ssdlite_model::{Error, Result};

use crate::engine::check_finite;
use crate::model::{Model, ModelTask};
use crate::options::RunOptions;

/// A MobileNetV3 classifier, ready to run.
pub type Classifier = Model<Classify>;

/// Scores for each class are all that a classifier makes of its network's
/// outputs.
#[derive(Clone, Copy, Debug)]
pub struct Classify(());

/// A class and how sure the classifier is of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScore {
    /// The class.
    pub class: ClassId,
    /// 0 to 1.
    pub score: f32,
}

impl ModelTask for Classify {
    type Options = RunOptions;

    fn new(info: &ModelInfo, options: &RunOptions) -> Result<(Self, RunOptions)> {
        if info.task == Task::Classify {
            Ok((Self(()), *options))
        } else {
            Err(Error::Unsupported(
                "expected a classifier's model file, found a detector's".into(),
            ))
        }
    }
}

impl Classifier {
    /// The score of each class for an image of any size; they add up to 1.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the network's outputs are not finite.
    pub fn classify(&self, image: &impl AsRgb) -> Result<Vec<f32>> {
        let image = image.as_rgb();
        self.engine.run(image, |outputs| softmax(&outputs.logits))
    }

    /// The least size at which an image need be decoded:
    /// [`Preprocessing::enough`](ssdlite_core::Preprocessing::enough).
    pub fn enough(&self) -> ImageSize {
        self.info.preprocessing.enough()
    }

    /// The scores of each of several images of any sizes. Threads take
    /// images instead of sharing each one; the results are those of
    /// [`Self::classify`].
    ///
    /// # Errors
    /// As [`Self::classify`], for the first image that fails.
    pub fn classify_batch(&self, images: &[impl AsRgb + Sync]) -> Result<Vec<Vec<f32>>> {
        self.engine.for_each(images, |image| self.classify(image))
    }

    /// The `most` classes with the highest scores, best first; equal ones in
    /// the order of their ids.
    ///
    /// # Errors
    /// As [`Self::classify`].
    pub fn top(&self, image: &impl AsRgb, most: usize) -> Result<Vec<ClassScore>> {
        let scores = self.classify(image)?;
        let classes = self.info.classes.ids().zip(scores);
        let mut top: Vec<_> = classes
            .map(|(class, score)| ClassScore { class, score })
            .collect();
        top.sort_by(|a, b| b.score.total_cmp(&a.score));
        top.truncate(most);
        Ok(top)
    }

    /// The network's output for an image of any size, one number a class.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not finite.
    pub fn logits(&self, image: &impl AsRgb) -> Result<Vec<f32>> {
        self.engine.run(image.as_rgb(), |outputs| {
            check_finite("class logits", &outputs.logits)?;
            Ok(outputs.logits.clone())
        })
    }
}

fn softmax(logits: &[f32]) -> Result<Vec<f32>> {
    check_finite("class logits", logits)?;
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut scores: Vec<f32> = logits.iter().map(|x| (x - largest).exp()).collect();
    let sum: f32 = scores.iter().sum();
    for score in &mut scores {
        *score /= sum;
    }
    Ok(scores)
}
