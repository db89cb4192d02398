//! Where the annotations and images of a data folder are, where each image has a
//! file of its own for its annotation.
//!
//! What annotations are the [`Tree`] says, so that this holds for XML as well as for
//! other forms; the folders may have any names.

use std::collections::BTreeMap;

use ssdlite_files::counted;

use crate::finding::{Finding, FindingKind, quoted};
use crate::layout::{listed, named, shown, split_of_list};
use crate::split::Split;
use crate::tree::{FileKind, Tree, TreeFile, below, under};
use crate::voc::layout::{ANNOTATIONS, IMAGES, LISTS_PARENT, VOC_MASKS};

/// Images with boxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoxLayout {
    /// The folder that the lists are in or below of.
    pub(crate) base: String,
    /// At least one.
    pub(crate) parts: Vec<BoxPart>,
    /// What an annotation is called in messages, such as `an annotation in XML`.
    pub(crate) annotation: &'static str,
}

/// Annotations and their images. Both folders may be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoxPart {
    pub(crate) annotations: String,
    pub(crate) images: String,
    /// What the ids start with: empty, or a folder with its `/`.
    pub(crate) prefix: String,
}

impl BoxLayout {
    /// Where annotations and images are; the fault is the end of a message.
    pub(crate) fn of(tree: &Tree, annotation: &'static str) -> Result<Self, String> {
        let (base, parts) = boxes_in(tree, "", "")?;
        Ok(Self {
            base,
            parts,
            annotation,
        })
    }
}

/// Where annotations and images are in `base`, and the folder that lists are in.
fn boxes_in(tree: &Tree, base: &str, prefix: &str) -> Result<(String, Vec<BoxPart>), String> {
    let part = |annotations: &str, images: &str| {
        let part = BoxPart {
            annotations: annotations.to_owned(),
            images: images.to_owned(),
            prefix: prefix.to_owned(),
        };
        (base.to_owned(), vec![part])
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
        let (_, inner) = boxes_in(tree, &folder, &format!("{prefix}{child}/"))?;
        parts.extend(inner);
    }
    Ok((base.to_owned(), parts))
}

/// The one folder, or the one of several that has one of these names.
fn one_of(base: &str, found: Vec<&str>, names: &[&str], what: &str) -> Result<String, String> {
    if let Some(name) = named(&found, names) {
        return Ok(under(base, name));
    }
    match &found[..] {
        [] => Err(format!("found no {what}")),
        [name] => Ok(under(base, name)),
        _ => Err(format!("found {what} in {}", listed(&found))),
    }
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
            let (first, annotation) = (quoted(&files[0].name), self.annotation);
            let message = match files.len() {
                1 => format!("holds {first}, which is neither an image nor {annotation}"),
                count => format!(
                    "holds {count} files that are neither an image nor {annotation}, such as \
                     {first}"
                ),
            };
            Finding::warning(shown(folder), FindingKind::NotRead, message)
        };
        groups.into_iter().map(finding).collect()
    }
}
