//! Saying what a picture shows.

use std::path::Path;

use ssdlite_core::{ClassId, ClassNames, ModelInfo, Task};
use ssdlite_image::RgbImage;
use ssdlite_kernels::Isa;
use ssdlite_model::{Error, ModelFile, Result};

use crate::build::{LOGITS, classifier_plan};
use crate::engine::{Engine, LayerInfo, Runtime, check_finite};
use crate::options::RunOptions;

/// A MobileNetV3 classifier, ready to run.
#[derive(Debug)]
pub struct Classifier {
    engine: Engine,
    info: ModelInfo,
}

/// A class and how sure the classifier is of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScore {
    /// The class.
    pub class: ClassId,
    /// 0 to 1.
    pub score: f32,
}

impl Classifier {
    /// Reads a model file.
    ///
    /// # Errors
    /// As [`ModelFile::read`] and [`Self::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, RunOptions::default())
    }

    /// Reads a model file, to be run in another way than the default.
    ///
    /// # Errors
    /// As [`ModelFile::read`] and [`Self::new`].
    pub fn load_with(path: impl AsRef<Path>, options: RunOptions) -> Result<Self> {
        let path = path.as_ref();
        let file = ModelFile::read(path)?;
        Self::new(&file, options).map_err(|error| error.in_file(path))
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// As [`ModelFile::from_bytes`] and [`Self::new`].
    pub fn from_bytes(bytes: &[u8], options: RunOptions) -> Result<Self> {
        Self::new(&ModelFile::from_bytes(bytes)?, options)
    }

    /// A classifier from a model that was read.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a detector's file; [`Error::Malformed`] for
    /// weights that overflow when batch norms are folded into them;
    /// [`Error::OverLimit`] for too many threads, or threads that the system
    /// doesn't start.
    pub fn new(file: &ModelFile, options: RunOptions) -> Result<Self> {
        let info = file.info().clone();
        if info.task != Task::Classify {
            return Err(Error::Unsupported(
                "expected a classifier's model file, found a detector's".into(),
            ));
        }
        let network = info.backbone.classifier(info.classes.len());
        let runtime = Runtime::new(options)?;
        let plan = classifier_plan(file, &network, runtime.context())?;
        Ok(Self {
            engine: Engine::new(plan, runtime, info.preprocessing),
            info,
        })
    }

    /// The score of each class for a picture of any size; they add up to 1.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the network's outputs are not finite.
    pub fn classify(&self, image: &RgbImage) -> Result<Vec<f32>> {
        self.engine.run(image, |outputs| softmax(&outputs[LOGITS]))
    }

    /// The scores of each of several pictures of any sizes. Threads take
    /// pictures instead of sharing each one; the results are those of
    /// [`Self::classify`].
    ///
    /// # Errors
    /// As [`Self::classify`], for the first picture that fails.
    pub fn classify_batch(&self, images: &[RgbImage]) -> Result<Vec<Vec<f32>>> {
        self.engine.for_each(images, |image| self.classify(image))
    }

    /// The `most` classes with the highest scores, best first; equal ones in
    /// the order of their ids.
    ///
    /// # Errors
    /// As [`Self::classify`].
    pub fn top(&self, image: &RgbImage, most: usize) -> Result<Vec<ClassScore>> {
        let scores = self.classify(image)?;
        let classes = self.info.classes.ids().zip(scores);
        let mut top: Vec<_> = classes
            .map(|(class, score)| ClassScore { class, score })
            .collect();
        top.sort_by(|a, b| b.score.total_cmp(&a.score));
        top.truncate(most);
        Ok(top)
    }

    /// The network's output for a picture of any size, one number a class.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not finite.
    pub fn logits(&self, image: &RgbImage) -> Result<Vec<f32>> {
        self.engine.run(image, |outputs| {
            check_finite("class logits", &outputs[LOGITS])?;
            Ok(outputs[LOGITS].clone())
        })
    }

    /// What the model file says about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The names of the classes.
    pub fn classes(&self) -> &ClassNames {
        &self.info.classes
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The layers as they are run, in running order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = &LayerInfo> {
        self.engine.layers()
    }

    /// Runs the network alone on a picture of the input size. `after` is told
    /// the index of each layer when it is done: for timing.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a picture of another size.
    pub fn run_network(&self, image: &RgbImage, mut after: impl FnMut(usize)) -> Result<()> {
        self.engine.run_network(image, &mut after)
    }

    /// Threads that share the work of a picture.
    pub fn threads(&self) -> usize {
        self.engine.threads()
    }

    /// The instruction set that is used.
    pub fn isa(&self) -> Isa {
        self.engine.isa()
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
