//! VOC's own names for the folders and files of a data folder: those that are
//! written. What is read may have others, see [`crate::layout`].

use crate::split::Split;

/// The folder of the annotations, a file for each image.
pub(crate) const ANNOTATIONS: &str = "Annotations";

/// The folder of the images.
pub(crate) const IMAGES: &str = "JPEGImages";

/// The folder of the lists, a file for each split.
pub(crate) const LISTS: &str = "ImageSets/Main";

/// The folder of that folder.
pub(crate) const LISTS_PARENT: &str = "ImageSets";

/// The folders of the masks for segmentation.
pub(crate) const VOC_MASKS: [&str; 2] = ["SegmentationClass", "SegmentationObject"];

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
