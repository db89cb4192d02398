//! From a decoded picture to a network's input: the one way of the project,
//! used while training, evaluating and detecting.

use ssdlite_core::preprocessing::{Fit, Preprocessing};

use crate::error::{Error, Result};
use crate::normalise::{Layout, Normaliser};
use crate::resize::Resizer;
use crate::rgb::{CHANNELS, RgbImage};

/// Brings pictures to a network's input size and normalises them, keeping its
/// scratch memory from one to the next.
#[derive(Debug)]
pub struct Preprocessor {
    spec: Preprocessing,
    normaliser: Normaliser,
    resizer: Resizer,
    fitted: RgbImage,
}

impl Preprocessor {
    /// A preprocessor as a model file describes it.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the description is not sound.
    pub fn new(spec: &Preprocessing) -> Result<Self> {
        spec.validate()
            .map_err(|error| Error::Malformed(format!("preprocessing: {error}")))?;
        Ok(Self {
            spec: *spec,
            normaliser: Normaliser::new(spec),
            resizer: Resizer::new(),
            fitted: RgbImage::filled(spec.size, [0; CHANNELS]),
        })
    }

    /// The description it was made from.
    pub fn spec(&self) -> &Preprocessing {
        &self.spec
    }

    /// The picture at the network's input size, still in 8 bits. A picture
    /// that has this size already is handed back as it is.
    pub fn fit<'a>(&'a mut self, image: &'a RgbImage) -> &'a RgbImage {
        fit(&self.spec, &mut self.resizer, &mut self.fitted, image)
    }

    /// Writes the network's input for one picture, of shape
    /// `[height, width, 3]` or `[3, height, width]`.
    ///
    /// # Panics
    /// If `input` does not hold exactly three numbers for each pixel of the
    /// network's input size.
    pub fn write_input(&mut self, image: &RgbImage, layout: Layout, input: &mut [f32]) {
        let fitted = fit(&self.spec, &mut self.resizer, &mut self.fitted, image);
        self.normaliser.write(fitted, layout, input);
    }
}

fn fit<'a>(
    spec: &Preprocessing,
    resizer: &mut Resizer,
    scratch: &'a mut RgbImage,
    image: &'a RgbImage,
) -> &'a RgbImage {
    match spec.fit {
        Fit::Stretch if image.size() == spec.size => return image,
        Fit::Stretch => resizer.stretch_into(image, scratch),
        Fit::CenterCrop { shorter_side } => {
            resizer.center_crop_into(image, shorter_side, scratch);
        }
    }
    scratch
}
