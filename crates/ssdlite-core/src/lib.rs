//! What a model *is*: MobileNetV3 and SSD-lite as tables, box types, default
//! boxes, the box coder, matching, non-maximum suppression, class names, the
//! preprocessing spec and a model file's metadata.
//!
//! No tensors, no input or output, no `unsafe`. Training and inference are
//! both built from this crate, so that neither can disagree with the other.

pub mod classes;
pub mod detection;
pub mod error;
pub mod geometry;

pub use classes::{ClassId, ClassNames};
pub use detection::{Detection, GroundTruth};
pub use error::{Error, Result};
pub use geometry::{CenterBox, CornerBox, FractionBox, ImageSize, PixelBox};
