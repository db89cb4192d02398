//! A whole run of a tiny classifier on sample data.

use std::fs;
use std::path::Path;

use ssdlite_data::sample::{ClassificationSampleOptions, write_classification_sample};
use ssdlite_train::{ClassifierConfig, End, Outcome, RunData, Start, train_classifier};

use crate::notes::{Notes, run};

fn train(config: &ClassifierConfig, path: &Path, start: &Start, notes: &mut Notes) -> Outcome {
    run(path, start, notes, |start, session| {
        let data = RunData::of_classifier(config, session.observer)?;
        train_classifier(config, &data, start, session)
    })
    .unwrap()
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one_to_the_bit() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let options = ClassificationSampleOptions {
        train_images_per_class: 3,
        seed: 1,
    };
    write_classification_sample(&data, &options).unwrap();
    let mut config = ClassifierConfig::new(&data);
    config.model.width = 0.1;
    config.model.size = 48;
    config.training.epochs = 2;
    config.training.batch = 5;
    config.training.threads = 2;
    let (straight, stopped) = (
        parent.path().join("straight"),
        parent.path().join("stopped"),
    );
    let mut whole = Notes::default();
    let outcome = train(&config, &straight, &Start::Random, &mut whole);
    assert_eq!((outcome.end, whole.losses.len()), (End::Finished, 6));
    assert!(outcome.best.is_some());

    let mut first = Notes::stopping_after(4);
    assert_eq!(
        train(&config, &stopped, &Start::Random, &mut first).end,
        End::Stopped
    );
    let mut second = Notes::default();
    train(&config, &stopped, &Start::Resume, &mut second);
    first.losses.extend(second.losses);
    assert_eq!(first.losses, whole.losses);
    for name in ["last.safetensors", "best.safetensors"] {
        let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
        assert!(read(&straight) == read(&stopped), "{name}");
    }
    let csv = fs::read_to_string(straight.join("results.csv")).unwrap();
    assert!(csv.lines().next().unwrap().ends_with("top1,top5"));
}
