//! How a training run ends: what its best model can do, what there is to look at,
//! and what to do next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use ssdlite_core::{ModelInfo, Task as ModelTask};
use ssdlite_data::split::Split;
use ssdlite_eval::{ClassificationReport, ScoreCurve, Suggestion, VocReport};
use ssdlite_train::{End, Outcome, RunFolder};

use super::shell;
use crate::console::{self, counted};
use crate::evaluation::words::{map_text, model_threshold_text, top1_text};

/// What is known of a run's best model.
pub(crate) struct BestModel {
    /// The epoch that it is of, as its file says.
    epoch: Option<u32>,
    /// The score threshold in its file, if it is a detector.
    score_threshold: Option<f32>,
    evaluated: Option<Evaluated>,
    /// What `eval` is given after the model for images that the run has not seen;
    /// none without a test split.
    test: Option<String>,
}

/// Its evaluation on the validation images.
struct Evaluated {
    /// The metric's name in `results.csv`.
    metric: &'static str,
    score: Option<f64>,
    images: u64,
    objects: Option<u64>,
    split: Split,
    per_class: BTreeMap<String, Option<f64>>,
    suggested: Option<Suggestion>,
    /// In words: the metric, its table, and the threshold.
    texts: Vec<String>,
}

impl BestModel {
    /// A model that was not evaluated.
    pub(crate) fn new(info: &ModelInfo) -> Self {
        Self {
            epoch: info
                .training
                .get("epoch")
                .and_then(|epoch| epoch.parse().ok()),
            score_threshold: match &info.task {
                ModelTask::Detect(settings) => Some(settings.post_processing.score_threshold),
                ModelTask::Classify => None,
            },
            evaluated: None,
            test: None,
        }
    }

    /// The same with the evaluation of the detector that it is.
    pub(crate) fn with_detections(
        mut self,
        report: &VocReport,
        curve: &ScoreCurve,
        split: Split,
    ) -> Self {
        let per_class = report.per_class.iter();
        let mut texts = vec![map_text(report, split), report.to_string()];
        if let Some(threshold) = self.score_threshold {
            texts.push(model_threshold_text(curve, threshold));
        }
        self.evaluated = Some(Evaluated {
            metric: "map_voc07",
            score: report.map,
            images: report.images as u64,
            objects: Some(report.objects as u64),
            split,
            per_class: per_class
                .map(|class| (class.name.clone(), class.ap))
                .collect(),
            suggested: curve.suggestion(),
            texts,
        });
        self
    }

    /// The same with the evaluation of the classifier that it is.
    pub(crate) fn with_classification(mut self, report: &ClassificationReport) -> Self {
        let per_class = report.per_class.iter();
        self.evaluated = Some(Evaluated {
            metric: "top1",
            score: report.top1,
            images: report.images,
            objects: None,
            split: Split::Val,
            per_class: per_class
                .map(|class| (class.name.clone(), class.accuracy))
                .collect(),
            suggested: None,
            texts: vec![top1_text(report, Split::Val), report.to_string()],
        });
        self
    }

    /// The same with a test split in `data`; `options` are what reads it as the run
    /// read its images.
    pub(crate) fn with_test(mut self, data: &Path, options: &str) -> Self {
        self.test = Some(format!("{} --split test{options}", shell::word(data)));
        self
    }

    /// The evaluation in words, a text a result.
    fn texts(&self) -> Vec<String> {
        let Some(evaluated) = &self.evaluated else {
            let threshold = self
                .score_threshold
                .map(|threshold| format!(", and its score threshold is the usual {threshold}"));
            return vec![format!(
                "there were no images to evaluate on: how good the model is is not known{}",
                threshold.unwrap_or_default()
            )];
        };
        let mut texts = evaluated.texts.clone();
        if let (Some(first), Some(epoch)) = (texts.first_mut(), self.epoch) {
            first.push_str(&format!(", epoch {epoch}"));
        }
        texts
    }

    /// The commands that come next, each under what it is for.
    fn commands(&self, model: &Path) -> Vec<(&'static str, String)> {
        let model = shell::word(model);
        let (usage, evaluation) = match self.score_threshold {
            Some(_) => (
                format!("ssdlite detect {model} PHOTOS --save found"),
                format!("ssdlite eval {model}"),
            ),
            None => (
                format!("ssdlite classifier predict {model} PHOTOS"),
                format!("ssdlite classifier eval {model}"),
            ),
        };
        let mut commands = vec![("to use the model", usage)];
        if let Some(test) = &self.test {
            let what = "how it does on images it has not seen";
            commands.push((what, format!("{evaluation} {test}")));
        }
        commands
    }
}

/// The last line of `train --json`.
#[derive(Serialize)]
struct EndJson<'a> {
    /// "finished", "out_of_patience" or "stopped". After the last of them only
    /// `epochs` is not null or empty.
    end: &'static str,
    /// Epochs done.
    epochs: u32,
    /// The epoch that the best model is of, counted from 1.
    best_epoch: Option<u32>,
    /// What `score` and `per_class` are: "map_voc07" or "top1"; null without images to
    /// evaluate on, as are the next six.
    metric: Option<&'static str>,
    score: Option<f64>,
    split: Option<&'static str>,
    images: Option<u64>,
    /// Null for a classifier.
    objects: Option<u64>,
    /// By the class's name: average precision, or the share of images that is right.
    per_class: Option<&'a BTreeMap<String, Option<f64>>>,
    /// The score threshold that the evaluation suggests, with precision, recall and
    /// F1; null where scores tell nothing, and for a classifier.
    suggested: Option<Suggestion>,
    /// The score threshold in the model's file; null for a classifier.
    score_threshold: Option<f32>,
    model: Option<PathBuf>,
    files: Vec<PathBuf>,
}

/// Tells how a run ended that has a best model, or was stopped before.
pub(crate) fn tell(
    outcome: &Outcome,
    folder: &RunFolder,
    best: Option<&BestModel>,
    json: bool,
) -> Result<()> {
    let printed = match json {
        true => console::json(&end_json(outcome, folder, best)),
        false => best.map_or(Ok(()), |best| {
            best.texts().iter().try_for_each(console::table)
        }),
    };
    if let Some(best) = best {
        console::note(&files_text(folder));
        for (what, command) in best.commands(&folder.best_model()) {
            console::note(&format!("{what}:\n{command}"));
        }
    }
    printed
}

fn end_json<'a>(outcome: &Outcome, folder: &RunFolder, best: Option<&'a BestModel>) -> EndJson<'a> {
    let evaluated = best.and_then(|best| best.evaluated.as_ref());
    let files = best.map(|_| files(folder).map(|(path, _)| path).collect());
    EndJson {
        end: match outcome.end {
            End::Finished => "finished",
            End::OutOfPatience => "out_of_patience",
            End::Stopped => "stopped",
        },
        epochs: outcome.epochs,
        best_epoch: best.and_then(|best| best.epoch),
        metric: evaluated.map(|found| found.metric),
        score: evaluated.and_then(|found| found.score),
        split: evaluated.map(|found| found.split.name()),
        images: evaluated.map(|found| found.images),
        objects: evaluated.and_then(|found| found.objects),
        per_class: evaluated.map(|found| &found.per_class),
        suggested: evaluated.and_then(|found| found.suggested),
        score_threshold: best.and_then(|best| best.score_threshold),
        model: best.map(|_| folder.best_model()),
        files: files.unwrap_or_default(),
    }
}

/// Says after how many epochs a run ended.
pub(crate) fn epochs_text(outcome: &Outcome) -> String {
    let epochs = counted(u64::from(outcome.epochs), "epoch");
    match outcome.end {
        End::OutOfPatience => format!("no better score for a while: ended after {epochs}"),
        End::Finished | End::Stopped => format!("{epochs} done"),
    }
}

/// What is in the run's folder to be used or looked at, with what it is.
fn files(folder: &RunFolder) -> impl Iterator<Item = (PathBuf, &'static str)> {
    let evaluation = folder.evaluation();
    let all = [
        (folder.best_model(), "the best model"),
        (folder.last_model(), "the model of the last epoch"),
        (folder.results_png(), "losses and scores over the epochs"),
        (folder.results_csv(), "the same as a table"),
        (folder.labels_png(), "what there was to learn from"),
        (folder.train_batch_jpg(), "images as the network got them"),
        (folder.validation_batch_jpg(), "what the best model finds"),
        (evaluation.join("f1.png"), "F1 over the score"),
        (
            evaluation.join("precision_recall.png"),
            "precision over recall",
        ),
        (
            evaluation.join("confusion.png"),
            "which class is taken for which",
        ),
        (
            evaluation.join("evaluation.json"),
            "all numbers of the evaluation",
        ),
    ];
    all.into_iter().filter(|(path, _)| path.is_file())
}

fn files_text(folder: &RunFolder) -> String {
    let mut text = format!("in {}:", folder.path().display());
    for (path, words) in files(folder) {
        let path = path.strip_prefix(folder.path()).unwrap_or(&path);
        text.push_str(&format!("\n{:<27} {words}", path.display().to_string()));
    }
    text
}

#[cfg(test)]
mod tests {
    use ssdlite_data::Overwrite;

    use super::*;

    #[test]
    fn a_run_that_was_stopped_has_nothing_but_its_epochs_to_tell() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path().join("run"), Overwrite::Refuse).unwrap();
        let outcome = Outcome {
            end: End::Stopped,
            epochs: 3,
            best: Some(0.5),
            steps: 30,
        };
        let json = serde_json::to_value(end_json(&outcome, &folder, None)).unwrap();
        let known = json.as_object().unwrap().iter();
        let known: BTreeMap<&str, String> = known
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.as_str(), value.to_string()))
            .collect();
        let expected = [("end", "\"stopped\""), ("epochs", "3"), ("files", "[]")];
        assert_eq!(
            known,
            expected
                .map(|(name, value)| (name, value.to_owned()))
                .into()
        );
    }
}
