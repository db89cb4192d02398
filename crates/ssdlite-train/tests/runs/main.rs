//! Whole training runs.

mod classifier;
mod detector;
mod notes;
