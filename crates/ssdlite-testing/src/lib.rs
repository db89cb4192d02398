//! What the tests of several crates share: tensors and images by a formula, and
//! comparison with the numbers of torchvision's side.
//!
//! The scripts of `reference/` have the same formula, so that no weights need
//! to be committed.

mod formula;
mod summary;

pub use formula::{fractions, image_bytes, model_from_formula, signed, state_from_formula};
pub use summary::{Summary, TOLERANCE};
