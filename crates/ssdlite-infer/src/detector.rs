//! Finding objects.

use ssdlite_core::post_processing::{RawOutputs, detections_from_outputs};
use ssdlite_core::{
    BoxCoder, DefaultBoxes, Detection, ImageSize, ModelInfo, PostProcessing, Scores, Task,
};
use ssdlite_image::RgbImage;
use ssdlite_model::{Error, Result};

use crate::engine::check_finite;
use crate::model::{Model, ModelTask};
use crate::options::{DetectorOptions, RunOptions};

/// An SSD-lite detector, ready to run.
pub type Detector = Model<Detect>;

/// How a detector makes detections of its network's outputs.
#[derive(Clone, Debug)]
pub struct Detect {
    default_boxes: DefaultBoxes,
    coder: BoxCoder,
    scores: Scores,
    post_processing: PostProcessing,
}

/// What the network says about one image, before boxes are made of it.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorOutputs {
    /// `[default boxes, logits a box]`, row-major: of the background, if the model's
    /// scores have one, then of the classes.
    pub logits: Vec<f32>,
    /// `[default boxes, 4]`, row-major: `dx, dy, dw, dh` of the box coder.
    pub regressions: Vec<f32>,
}

impl ModelTask for Detect {
    type Options = DetectorOptions;

    fn new(info: &ModelInfo, options: &DetectorOptions) -> Result<(Self, RunOptions)> {
        let (Task::Detect(settings), Some(default_boxes)) = (&info.task, info.default_boxes())
        else {
            return Err(Error::Unsupported(
                "expected a detector's model file, found a classifier's".into(),
            ));
        };
        let post_processing = options.post_processing.unwrap_or(settings.post_processing);
        post_processing.validate()?;
        let task = Self {
            default_boxes,
            coder: settings.box_coder,
            scores: settings.scores,
            post_processing,
        };
        Ok((task, options.run))
    }
}

impl Detector {
    /// The objects in an image of any size, best first, in its pixels.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the network's outputs are not finite.
    pub fn detect(&self, image: &RgbImage) -> Result<Vec<Detection>> {
        self.detect_with(image, &self.task.post_processing)
    }

    /// [`Self::detect`] with other settings for this image.
    ///
    /// # Errors
    /// As [`Self::detect`]; [`Error::Malformed`] or [`Error::OverLimit`] for
    /// settings that are no sound numbers.
    pub fn detect_with(
        &self,
        image: &RgbImage,
        settings: &PostProcessing,
    ) -> Result<Vec<Detection>> {
        settings.validate()?;
        self.engine.run(image, |outputs| {
            let outputs = RawOutputs {
                logits: &outputs.logits,
                scores: self.task.scores,
                regressions: &outputs.regressions,
            };
            self.detections(outputs, settings, image.size())
        })
    }

    /// The objects in an image as [`Self::detect`] gives them, and where there are
    /// none the best box that falls short of the least score, if one reaches
    /// [`PostProcessing::EVALUATION_SCORE_THRESHOLD`].
    ///
    /// # Errors
    /// As [`Self::detect`].
    pub fn detect_or_nearest(
        &self,
        image: &RgbImage,
    ) -> Result<(Vec<Detection>, Option<Detection>)> {
        self.engine.run(image, |outputs| {
            let outputs = RawOutputs {
                logits: &outputs.logits,
                scores: self.task.scores,
                regressions: &outputs.regressions,
            };
            let settings = &self.task.post_processing;
            let detections = self.detections(outputs, settings, image.size())?;
            if !detections.is_empty() {
                return Ok((detections, None));
            }
            let best_alone = PostProcessing {
                score_threshold: PostProcessing::EVALUATION_SCORE_THRESHOLD,
                candidates_per_class: 1,
                max_detections: 1,
                ..*settings
            };
            let best = self.detections(outputs, &best_alone, image.size())?;
            Ok((detections, best.into_iter().next()))
        })
    }

    /// The objects in each of several images of any sizes. Threads take
    /// images instead of sharing each one; the results are those of
    /// [`Self::detect`].
    ///
    /// # Errors
    /// As [`Self::detect`], for the first image that fails.
    pub fn detect_batch(&self, images: &[RgbImage]) -> Result<Vec<Vec<Detection>>> {
        self.engine.for_each(images, |image| self.detect(image))
    }

    /// What the network says about an image of any size.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not finite.
    pub fn outputs(&self, image: &RgbImage) -> Result<DetectorOutputs> {
        self.engine.run(image, |outputs| {
            check_finite("class logits", &outputs.logits)?;
            check_finite("box regressions", &outputs.regressions)?;
            Ok(DetectorOutputs {
                logits: outputs.logits.clone(),
                regressions: outputs.regressions.clone(),
            })
        })
    }

    /// The detections that outputs stand for, in an image of this size.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is not one row of outputs for each default
    /// box, or a number is not finite.
    pub fn detections_from_outputs(
        &self,
        outputs: &DetectorOutputs,
        image: ImageSize,
    ) -> Result<Vec<Detection>> {
        let outputs = RawOutputs {
            logits: &outputs.logits,
            scores: self.task.scores,
            regressions: &outputs.regressions,
        };
        self.detections(outputs, &self.task.post_processing, image)
    }

    fn detections(
        &self,
        outputs: RawOutputs<'_>,
        settings: &PostProcessing,
        image: ImageSize,
    ) -> Result<Vec<Detection>> {
        let (boxes, coder) = (&self.task.default_boxes, &self.task.coder);
        Ok(detections_from_outputs(
            outputs, boxes, coder, settings, image,
        )?)
    }

    /// Which boxes become detections.
    pub fn post_processing(&self) -> &PostProcessing {
        &self.task.post_processing
    }

    /// Changes which boxes become detections.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::OverLimit`] for settings that are no
    /// sound numbers.
    pub fn set_post_processing(&mut self, settings: PostProcessing) -> Result<()> {
        settings.validate()?;
        self.task.post_processing = settings;
        Ok(())
    }

    /// The boxes that the network adjusts, in the order of its outputs.
    pub fn default_boxes(&self) -> &DefaultBoxes {
        &self.task.default_boxes
    }
}
