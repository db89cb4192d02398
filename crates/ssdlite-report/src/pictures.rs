//! The reduced images within a page.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssdlite_core::ImageSize;
use ssdlite_image::encode::jpeg_from_image;
use ssdlite_image::resize::Resizer;
use ssdlite_image::{Limits, RgbImage, decode};

use crate::error::Result;
use crate::shown::Names;

/// The longest side of an image on the page, in pixels: a phone's whole window at twice
/// its width, and half of a desktop's.
const LONGEST_SIDE: u32 = 800;

/// The JPEG quality, 1 to 100. Boxes are drawn by the page, not into the image.
const QUALITY: u8 = 75;

/// The most bytes that the images of a page take: with what else stands in it a page
/// stays below 25 MB, which mail programs still take.
const MOST_BYTES: usize = 22_000_000;

/// The images of a page, by their places in the evaluation.
#[derive(Debug, Default)]
pub(crate) struct Pictures(BTreeMap<usize, Picture>);

/// A reduced image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// The image as a `data:` address.
    pub(crate) address: String,
    /// Its size in pixels.
    pub(crate) size: ImageSize,
}

impl Pictures {
    /// Reduces these images in their order, each once, until a page is full.
    ///
    /// # Errors
    /// [`Error::Image`](crate::Error::Image) for an image that can't be read any more.
    pub(crate) fn reduce(names: &Names, wanted: impl IntoIterator<Item = usize>) -> Result<Self> {
        let mut resizer = Resizer::new();
        let mut pictures = BTreeMap::new();
        let mut room = MOST_BYTES;
        for index in wanted {
            if pictures.contains_key(&index) {
                continue;
            }
            let image = decode::decode_file(&names.images[index].path, &Limits::default())?;
            let image = reduced(image, &mut resizer);
            let picture = Picture {
                address: address(&jpeg_from_image(&image, QUALITY)?),
                size: image.size(),
            };
            match room.checked_sub(picture.address.len()) {
                Some(left) => room = left,
                None => break,
            }
            pictures.insert(index, picture);
        }
        Ok(Self(pictures))
    }

    /// An image that has found room on the page.
    pub(crate) fn has(&self, image: usize) -> bool {
        self.0.contains_key(&image)
    }

    /// All of them, in the order of the evaluation.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &Picture)> {
        self.0.iter().map(|(&image, picture)| (image, picture))
    }
}

/// A JPEG file as an address that holds it.
fn address(jpeg: &[u8]) -> String {
    let mut address = "data:image/jpeg;base64,".to_owned();
    STANDARD.encode_string(jpeg, &mut address);
    address
}

/// The image with its longest side at most [`LONGEST_SIDE`].
fn reduced(image: RgbImage, resizer: &mut Resizer) -> RgbImage {
    let ImageSize { width, height } = image.size();
    let longest = width.max(height);
    if longest <= LONGEST_SIDE {
        return image;
    }
    let side = |side: u32| {
        let reduced = u64::from(side) * u64::from(LONGEST_SIDE) / u64::from(longest);
        // Not above the longest side, which fits.
        u32::try_from(reduced).unwrap_or(LONGEST_SIDE).max(1)
    };
    resizer.stretch(&image, ImageSize::new(side(width), side(height)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_images_are_reduced_and_keep_their_shape() {
        let mut resizer = Resizer::new();
        for (from, to) in [
            ((1920, 1080), (800, 450)),
            ((30, 4000), (6, 800)),
            ((5000, 2), (800, 1)),
            ((800, 31), (800, 31)),
            ((5, 3), (5, 3)),
        ] {
            let image = RgbImage::filled(ImageSize::new(from.0, from.1), [9, 8, 7]);
            let size = reduced(image, &mut resizer).size();
            assert_eq!((size.width, size.height), to);
        }
    }

    #[test]
    fn an_address_holds_its_file() {
        let encoded = address(&[0xff, 0xd8, 0xff]);
        assert_eq!(encoded, "data:image/jpeg;base64,/9j/");
    }
}
