//! A detector's random transforms.

use ssdlite_core::{GroundTruth, ImageSize, PixelBox};

use super::check_within;
use super::iou_crop::IouCrop;
use super::photometric::{Distortion, PhotometricDistort};
use super::reduced::{kept_size, useful_side};
use super::tile_crop::TileCrop;
use super::view::View;
use super::zoom_out::ZoomOut;
use crate::error::Result;
use ssdlite_core::random::Rng;

/// Pixels of a photo that is kept as it is: 300 and more of them have room in a
/// gibibyte.
const SMALL_PHOTO: u64 = 1_000_000;

/// How images are changed while a detector is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorAugment {
    /// Distortion of colours, if any.
    pub photometric: Option<PhotometricDistort>,
    /// Cropping to tiles, if any; a tile is not expanded, which would undo its scale.
    pub tiles: Option<TileCrop>,
    /// Expanding, if any.
    pub zoom_out: Option<ZoomOut>,
    /// Cropping around objects, if any.
    pub iou_crop: Option<IouCrop>,
    /// How often left and right are swapped; 0.5.
    pub mirror: f32,
}

impl Default for DetectorAugment {
    /// Everything, as in SSD, and no tiles.
    fn default() -> Self {
        Self {
            photometric: Some(PhotometricDistort::default()),
            tiles: None,
            zoom_out: Some(ZoomOut::default()),
            iou_crop: Some(IouCrop::default()),
            mirror: 0.5,
        }
    }
}

impl DetectorAugment {
    /// No change at all.
    pub const fn none() -> Self {
        Self {
            photometric: None,
            tiles: None,
            zoom_out: None,
            iou_crop: None,
            mirror: 0.0,
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`](crate::Error::InvalidRequest) for a
    /// probability outside 0 to 1, a reversed range, or one beyond what its
    /// transform can do.
    pub fn check(&self) -> Result<()> {
        if let Some(photometric) = &self.photometric {
            photometric.check()?;
        }
        if let Some(tiles) = &self.tiles {
            tiles.check()?;
        }
        if let Some(zoom_out) = &self.zoom_out {
            zoom_out.check()?;
        }
        if let Some(iou_crop) = &self.iou_crop {
            iou_crop.check()?;
        }
        check_within("mirror", self.mirror, 0.0..=1.0)
    }

    /// The size in which an image is kept for these options: its own, or of one
    /// of more than `SMALL_PHOTO` pixels a smaller one that holds all that views of it
    /// show at `input` pixels.
    pub fn kept_size(&self, image: ImageSize, input: ImageSize) -> ImageSize {
        if image.pixels() <= SMALL_PHOTO {
            return image;
        }
        let tile = self.tiles.as_ref();
        let tile = tile.and_then(|tiles| tiles.tiling.tiles_of(image).first().copied());
        let smallest = tile.map_or(image, |tile| tile.size);
        let crop = self.iou_crop.as_ref().map_or(1.0, |crop| crop.scale.start);
        let share = |smallest: u32, image: u32| crop * smallest as f32 / image as f32;
        let useful = ImageSize::new(
            useful_side(input.width, share(smallest.width, image.width)),
            useful_side(input.height, share(smallest.height, image.height)),
        );
        kept_size(image, useful)
    }

    /// A random view of an image with these objects.
    pub fn draw_view(&self, image: ImageSize, objects: &[GroundTruth], rng: &mut Rng) -> View {
        let mut view = View::whole(image);
        let boxes: Vec<PixelBox> = objects.iter().map(|object| object.bbox).collect();
        let tile = self.tiles.as_ref();
        if let Some(tile) = tile.and_then(|tiles| tiles.draw(image, &boxes, rng)) {
            view.window = tile;
        } else if let Some(zoom_out) = &self.zoom_out {
            view.window = zoom_out.draw(view.window, rng);
        }
        let crop = self.iou_crop.as_ref();
        if let Some(crop) = crop.and_then(|crop| crop.draw(view.window, &boxes, rng)) {
            view.window = crop.window;
        }
        view.mirrored = rng.chance(self.mirror);
        view
    }

    /// A random distortion of colours, if these options have any.
    pub fn draw_distortion(&self, rng: &mut Rng) -> Option<Distortion> {
        Some(self.photometric.as_ref()?.draw(rng))
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::ClassId;
    use ssdlite_core::tiles::{LearntView, Tiles, Tiling};

    use super::super::view::MIN_OBJECT_SIDE;
    use super::*;

    #[test]
    fn objects_are_valid_and_inside_after_all_transforms() {
        let (image, input) = (ImageSize::new(641, 479), ImageSize::new(307, 293));
        let augment = DetectorAugment::default();
        let mut kept = 0;
        for seed in 0..2000 {
            let mut rng = Rng::from_keys(&[seed]);
            let objects: Vec<GroundTruth> = (0..5)
                .map(|class| {
                    let (x, y) = (rng.uniform(0.0..639.0), rng.uniform(0.0..477.0));
                    let (w, h) = (rng.uniform(1.0..640.0), rng.uniform(1.0..478.0));
                    GroundTruth {
                        class: ClassId(class),
                        bbox: PixelBox::new(x, y, x + w, y + h).clipped(image),
                        difficult: class % 2 == 1,
                    }
                })
                .collect();
            let view = augment.draw_view(image, &objects, &mut rng);
            for object in view.objects_in_input(&objects, input) {
                let bbox = object.bbox;
                assert!(bbox.is_valid());
                assert_eq!(bbox, bbox.clipped(input));
                assert!(bbox.width() >= MIN_OBJECT_SIDE && bbox.height() >= MIN_OBJECT_SIDE);
                assert_eq!(object.difficult, object.class.0 % 2 == 1);
                kept += 1;
            }
        }
        assert!(kept > 5000);
    }

    #[test]
    fn nothing_asked_for_is_the_whole_image() {
        let nothing = DetectorAugment::none();
        let image = ImageSize::new(31, 17);
        let mut rng = Rng::from_keys(&[0]);
        assert_eq!(nothing.draw_view(image, &[], &mut rng), View::whole(image));
        assert_eq!(nothing.draw_distortion(&mut rng), None);
    }

    #[test]
    fn of_a_large_photo_what_the_smallest_view_shows_is_kept() {
        let input = ImageSize::square(300);
        let photo = ImageSize::new(4000, 3000);
        let whole_views = DetectorAugment::none();
        let mut cropped = DetectorAugment::default();
        for augment in [&whole_views, &cropped] {
            assert_eq!(augment.kept_size(photo, input), ImageSize::square(600));
        }
        cropped.iou_crop = Some(IouCrop {
            scale: 0.25..1.0,
            ..IouCrop::default()
        });
        assert_eq!(cropped.kept_size(photo, input), ImageSize::square(1200));
        // Smaller than what is worth it.
        for small in [(640, 480), (300, 300), (20, 5000), (1000, 1000)] {
            let small = ImageSize::new(small.0, small.1);
            assert_eq!(whole_views.kept_size(small, input), small);
        }
        let long = ImageSize::new(5000, 400);
        assert_eq!(whole_views.kept_size(long, input), ImageSize::new(600, 400));
    }

    #[test]
    fn tiles_are_kept_at_the_scale_of_the_input() {
        let view = LearntView {
            size: ImageSize::square(500),
            least_side: 10.0,
            tiles: true,
        };
        let tiling = Tiling::new(Tiles::Auto, Some(view), 12.0).unwrap();
        let (photo, input) = (ImageSize::new(4000, 3000), ImageSize::square(200));
        let tiled = DetectorAugment {
            tiles: Some(TileCrop::new(tiling)),
            iou_crop: None,
            ..DetectorAugment::default()
        };
        let tile = tiling.tiles_of(photo)[0].size;
        let kept = tiled.kept_size(photo, input);
        let shown = kept.width as f32 * tile.width as f32 / photo.width as f32;
        assert!((200.0..202.0).contains(&shown), "{kept} for {tile}");
        let cropped = DetectorAugment {
            iou_crop: Some(IouCrop::default()),
            ..tiled
        };
        assert_eq!(cropped.kept_size(photo, input), photo);
    }

    #[test]
    fn bad_probabilities_are_refused() {
        for mirror in [-0.1, 1.1, f32::NAN] {
            let augment = DetectorAugment {
                mirror,
                ..DetectorAugment::default()
            };
            assert!(augment.check().is_err());
        }
        assert!(DetectorAugment::default().check().is_ok());
    }
}
