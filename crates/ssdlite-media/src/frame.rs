//! An image with its place in a video or a live source.

use std::time::Duration;

use ssdlite_image::RgbImage;

/// An image with its place in a video or a live source.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The pixels, upright.
    pub image: RgbImage,
    /// Its number in the source, from 0. Of a camera or a stream, frames that
    /// were skipped are counted.
    pub index: u64,
    /// When it is shown, from the source's start.
    pub time: Duration,
}
