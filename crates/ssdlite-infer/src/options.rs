//! How a model is run.

use std::num::NonZeroUsize;

use ssdlite_core::{PostProcessing, Tiles};
use ssdlite_kernels::Isa;

/// What a network runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Threads that share the work of an image, the caller's included, 256 at
    /// most; as many as the machine runs at once unless given.
    pub threads: Option<NonZeroUsize>,
    /// Instruction set; the widest of the machine unless given.
    pub isa: Option<Isa>,
    /// Whether loading ends with a run on a blank image. It takes the memory that the
    /// first image would have to wait for: for programs that answer others.
    pub warm_up: bool,
}

impl RunOptions {
    /// That many threads, the widest instruction set.
    pub const fn threads(threads: NonZeroUsize) -> Self {
        Self {
            threads: Some(threads),
            isa: None,
            warm_up: false,
        }
    }
}

/// How a detector is run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DetectorOptions {
    /// What the network runs on.
    pub run: RunOptions,
    /// Which boxes become detections; as the model file says unless given.
    pub post_processing: Option<PostProcessing>,
    /// Whether large images are looked at in tiles too; as the model file says unless
    /// given: [`Tiles::Auto`] for a network that learnt from tiles, else
    /// [`Tiles::Off`].
    pub tiles: Option<Tiles>,
}
