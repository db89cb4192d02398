//! Finding objects.

use ssdlite_core::post_processing::{RawOutputs, detections_from_outputs};
use ssdlite_core::tiles::{Pass, Tile, Tiling, merge_passes};
use ssdlite_core::{
    BoxCoder, DefaultBoxes, Detection, ImageSize, LearntView, ModelInfo, PostProcessing, Scores,
    Task, Tiles,
};
use ssdlite_image::decode::WHOLE;
use ssdlite_image::{AsRgb, RgbView};
use ssdlite_model::{Error, Result};

use crate::engine::check_finite;
use crate::model::{Model, ModelTask};
use crate::options::{DetectorOptions, RunOptions};
use crate::plan::Outputs;

/// An SSD-lite detector, ready to run.
pub type Detector = Model<Detect>;

/// How a detector makes detections of its network's outputs.
#[derive(Clone, Debug)]
pub struct Detect {
    default_boxes: DefaultBoxes,
    coder: BoxCoder,
    scores: Scores,
    post_processing: PostProcessing,
    tiling: Tiling,
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
        let view = settings.learnt_view;
        let tiles = options.tiles.unwrap_or(match view {
            Some(LearntView { tiles: true, .. }) => Tiles::Auto,
            _ => Tiles::Off,
        });
        let task = Self {
            default_boxes,
            coder: settings.box_coder,
            scores: settings.scores,
            post_processing,
            tiling: Tiling::new(tiles, view, info.least_found_side())?,
        };
        Ok((task, options.run))
    }
}

impl Detector {
    /// The objects in an image of any size, best first, in its pixels: those of the whole
    /// image, where it was decoded at a reduced scale. A large image is looked at in tiles
    /// too where [`Self::tiles_of`] gives some.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the network's outputs are not finite.
    pub fn detect(&self, image: &impl AsRgb) -> Result<Vec<Detection>> {
        self.detect_with(image, &self.task.post_processing)
    }

    /// [`Self::detect`] with other settings for this image.
    ///
    /// # Errors
    /// As [`Self::detect`]; [`Error::Malformed`] or [`Error::OverLimit`] for
    /// settings that are no sound numbers.
    pub fn detect_with(
        &self,
        image: &impl AsRgb,
        settings: &PostProcessing,
    ) -> Result<Vec<Detection>> {
        settings.validate()?;
        let image = image.as_rgb();
        let passes = self.passes(image, |outputs, part| {
            self.detections(outputs, settings, part)
        })?;
        Ok(merge_passes(
            passes,
            image.reduction().whole_size(),
            settings,
        ))
    }

    /// The objects in an image as [`Self::detect`] gives them, and where there are
    /// none the best box that falls short of the least score, if one reaches
    /// [`PostProcessing::EVALUATION_SCORE_THRESHOLD`].
    ///
    /// # Errors
    /// As [`Self::detect`].
    pub fn detect_or_nearest(
        &self,
        image: &impl AsRgb,
    ) -> Result<(Vec<Detection>, Option<Detection>)> {
        let image = image.as_rgb();
        let settings = &self.task.post_processing;
        let best_alone = PostProcessing {
            score_threshold: PostProcessing::EVALUATION_SCORE_THRESHOLD,
            candidates_per_class: 1,
            max_detections: 1,
            ..*settings
        };
        let mut passes = self.passes(image, |outputs, part| {
            let detections = self.detections(outputs, settings, part)?;
            if !detections.is_empty() {
                return Ok(detections);
            }
            self.detections(outputs, &best_alone, part)
        })?;
        let reaches = |found: &Detection| found.score >= settings.score_threshold;
        let is_any_found = passes
            .iter()
            .any(|pass| pass.detections.iter().any(reaches));
        if is_any_found {
            // What falls short takes the place of nothing.
            for pass in &mut passes {
                pass.detections.retain(reaches);
            }
        }
        let found = merge_passes(passes, image.reduction().whole_size(), settings);
        Ok(if is_any_found {
            (found, None)
        } else {
            (Vec::new(), found.first().copied())
        })
    }

    /// What `find` makes of the outputs for an image and for each of its tiles; the size
    /// that it is told is that of the part. Threads take parts instead of sharing
    /// each one.
    fn passes(
        &self,
        image: RgbView<'_>,
        find: impl Fn(RawOutputs<'_>, ImageSize) -> Result<Vec<Detection>> + Sync,
    ) -> Result<Vec<Pass>> {
        let find = |outputs: &Outputs, part| {
            let outputs = RawOutputs {
                logits: &outputs.logits,
                scores: self.task.scores,
                regressions: &outputs.regressions,
            };
            find(outputs, part)
        };
        let whole = Tile::whole(image.reduction().whole_size());
        let mut parts = self.tiles_of(whole.size);
        if parts.is_empty() {
            let detections = self
                .engine
                .run(image, |outputs| find(outputs, whole.size))?;
            return Ok(vec![Pass {
                tile: whole,
                detections,
            }]);
        }
        parts.push(whole);
        self.engine.for_each(&parts, |&tile| {
            let part = tile.to_box();
            let found = self
                .engine
                .run_part(image, tile, |outputs| find(outputs, tile.size))?;
            let detections = found.into_iter().map(|found| Detection {
                bbox: found.bbox.translated(part.x1, part.y1),
                ..found
            });
            Ok(Pass {
                tile,
                detections: detections.collect(),
            })
        })
    }

    /// The least size at which an image need be decoded: that of
    /// [`Preprocessing::enough`](ssdlite_core::Preprocessing::enough), or any where tiles
    /// are looked at.
    pub fn enough(&self) -> ImageSize {
        match self.tiles() {
            Tiles::Off => self.info.preprocessing.enough(),
            Tiles::Auto | Tiles::Parts(_) => WHOLE,
        }
    }

    /// The tiles in which an image of this size is looked at besides as a whole; none
    /// where the whole is enough.
    pub fn tiles_of(&self, image: ImageSize) -> Vec<Tile> {
        self.task.tiling.tiles_of(image)
    }

    /// Whether images are looked at in tiles too.
    pub fn tiles(&self) -> Tiles {
        self.task.tiling.tiles()
    }

    /// The objects in each of several images of any sizes. Threads take
    /// images instead of sharing each one; the results are those of
    /// [`Self::detect`].
    ///
    /// # Errors
    /// As [`Self::detect`], for the first image that fails.
    pub fn detect_batch(&self, images: &[impl AsRgb + Sync]) -> Result<Vec<Vec<Detection>>> {
        self.engine.for_each(images, |image| self.detect(image))
    }

    /// What the network says about an image of any size, seen as a whole.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not finite.
    pub fn outputs(&self, image: &impl AsRgb) -> Result<DetectorOutputs> {
        self.engine.run(image.as_rgb(), |outputs| {
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
