//! A detector's training run.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use ssdlite_core::{
    DetectorSettings, ImageSize, ModelInfo, PostProcessing, Preprocessing, Task as ModelTask,
};
use ssdlite_data::DetectionSet;
use ssdlite_data::augment::{DetectorAugment, IouCrop, PhotometricDistort, ZoomOut};
use ssdlite_data::loader::{
    DetectionBatch, DetectionRecipe, DifficultObjects, Loader, LoaderOptions, TargetEncoder,
};
use ssdlite_evaluate::{DetectorEvaluator, EvaluationOptions, Watch};
use ssdlite_image::encode::save;
use ssdlite_infer::{DetectorOptions, ModelFile, RunOptions};
use ssdlite_nn::{Detector, Frozen};

use crate::charts;
use crate::config::{DetectorConfig, Freeze};
use crate::data::RunData;
use crate::error::{Error, Result};
use crate::initial::detector_from_file;
use crate::loss::{MultiboxLoss, MultiboxTargets, surrogate};
use crate::observer::Losses;
use crate::pictures;
use crate::run_folder::{RunFolder, write_aside};
use crate::tensors::{floats, images_tensor};
use crate::threads::threads_from_option;
use crate::trainer::{Outcome, Plan, Session, Start, StepOutput, Task, Trainer};
use crate::validation::Validation;

/// Trains a detector as `config` says, on the data that
/// [`RunData::of_detector`] read for it. On a resumed run, `config` must be
/// that of the run's folder.
///
/// # Errors
/// [`Error::Config`] for a wrong option, [`Error::NotFinite`] for a loss that is no number, and whatever
/// reading weights and writing the run's files may find.
pub fn train_detector(
    config: &DetectorConfig,
    data: &RunData<DetectionSet>,
    start: &Start,
    run: &mut Session<'_>,
) -> Result<Outcome> {
    config.validate()?;
    let info = info_from_config(config, &data.training);
    let device = run.device.clone().autodiff();
    let seed = config.training.seed;
    let (network, weights) = match start {
        Start::Weights(path) => {
            let (network, report) = detector_from_file(&info, path, seed, &device)?;
            (network, Some(report))
        }
        Start::Random | Start::Resume => {
            let table = info.backbone.detector(info.classes.len());
            (Detector::new(&table, seed, &device), None)
        }
    };
    let network = match config.training.freeze {
        Freeze::None => network,
        Freeze::Backbone => network.freeze_parts(Frozen::Backbone),
        Freeze::AllButHeads => network.freeze_parts(Frozen::AllButHeads),
    };
    let task = DetectorTask::new(config, data, info, run)?;
    if *start != Start::Resume {
        let config = config.clone().with_absolute_paths()?.to_toml()?;
        write_aside(&run.folder.config(), config.as_bytes())?;
        task.draw_data(run)?;
    }
    let plan = Plan {
        training: &config.training,
        evaluate_every: config.evaluation.every,
        training_images: data.training.images.len(),
        validation_images: data.validation.as_ref().map(|set| set.images.len()),
        weights,
    };
    Trainer::new(&task, plan, start, &network, run)?.train(network)
}

fn info_from_config(config: &DetectorConfig, set: &DetectionSet) -> ModelInfo {
    let mut info = ModelInfo::detector(
        config.model.mobilenet(),
        set.classes.clone(),
        config.model.size,
    );
    info.task = ModelTask::Detect(DetectorSettings {
        post_processing: config.evaluation.model_post_processing(),
        ..DetectorSettings::default()
    });
    info.preprocessing = Preprocessing::detector(ImageSize::square(config.model.size));
    let training = &config.training;
    for (name, value) in [
        ("epochs", training.epochs.to_string()),
        ("batch", training.batch.to_string()),
        ("optimizer", format!("{:?}", training.optimizer)),
        ("lr", training.lr.to_string()),
        ("seed", training.seed.to_string()),
        ("weights", config.model.weights.to_string()),
        ("split", config.data.train_split.to_string()),
        ("images", set.images.len().to_string()),
    ] {
        info.training.insert(name.into(), value);
    }
    info
}

fn augment_from_config(config: &DetectorConfig) -> DetectorAugment {
    let options = &config.augment;
    DetectorAugment {
        photometric: (options.photometric > 0.0).then(|| PhotometricDistort {
            probability: options.photometric,
            ..PhotometricDistort::default()
        }),
        zoom_out: (options.zoom_out > 0.0).then(|| ZoomOut {
            probability: options.zoom_out,
            ..ZoomOut::default()
        }),
        iou_crop: options.iou_crop.then(IouCrop::default),
        mirror: options.mirror,
    }
}

/// Mebibytes of the cache in bytes.
pub(crate) fn cache_bytes(mebibytes: u64) -> u64 {
    mebibytes.saturating_mul(1 << 20)
}

struct DetectorTask {
    set: Arc<DetectionSet>,
    loader: Loader<DetectionBatch>,
    targets: TargetEncoder,
    info: ModelInfo,
    loss: MultiboxLoss,
    threads: NonZeroUsize,
    /// With autodiff.
    device: Device,
    post_processing: PostProcessing,
    validation: Option<(Arc<DetectionSet>, DetectorEvaluator)>,
}

impl DetectorTask {
    fn new(
        config: &DetectorConfig,
        data: &RunData<DetectionSet>,
        info: ModelInfo,
        run: &Session<'_>,
    ) -> Result<Self> {
        let wrong_task = || Error::InvalidRequest("expected a detector".into());
        let default_boxes = info.default_boxes().ok_or_else(wrong_task)?;
        let targets = TargetEncoder {
            default_boxes,
            coder: ssdlite_core::BoxCoder::default(),
            difficult: if config.data.train_difficult {
                DifficultObjects::Train
            } else {
                DifficultObjects::LeaveOut
            },
        };
        let recipe = DetectionRecipe {
            set: Arc::clone(&data.training),
            preprocessing: info.preprocessing,
            augment: augment_from_config(config),
            targets: targets.clone(),
        };
        let options = LoaderOptions {
            batch_size: config.training.batch,
            seed: config.training.seed,
            workers: config.loader.workers,
            cache_bytes: cache_bytes(config.loader.cache),
        };
        let threads = threads_from_option(config.training.threads)?;
        let evaluation = EvaluationOptions {
            threads,
            cache_bytes: cache_bytes(config.loader.cache),
        };
        let validation = data.validation.as_ref().map(|set| {
            let evaluator = DetectorEvaluator::new(Arc::clone(set), evaluation);
            (Arc::clone(set), evaluator)
        });
        Ok(Self {
            set: Arc::clone(&data.training),
            loader: Loader::for_detection(recipe, options)?,
            targets,
            info,
            loss: MultiboxLoss {
                negative_ratio: config.loss.negative_ratio,
                empty_negatives: config.loss.empty_negatives,
                label_smoothing: config.loss.label_smoothing,
            },
            threads,
            device: run.device.clone().autodiff(),
            post_processing: config.evaluation.post_processing(),
            validation,
        })
    }

    fn draw_data(&self, run: &mut Session<'_>) -> Result<()> {
        let folder = run.folder;
        let mut batches = self.loader.epoch(0, 0)?;
        let first = batches.next().transpose()?;
        // A loader tells of each picture once.
        for skipped in batches.take_skipped() {
            run.observer.warning(&skipped.to_string());
        }
        if let Some(batch) = first {
            let grid = pictures::grid_of_batch(&batch, &self.info, &self.targets);
            save(&folder.train_batch_jpg(), &grid)?;
        }
        save(
            &folder.labels_png(),
            &charts::labels_of_detection(&self.set),
        )?;
        Ok(())
    }
}

impl Task for DetectorTask {
    type Network = Detector;
    type Batch = DetectionBatch;

    fn loader(&self) -> &Loader<DetectionBatch> {
        &self.loader
    }

    fn step(&self, network: &Detector, batch: DetectionBatch) -> Result<StepOutput> {
        let count = batch.samples.len();
        let images = images_tensor(batch.pixels, count, batch.input, &self.device);
        let output = network.forward(images);
        let targets = MultiboxTargets {
            labels: &batch.labels,
            regressions: &batch.regression,
            images: NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN),
        };
        let loss = self.loss.evaluate(
            &floats(output.logits.clone()),
            &floats(output.regressions.clone()),
            targets,
            self.threads,
        );
        let objective = surrogate(output.logits, loss.logit_gradient)
            + surrogate(output.regressions, loss.regression_gradient);
        Ok(StepOutput {
            losses: Losses {
                classification: loss.classification,
                regression: Some(loss.regression),
            },
            objective,
        })
    }

    fn images(&self, batch: &DetectionBatch) -> usize {
        batch.samples.len()
    }

    fn names(&self) -> Vec<String> {
        let images = self.set.images.iter();
        images.map(|image| image.id.clone()).collect()
    }

    fn paths(&self, batch: &DetectionBatch) -> Vec<PathBuf> {
        let paths = batch
            .samples
            .iter()
            .map(|&n| self.set.images[n].path.clone());
        paths.collect()
    }

    fn has_validation(&self) -> bool {
        self.validation.is_some()
    }

    fn validate(&self, model: &ModelFile, run: &mut Session<'_>) -> Result<Option<Validation>> {
        let Some((_, evaluator)) = &self.validation else {
            return Ok(None);
        };
        let detector = detector_on_one_thread(model, Some(self.post_processing))?;
        let mut watch = Watch {
            stop: run.stop,
            skipped: &mut |image| run.observer.warning(&image.to_string()),
        };
        let evaluation = evaluator.evaluate(&detector, &mut watch)?;
        Ok(evaluation.as_ref().map(Validation::from_detections))
    }

    fn draw_best(&self, model: &ModelFile, folder: &RunFolder) -> Result<()> {
        let Some((set, _)) = &self.validation else {
            return Ok(());
        };
        let detector = detector_on_one_thread(model, None)?;
        if let Some(grid) = pictures::grid_of_detections(set, &detector)? {
            save(&folder.validation_batch_jpg(), &grid)?;
        }
        Ok(())
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }
}

/// A detector with its model's post-processing, unless told otherwise.
fn detector_on_one_thread(
    model: &ModelFile,
    post_processing: Option<PostProcessing>,
) -> Result<ssdlite_infer::Detector> {
    let options = DetectorOptions {
        run: RunOptions::threads(NonZeroUsize::MIN),
        post_processing,
    };
    Ok(ssdlite_infer::Detector::new(model, &options)?)
}
