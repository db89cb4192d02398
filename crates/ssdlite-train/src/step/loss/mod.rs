//! Losses and their gradients, in plain numbers.
//!
//! A loss here reads a network's outputs as data and gives its value together
//! with its gradient by those outputs.

pub mod cross_entropy;
mod exponential;
pub mod hard_negatives;
pub mod multibox;
pub mod regression;
mod sigmoid;
mod softmax;

pub use cross_entropy::{CrossEntropy, CrossEntropyOutput};
pub use hard_negatives::HardNegatives;
pub use multibox::{ClassificationLoss, MultiboxLoss, MultiboxOutput, MultiboxTargets};
pub use regression::RegressionLoss;
