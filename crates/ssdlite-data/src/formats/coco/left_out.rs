//! What is in the files of a set and in its folder and is not read.

use std::collections::{BTreeMap, HashMap, HashSet};

use ssdlite_files::counted;

use crate::finding::{Finding, FindingKind, quoted};
use crate::formats::coco::raw::RawAnnotation;
use crate::formats::json::LooseList;
use crate::formats::recognise::is_coco;
use crate::layout::shown;
use crate::tree::{FileKind, Tree, TreeFile};

/// How many outlines a file has that are not read.
pub(super) fn outlines(objects: &[RawAnnotation], file: &str) -> Option<Finding> {
    let (mut polygons, mut run_lengths) = (0, 0);
    for object in objects {
        match &object.segmentation {
            LooseList::List(outlines) if !outlines.is_empty() => polygons += 1,
            LooseList::Map => run_lengths += 1,
            LooseList::List(_) | LooseList::Other => {}
        }
    }
    let message = format!(
        "{} of {} are not read ({polygons} as polygons, {run_lengths} as run lengths); their boxes \
         are",
        counted(polygons + run_lengths, "outline"),
        counted(objects.len(), "object")
    );
    let finding = Finding::warning(file, FindingKind::Outline, message);
    (polygons + run_lengths > 0).then_some(finding)
}

/// Images that no file names, by their folders.
pub(super) fn images_without_labels(tree: &Tree, named: &HashMap<String, usize>) -> Vec<Finding> {
    let mut folders: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    let images = tree
        .files
        .iter()
        .filter(|file| matches!(file.kind, FileKind::Image(_)));
    for image in images.filter(|image| !named.contains_key(&image.file())) {
        let (count, _) = folders.entry(&image.folder).or_insert((0, &image.name));
        *count += 1;
    }
    let finding = |(folder, (count, first)): (&str, (usize, &str))| {
        let message = format!(
            "holds {} that no JSON file names, not read, such as {}",
            counted(count, "image"),
            quoted(first)
        );
        Finding::warning(shown(folder), FindingKind::NotRead, message)
    };
    folders.into_iter().map(finding).collect()
}

/// JSON files beside those that are read.
pub(super) fn json_that_is_not_read(tree: &Tree, read: &[&TreeFile]) -> Vec<Finding> {
    let folders: HashSet<&str> = read.iter().map(|file| &*file.folder).collect();
    let others = tree.files.iter().filter(|file| file.ending() == "json");
    let others = others.filter(|file| folders.contains(&*file.folder));
    let others = others.filter(|file| !is_coco(file));
    let finding = |file: &TreeFile| {
        let message = "is not read: it has no images with boxes as COCO has them";
        Finding::warning(file.file(), FindingKind::NotRead, message)
    };
    others.map(finding).collect()
}
