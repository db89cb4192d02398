//! VOC's own names for the folders and files of a data folder: those that are
//! written. What is read may have others, see [`crate::formats::places`].

use crate::split::Split;

/// The folder of the annotations, a file for each image.
pub(crate) const ANNOTATIONS: &str = "Annotations";

/// The folder of the images.
pub(crate) const IMAGES: &str = "JPEGImages";

/// The folder of the lists, a file for each split.
pub(crate) const LISTS: &str = "ImageSets/Main";

/// The name of that folder in the one of all lists.
pub const MAIN_LISTS: &str = "Main";

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

/// The folder of the lists of this name, seen from the data folder.
pub(crate) fn lists_folder(name: &str) -> String {
    format!("{LISTS_PARENT}/{name}")
}

/// What the lists of a fold of a cross-validation are called, counted from 1.
pub(crate) fn fold_name(fold: usize) -> String {
    format!("fold{fold}")
}

/// A split's list, seen from the data folder.
pub(crate) fn list_file(split: Split) -> String {
    format!("{LISTS}/{split}.txt")
}
