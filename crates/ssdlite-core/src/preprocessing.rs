//! How an image becomes a network's input. The work is done in
//! `ssdlite-image`; this is what travels in the model file.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::geometry::ImageSize;

/// The largest input side. A detector of this size has 100,000 default boxes.
pub const MAX_INPUT_SIDE: u32 = 2048;

/// The smallest input side: a cell of C4 is 16 pixels wide.
pub const MIN_INPUT_SIDE: u32 = 32;

/// How an image is brought to the input size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Stretched in both directions: detectors.
    Stretch,
    /// Scaled so that its shorter side has this many pixels, then cut around
    /// the centre: classifiers.
    CenterCrop {
        /// Pixels of the shorter side before the cut.
        shorter_side: u32,
    },
}

/// What is done to an image before the network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Size of the network's input.
    pub size: ImageSize,
    /// How the image is brought to it.
    pub fit: Fit,
    /// Subtracted from red, green and blue, which count 0 to 1.
    pub mean: [f32; 3],
    /// Then divides them.
    pub std: [f32; 3],
}

impl Preprocessing {
    /// ImageNet's mean of red, green and blue.
    pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    /// ImageNet's standard deviation of red, green and blue.
    pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

    /// A detector's: stretched, 0 to 255 becoming -1 to 1, as for torchvision's
    /// SSD-lite.
    pub const fn detector(size: ImageSize) -> Self {
        Self {
            size,
            fit: Fit::Stretch,
            mean: [0.5; 3],
            std: [0.5; 3],
        }
    }

    /// A classifier's: shorter side to 8/7 of the input side (256 for 224),
    /// centre cut, ImageNet's normalisation.
    pub const fn classifier(side: u32) -> Self {
        Self {
            size: ImageSize::square(side),
            fit: Fit::CenterCrop {
                shorter_side: side.saturating_mul(8).div_ceil(7),
            },
            mean: Self::IMAGENET_MEAN,
            std: Self::IMAGENET_STD,
        }
    }

    /// The size at which an image is large enough for this: twice that to which it is
    /// brought. What is decoded at a reduced scale is no smaller, so that images below
    /// four times that size are decoded whole.
    pub fn enough(&self) -> ImageSize {
        let ImageSize { width, height } = match self.fit {
            Fit::Stretch => self.size,
            Fit::CenterCrop { shorter_side } => ImageSize::square(shorter_side),
        };
        ImageSize::new(width.saturating_mul(2), height.saturating_mul(2))
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::OverLimit`] for a side outside [`MIN_INPUT_SIDE`] to
    /// [`MAX_INPUT_SIDE`]; [`Error::Malformed`] for a crop larger than the
    /// scaled image, or a mean or deviation that is not a sound number.
    pub fn validate(&self) -> Result<()> {
        let sides = MIN_INPUT_SIDE..=MAX_INPUT_SIDE;
        if !sides.contains(&self.size.width) || !sides.contains(&self.size.height) {
            return Err(Error::OverLimit(format!(
                "expected input sides of {MIN_INPUT_SIDE} to {MAX_INPUT_SIDE} pixels, found {}",
                self.size
            )));
        }
        if let Fit::CenterCrop { shorter_side } = self.fit {
            let least = self.size.width.max(self.size.height);
            if !(least..=2 * MAX_INPUT_SIDE).contains(&shorter_side) {
                return Err(Error::Malformed(format!(
                    "expected a shorter side of {least} to {} pixels, found {shorter_side}",
                    2 * MAX_INPUT_SIDE
                )));
            }
        }
        let sound_mean = self.mean.iter().all(|mean| mean.is_finite());
        let sound_std = self.std.iter().all(|std| std.is_finite() && *std > 1e-6);
        if sound_mean && sound_std {
            Ok(())
        } else {
            Err(Error::Malformed(format!(
                "expected finite means and positive deviations, found {:?} and {:?}",
                self.mean, self.std
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_settings_are_sound() {
        assert!(
            Preprocessing::detector(ImageSize::new(300, 320))
                .validate()
                .is_ok()
        );
        let classifier = Preprocessing::classifier(224);
        assert!(classifier.validate().is_ok());
        assert_eq!(classifier.fit, Fit::CenterCrop { shorter_side: 256 });
    }

    #[test]
    fn bad_numbers_are_refused() {
        let good = Preprocessing::classifier(224);
        let bad = [
            Preprocessing {
                size: ImageSize::new(0, 224),
                ..good
            },
            Preprocessing {
                size: ImageSize::square(60_000),
                ..good
            },
            Preprocessing {
                std: [0.2, 0.0, 0.2],
                ..good
            },
            Preprocessing {
                mean: [f32::NAN, 0.0, 0.2],
                ..good
            },
            Preprocessing {
                fit: Fit::CenterCrop { shorter_side: 100 },
                ..good
            },
            Preprocessing {
                fit: Fit::CenterCrop {
                    shorter_side: u32::MAX,
                },
                ..good
            },
        ];
        assert!(bad.iter().all(|settings| settings.validate().is_err()));
        for side in [0, u32::MAX / 7, u32::MAX] {
            assert!(Preprocessing::classifier(side).validate().is_err());
        }
    }
}
