//! The command line, tested by running the real binary.

#![expect(clippy::print_stderr, reason = "a test that is skipped says so")]

mod bench;
mod classifier;
mod compare;
mod convert;
mod data;
mod detect;
mod eval;
mod export;
#[path = "../../../ssdlite-media/tests/videos/ffmpeg.rs"]
mod ffmpeg;
mod harness;
mod ignored;
mod import;
mod label_studio;
mod labels;
mod live;
mod media;
mod pick;
mod pytorch;
mod reload;
mod runs;
mod shared;
mod shell;
mod stop;
mod tiles;
mod train;
mod transfer;
mod usage;
mod validation;
mod verbosity;
mod video;
mod webhook;
mod weights;
