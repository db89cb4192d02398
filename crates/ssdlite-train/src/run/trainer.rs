//! The training loop, the same for detectors and classifiers.
//!
//! A stop request is honoured after the step, and a run goes on inside an epoch
//! to the same bit: order, augmentation and dropout are functions of the seed
//! and of the step's number, so a checkpoint needs no random state.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ssdlite_core::Task as ModelTask;
use ssdlite_core::random::Rng;
use ssdlite_data::loader::Batches;
use ssdlite_image::encode::save;
use ssdlite_model::ModelFile;

use super::checkpoint::{self, Place};
use super::divergence;
use super::event_file::{EventFile, seconds_since_1970};
use super::mark::{DataMark, Machine};
use super::memory::Sizes;
use super::observer::{EpochReport, Prolonged, RunStarted, StepReport};
use super::progress::Progress;
use super::prolong::prolong;
use super::results::{EpochRow, csv_from_rows};
use super::run_folder::write_file;
use super::session::{End, Outcome, Session, Start};
use super::task::{Samples, Task};
use super::{Validation, charts, learnt};
use crate::config::TrainingOptions;
use crate::error::{Error, Result};
use crate::memory::MachineMemory;
use crate::step::{
    Batch, Cpu, Losses, Parameters, Schedule, StepOptions, TensorLayout, TrainingStep,
    first_values, values_from_file,
};
use crate::threads::threads_from_option;

/// Keeps a step's random numbers apart from the loader's.
const STEP_STREAM: u64 = 0x7374_6570;

/// Share of the newest step in the running speed.
const SPEED_SHARE: f64 = 0.1;

/// The fewest images whose score picks a network.
const LEAST_JUDGES: usize = 20;

/// The fewest steps between two checkpoints.
const STEPS_PER_CHECKPOINT: u64 = 4;

/// Training images that running statistics are taken from.
const STATISTICS_IMAGES: usize = 128;

/// What the loop goes by.
pub(super) struct Plan<'a> {
    /// What steps run on, and batches are made on between them.
    pub(super) cpu: Cpu,
    pub(super) training: &'a TrainingOptions,
    /// Epochs from one evaluation to the next.
    pub(super) evaluate_every: u32,
    /// The configuration as it is written into the run's folder.
    pub(super) config: String,
    /// What [`RunStarted`] says and the loop doesn't know.
    pub(super) training_images: usize,
    pub(super) validation_images: Option<usize>,
}

impl Plan<'_> {
    /// Whether the best network is picked by its score. That of a few images is
    /// chance: it would keep one of an early epoch.
    fn picks_by_score(&self) -> bool {
        let images = self.validation_images.unwrap_or(0);
        images >= LEAST_JUDGES || self.training.patience > 0
    }
}

/// Does a whole run. One that begins writes its configuration, its images of
/// the data and its first checkpoint before the first step, because the weights
/// that it starts from stand nowhere else.
pub(super) fn train<T: Task>(
    task: &T,
    plan: Plan<'_>,
    start: &Start,
    run: &mut Session<'_>,
) -> Result<Outcome> {
    let training = plan.training;
    if let Some(fault) = run.folder.lock_fault() {
        run.observer.warning(&format!(
            "{}: nothing keeps a second process from this run, as the folder can't be locked: \
             {fault}",
            run.folder.path().display()
        ));
    }
    let graph = task.info().graph();
    let layout = TensorLayout::new(&graph, training.freeze.trained());
    let (values, weights) = match start {
        Start::Weights(path) => {
            let (values, report) = values_from_file(task.info(), &layout, path, training.seed)?;
            (values, Some(report))
        }
        Start::Random | Start::Resume | Start::Prolong => {
            (first_values(task.info(), &layout, training.seed), None)
        }
    };
    let options = StepOptions {
        images: NonZeroUsize::new(training.batch).unwrap_or(NonZeroUsize::MIN),
        input: task.info().input(),
        objective: task.objective(),
    };
    expect_memory(task, training, &layout, run, options)?;
    let step = run.device.step(&graph, &layout, options, &plan.cpu)?;
    let mut parameters = Parameters::new(layout, values)?;
    let steps_per_epoch = task.loader().batches_per_epoch() as u64;
    let names = task.names();
    let names = names.iter().map(String::as_str);
    let data = DataMark::new(&task.info().classes, names, steps_per_epoch);
    let machine = Machine::of(&plan.cpu);
    let mut progress = match start {
        Start::Resume | Start::Prolong => go_on(run, &mut parameters, &data, &machine)?,
        Start::Random | Start::Weights(_) => {
            // Images that can't be read end the run before it leaves a file.
            draw_data(task, run)?;
            write_file(&run.folder.config(), plan.config.as_bytes())?;
            Progress::default()
        }
    };
    let schedule = training.schedule(steps_per_epoch);
    let prolonged = match start {
        Start::Prolong => {
            let factor = schedule.factor(progress.steps_done);
            Some(prolong(run.folder, &plan, &mut progress, factor)?)
        }
        _ => None,
    };
    let saved_steps = progress.steps_done;
    let mut trainer = Trainer {
        schedule,
        task,
        plan,
        run,
        data,
        machine,
        step,
        parameters,
        progress,
        saved_steps,
        step_seconds: None,
        evaluation_seconds: 0.0,
        events: EventFile::default(),
    };
    if *start != Start::Resume {
        trainer.save_checkpoint()?;
    }
    trainer.train(weights, prolonged)
}

/// Checks that the run fits into the machine's memory, where that is known.
fn expect_memory<T: Task>(
    task: &T,
    training: &TrainingOptions,
    layout: &TensorLayout,
    run: &mut Session<'_>,
    options: StepOptions,
) -> Result<()> {
    let Some(machine) = MachineMemory::of_this_machine() else {
        return Ok(());
    };
    let info = task.info();
    let sizes = Sizes {
        batch: training.batch,
        input: info.preprocessing.size,
        default_boxes: info.default_boxes().map_or(0, |boxes| boxes.len()),
        tensors: layout.len(),
        step_bytes: run.device.step_bytes(&info.graph(), layout, options)?,
        cached_bytes: task.cached_bytes(),
        workers: task.loader().workers(),
        threads: threads_from_option(training.threads)?.get(),
    };
    if let Some(told) = sizes.check(machine)? {
        run.observer.warning(&told);
    }
    Ok(())
}

/// Draws what there is to learn from.
fn draw_data<T: Task>(task: &T, run: &mut Session<'_>) -> Result<()> {
    let mut batches = task.loader().epoch(0, 0)?;
    let first = batches.next().transpose()?;
    // A loader tells of each image once.
    for skipped in batches.take_skipped() {
        run.observer.warning(&skipped.to_string());
    }
    if let Some(batch) = first {
        save(&run.folder.train_batch_jpg(), &task.grid_of_batch(&batch))?;
    }
    Ok(save(&run.folder.labels_png(), &task.chart_of_labels())?)
}

/// A run under way.
struct Trainer<'a, 's, T: Task> {
    task: &'a T,
    plan: Plan<'a>,
    run: &'a mut Session<'s>,
    schedule: Schedule,
    data: DataMark,
    machine: Machine,
    step: Box<dyn TrainingStep>,
    parameters: Parameters,
    progress: Progress,
    /// Steps at the last checkpoint.
    saved_steps: u64,
    /// Seconds a step over the last ones.
    step_seconds: Option<f64>,
    /// Seconds of the last evaluation.
    evaluation_seconds: f64,
    events: EventFile,
}

enum Epoch {
    Complete,
    Stopped,
}

impl<T: Task> Trainer<'_, '_, T> {
    /// Trains until the end.
    fn train(mut self, weights: Option<String>, prolonged: Option<Prolonged>) -> Result<Outcome> {
        let steps_before = self.progress.steps_done;
        self.report_start(weights, prolonged);
        let mut end = End::Finished;
        while self.progress.epochs_done < self.plan.training.epochs {
            if self.is_out_of_patience() {
                end = End::OutOfPatience;
                break;
            }
            let epoch = self.epoch()?;
            if matches!(epoch, Epoch::Stopped) || !self.finish_epoch()? {
                end = End::Stopped;
                break;
            }
        }
        if self.progress.steps_done > self.saved_steps {
            self.save_course()?;
            self.save_checkpoint()?;
        }
        if end != End::Stopped {
            self.warn_if_nothing_is_learnt()?;
        }
        Ok(Outcome {
            end,
            epochs: self.progress.epochs_done,
            best: self.progress.best,
            steps: self.progress.steps_done - steps_before,
        })
    }

    fn warn_if_nothing_is_learnt(&mut self) -> Result<()> {
        let best = ModelFile::read(&self.run.folder.best_model())?;
        let score = self.progress.best;
        let by_losses = || learnt::fault_of_losses(&self.progress.rows);
        let fault = self.task.fault(&best, score)?;
        let fault = fault.or_else(|| by_losses().filter(|_| score.is_none()));
        if let Some(fault) = fault {
            let (steps, lr) = (self.progress.steps_done, self.plan.training.lr);
            self.run
                .observer
                .warning(&learnt::warning(&fault, steps, lr));
        }
        Ok(())
    }

    fn report_start(&mut self, weights: Option<String>, prolonged: Option<Prolonged>) {
        let info = self.task.info();
        self.run.observer.started(&RunStarted {
            training_images: self.plan.training_images,
            validation_images: self.plan.validation_images,
            picks_by_score: self.plan.picks_by_score(),
            classes: info.classes.iter().map(str::to_owned).collect(),
            trained_parameters: self.parameters.layout().trained_count(),
            batch: self.plan.training.batch,
            epochs: self.plan.training.epochs,
            steps_per_epoch: self.data.steps_per_epoch,
            steps_done: self.progress.steps_done,
            weights,
            prolonged,
        });
    }

    /// Does what is left of the epoch's steps.
    fn epoch(&mut self) -> Result<Epoch> {
        let epoch = u64::from(self.progress.epochs_done);
        let start = self.progress.steps_in_epoch as usize;
        let mut batches = self.task.loader().epoch(epoch, start)?;
        let mut last = Instant::now();
        while let Some(batch) = self.next_batch(&mut batches)? {
            let report = self.step(&batch)?;
            let seconds = last.elapsed().as_secs_f64();
            last = Instant::now();
            self.count_time(seconds);
            self.report_step(report, batch.samples().len());
            batches.give_back(batch);
            if self.is_stopped() {
                return Ok(Epoch::Stopped);
            }
        }
        Ok(Epoch::Complete)
    }

    fn next_batch(&mut self, batches: &mut Batches<T::Batch>) -> Result<Option<T::Batch>> {
        let batch = batches.next().transpose()?;
        for skipped in batches.take_skipped() {
            self.run.observer.warning(&skipped.to_string());
        }
        Ok(batch)
    }

    fn step(&mut self, batch: &T::Batch) -> Result<StepOutcome> {
        let training = self.plan.training;
        let step = self.progress.steps_done;
        let mut random = Rng::from_keys(&[training.seed, STEP_STREAM, step]);
        let losses = self.step.run(
            Batch {
                pixels: batch.pixels(),
                targets: self.task.targets(batch),
                random: random.next_u64(),
            },
            self.parameters.step_tensors(),
        )?;
        let gradient_norm = self.parameters.gradient_norm();
        for (what, value) in [
            ("loss", losses.total()),
            ("norm of the gradients", gradient_norm),
        ] {
            if !value.is_finite() {
                let samples = batch.samples().iter();
                return Err(Error::NotFinite {
                    step: step + 1,
                    what,
                    value,
                    cause: divergence::likely_cause(training, self.schedule.factor(step)),
                    images: samples.map(|&sample| self.task.path(sample)).collect(),
                });
            }
        }
        let cx = self.plan.cpu.context();
        self.parameters
            .update(cx, training, &self.schedule, step, gradient_norm);
        self.progress.add(losses);
        Ok(StepOutcome {
            losses,
            lr: training.lr * self.schedule.factor(step),
            gradient_norm,
        })
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
            let Some(averaged) = self.averaged_model()? else {
                return Ok(false);
            };
            if self.task.has_validation() {
                validation = self.task.validate(&averaged, self.run)?;
                if validation.is_none() {
                    return Ok(false);
                }
            }
            let score = validation.as_ref().and_then(Validation::score);
            is_best = if self.plan.picks_by_score() {
                self.progress.judge(score)
            } else {
                self.progress.take_newest(score)
            };
            let model = self.with_findings(averaged, validation.as_ref())?;
            self.save_models(&model, is_best)?;
            if is_best {
                self.task.draw_best(&model, self.run.folder)?;
                if let Some(found) = &validation {
                    let path = self.run.folder.best_evaluation();
                    write_file(&path, found.text.as_bytes())?;
                }
            }
            self.evaluation_seconds = started.elapsed().as_secs_f64();
            self.progress.seconds_evaluating = self.evaluation_seconds;
        }
        self.report_epoch(validation, is_best)?;
        self.save_if_due()?;
        Ok(true)
    }

    /// The averaged weights, with running statistics that are taken anew for them
    /// over training images; none if it was stopped.
    fn averaged_model(&mut self) -> Result<Option<ModelFile>> {
        let mut values = self.parameters.averages();
        if self.parameters.layout().has_statistics() && !self.gather_statistics(&mut values)? {
            return Ok(None);
        }
        let info = self.task.info().clone();
        Ok(Some(self.parameters.model(info, &values)?))
    }

    /// Takes the running statistics of parts that train over images as they are
    /// learnt from. False if it was stopped.
    fn gather_statistics(&mut self, values: &mut [f32]) -> Result<bool> {
        let mut left = STATISTICS_IMAGES.div_ceil(self.plan.training.batch);
        let mut epoch = u64::from(self.progress.epochs_done);
        // The batches of the epoch just done, then of those that follow.
        while left > 0 {
            let mut batches = self.task.loader().epoch(epoch, 0)?;
            while left > 0
                && let Some(batch) = self.next_batch(&mut batches)?
            {
                if self.is_stopped() {
                    return Ok(false);
                }
                self.step.gather_statistics(batch.pixels(), values)?;
                batches.give_back(batch);
                left -= 1;
            }
            epoch += 1;
        }
        Ok(true)
    }

    /// A model with what its evaluation found, and the threshold taken from it.
    fn with_findings(
        &self,
        averaged: ModelFile,
        validation: Option<&Validation>,
    ) -> Result<ModelFile> {
        let (mut info, state) = averaged.into_parts();
        let epoch = self.progress.epochs_done + 1;
        info.training.insert("epoch".into(), epoch.to_string());
        for (name, score) in validation.into_iter().flat_map(|found| &found.scores) {
            info.metrics.insert(name.clone(), *score);
        }
        let threshold = validation.and_then(|found| found.score_threshold);
        if let (ModelTask::Detect(settings), Some(threshold)) = (&mut info.task, threshold) {
            settings.post_processing.score_threshold = threshold;
        }
        Ok(ModelFile::new(info, state)?)
    }

    fn save_models(&self, model: &ModelFile, is_best: bool) -> Result<()> {
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
            ended: seconds_since_1970(),
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
        self.run.observer.epoch(&report);
        Ok(())
    }

    /// Saves the course of the run and a checkpoint. Not after each of many short
    /// epochs, which take less time than that.
    fn save_if_due(&mut self) -> Result<()> {
        let is_last = self.progress.epochs_done == self.plan.training.epochs;
        if !is_last && self.progress.steps_done < self.saved_steps + STEPS_PER_CHECKPOINT {
            return Ok(());
        }
        self.save_course()?;
        self.save_checkpoint()
    }

    fn save_course(&mut self) -> Result<()> {
        if self.progress.rows.is_empty() {
            return Ok(());
        }
        let csv = csv_from_rows(&self.progress.rows);
        write_file(&self.run.folder.results_csv(), csv.as_bytes())?;
        self.events.write(self.run.folder, &self.progress.rows)?;
        let course = charts::course(&self.progress.rows);
        Ok(save(&self.run.folder.results_png(), &course)?)
    }

    fn save_checkpoint(&mut self) -> Result<()> {
        self.saved_steps = self.progress.steps_done;
        let folder = self.run.folder.checkpoints();
        let place = Place {
            data: &self.data,
            machine: &self.machine,
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
fn go_on(
    run: &mut Session<'_>,
    parameters: &mut Parameters,
    data: &DataMark,
    machine: &Machine,
) -> Result<Progress> {
    let found = checkpoint::load_newest(&run.folder.checkpoints(), parameters, data)?;
    for fault in found.faults {
        let message = format!("{fault}: going on from the checkpoint before it");
        run.observer.warning(&message);
    }
    if let Some(before) = found.machine.filter(|before| before != machine) {
        run.observer.warning(&format!(
            "this run had {before} so far and goes on with {machine}: its numbers will differ from \
             those of a run that was not stopped, in their last digits; the key `threads` in {} \
             sets the number of threads",
            run.folder.config().display()
        ));
    }
    Ok(found.progress)
}

/// A step as far as its report needs it.
struct StepOutcome {
    losses: Losses,
    lr: f64,
    gradient_norm: f64,
}
