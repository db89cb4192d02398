//! Losses and their gradients, in plain numbers.
//!
//! A loss here reads a network's outputs as data and gives its value together
//! with its gradient by those outputs.

pub mod cross_entropy;
pub mod multibox;
mod softmax;

pub use cross_entropy::{CrossEntropy, CrossEntropyOutput};
pub use multibox::{MultiboxLoss, MultiboxOutput, MultiboxTargets};
