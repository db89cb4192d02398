//! From a decoded image and a view of it to the numbers that a network sees.

use ssdlite_core::{ImageSize, Preprocessing};
use ssdlite_image::error;
use ssdlite_image::resize::Resizer;

use super::distorter::{Distorter, Target};
use super::photometric::Distortion;
use super::reduced::Reduced;
use super::view::View;

/// Numbers of one pixel.
const CHANNELS: usize = 3;

/// Makes network inputs, keeping its scratch memory from one to the next.
pub(crate) struct Renderer {
    size: ImageSize,
    resizer: Resizer,
    distorter: Distorter,
}

impl Renderer {
    /// A renderer for inputs as a model file describes them.
    pub(crate) fn new(preprocessing: &Preprocessing) -> Self {
        Self {
            size: preprocessing.size,
            resizer: Resizer::new(),
            distorter: Distorter::new(preprocessing),
        }
    }

    /// Writes a view of the image, of shape `[height, width, 3]`. What lies
    /// beyond the image's edges becomes zero, which is the mean colour.
    pub(crate) fn render_view(
        &mut self,
        image: &Reduced,
        view: &View,
        distortion: Option<Distortion>,
        input: &mut [f32],
    ) -> error::Result<()> {
        let Some(placement) = view.placement(image.whole(), self.size) else {
            input.fill(0.0);
            return Ok(());
        };
        let size = placement.size;
        let part = self.resizer.stretch_region(
            image.pixels(),
            image.reduced_box(placement.source),
            size,
        )?;
        let left = match view.mirrored {
            true => self.size.width - placement.left - size.width,
            false => placement.left,
        };
        let row_length = self.size.width as usize * CHANNELS;
        let left = left as usize * CHANNELS;
        let right = left + size.width as usize * CHANNELS;
        let (above, rows) = input.split_at_mut(placement.top as usize * row_length);
        let (rows, below) = rows.split_at_mut(size.height as usize * row_length);
        above.fill(0.0);
        below.fill(0.0);
        for row in rows.chunks_exact_mut(row_length) {
            row[..left].fill(0.0);
            row[right..].fill(0.0);
        }
        let target = Target {
            rows,
            row_length,
            left,
            mirrored: view.mirrored,
        };
        let distortion = distortion.unwrap_or(Distortion::NONE);
        self.distorter.write(&part, &distortion, target);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::{GroundTruth, PixelBox};
    use ssdlite_image::input::Preprocessor;
    use ssdlite_image::{Normaliser, Resizer, RgbImage};

    use super::super::DetectorAugment;
    use super::*;
    use ssdlite_core::random::Rng;

    const IMAGE: ImageSize = ImageSize::new(211, 149);
    const INPUT: ImageSize = ImageSize::new(101, 83);

    /// Red only inside `object`, on green.
    fn image(object: &PixelBox) -> RgbImage {
        let pixels = (0..IMAGE.height)
            .flat_map(|y| (0..IMAGE.width).map(move |x| (x as f32, y as f32)))
            .flat_map(|(x, y)| {
                let inside = object.x1 <= x && x < object.x2 && object.y1 <= y && y < object.y2;
                if inside { [255, 0, 0] } else { [0, 255, 0] }
            })
            .collect();
        RgbImage::new(IMAGE, pixels).unwrap()
    }

    fn rendered(image: &RgbImage, view: &View) -> Vec<f32> {
        let image = Reduced {
            pixels: image.clone(),
            whole: image.size(),
        };
        rendered_from(&image, view)
    }

    fn rendered_from(image: &Reduced, view: &View) -> Vec<f32> {
        let preprocessing = Preprocessing::detector(INPUT);
        let mut input = vec![7.0; INPUT.pixels() as usize * CHANNELS];
        Renderer::new(&preprocessing)
            .render_view(image, view, None, &mut input)
            .unwrap();
        input
    }

    /// The smallest box around the pixels that are redder than not.
    fn red_box(input: &[f32]) -> Option<PixelBox> {
        let width = INPUT.width as usize;
        let red = |pixel: &[f32; 3]| pixel[0] > 0.0;
        let (pixels, _) = input.as_chunks::<CHANNELS>();
        let points = pixels.iter().enumerate().filter(|(_, pixel)| red(pixel));
        points
            .map(|(index, _)| ((index % width) as f32, (index / width) as f32))
            .map(|(x, y)| PixelBox::new(x, y, x + 1.0, y + 1.0))
            .reduce(|a, b| {
                PixelBox::new(
                    a.x1.min(b.x1),
                    a.y1.min(b.y1),
                    a.x2.max(b.x2),
                    a.y2.max(b.y2),
                )
            })
    }

    #[test]
    fn boxes_follow_the_pixels() {
        let mut seen = 0;
        for seed in 0..300 {
            let mut rng = Rng::from_keys(&[seed]);
            let (x, y) = (rng.below(170) as f32, rng.below(110) as f32);
            let (w, h) = (20 + rng.below(60), 20 + rng.below(50));
            let bbox = PixelBox::new(x, y, x + w as f32, y + h as f32).clipped(IMAGE);
            let object = GroundTruth {
                class: ssdlite_core::ClassId(0),
                bbox,
                difficult: false,
            };
            let view = DetectorAugment::default().draw_view(IMAGE, &[object], &mut rng);
            let objects = view.objects_in_input(&[object], INPUT);
            let red = red_box(&rendered(&image(&bbox), &view));
            let ([object], Some(red)) = (&objects[..], red) else {
                continue;
            };
            seen += 1;
            for (a, b) in object.bbox.to_array().iter().zip(red.to_array()) {
                assert!((a - b).abs() <= 1.0, "{:?} {red:?} {view:?}", object.bbox);
            }
        }
        assert!(seen > 250);
    }

    #[test]
    fn boxes_follow_the_pixels_of_a_reduced_image() {
        // Sides that no factor divides.
        let (whole, mut seen) = (ImageSize::new(1291, 907), 0);
        for seed in 0..100 {
            let mut rng = Rng::from_keys(&[seed]);
            let (x, y) = (rng.below(140) as f32, rng.below(80) as f32);
            let bbox = PixelBox::new(x, y, x + 60.0, y + 50.0);
            let pixels = Resizer::new().stretch(&image(&bbox), ImageSize::new(205, 171));
            let object = GroundTruth {
                class: ssdlite_core::ClassId(0),
                bbox: bbox.rescaled(IMAGE, whole),
                difficult: false,
            };
            let view = DetectorAugment::default().draw_view(whole, &[object], &mut rng);
            let objects = view.objects_in_input(&[object], INPUT);
            let red = red_box(&rendered_from(&Reduced { pixels, whole }, &view));
            let ([object], Some(red)) = (&objects[..], red) else {
                continue;
            };
            seen += 1;
            for (a, b) in object.bbox.to_array().iter().zip(red.to_array()) {
                assert!((a - b).abs() <= 1.0, "{:?} {red:?} {view:?}", object.bbox);
            }
        }
        assert!(seen > 80, "{seen}");
    }

    #[test]
    fn the_whole_view_is_what_evaluation_sees() {
        let image = image(&PixelBox::new(20.0, 30.0, 75.0, 80.0));
        let mut plain = vec![0.0; INPUT.pixels() as usize * CHANNELS];
        let preprocessing = Preprocessing::detector(INPUT);
        let mut preprocessor = Preprocessor::new(&preprocessing).unwrap();
        Normaliser::new(&preprocessing).write(&preprocessor.fit(&image), &mut plain);
        assert_eq!(rendered(&image, &View::whole(IMAGE)), plain);
    }

    #[test]
    fn mirrored_pixels_are_the_others_in_reverse() {
        let image = image(&PixelBox::new(20.0, 30.0, 75.0, 80.0));
        let mut view = View::whole(IMAGE);
        view.window = PixelBox::new(-40.0, -3.0, 171.0, 146.0);
        let straight = rendered(&image, &view);
        view.mirrored = true;
        let mirrored = rendered(&image, &view);
        let row_length = INPUT.width as usize * CHANNELS;
        for (a, b) in straight.chunks(row_length).zip(mirrored.chunks(row_length)) {
            let reversed: Vec<_> = b.as_chunks::<CHANNELS>().0.iter().rev().copied().collect();
            assert_eq!(a.as_chunks::<CHANNELS>().0, reversed);
        }
    }

    #[test]
    fn beyond_the_edges_is_the_mean_colour() {
        let image = image(&PixelBox::new(0.0, 0.0, 211.0, 149.0));
        let view = View {
            window: PixelBox::new(-211.0, -149.0, 211.0, 149.0),
            mirrored: false,
        };
        let input = rendered(&image, &view);
        let (pixels, _) = input.as_chunks::<CHANNELS>();
        assert_eq!(pixels[0], [0.0; 3]);
        assert_eq!(pixels[pixels.len() - 1], [1.0, -1.0, -1.0]);
    }
}
