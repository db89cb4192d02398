//! Data sets: readers, checks, splits, augmentation and the batch loader.

pub mod dataset;
pub mod error;
pub mod rng;

pub use dataset::{ClassificationSet, DetectionImage, DetectionSet, LabelledImage};
pub use error::{Error, Result};
