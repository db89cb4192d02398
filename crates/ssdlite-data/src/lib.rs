//! Data sets: readers, checks, splits, augmentation and the batch loader.
//!
//! [`voc`] and [`folders`] read what is on disk and say what is wrong with it
//! ([`finding`], [`check`]); [`stats`] counts it, [`split`] divides it,
//! [`sample`] makes some. What they read is a [`dataset`]; the [`loader`] makes
//! batches of it, by way of [`augment`]. [`default_box_fit`] fits a detector's default
//! boxes to it, [`coverage`] says which objects they can match. All chance comes from
//! [`ssdlite_core::random`].
//!
//! No tensors, no networks.

pub mod augment;
pub mod check;
pub mod coverage;
mod data_folder;
pub mod dataset;
pub mod default_box_fit;
pub mod error;
mod files;
pub mod finding;
pub mod folders;
mod images;
mod labels;
mod layout;
pub mod loader;
pub mod parallel;
pub mod sample;
pub mod split;
pub mod stats;
mod tree;
pub mod voc;

pub use data_folder::DataFolder;
pub use dataset::{ClassificationSet, DetectionImage, DetectionSet, LabelledImage};
pub use error::{Error, Result};
pub use files::Overwrite;
pub use split::{Split, SplitShares};
pub use tree::expect_folder;
