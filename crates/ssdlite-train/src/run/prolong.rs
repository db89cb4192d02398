//! A run that is finished or stopped, and goes on to another number of epochs.
//!
//! Its schedule is from then on that of a run of so many epochs: a cosine that had come
//! down rises to where the longer one stands, milestones stay at their epochs, and the
//! warm-up is a share of all steps, in which the run may find itself again.

use super::observer::Prolonged;
use super::progress::Progress;
use super::run_folder::{RunFolder, write_file};
use super::trainer::Plan;
use crate::error::{Error, Result};

/// Checks that there is something left to do for a run that goes on to more epochs,
/// and writes its new configuration. `factor` is the schedule's in the next step.
///
/// # Errors
/// [`Error::Setting`] for no more epochs than are done; [`Error::Io`].
pub(super) fn prolong(
    folder: &RunFolder,
    plan: &Plan<'_>,
    progress: &mut Progress,
    factor: f64,
) -> Result<Prolonged> {
    let (epochs, done) = (plan.training.epochs, progress.epochs_done);
    if epochs <= done {
        let run = folder.path().display();
        return Err(Error::Setting {
            key: "training.epochs",
            fault: format!("expected more than the {done} that {run} has done, found {epochs}"),
        });
    }
    progress.patience_from = done;
    write_file(&folder.config(), plan.config.as_bytes())?;
    Ok(Prolonged {
        epochs_done: done,
        lr_before: progress.rows.last().map(|row| row.lr),
        lr: plan.training.lr * factor,
    })
}
