//! Progress of a training run, on standard error: a bar with the losses while
//! an epoch goes on, a line when it is done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ssdlite_train::{
    ENOUGH_STEPS, EpochReport, Losses, Observer, Prolonged, RunStarted, StepReport, Validation,
};

use crate::console::{self, counted};

/// Fewer steps than these are said to be few.
const FEW_STEPS: u64 = ENOUGH_STEPS / 2;

/// Shows a run to a person; to a program as well, if asked.
pub(crate) struct TrainingProgress {
    folder: PathBuf,
    bar: ProgressBar,
    json: bool,
    /// Whether a network is the best by its score, and not by being the last.
    picks_by_score: bool,
    unprinted: Option<anyhow::Error>,
}

impl TrainingProgress {
    /// Of a run in `folder`, which is named when the run has begun: one that can't begin
    /// leaves none.
    pub(crate) fn new(folder: &Path, json: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, console::progress_target());
        let template = "{prefix} {bar:24} {pos}/{len} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            folder: folder.to_owned(),
            bar,
            json,
            picks_by_score: true,
            unprinted: None,
        }
    }

    /// Ends the bar; the error is why a program did not get an epoch.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.unprinted.take().map_or(Ok(()), Err)
    }

    /// Prints above the bar, or as a plain line where there is none.
    fn line(&self, text: &str) {
        self.bar.suspend(|| console::note(text));
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for TrainingProgress {
    fn started(&mut self, run: &RunStarted) {
        self.picks_by_score = run.picks_by_score;
        self.line(&format!("run folder: {}", self.folder.display()));
        if let Some(weights) = &run.weights {
            self.line(weights);
        }
        let validation = match run.validation_images {
            Some(images) if run.picks_by_score => format!("{images} to evaluate"),
            Some(images) => format!(
                "{images} to evaluate, too few to pick a network by: the last one counts as the best"
            ),
            None => "none to evaluate".into(),
        };
        self.line(&format!(
            "{} to learn from, {validation}; {}; {} trained parameters",
            counted(run.training_images, "image"),
            counted(run.classes.len(), "class"),
            run.trained_parameters,
        ));
        let steps = u64::from(run.epochs) * run.steps_per_epoch;
        self.line(&format!(
            "batch {}: {} an epoch, {}, {} in all",
            run.batch,
            counted(run.steps_per_epoch, "step"),
            counted(u64::from(run.epochs), "epoch"),
            counted(steps, "step")
        ));
        if run.steps_done > 0 {
            self.line(&format!("going on after step {}", run.steps_done));
        } else if let Some(advice) = advice_on_length(run, steps) {
            self.warning(&advice);
        }
        if let Some(prolonged) = &run.prolonged {
            self.line(&prolonged_text(prolonged, run.epochs));
        }
        self.bar.set_length(run.steps_per_epoch);
    }

    fn step(&mut self, step: &StepReport) {
        self.bar.set_prefix(format!("epoch {}", step.epoch));
        self.bar.set_position(step.step);
        self.bar.set_message(format!(
            "{:.1} images/s, {}, {} left",
            step.images_per_second,
            losses_text(&step.losses),
            duration_text(step.time_left)
        ));
    }

    fn epoch(&mut self, epoch: &EpochReport) {
        let mut line = format!(
            "epoch {}/{}: {}, lr {:.2e}, {:.1} images/s, {}",
            epoch.epoch,
            epoch.epochs,
            losses_text(&epoch.losses),
            epoch.lr,
            epoch.images_per_second,
            duration_text(epoch.duration)
        );
        if let Some(validation) = &epoch.validation {
            line.push_str(&format!(", {}", validation_text(validation)));
        }
        if epoch.is_best && self.picks_by_score {
            line.push_str(" (best)");
        }
        self.line(&line);
        if self.json {
            let json = serde_json::json!({
                "epoch": epoch.epoch,
                "classification_loss": epoch.losses.classification,
                "regression_loss": epoch.losses.regression,
                "lr": epoch.lr,
                "images_per_second": epoch.images_per_second,
                "seconds": epoch.duration.as_secs_f64(),
                "score": epoch.validation.as_ref().and_then(Validation::score),
                "best": epoch.is_best,
            });
            // No reason to give up the run, but the program must hear of it.
            if let Err(error) = console::json(&json) {
                self.unprinted.get_or_insert(error);
            }
        }
    }

    fn note(&mut self, message: &str) {
        self.line(message);
    }

    fn warning(&mut self, message: &str) {
        self.bar.suspend(|| console::warning(message));
    }
}

/// What to change where a run's steps are few.
fn advice_on_length(run: &RunStarted, steps: u64) -> Option<String> {
    let epochs = ENOUGH_STEPS.div_ceil(run.steps_per_epoch);
    (steps < FEW_STEPS).then(|| {
        let are = if steps == 1 { "is" } else { "are" };
        format!(
            "{} {are} few: {ENOUGH_STEPS} are usual, which `--epochs {epochs}` makes of this batch; \
             without --epochs and --batch both are chosen by the number of images",
            counted(steps, "step"),
        )
    })
}

fn validation_text(validation: &Validation) -> String {
    let score = |(name, score): &(String, f64)| format!("{name} {score:.3}");
    let scores: Vec<_> = validation.scores.iter().map(score).collect();
    scores.join(", ")
}

fn losses_text(losses: &Losses) -> String {
    match losses.regression {
        Some(regression) => format!(
            "loss {:.3} (class {:.3}, box {regression:.3})",
            losses.total(),
            losses.classification
        ),
        None => format!("loss {:.3}", losses.total()),
    }
}

fn prolonged_text(prolonged: &Prolonged, epochs: u32) -> String {
    let Prolonged {
        epochs_done,
        lr_before,
        lr,
    } = prolonged;
    let before = match lr_before {
        Some(before) => format!("from {before:.2e} at the end of epoch {epochs_done} to"),
        None => "to".into(),
    };
    format!(
        "{} from now on: the learning rate is that of a run of so many, and goes {before} {lr:.2e}",
        counted(u64::from(epochs), "epoch")
    )
}

/// A duration in the unit that suits it.
pub(crate) fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds >= 3600 {
        format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60)
    } else if seconds >= 60 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else if seconds >= 1 {
        format!("{:.1}s", duration.as_secs_f64())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_to_read() {
        let text = |millis| duration_text(Duration::from_millis(millis));
        assert_eq!(text(350), "350ms");
        assert_eq!(text(1_250), "1.2s");
        assert_eq!(text(61_000), "1m01s");
        assert_eq!(text(3_725_000), "1h02m");
    }

    #[test]
    fn a_run_of_few_steps_is_told_what_to_change() {
        let run = |epochs, steps_per_epoch| RunStarted {
            training_images: 9,
            validation_images: None,
            picks_by_score: false,
            classes: vec!["cat".into()],
            trained_parameters: 1,
            batch: 8,
            epochs,
            steps_per_epoch,
            steps_done: 0,
            weights: None,
            prolonged: None,
        };
        let told = |epochs, steps: u64| {
            advice_on_length(&run(epochs, steps), u64::from(epochs) * steps).unwrap_or_default()
        };
        assert!(
            told(1, 1).starts_with("1 step is few: 1000"),
            "{}",
            told(1, 1)
        );
        assert!(told(2, 3).starts_with("6 steps are few"), "{}", told(2, 3));
        assert!(told(2, 3).contains("`--epochs 334`"), "{}", told(2, 3));
        assert_eq!(told(100, 5), "");
    }
}
