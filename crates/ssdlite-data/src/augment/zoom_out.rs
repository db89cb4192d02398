//! Expanding: the image on a larger canvas, so that its objects get smaller.
//!
//! Source: SSD (arXiv 1512.02325, section 3.6, "zoom out"), with the
//! distribution of torchvision's `RandomZoomOut`.

use std::ops::Range;

use ssdlite_core::PixelBox;

use super::{check_range, check_within};
use crate::error::Result;
use ssdlite_core::random::Rng;

/// How images are expanded.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoomOut {
    /// How often; 0.5 as in SSD.
    pub probability: f32,
    /// The canvas' sides in multiples of the image's; 1 to 4 as in SSD.
    pub side: Range<f32>,
}

impl Default for ZoomOut {
    fn default() -> Self {
        Self {
            probability: 0.5,
            side: 1.0..4.0,
        }
    }
}

impl ZoomOut {
    /// The canvas for an image in `window`, which lies anywhere on it.
    pub fn draw(&self, window: PixelBox, rng: &mut Rng) -> PixelBox {
        if !rng.chance(self.probability) {
            return window;
        }
        let factor = rng.uniform(self.side.clone());
        let (width, height) = (window.width() * factor, window.height() * factor);
        let x1 = window.x1 - rng.unit() * (width - window.width());
        let y1 = window.y1 - rng.unit() * (height - window.height());
        PixelBox::new(x1, y1, x1 + width, y1 + height)
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_within("zoom-out probability", self.probability, 0.0..=1.0)?;
        check_range("zoom-out side", &self.side, 1.0..=100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canvas_holds_the_image_and_keeps_its_shape() {
        let zoom_out = ZoomOut {
            probability: 1.0,
            ..ZoomOut::default()
        };
        let image = PixelBox::new(0.0, 0.0, 641.0, 479.0);
        for seed in 0..500 {
            let canvas = zoom_out.draw(image, &mut Rng::from_keys(&[seed]));
            let slack = 1e-3;
            assert!(canvas.x1 <= slack && canvas.x2 >= image.x2 - slack);
            assert!(canvas.y1 <= slack && canvas.y2 >= image.y2 - slack);
            let factor = canvas.width() / image.width();
            assert!((0.999..4.001).contains(&factor));
            assert!((canvas.height() / image.height() - factor).abs() < 1e-4);
        }
    }

    #[test]
    fn sides_below_the_image_are_refused() {
        for side in [0.5..2.0, 3.0..2.0, 1.0..f32::NAN] {
            let zoom_out = ZoomOut {
                side,
                ..ZoomOut::default()
            };
            assert!(zoom_out.check().is_err());
        }
        assert!(ZoomOut::default().check().is_ok());
    }
}
