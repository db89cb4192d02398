//! 8-bit colours to the numbers that a network sees.

use ssdlite_core::Preprocessing;

use crate::rgb::{AsRgb, CHANNELS};

/// Maps each value of each channel, 0 to 1, to `(value - mean) / std`.
#[derive(Clone, Debug)]
pub struct Normaliser {
    mean: [f32; CHANNELS],
    std: [f32; CHANNELS],
    /// The numbers of all 8-bit values.
    table: Box<[[f32; 256]; CHANNELS]>,
}

impl Normaliser {
    /// For `preprocessing`'s mean and deviation. The numbers are rounded step
    /// by step, as torchvision's `ToTensor` and `Normalize` round them.
    pub fn new(preprocessing: &Preprocessing) -> Self {
        let mut normaliser = Self {
            mean: preprocessing.mean,
            std: preprocessing.std,
            table: Box::new([[0.0; 256]; CHANNELS]),
        };
        normaliser.table = Box::new(std::array::from_fn(|channel| {
            std::array::from_fn(|value| normaliser.number(channel, value as f32 / 255.0))
        }));
        normaliser
    }

    /// The number for a channel's value, 0 to 1.
    ///
    /// # Panics
    /// If `channel` is not 0, 1 or 2.
    pub fn number(&self, channel: usize, value: f32) -> f32 {
        (value - self.mean[channel]) / self.std[channel]
    }

    /// Writes the numbers of all pixels of `image`, of shape
    /// `[height, width, 3]`.
    ///
    /// # Panics
    /// If `output` does not hold exactly three numbers a pixel.
    pub fn write(&self, image: &impl AsRgb, output: &mut [f32]) {
        let image = image.as_rgb();
        assert_eq!(
            output.len(),
            image.pixels().len(),
            "numbers for an image of {}",
            image.size()
        );
        let (colors, _) = image.pixels().as_chunks::<CHANNELS>();
        let (numbers, _) = output.as_chunks_mut::<CHANNELS>();
        let [red, green, blue] = &*self.table;
        for (numbers, &[r, g, b]) in numbers.iter_mut().zip(colors) {
            *numbers = [
                red[usize::from(r)],
                green[usize::from(g)],
                blue[usize::from(b)],
            ];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rgb::RgbImage;
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
        Normaliser::new(&spec).write(&image, &mut output);
        for (index, (number, value)) in output.iter().zip(image.pixels()).enumerate() {
            let channel = index % 3;
            let restored = (number * spec.std[channel] + spec.mean[channel]) * 255.0;
            assert!((restored - f32::from(*value)).abs() < 1e-3);
        }
    }
}
