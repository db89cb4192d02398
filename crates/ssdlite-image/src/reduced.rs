//! Images that are decoded no larger than they are needed.

use ssdlite_core::{ImageSize, PixelBox};

use crate::rgb::{AsRgb, RgbImage, RgbView};

/// How the pixels of a reduced image stand for those of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduction {
    /// The size of the whole image as shown.
    pub(crate) whole: ImageSize,
    /// The pixels of the whole, across and down, that one pixel stands for: 1, 2, 4 or 8.
    pub(crate) one_in: u32,
    /// The pixels left of the whole and above it for which the first column and row
    /// stand too: an image is turned after it is reduced.
    pub(crate) before: (u32, u32),
}

impl Reduction {
    /// That of an image of this size that isn't reduced.
    pub(crate) const fn none(whole: ImageSize) -> Self {
        Self {
            whole,
            one_in: 1,
            before: (0, 0),
        }
    }

    /// The size of the whole image as shown.
    pub fn whole_size(&self) -> ImageSize {
        self.whole
    }

    /// Whether a pixel is a pixel of the whole.
    pub fn is_none(&self) -> bool {
        self.one_in == 1
    }

    /// A box in pixels of the reduced image, in pixels of the whole and inside it.
    pub fn whole_box(&self, reduced: PixelBox) -> PixelBox {
        let (scale, (left, top)) = (self.one_in as f32, self.before);
        let x = |x: f32| x * scale - left as f32;
        let y = |y: f32| y * scale - top as f32;
        let PixelBox { x1, y1, x2, y2, .. } = reduced;
        PixelBox::new(x(x1), y(y1), x(x2), y(y2)).clipped(self.whole)
    }

    /// A box in pixels of the whole image, in pixels of the reduced one.
    pub fn reduced_box(&self, whole: PixelBox) -> PixelBox {
        let (scale, (left, top)) = (self.one_in as f32, self.before);
        let x = |x: f32| (x + left as f32) / scale;
        let y = |y: f32| (y + top as f32) / scale;
        let PixelBox { x1, y1, x2, y2, .. } = whole;
        PixelBox::new(x(x1), y(y1), x(x2), y(y2))
    }
}

/// An image that was decoded whole, or at a half, a quarter or an eighth of its width and
/// height. Detectors find the boxes of the whole in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    pub(crate) image: RgbImage,
    pub(crate) reduction: Reduction,
}

impl Decoded {
    /// The pixels, upright.
    pub fn image(&self) -> &RgbImage {
        &self.image
    }

    /// The pixels, upright.
    pub fn into_image(self) -> RgbImage {
        self.image
    }

    /// How the pixels stand for those of the whole.
    pub fn reduction(&self) -> Reduction {
        self.reduction
    }

    /// The size of the whole image as shown.
    pub fn whole_size(&self) -> ImageSize {
        self.reduction.whole
    }
}

impl AsRgb for Decoded {
    fn as_rgb(&self) -> RgbView<'_> {
        RgbView {
            reduction: self.reduction,
            ..self.image.as_rgb()
        }
    }
}
