//! The command line, tested by running the real binary.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod bench;
mod classifier;
mod data;
mod detect;
mod eval;
#[path = "../../../ssdlite-media/tests/videos/ffmpeg.rs"]
mod ffmpeg;
mod harness;
mod ignored;
mod import;
mod live;
mod media;
mod pytorch;
mod runs;
mod shared;
mod stop;
mod tiles;
mod train;
mod transfer;
mod usage;
mod validation;
mod video;
mod webhook;
mod weights;
