//! 8-bit colours to the numbers that a network sees.

use ssdlite_core::Preprocessing;

use crate::rgb::{CHANNELS, RgbImage};

/// The order of the numbers of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Row, column, channel: channels-last, as our kernels read them.
    Hwc,
    /// Channel, row, column, as PyTorch and ONNX read them.
    Chw,
}

/// Maps each 8-bit value of each channel to `(value / 255 - mean) / std`.
#[derive(Clone, Debug)]
pub struct Normaliser {
    table: Box<[[f32; 256]; CHANNELS]>,
}

impl Normaliser {
    /// The table for `preprocessing`'s mean and deviation. Its numbers are
    /// rounded step by step, as torchvision's `ToTensor` and `Normalize`
    /// round them.
    pub fn new(preprocessing: &Preprocessing) -> Self {
        let table = std::array::from_fn(|channel| {
            let (mean, std) = (preprocessing.mean[channel], preprocessing.std[channel]);
            std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std)
        });
        Self {
            table: Box::new(table),
        }
    }

    /// Writes the numbers of all pixels of `image`, of shape
    /// `[height, width, 3]` or `[3, height, width]`.
    ///
    /// # Panics
    /// If `output` does not hold exactly three numbers a pixel.
    pub fn write(&self, image: &RgbImage, layout: Layout, output: &mut [f32]) {
        assert_eq!(
            output.len(),
            image.pixels().len(),
            "numbers for an image of {}",
            image.size()
        );
        let (colors, _) = image.pixels().as_chunks::<CHANNELS>();
        let [red, green, blue] = &*self.table;
        match layout {
            Layout::Hwc => {
                let (numbers, _) = output.as_chunks_mut::<CHANNELS>();
                for (numbers, &[r, g, b]) in numbers.iter_mut().zip(colors) {
                    *numbers = [
                        red[usize::from(r)],
                        green[usize::from(g)],
                        blue[usize::from(b)],
                    ];
                }
            }
            Layout::Chw => {
                let planes = output.chunks_exact_mut(colors.len());
                for (channel, (plane, table)) in planes.zip(&*self.table).enumerate() {
                    for (number, color) in plane.iter_mut().zip(colors) {
                        *number = table[usize::from(color[channel])];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssdlite_core::ImageSize;

    fn image() -> RgbImage {
        let size = ImageSize::new(7, 5);
        let pixels = (0..105u32).map(|i| (i * 97 % 256) as u8).collect();
        RgbImage::new(size, pixels).unwrap()
    }

    #[test]
    fn a_detectors_range_is_minus_one_to_one() {
        let normaliser = Normaliser::new(&Preprocessing::detector(ImageSize::square(320)));
        for table in normaliser.table.iter() {
            assert_eq!((table[0], table[255]), (-1.0, 1.0));
        }
    }

    #[test]
    fn each_channel_has_its_own_mean_and_deviation() {
        let spec = Preprocessing::classifier(224);
        let image = image();
        let mut output = vec![0.0; 105];
        Normaliser::new(&spec).write(&image, Layout::Hwc, &mut output);
        for (index, (number, value)) in output.iter().zip(image.pixels()).enumerate() {
            let channel = index % 3;
            let restored = (number * spec.std[channel] + spec.mean[channel]) * 255.0;
            assert!((restored - f32::from(*value)).abs() < 1e-3);
        }
    }

    #[test]
    fn both_layouts_hold_the_same_numbers() {
        let normaliser = Normaliser::new(&Preprocessing::classifier(224));
        let image = image();
        let (mut hwc, mut chw) = (vec![0.0; 105], vec![0.0; 105]);
        normaliser.write(&image, Layout::Hwc, &mut hwc);
        normaliser.write(&image, Layout::Chw, &mut chw);
        for pixel in 0..35 {
            for channel in 0..3 {
                assert_eq!(hwc[pixel * 3 + channel], chw[channel * 35 + pixel]);
            }
        }
    }
}
