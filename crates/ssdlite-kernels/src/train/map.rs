//! The shape of a feature map.

use super::operand::Layout;
use crate::error::{Error, checked_size};

/// The shape of a map: images of pixels of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    images: usize,
    pixels: usize,
    channels: usize,
}

impl MapShape {
    /// A map of `images` times `pixels` (height times width) times `channels`.
    ///
    /// # Errors
    /// If a dimension is zero or the product overflows.
    pub fn new(images: usize, pixels: usize, channels: usize) -> Result<Self, Error> {
        checked_size("map shape", &[images, pixels, channels])?;
        Ok(Self {
            images,
            pixels,
            channels,
        })
    }

    /// Images in the batch.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Pixels of one image.
    pub fn pixels(&self) -> usize {
        self.pixels
    }

    /// Channels of one pixel.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Numbers in the whole map.
    pub fn size(&self) -> usize {
        self.rows() * self.channels
    }

    /// Pixels of all images.
    pub fn rows(&self) -> usize {
        self.images * self.pixels
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout {
            channels: self.channels,
            pixels: self.pixels,
        }
    }
}
