//! Data sets: readers, checks, splits, augmentation and the batch loader.
//!
//! [`detection`] and [`folders`] read what is on disk, boxes in any of the known
//! formats, and say what is wrong with it ([`finding`], [`check`]); [`stats`] counts it,
//! [`split`] divides it so that [`duplicates`] stay together, [`write_set()`] writes it in
//! a format, [`sample`] makes some, [`photos`] are images that may have no labels. What
//! they read is a [`dataset`]; the [`loader`] makes
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
pub mod detection;
mod division;
pub mod duplicates;
pub mod error;
mod files;
pub mod finding;
pub mod folders;
mod formats;
mod images;
mod layout;
pub mod loader;
pub mod parallel;
pub mod photos;
pub mod sample;
pub mod split;
pub mod stats;
mod stratify;
mod tree;

pub use data_folder::DataFolder;
pub use dataset::{ClassificationSet, DetectionImage, DetectionSet, LabelledImage};
pub use detection::{DetectionFolder, DetectionFolderOptions, LabelledSet, SetPart};
pub use division::KeptTogether;
pub use error::{Error, Result};
pub use files::Overwrite;
pub use formats::text::text_from_bytes;
pub use formats::write_set::{ImageFiles, WriteOptions, WrittenFormat, WrittenSet, write_set};
pub use formats::{Format, voc};
pub use split::{Grouping, Split, SplitShares};
pub use tree::expect_folder;
