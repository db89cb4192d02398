//! Data sets: readers, checks, splits, augmentation and the batch loader.

pub mod augment;
pub mod check;
pub mod dataset;
pub mod error;
mod files;
pub mod finding;
pub mod folders;
pub mod loader;
mod parallel;
mod pictures;
pub mod rng;
pub mod split;
pub mod stats;
pub mod voc;

pub use dataset::{ClassificationSet, DetectionImage, DetectionSet, LabelledImage};
pub use error::{Error, Result};
pub use files::Overwrite;
