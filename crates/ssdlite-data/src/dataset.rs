//! Data sets in memory: which images there are and what they show.
//!
//! Every reader of a format ends here, and the loader, the statistics and the
//! evaluation start from here. No image is held: only paths, sizes, labels.

use std::path::PathBuf;

use ssdlite_core::{ClassId, ClassNames, GroundTruth, ImageSize};

/// An image with the objects that an annotator marked in it.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionImage {
    /// The image's name in its data set, different from all others of it.
    pub id: String,
    /// The file that holds the image.
    pub path: PathBuf,
    /// The size of the image as it is shown, EXIF orientation applied.
    pub size: ImageSize,
    /// The marked objects, in the annotator's order. Every box is valid, lies
    /// inside `size` and counts pixels of the image as it is shown, from 0,
    /// right and bottom edge exclusive. May be empty.
    pub objects: Vec<GroundTruth>,
}

/// Images for training or evaluating a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectionSet {
    /// The classes that the objects' ids index.
    pub classes: ClassNames,
    /// The images, in the order of the list that named them.
    pub images: Vec<DetectionImage>,
}

impl DetectionSet {
    /// The number of objects in all images.
    pub fn object_count(&self) -> usize {
        self.images.iter().map(|image| image.objects.len()).sum()
    }

    /// Whether there are objects that an evaluation counts: difficult ones it does not.
    pub fn has_countable(&self) -> bool {
        let mut objects = self.images.iter().flat_map(|image| &image.objects);
        objects.any(|object| !object.difficult)
    }
}

/// An image of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledImage {
    /// The file that holds the image.
    pub path: PathBuf,
    /// What it shows.
    pub class: ClassId,
}

/// Images for training or evaluating a classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationSet {
    /// The classes that the images' ids index.
    pub classes: ClassNames,
    /// The images, class by class in the order of the ids, by file name
    /// within a class.
    pub images: Vec<LabelledImage>,
}
