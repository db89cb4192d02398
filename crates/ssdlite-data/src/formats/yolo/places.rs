//! Where the images and label files of a YOLO set are.
//!
//! A folder `labels` belongs to the folder `images` beside it, and a label file to the
//! image that has the same place in that one; or label files lie beside their images.

use crate::files::read_start;
use crate::formats::places::{BoxLayout, BoxPart};
use crate::formats::recognise::are_yolo_labels;
use crate::formats::yolo::names::is_names_file;
use crate::layout::{named, split_of_list};
use crate::split::Split;
use crate::tree::{FileKind, Tree, TreeFile, below, under};

/// The folders of images and labels in `base`; without one it is the folder that all of
/// them are in. None where there are no labels.
pub(super) fn layout_of(tree: &Tree, base: Option<&str>) -> Option<BoxLayout> {
    let within = base.unwrap_or_default();
    let mut pairs = pairs_in(tree, within);
    if pairs.is_empty() {
        pairs = folders_of_both(tree, within);
    }
    let is_apart = pairs.iter().any(|pair| pair.images != pair.labels);
    let parents: Vec<&str> = pairs.iter().map(|pair| pair.parent.as_str()).collect();
    let base = match base {
        Some(base) => base.to_owned(),
        None => folder_around(&parents, is_apart)?,
    };
    let part = |pair: &Pair| {
        let inner = below(&pair.parent, &base).unwrap_or_default();
        BoxPart {
            annotations: pair.labels.clone(),
            images: pair.images.clone(),
            prefix: match inner {
                "" => String::new(),
                inner => format!("{inner}/"),
            },
        }
    };
    let parts: Vec<BoxPart> = pairs.iter().map(part).collect();
    (!parts.is_empty()).then_some(BoxLayout {
        base,
        parts,
        annotation: "a label file",
    })
}

/// Whether a file has labels, of the folders of a layout.
pub(super) fn is_label_file(file: &TreeFile, layout: &BoxLayout, images: &Stems<'_>) -> bool {
    if file.ending() != "txt" || is_names_file(&file.name) {
        return false;
    }
    let mut parts = layout.parts.iter();
    let part = parts.find(|part| below(&file.folder, &part.annotations).is_some());
    match part {
        None => false,
        Some(part) if part.annotations != part.images => true,
        Some(_) => is_label_beside(file, images),
    }
}

/// Folder and stem of each image.
pub(super) type Stems<'a> = std::collections::HashSet<(&'a str, &'a str)>;

/// Whether a text file beside images has the labels of one, or of one that is missing.
fn is_label_beside(file: &TreeFile, images: &Stems<'_>) -> bool {
    if file.ending() != "txt" || is_names_file(&file.name) {
        return false;
    }
    let is_of_image = images.contains(&(file.folder.as_str(), file.stem()));
    is_of_image || split_of_list(file).is_none() && are_yolo_labels(&read_start(&file.path))
}

/// A folder of images and the one of their labels.
struct Pair {
    /// What both lie in; the folder itself where both are one.
    parent: String,
    images: String,
    labels: String,
}

/// The folders called `labels` with those of their images, and the folders called
/// `images` that have none.
fn pairs_in(tree: &Tree, base: &str) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    let called = |name: &'static str| {
        tree.all_folders().filter_map(move |folder| {
            let (parent, last) = folder.rsplit_once('/').unwrap_or(("", folder));
            let is_inside = below(folder, base).is_some_and(|inner| !inner.is_empty());
            (is_inside && last.eq_ignore_ascii_case(name)).then_some((parent, folder))
        })
    };
    for (parent, labels) in called("labels") {
        let is_in_another = |pair: &Pair| {
            below(labels, &pair.labels).is_some() || below(labels, &pair.images).is_some()
        };
        if pairs.iter().any(is_in_another) {
            continue;
        }
        pairs.push(Pair {
            parent: parent.to_owned(),
            images: images_of(tree, parent, labels),
            labels: labels.to_owned(),
        });
    }
    let has_labels = !pairs.is_empty();
    let images = tree.image_stems();
    for (parent, folder) in called("images") {
        let is_known = |pair: &Pair| {
            below(folder, &pair.images).is_some() || below(folder, &pair.labels).is_some()
        };
        if tree.all_in(folder).images == 0 || pairs.iter().any(is_known) {
            continue;
        }
        let is_beside = tree
            .files_in(folder)
            .any(|file| is_label_beside(file, &images));
        let pair = match (is_beside, has_labels) {
            (true, _) => Pair {
                parent: folder.to_owned(),
                images: folder.to_owned(),
                labels: folder.to_owned(),
            },
            (false, true) => Pair {
                parent: parent.to_owned(),
                images: folder.to_owned(),
                labels: under(parent, "labels"),
            },
            (false, false) => continue,
        };
        pairs.push(pair);
    }
    pairs
}

/// The folder of the images whose labels are in `labels`.
fn images_of(tree: &Tree, parent: &str, labels: &str) -> String {
    let children = tree.children(parent);
    if let Some(images) = named(&children, &["images"]) {
        return under(parent, images);
    }
    let places = children.into_iter().map(|child| under(parent, child));
    let with_images: Vec<String> = places
        .filter(|place| place != labels && tree.all_in(place).images > 0)
        .collect();
    match &with_images[..] {
        [images] => images.clone(),
        _ if tree.directly_in(parent).images > 0 => parent.to_owned(),
        _ if tree.all_in(labels).images > 0 => labels.to_owned(),
        _ => under(parent, "images"),
    }
}

/// The folders in which labels lie beside images: the data folder itself, or those in
/// it.
fn folders_of_both(tree: &Tree, base: &str) -> Vec<Pair> {
    let images = tree.image_stems();
    let has_both = |folder: &str| {
        tree.files_in(folder)
            .any(|file| is_label_beside(file, &images))
    };
    let pair = |folder: &str| Pair {
        parent: folder.to_owned(),
        images: folder.to_owned(),
        labels: folder.to_owned(),
    };
    let directly = |file: &TreeFile| file.folder == base && file.kind == FileKind::Other;
    let mut in_base = tree.files.iter().filter(|file| directly(file));
    if in_base.any(|file| is_label_beside(file, &images)) {
        return vec![pair(base)];
    }
    let children = tree
        .children(base)
        .into_iter()
        .map(|child| under(base, child));
    let folders: Vec<String> = children.filter(|folder| has_both(folder)).collect();
    folders.iter().map(|folder| pair(folder)).collect()
}

/// The folder that holds all of some, one that tells a split not among them.
fn folder_around(folders: &[&str], is_apart: bool) -> Option<String> {
    let (first, others) = folders.split_first()?;
    let mut around = *first;
    while others.iter().any(|other| below(other, around).is_none()) {
        around = parent_of(around);
    }
    // Images that lie beside their labels lie in the folder itself.
    if !is_apart && others.is_empty() {
        around = parent_of(around);
    }
    let last = around.rsplit('/').next().unwrap_or_default();
    if Split::from_folder_name(last).is_some() {
        around = parent_of(around);
    }
    Some(around.to_owned())
}

fn parent_of(folder: &str) -> &str {
    folder.rsplit_once('/').map_or("", |(parent, _)| parent)
}
