//! The shapes of feature maps.

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

/// Height and width of a map in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSize {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
}

/// A [`MapShape`] whose pixels are rows, `[images, height, width, channels]`:
/// what an operation must know that looks at neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GridShape {
    /// Images in the batch.
    pub images: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Channels of one pixel.
    pub channels: usize,
}

impl GridShape {
    /// Height and width.
    pub fn size(&self) -> MapSize {
        MapSize {
            height: self.height,
            width: self.width,
        }
    }

    /// The shape without regard to rows.
    ///
    /// # Errors
    /// If a dimension is zero or the product overflows.
    pub fn map(&self) -> Result<MapShape, Error> {
        let sizes = [self.images, self.height, self.width, self.channels];
        checked_size("map shape", &sizes)?;
        MapShape::new(self.images, self.height * self.width, self.channels)
    }
}
