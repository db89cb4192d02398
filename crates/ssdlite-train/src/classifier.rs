//! A classifier's training run.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use ssdlite_core::ModelInfo;
use ssdlite_data::augment::ClassifierAugment;
use ssdlite_data::loader::{ClassificationBatch, ClassificationRecipe, Loader, LoaderOptions};
use ssdlite_data::{ClassificationSet, SplitShares};
use ssdlite_evaluate::{ClassifierEvaluator, EvaluationOptions, Watch};
use ssdlite_image::encode::save;
use ssdlite_infer::{ModelFile, RunOptions};
use ssdlite_nn::Classifier;

use crate::charts;
use crate::config::{ClassifierConfig, Freeze};
use crate::data::RunData;
use crate::detector::cache_bytes;
use crate::error::Result;
use crate::initial::classifier_from_file;
use crate::loss::{CrossEntropy, surrogate};
use crate::observer::Losses;
use crate::pictures;
use crate::run_folder::{RunFolder, write_aside};
use crate::tensors::{floats, images_tensor};
use crate::threads::threads_from_option;
use crate::trainer::{Outcome, Plan, Session, Start, StepOutput, Task, Trainer};
use crate::validation::Validation;

/// Trains a classifier as `config` says, on the data that
/// [`RunData::of_classifier`] read for it. On a resumed run, `config` must be
/// that of the run's folder.
///
/// # Errors
/// As [`crate::train_detector`].
pub fn train_classifier(
    config: &ClassifierConfig,
    data: &RunData<ClassificationSet>,
    start: &Start,
    run: &mut Session<'_>,
) -> Result<Outcome> {
    config.validate()?;
    let info = info_from_config(config, data);
    let device = run.device.clone().autodiff();
    let seed = config.training.seed;
    let (network, weights) = match start {
        Start::Weights(path) => {
            let (network, report) = classifier_from_file(&info, path, seed, &device)?;
            (network, Some(report))
        }
        Start::Random | Start::Resume => {
            let table = info.backbone.classifier(info.classes.len());
            (Classifier::new(&table, seed, &device), None)
        }
    };
    let network = match config.training.freeze {
        Freeze::None => network,
        Freeze::Backbone | Freeze::AllButHeads => network.freeze_backbone(),
    };
    let task = ClassifierTask::new(config, data, info, run)?;
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

/// Where a model tells how its pictures were divided at random.
const TRAINVAL: &str = "trainval share";
const TRAIN: &str = "train share";
const SPLIT_SEED: &str = "split seed";

/// How the pictures that a model learnt from were told apart from the others of
/// their folder; none if that was not left to chance.
pub fn division_from_info(info: &ModelInfo) -> Option<SplitShares> {
    let text = |name: &str| info.training.get(name);
    Some(SplitShares {
        trainval: text(TRAINVAL)?.parse().ok()?,
        train: text(TRAIN)?.parse().ok()?,
        seed: text(SPLIT_SEED)?.parse().ok()?,
    })
}

fn info_from_config(config: &ClassifierConfig, data: &RunData<ClassificationSet>) -> ModelInfo {
    let set = &data.training;
    let mut info = ModelInfo::classifier(
        config.model.mobilenet(),
        set.classes.clone(),
        config.model.size,
    );
    let training = &config.training;
    for (name, value) in [
        ("epochs", training.epochs.to_string()),
        ("batch", training.batch.to_string()),
        ("optimizer", format!("{:?}", training.optimizer)),
        ("lr", training.lr.to_string()),
        ("seed", training.seed.to_string()),
        ("weights", config.model.weights.to_string()),
        ("images", set.images.len().to_string()),
    ] {
        info.training.insert(name.into(), value);
    }
    if let Some(shares) = data.division {
        for (name, value) in [
            (TRAINVAL, shares.trainval.to_string()),
            (TRAIN, shares.train.to_string()),
            (SPLIT_SEED, shares.seed.to_string()),
        ] {
            info.training.insert(name.into(), value);
        }
    }
    info
}

struct ClassifierTask {
    /// The folder of the data set.
    root: PathBuf,
    set: Arc<ClassificationSet>,
    loader: Loader<ClassificationBatch>,
    info: ModelInfo,
    loss: CrossEntropy,
    /// With autodiff.
    device: Device,
    evaluator: Option<ClassifierEvaluator>,
}

impl ClassifierTask {
    fn new(
        config: &ClassifierConfig,
        data: &RunData<ClassificationSet>,
        info: ModelInfo,
        run: &Session<'_>,
    ) -> Result<Self> {
        let recipe = ClassificationRecipe {
            set: Arc::clone(&data.training),
            preprocessing: info.preprocessing,
            augment: ClassifierAugment {
                padding: config.augment.padding,
                mirror: config.augment.mirror,
            },
        };
        let options = LoaderOptions {
            batch_size: config.training.batch,
            seed: config.training.seed,
            workers: config.loader.workers,
            cache_bytes: cache_bytes(config.loader.cache),
        };
        let evaluation = EvaluationOptions {
            threads: threads_from_option(config.training.threads)?,
            cache_bytes: cache_bytes(config.loader.cache),
        };
        let validation = data.validation.as_ref();
        let evaluator = validation.map(|set| ClassifierEvaluator::new(Arc::clone(set), evaluation));
        Ok(Self {
            root: config.data.path.clone(),
            set: Arc::clone(&data.training),
            loader: Loader::for_classification(recipe, options)?,
            info,
            loss: CrossEntropy {
                label_smoothing: config.loss.label_smoothing,
            },
            device: run.device.clone().autodiff(),
            evaluator,
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
            let grid = pictures::grid_of_inputs(&batch, &self.info);
            save(&folder.train_batch_jpg(), &grid)?;
        }
        save(
            &folder.labels_png(),
            &charts::labels_of_classification(&self.set),
        )?;
        Ok(())
    }
}

impl Task for ClassifierTask {
    type Network = Classifier;
    type Batch = ClassificationBatch;

    fn loader(&self) -> &Loader<ClassificationBatch> {
        &self.loader
    }

    fn step(&self, network: &Classifier, batch: ClassificationBatch) -> Result<StepOutput> {
        let count = batch.labels.len();
        let images = images_tensor(batch.pixels, count, batch.input, &self.device);
        let logits = network.forward(images);
        let loss = self.loss.evaluate(&floats(logits.clone()), &batch.labels);
        Ok(StepOutput {
            losses: Losses {
                classification: loss.loss,
                regression: None,
            },
            objective: surrogate(logits, loss.gradient),
        })
    }

    fn images(&self, batch: &ClassificationBatch) -> usize {
        batch.samples.len()
    }

    fn names(&self) -> Vec<String> {
        let images = self.set.images.iter();
        let within = |path: &Path| path.strip_prefix(&self.root).unwrap_or(path).to_owned();
        images
            .map(|image| within(&image.path).to_string_lossy().into_owned())
            .collect()
    }

    fn paths(&self, batch: &ClassificationBatch) -> Vec<PathBuf> {
        let paths = batch
            .samples
            .iter()
            .map(|&n| self.set.images[n].path.clone());
        paths.collect()
    }

    fn has_validation(&self) -> bool {
        self.evaluator.is_some()
    }

    fn validate(&self, model: &ModelFile, run: &mut Session<'_>) -> Result<Option<Validation>> {
        let Some(evaluator) = &self.evaluator else {
            return Ok(None);
        };
        let options = RunOptions::threads(NonZeroUsize::MIN);
        let classifier = ssdlite_infer::Classifier::new(model, options)?;
        let mut watch = Watch {
            stop: run.stop,
            skipped: &mut |image| run.observer.warning(&image.to_string()),
        };
        let report = evaluator.evaluate(&classifier, &mut watch)?;
        Ok(report.as_ref().map(Validation::from_classification))
    }

    fn draw_best(&self, _model: &ModelFile, _folder: &RunFolder) -> Result<()> {
        Ok(())
    }

    fn info(&self) -> &ModelInfo {
        &self.info
    }
}
