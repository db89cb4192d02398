//! Finding objects.

use std::path::Path;

use ssdlite_core::post_processing::{RawOutputs, detections_from_outputs};
use ssdlite_core::{
    BoxCoder, ClassNames, DefaultBoxes, Detection, ImageSize, ModelInfo, PostProcessing, Task,
};
use ssdlite_image::RgbImage;
use ssdlite_kernels::Isa;
use ssdlite_model::{Error, ModelFile, Result};

use crate::build::{LOGITS, REGRESSIONS, detector_plan};
use crate::engine::{Engine, LayerInfo, Runtime, check_finite};
use crate::options::DetectorOptions;

/// An SSD-lite detector, ready to run.
#[derive(Debug)]
pub struct Detector {
    engine: Engine,
    info: ModelInfo,
    default_boxes: DefaultBoxes,
    coder: BoxCoder,
    post_processing: PostProcessing,
}

/// What the network says about one picture, before boxes are made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorOutputs {
    /// `[default boxes, classes + 1]`, row-major; output 0 is background.
    pub logits: Vec<f32>,
    /// `[default boxes, 4]`, row-major: `dx, dy, dw, dh` of the box coder.
    pub regressions: Vec<f32>,
}

impl Detector {
    /// Reads a model file.
    ///
    /// # Errors
    /// As [`ModelFile::read`] and [`Self::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(path, &DetectorOptions::default())
    }

    /// Reads a model file, to be run in another way than the default.
    ///
    /// # Errors
    /// As [`ModelFile::read`] and [`Self::new`].
    pub fn load_with(path: impl AsRef<Path>, options: &DetectorOptions) -> Result<Self> {
        let path = path.as_ref();
        let file = ModelFile::read(path)?;
        Self::new(&file, options).map_err(|error| error.in_file(path))
    }

    /// Reads the bytes of a model file.
    ///
    /// # Errors
    /// As [`ModelFile::from_bytes`] and [`Self::new`].
    pub fn from_bytes(bytes: &[u8], options: &DetectorOptions) -> Result<Self> {
        Self::new(&ModelFile::from_bytes(bytes)?, options)
    }

    /// A detector from a model that was read.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a classifier's file; [`Error::Malformed`] for
    /// options that are no sound numbers or weights that overflow when batch
    /// norms are folded into them; [`Error::OverLimit`] for options beyond
    /// their limits, or threads that the system doesn't start.
    pub fn new(file: &ModelFile, options: &DetectorOptions) -> Result<Self> {
        let info = file.info().clone();
        let (Task::Detect(settings), Some(default_boxes)) = (&info.task, info.default_boxes())
        else {
            return Err(Error::Unsupported(
                "expected a detector's model file, found a classifier's".into(),
            ));
        };
        let post_processing = options.post_processing.unwrap_or(settings.post_processing);
        post_processing.validate()?;
        let coder = settings.box_coder;
        let network = info.backbone.detector(info.classes.len());
        let runtime = Runtime::new(options.run)?;
        let plan = detector_plan(file, &network, runtime.context())?;
        Ok(Self {
            engine: Engine::new(plan, runtime, info.preprocessing),
            info,
            default_boxes,
            coder,
            post_processing,
        })
    }

    /// The objects in a picture of any size, best first, in its pixels.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the network's outputs are not finite.
    pub fn detect(&self, image: &RgbImage) -> Result<Vec<Detection>> {
        self.engine.run(image, |outputs| {
            self.detections(&outputs[LOGITS], &outputs[REGRESSIONS], image.size())
        })
    }

    /// The objects in each of several pictures of any sizes. Threads take
    /// pictures instead of sharing each one; the results are those of
    /// [`Self::detect`].
    ///
    /// # Errors
    /// As [`Self::detect`], for the first picture that fails.
    pub fn detect_batch(&self, images: &[RgbImage]) -> Result<Vec<Vec<Detection>>> {
        self.engine.for_each(images, |image| self.detect(image))
    }

    /// What the network says about a picture of any size.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not finite.
    pub fn outputs(&self, image: &RgbImage) -> Result<DetectorOutputs> {
        self.engine.run(image, |outputs| {
            check_finite("class logits", &outputs[LOGITS])?;
            check_finite("box regressions", &outputs[REGRESSIONS])?;
            Ok(DetectorOutputs {
                logits: outputs[LOGITS].clone(),
                regressions: outputs[REGRESSIONS].clone(),
            })
        })
    }

    /// The detections that outputs stand for, in a picture of this size.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is not one row of outputs for each default
    /// box, or a number is not finite.
    pub fn detections_from_outputs(
        &self,
        outputs: &DetectorOutputs,
        image: ImageSize,
    ) -> Result<Vec<Detection>> {
        self.detections(&outputs.logits, &outputs.regressions, image)
    }

    fn detections(
        &self,
        logits: &[f32],
        regressions: &[f32],
        image: ImageSize,
    ) -> Result<Vec<Detection>> {
        let outputs = RawOutputs {
            logits,
            regressions,
        };
        let (boxes, coder) = (&self.default_boxes, &self.coder);
        let settings = &self.post_processing;
        Ok(detections_from_outputs(
            outputs, boxes, coder, settings, image,
        )?)
    }

    /// Which boxes become detections.
    pub fn post_processing(&self) -> &PostProcessing {
        &self.post_processing
    }

    /// Changes which boxes become detections.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::OverLimit`] for settings that are no
    /// sound numbers.
    pub fn set_post_processing(&mut self, settings: PostProcessing) -> Result<()> {
        settings.validate()?;
        self.post_processing = settings;
        Ok(())
    }

    /// What the model file says about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The names of the classes.
    pub fn classes(&self) -> &ClassNames {
        &self.info.classes
    }

    /// The boxes that the network adjusts, in the order of its outputs.
    pub fn default_boxes(&self) -> &DefaultBoxes {
        &self.default_boxes
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
