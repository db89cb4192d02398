//! Detectors by name.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use ssdlite_core::{
    ClassId, ClassNames, Detection, ModelInfo, PostProcessing, Task, Tiles, Variant,
};
use ssdlite_image::decode::WHOLE;
use ssdlite_image::{ImageSize, RgbView};
use ssdlite_infer::{Detector, DetectorOptions, ModelFile, RunOptions};

use crate::answer::{ClassColors, ListedModel};
use crate::error::{Error, Result};
use crate::utc::utc;

/// Least score of what detectors of a server find: clients and the page's
/// slider choose above it.
pub const LEAST_SCORE: f32 = 0.05;

/// What finds objects in images. [`Detector`] does; tests bring others.
pub trait Detect: Send + Sync {
    /// What the model is.
    fn info(&self) -> &ModelInfo;

    /// Which boxes become detections unless a request says otherwise; the least
    /// score is [`LEAST_SCORE`].
    fn post_processing(&self) -> PostProcessing;

    /// The least size at which an image need be decoded.
    fn enough(&self) -> ImageSize {
        WHOLE
    }

    /// The objects in an image by these settings, best first, in the pixels of the
    /// whole image.
    ///
    /// # Errors
    /// A message if the detector is broken.
    fn detect_with(
        &self,
        image: RgbView<'_>,
        settings: &PostProcessing,
    ) -> std::result::Result<Vec<Detection>, String>;

    /// The objects by the detector's own settings.
    ///
    /// # Errors
    /// As [`Self::detect_with`].
    fn detect(&self, image: RgbView<'_>) -> std::result::Result<Vec<Detection>, String> {
        self.detect_with(image, &self.post_processing())
    }
}

impl Detect for Detector {
    fn info(&self) -> &ModelInfo {
        self.info()
    }

    fn post_processing(&self) -> PostProcessing {
        *self.post_processing()
    }

    fn enough(&self) -> ImageSize {
        self.enough()
    }

    fn detect_with(
        &self,
        image: RgbView<'_>,
        settings: &PostProcessing,
    ) -> std::result::Result<Vec<Detection>, String> {
        self.detect_with(&image, settings)
            .map_err(|error| error.to_string())
    }
}

/// How a model of a server is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelOptions {
    /// Threads that share the work of each image. A server that many ask at once
    /// gets most done with one; a live image comes soonest with as many as the
    /// machine has.
    pub threads: NonZeroUsize,
    /// Whether large images are looked at in tiles too; as the model file says unless
    /// given.
    pub tiles: Option<Tiles>,
}

impl ModelOptions {
    /// That many threads, tiles as the model file says.
    pub const fn threads(threads: NonZeroUsize) -> Self {
        Self {
            threads,
            tiles: None,
        }
    }
}

/// A detector with its name.
#[derive(Clone)]
pub struct Model {
    /// The name by which clients ask for it.
    pub name: String,
    /// What tells it from others of its name: when its file was written, in UTC.
    pub version: String,
    /// The least score of an answer where the client names none, 0 to 1.
    pub score_threshold: f32,
    /// What finds the objects.
    pub detector: Arc<dyn Detect>,
}

impl Model {
    /// Reads a model file; its name without the ending becomes the model's, in
    /// which what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// Those of [`Model::new`]; [`Error::Model`] for a file that can't be read.
    pub fn load(path: &Path, options: &ModelOptions) -> Result<Self> {
        // One that is replaced meanwhile has a later time.
        let written = path.metadata().and_then(|metadata| metadata.modified());
        let file = ModelFile::read(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let model = Self::new(&name, &file, options).map_err(|error| match error {
            Error::Model(error) => Error::Model(error.in_file(path)),
            other => other,
        })?;
        Ok(Self {
            version: written.map_or(model.version, utc),
            ..model
        })
    }

    /// A detector from a model file that was read, of the version `1`.
    ///
    /// # Errors
    /// [`Error::Model`] for a file that is no detector, or doesn't say what the tiles
    /// that are asked for need.
    pub fn new(name: &str, file: &ModelFile, options: &ModelOptions) -> Result<Self> {
        let shown = match &file.info().task {
            Task::Detect(settings) => settings.post_processing,
            Task::Classify => PostProcessing::default(),
        };
        let detector_options = DetectorOptions {
            run: RunOptions {
                warm_up: true,
                ..RunOptions::threads(options.threads)
            },
            post_processing: Some(PostProcessing {
                score_threshold: LEAST_SCORE,
                ..shown
            }),
            tiles: options.tiles,
        };
        Ok(Self {
            name: name.to_owned(),
            version: "1".into(),
            score_threshold: shown.score_threshold.max(LEAST_SCORE),
            detector: Arc::new(Detector::new(file, &detector_options)?),
        })
    }

    /// The class names.
    pub(crate) fn classes(&self) -> &ClassNames {
        &self.detector.info().classes
    }

    /// What clients are told of it.
    pub(crate) fn listed(&self) -> ListedModel<'_> {
        let classes: Vec<_> = self.classes().iter().collect();
        let ids = (0..classes.len()).map(ClassId::from_index);
        ListedModel {
            name: &self.name,
            version: &self.version,
            backbone: self.backbone(),
            colors: ids.map(ClassColors::new).collect(),
            classes,
            score: self.score_threshold,
            input: self.detector.info().preprocessing.size,
        }
    }

    /// The network's name for people, such as `MobileNetV3-Large`.
    fn backbone(&self) -> String {
        let backbone = &self.detector.info().backbone;
        let variant = match backbone.variant {
            Variant::Small => "Small",
            Variant::Large => "Large",
        };
        let minimalistic = if backbone.minimalistic {
            " minimalistic"
        } else {
            ""
        };
        let width = match backbone.width_multiplier {
            1.0 => String::new(),
            width => format!(" {width}"),
        };
        format!("MobileNetV3-{variant}{minimalistic}{width}")
    }
}
