//! How much of an image a detector is shown at a time: what its file says of it, and
//! what it learns from.

use ssdlite_core::tiles::{LEAST_CELLS, LearntView, MOST_PARTS, Tiles, Tiling, tile_of_parts};
use ssdlite_core::{GroundTruth, ImageSize, ModelInfo};
use ssdlite_data::DetectionSet;
use ssdlite_data::augment::TileCrop;

use super::observer::Observer;

/// The share of objects that may be smaller than what is found well.
const SMALL_SHARE: f32 = 0.1;

/// What a network of a run sees of its training images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Framing {
    pub(super) view: LearntView,
    /// The smallest side that the network finds well, in pixels of its input.
    least_found: f32,
    /// Side of the smallest tenth of the objects where whole images are shown.
    least_whole: f32,
    /// Tiles along the longer side of a middling image; 1 for none.
    parts: u32,
}

impl Framing {
    /// What a run shows a network of `info`, which asks for these tiles. None without an
    /// object that `is_learnt`.
    pub(super) fn new(
        tiles: Tiles,
        set: &DetectionSet,
        is_learnt: impl Fn(&GroundTruth) -> bool,
        info: &ModelInfo,
    ) -> Option<Self> {
        let input = side(info.preprocessing.size);
        let (mut of_whole, mut of_pixels) = (Vec::new(), Vec::new());
        for image in &set.images {
            for object in image.objects.iter().filter(|object| is_learnt(object)) {
                let pixels = object.bbox.area().sqrt();
                of_pixels.push(pixels);
                of_whole.push(pixels * input / side(image.size));
            }
        }
        let least_whole = quantile(&mut of_whole, SMALL_SHARE)?;
        let least_pixels = quantile(&mut of_pixels, SMALL_SHARE)?;
        let sizes = || set.images.iter().map(|image| image.size);
        let image = ImageSize::new(
            median(sizes().map(|size| size.width))?,
            median(sizes().map(|size| size.height))?,
        );
        let least_found = info.least_found_side();
        let parts = match tiles {
            Tiles::Off => 1,
            Tiles::Parts(parts) => parts,
            // In the fewest tiles that show the smallest tenth large enough.
            Tiles::Auto if least_whole < least_found => (2..MOST_PARTS)
                .find(|&parts| {
                    let tile = tile_of_parts(image, parts, image);
                    least_pixels * input / side(tile) >= least_found
                })
                .unwrap_or(MOST_PARTS),
            Tiles::Auto => 1,
        };
        let view = match parts {
            1 => LearntView {
                size: image,
                least_side: least_whole,
                tiles: false,
            },
            _ => {
                let size = tile_of_parts(image, parts, image);
                LearntView {
                    size,
                    least_side: least_pixels * input / side(size),
                    tiles: true,
                }
            }
        };
        Some(Self {
            view,
            least_found,
            least_whole,
            parts,
        })
    }

    /// How images are cropped to tiles, if they are.
    pub(super) fn crop(&self) -> Option<TileCrop> {
        self.view.tiles.then(|| TileCrop::new(self.tiling()))
    }

    /// In which tiles images are looked at besides as a whole.
    pub(super) fn tiling(&self) -> Tiling {
        let tiles = match self.view.tiles {
            true => Tiles::Auto,
            false => Tiles::Off,
        };
        Tiling::new(tiles, Some(self.view), self.least_found).unwrap_or(Tiling::OFF)
    }

    /// Tells what was chosen and why, or what would show small objects larger.
    pub(super) fn tell(&self, asked: Tiles, observer: &mut dyn Observer) {
        let Self {
            view,
            least_found,
            least_whole,
            parts,
        } = self;
        let why = format!(
            "a tenth of the objects has less than {least_whole:.0} of the network's pixels in \
             whole images"
        );
        match asked {
            Tiles::Off if least_whole < least_found => observer.note(&format!(
                "{why}, and below {least_found:.0}, {LEAST_CELLS} cells of the finest map, many are \
                 missed: --tiles auto shows them larger"
            )),
            Tiles::Off => {}
            Tiles::Auto if !view.tiles => observer.note(&format!(
                "tiles auto: none, as only {why}, and {least_found:.0} are enough"
            )),
            Tiles::Auto | Tiles::Parts(_) => observer.note(&format!(
                "tiles {asked}: half of the samples are tiles of {}, {parts} along a middling \
                 image, as {why} and {:.0} in these; evaluating and detecting take tiles too",
                view.size, view.least_side
            )),
        }
    }
}

/// The side of a square of as many pixels.
fn side(size: ImageSize) -> f32 {
    (size.pixels().max(1) as f32).sqrt()
}

/// The value that a share of all is below.
fn quantile(values: &mut [f32], share: f32) -> Option<f32> {
    values.sort_unstable_by(f32::total_cmp);
    values.get((values.len() as f32 * share) as usize).copied()
}

fn median(values: impl Iterator<Item = u32>) -> Option<u32> {
    let mut values: Vec<u32> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use ssdlite_core::{ClassId, ClassNames, MobileNetV3, PixelBox, Variant};
    use ssdlite_data::DetectionImage;

    use super::*;

    /// Images of 2000 x 1500 pixels with objects of these sides.
    fn set(sides: &[f32]) -> DetectionSet {
        let object = |&side: &f32| GroundTruth {
            class: ClassId(0),
            bbox: PixelBox::new(100.0, 200.0, 100.0 + side, 200.0 + side),
            difficult: false,
        };
        let image = DetectionImage {
            id: "a".into(),
            path: "a.jpg".into(),
            size: ImageSize::new(2000, 1500),
            objects: sides.iter().map(object).collect(),
        };
        DetectionSet {
            classes: ClassNames::new(["seed"]).unwrap(),
            images: vec![image; 3],
        }
    }

    fn info() -> ModelInfo {
        let classes = ClassNames::new(["seed"]).unwrap();
        ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, 304)
    }

    fn framing(tiles: Tiles, sides: &[f32]) -> Option<Framing> {
        Framing::new(tiles, &set(sides), |_| true, &info())
    }

    #[test]
    fn auto_shows_the_smallest_tenth_large_enough() {
        let least = info().least_found_side();
        // A pixel of the input is 5.7 of the image.
        for side in [8.0, 20.0, 45.0, 90.0, 130.0] {
            let view = framing(Tiles::Auto, &[side; 10]).unwrap().view;
            assert!(view.tiles);
            assert!(view.least_side >= least || side == 8.0, "{side}: {view:?}");
            assert!(view.least_side < 2.0 * least, "{side}: {view:?}");
            let seen = side * 304.0 / f32::sqrt(view.size.pixels() as f32);
            assert!((seen - view.least_side).abs() < 1e-3);
        }
        let large = framing(Tiles::Auto, &[200.0; 10]).unwrap();
        assert!(!large.view.tiles && large.crop().is_none());
        assert_eq!(large.view.size, ImageSize::new(2000, 1500));
    }

    #[test]
    fn a_few_small_objects_are_no_reason() {
        let mut sides = [300.0; 20];
        sides[3] = 5.0;
        assert!(!framing(Tiles::Auto, &sides).unwrap().view.tiles);
        sides[4] = 5.0;
        sides[5] = 5.0;
        assert!(framing(Tiles::Auto, &sides).unwrap().view.tiles);
    }

    #[test]
    fn off_and_a_number_are_taken_as_they_are() {
        let off = framing(Tiles::Off, &[20.0; 10]).unwrap();
        assert!(!off.view.tiles && off.crop().is_none());
        assert_eq!(off.view.size, ImageSize::new(2000, 1500));
        let three = framing(Tiles::Parts(3), &[500.0; 10]).unwrap();
        assert_eq!(three.view.size, ImageSize::new(800, 600));
        let tiling = three.crop().unwrap().tiling;
        assert_eq!(tiling.tiles_of(ImageSize::new(2000, 1500)).len(), 9);
    }

    #[test]
    fn nothing_to_learn_is_no_view() {
        assert_eq!(framing(Tiles::Auto, &[]), None);
        let none = Framing::new(Tiles::Auto, &set(&[5.0]), |_| false, &info());
        assert_eq!(none, None);
    }

    #[derive(Default)]
    struct Heard(Vec<String>);

    impl Observer for Heard {
        fn note(&mut self, message: &str) {
            self.0.push(message.to_owned());
        }
    }

    #[test]
    fn what_is_chosen_is_told() {
        let told = |tiles, sides: &[f32]| {
            let mut heard = Heard::default();
            framing(tiles, sides).unwrap().tell(tiles, &mut heard);
            heard.0.join("\n")
        };
        assert_eq!(told(Tiles::Off, &[300.0; 10]), "");
        assert!(told(Tiles::Off, &[40.0; 10]).contains("--tiles auto"));
        assert!(told(Tiles::Auto, &[300.0; 10]).contains("none"));
        let small = told(Tiles::Auto, &[100.0; 10]);
        assert!(small.contains("along a middling image"), "{small}");
    }
}
