//! Data and runs that several tests read and none changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::harness::run;

/// The paper's detector, whose scores say something after a few steps, while sigmoids
/// of many boxes begin near 0.
pub(crate) const HARDLY_TRAINED: [&str; 4] = ["--head", "ssdlite", "--finest", "16"];

/// A network as narrow and a run as small as they get.
pub(crate) const TINY: [&str; 10] = [
    "--width",
    "0.1",
    "--size",
    "64",
    "--batch",
    "4",
    "--threads",
    "2",
    "--workers",
    "1",
];

/// What the sample's images show.
pub(crate) const CLASSES: [&str; 5] = ["apple", "book", "key", "leaf", "mug"];

/// A folder that is emptied when the first test asks for it.
struct Shared {
    path: PathBuf,
    /// Locked as long as this process lives: another one waits for its turn.
    _lock: File,
}

impl Shared {
    fn new() -> Self {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let lock = File::create(parent.join("cli.lock")).unwrap();
        lock.lock().unwrap();
        let path = parent.join("cli");
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
        Self { path, _lock: lock }
    }
}

/// The folder of all that is shared.
fn folder() -> &'static Path {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    &SHARED.get_or_init(Shared::new).path
}

/// A VOC folder of 24 images: 17 to train, 2 to validate, 5 to test.
pub(crate) fn detection_data() -> &'static Path {
    static DATA: OnceLock<PathBuf> = OnceLock::new();
    DATA.get_or_init(|| {
        let args = [
            "data",
            "sample",
            "set",
            "--images",
            "24",
            "--images-per-class",
            "8",
        ];
        run(folder(), &args).exits(0);
        folder().join("set")
    })
}

/// Copies some of the sample's images to `photos`.
pub(crate) fn photos(folder: &Path, count: usize) {
    fs::create_dir_all(folder.join("photos")).unwrap();
    for number in 0..count {
        let name = format!("sample_{number:05}.jpg");
        let from = detection_data().join("JPEGImages").join(&name);
        fs::copy(from, folder.join("photos").join(name)).unwrap();
    }
}

/// Class folders with 8 images a class to train and two each to validate and
/// to test.
pub(crate) fn classification_data() -> PathBuf {
    detection_data().join("classification")
}

/// A finished run of a detector: two epochs of four steps.
pub(crate) fn detector_run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let data = detection_data().to_str().unwrap();
        let args = ["train", data, "--name", "detector", "--epochs", "2"];
        let args = [&args[..], &HARDLY_TRAINED].concat();
        run(folder(), &[&args[..], &TINY].concat()).exits(0);
        folder().join("runs/detector")
    })
}

/// The model file of [`detector_run`].
pub(crate) fn detector() -> String {
    text(&detector_run().join("best.safetensors"))
}

/// A finished run of a classifier: two epochs of ten steps.
pub(crate) fn classifier_run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let data = text(&classification_data());
        let args = [
            "classifier",
            "train",
            &data,
            "--name",
            "classifier",
            "--epochs",
            "2",
        ];
        run(folder(), &[&args[..], &TINY].concat()).exits(0);
        folder().join("runs/classifier")
    })
}

/// The model file of [`classifier_run`].
pub(crate) fn classifier() -> String {
    text(&classifier_run().join("best.safetensors"))
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
