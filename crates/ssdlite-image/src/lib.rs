//! From hostile bytes to pixels to network input, and drawing.
//!
//! The project has one way from a file to the numbers that a network sees,
//! and it is here, so that training, evaluation and inference can't differ:
//! [`decode`] makes upright RGB pixels from a file's bytes, under limits and
//! without ever panicking.
//!
//! No network, no file format of annotations, no tensors.

pub mod decode;
pub mod error;
mod jpeg;
pub mod rgb;

pub use decode::{Format, Header, Limits};
pub use error::{Error, Result};
pub use rgb::{Rgb, RgbImage};
pub use ssdlite_core::ImageSize;
