//! Cropping to a tile, so that training shows parts of large images at the scale at
//! which they are looked at afterwards.
//!
//! Source: slicing aided fine-tuning, arXiv 2202.06934, section 3; drawn at random
//! instead of cut beforehand.

use ssdlite_core::tiles::Tiling;
use ssdlite_core::{ImageSize, PixelBox};

use super::check_within;
use crate::error::Result;
use ssdlite_core::random::Rng;

/// How images are cropped to tiles.
#[derive(Clone, Debug, PartialEq)]
pub struct TileCrop {
    /// How large the tiles of an image are, if it has any.
    pub tiling: Tiling,
    /// How often an image that has tiles is cropped to one; 0.5: the whole image is
    /// looked at afterwards too.
    pub probability: f32,
}

impl TileCrop {
    /// Half of the samples of images that have tiles.
    pub const fn new(tiling: Tiling) -> Self {
        Self {
            tiling,
            probability: 0.5,
        }
    }

    /// A tile anywhere in the image, around one of `boxes` if there are any; none if the
    /// whole image is to be shown.
    pub fn draw(&self, image: ImageSize, boxes: &[PixelBox], rng: &mut Rng) -> Option<PixelBox> {
        let tiles = self.tiling.tiles_of(image);
        let tile = tiles.first()?.size;
        if !rng.chance(self.probability) {
            return None;
        }
        let around = rng.pick(boxes);
        let (width, height) = (tile.width as f32, tile.height as f32);
        let x = around.map(|bbox| (bbox.x1, bbox.x2));
        let y = around.map(|bbox| (bbox.y1, bbox.y2));
        let left = start(image.width as f32, width, x, rng);
        let top = start(image.height as f32, height, y, rng);
        Some(PixelBox::new(left, top, left + width, top + height))
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_within("tile crop probability", self.probability, 0.0..=1.0)
    }
}

/// Where a tile of `side` pixels begins within `0..extent`, anywhere or, with an object
/// from one coordinate to the other, so that it shows all of it; in the middle of one
/// that is longer.
fn start(extent: f32, side: f32, object: Option<(f32, f32)>, rng: &mut Rng) -> f32 {
    let last = extent - side;
    let place = rng.unit();
    let Some((from, to)) = object else {
        return place * last;
    };
    let (first, final_one) = ((to - side).max(0.0), from.min(last));
    if first <= final_one {
        first + place * (final_one - first)
    } else {
        ((from + to - side) / 2.0).clamp(0.0, last)
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::tiles::{LearntView, Tiles};

    use super::super::view::has_center_of;
    use super::*;

    const IMAGE: ImageSize = ImageSize::new(1901, 1403);

    fn crop() -> TileCrop {
        let view = LearntView {
            size: ImageSize::new(640, 480),
            least_side: 10.0,
            tiles: true,
        };
        TileCrop::new(Tiling::new(Tiles::Auto, Some(view), 12.0).unwrap())
    }

    #[test]
    fn crops_are_tiles_inside_the_image_with_an_object_whole() {
        let crop = crop();
        let whole = PixelBox::new(0.0, 0.0, 1901.0, 1403.0);
        let (mut cropped, mut at_edge) = (0, 0);
        for seed in 0..2000 {
            let mut rng = Rng::from_keys(&[seed]);
            let side = rng.uniform(4.0..900.0);
            let (x, y) = (rng.uniform(0.0..1000.0), rng.uniform(0.0..500.0));
            let bbox = PixelBox::new(x, y, x + side, y + side);
            let Some(window) = crop.draw(IMAGE, &[bbox], &mut rng) else {
                continue;
            };
            cropped += 1;
            at_edge += u32::from(window.x1 == 0.0 || window.y1 == 0.0);
            assert!((window.width() - 640.0).abs() < 1e-2);
            assert!((window.height() - 480.0).abs() < 1e-2);
            assert!((whole.intersection(&window) - window.area()).abs() < 2.0);
            assert!(has_center_of(&window, &bbox));
            if side < 479.0 {
                assert!(window.intersection(&bbox) > 0.999 * bbox.area());
            }
        }
        assert!((850..1150).contains(&cropped), "{cropped}");
        assert!(at_edge < 200, "{at_edge}");
    }

    #[test]
    fn images_without_objects_are_cropped_anywhere_and_small_ones_stay_whole() {
        let crop = TileCrop {
            probability: 1.0,
            ..crop()
        };
        let mut farthest = 0.0_f32;
        for seed in 0..300 {
            let mut rng = Rng::from_keys(&[seed]);
            let window = crop.draw(IMAGE, &[], &mut rng).unwrap();
            farthest = farthest.max(window.x2);
        }
        assert!(farthest > 1850.0 && farthest <= 1901.0);
        let small = ImageSize::new(800, 600);
        assert_eq!(crop.draw(small, &[], &mut Rng::from_keys(&[1])), None);
    }
}
