//! What a model file says about its model, besides the tensors.
//!
//! A model file is a safetensors file whose tensors have torchvision's names
//! and whose metadata holds this, as JSON, under the key [`METADATA_KEY`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::box_coder::BoxCoder;
use crate::classes::ClassNames;
use crate::default_boxes::{DefaultBoxSizes, DefaultBoxes};
use crate::detector::{DetectorNetwork, FinestMap, Head};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::inventory::TensorSpec;
use crate::mobilenet::MobileNetV3;
use crate::post_processing::PostProcessing;
use crate::preprocessing::{Fit, Preprocessing};
use crate::scores::Scores;
use crate::tiles::{LEAST_CELLS, LearntView};
use crate::unit::MapSize;

/// Key of the JSON in a safetensors file's metadata.
pub const METADATA_KEY: &str = "ssdlite";

/// The version of the format that this crate writes.
///
/// Version 1 wrote default boxes as seven scales, from which six boxes at a cell
/// of each of six maps follow; up to version 2 every detector was the paper's
/// SSD-lite. Both are read as what they mean.
pub const FORMAT_VERSION: u32 = 3;

/// The versions that are read.
const READ_VERSIONS: std::ops::RangeInclusive<u32> = 1..=FORMAT_VERSION;

/// What a model does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Says what an image shows.
    Classify,
    /// Finds objects.
    Detect(DetectorSettings),
}

impl Task {
    /// `classify` or `detect`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Detect(_) => "detect",
        }
    }
}

/// What a detector needs besides its network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorSettings {
    /// What finds objects in the backbone's maps.
    #[serde(default)]
    pub head: Head,
    /// The finest of the maps.
    #[serde(default)]
    pub finest: FinestMap,
    /// Sides of the default boxes.
    pub default_boxes: DefaultBoxSizes,
    /// How regressions describe boxes.
    pub box_coder: BoxCoder,
    /// How scores follow from class logits; softmax where a file doesn't say.
    #[serde(default)]
    pub scores: Scores,
    /// Which boxes become detections unless asked otherwise.
    pub post_processing: PostProcessing,
    /// What it saw of its training images; not known of other programs' models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt_view: Option<LearntView>,
}

impl DetectorSettings {
    /// The usual settings of a detector with another head, with SSD's default boxes.
    pub fn with_head(head: Head) -> Self {
        let finest = FinestMap::default();
        Self {
            head,
            finest,
            default_boxes: DefaultBoxSizes::paper(head, finest),
            ..Self::default()
        }
    }

    /// The network that gives this many logits a default box.
    fn network(&self, logits: usize) -> DetectorNetwork {
        DetectorNetwork {
            head: self.head,
            finest: self.finest,
            boxes_per_cell: self.default_boxes.per_cell(),
            logits,
        }
    }

    /// Checks head, maps and default boxes against each other.
    ///
    /// # Errors
    /// What [`Head::validate`] and [`DefaultBoxSizes::validate`] find;
    /// [`Error::Malformed`] for maps or boxes that the head can't have.
    pub fn validate_network(&self) -> Result<()> {
        self.head.validate()?;
        self.default_boxes.validate()?;
        let per_cell = self.default_boxes.per_cell();
        let counts = self.head.map_counts(self.finest);
        if !counts.contains(&per_cell.len()) {
            return Err(Error::Malformed(format!(
                "default boxes: expected {} to {} maps for the head {} from stride {} on, found {}",
                counts.start(),
                counts.end(),
                self.head.name(),
                self.finest.stride(),
                per_cell.len()
            )));
        }
        let shares = matches!(self.head, Head::Fpn { .. });
        if shares && per_cell.iter().any(|&count| count != per_cell[0]) {
            return Err(Error::Malformed(format!(
                "default boxes: expected as many at each map for a head that the maps share, \
                 found {per_cell:?}"
            )));
        }
        Ok(())
    }
}

/// What a model file says about its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelInfo {
    /// Version of the format, [`FORMAT_VERSION`].
    pub format_version: u32,
    /// What the model does.
    pub task: Task,
    /// Its network.
    pub backbone: MobileNetV3,
    /// Its classes, without background.
    pub classes: ClassNames,
    /// What is done to an image before the network sees it.
    pub preprocessing: Preprocessing,
    /// How it was trained: names and values for people to read.
    #[serde(default)]
    pub training: BTreeMap<String, String>,
    /// What it scored, by the metric's name.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
}

impl ModelInfo {
    /// A classifier with a square input.
    pub fn classifier(backbone: MobileNetV3, classes: ClassNames, side: u32) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            task: Task::Classify,
            backbone,
            classes,
            preprocessing: Preprocessing::classifier(side),
            training: BTreeMap::new(),
            metrics: BTreeMap::new(),
        }
    }

    /// A detector with the default settings and a square input.
    pub fn detector(backbone: MobileNetV3, classes: ClassNames, side: u32) -> Self {
        Self {
            task: Task::Detect(DetectorSettings::default()),
            preprocessing: Preprocessing::detector(crate::ImageSize::square(side)),
            ..Self::classifier(backbone, classes, side)
        }
    }

    /// Reads and checks the JSON of a model file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another format version, [`Error::Malformed`]
    /// for anything that is not such a JSON, and what [`Self::validate`] finds.
    pub fn from_json(json: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let malformed = |error: serde_json::Error| {
            Error::Malformed(format!("model metadata `{METADATA_KEY}`: {error}"))
        };
        let Version { format_version } = serde_json::from_str(json).map_err(malformed)?;
        if !READ_VERSIONS.contains(&format_version) {
            return Err(Error::Unsupported(format!(
                "expected model format version 1 to {FORMAT_VERSION}, found {format_version}: \
                 the file was written by another version of ssdlite"
            )));
        }
        let mut info: Self = serde_json::from_str(json).map_err(malformed)?;
        info.format_version = FORMAT_VERSION;
        info.validate()?;
        Ok(info)
    }

    /// The JSON for a model file.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a metric that is not a finite number.
    pub fn to_json(&self) -> Result<String> {
        if let Some((name, value)) = self.metrics.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Error::Malformed(format!(
                "metric {name}: expected a finite number, found {value}"
            )));
        }
        serde_json::to_string(self).map_err(|error| Error::Malformed(error.to_string()))
    }

    /// Checks all numbers against each other and against this project's limits.
    ///
    /// # Errors
    /// Whatever the parts' own checks find.
    pub fn validate(&self) -> Result<()> {
        self.backbone.validate()?;
        self.preprocessing.validate()?;
        if let Task::Detect(settings) = &self.task {
            if self.preprocessing.fit != Fit::Stretch {
                return Err(Error::Malformed(format!(
                    "expected a detector's images to be stretched, found {:?}",
                    self.preprocessing.fit
                )));
            }
            settings.validate_network()?;
            settings.box_coder.validate()?;
            settings.post_processing.validate()?;
            if let Some(view) = &settings.learnt_view {
                view.validate()?;
            }
        }
        Ok(())
    }

    /// Input size as rows and columns.
    pub fn input(&self) -> MapSize {
        let size = self.preprocessing.size;
        MapSize::new(size.height as usize, size.width as usize)
    }

    /// The network.
    pub fn graph(&self) -> Graph {
        let classes = self.classes.len();
        match &self.task {
            Task::Classify => self.backbone.classifier(classes),
            Task::Detect(settings) => {
                let logits = settings.scores.logits(classes);
                self.backbone.detector_with(&settings.network(logits))
            }
        }
    }

    /// The side in pixels of the input of the smallest object that is found well:
    /// [`LEAST_CELLS`] of the finest feature map.
    pub fn least_found_side(&self) -> f32 {
        let maps = self.graph().feature_maps(self.input());
        let finest = maps.first().map_or(1, |map| map.width.max(1));
        LEAST_CELLS * self.preprocessing.size.width as f32 / finest as f32
    }

    /// Every tensor that the model's file must hold.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        self.graph().tensors()
    }

    /// Multiplications with addition for one image.
    pub fn macs(&self) -> u64 {
        self.graph().macs(self.input())
    }

    /// The default boxes of a detector, none for a classifier.
    pub fn default_boxes(&self) -> Option<DefaultBoxes> {
        let Task::Detect(settings) = &self.task else {
            return None;
        };
        let maps = self.graph().feature_maps(self.input());
        Some(DefaultBoxes::new(&settings.default_boxes, &maps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Part;
    use crate::mobilenet::Variant;

    fn info() -> ModelInfo {
        let classes = ClassNames::new(["cat", "dog"]).unwrap();
        let mut info = ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, 300);
        info.metrics.insert("map_voc07".into(), 0.5);
        info
    }

    #[test]
    fn json_comes_back() {
        let info = info();
        let back = ModelInfo::from_json(&info.to_json().unwrap()).unwrap();
        assert_eq!(info, back);
    }

    /// As version 1 wrote it.
    #[test]
    fn the_first_version_means_what_it_meant() {
        let boxes = serde_json::to_string(&DefaultBoxSizes::default()).unwrap();
        let scales = "{\"scales\":[0.2,0.35,0.5,0.65,0.8,0.95,1.0]}";
        let json = info().to_json().unwrap();
        let old = json
            .replacen("\"format_version\":3", "\"format_version\":1", 1)
            .replacen("\"head\":\"ssdlite\",\"finest\":16,", "", 1)
            .replacen(&boxes, scales, 1);
        assert!(old.contains(scales));
        assert_eq!(ModelInfo::from_json(&old).unwrap(), info());
    }

    #[test]
    fn every_head_has_usual_settings() {
        let usual = DetectorSettings::with_head(Head::Ssdlite);
        assert_eq!(usual, DetectorSettings::default());
        let head = Head::Fpn {
            channels: Head::USUAL_CHANNELS,
        };
        let mut pyramid = info();
        pyramid.task = Task::Detect(DetectorSettings::with_head(head));
        pyramid.validate().unwrap();
        let mut parts = pyramid.tensors().into_iter().map(|tensor| tensor.part);
        assert!(parts.any(|part| part == Part::Neck));
    }

    #[test]
    fn scores_are_kept_and_softmax_where_a_file_is_silent() {
        let mut sigmoid = info();
        let Task::Detect(settings) = &mut sigmoid.task else {
            panic!("expected a detector");
        };
        settings.scores = Scores::Sigmoid;
        let json = sigmoid.to_json().unwrap();
        assert_eq!(ModelInfo::from_json(&json).unwrap(), sigmoid);
        let silent = json.replacen("\"scores\":\"sigmoid\",", "", 1);
        assert_ne!(silent, json);
        assert_eq!(ModelInfo::from_json(&silent).unwrap(), info());
        let logits = |info: &ModelInfo| {
            let graph = info.graph();
            let (_, output) = graph.outputs().next().unwrap();
            output.numbers
        };
        assert_eq!((logits(&sigmoid), logits(&info())), (2, 3));
    }

    #[test]
    fn default_boxes_at_300_are_counted_right() {
        let cells = 19 * 19 + 10 * 10 + 5 * 5 + 3 * 3 + 2 * 2 + 1;
        assert_eq!(info().default_boxes().unwrap().len(), cells * 6);
    }

    #[test]
    fn other_versions_and_broken_json_are_told_apart() {
        let json = info().to_json().unwrap();
        let newer = json.replacen("\"format_version\":3", "\"format_version\":4", 1);
        let error = ModelInfo::from_json(&newer).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
        for broken in [
            "",
            "{}",
            "[]",
            &json[..json.len() / 2],
            "{\"format_version\":1}",
        ] {
            let error = ModelInfo::from_json(broken).unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{error}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        let deep = format!(
            "{{\"format_version\":1,\"training\":{}",
            "[".repeat(100_000)
        );
        assert!(ModelInfo::from_json(&deep).is_err());
    }

    #[test]
    fn a_detector_that_cuts_its_images_is_refused() {
        let mut info = info();
        info.preprocessing.fit = Fit::CenterCrop { shorter_side: 342 };
        let error = info.validate().unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }

    #[test]
    fn metrics_that_json_cannot_hold_are_refused() {
        let mut info = info();
        info.metrics.insert("broken".into(), f64::NAN);
        assert!(info.to_json().is_err());
    }
}
