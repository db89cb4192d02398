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
        let reduction = image.reduction();
        match self.spec.fit {
            Fit::Stretch if image.size() == self.spec.size && reduction.is_none() => return image,
            Fit::Stretch => {
                let whole = Tile::whole(reduction.whole_size()).to_box();
                let region = reduction.reduced_box(whole);
                let stretched = self
                    .resizer
                    .stretch_region_into(&image, region, &mut self.fitted);
                stretched.expect("the whole image");
            }
            Fit::CenterCrop { shorter_side } => {
                self.resizer
                    .center_crop_into(&image, shorter_side, &mut self.fitted);
            }
        }
        self.fitted.as_rgb()
    }

    /// A part of the whole image at the network's input size, still in 8 bits:
    /// stretched, if it isn't all of the image.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the part is empty or reaches out of the image.
    pub fn fit_part<'a>(&'a mut self, image: &'a impl AsRgb, part: Tile) -> Result<RgbView<'a>> {
        let reduction = image.as_rgb().reduction();
        if part == Tile::whole(reduction.whole_size()) {
            return Ok(self.fit(image));
        }
        let region = reduction.reduced_box(part.to_box());
        self.resizer
            .stretch_region_into(image, region, &mut self.fitted)?;
        Ok(self.fitted.as_rgb())
    }
}
