//! The training step: its outputs and gradients.

mod forward;
mod freezing;
mod gradients;
mod inference;
mod losses;
mod network;
mod training_step;
