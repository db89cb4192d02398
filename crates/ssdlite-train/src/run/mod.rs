//! A whole run: read the data, make or load the network, train, evaluate, save.

mod boxes;
mod charts;
mod checkpoint;
mod checksum;
mod choice;
mod classifier;
mod coverage;
mod data;
mod detector;
mod divergence;
mod event_file;
mod images;
mod learnt;
mod mark;
mod memory;
mod observer;
mod progress;
mod prolong;
mod results;
mod run_folder;
mod session;
mod task;
mod tiles;
mod trainer;
mod unmatched;
mod usual;
mod validation;

pub use boxes::default_boxes;
pub use classifier::{division_from_info, train_classifier};
pub use data::RunData;
pub use detector::train_detector;
pub use observer::{EpochReport, Observer, Prolonged, RunStarted, StepReport};
pub use run_folder::RunFolder;
pub use session::{End, Outcome, Session, Start};
pub use usual::ENOUGH_STEPS;
pub use validation::Validation;
