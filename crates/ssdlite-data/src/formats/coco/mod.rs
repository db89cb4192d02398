//! Detection data as COCO has it.
//!
//! A JSON file has the labels of many images, most often a split's: `train.json`,
//! `instances_val2017.json`, or Roboflow's `_annotations.coco.json` in the folder
//! `train`. An image's name in it stands for the file of that name that is nearest to
//! it ([`image_index`]). Of an object its box is read; polygons and run lengths are
//! counted and left alone. An object with `iscrowd` is taken for a difficult one, since
//! neither rewards nor punishes a detector.
//!
//! Categories may have any ids. A category that no object has and that others name as
//! their super-category is none: Roboflow writes one with the id 0, at times with the
//! name of a class. An image may stand in several files; it has the objects of all, each
//! once.
//!
//! Sources: "COCO data format", section "Object Detection"; open-edge-platform/datumaro
//! issue 1160 for Roboflow's files.

mod categories;
mod gather;
mod image_index;
mod left_out;
mod raw;

pub(crate) mod set;

use crate::error::{Error, Result};
use crate::formats::contents::Contents;
use crate::formats::recognise::is_coco;
use crate::split::Split;
use crate::tree::{Tree, TreeFile};

use gather::Gathered;
use image_index::{ImageIndex, split_of_name};

/// What a folder holds whose labels are COCO's.
///
/// # Errors
/// [`Error::Malformed`] if there are no such files, [`Error::OverLimit`] for too many
/// classes.
pub(crate) fn contents(tree: Tree) -> Result<Contents> {
    let is_json = |file: &&TreeFile| file.ending() == "json";
    let files = tree
        .files
        .iter()
        .filter(is_json)
        .filter(|file| is_coco(file));
    let mut files: Vec<(Option<Split>, &TreeFile)> =
        files.map(|file| (split_of(file), file)).collect();
    // The classes are in the order of the training images' file.
    files.sort_by_key(|(split, _)| split.map_or(Split::ALL.len(), |split| split as usize));
    if files.is_empty() {
        return Err(Error::Malformed(format!(
            "{}: expected JSON files with `images`, `annotations` and `categories` as COCO has \
             them, found none",
            tree.root().display()
        )));
    }
    let index = ImageIndex::new(&tree);
    let mut gathered = Gathered::default();
    for (split, file) in files {
        gathered.add_file(split, file, &index);
    }
    gathered.into_contents(&tree)
}

/// The split that a file is of, by its name or its folder's.
fn split_of(file: &TreeFile) -> Option<Split> {
    let folder = file.folder.rsplit('/').next().unwrap_or_default();
    split_of_name(file.stem()).or_else(|| split_of_name(folder))
}
