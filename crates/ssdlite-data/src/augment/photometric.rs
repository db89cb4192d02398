//! Random brightness, contrast, saturation, hue and order of the channels.
//!
//! Source: SSD's photometric distortions with the distributions and the
//! order of torchvision's `RandomPhotometricDistort`. It differs in two ways
//! that don't matter to a network that is to learn not to look at them:
//!
//! - It runs on the resampled image, where there are fewer pixels. All steps
//!   but hue are linear, so they commute with resampling except where a value
//!   is clamped.
//! - Contrast turns about the mean brightness of what the view shows of the
//!   image, taken once after the brightness step, instead of the whole
//!   image's at that point.
//!
//! What a view shows beyond the image's edges is not distorted, because
//! SSD distorts before it expands.

use std::ops::Range;

use ssdlite_image::{Normaliser, RgbImage};

use super::{check_range, check_within};
use crate::error::Result;
use ssdlite_core::random::Rng;

/// Shares of red, green and blue in brightness: ITU-R BT.601, as torchvision
/// rounds them.
const LUMA: [f32; 3] = [0.2989, 0.587, 0.114];

/// Colours as they come out of a decoder reach from 0 to this.
const MAX_BYTE: f32 = 255.0;

/// Pixels that are worked on together, so that the compiler can use vectors.
const LANES: usize = 16;

/// The orders that three channels can have.
const CHANNEL_ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// How colours are distorted.
#[derive(Clone, Debug, PartialEq)]
pub struct PhotometricDistort {
    /// How often each of the five distortions happens; 0.5.
    pub probability: f32,
    /// Factors of the brightness; 0.875 to 1.125.
    pub brightness: Range<f32>,
    /// Factors of the distance from the mean brightness; 0.5 to 1.5.
    pub contrast: Range<f32>,
    /// Factors of the distance from grey; 0.5 to 1.5.
    pub saturation: Range<f32>,
    /// Turns of the hue; -0.05 to 0.05, where 1 is the whole colour wheel.
    pub hue: Range<f32>,
}

impl Default for PhotometricDistort {
    fn default() -> Self {
        Self {
            probability: 0.5,
            brightness: 0.875..1.125,
            contrast: 0.5..1.5,
            saturation: 0.5..1.5,
            hue: -0.05..0.05,
        }
    }
}

impl PhotometricDistort {
    /// One distortion at random.
    pub fn draw(&self, rng: &mut Rng) -> Distortion {
        let mut sometimes = |range: &Range<f32>, neutral: f32| {
            if rng.chance(self.probability) {
                rng.uniform(range.clone())
            } else {
                neutral
            }
        };
        let brightness = sometimes(&self.brightness, 1.0);
        let contrast = sometimes(&self.contrast, 1.0);
        let saturation = sometimes(&self.saturation, 1.0);
        let hue = sometimes(&self.hue, 0.0);
        let contrast_turn = if rng.chance(0.5) {
            ContrastTurn::First
        } else {
            ContrastTurn::Last
        };
        let order = if rng.chance(self.probability) {
            CHANNEL_ORDERS[rng.below(CHANNEL_ORDERS.len())]
        } else {
            CHANNEL_ORDERS[0]
        };
        Distortion {
            brightness,
            contrast,
            saturation,
            hue,
            contrast_turn,
            order,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        check_within("photometric probability", self.probability, 0.0..=1.0)?;
        check_range("brightness", &self.brightness, 0.0..=100.0)?;
        check_range("contrast", &self.contrast, 0.0..=100.0)?;
        check_range("saturation", &self.saturation, 0.0..=100.0)?;
        check_range("hue", &self.hue, -0.5..=0.5)
    }
}

/// When contrast changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContrastTurn {
    /// Before saturation and hue.
    First,
    /// After them.
    Last,
}

/// A drawn distortion of colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distortion {
    /// Factor of all colours.
    pub brightness: f32,
    /// Factor of the distance from the mean brightness.
    pub contrast: f32,
    /// Factor of the distance from grey.
    pub saturation: f32,
    /// Turns of the hue.
    pub hue: f32,
    /// When contrast changes.
    pub contrast_turn: ContrastTurn,
    /// The old channel that each new one takes.
    pub order: [usize; 3],
}

/// A distortion made ready for one image.
pub(crate) struct Distorter {
    distortion: Distortion,
    /// The brightness that contrast leaves alone, 0 to 1.
    pivot: f32,
}

impl Distorter {
    /// The distortion for an image.
    pub(crate) fn new(distortion: Distortion, image: &RgbImage) -> Self {
        Self {
            pivot: (luma_of(image.pixels()) * distortion.brightness).min(1.0),
            distortion,
        }
    }

    /// Writes the numbers of all pixels of the distorted image, of shape
    /// `[height, width, 3]`.
    pub(crate) fn write(&self, image: &RgbImage, normaliser: &Normaliser, output: &mut [f32]) {
        let mut planes = [[0.0; LANES]; 3];
        let pixels = image.pixels().chunks(3 * LANES);
        let chunks = output.chunks_mut(3 * LANES).zip(pixels);
        for (output, pixels) in chunks {
            for (lane, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
                for (plane, &byte) in planes.iter_mut().zip(pixel) {
                    plane[lane] = f32::from(byte) / MAX_BYTE;
                }
            }
            self.distort(&mut planes);
            let numbers: [[f32; LANES]; 3] = std::array::from_fn(|channel| {
                planes[self.distortion.order[channel]]
                    .map(|value| normaliser.number(channel, value))
            });
            for (lane, pixel) in output.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                *pixel = numbers.each_ref().map(|numbers| numbers[lane]);
            }
        }
    }

    fn distort(&self, planes: &mut [[f32; LANES]; 3]) {
        let distortion = &self.distortion;
        let contrast_turn = (distortion.contrast != 1.0).then_some(distortion.contrast_turn);
        for value in planes.as_flattened_mut() {
            *value = (*value * distortion.brightness).min(1.0);
        }
        if contrast_turn == Some(ContrastTurn::First) {
            change_contrast(planes, distortion.contrast, self.pivot);
        }
        if distortion.saturation != 1.0 {
            change_saturation(planes, distortion.saturation);
        }
        if distortion.hue != 0.0 {
            turn_hue(planes, distortion.hue);
        }
        if contrast_turn == Some(ContrastTurn::Last) {
            change_contrast(planes, distortion.contrast, self.pivot);
        }
    }
}

/// Mean brightness of packed RGB bytes, 0 to 1; 0 of none.
fn luma_of(pixels: &[u8]) -> f32 {
    let (pixels, _) = pixels.as_chunks::<3>();
    let mut sums = [0u64; 3];
    for pixel in pixels {
        for (sum, &byte) in sums.iter_mut().zip(pixel) {
            *sum += u64::from(byte);
        }
    }
    let count = pixels.len().max(1) as f32 * MAX_BYTE;
    let weighted = sums.iter().zip(LUMA).map(|(&sum, luma)| sum as f32 * luma);
    weighted.sum::<f32>() / count
}

fn change_contrast(planes: &mut [[f32; LANES]; 3], factor: f32, pivot: f32) {
    for value in planes.as_flattened_mut() {
        *value = (pivot + (*value - pivot) * factor).clamp(0.0, 1.0);
    }
}

fn change_saturation(planes: &mut [[f32; LANES]; 3], factor: f32) {
    let [red, green, blue] = planes;
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let grey = *r * LUMA[0] + *g * LUMA[1] + *b * LUMA[2];
        for value in [r, g, b] {
            *value = (grey + (*value - grey) * factor).clamp(0.0, 1.0);
        }
    }
}

/// Turns the hue in the HSV colour space, without branches: with `h` in sixths
/// of a turn, a channel is `max - (max - min) * clamp(min(k, 4 - k), 0, 1)` for
/// `k = (n + h) mod 6`, `n` = 5, 3, 1 for red, green, blue.
fn turn_hue(planes: &mut [[f32; LANES]; 3], turns: f32) {
    let turn = turns * 6.0;
    let [red, green, blue] = planes;
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let max = r.max(*g).max(*b);
        let span = max - r.min(*g).min(*b);
        let per_span = if span > 0.0 { 1.0 / span } else { 0.0 };
        let from_blue = 4.0 + (*r - *g) * per_span;
        let from_green = 2.0 + (*b - *r) * per_span;
        let from_red = (*g - *b) * per_span;
        let hue = if max == *r {
            from_red
        } else if max == *g {
            from_green
        } else {
            from_blue
        };
        for (value, n) in [r, g, b].into_iter().zip([5.0, 3.0, 1.0]) {
            let k = wrapped(wrapped(hue + turn + n));
            *value = max - span * k.min(4.0 - k).clamp(0.0, 1.0);
        }
    }
}

/// Brings an angle in sixths of a turn one turn closer to 0 to 6.
fn wrapped(angle: f32) -> f32 {
    let lowered = if angle >= 6.0 { angle - 6.0 } else { angle };
    if lowered < 0.0 {
        lowered + 6.0
    } else {
        lowered
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::{ImageSize, Preprocessing};

    use super::*;

    const NEUTRAL: Distortion = Distortion {
        brightness: 1.0,
        contrast: 1.0,
        saturation: 1.0,
        hue: 0.0,
        contrast_turn: ContrastTurn::First,
        order: [0, 1, 2],
    };

    /// Bytes without a pattern, of a number that leaves a part of the last
    /// group of lanes over.
    fn image() -> Vec<u8> {
        let mut rng = Rng::from_keys(&[11]);
        (0..3 * 53).map(|_| rng.below(256) as u8).collect()
    }

    fn plain() -> Preprocessing {
        Preprocessing {
            mean: [0.0; 3],
            std: [1.0; 3],
            ..Preprocessing::detector(ImageSize::square(32))
        }
    }

    fn distorted_with(
        preprocessing: &Preprocessing,
        distortion: Distortion,
        pixels: &[u8],
    ) -> Vec<f32> {
        let size = ImageSize::new(pixels.len() as u32 / 3, 1);
        let image = RgbImage::new(size, pixels.to_vec()).unwrap();
        let mut output = vec![0.0; pixels.len()];
        let normaliser = Normaliser::new(preprocessing);
        Distorter::new(distortion, &image).write(&image, &normaliser, &mut output);
        output
    }

    fn distorted(distortion: Distortion, pixels: &[u8]) -> Vec<f32> {
        distorted_with(&plain(), distortion, pixels)
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (index, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!((a - b).abs() < 1e-5, "value {index}: {a} for {b}");
        }
    }

    #[test]
    fn the_neutral_distortion_only_normalises() {
        let pixels = image();
        let preprocessing = Preprocessing::classifier(32);
        let size = ImageSize::new(53, 1);
        let image = RgbImage::new(size, pixels.clone()).unwrap();
        let mut expected = vec![0.0; pixels.len()];
        Normaliser::new(&preprocessing).write(&image, &mut expected);
        let found = distorted_with(&preprocessing, NEUTRAL, &pixels);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_hue_turned_all_the_way_comes_back() {
        let pixels = image();
        let plain = distorted(NEUTRAL, &pixels);
        for hue in [1.0, -1.0] {
            assert_close(&distorted(Distortion { hue, ..NEUTRAL }, &pixels), &plain);
        }
        let third = Distortion {
            hue: 1.0 / 3.0,
            ..NEUTRAL
        };
        let turned: Vec<f32> = plain
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|&[r, g, b]| [b, r, g])
            .collect();
        assert_close(&distorted(third, &pixels), &turned);
    }

    #[test]
    fn without_saturation_or_contrast_all_is_grey() {
        let pixels = image();
        let grey = distorted(
            Distortion {
                saturation: 0.0,
                ..NEUTRAL
            },
            &pixels,
        );
        for &[r, g, b] in grey.as_chunks::<3>().0 {
            assert!((r - g).abs() < 1e-6 && (g - b).abs() < 1e-6);
        }
        let flat = distorted(
            Distortion {
                contrast: 0.0,
                ..NEUTRAL
            },
            &pixels,
        );
        assert_close(&flat, &vec![luma_of(&pixels); pixels.len()]);
    }

    #[test]
    fn values_stay_in_range_and_channels_move_together() {
        let pixels = image();
        let plain = distorted(NEUTRAL, &pixels);
        let swapped = distorted(
            Distortion {
                order: [2, 0, 1],
                ..NEUTRAL
            },
            &pixels,
        );
        for (old, new) in plain
            .as_chunks::<3>()
            .0
            .iter()
            .zip(swapped.as_chunks::<3>().0)
        {
            assert_eq!([old[2], old[0], old[1]], *new);
        }
        let options = PhotometricDistort::default();
        for seed in 0..200 {
            let distortion = options.draw(&mut Rng::from_keys(&[seed]));
            let output = distorted(distortion, &pixels);
            let range = -1e-6..=1.0 + 1e-6;
            assert!(output.iter().all(|value| range.contains(value)));
        }
    }

    /// Numbers printed by `reference/photometric_distort.py`.
    #[test]
    fn the_steps_agree_with_torchvision() {
        let pixels = [51, 102, 153, 204, 26, 77, 10, 250, 128];
        let vivid = Distortion {
            brightness: 1.1,
            saturation: 1.4,
            hue: 0.05,
            ..NEUTRAL
        };
        let expected = [
            0.148289, 0.271489, 0.764289, 1.0, 0.010326, 0.021424, 0.0, 1.0, 0.807884,
        ];
        assert_close(&distorted(vivid, &pixels), &expected);
        let dull = Distortion {
            brightness: 0.9,
            contrast: 0.6,
            saturation: 0.7,
            hue: -0.04,
            ..NEUTRAL
        };
        let expected = [
            0.295295, 0.407183, 0.446495, 0.517302, 0.253443, 0.39237, 0.280114, 0.635879, 0.369649,
        ];
        assert_close(&distorted(dull, &pixels), &expected);
    }
}
