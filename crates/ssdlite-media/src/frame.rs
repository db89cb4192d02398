//! A picture with its place in a source.

use std::sync::Arc;
use std::time::Duration;

use ssdlite_image::RgbImage;

use crate::error::Result;

/// A picture with its place in a source.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The pixels, upright.
    pub image: RgbImage,
    /// Where it comes from: a file's path, a camera's name, a stream's address.
    pub name: Arc<str>,
    /// Its number in the source, from 0. Of a camera or a stream, frames that
    /// were skipped are counted.
    pub index: u64,
    /// When it is shown, from the source's start; zero for an image.
    pub time: Duration,
}

/// What hands out frames, one after the other.
///
/// An error item does not end the frames where others can follow.
pub trait Frames: Iterator<Item = Result<Frame>> + Send {}

impl<T: Iterator<Item = Result<Frame>> + Send> Frames for T {}
