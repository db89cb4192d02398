//! The command line, tested by running the real binary.

mod classifier;
mod data;
mod detect;
mod eval;
mod harness;
mod import;
mod pytorch;
mod shared;
mod stop;
mod train;
mod transfer;
mod usage;
mod validation;
mod weights;
