//! Model file to folded plan to detections on the CPU.
//!
//! [`Detector`] and [`Classifier`] fold the batch norms of a [`ModelFile`], pack
//! its weights and lay out one arena, once; then they run images. Both are
//! `Send + Sync` and may be called from several threads at once.
//!
//! The numbers do not depend on the number of threads nor on the size of the
//! batch. The engine needs no clock and, except for `load`, no file system;
//! with one thread it starts none.
//!
//! No training, no framework; decoding files and resizing is `ssdlite-image`'s.

pub mod bench;
mod build;
mod classifier;
mod detector;
mod engine;
mod model;
mod options;
mod plan;

pub use classifier::{ClassScore, Classifier, Classify};
pub use detector::{Detect, Detector, DetectorOutputs};
pub use model::Model;
pub use options::{DetectorOptions, RunOptions};
pub use plan::LayerInfo;

pub use ssdlite_kernels::Isa;
pub use ssdlite_kernels::pool::{MOST_THREADS, all_cores};
pub use ssdlite_model::{Error, ModelFile, Result};
