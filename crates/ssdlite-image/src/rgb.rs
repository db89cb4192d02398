//! An image in memory, of our own or another's.

use ssdlite_core::ImageSize;

use crate::error::{Error, Result};
use crate::reduced::Reduction;

/// Red, green and blue, 0 to 255 each.
pub type Rgb = [u8; 3];

/// Bytes of one pixel.
pub(crate) const CHANNELS: usize = 3;

/// Checks the bytes of an image against its size.
fn check_bytes(size: ImageSize, bytes: usize) -> Result<()> {
    if size.pixels() == 0 {
        return Err(Error::Malformed(format!(
            "expected an image of at least one pixel, found {size}"
        )));
    }
    let expected = size.pixels().checked_mul(CHANNELS as u64);
    if expected != Some(bytes as u64) {
        return Err(Error::Malformed(format!(
            "expected 3 bytes for each pixel of {size}, found {bytes} bytes"
        )));
    }
    Ok(())
}

/// Pixels of 8-bit RGB, rows from the top, pixels from the left, packed
/// without padding. There is at least one pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    size: ImageSize,
    pixels: Vec<u8>,
}

impl RgbImage {
    /// An image from packed RGB bytes, row by row.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no pixel, or if the number of bytes is
    /// not three times the number of pixels.
    pub fn new(size: ImageSize, pixels: Vec<u8>) -> Result<Self> {
        check_bytes(size, pixels.len())?;
        Ok(Self { size, pixels })
    }

    /// An image of one colour.
    ///
    /// # Panics
    /// If `size` has no pixel.
    pub fn filled(size: ImageSize, color: Rgb) -> Self {
        assert!(size.pixels() > 0, "an image has at least one pixel");
        Self {
            size,
            pixels: color.repeat(size.pixels() as usize),
        }
    }

    /// Width and height.
    pub const fn size(&self) -> ImageSize {
        self.size
    }

    /// Pixels in a row.
    pub const fn width(&self) -> u32 {
        self.size.width
    }

    /// Rows.
    pub const fn height(&self) -> u32 {
        self.size.height
    }

    /// All bytes: red, green, blue of the top left pixel, then its right
    /// neighbour's, row after row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All bytes, to change in place.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The same image as `image`'s type.
    pub(crate) fn into_buffer(self) -> image::RgbImage {
        image::RgbImage::from_raw(self.size.width, self.size.height, self.pixels)
            .expect("the constructor checked the number of bytes")
    }

    /// The bytes of row `y`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, y: u32) -> &[u8] {
        let stride = self.size.width as usize * CHANNELS;
        &self.pixels[y as usize * stride..][..stride]
    }

    /// The mirror image, left and right swapped.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let stride = self.size.width as usize * CHANNELS;
        let mut mirrored = self.clone();
        for row in mirrored.pixels.chunks_exact_mut(stride) {
            row.as_chunks_mut::<CHANNELS>().0.reverse();
        }
        mirrored
    }

    /// Copies `image` over this image, its top left pixel at column `left`,
    /// row `top`. What reaches out of this image is left out.
    pub fn paste(&mut self, image: &Self, left: u32, top: u32) {
        if left >= self.size.width {
            return;
        }
        let width = image.size.width.min(self.size.width - left) as usize * CHANNELS;
        let rows = image.size.height.min(self.size.height.saturating_sub(top));
        let stride = self.size.width as usize * CHANNELS;
        for y in 0..rows {
            let start = (top + y) as usize * stride + left as usize * CHANNELS;
            self.pixels[start..start + width].copy_from_slice(&image.row(y)[..width]);
        }
    }

    /// The colour at column `x` of row `y`, if that is inside the image.
    pub fn pixel(&self, x: u32, y: u32) -> Option<Rgb> {
        if x >= self.size.width || y >= self.size.height {
            return None;
        }
        let (colors, _) = self.row(y).as_chunks::<CHANNELS>();
        colors.get(x as usize).copied()
    }
}

/// The pixels of an [`RgbImage`], or others of the same layout, where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RgbView<'a> {
    pub(crate) size: ImageSize,
    pub(crate) pixels: &'a [u8],
    pub(crate) reduction: Reduction,
}

impl<'a> RgbView<'a> {
    /// A view of packed RGB bytes, row by row.
    ///
    /// # Errors
    /// As [`RgbImage::new`].
    pub fn new(size: ImageSize, pixels: &'a [u8]) -> Result<Self> {
        check_bytes(size, pixels.len())?;
        Ok(Self {
            size,
            pixels,
            reduction: Reduction::none(size),
        })
    }

    /// Width and height.
    pub const fn size(self) -> ImageSize {
        self.size
    }

    /// How the pixels stand for those of the whole image, if they are of a
    /// [`Decoded`](crate::Decoded) one.
    pub const fn reduction(self) -> Reduction {
        self.reduction
    }

    /// All bytes, as [`RgbImage::pixels`] gives them.
    pub const fn pixels(self) -> &'a [u8] {
        self.pixels
    }
}

/// Whatever has pixels to look at: an [`RgbImage`] or an [`RgbView`].
pub trait AsRgb {
    /// A view of its pixels.
    fn as_rgb(&self) -> RgbView<'_>;
}

impl AsRgb for RgbImage {
    fn as_rgb(&self) -> RgbView<'_> {
        RgbView {
            size: self.size,
            pixels: &self.pixels,
            reduction: Reduction::none(self.size),
        }
    }
}

impl AsRgb for RgbView<'_> {
    fn as_rgb(&self) -> RgbView<'_> {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_bytes_must_fit() {
        let size = ImageSize::new(5, 3);
        assert!(RgbImage::new(size, vec![0; 45]).is_ok());
        for wrong in [0, 15, 44, 46] {
            let error = RgbImage::new(size, vec![0; wrong]).unwrap_err();
            assert!(matches!(&error, Error::Malformed(text) if text.contains("5x3")));
        }
        assert!(RgbImage::new(ImageSize::new(0, 3), Vec::new()).is_err());
        let huge = ImageSize::new(u32::MAX, u32::MAX);
        assert!(RgbImage::new(huge, Vec::new()).is_err());
        for size in [ImageSize::new(5, 4), ImageSize::new(0, 3), huge] {
            assert!(RgbView::new(size, &[0; 45]).is_err());
        }
    }

    #[test]
    fn a_view_of_the_same_bytes_is_the_image_s() {
        let size = ImageSize::new(5, 3);
        let pixels: Vec<u8> = (0..45).collect();
        let view = RgbView::new(size, &pixels).unwrap();
        let image = RgbImage::new(size, pixels.clone()).unwrap();
        assert_eq!(view, image.as_rgb());
        assert_eq!(view.as_rgb().pixels().as_ptr(), pixels.as_ptr());
    }

    #[test]
    fn a_pasted_image_covers_what_it_fits_on() {
        let size = ImageSize::new(5, 3);
        let image = RgbImage::new(size, (0..45).collect()).unwrap();
        let part = RgbImage::new(ImageSize::new(3, 2), (100..118).collect()).unwrap();
        let mut copy = RgbImage::filled(size, [0; 3]);
        copy.paste(&image, 0, 0);
        assert_eq!(copy, image);
        copy.paste(&part, 2, 1);
        for (x, y) in (0..5).flat_map(|x| (0..3).map(move |y| (x, y))) {
            let expected = if x >= 2 && y >= 1 {
                part.pixel(x - 2, y - 1)
            } else {
                image.pixel(x, y)
            };
            assert_eq!(copy.pixel(x, y), expected, "{x}, {y}");
        }

        let mut copy = image.clone();
        copy.paste(&part, 4, 2);
        assert_eq!(copy.pixel(4, 2), part.pixel(0, 0));
        assert_eq!(copy.pixel(3, 2), image.pixel(3, 2));
        copy.paste(&part, 5, 0);
        copy.paste(&part, 0, 3);
        assert_eq!(copy.pixel(3, 2), image.pixel(3, 2));
    }

    #[test]
    fn mirroring_swaps_left_and_right_and_comes_back() {
        let image = RgbImage::new(ImageSize::new(5, 3), (0..45).collect()).unwrap();
        let mirrored = image.mirrored();
        assert_eq!(mirrored.pixel(0, 2), image.pixel(4, 2));
        assert_eq!(mirrored.pixel(2, 1), image.pixel(2, 1));
        assert_eq!(mirrored.mirrored(), image);
    }

    #[test]
    fn pixels_are_found_by_column_and_row() {
        let size = ImageSize::new(5, 3);
        let image = RgbImage::new(size, (0..45).collect()).unwrap();
        assert_eq!(image.pixel(0, 0), Some([0, 1, 2]));
        assert_eq!(image.pixel(4, 1), Some([27, 28, 29]));
        assert_eq!(image.pixel(1, 2), Some([33, 34, 35]));
        assert_eq!(image.pixel(5, 0), None);
        assert_eq!(image.pixel(0, 3), None);
        assert_eq!(image.row(2), &(30..45).collect::<Vec<u8>>()[..]);
    }
}
