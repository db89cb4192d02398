//! What a data folder holds, decided once and by its files alone.
//!
//! Folders with XML annotations hold images with boxes, whatever the folders are
//! called; labels in a form that is not read yet are refused by name; and only
//! what has neither is taken for class folders. A message says what was found.

use std::collections::BTreeMap;
use std::path::Path;

use ssdlite_files::counted;

use crate::error::{Error, Result};
use crate::files::read_start;
use crate::finding::{Finding, FindingKind, quoted};
use crate::labels::other_labels;
use crate::split::Split;
use crate::tree::{FileKind, Tree, TreeFile, below, under};
use crate::voc::layout::{ANNOTATIONS, IMAGES, LISTS_PARENT, VOC_MASKS};

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

/// What a data folder holds, and all its files.
pub(crate) enum Layout {
    Boxes(BoxLayout, Tree),
    Classes(ClassLayout, Tree),
}

/// Images with boxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoxLayout {
    /// The folder that the lists are in or below of.
    pub(crate) base: String,
    /// At least one.
    pub(crate) parts: Vec<BoxPart>,
}

/// Annotations and their images. Both folders may be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoxPart {
    pub(crate) annotations: String,
    pub(crate) images: String,
    /// What the ids start with: empty, or a folder with its `/`.
    pub(crate) prefix: String,
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
    /// Decides what the folder at `root` holds.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`]; [`Error::Malformed`] if it is no folder or holds
    /// nothing that can be read, [`Error::Unsupported`] for labels of another form,
    /// [`Error::Io`] if it can't be listed.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let tree = Tree::of(root)?;
        let is_annotated = is_annotated(&tree);
        if !is_annotated && let Some(labels) = other_labels(&tree) {
            return Err(Error::Unsupported(format!(
                "{}: expected annotations in XML as PASCAL VOC has them, or a folder of images \
                 for each class; found {labels}, which are not read yet; convert them to VOC",
                root.display()
            )));
        }
        if is_annotated || has_voc_folders(&tree) {
            let boxes = boxes_in(&tree, "", "").map_err(|fault| expected_boxes(root, &fault))?;
            return Ok(Self::Boxes(boxes, tree));
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

/// Whether there is an XML file beside an image of its name, or one of VOC's form.
/// Of many the first ones tell what all are.
fn is_annotated(tree: &Tree) -> bool {
    const ASKED: usize = 20;
    let images = tree.image_stems();
    let annotations = || (tree.files.iter()).filter(|file| file.kind == FileKind::Annotation);
    let is_beside = |file: &TreeFile| images.contains(&(file.folder.as_str(), file.stem()));
    let has_root = |file: &TreeFile| {
        // Of UTF-16 every other byte is zero.
        let mut start = read_start(&file.path);
        start.retain(|&byte| byte != 0);
        let root = b"<annotation";
        let windows = start.windows(root.len() + 1);
        let mut starting = windows.filter(|window| window.starts_with(root));
        // CVAT's own form has `<annotations>`.
        starting.any(|window| !window[root.len()].is_ascii_alphanumeric())
    };
    annotations().any(is_beside) || annotations().take(ASKED).any(has_root)
}

/// Whether VOC's folders are there by name.
fn has_voc_folders(tree: &Tree) -> bool {
    let children = tree.children("");
    (named(&children, &[ANNOTATIONS]).is_some() && named(&children, &["images"]).is_some())
        || named(&children, &[IMAGES]).is_some()
        || children.contains(&ANNOTATIONS)
}

/// The first of these names that a folder has, in any case.
fn named<'a>(children: &[&'a str], names: &[&str]) -> Option<&'a str> {
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

/// Where annotations and images are in `base`; the fault is the end of a message.
fn boxes_in(tree: &Tree, base: &str, prefix: &str) -> std::result::Result<BoxLayout, String> {
    let part = |annotations: &str, images: &str| BoxLayout {
        base: base.to_owned(),
        parts: vec![BoxPart {
            annotations: annotations.to_owned(),
            images: images.to_owned(),
            prefix: prefix.to_owned(),
        }],
    };
    let children = tree.children(base);
    let annotations = named(&children, &[ANNOTATIONS, "annotation"]);
    let images = named(&children, &[IMAGES, "images"]);
    if let (Some(annotations), Some(images)) = (annotations, images) {
        let is_vocs = annotations == ANNOTATIONS;
        let [annotations, images] = [annotations, images].map(|name| under(base, name));
        let apart = tree.all_in(&images).annotations == 0 && !tree.mixes_kinds(&annotations);
        if is_vocs || apart {
            return Ok(part(&annotations, &images));
        }
    }
    let here = tree.directly_in(base);
    if here.images > 0 && here.annotations > 0 {
        return Ok(part(base, base));
    }
    let (mut annotated, mut pictured, mut both) = (Vec::new(), Vec::new(), Vec::new());
    for name in children {
        let counts = tree.all_in(&under(base, name));
        match (counts.annotations > 0, counts.images > 0) {
            (true, true) => both.push(name),
            (true, false) => annotated.push(name),
            (false, true) => pictured.push(name),
            (false, false) => {}
        }
    }
    if let [child] = both[..]
        && Split::from_folder_name(child).is_none()
    {
        return boxes_in(tree, &under(base, child), prefix);
    }
    if both.is_empty() {
        let annotations = match here.annotations {
            0 => one_of(base, annotated, &[ANNOTATIONS, "annotation"], "annotations")?,
            _ => base.to_owned(),
        };
        let images = match here.images {
            0 => one_of(base, pictured, &[IMAGES, "images"], "images")?,
            _ => base.to_owned(),
        };
        return Ok(part(&annotations, &images));
    }
    let mut parts = Vec::new();
    for child in &both {
        let folder = under(base, child);
        if named(&tree.children(&folder), &["ImageSets"]).is_some() {
            return Err(format!(
                "found several: {}; name one of them",
                listed(&both)
            ));
        }
        let inner = boxes_in(tree, &folder, &format!("{prefix}{child}/"))?;
        parts.extend(inner.parts);
    }
    Ok(BoxLayout {
        base: base.to_owned(),
        parts,
    })
}

/// The one folder, or the one of several that has one of these names.
fn one_of(
    base: &str,
    found: Vec<&str>,
    names: &[&str],
    what: &str,
) -> std::result::Result<String, String> {
    if let Some(name) = named(&found, names) {
        return Ok(under(base, name));
    }
    match &found[..] {
        [] => Err(format!("found no {what}")),
        [name] => Ok(under(base, name)),
        _ => Err(format!("found {what} in {}", listed(&found))),
    }
}

fn listed(names: &[&str]) -> String {
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
            "{}: expected images with boxes ({ANNOTATIONS}/ID.xml and {IMAGES}/ID.jpg, or ID.xml \
             beside ID.jpg), or in folders named by their class; {fault}",
            root.display()
        )));
    }
    let unlabelled = |folder: &str| {
        let named = (tree.children(folder).into_iter()).map(|name| (name, under(folder, name)));
        let holding = named.filter(|(_, place)| tree.all_in(place).images > 0);
        let (names, places): (Vec<&str>, Vec<String>) = holding.unzip();
        let are_kinds = (names.iter()).all(|name| KINDS.contains(&name.to_lowercase().as_str()));
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

impl BoxLayout {
    /// What is in the data folder and in none of the places that are read.
    pub(crate) fn left_out(&self, tree: &Tree) -> Vec<Finding> {
        let is_read = |file: &TreeFile| match file.kind {
            FileKind::Annotation => self
                .parts
                .iter()
                .any(|part| below(&file.folder, &part.annotations).is_some()),
            FileKind::Image(_) => {
                (self.parts.iter()).any(|part| below(&file.folder, &part.images).is_some())
            }
            FileKind::Other => true,
        };
        let mut folders: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for file in tree.files.iter().filter(|file| !is_read(file)) {
            if !self.is_something_else(&file.folder, tree) {
                let (images, annotations) = folders.entry(&file.folder).or_default();
                match file.kind {
                    FileKind::Annotation => *annotations += 1,
                    _ => *images += 1,
                }
            }
        }
        let places = self.places();
        let finding = |(folder, (images, annotations)): (&str, (usize, usize))| {
            let message = format!(
                "holds {} and {} that are not read: expected {places}",
                counted(images, "image"),
                counted(annotations, "annotation")
            );
            match annotations {
                0 => Finding::warning(shown(folder), FindingKind::NotRead, message),
                _ => Finding::error(shown(folder), FindingKind::NotRead, message),
            }
        };
        let mut findings: Vec<Finding> = folders.into_iter().map(finding).collect();
        findings.extend(self.other_files(tree));
        findings
    }

    /// Where annotations and images are expected, for a message.
    pub(crate) fn places(&self) -> String {
        let place = |part: &BoxPart| {
            let shown = |folder: &str| match folder {
                "" => "the data folder itself".to_owned(),
                folder => quoted(folder),
            };
            if part.annotations == part.images {
                format!("annotations and images in {}", shown(&part.images))
            } else {
                format!(
                    "annotations in {}, images in {}",
                    shown(&part.annotations),
                    shown(&part.images)
                )
            }
        };
        let places: Vec<String> = self.parts.iter().map(place).collect();
        places.join(", ")
    }

    /// Whether a folder holds VOC's masks, or is a data folder of class folders.
    fn is_something_else(&self, folder: &str, tree: &Tree) -> bool {
        let Some(rest) = below(folder, &self.base) else {
            return false;
        };
        let child = rest.split('/').next().unwrap_or(rest);
        if child.is_empty() {
            return false;
        }
        let place = under(&self.base, child);
        let is_of_parts = self.parts.iter().any(|part| {
            let mut folders = [&part.annotations, &part.images].into_iter();
            folders.any(|folder| below(folder, &place).is_some())
        });
        let is_data_folder = || {
            let inner = tree.children(&place).into_iter();
            let mut splits = inner.filter_map(Split::from_folder_name);
            let is_unread = !is_of_parts && tree.all_in(&place).annotations == 0;
            is_unread && splits.any(|split| split == Split::Train)
        };
        VOC_MASKS.contains(&child) || is_data_folder()
    }

    /// Files beside images and annotations that are neither, by folder and ending.
    fn other_files(&self, tree: &Tree) -> Vec<Finding> {
        let lists = under(&self.base, LISTS_PARENT);
        let is_data = |folder: &str| {
            let read = |place: &String| below(folder, place).is_some();
            below(folder, &lists).is_none()
                && (self.parts.iter()).any(|part| read(&part.annotations) || read(&part.images))
        };
        let mut groups: BTreeMap<(&str, String), Vec<&TreeFile>> = BTreeMap::new();
        let others = (tree.files.iter()).filter(|file| file.kind == FileKind::Other);
        // Lists are told of where they are read.
        for file in others.filter(|file| is_data(&file.folder) && split_of_list(file).is_none()) {
            let group = groups.entry((&file.folder, file.ending())).or_default();
            group.push(file);
        }
        let finding = |((folder, _), files): ((&str, String), Vec<&TreeFile>)| {
            let first = quoted(&files[0].name);
            let message = match files.len() {
                1 => format!("holds {first}, which is neither an image nor an annotation in XML"),
                count => format!(
                    "holds {count} files that are neither images nor annotations in XML, such as \
                     {first}"
                ),
            };
            Finding::warning(shown(folder), FindingKind::NotRead, message)
        };
        groups.into_iter().map(finding).collect()
    }
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
