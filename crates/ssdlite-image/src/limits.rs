//! How large the images are that are decoded.

use ssdlite_core::ImageSize;

use crate::error::{Error, Result};

/// Pixels.
const MEGAPIXEL: u64 = 1_000_000;

/// The largest image that is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most pixels in a row.
    pub max_width: u32,
    /// The most rows.
    pub max_height: u32,
    /// The most pixels in all.
    pub max_pixels: u64,
    /// The most bytes of a file.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 32,768 pixels a side and 120 million in all, which lets the 108
    /// megapixels of a phone's camera pass and takes 360 MB decoded; files of
    /// 256 MiB.
    fn default() -> Self {
        Self {
            max_width: 1 << 15,
            max_height: 1 << 15,
            max_pixels: 120_000_000,
            max_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// Those of [`Limits::default`] with so many million pixels in all.
    pub fn with_megapixels(megapixels: u32) -> Self {
        Self {
            max_pixels: u64::from(megapixels) * MEGAPIXEL,
            ..Self::default()
        }
    }

    /// Whether an image of this size has more pixels than are allowed in all.
    pub fn has_too_many_pixels(&self, size: ImageSize) -> bool {
        size.pixels() > self.max_pixels
    }

    /// Refuses images of no pixel or too many.
    ///
    /// # Errors
    /// [`Error::Malformed`] for an empty image, [`Error::OverLimit`].
    pub fn check_size(&self, size: ImageSize) -> Result<()> {
        if size.pixels() == 0 {
            return Err(Error::Malformed(format!(
                "expected an image of at least one pixel, found {size}"
            )));
        }
        if size.width > self.max_width || size.height > self.max_height {
            return Err(Error::OverLimit(format!(
                "expected at most {}x{} pixels, found {size}",
                self.max_width, self.max_height
            )));
        }
        if self.has_too_many_pixels(size) {
            let megapixels = |pixels: u64| pixels as f64 / MEGAPIXEL as f64;
            return Err(Error::OverLimit(format!(
                "expected at most {} million pixels, found {size}, which are {:.1} million",
                megapixels(self.max_pixels),
                megapixels(size.pixels())
            )));
        }
        Ok(())
    }

    pub(crate) fn check_bytes(&self, bytes: u64) -> Result<()> {
        if bytes > self.max_bytes {
            return Err(Error::OverLimit(format!(
                "expected a file of at most {} bytes, found {bytes}",
                self.max_bytes
            )));
        }
        Ok(())
    }
}
