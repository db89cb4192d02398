//! Training steps on GPUs: the network's graph as operations of the library
//! Burn, with its automatic differentiation.
//!
//! [`open`] gives a [`TrainingDevice`](ssdlite_train::step::TrainingDevice) for a
//! graphics interface that this crate was built with: the features `vulkan` and
//! `metal`. What runs around the network is the same as on the CPU: the loss, the
//! optimizer and everything after it work on flat vectors in memory; the GPU gets
//! the values of a step in one transfer and gives the outputs and the gradients
//! back in one each.

mod device;
mod guard;
mod network;
mod step;
#[cfg(test)]
mod tests;

pub use device::{Gpu, Interface, open};
