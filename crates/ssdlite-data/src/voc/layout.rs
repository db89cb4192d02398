//! Where the files of a VOC data folder lie. The one place that knows.

use crate::split::Split;

/// The folder of the annotations, a file for each image.
pub(super) const ANNOTATIONS: &str = "Annotations";

/// The folder of the images.
pub(super) const IMAGES: &str = "JPEGImages";

/// The folder of the lists, a file for each split.
pub(super) const LISTS: &str = "ImageSets/Main";

/// The folders that make a data folder one of VOC.
pub(crate) const FOLDERS: [&str; 2] = [ANNOTATIONS, IMAGES];

/// The annotation file of an id, seen from the data folder.
pub(super) fn annotation_file(id: &str) -> String {
    format!("{ANNOTATIONS}/{id}.xml")
}

/// An image file, seen from the data folder.
pub(super) fn image_file(name: &str) -> String {
    format!("{IMAGES}/{name}")
}

/// A split's list, seen from the data folder.
pub(super) fn list_file(split: Split) -> String {
    format!("{LISTS}/{split}.txt")
}
