//! From hostile bytes to pixels to network input, and drawing.
//!
//! The project has one way from a file to the numbers that a network sees,
//! and it is here, so that training, evaluation and inference can't differ:
//! [`decode`] makes upright RGB pixels from a file's bytes, under limits and
//! without ever panicking; [`resize`] scales them with one filter;
//! [`input`] does so as a model file's preprocessing says; [`normalise`] maps
//! 8 bits to numbers, which the inference engine leaves to its first layer.
//!
//! The way back to people: [`draw`] puts labelled boxes on images and
//! images side by side, [`plot`] draws charts, [`canvas`] shapes and text,
//! [`encode`] writes files.
//!
//! No network, no file format of annotations, no tensors.

pub mod canvas;
pub mod color;
pub mod decode;
pub mod draw;
pub mod encode;
pub mod error;
pub mod format;
pub mod input;
mod jpeg;
mod limits;
pub mod memory;
pub mod normalise;
pub mod plot;
mod png;
pub mod reduced;
pub mod resize;
pub mod rgb;

pub use decode::{Header, Limits};
pub use draw::{LabelledBox, draw_boxes};
pub use error::{Error, Result};
pub use format::{Format, NamedFormat, UnreadFormat, format_from_name};
pub use input::Preprocessor;
pub use memory::DecodeMemory;
pub use normalise::Normaliser;
pub use reduced::{Decoded, Reduction};
pub use resize::Resizer;
pub use rgb::{AsRgb, Rgb, RgbImage, RgbView};
pub use ssdlite_core::ImageSize;
