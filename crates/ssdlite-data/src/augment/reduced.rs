//! Images no larger than augmentation can use them.
//!
//! A view of an image fills the network's input, so that of a photo's pixels no
//! more can be seen than its smallest view brings there. What is larger is
//! reduced once, when it is decoded: then much more photos are kept in the same
//! memory, and a view is made of fewer pixels. Boxes stay in pixels of the
//! whole image; only a view's rectangle is brought to the reduced one.

use ssdlite_core::{ImageSize, PixelBox};
use ssdlite_image::{Decoded, Resizer, RgbImage};

use crate::loader::Kept;

/// The least number of pixels that an input's are made of in a view of the
/// whole image, in each direction: with fewer the filter of the second scaling
/// would show.
pub(super) const LEAST_SCALE: f32 = 2.0;

/// An image is reduced if it has more than so many times the pixels that can be
/// used: less would cost sharpness and save little.
const WORTH: u64 = 2;

/// The size in which an image is kept of which `useful` pixels can be used.
pub(crate) fn kept_size(whole: ImageSize, useful: ImageSize) -> ImageSize {
    let useful = ImageSize::new(
        useful.width.min(whole.width),
        useful.height.min(whole.height),
    );
    if whole.pixels() > WORTH * useful.pixels() {
        useful
    } else {
        whole
    }
}

/// The side that can be used of a whole side of which a view shows at least
/// `share`, at `input` pixels.
pub(super) fn useful_side(input: u32, share: f32) -> u32 {
    (input as f32 * (1.0 / share).max(LEAST_SCALE)).ceil() as u32
}

/// An image, reduced or not.
#[derive(Clone, Debug)]
pub(crate) struct Reduced {
    pub(super) pixels: RgbImage,
    pub(super) whole: ImageSize,
}

impl Reduced {
    /// A decoded image in the size that it is to be kept in: that of the whole,
    /// or one on no side larger than what was decoded.
    pub(crate) fn new(decoded: Decoded, size: ImageSize) -> Self {
        let reduction = decoded.reduction();
        let whole = decoded.whole_size();
        let is_done = reduction.is_none() && whole == size;
        let edges = PixelBox::new(0.0, 0.0, whole.width as f32, whole.height as f32);
        let pixels = match is_done {
            true => decoded.into_image(),
            false => Resizer::new()
                .stretch_region(decoded.image(), reduction.reduced_box(edges), size)
                .expect("a decoded image holds all of the whole"),
        };
        Self { pixels, whole }
    }

    /// The pixels.
    pub(crate) fn pixels(&self) -> &RgbImage {
        &self.pixels
    }

    /// The size of the whole image.
    pub(crate) fn whole(&self) -> ImageSize {
        self.whole
    }

    /// Where a box of the whole image lies in this one.
    pub(super) fn reduced_box(&self, whole: PixelBox) -> PixelBox {
        let size = self.pixels.size();
        match size == self.whole {
            true => whole,
            false => whole.rescaled(self.whole, size).clipped(size),
        }
    }
}

impl Kept for Reduced {
    fn bytes(&self) -> u64 {
        self.pixels.pixels().len() as u64
    }
}
