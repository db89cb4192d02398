//! A detector's training run.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use ssdlite_core::{
    BoxCoder, DefaultBoxSizes, DetectorSettings, GroundTruth, ModelInfo, PostProcessing,
    Task as ModelTask,
};
use ssdlite_data::DetectionSet;
use ssdlite_data::augment::{DetectorAugment, IouCrop, PhotometricDistort, ZoomOut};
use ssdlite_data::loader::{
    DetectionBatch, DetectionRecipe, DifficultObjects, Loader, TargetEncoder,
};
use ssdlite_evaluate::DetectorEvaluator;
use ssdlite_image::decode::decode_file;
use ssdlite_image::encode::save;
use ssdlite_image::{Limits, RgbImage};
use ssdlite_infer::{Detector, DetectorOptions, RunOptions};
use ssdlite_model::ModelFile;

use super::choice::choose;
use super::coverage::{advice, alternatives, coverage, tell_coverage};
use super::learnt::{self, Shown};
use super::observer::Observer;
use super::run_folder::RunFolder;
use super::session::{Outcome, Session, Start};
use super::task::{Task, cache_bytes, evaluation_options, loader_options, training_notes, watched};
use super::tiles::Framing;
use super::trainer::{Plan, train};
use super::unmatched::tell_unmatched;
use super::usual::Usual;
use super::{RunData, Validation, boxes, charts, images};
use crate::config::DetectorConfig;
use crate::error::{Error, Result};
use crate::step::loss::MultiboxLoss;
use crate::step::{Cpu, Objective, Targets, TrainingDevice};
use crate::threads::threads_from_option;

/// Trains a detector as `config` says, on the data that
/// [`RunData::of_detector`] read for it. On a resumed run, `config` must be
/// that of the run's folder.
///
/// # Errors
/// [`Error::Config`] for a wrong option, [`Error::NotFinite`] for a loss that is
/// no number, and whatever reading weights and writing the run's files may find.
pub fn train_detector(
    config: &DetectorConfig,
    data: &RunData<DetectionSet>,
    start: &Start,
    run: &mut Session<'_>,
) -> Result<Outcome> {
    config.validate()?;
    let config = &mut config.clone();
    let images = data.training.images.len();
    let every = &mut config.evaluation.every;
    if let Some(note) = Usual::DETECTOR.fit(&mut config.training, every, images, start) {
        run.observer.warning(&note);
    }
    if let Some(format) = data.format {
        config.data.format.settle(format);
    }
    if let Some(chosen) = choose(config, &data.training, start)? {
        run.observer.note(&chosen);
    }
    let framing = framing(config, &data.training);
    if let Some(framing) = framing {
        framing.tell(config.data.tiles, run.observer);
    }
    let default_boxes = boxes::settle(config, &data.training, framing)?;
    let cpu = Cpu::new(threads_from_option(config.training.threads)?)?;
    let task = DetectorTask::new(config, default_boxes, framing, data, (run.device, &cpu))?;
    tell_boxes(config, framing, &task, start, run.observer)?;
    let plan = Plan {
        cpu,
        training: &config.training,
        evaluate_every: config.evaluation.every,
        config: config.clone().with_absolute_paths()?.to_toml()?,
        training_images: images,
        validation_images: data.validation.as_ref().map(|set| set.images.len()),
    };
    train(&task, plan, start, run)
}

/// Tells what the run's default boxes cover, and what other options would where they
/// can still be chosen.
fn tell_boxes(
    config: &DetectorConfig,
    framing: Option<Framing>,
    task: &DetectorTask,
    start: &Start,
    observer: &mut dyn Observer,
) -> Result<()> {
    let (set, default_boxes) = (&task.set, &task.targets.default_boxes);
    let found = coverage(config, set, framing, default_boxes);
    let alternatives = match start {
        Start::Resume | Start::Prolong => Vec::new(),
        _ => alternatives(config, set)?,
    };
    tell_coverage(&found, &alternatives, observer);
    let has_advice = |class| advice(class, &found, &alternatives).is_some();
    let unmatched = (0..found.classes.len()).filter(|&class| !has_advice(class));
    tell_unmatched(&found, unmatched, set, default_boxes, observer);
    Ok(())
}

/// What the network of a run sees of its training images; none without objects.
pub(super) fn framing(config: &DetectorConfig, set: &DetectionSet) -> Option<Framing> {
    let info = info_from_config(config, boxes::paper(config), set);
    let is_learnt = |object: &GroundTruth| is_learnt(config, object);
    Framing::new(config.data.tiles, set, is_learnt, &info)
}

fn info_from_config(
    config: &DetectorConfig,
    default_boxes: DefaultBoxSizes,
    set: &DetectionSet,
) -> ModelInfo {
    let mut info = ModelInfo::detector(
        config.model.mobilenet(),
        set.classes.clone(),
        config.model.size,
    );
    info.task = ModelTask::Detect(DetectorSettings {
        default_boxes,
        scores: config
            .loss
            .of(config.detector.kind())
            .classification
            .scores(),
        post_processing: config.evaluation.model_post_processing(),
        head: config.detector.head(),
        finest: config.detector.finest(),
        ..DetectorSettings::default()
    });
    let notes = training_notes(&config.training, &config.model, set.images.len());
    let split = ("split", config.data.train_split.to_string());
    let tiles = ("tiles", config.data.tiles.to_string());
    for (name, value) in notes.into_iter().chain([split, tiles]) {
        info.training.insert(name.into(), value);
    }
    info
}

/// Whether the run learns an object.
pub(super) fn is_learnt(config: &DetectorConfig, object: &GroundTruth) -> bool {
    difficult_from_config(config).counts(object)
}

/// Which objects the run learns.
pub(super) const fn difficult_from_config(config: &DetectorConfig) -> DifficultObjects {
    match config.data.train_difficult {
        true => DifficultObjects::Train,
        false => DifficultObjects::LeaveOut,
    }
}

/// How images are changed for a run, which shows them in this framing.
pub(super) fn augment_from_config(
    config: &DetectorConfig,
    framing: Option<Framing>,
) -> DetectorAugment {
    let options = &config.augment;
    DetectorAugment {
        photometric: (options.photometric > 0.0).then(|| PhotometricDistort {
            probability: options.photometric,
            ..PhotometricDistort::default()
        }),
        tiles: framing.and_then(|framing| framing.crop()),
        zoom_out: (options.zoom_out > 0.0).then(|| ZoomOut {
            probability: options.zoom_out,
            ..ZoomOut::default()
        }),
        iou_crop: options.iou_crop.then(IouCrop::default),
        mirror: options.mirror,
    }
}

struct DetectorTask {
    set: Arc<DetectionSet>,
    loader: Loader<DetectionBatch>,
    targets: TargetEncoder,
    augment: DetectorAugment,
    /// The most bytes of decoded images that are kept of a split.
    cache_bytes: u64,
    info: ModelInfo,
    loss: MultiboxLoss,
    post_processing: PostProcessing,
    validation: Option<(Arc<DetectionSet>, DetectorEvaluator)>,
}

impl DetectorTask {
    fn new(
        config: &DetectorConfig,
        default_boxes: DefaultBoxSizes,
        framing: Option<Framing>,
        data: &RunData<DetectionSet>,
        (device, cpu): (&dyn TrainingDevice, &Cpu),
    ) -> Result<Self> {
        let mut info = info_from_config(config, default_boxes, &data.training);
        if let ModelTask::Detect(settings) = &mut info.task {
            settings.learnt_view = framing.map(|framing| framing.view);
        }
        let wrong_task = || Error::InvalidRequest("expected a detector".into());
        let coder = BoxCoder::default();
        let targets = TargetEncoder {
            default_boxes: info.default_boxes().ok_or_else(wrong_task)?,
            coder,
            assignment: config.loss.of(config.detector.kind()).assignment,
            difficult: difficult_from_config(config),
        };
        let augment = augment_from_config(config, framing);
        let recipe = DetectionRecipe {
            set: Arc::clone(&data.training),
            preprocessing: info.preprocessing,
            augment: augment.clone(),
            targets: targets.clone(),
        };
        let options = loader_options(&config.training, &config.loader, device, cpu);
        let evaluation = evaluation_options(&config.training, &config.loader)?;
        let validation = data.validation.as_ref().map(|set| {
            let evaluator = DetectorEvaluator::new(Arc::clone(set), evaluation);
            (Arc::clone(set), evaluator)
        });
        Ok(Self {
            set: Arc::clone(&data.training),
            loader: Loader::for_detection(recipe, options)?,
            targets,
            augment,
            cache_bytes: cache_bytes(&config.loader),
            info,
            loss: config.loss.multibox(config.detector.kind(), coder),
            post_processing: config.evaluation.post_processing(),
            validation,
        })
    }
}

impl Task for DetectorTask {
    type Batch = DetectionBatch;

    fn loader(&self) -> &Loader<DetectionBatch> {
        &self.loader
    }

    fn cached_bytes(&self) -> u64 {
        let bytes = |pixels: u64| pixels.saturating_mul(3).min(self.cache_bytes);
        let input = self.info.preprocessing.size;
        let training = self.set.images.iter();
        let training = training.map(|image| self.augment.kept_size(image.size, input).pixels());
        let validation = self.validation.iter().flat_map(|(set, _)| &set.images);
        let validation = validation.map(|image| image.size.pixels());
        bytes(training.sum()) + bytes(validation.sum())
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn objective(&self) -> Objective {
        Objective::Multibox(self.loss)
    }

    fn targets<'a>(&'a self, batch: &'a DetectionBatch) -> Targets<'a> {
        Targets::Boxes {
            labels: &batch.labels,
            regressions: &batch.regression,
            default_boxes: self.targets.default_boxes.centers(),
        }
    }

    fn names(&self) -> Vec<String> {
        let images = self.set.images.iter();
        images.map(|image| image.id.clone()).collect()
    }

    fn path(&self, sample: usize) -> PathBuf {
        self.set.images[sample].path.clone()
    }

    fn grid_of_batch(&self, batch: &DetectionBatch) -> RgbImage {
        images::grid_of_batch(batch, &self.info, &self.targets)
    }

    fn chart_of_labels(&self) -> RgbImage {
        charts::labels_of_detection(&self.set)
    }

    fn has_validation(&self) -> bool {
        self.validation.is_some()
    }

    fn validate(&self, model: &ModelFile, run: &mut Session<'_>) -> Result<Option<Validation>> {
        let Some((_, evaluator)) = &self.validation else {
            return Ok(None);
        };
        let detector = detector_on_one_thread(model, Some(self.post_processing))?;
        let evaluated = watched(run, |watch| evaluator.evaluate(&detector, watch))?;
        let least_score = self.post_processing.score_threshold;
        Ok(evaluated.map(|found| Validation::from_detections(&found.evaluation, least_score)))
    }

    fn fault(&self, model: &ModelFile, score: Option<f64>) -> Result<Option<String>> {
        let validation = self.validation.iter().flat_map(|(set, _)| &set.images);
        let all = validation.chain(&self.set.images);
        let detector = detector_on_one_thread(model, None)?;
        let mut images = Vec::new();
        for annotated in all.take(learnt::IMAGES) {
            // An image that can't be read was told of before.
            if let Ok(image) = decode_file(&annotated.path, &Limits::default()) {
                images.push(Shown::new(&detector.detect(&image)?, &annotated.objects));
            }
        }
        Ok(learnt::fault_of_detections(&images, score))
    }

    fn draw_best(&self, model: &ModelFile, folder: &RunFolder) -> Result<()> {
        let Some((set, _)) = &self.validation else {
            return Ok(());
        };
        let detector = detector_on_one_thread(model, None)?;
        if let Some(grid) = images::grid_of_detections(set, &detector)? {
            save(&folder.validation_batch_jpg(), &grid)?;
        }
        Ok(())
    }
}

/// A detector with its model's post-processing, unless told otherwise.
fn detector_on_one_thread(
    model: &ModelFile,
    post_processing: Option<PostProcessing>,
) -> Result<Detector> {
    let options = DetectorOptions {
        run: RunOptions::threads(NonZeroUsize::MIN),
        post_processing,
        tiles: None,
    };
    Ok(Detector::new(model, &options)?)
}
