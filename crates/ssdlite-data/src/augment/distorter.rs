//! The pixels of an image, distorted and made numbers, written into an input.
//!
//! A row goes through all steps a group of pixels at a time, one plane a
//! channel, in loops that the compiler turns into vectors. They are compiled
//! for each instruction set and give the same bits on all of them: no step's
//! rounding is left to the compiler.

use ssdlite_core::Preprocessing;
use ssdlite_image::RgbImage;
use ssdlite_kernels::Isa;
use ssdlite_kernels::isa::{Kernel, Simd};

use super::photometric::{ContrastTurn, Distortion};

/// Shares of red, green and blue in brightness: ITU-R BT.601, as torchvision
/// rounds them.
const LUMA: [f32; 3] = [0.2989, 0.587, 0.114];

/// Colours as they come out of a decoder reach from 0 to this.
const MAX_BYTE: f32 = 255.0;

/// Pixels that are worked on together; what they take stays in the first cache.
const GROUP: usize = 128;

/// Colours of a group, 0 to 1.
type Planes = [[f32; GROUP]; 3];

/// Where an image lies in an input of `[height, width, 3]`.
pub(crate) struct Target<'a> {
    /// The input's rows from the image's first one on.
    pub(crate) rows: &'a mut [f32],
    /// Numbers of a row of the input.
    pub(crate) row_length: usize,
    /// Numbers of a row before those of the image.
    pub(crate) left: usize,
    /// Whether left and right of the image are swapped.
    pub(crate) mirrored: bool,
}

/// Writes distorted images.
pub(crate) struct Distorter {
    isa: Isa,
    mean: [f32; 3],
    std: [f32; 3],
}

impl Distorter {
    /// For the mean and the deviation of a network's input.
    pub(crate) fn new(preprocessing: &Preprocessing) -> Self {
        Self {
            isa: Isa::detect(),
            mean: preprocessing.mean,
            std: preprocessing.std,
        }
    }

    /// Writes the numbers of all pixels of `image`, distorted.
    pub(crate) fn write(&self, image: &RgbImage, distortion: &Distortion, target: Target<'_>) {
        self.isa.run(WriteImage {
            image,
            distortion,
            distorter: self,
            target,
        });
    }
}

struct WriteImage<'a> {
    image: &'a RgbImage,
    distortion: &'a Distortion,
    distorter: &'a Distorter,
    target: Target<'a>,
}

impl Kernel for WriteImage<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self {
            image,
            distortion,
            distorter,
            target,
        } = self;
        let width = image.width() as usize;
        let pivot = match distortion.contrast {
            1.0 => 0.0,
            _ => (luma_of(image.pixels()) * distortion.brightness).min(1.0),
        };
        let mut planes = [[0.0; GROUP]; 3];
        let sources = image.pixels().chunks_exact(3 * width);
        for (row, source) in target.rows.chunks_exact_mut(target.row_length).zip(sources) {
            let row = &mut row[target.left..][..3 * width];
            for start in (0..width).step_by(GROUP) {
                let count = GROUP.min(width - start);
                read(&source[3 * start..][..3 * count], &mut planes);
                distort(&mut planes, count, distortion, pivot);
                let at = match target.mirrored {
                    true => {
                        for plane in &mut planes {
                            plane[..count].reverse();
                        }
                        width - start - count
                    }
                    false => start,
                };
                let numbers = &mut row[3 * at..][..3 * count];
                distorter.write_group(&planes, distortion.order, numbers);
            }
        }
    }
}

impl Distorter {
    #[inline(always)]
    fn write_group(&self, planes: &Planes, order: [usize; 3], numbers: &mut [f32]) {
        let [mean, std] = [self.mean, self.std];
        let (numbers, _) = numbers.as_chunks_mut::<3>();
        let [red, green, blue] = [&planes[order[0]], &planes[order[1]], &planes[order[2]]];
        for (((number, &r), &g), &b) in numbers.iter_mut().zip(red).zip(green).zip(blue) {
            *number = [
                (r - mean[0]) / std[0],
                (g - mean[1]) / std[1],
                (b - mean[2]) / std[2],
            ];
        }
    }
}

/// Mean brightness of packed RGB bytes, 0 to 1; 0 of none.
#[inline(always)]
fn luma_of(pixels: &[u8]) -> f32 {
    let (pixels, _) = pixels.as_chunks::<3>();
    let mut sums = [0u64; 3];
    // Of so few pixels that 32 bits hold their sums.
    for pixels in pixels.chunks(1 << 16) {
        let [mut red, mut green, mut blue] = [0u32; 3];
        for &[r, g, b] in pixels {
            red += u32::from(r);
            green += u32::from(g);
            blue += u32::from(b);
        }
        sums[0] += u64::from(red);
        sums[1] += u64::from(green);
        sums[2] += u64::from(blue);
    }
    let count = pixels.len().max(1) as f32 * MAX_BYTE;
    let mut luma = 0.0;
    for (sum, share) in sums.into_iter().zip(LUMA) {
        luma += sum as f32 * share;
    }
    luma / count
}

#[inline(always)]
fn read(source: &[u8], planes: &mut Planes) {
    let (pixels, _) = source.as_chunks::<3>();
    let [red, green, blue] = planes;
    for (((&[x, y, z], r), g), b) in pixels.iter().zip(red).zip(green).zip(blue) {
        *r = f32::from(x) / MAX_BYTE;
        *g = f32::from(y) / MAX_BYTE;
        *b = f32::from(z) / MAX_BYTE;
    }
}

#[inline(always)]
fn distort(planes: &mut Planes, count: usize, distortion: &Distortion, pivot: f32) {
    let has_contrast = distortion.contrast != 1.0;
    if distortion.brightness != 1.0 {
        for plane in &mut *planes {
            for value in &mut plane[..count] {
                *value = at_most(*value * distortion.brightness, 1.0);
            }
        }
    }
    if has_contrast && distortion.contrast_turn == ContrastTurn::First {
        change_contrast(planes, count, distortion.contrast, pivot);
    }
    if distortion.saturation != 1.0 {
        change_saturation(planes, count, distortion.saturation);
    }
    if distortion.hue != 0.0 {
        turn_hue(planes, count, distortion.hue);
    }
    if has_contrast && distortion.contrast_turn == ContrastTurn::Last {
        change_contrast(planes, count, distortion.contrast, pivot);
    }
}

#[inline(always)]
fn change_contrast(planes: &mut Planes, count: usize, factor: f32, pivot: f32) {
    for plane in planes {
        for value in &mut plane[..count] {
            *value = within_unit(pivot + (*value - pivot) * factor);
        }
    }
}

#[inline(always)]
fn change_saturation(planes: &mut Planes, count: usize, factor: f32) {
    let [red, green, blue] = planes;
    let channels = red[..count].iter_mut().zip(green).zip(blue);
    for ((r, g), b) in channels {
        let grey = *r * LUMA[0] + *g * LUMA[1] + *b * LUMA[2];
        *r = within_unit(grey + (*r - grey) * factor);
        *g = within_unit(grey + (*g - grey) * factor);
        *b = within_unit(grey + (*b - grey) * factor);
    }
}

/// Turns the hue in the HSV colour space, without branches: with `h` in sixths
/// of a turn, a channel is `max - (max - min) * clamp(min(k, 4 - k), 0, 1)` for
/// `k = (n + h) mod 6`, `n` = 5, 3, 1 for red, green, blue.
#[inline(always)]
fn turn_hue(planes: &mut Planes, count: usize, turns: f32) {
    let turn = turns * 6.0;
    let [red, green, blue] = planes;
    let channels = red[..count].iter_mut().zip(green).zip(blue);
    for ((r, g), b) in channels {
        let max = at_least(at_least(*r, *g), *b);
        let span = max - at_most(at_most(*r, *g), *b);
        let per_span = if span > 0.0 { 1.0 / span } else { 0.0 };
        let from_blue = 4.0 + (*r - *g) * per_span;
        let from_green = 2.0 + (*b - *r) * per_span;
        let from_red = (*g - *b) * per_span;
        let other = if max == *g { from_green } else { from_blue };
        let hue = if max == *r { from_red } else { other };
        *r = max - span * share(hue + turn + 5.0);
        *g = max - span * share(hue + turn + 3.0);
        *b = max - span * share(hue + turn + 1.0);
    }
}

/// How much of the span a channel lacks, for its angle in sixths of a turn.
#[inline(always)]
fn share(angle: f32) -> f32 {
    let k = wrapped(wrapped(angle));
    within_unit(at_most(k, 4.0 - k))
}

/// Brings an angle in sixths of a turn one turn closer to 0 to 6.
#[inline(always)]
fn wrapped(angle: f32) -> f32 {
    let lowered = if angle >= 6.0 { angle - 6.0 } else { angle };
    if lowered < 0.0 {
        lowered + 6.0
    } else {
        lowered
    }
}

#[inline(always)]
fn within_unit(value: f32) -> f32 {
    at_most(at_least(value, 0.0), 1.0)
}

/// `f32::min` of numbers: one instruction, where that looks for NaN.
#[inline(always)]
fn at_most(value: f32, most: f32) -> f32 {
    if value < most { value } else { most }
}

/// `f32::max` of numbers: one instruction, where that looks for NaN.
#[inline(always)]
fn at_least(value: f32, least: f32) -> f32 {
    if value > least { value } else { least }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::ImageSize;
    use ssdlite_core::random::Rng;
    use ssdlite_image::Normaliser;

    use super::super::PhotometricDistort;
    use super::*;

    const NEUTRAL: Distortion = Distortion::NONE;

    /// Bytes without a pattern, of a number that leaves a part of the last
    /// group of lanes over.
    fn image() -> Vec<u8> {
        let mut rng = Rng::from_keys(&[11]);
        (0..3 * 153).map(|_| rng.below(256) as u8).collect()
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
        let target = Target {
            row_length: pixels.len(),
            rows: &mut output,
            left: 0,
            mirrored: false,
        };
        Distorter::new(preprocessing).write(&image, &distortion, target);
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
        let size = ImageSize::new(153, 1);
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

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let (pixels, options) = (image(), PhotometricDistort::default());
        let size = ImageSize::new(51, 3);
        let image = RgbImage::new(size, pixels).unwrap();
        for seed in 0..50 {
            let distortion = options.draw(&mut Rng::from_keys(&[seed]));
            let written = Isa::available().into_iter().map(|isa| {
                let mut rows = vec![0.0; 3 * 60 * 3];
                let distorter = Distorter {
                    isa,
                    ..Distorter::new(&Preprocessing::classifier(32))
                };
                let target = Target {
                    rows: &mut rows,
                    row_length: 180,
                    left: 12,
                    mirrored: seed % 2 == 0,
                };
                distorter.write(&image, &distortion, target);
                rows
            });
            let written: Vec<_> = written.collect();
            assert!(written.iter().all(|rows| *rows == written[0]));
        }
    }

    #[test]
    fn mirrored_rows_are_the_others_in_reverse() {
        let image = RgbImage::new(ImageSize::new(153, 1), image()).unwrap();
        let distortion = PhotometricDistort::default().draw(&mut Rng::from_keys(&[3]));
        let [straight, mirrored] = [false, true].map(|mirrored| {
            let mut rows = vec![0.0; 3 * 153];
            let target = Target {
                rows: &mut rows,
                row_length: 3 * 153,
                left: 0,
                mirrored,
            };
            Distorter::new(&plain()).write(&image, &distortion, target);
            rows
        });
        let mut reversed = mirrored.as_chunks::<3>().0.to_vec();
        reversed.reverse();
        assert_eq!(straight.as_chunks::<3>().0, reversed);
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
