//! Losses, recipes, the training run, checkpoints and the run folder.
//!
//! [`train_detector`] and [`train_classifier`] do a whole run from a
//! configuration: read the data, make or load the network, train, evaluate,
//! save. They print nothing and fetch nothing: an [`Observer`] hears of the
//! progress, and a flag of the caller's stops a run so that it can be resumed.
//!
//! Which operations the networks consist of is `ssdlite-nn`'s business, how
//! pictures become batches `ssdlite-data`'s.

pub mod bench;
mod charts;
mod checkpoint;
pub mod classifier;
pub mod config;
pub mod detector;
mod device;
pub mod error;
pub mod evaluate;
mod initial;
pub mod loss;
pub mod observer;
pub mod optimizer;
mod parameters;
mod pictures;
mod results;
pub mod run_folder;
pub mod schedule;
mod tensors;
pub mod threads;
pub mod trainer;

pub use bench::{BenchTask, BenchTrainOptions, BenchTrainReport, bench_train};
pub use burn::tensor::Device;
pub use classifier::{division_from_info, train_classifier};
pub use config::{ClassifierConfig, DetectorConfig};
pub use detector::train_detector;
pub use device::device_from_kind;
pub use error::{Error, Result};
pub use evaluate::{ClassifierEvaluator, DetectorEvaluator, EvaluationOptions, Validation, Watch};
pub use observer::{EpochReport, Losses, Observer, RunStarted, StepReport};
pub use run_folder::RunFolder;
pub use trainer::{End, Outcome, Session, Start};
