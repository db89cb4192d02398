//! From a decoded image to the pixels of a network's input, as evaluating and
//! detecting make them; augmentation makes them of a part of the image.

use ssdlite_core::preprocessing::{Fit, Preprocessing};
use ssdlite_core::tiles::Tile;

use crate::error::{Error, Result};
use crate::resize::Resizer;
use crate::rgb::{AsRgb, CHANNELS, RgbImage, RgbView};

/// Brings images to a network's input size, keeping its scratch memory from one to the next.
#[derive(Debug)]
pub struct Preprocessor {
    spec: Preprocessing,
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
            resizer: Resizer::new(),
            fitted: RgbImage::filled(spec.size, [0; CHANNELS]),
        })
    }

    /// The description it was made from.
    pub fn spec(&self) -> &Preprocessing {
        &self.spec
    }

    /// The image at the network's input size, still in 8 bits. An image
    /// that has this size already is handed back as it is.
    pub fn fit<'a>(&'a mut self, image: &'a impl AsRgb) -> RgbView<'a> {
        let image = image.as_rgb();
        match self.spec.fit {
            Fit::Stretch if image.size() == self.spec.size => return image,
            Fit::Stretch => self.resizer.stretch_into(&image, &mut self.fitted),
            Fit::CenterCrop { shorter_side } => {
                self.resizer
                    .center_crop_into(&image, shorter_side, &mut self.fitted);
            }
        }
        self.fitted.as_rgb()
    }

    /// A part of the image at the network's input size, still in 8 bits: stretched, if
    /// it isn't all of the image.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the part is empty or reaches out of the image.
    pub fn fit_part<'a>(&'a mut self, image: &'a impl AsRgb, part: Tile) -> Result<RgbView<'a>> {
        if part == Tile::whole(image.as_rgb().size()) {
            return Ok(self.fit(image));
        }
        self.resizer
            .stretch_region_into(image, part.to_box(), &mut self.fitted)?;
        Ok(self.fitted.as_rgb())
    }
}
