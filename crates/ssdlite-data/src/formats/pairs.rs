//! Images and annotations that are files of one name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detection::lists::folded;
use crate::finding::{Finding, FindingKind, Losses, quoted};
use crate::formats::contents::{Annotation, AnnotationReader, Contents, DataFile};
use crate::formats::places::BoxLayout;
use crate::images::{preference, without_image_ending};
use crate::layout::shown;
use crate::tree::{FileKind, Tree, TreeFile, below, under};

/// What the folders of a layout hold, annotations paired with images by their names.
pub(crate) fn contents_of(
    layout: BoxLayout,
    tree: Tree,
    reader: Arc<dyn AnnotationReader>,
) -> Contents {
    let mut findings = tree.findings.clone();
    findings.extend(layout.left_out(&tree));
    let mut annotations: BTreeMap<String, Annotation> = BTreeMap::new();
    let mut images: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
    for part in &layout.parts {
        for file in tree.files_in(&part.annotations) {
            if file.kind != FileKind::Annotation {
                continue;
            }
            let id = id_of(file, &part.annotations, &part.prefix);
            if let Some(other) = annotations.get(&id) {
                let message = format!(
                    "is not read, as {} has the same name but for its ending",
                    quoted(&other.file.file)
                );
                let kind = FindingKind::AmbiguousAnnotation;
                findings.push(Finding::error(file.file(), kind, message));
                continue;
            }
            annotations.insert(id, Annotation::unread(DataFile::from(file)));
        }
        for file in tree.files_in(&part.images) {
            if matches!(file.kind, FileKind::Image(_)) {
                let id = id_of(file, &part.images, &part.prefix);
                images.entry(id).or_default().push(DataFile::from(file));
            }
        }
    }
    let aliases = pair_by_alike_names(&mut annotations, &mut images);
    for files in images.values_mut() {
        files.sort_by_key(|file| preference(&file.file));
    }
    Contents {
        labels: shown(&layout.parts[0].annotations).to_owned(),
        base: layout.base,
        places: layout.parts,
        tree,
        annotations,
        images,
        aliases,
        reader: Some(reader),
        splits: None,
        classes: None,
        findings,
        losses: Losses::default(),
    }
}

/// The id of a file that is in `folder` or in a folder in it.
fn id_of(file: &TreeFile, folder: &str, prefix: &str) -> String {
    let inner = below(&file.folder, folder).unwrap_or_default();
    format!("{prefix}{}", under(inner, file.stem()))
}

/// Puts images without annotation and annotations without image together, where
/// their names differ in case or the form of accents alone, or the annotation's has
/// the image's ending too; and if those of one kind all lie in one folder, those of
/// the other in several, where the names without the folders are so. The names that
/// were given up come with those that took their place.
fn pair_by_alike_names(
    annotations: &mut BTreeMap<String, Annotation>,
    images: &mut BTreeMap<String, Vec<DataFile>>,
) -> Vec<(String, String)> {
    let nested = |ids: &[&String]| ids.iter().filter(|id| id.contains('/')).count();
    let [annotated, pictured] = [
        annotations.keys().collect::<Vec<_>>(),
        images.keys().collect(),
    ];
    let (of_annotations, of_images) = (nested(&annotated), nested(&pictured));
    let by_bare_name = (of_annotations == 0 && of_images == pictured.len())
        || (of_images == 0 && of_annotations == annotated.len());
    let alike = |id: &str| {
        let id = without_image_ending(id);
        let bare = || id.rsplit_once('/').map_or(id, |(_, name)| name);
        folded(if by_bare_name { bare() } else { id })
    };
    let mut alone: BTreeMap<String, (Vec<&String>, Vec<&String>)> = BTreeMap::new();
    for id in annotated.iter().filter(|id| !images.contains_key(**id)) {
        alone.entry(alike(id)).or_default().0.push(id);
    }
    for id in (pictured.iter()).filter(|id| !annotations.contains_key(**id)) {
        alone.entry(alike(id)).or_default().1.push(id);
    }
    let mut pairs = Vec::new();
    for (annotated, pictured) in alone.values() {
        // Of one name in two folders none can be told to be the annotation's.
        if let ([annotation], true) = (&annotated[..], !by_bare_name || pictured.len() == 1) {
            let images = pictured.iter().map(|id| (*id).clone());
            pairs.extend(images.map(|image| (image, (*annotation).clone())));
        }
    }
    let mut aliases = Vec::new();
    for (image, annotation) in pairs {
        // The folders tell the splits.
        if image.contains('/')
            && !annotation.contains('/')
            && let Some(moved) = annotations.remove(&annotation)
        {
            annotations.insert(image.clone(), moved);
            aliases.push((annotation, image));
            continue;
        }
        let files = images.remove(&image).unwrap_or_default();
        images.entry(annotation.clone()).or_default().extend(files);
        aliases.push((image, annotation));
    }
    aliases
}
