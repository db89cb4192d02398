//! The training loop, the same for detectors and classifiers.
//!
//! Why this is not Burn's `SupervisedTraining` (burn-train 0.22.1):
//! - It writes a checkpoint only after a whole epoch with its validation, and
//!   none when it is interrupted; a resumed epoch starts at its first batch.
//!   Here a stop request is honoured after the step, and a run goes on inside
//!   an epoch to the same bit. Its checkpoints are written in place, and a
//!   damaged one is not passed over.
//! - A step's hook, `TrainStep::step`, returns no error, so a loss that is not
//!   a number can't end the run with the names of the batch's files.
//! - Nothing is kept from step to step besides model, optimizer and scheduler:
//!   there is no place for a moving average of weights and running statistics,
//!   nor for evaluating and saving that average instead of the weights.
//! - Its optimizers see one parameter at a time, so gradients can't be clipped
//!   by the norm of all of them.
//! - Validation is the mean of what each batch gives; average precision is a
//!   property of the whole set.
//!
//! A `TrainingStrategy` of one's own could have all of this, but it is the loop
//! itself, so nothing but the names would be left of the trainer.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use ssdlite_core::ModelInfo;
use ssdlite_core::random::Rng;
use ssdlite_data::loader::{Batches, Loader};
use ssdlite_image::encode::save;
use ssdlite_model::ModelFile;
use ssdlite_nn::Network;
use ssdlite_nn::ops::set_cpu_threads;

use crate::charts;
use crate::checkpoint::{self, DataMark, Place, Progress};
use crate::config::TrainingOptions;
use crate::error::{Error, Result};
use crate::observer::{EpochReport, Losses, Observer, RunStarted, StepReport};
use crate::parameters::Parameters;
use crate::results::{EpochRow, csv_from_rows};
use crate::run_folder::{RunFolder, write_file};
use crate::schedule::Schedule;
use crate::threads::threads_from_option;
use crate::validation::Validation;

/// Keeps a step's random numbers apart from the loader's.
const STEP_STREAM: u64 = 0x7374_6570;

/// Share of the newest step in the running speed.
const SPEED_SHARE: f64 = 0.1;

/// Where a run happens and who hears of it.
pub struct Session<'a> {
    /// The run's folder.
    pub folder: &'a RunFolder,
    /// What the network runs on, without autodiff.
    pub device: Device,
    /// Hears of the progress.
    pub observer: &'a mut dyn Observer,
    /// Once it is set, the run ends after the step under way.
    pub stop: &'a AtomicBool,
}

/// How a run begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the first step with random weights.
    #[default]
    Random,
    /// At the first step with the weights in this file: a model of ours or a
    /// PyTorch file.
    Weights(PathBuf),
    /// Where the run in the folder stopped.
    Resume,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Finished,
    /// The score has not become better for as long as patience allows.
    OutOfPatience,
    /// It was asked to stop, and can be resumed.
    Stopped,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why.
    pub end: End,
    /// Epochs done with their evaluation.
    pub epochs: u32,
    /// The best score, if there was an evaluation.
    pub best: Option<f64>,
}

/// What a batch came to.
pub(crate) struct StepOutput {
    pub(crate) losses: Losses,
    /// A scalar with the gradient of the losses' sum.
    pub(crate) objective: Tensor<1>,
}

/// What detectors and classifiers do differently.
pub(crate) trait Task {
    type Network: Network;
    type Batch: Send + 'static;

    fn loader(&self) -> &Loader<Self::Batch>;

    fn step(&self, network: &Self::Network, batch: Self::Batch) -> Result<StepOutput>;

    /// The number of pictures in a batch.
    fn images(&self, batch: &Self::Batch) -> usize;

    /// The training pictures' names in their data set, in its order.
    fn names(&self) -> Vec<String>;

    /// The files that a batch was made of.
    fn paths(&self, batch: &Self::Batch) -> Vec<PathBuf>;

    /// Whether there is something to evaluate on.
    fn has_validation(&self) -> bool;

    /// Evaluates a model. None if it was stopped.
    fn validate(&self, model: &ModelFile, run: &mut Session<'_>) -> Result<Option<Validation>>;

    /// Draws what the best model so far finds.
    fn draw_best(&self, model: &ModelFile, folder: &RunFolder) -> Result<()>;

    /// What the network's file says about it, but for training and metrics.
    fn info(&self) -> &ModelInfo;
}

/// What the loop goes by.
pub(crate) struct Plan<'a> {
    pub(crate) training: &'a TrainingOptions,
    /// Epochs from one evaluation to the next.
    pub(crate) evaluate_every: u32,
    /// What [`RunStarted`] says and the loop doesn't know.
    pub(crate) training_images: usize,
    pub(crate) validation_images: Option<usize>,
    pub(crate) weights: Option<String>,
}

/// A run under way.
pub(crate) struct Trainer<'a, 's, T: Task> {
    task: &'a T,
    plan: Plan<'a>,
    run: &'a mut Session<'s>,
    schedule: Schedule,
    data: DataMark,
    parameters: Parameters,
    progress: Progress,
    /// Seconds a step over the last ones.
    step_seconds: Option<f64>,
    /// Seconds of the last evaluation.
    evaluation_seconds: f64,
}

enum Epoch {
    Complete,
    Stopped,
}

impl<'a, 's, T: Task> Trainer<'a, 's, T> {
    /// A run that begins with `network`, or, if it is resumed, with the
    /// network's tensors replaced by a checkpoint's. A run that begins has its
    /// first checkpoint before its first step, because the weights that it
    /// starts from stand nowhere else.
    pub(crate) fn new(
        task: &'a T,
        plan: Plan<'a>,
        start: &Start,
        network: &T::Network,
        run: &'a mut Session<'s>,
    ) -> Result<Self> {
        set_cpu_threads(threads_from_option(plan.training.threads)?)?;
        let mut parameters = Parameters::new(network)?;
        let steps_per_epoch = task.loader().batches_per_epoch() as u64;
        let names = task.names();
        let names = names.iter().map(String::as_str);
        let data = DataMark::new(&task.info().classes, names, steps_per_epoch);
        let progress = match start {
            Start::Resume => go_on(run, &mut parameters, &data)?,
            Start::Random | Start::Weights(_) => Progress::default(),
        };
        let trainer = Self {
            schedule: plan.training.schedule(steps_per_epoch),
            task,
            plan,
            run,
            data,
            parameters,
            progress,
            step_seconds: None,
            evaluation_seconds: 0.0,
        };
        if *start != Start::Resume {
            trainer.save_checkpoint()?;
        }
        Ok(trainer)
    }

    /// Trains until the end. `network` is the one that [`Self::new`] saw.
    pub(crate) fn train(mut self, network: T::Network) -> Result<Outcome> {
        let mut network = network.load_state_dict(&self.parameters.state())?;
        self.report_start();
        let mut end = End::Finished;
        while self.progress.epochs_done < self.plan.training.epochs {
            if self.is_out_of_patience() {
                end = End::OutOfPatience;
                break;
            }
            let (trained, epoch) = self.epoch(network)?;
            network = trained;
            if matches!(epoch, Epoch::Stopped) || !self.finish_epoch()? {
                self.save_checkpoint()?;
                end = End::Stopped;
                break;
            }
        }
        Ok(Outcome {
            end,
            epochs: self.progress.epochs_done,
            best: self.progress.best,
        })
    }

    fn report_start(&mut self) {
        let info = self.task.info();
        self.run.observer.started(&RunStarted {
            training_images: self.plan.training_images,
            validation_images: self.plan.validation_images,
            classes: info.classes.iter().map(str::to_owned).collect(),
            trained_parameters: self.parameters.trained_count(),
            epochs: self.plan.training.epochs,
            steps_per_epoch: self.data.steps_per_epoch,
            steps_done: self.progress.steps_done,
            weights: self.plan.weights.take(),
        });
    }

    /// Does what is left of the epoch's steps.
    fn epoch(&mut self, mut network: T::Network) -> Result<(T::Network, Epoch)> {
        let epoch = u64::from(self.progress.epochs_done);
        let start = self.progress.steps_in_epoch as usize;
        let mut batches = self.task.loader().epoch(epoch, start)?;
        let mut last = Instant::now();
        while let Some(batch) = self.next_batch(&mut batches)? {
            let images = self.task.images(&batch);
            let report;
            (network, report) = self.step(network, batch)?;
            let seconds = last.elapsed().as_secs_f64();
            last = Instant::now();
            self.count_time(seconds);
            self.report_step(report, images);
            if self.is_stopped() {
                return Ok((network, Epoch::Stopped));
            }
        }
        Ok((network, Epoch::Complete))
    }

    fn next_batch(&mut self, batches: &mut Batches<T::Batch>) -> Result<Option<T::Batch>> {
        let batch = batches.next().transpose()?;
        for skipped in batches.take_skipped() {
            self.run.observer.warning(&skipped.to_string());
        }
        Ok(batch)
    }

    /// One step; the network that comes back has the new parameters.
    fn step(&mut self, network: T::Network, batch: T::Batch) -> Result<(T::Network, StepOutcome)> {
        let step = self.progress.steps_done;
        let seed = self.plan.training.seed;
        // Dropout draws from the device's generator, whose state can't be
        // saved; a fresh seed each step makes that state a function of it.
        let mut random = Rng::from_keys(&[seed, STEP_STREAM, step]);
        self.run.device.seed(random.next_u64());
        let paths = self.task.paths(&batch);
        let StepOutput { losses, objective } = self.task.step(&network, batch)?;
        let not_finite = |what, value, images| Error::NotFinite {
            step: step + 1,
            what,
            value,
            images,
        };
        if !losses.total().is_finite() {
            return Err(not_finite("loss", losses.total(), paths));
        }
        let mut gradients = objective.backward();
        self.parameters.read(&network, &mut gradients);
        let gradient_norm = self.parameters.gradient_norm();
        if !gradient_norm.is_finite() {
            return Err(not_finite("norm of the gradients", gradient_norm, paths));
        }
        let factor = self.schedule.factor(step);
        self.parameters
            .update(self.plan.training, step, factor, gradient_norm);
        self.progress.add(losses);
        let outcome = StepOutcome {
            losses,
            lr: self.plan.training.lr * factor,
            gradient_norm,
        };
        Ok((self.parameters.write(network), outcome))
    }

    fn count_time(&mut self, seconds: f64) {
        self.progress.seconds += seconds;
        let speed = self.step_seconds.get_or_insert(seconds);
        *speed += SPEED_SHARE * (seconds - *speed);
    }

    fn report_step(&mut self, step: StepOutcome, images: usize) {
        let step_seconds = self.step_seconds.unwrap_or_default();
        let steps_left = self.schedule.steps.saturating_sub(self.progress.steps_done);
        let epochs_left = self.plan.training.epochs - self.progress.epochs_done;
        let evaluations_left = epochs_left.div_ceil(self.plan.evaluate_every);
        let seconds_left = steps_left as f64 * step_seconds
            + f64::from(evaluations_left) * self.evaluation_seconds;
        self.run.observer.step(&StepReport {
            epoch: self.progress.epochs_done + 1,
            step: self.progress.steps_in_epoch,
            steps_per_epoch: self.data.steps_per_epoch,
            steps_done: self.progress.steps_done,
            losses: step.losses,
            lr: step.lr,
            gradient_norm: step.gradient_norm,
            images_per_second: images as f64 / step_seconds.max(f64::MIN_POSITIVE),
            time_left: Duration::try_from_secs_f64(seconds_left).unwrap_or_default(),
        });
    }

    /// Evaluates where it is due, writes results, models and a checkpoint.
    /// False if the evaluation was stopped: the epoch is then not complete.
    fn finish_epoch(&mut self) -> Result<bool> {
        let epoch = self.progress.epochs_done + 1;
        let mut validation = None;
        let mut is_best = false;
        if self.is_evaluated(epoch) {
            let started = Instant::now();
            let averaged = self.parameters.averaged_model(self.task.info())?;
            if self.task.has_validation() {
                validation = self.task.validate(&averaged, self.run)?;
                if validation.is_none() {
                    return Ok(false);
                }
            }
            is_best = self
                .progress
                .judge(validation.as_ref().and_then(Validation::score));
            self.save_models(&averaged, validation.as_ref(), is_best)?;
            if is_best {
                self.task.draw_best(&averaged, self.run.folder)?;
                if let Some(found) = &validation {
                    let path = self.run.folder.best_evaluation();
                    write_file(&path, found.text.as_bytes())?;
                }
            }
            self.evaluation_seconds = started.elapsed().as_secs_f64();
            self.progress.seconds_evaluating = self.evaluation_seconds;
        }
        self.report_epoch(validation, is_best)?;
        self.save_checkpoint()?;
        Ok(true)
    }

    fn save_models(
        &self,
        averaged: &ModelFile,
        validation: Option<&Validation>,
        is_best: bool,
    ) -> Result<()> {
        let mut info = averaged.info().clone();
        let epoch = self.progress.epochs_done + 1;
        info.training.insert("epoch".into(), epoch.to_string());
        for (name, score) in validation.into_iter().flat_map(|found| &found.scores) {
            info.metrics.insert(name.clone(), *score);
        }
        let model = ModelFile::new(info, averaged.state().clone())?;
        model.write(&self.run.folder.last_model())?;
        if is_best {
            model.write(&self.run.folder.best_model())?;
        }
        Ok(())
    }

    /// Closes the epoch's row and tells of it.
    fn report_epoch(&mut self, validation: Option<Validation>, is_best: bool) -> Result<()> {
        let steps = self.progress.steps_in_epoch.max(1);
        let images = steps * self.plan.training.batch as u64;
        let row = EpochRow {
            epoch: self.progress.epochs_done + 1,
            steps: self.progress.steps_done,
            losses: self.progress.mean_losses(),
            lr: self.plan.training.lr
                * self
                    .schedule
                    .factor(self.progress.steps_done.saturating_sub(1)),
            images_per_second: images as f64 / self.progress.seconds.max(f64::MIN_POSITIVE),
            seconds: self.progress.seconds + self.progress.seconds_evaluating,
            scores: validation
                .as_ref()
                .map_or_else(Vec::new, |found| found.scores.clone()),
        };
        let report = EpochReport {
            epoch: row.epoch,
            epochs: self.plan.training.epochs,
            losses: row.losses,
            lr: row.lr,
            images_per_second: row.images_per_second,
            duration: Duration::try_from_secs_f64(row.seconds).unwrap_or_default(),
            validation,
            is_best,
        };
        self.progress.close_epoch(row);
        let csv = csv_from_rows(&self.progress.rows);
        write_file(&self.run.folder.results_csv(), csv.as_bytes())?;
        let course = charts::course(&self.progress.rows);
        save(&self.run.folder.results_png(), &course)?;
        self.run.observer.epoch(&report);
        Ok(())
    }

    fn save_checkpoint(&self) -> Result<()> {
        let folder = self.run.folder.checkpoints();
        let place = Place {
            data: &self.data,
            progress: &self.progress,
        };
        checkpoint::save(&folder, &self.parameters, place)
    }

    fn is_stopped(&self) -> bool {
        self.run.stop.load(Ordering::Relaxed)
    }

    /// Whether an epoch, counted from 1, ends with an evaluation.
    fn is_evaluated(&self, epoch: u32) -> bool {
        let is_last = epoch == self.plan.training.epochs;
        is_last || epoch.is_multiple_of(self.plan.evaluate_every)
    }

    /// Asked before an epoch. Only an evaluation can tell: the epochs between
    /// two of them don't count as worse before the second one.
    fn is_out_of_patience(&self) -> bool {
        let patience = self.plan.training.patience;
        patience > 0
            && self.is_evaluated(self.progress.epochs_done)
            && self.progress.epochs_without_better() >= patience
    }
}

/// Puts back a run's newest sound checkpoint.
fn go_on(run: &mut Session<'_>, parameters: &mut Parameters, data: &DataMark) -> Result<Progress> {
    let folder = run.folder.checkpoints();
    let (progress, faults) = checkpoint::load_newest(&folder, parameters, data)?;
    for fault in faults {
        let message = format!("{fault}: going on from the checkpoint before it");
        run.observer.warning(&message);
    }
    Ok(progress)
}

/// A step as far as its report needs it.
struct StepOutcome {
    losses: Losses,
    lr: f64,
    gradient_norm: f64,
}
