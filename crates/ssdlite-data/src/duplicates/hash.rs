//! What an image looks like, in 128 bits.
//!
//! A difference hash: each bit says whether a part of the image is lighter than the
//! part beside it, so that neither size nor compression nor exposure change many of
//! them. 64 bits compare along rows, 64 along columns.
//!
//! Source: N. Krawetz, "Kind of Like That" (2013), whose dHash compares along rows
//! alone.

use ssdlite_core::ImageSize;
use ssdlite_core::random::Fnv1a;
use ssdlite_image::{Resizer, Rgb, RgbImage};

/// Comparisons along a row, and rows; and the same along columns.
const STEPS: usize = 8;

/// The side of the square to which an image is stretched, in pixels: `STEPS` parts as
/// well as one more divide it.
const SIDE: usize = STEPS * (STEPS + 1);

/// An image whose parts differ by less, in levels of 255, has no look: what its bits
/// would say is noise. The least of the sets that [`NEAR_BITS`](super::NEAR_BITS) was
/// measured on is 27.
const LEAST_CONTRAST: u32 = 3;

/// By what an image is compared with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Of the size and all pixels: equal for copies, whatever their file format.
    pub(super) pixels: u64,
    /// None for an image without any structure, such as a black one.
    pub(super) look: Option<Look>,
}

impl Fingerprint {
    /// The fingerprint of a decoded image.
    pub fn of(image: &RgbImage) -> Self {
        Self {
            pixels: hash_of_pixels(image),
            look: Look::of(image),
        }
    }
}

/// A difference hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look(pub(super) u128);

impl Look {
    fn of(image: &RgbImage) -> Option<Self> {
        let small = Resizer::new().stretch(image, ImageSize::square(SIDE as u32));
        let (pixels, _) = small.pixels().as_chunks::<3>();
        let light: Vec<u32> = pixels.iter().map(|&pixel| light_of(pixel)).collect();
        let across = Parts::new(&light, STEPS + 1, STEPS);
        let down = Parts::new(&light, STEPS, STEPS + 1);
        if across.contrast().max(down.contrast()) < LEAST_CONTRAST * Parts::LEVEL {
            return None;
        }
        let mut bits = 0;
        for (row, column) in (0..STEPS).flat_map(|row| (0..STEPS).map(move |column| (row, column)))
        {
            for is_lighter in [
                across.at(row, column + 1) > across.at(row, column),
                down.at(row + 1, column) > down.at(row, column),
            ] {
                bits = (bits << 1) | u128::from(is_lighter);
            }
        }
        Some(Self(bits))
    }

    /// How many bits differ, 0 to 128.
    pub(super) fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }
}

/// The light of the parts of an image, each the sum over as many pixels.
struct Parts {
    sums: Vec<u32>,
    columns: usize,
}

impl Parts {
    /// One level of 255 of a part's mean, in its sum.
    const LEVEL: u32 = (SIDE * SIDE / (STEPS * (STEPS + 1))) as u32 * 1000;

    fn new(light: &[u32], columns: usize, rows: usize) -> Self {
        let (width, height) = (SIDE / columns, SIDE / rows);
        let mut sums = vec![0; columns * rows];
        for (index, light) in light.iter().enumerate() {
            let (x, y) = (index % SIDE, index / SIDE);
            sums[y / height * columns + x / width] += light;
        }
        Self { sums, columns }
    }

    fn at(&self, row: usize, column: usize) -> u32 {
        self.sums[row * self.columns + column]
    }

    /// The difference between the lightest and the darkest part.
    fn contrast(&self) -> u32 {
        let lightest = self.sums.iter().max().unwrap_or(&0);
        lightest - self.sums.iter().min().unwrap_or(&0)
    }
}

/// How light a pixel is, in thousandths of 255 levels: ITU-R BT.601.
fn light_of([red, green, blue]: Rgb) -> u32 {
    299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)
}

fn hash_of_pixels(image: &RgbImage) -> u64 {
    let mut hash = Fnv1a::default();
    hash.add(image.width().into());
    hash.add(image.height().into());
    // Eight bytes at a time: photos have tens of millions.
    let (words, rest) = image.pixels().as_chunks::<8>();
    for &word in words {
        hash.add(u64::from_le_bytes(word));
    }
    hash.add_bytes(rest);
    hash.value()
}

#[cfg(test)]
mod tests {
    use ssdlite_core::random::Rng;
    use ssdlite_image::Limits;
    use ssdlite_image::decode::decode;
    use ssdlite_image::encode::jpeg_from_image;

    use super::*;

    /// An image of soft blobs, as a photo has, another one for each seed, `shift`
    /// pixels further left than usual.
    fn photo(seed: u64, shift: u32) -> RgbImage {
        let mut rng = Rng::from_keys(&[seed]);
        let blobs: Vec<[f32; 4]> = (0..40)
            .map(|_| {
                let (x, y) = (rng.uniform(0.0..340.0), rng.uniform(0.0..250.0));
                [x, y, rng.uniform(10.0..60.0), rng.uniform(-40.0..40.0)]
            })
            .collect();
        let mut image = RgbImage::filled(ImageSize::new(317, 239), [0; 3]);
        for (index, pixel) in image.pixels_mut().chunks_exact_mut(3).enumerate() {
            let (x, y) = (index as u32 % 317 + shift, index as u32 / 317);
            let light = blobs.iter().map(|[left, top, radius, height]| {
                let (dx, dy) = ((x as f32 - left) / radius, (y as f32 - top) / radius);
                height * (-dx * dx - dy * dy).exp()
            });
            pixel.fill((128.0 + light.sum::<f32>()).clamp(0.0, 255.0) as u8);
        }
        image
    }

    fn look(image: &RgbImage) -> Look {
        Fingerprint::of(image).look.unwrap()
    }

    #[test]
    fn the_hash_is_of_differences_between_neighbours() {
        // Lighter to the right and never downwards: every other bit.
        let mut image = RgbImage::filled(ImageSize::square(SIDE as u32), [0; 3]);
        for (index, pixel) in image.pixels_mut().chunks_exact_mut(3).enumerate() {
            pixel.fill((index % SIDE * 3) as u8);
        }
        assert_eq!(look(&image), Look(u128::MAX / 3 * 2));
        assert_eq!(look(&image.mirrored()), Look(0));
    }

    #[test]
    fn compression_and_size_change_few_bits_and_another_photo_half() {
        for seed in 0..10 {
            let image = photo(seed, 0);
            let bytes = jpeg_from_image(&image, 60).unwrap();
            let again = decode(&bytes, &Limits::default()).unwrap();
            let smaller = Resizer::new().stretch(&image, ImageSize::new(201, 90));
            let darker = {
                let mut darker = image.clone();
                darker.pixels_mut().iter_mut().for_each(|value| *value /= 2);
                darker
            };
            for alike in [again, smaller, darker] {
                let distance = look(&image).distance(look(&alike));
                assert!(distance <= 16, "{seed}: {distance}");
                assert_ne!(
                    Fingerprint::of(&image).pixels,
                    Fingerprint::of(&alike).pixels
                );
            }
            let moved = look(&image).distance(look(&photo(seed, 6)));
            assert!(moved <= 24, "{seed}: {moved}");
            let other = look(&image).distance(look(&photo(seed + 100, 0)));
            assert!(other >= 40, "{seed}: {other}");
        }
    }

    #[test]
    fn what_has_no_structure_has_no_look() {
        for shade in [0, 120, 255] {
            let flat = RgbImage::filled(ImageSize::new(31, 17), [shade; 3]);
            let found = Fingerprint::of(&flat);
            assert_eq!(found.look, None);
            assert_eq!(found, Fingerprint::of(&flat.clone()));
            let wider = RgbImage::filled(ImageSize::new(17, 31), [shade; 3]);
            assert_ne!(found.pixels, Fingerprint::of(&wider).pixels);
        }
        // The smallest image there is.
        assert_eq!(
            Look::of(&RgbImage::filled(ImageSize::square(1), [9; 3])),
            None
        );
    }
}
