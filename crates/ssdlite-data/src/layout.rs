//! What a data folder holds, decided once and by its files alone.
//!
//! Folders with labels of boxes in a form that is read hold images with boxes,
//! whatever the folders are called ([`recognise`](crate::formats::recognise));
//! labels in a form that is not read are refused by name; and only what has neither
//! is taken for class folders. A message says what was found.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::finding::quoted;
use crate::formats::recognise::{Taken, taken_for, vocs_folders};
use crate::formats::unread::unread_labels;
use crate::formats::{FORMS_THAT_ARE_READ, Format};
use crate::split::Split;
use crate::tree::{Tree, TreeFile, under};
use crate::voc::layout::{ANNOTATIONS, IMAGES};

/// Names of folders that say what kind of files they hold, in lower case: no
/// classes, where there is no other name.
const KINDS: [&str; 9] = [
    "annotations",
    "image",
    "images",
    "img",
    "imgs",
    "jpegimages",
    "labels",
    "mask",
    "masks",
];

/// Whether a folder's name says what kind of files it holds.
pub(crate) fn is_kind(name: &str) -> bool {
    KINDS.contains(&name.to_lowercase().as_str())
}

/// What a data folder holds, and all its files.
pub(crate) enum Layout {
    /// Images with boxes.
    Boxes(Taken, Tree),
    /// Images in a folder for each class.
    Classes(ClassLayout, Tree),
}

/// Folders of images, one for each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClassLayout {
    /// They are in a folder for each split.
    PerSplit(BTreeMap<Split, String>),
    /// They are in the data folder itself.
    Single,
}

impl Layout {
    /// Decides what the folder at `root` holds; of images with boxes the `format`, if
    /// there is one.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`]; [`Error::Malformed`] if it is no folder or holds
    /// nothing that can be read, [`Error::Unsupported`] for labels of another form,
    /// [`Error::Io`] if it can't be listed.
    pub(crate) fn of(root: &Path, format: Option<Format>) -> Result<Self> {
        let tree = Tree::of(root)?;
        if let Some(format) = format {
            return Ok(Self::Boxes(Taken::as_asked(format), tree));
        }
        if let Some(taken) = taken_for(&tree) {
            return Ok(Self::Boxes(taken, tree));
        }
        if let Some(labels) = unread_labels(&tree) {
            return Err(Error::Unsupported(format!(
                "{}: expected {FORMS_THAT_ARE_READ}, or a folder of images for each class; found \
                 {labels}, which are not read; convert them to one of these",
                root.display()
            )));
        }
        if let Some(taken) = vocs_folders(&tree) {
            return Ok(Self::Boxes(taken, tree));
        }
        let classes = classes_in(&tree)?;
        Ok(Self::Classes(classes, tree))
    }
}

/// How a folder of images with boxes has to look, for a message.
pub(crate) fn expected_boxes(root: &Path, fault: &str) -> Error {
    Error::Malformed(format!(
        "{}: expected images with boxes ({ANNOTATIONS}/ID.xml and {IMAGES}/ID.jpg, or ID.xml \
         beside ID.jpg), {fault}",
        root.display()
    ))
}

/// How a folder of images in class folders has to look, for a message.
pub(crate) fn expected_classes(root: &Path, fault: &str) -> Error {
    Error::Malformed(format!(
        "{}: expected train/CLASS/ or CLASS/ folders of images, {fault}",
        root.display()
    ))
}

/// The first of these names that a folder has, in any case.
pub(crate) fn named<'a>(children: &[&'a str], names: &[&str]) -> Option<&'a str> {
    let exactly = names.iter().find_map(|name| {
        let mut children = children.iter();
        children.find(|child| *child == name)
    });
    let in_any_case = || {
        names.iter().find_map(|name| {
            let mut children = children.iter();
            children.find(|child| child.eq_ignore_ascii_case(name))
        })
    };
    exactly.or_else(in_any_case).copied()
}

/// Names for a message.
pub(crate) fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    names.join(", ")
}

/// Where class folders are.
fn classes_in(tree: &Tree) -> Result<ClassLayout> {
    let root = tree.root();
    let children = tree.children("");
    if tree.all_in("").images == 0 {
        let fault = match &children[..] {
            [] => "found no image and no folder".to_owned(),
            _ => format!("found no image in {}", listed(&children)),
        };
        return Err(Error::Malformed(format!(
            "{}: expected images, with {FORMS_THAT_ARE_READ} or in folders named by their class; \
             {fault}",
            root.display()
        )));
    }
    let unlabelled = |folder: &str| {
        let named = (tree.children(folder).into_iter()).map(|name| (name, under(folder, name)));
        let holding = named.filter(|(_, place)| tree.all_in(place).images > 0);
        let (names, places): (Vec<&str>, Vec<String>) = holding.unzip();
        let are_kinds = names.iter().all(|name| is_kind(name));
        (are_kinds && !names.is_empty()).then(|| {
            let places: Vec<&str> = places.iter().map(String::as_str).collect();
            let fault = format!("found images without labels in {}", listed(&places));
            expected_classes(root, &fault)
        })
    };
    let splits: Vec<(Split, &str)> = (children.iter())
        .filter_map(|name| Some((Split::from_folder_name(name)?, *name)))
        .collect();
    let train = splits.iter().find(|(split, _)| *split == Split::Train);
    if let Some((_, train)) = train
        && !tree.children(train).is_empty()
    {
        if let Some(error) = unlabelled(train) {
            return Err(error);
        }
        let mut folders = BTreeMap::new();
        for (split, name) in splits {
            if let Some(other) = folders.insert(split, name.to_owned()) {
                let names = listed(&[&other, name]);
                let fault = format!("found {names}, each for the split {split}; join them");
                return Err(expected_classes(root, &fault));
            }
        }
        return Ok(ClassLayout::PerSplit(folders));
    }
    if children.is_empty() {
        let fault = "found images without labels, and no folder";
        return Err(expected_classes(root, fault));
    }
    let holds_images = |name: &str| tree.directly_in(name).images > 0;
    if splits.len() == children.len() && children.iter().any(|name| holds_images(name)) {
        let fault = format!("found images without labels in {}", listed(&children));
        return Err(expected_classes(root, &fault));
    }
    if !children.iter().any(|name| holds_images(name)) {
        let inner = tree.files.iter().find(|file| !file.folder.is_empty());
        let inner = inner.map_or("", |file| &file.folder);
        let fault = format!("found images further down, as in {}", quoted(inner));
        return Err(expected_classes(root, &fault));
    }
    if let Some(error) = unlabelled("") {
        return Err(error);
    }
    Ok(ClassLayout::Single)
}

/// A folder, seen from the data folder, as a finding's file.
pub(crate) fn shown(folder: &str) -> &str {
    if folder.is_empty() { "." } else { folder }
}

/// The split whose list a file is by its name.
pub(crate) fn split_of_list(file: &TreeFile) -> Option<Split> {
    let split = Split::from_folder_name(file.stem())?;
    (file.ending() == "txt").then_some(split)
}
