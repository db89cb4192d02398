//! A detector's configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use ssdlite_core::post_processing::MOST_BOXES;
use ssdlite_core::{FinestMap, PostProcessing, Suppression, Tiles};
use ssdlite_data::Format;
use ssdlite_data::split::Split;
use ssdlite_data::voc::MAIN_LISTS;

use super::boxes::Boxes;
use super::choice::Choice;
use super::head::{DetectorHeadOptions, HeadKind};
use super::loss::DetectorLossOptions;
use super::model::ModelOptions;
use super::training::{LoaderOptions, TrainingOptions};
use super::{
    absolute, check_not_negative, check_probability, check_share, check_whole, from_toml, to_toml,
};
use crate::error::Result;

/// Which images a detector learns from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DetectorDataOptions {
    /// The data set's folder.
    pub path: PathBuf,
    /// The form of its labels; `auto` by the files in it.
    #[serde(default)]
    pub format: Choice<Format>,
    /// Whether VOC's annotations count pixels from 0 with exclusive ends.
    #[serde(default)]
    pub voc_zero_based: bool,
    /// The split to learn from.
    #[serde(default = "train_split")]
    pub train_split: Split,
    /// The split that picks the best weights. Without its list file the last
    /// weights are the best.
    #[serde(default = "val_split")]
    pub val_split: Split,
    /// The folder of `ImageSets` whose lists tell the splits.
    #[serde(default = "main_lists")]
    pub lists: String,
    /// Whether objects marked difficult are learnt too.
    #[serde(default)]
    pub train_difficult: bool,
    /// Whether parts of large images are learnt from too, and so looked at afterwards;
    /// `auto` where the whole images show objects too small.
    #[serde(default)]
    pub tiles: Tiles,
}

fn train_split() -> Split {
    Split::Train
}

fn val_split() -> Split {
    Split::Val
}

fn main_lists() -> String {
    MAIN_LISTS.to_owned()
}

/// How images are changed while a detector is trained: arXiv 1512.02325,
/// sections 2.2 and 3.6.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DetectorAugmentOptions {
    /// Probability of each of the photometric distortions.
    pub photometric: f32,
    /// Probability of expanding the image's frame.
    pub zoom_out: f32,
    /// Whether images are cropped around objects.
    pub iou_crop: bool,
    /// Probability of swapping left and right.
    pub mirror: f32,
}

impl Default for DetectorAugmentOptions {
    fn default() -> Self {
        Self {
            photometric: 0.5,
            zoom_out: 0.5,
            iou_crop: true,
            mirror: 0.5,
        }
    }
}

/// How a detector is evaluated while it trains, and by default afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DetectorEvaluationOptions {
    /// Epochs from one evaluation to the next; the last epoch has one anyway. 0
    /// leaves at least 25 steps between two.
    pub every: u32,
    /// Least score of a detection that counts.
    pub score: f32,
    /// IoU above which the worse of two boxes of a class goes.
    pub nms: f32,
    /// Most boxes a class that compete.
    pub candidates: usize,
    /// Most detections an image.
    pub max_detections: usize,
}

impl Default for DetectorEvaluationOptions {
    fn default() -> Self {
        let usual = PostProcessing::default();
        Self {
            every: 0,
            score: PostProcessing::EVALUATION_SCORE_THRESHOLD,
            nms: PostProcessing::USUAL_MAX_IOU,
            candidates: usual.candidates_per_class,
            max_detections: usual.max_detections,
        }
    }
}

impl DetectorEvaluationOptions {
    /// What decides in an evaluation of the run.
    pub const fn post_processing(&self) -> PostProcessing {
        PostProcessing {
            score_threshold: self.score,
            suppression: Suppression::Hard { max_iou: self.nms },
            candidates_per_class: self.candidates,
            max_detections: self.max_detections,
        }
    }

    /// What a model of the run goes by when nothing else is asked for: the
    /// same, but with the usual score, as its detections are looked at, until an
    /// evaluation suggests another.
    pub fn model_post_processing(&self) -> PostProcessing {
        PostProcessing {
            score_threshold: PostProcessing::default().score_threshold,
            ..self.post_processing()
        }
    }
}

/// All that a detector's training run needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DetectorConfig {
    /// Which images.
    pub data: DetectorDataOptions,
    /// Which network.
    #[serde(default)]
    pub model: ModelOptions,
    /// What it has on its backbone.
    #[serde(default)]
    pub detector: DetectorHeadOptions,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingOptions,
    /// How images get into memory.
    #[serde(default)]
    pub loader: LoaderOptions,
    /// How images are changed.
    #[serde(default)]
    pub augment: DetectorAugmentOptions,
    /// The loss.
    #[serde(default)]
    pub loss: DetectorLossOptions,
    /// How it is evaluated.
    #[serde(default)]
    pub evaluation: DetectorEvaluationOptions,
}

impl DetectorConfig {
    /// The defaults for the data set in this folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            data: DetectorDataOptions {
                path: path.into(),
                format: Choice::Auto,
                voc_zero_based: false,
                train_split: train_split(),
                val_split: val_split(),
                lists: main_lists(),
                train_difficult: false,
                tiles: Tiles::Off,
            },
            model: ModelOptions::detector(),
            detector: DetectorHeadOptions::default(),
            training: TrainingOptions::default(),
            loader: LoaderOptions::default(),
            augment: DetectorAugmentOptions::default(),
            loss: DetectorLossOptions::default(),
            evaluation: DetectorEvaluationOptions::default(),
        }
    }

    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with line and key for anything that is not
    /// such a file, and what [`Self::validate`] finds.
    pub fn from_toml(text: &str) -> Result<Self> {
        let config: Self = from_toml(text)?;
        config.validate()?;
        Ok(config)
    }

    /// The configuration of a run that goes on. What is open in it, a version before
    /// there was a choice has left out, whose detectors were the paper's.
    #[must_use]
    pub fn of_run(mut self) -> Self {
        self.settle(HeadKind::Ssdlite, FinestMap::Stride16, Boxes::Paper);
        self
    }

    /// Takes these where another is not asked for, and the losses that belong to the
    /// head.
    pub(crate) fn settle(&mut self, head: HeadKind, finest: FinestMap, boxes: Boxes) {
        let detector = &mut self.detector;
        let head = detector.head.settle(head);
        detector.finest.settle(finest);
        if detector.boxes == Boxes::Auto {
            detector.boxes = boxes;
        }
        self.loss.settle(head);
    }

    /// The same with all paths from the root, as a run's folder keeps it: it is
    /// resumed or repeated from any folder.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) for an empty path, or if the current folder is gone.
    pub fn with_absolute_paths(mut self) -> Result<Self> {
        self.data.path = absolute(&self.data.path)?;
        self.model.weights = self.model.weights.absolute()?;
        self.detector.boxes = self.detector.boxes.absolute()?;
        Ok(self)
    }

    /// The text of a `config.toml` that [`Self::from_toml`] reads back.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        to_toml(self)
    }

    /// Checks all options.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) for the first wrong key.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        let detector = &self.detector;
        (detector.boxes).validate(detector.head(), detector.finest())?;
        self.training.validate()?;
        self.loader.validate()?;
        for (option, value) in [
            ("augment.photometric", self.augment.photometric),
            ("augment.zoom-out", self.augment.zoom_out),
            ("augment.mirror", self.augment.mirror),
        ] {
            check_probability(option, f64::from(value))?;
        }
        check_not_negative("loss.negative-ratio", self.loss.negative_ratio)?;
        check_share("loss.label-smoothing", f64::from(self.loss.label_smoothing))?;
        let evaluation = &self.evaluation;
        check_probability("evaluation.score", f64::from(evaluation.score))?;
        check_probability("evaluation.nms", f64::from(evaluation.nms))?;
        for (key, boxes) in [
            ("evaluation.candidates", evaluation.candidates),
            ("evaluation.max-detections", evaluation.max_detections),
        ] {
            check_whole(key, 1..=MOST_BOXES, boxes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::matcher::Assignment;
    use ssdlite_core::{DefaultBoxSizes, Head};

    use super::*;
    use crate::config::{Freeze, OptimizerKind, ScheduleKind, Weights};
    use crate::step::loss::RegressionLoss;

    #[test]
    fn defaults_are_sound_and_come_back() {
        let config = DetectorConfig::new("photos");
        let text = config.to_toml().unwrap();
        assert_eq!(DetectorConfig::from_toml(&text).unwrap(), config);
        let short = "[data]\npath = \"photos\"\n";
        assert_eq!(DetectorConfig::from_toml(short).unwrap(), config);
    }

    #[test]
    fn every_section_comes_back() {
        let mut config = DetectorConfig::new("photos");
        config.data.format = Choice::Is(Format::LabelMe);
        config.data.train_split = Split::TrainVal;
        config.data.tiles = Tiles::Parts(3);
        config.model.weights = Weights::File("a/b.pth".into());
        config.model.width = 0.75;
        config.detector.head = Choice::Is(HeadKind::Ssdlite);
        config.detector.finest = Choice::Is(FinestMap::Stride16);
        config.detector.boxes =
            Boxes::Sizes(DefaultBoxSizes::paper(Head::Ssdlite, FinestMap::Stride16));
        config.training.optimizer = OptimizerKind::Sgd;
        config.training.schedule = ScheduleKind::MultiStep;
        config.training.milestones = vec![20.0, 27.5];
        config.training.freeze = Freeze::AllButHeads;
        config.training.base_net_lr = Some(0.0);
        config.loader.cache = 0;
        config.augment.iou_crop = false;
        config.loss.label_smoothing = 0.1;
        config.loss.assignment = Choice::Is(Assignment::Atss);
        config.loss.regression_loss = Choice::Is(RegressionLoss::Giou);
        config.evaluation.every = 7;
        let text = config.to_toml().unwrap();
        assert_eq!(DetectorConfig::from_toml(&text).unwrap(), config);
    }

    #[test]
    fn boxes_come_back_as_the_numbers_that_they_are() {
        for boxes in ["\"auto\"", "\"fit\"", "\"paper\"", "\"other/boxes.toml\""] {
            let text = format!("[data]\npath = \"photos\"\n[detector]\nboxes = {boxes}\n");
            let config = DetectorConfig::from_toml(&text).unwrap();
            let written = config.to_toml().unwrap();
            assert!(written.contains(&format!("boxes = {boxes}\n")), "{written}");
        }
        let mut config = DetectorConfig::new("photos");
        config.detector.head = Choice::Is(HeadKind::Ssdlite);
        config.detector.finest = Choice::Is(FinestMap::Stride16);
        let mut sizes = DefaultBoxSizes::default();
        sizes.maps[0][0].width = 0.1 + 0.2;
        sizes.maps[1][3].height = 1.0;
        config.detector.boxes = Boxes::Sizes(sizes);
        let text = config.to_toml().unwrap();
        assert_eq!(DetectorConfig::from_toml(&text).unwrap(), config);
        assert!(text.contains("boxes = [[[0.3"), "{text}");
        // As many maps as another network has.
        let other = text.replace("finest = 16", "finest = 8");
        let error = DetectorConfig::from_toml(&other).unwrap_err().to_string();
        let told = "detector.boxes: expected boxes for 7 maps, as the head ssdlite has from stride \
                    8 on, found 6";
        assert!(error.starts_with(told), "{error}");
        // A head that its maps share.
        config.detector.head = Choice::Is(HeadKind::Fpn);
        if let Boxes::Sizes(sizes) = &mut config.detector.boxes {
            sizes
                .maps
                .truncate(*Head::map_counts(HeadKind::Fpn.head(), FinestMap::Stride16).end());
            sizes.maps[1].truncate(4);
        }
        let error = config.validate().unwrap_err().to_string();
        assert!(
            error.starts_with("detector.boxes: ") && error.contains("4"),
            "{error}"
        );
    }

    #[test]
    fn the_defaults_are_the_usual_post_processing() {
        let options = DetectorEvaluationOptions::default();
        assert_eq!(options.model_post_processing(), PostProcessing::default());
    }

    fn error_of(section: &str) -> String {
        let text = format!("[data]\npath = \"photos\"\n{section}");
        DetectorConfig::from_toml(&text).unwrap_err().to_string()
    }

    #[test]
    fn errors_name_the_option() {
        for (section, name) in [
            ("[training]\nlearning-rate = 1.0", "learning-rate"),
            ("[training]\nlr = \"high\"", "lr = \"high\""),
            ("[training]\nlr = -1.0", "training.lr"),
            ("[training]\nlr = nan", "training.lr"),
            ("[training]\nema = 1.0", "training.ema"),
            ("[training]\nbatch = 100000000", "training.batch"),
            ("[training]\nthreads = 257", "training.threads"),
            ("[loader]\nworkers = 257", "loader.workers"),
            ("[training]\nschedule = \"multi-step\"", "training.schedule"),
            ("[training]\nmilestones = [3.0, 2.0]", "training.milestones"),
            ("[model]\nsize = 5", "model.size"),
            ("[model]\nwidth = 0.0", "model.width"),
            ("[detector]\nfinest = 4", "finest"),
            ("[detector]\nhead = \"yolo\"", "head"),
            ("[detector]\nboxes = 3", "boxes = 3"),
            ("[detector]\nboxes = \"\"", "detector.boxes"),
            ("[detector]\nboxes = []", "detector.boxes"),
            (
                "[detector]\nboxes = [[[0.1, nan]], [[1, 1]]]",
                "detector.boxes",
            ),
            ("[augment]\nmirror = 1.5", "augment.mirror"),
            ("[evaluation]\nnms = 2.0", "evaluation.nms"),
            ("[evaluation]\nscore = nan", "evaluation.score"),
            ("[evaluation]\ncandidates = 0", "evaluation.candidates"),
            (
                "[evaluation]\nmax-detections = 10001",
                "evaluation.max-detections",
            ),
            ("[loss]\nnegative-ratio = -1.0", "loss.negative-ratio"),
            ("[loss]\nassignment = \"best\"", "assignment"),
            ("[loss]\nregression-loss = \"ciou\"", "smooth-l1, giou"),
            ("tiles = \"17\"", "tiles"),
            ("format = \"xml\"", "format = \"xml\""),
        ] {
            let error = error_of(section);
            assert!(error.contains(name), "{section}: {error}");
        }
        let without_data = DetectorConfig::from_toml("").unwrap_err().to_string();
        assert!(without_data.contains("data"), "{without_data}");
    }

    #[test]
    fn schedules_count_in_steps_of_the_run() {
        let training = TrainingOptions {
            epochs: 10,
            warmup: 0.1,
            schedule: ScheduleKind::MultiStep,
            milestones: vec![5.0, 7.5],
            ..TrainingOptions::default()
        };
        let schedule = training.schedule(20);
        assert_eq!((schedule.steps, schedule.warmup_steps), (200, 20));
        assert!((schedule.factor(99) - 1.0).abs() < 1e-12);
        assert!((schedule.factor(100) - 0.1).abs() < 1e-12);
        assert!((schedule.factor(150) - 0.01).abs() < 1e-12);
    }
}
