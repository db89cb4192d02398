//! The reduced images beside a page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ssdlite_core::ImageSize;
use ssdlite_files::{remove_leftovers, write_atomically};
use ssdlite_image::encode::jpeg_from_image;
use ssdlite_image::resize::Resizer;
use ssdlite_image::{Limits, RgbImage, decode};

use crate::error::{Error, Result};
use crate::shown::Names;

/// The folder of the images, beside the page.
const FOLDER: &str = "report-images";

/// The longest side of an image on the page, in pixels: as wide as a large window shows
/// it.
const LONGEST_SIDE: u32 = 960;

/// The JPEG quality, 1 to 100. Boxes are drawn by the page, not into the image.
const QUALITY: u8 = 80;

/// The images of a page, by their places in the evaluation.
#[derive(Debug)]
pub(crate) struct Pictures(BTreeMap<usize, Picture>);

/// A reduced image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Its path seen from the page, of letters, digits and `/` alone.
    pub(crate) path: String,
    /// Its size in pixels.
    pub(crate) size: ImageSize,
}

impl Pictures {
    /// Reduces these images and writes them beside the page that will be in `folder`.
    pub(crate) fn write(folder: &Path, names: &Names, wanted: &BTreeSet<usize>) -> Result<Self> {
        let images = folder.join(FOLDER);
        fs::create_dir_all(&images).map_err(|source| Error::io(&images, source))?;
        // What earlier ones left that were killed.
        remove_leftovers(&images, is_picture);
        let mut resizer = Resizer::new();
        let mut written = BTreeMap::new();
        for &index in wanted {
            let original = &names.images[index];
            let image = decode::decode_file(&original.path, &Limits::default())?;
            let image = reduced(image, &mut resizer);
            let name = format!("{:05}.jpg", index + 1);
            let path = images.join(&name);
            let bytes = jpeg_from_image(&image, QUALITY)?;
            write_atomically(&path, &bytes).map_err(|source| Error::io(&path, source))?;
            let picture = Picture {
                path: format!("{FOLDER}/{name}"),
                size: image.size(),
            };
            written.insert(index, picture);
        }
        Ok(Self(written))
    }

    /// Removes the images of an earlier page that are none of this one's.
    pub(crate) fn remove_others(&self, folder: &Path) -> Result<()> {
        let images = folder.join(FOLDER);
        let kept: BTreeSet<&str> = self
            .0
            .values()
            .map(|picture| picture.path.as_str())
            .collect();
        let entries = fs::read_dir(&images).map_err(|source| Error::io(&images, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| Error::io(&images, source))?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| is_picture(name)) else {
                continue;
            };
            if !kept.contains(format!("{FOLDER}/{name}").as_str()) {
                let path = entry.path();
                fs::remove_file(&path).map_err(|source| Error::io(&path, source))?;
            }
        }
        Ok(())
    }

    /// An image that was written.
    pub(crate) fn get(&self, image: usize) -> Option<&Picture> {
        self.0.get(&image)
    }
}

/// Whether a file's name is one that is given here.
fn is_picture(name: &str) -> bool {
    let number = name.strip_suffix(".jpg");
    number
        .is_some_and(|number| number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit()))
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
            ((1920, 1080), (960, 540)),
            ((30, 4000), (7, 960)),
            ((5000, 2), (960, 1)),
            ((960, 31), (960, 31)),
            ((5, 3), (5, 3)),
        ] {
            let image = RgbImage::filled(ImageSize::new(from.0, from.1), [9, 8, 7]);
            let size = reduced(image, &mut resizer).size();
            assert_eq!((size.width, size.height), to);
        }
    }

    #[test]
    fn names_of_pictures_are_told_from_others() {
        for name in ["00001.jpg", "123456.jpg"] {
            assert!(is_picture(name), "{name}");
        }
        for name in [
            "1.jpg",
            "0000a.jpg",
            "00001.png",
            "cat.jpg",
            "00001",
            ".jpg",
        ] {
            assert!(!is_picture(name), "{name}");
        }
    }
}
