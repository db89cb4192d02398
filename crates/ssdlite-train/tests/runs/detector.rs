//! Whole runs of a tiny detector on sample data.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ssdlite_core::matcher::Assignment;
use ssdlite_core::{Scores, Task, Tiles};
use ssdlite_data::sample::{DetectionSampleOptions, write_detection_sample};
use ssdlite_data::split::Split;
use ssdlite_model::ModelFile;
use ssdlite_train::config::{Boxes, Choice, ClassificationLossKind, OptimizerKind};
use ssdlite_train::step::loss::RegressionLoss;
use ssdlite_train::{
    DetectorConfig, End, Error, Outcome, Result, RunData, RunFolder, Start, train_detector,
};

use crate::notes::{Notes, run};

/// Three steps an epoch, two epochs.
fn config(data: &Path) -> DetectorConfig {
    let options = DetectionSampleOptions {
        images: 18,
        seed: 3,
        ..DetectionSampleOptions::default()
    };
    write_detection_sample(data, &options).unwrap();
    // As they were when the losses below were recorded.
    let train = [1, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17];
    for (name, numbers) in [("train", &train[..]), ("val", &[0])] {
        let lines = numbers.iter().map(|number| format!("sample_{number:05}\n"));
        let list = data.join(format!("ImageSets/Main/{name}.txt"));
        fs::write(list, lines.collect::<String>()).unwrap();
    }
    let mut config = DetectorConfig::new(data);
    config.model.width = 0.1;
    config.model.size = 64;
    config.training.epochs = 2;
    config.training.batch = 4;
    config.training.lr = 2e-3;
    config.training.threads = 2;
    config.loader.workers = 1;
    config.evaluation.every = 2;
    config
}

fn train(
    config: &DetectorConfig,
    path: &Path,
    start: &Start,
    notes: &mut Notes,
) -> Result<Outcome> {
    run(path, start, notes, |start, session| {
        let data = RunData::of_detector(config, session.observer)?;
        train_detector(config, &data, start, session)
    })
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one_to_the_bit() {
    let parent = tempfile::tempdir().unwrap();
    let config = config(&parent.path().join("data"));
    expect_same_after_stops(&config, parent.path());
}

#[test]
fn so_is_one_that_learns_from_tiles() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data"));
    config.data.tiles = Tiles::Parts(2);
    let tiled = expect_same_after_stops(&config, parent.path());
    let model = ModelFile::read(&parent.path().join("straight/best.safetensors")).unwrap();
    let Task::Detect(settings) = &model.info().task else {
        panic!("expected a detector");
    };
    assert!(settings.learnt_view.is_some_and(|view| view.tiles));

    config.data.tiles = Tiles::Off;
    let mut whole = Notes::default();
    let path = parent.path().join("whole");
    train(&config, &path, &Start::Random, &mut whole).unwrap();
    assert_ne!(whole.losses, tiled);
}

/// Trains once in one go and once with stops; the losses.
fn expect_same_after_stops(config: &DetectorConfig, parent: &Path) -> Vec<(u64, Option<u64>)> {
    let (straight, stopped) = (parent.join("straight"), parent.join("stopped"));
    let mut whole = Notes::default();
    let outcome = train(config, &straight, &Start::Random, &mut whole).unwrap();
    assert_eq!((outcome.end, outcome.epochs), (End::Finished, 2));
    assert_eq!(whole.losses.len(), 6);

    // Once within the first epoch, once with the second one's last step done.
    let mut losses = Vec::new();
    for (start, steps) in [(Start::Random, 2), (Start::Resume, 6), (Start::Resume, 99)] {
        let mut notes = Notes::stopping_after(steps);
        let outcome = train(config, &stopped, &start, &mut notes).unwrap();
        let expected = if steps < 99 {
            End::Stopped
        } else {
            End::Finished
        };
        assert_eq!(outcome.end, expected);
        losses.extend(notes.losses);
    }
    assert_eq!(losses, whole.losses);
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    for name in ["last.safetensors", "best.safetensors", "config.toml"] {
        assert!(read(&straight, name) == read(&stopped, name), "{name}");
    }
    losses
}

/// The numbers of a column of a run's results.
fn column(run: &Path, name: &str) -> Vec<f64> {
    let csv = fs::read_to_string(run.join("results.csv")).unwrap();
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let heading = lines.next().unwrap();
    let place = heading.iter().position(|&found| found == name).unwrap();
    lines.map(|cells| cells[place].parse().unwrap()).collect()
}

#[test]
fn a_finished_run_is_prolonged_and_can_be_stopped_again() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data"));
    config.evaluation.every = 1;
    let (straight, stopped) = (
        parent.path().join("straight"),
        parent.path().join("stopped"),
    );
    for path in [&straight, &stopped] {
        train(&config, path, &Start::Random, &mut Notes::default()).unwrap();
    }
    let shorter = config.training.schedule(3);
    let before = [2, 5].map(|step| config.training.lr * shorter.factor(step));

    let written = fs::read(straight.join("config.toml")).unwrap();
    let mut notes = Notes::default();
    let error = train(&config, &straight, &Start::Prolong, &mut notes).unwrap_err();
    assert!(matches!(error, Error::Setting { .. }), "{error}");
    let words = "training.epochs: expected more than the 2 that";
    assert!(error.to_string().contains(words), "{error}");
    assert!(error.to_string().ends_with("found 2"), "{error}");
    assert_eq!(fs::read(straight.join("config.toml")).unwrap(), written);

    config.training.epochs = 4;
    let mut whole = Notes::default();
    let outcome = train(&config, &straight, &Start::Prolong, &mut whole).unwrap();
    let expected = (End::Finished, 4, 6);
    assert_eq!((outcome.end, outcome.epochs, outcome.steps), expected);
    let text = fs::read_to_string(straight.join("config.toml")).unwrap();
    assert_eq!(
        DetectorConfig::from_toml(&text).unwrap(),
        with_choices(&config, &text)
    );
    let prolonged = whole.prolonged.unwrap();
    assert_eq!(prolonged.epochs_done, 2);
    assert_eq!(prolonged.lr_before, Some(before[1]));
    // As in a run that had four epochs from the start.
    let schedule = config.training.schedule(3);
    let rate = |step| config.training.lr * schedule.factor(step);
    assert_eq!(prolonged.lr, rate(6));
    assert!(prolonged.lr > before[1]);
    let expected = [before[0], before[1], rate(8), rate(11)];
    for (found, expected) in column(&straight, "lr").iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-3, "{found} {expected}");
    }

    let mut losses = Vec::new();
    for (start, steps) in [(Start::Prolong, 8), (Start::Resume, 99)] {
        let mut notes = Notes::stopping_after(steps);
        train(&config, &stopped, &start, &mut notes).unwrap();
        losses.extend(notes.losses);
    }
    assert_eq!(losses, whole.losses);
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    for name in ["last.safetensors", "best.safetensors", "config.toml"] {
        assert!(read(&straight, name) == read(&stopped, name), "{name}");
    }
}

#[test]
fn a_run_that_was_killed_in_its_first_epoch_still_has_its_first_weights() {
    let parent = tempfile::tempdir().unwrap();
    let config = config(&parent.path().join("data"));
    let path = |name: &str| parent.path().join(name);
    let trained = path("trained");
    train(&config, &trained, &Start::Random, &mut Notes::default()).unwrap();
    let weights = Start::Weights(trained.join("last.safetensors"));

    let mut whole = Notes::default();
    train(&config, &path("straight"), &weights, &mut whole).unwrap();
    let killed = path("killed");
    train(&config, &killed, &weights, &mut Notes::stopping_after(1)).unwrap();
    // A kill leaves no time for the checkpoint that a stop writes.
    fs::remove_file(killed.join("checkpoints/step-0000000001.safetensors")).unwrap();
    let mut second = Notes::default();
    train(&config, &killed, &Start::Resume, &mut second).unwrap();
    assert_eq!(second.losses, whole.losses);
    let model = |run: &str| fs::read(path(run).join("last.safetensors")).unwrap();
    assert!(model("killed") == model("straight"));

    fs::remove_dir_all(killed.join("checkpoints")).unwrap();
    let error = train(&config, &killed, &Start::Resume, &mut Notes::default()).unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    assert!(error.to_string().contains("found none"), "{error}");
}

/// A configuration with what a run chose that was left to it.
fn with_choices(config: &DetectorConfig, kept: &str) -> DetectorConfig {
    assert!(!kept.contains("\"auto\""), "{kept}");
    let run = DetectorConfig::from_toml(kept).unwrap();
    assert!(matches!(run.detector.boxes, Boxes::Sizes(_)), "{kept}");
    let mut chosen = config.clone();
    chosen.data.format = run.data.format;
    chosen.detector = run.detector;
    chosen.loss = run.loss;
    chosen
}

#[test]
fn a_run_leaves_what_it_promises() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data"));
    config.evaluation.every = 1;
    let path = parent.path().join("run");
    train(&config, &path, &Start::Random, &mut Notes::default()).unwrap();
    let folder = RunFolder::open(&path).unwrap();
    let text = fs::read_to_string(folder.config()).unwrap();
    assert_eq!(
        DetectorConfig::from_toml(&text).unwrap(),
        with_choices(&config, &text)
    );
    let csv = fs::read_to_string(folder.results_csv()).unwrap();
    assert_eq!(csv.lines().count(), 3);
    assert!(csv.starts_with("epoch,step,loss,classification_loss,regression_loss,"));
    for file in [
        folder.results_png(),
        folder.labels_png(),
        folder.train_batch_jpg(),
        folder.validation_batch_jpg(),
        folder.last_model(),
        folder.best_model(),
    ] {
        assert!(file.metadata().unwrap().len() > 1000, "{}", file.display());
    }
    let scores = fs::read_to_string(folder.best_evaluation()).unwrap();
    assert!(scores.starts_with("VOC07"), "{scores}");
    assert_eq!(fs::read_dir(folder.checkpoints()).unwrap().count(), 2);
}

#[test]
fn every_loss_trains_and_its_model_says_how_it_scores() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data"));
    for (classification, regression, assignment, scores) in [
        (
            ClassificationLossKind::Softmax,
            RegressionLoss::Giou,
            Assignment::Atss,
            Scores::Softmax,
        ),
        (
            ClassificationLossKind::QualityFocal,
            RegressionLoss::SmoothL1,
            Assignment::Iou,
            Scores::Sigmoid,
        ),
    ] {
        config.loss.classification_loss = Choice::Is(classification);
        config.loss.regression_loss = Choice::Is(regression);
        config.loss.assignment = Choice::Is(assignment);
        let path = parent.path().join(format!("{classification:?}"));
        train(&config, &path, &Start::Random, &mut Notes::default()).unwrap();
        let model = ModelFile::read(&path.join("best.safetensors")).unwrap();
        let Task::Detect(settings) = &model.info().task else {
            panic!("expected a detector");
        };
        assert_eq!(settings.scores, scores);

        // From one loss to another, and by name.
        config.loss.classification_loss = Choice::Is(ClassificationLossKind::Softmax);
        let start = Start::Weights(path.join("best.safetensors"));
        let mut notes = Notes::default();
        let path = parent.path().join(format!("from {classification:?}"));
        train(&config, &path, &start, &mut notes).unwrap();
    }
}

#[test]
fn a_damaged_checkpoint_costs_a_warning_and_some_steps() {
    let parent = tempfile::tempdir().unwrap();
    let config = config(&parent.path().join("data"));
    let path = parent.path().join("run");
    let mut first = Notes::stopping_after(4);
    train(&config, &path, &Start::Random, &mut first).unwrap();
    let newest = path.join("checkpoints/step-0000000004.safetensors");
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() - 9]).unwrap();
    let mut second = Notes::default();
    let outcome = train(&config, &path, &Start::Resume, &mut second).unwrap();
    assert_eq!(outcome.end, End::Finished);
    assert!(
        second
            .warnings
            .iter()
            .any(|text| text.contains("step-0000000004")),
        "{:?}",
        second.warnings
    );
    // The first four steps were done again, and came to the same.
    assert_eq!(second.losses.len(), 6);
    assert_eq!(second.losses[..4], first.losses);
}

#[test]
fn images_that_are_learnt_and_evaluated_are_counted() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data"));
    config.data.train_split = Split::TrainVal;
    let mut notes = Notes::stopping_after(1);
    let path = |name: &str| parent.path().join(name);
    train(&config, &path("both"), &Start::Random, &mut notes).unwrap();
    let [warning] = &notes.warnings[..] else {
        panic!("{:?}", notes.warnings);
    };
    assert!(
        warning.starts_with("1 of 1 image of val also in trainval: "),
        "{warning}"
    );
    config.data.train_split = Split::Train;
    let mut notes = Notes::stopping_after(1);
    train(&config, &path("apart"), &Start::Random, &mut notes).unwrap();
    assert!(notes.warnings.is_empty(), "{:?}", notes.warnings);
}

#[test]
fn a_run_does_not_go_on_with_other_data() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data"));
    let path = parent.path().join("run");
    let mut notes = Notes::stopping_after(2);
    train(&config, &path, &Start::Random, &mut notes).unwrap();
    let refused = |config: &DetectorConfig, words: &str| {
        let error = train(config, &path, &Start::Resume, &mut Notes::default()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    };
    config.training.batch = 5;
    refused(&config, "2 steps an epoch, not 3");
    config.training.batch = 4;
    let list = config.data.path.join("ImageSets/Main/train.txt");
    let ids = fs::read_to_string(&list).unwrap();
    let (first, others) = ids.split_once('\n').unwrap();
    fs::write(&list, others).unwrap();
    refused(&config, "12 training images, not 13");
    fs::write(&list, format!("{others}{first}\n")).unwrap();
    refused(&config, "other training images");
    fs::write(&list, ids).unwrap();
    train(&config, &path, &Start::Resume, &mut Notes::default()).unwrap();
}

#[test]
fn a_loss_that_is_no_number_names_the_images() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data"));
    config.training.lr = 1e30;
    config.training.clip_norm = 0.0;
    config.training.warmup = 0.0;
    let path = parent.path().join("run");
    let error = train(&config, &path, &Start::Random, &mut Notes::default()).unwrap_err();
    let Error::NotFinite { step, images, .. } = &error else {
        panic!("{error}");
    };
    assert!(*step > 1);
    assert_eq!(images.len(), 4);
    let text = error.to_string();
    let cause = text.find("the learning rate").unwrap();
    let named = text.find("sample_000").unwrap();
    assert!(cause < named && text.ends_with("and 1 more"), "{text}");
    // Nothing of it holds the name.
    config.training.lr = 1e-3;
    config.training.epochs = 1;
    train(&config, &path, &Start::Random, &mut Notes::default()).unwrap();
}

/// Other systems don't tell how much memory they have.
#[cfg(target_os = "linux")]
#[test]
fn a_batch_that_no_memory_holds_is_refused_with_one_that_fits() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data"));
    config.training.batch = 4096;
    config.model.width = 1.0;
    config.model.size = 1024;
    let path = parent.path().join("run");
    let error = run(
        &path,
        &Start::Random,
        &mut Notes::default(),
        |start, session| {
            let mut data = RunData::of_detector(&config, session.observer)?;
            let set = Arc::make_mut(&mut data.training);
            let images = set.images.iter().cycle().take(4096).cloned().collect();
            set.images = images;
            train_detector(&config, &data, start, session)
        },
    );
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error}");
    let text = error.to_string();
    for words in [
        "4096 images of 1024x1024",
        "GiB of memory",
        "of which there are",
        "smaller",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!path.join("config.toml").exists());
}

#[test]
fn patience_ends_a_run_that_does_not_get_better() {
    let parent = tempfile::tempdir().unwrap();
    // Sigmoids that have learnt nothing are too near each other to keep their order.
    let mut config = config(&parent.path().join("data")).of_run();
    config.training.epochs = 9;
    config.training.lr = 1e-12;
    config.training.patience = 2;
    config.evaluation.every = 1;
    let path = parent.path().join("run");
    let outcome = train(&config, &path, &Start::Random, &mut Notes::default()).unwrap();
    assert_eq!(outcome.end, End::OutOfPatience);
    assert!(outcome.epochs < 9);

    // To resume it changes nothing.
    let mut notes = Notes::default();
    let resumed = train(&config, &path, &Start::Resume, &mut notes).unwrap();
    assert_eq!(
        resumed,
        Outcome {
            steps: 0,
            ..outcome
        }
    );
    assert!(notes.losses.is_empty());

    // Prolonged, it has as much patience again, also when it is stopped meanwhile.
    config.training.epochs = 20;
    let mut notes = Notes::stopping_after(u64::from(resumed.epochs) * 3 + 1);
    let prolonged = train(&config, &path, &Start::Prolong, &mut notes).unwrap();
    assert_eq!((prolonged.end, prolonged.steps), (End::Stopped, 1));
    let ended = train(&config, &path, &Start::Resume, &mut Notes::default()).unwrap();
    assert_eq!(ended.end, End::OutOfPatience);
    assert_eq!(ended.epochs, resumed.epochs + 2);
}

#[test]
fn patience_waits_for_evaluations() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data"));
    config.training.epochs = 9;
    config.training.lr = 1e-12;
    config.training.patience = 1;
    config.evaluation.every = 3;
    let path = parent.path().join("run");
    let outcome = train(&config, &path, &Start::Random, &mut Notes::default()).unwrap();
    assert!(outcome.best.is_some());
    assert!([6, 9].contains(&outcome.epochs), "{}", outcome.epochs);
    assert!(RunFolder::open(&path).unwrap().best_model().is_file());
}

/// Losses of the first steps of a run with SGD and momentum.
fn losses(config: &DetectorConfig, path: &Path, steps: u64) -> Vec<f64> {
    let mut notes = Notes::stopping_after(steps);
    let outcome = train(config, path, &Start::Random, &mut notes).unwrap();
    assert_eq!(outcome.end, End::Stopped);
    let total = |&(classification, regression): &(u64, Option<u64>)| {
        f64::from_bits(classification) + f64::from_bits(regression.expect("a detector's"))
    };
    notes.losses.iter().map(total).collect()
}

/// Losses of fifty steps of the implementation that the plan replaced: Burn's
/// autodiff with the kernels as an extension, at commit 5281cea, on 2 threads of
/// an Intel Xeon with AVX-512, 2026-11-27. Made by its `ssdlite`:
///
/// ```text
/// ssdlite data sample DATA --images 18 --seed 3
/// ssdlite train DATA --width 0.35 --size 96 --optimizer sgd --lr 5e-5 --batch 12 \
///     --photometric 0 --zoom-out 0 --iou-crop=false --mirror 0 --epochs 60 --every 60 \
///     --threads 2 --workers 1
/// cut -d, -f3 runs/DATA/results.csv
/// ```
const RECORDED: [f64; 50] = [
    11.270287, 11.154759, 11.289435, 11.274881, 11.266153, 11.229049, 11.233134, 11.231108,
    11.173436, 11.273013, 11.163342, 11.084386, 11.161822, 11.041993, 11.045666, 11.140087,
    11.028495, 10.998798, 10.950784, 11.084339, 10.856691, 10.915474, 10.896917, 10.874578,
    10.856903, 10.877598, 10.931291, 10.906321, 10.989214, 10.887973, 10.768725, 10.777560,
    10.812929, 10.832831, 10.740347, 10.702436, 10.720766, 10.705886, 10.723781, 10.695035,
    10.781088, 10.718016, 10.901676, 10.765049, 10.638200, 10.676598, 10.663303, 10.657419,
    10.667770, 10.624151,
];

/// The learning rate is one that keeps rounding from growing into the losses: at
/// 1e-3 even one implementation's runs on one and on two threads come to be 3e-3
/// apart.
#[test]
fn fifty_losses_follow_those_that_were_recorded() {
    let parent = tempfile::tempdir().unwrap();
    let mut config = config(&parent.path().join("data")).of_run();
    config.model.width = 0.35;
    config.model.size = 96;
    config.training.optimizer = OptimizerKind::Sgd;
    config.training.lr = 5e-5;
    // All images in each step, as they are, so that the losses fall.
    config.training.batch = 12;
    config.augment.photometric = 0.0;
    config.augment.zoom_out = 0.0;
    config.augment.iou_crop = false;
    config.augment.mirror = 0.0;
    // The run is stopped before its first evaluation.
    config.training.epochs = 60;
    config.evaluation.every = 60;
    let steps = RECORDED.len() as u64;
    let found = losses(&config, &parent.path().join("run"), steps);
    assert_eq!(found.len(), RECORDED.len());
    for (step, (found, expected)) in found.iter().zip(RECORDED).enumerate() {
        let apart = (found - expected).abs() / expected;
        assert!(apart < 1e-3, "step {step}: {found}, recorded {expected}");
    }
}
