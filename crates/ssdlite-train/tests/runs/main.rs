//! Whole training runs.

mod classifier;
mod detector;
mod few_images;
mod notes;
