//! The command line, tested by running the real binary.

mod data;
mod harness;
mod usage;
