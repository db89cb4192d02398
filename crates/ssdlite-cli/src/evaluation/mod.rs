//! Models evaluated on data sets: for the commands `eval`, and when a run has
//! ended.

pub(crate) mod classifier;
pub(crate) mod detector;
pub(crate) mod report;
pub(crate) mod split;
pub(crate) mod words;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use serde::Serialize;
use ssdlite_eval::ConfusionMatrix;
use ssdlite_evaluate::{EvaluationOptions, Watch};
use ssdlite_files::{remove_leftovers, write_atomically};
use ssdlite_image::encode;
use ssdlite_infer::all_cores;

use crate::console;
use crate::output::charts;

/// Least score of the detections that rates and confusion count, the same for all
/// models, whatever thresholds their files have.
pub(crate) const SHOWN_SCORE: f32 = 0.3;

/// For one evaluation: nothing is kept for another.
pub(crate) fn once_on_all_cores() -> EvaluationOptions {
    EvaluationOptions {
        threads: all_cores(),
        cache_bytes: 0,
    }
}

/// Evaluates without a stop; returns how many images could not be used as well.
fn until_done<T>(
    evaluate: impl FnOnce(&mut Watch<'_>) -> ssdlite_evaluate::Result<Option<T>>,
) -> Result<(T, usize)> {
    let (report, failures) = until_stopped(&AtomicBool::new(false), evaluate)?;
    Ok((report.context("the evaluation was stopped")?, failures))
}

/// Evaluates until the flag is set; returns how many images could not be used
/// as well.
pub(crate) fn until_stopped<T>(
    stop: &AtomicBool,
    evaluate: impl FnOnce(&mut Watch<'_>) -> ssdlite_evaluate::Result<Option<T>>,
) -> Result<(Option<T>, usize)> {
    let mut failures = 0;
    let report = evaluate(&mut Watch {
        stop,
        skipped: &mut |image| {
            console::error(&format!("{}: {}", image.path.display(), image.reason));
            failures += 1;
        },
    })?;
    Ok((report, failures))
}

/// Writes all numbers to `evaluation.json` and draws `confusion.png`.
fn save_report(folder: &Path, numbers: &impl Serialize, confusion: &ConfusionMatrix) -> Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("can't make the folder {}", folder.display()))?;
    // What earlier ones left that were killed.
    remove_leftovers(folder, |name| {
        name == "evaluation.json" || name.ends_with(".png")
    });
    let chart = charts::confusion(confusion);
    encode::save(&folder.join("confusion.png"), &chart)?;
    let json = serde_json::to_vec_pretty(numbers)?;
    let path = folder.join("evaluation.json");
    write_atomically(&path, &json).with_context(|| path.display().to_string())
}
