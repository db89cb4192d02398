//! Detection data as YOLO's tools have it.
//!
//! A label file `labels/ID.txt` belongs to the image `images/ID.jpg`, or lies beside
//! its image. It has a row an object, the number of its class and centre, width and
//! height as shares of the image as it is shown; or an outline, of which the upright
//! box around it is taken. An image with an empty label file, or without any, is one
//! without objects.
//!
//! `data.yaml` tells the names of the classes and which folders and lists make up the
//! splits; without one `classes.txt`, `obj.names` or the like names the classes, and
//! lists and folders tell the splits. `difficult.txt`, which this project writes,
//! names the objects that are difficult, for which the format has no place: a line an
//! object, its label file and its row.
//!
//! Shares with five digits tell no more of a large image than a twentieth of a pixel,
//! so an edge as near to a whole pixel is taken for it.
//!
//! Sources: `img2label_paths`, `verify_image_label` and `check_det_dataset` in
//! Ultralytics' `data/utils.py`; CVAT's and Label Studio's exports.

mod description;
mod names;
mod places;
mod row;
mod yaml;

pub(crate) mod set;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use ssdlite_core::ClassNames;
use ssdlite_files::counted;

use crate::detection::annotation::ImageLabels;
use crate::error::{Error, Result};
use crate::files::read_bounded;
use crate::finding::{FileFindings, Finding, FindingKind, quoted};
use crate::formats::contents::{Annotation, Contents, DataFile, DescribedSplits, SplitSource};
use crate::formats::pairs::contents_of;
use crate::formats::places::BoxLayout;
use crate::formats::text::text_from_bytes;
use crate::layout::shown;
use crate::parallel;
use crate::tree::{Tree, TreeFile, below, under};

use description::{Description, Place};
use names::{Names, is_names_file, untold_classes, untold_number};
use row::RowReader;

/// The file that names the difficult objects, seen from the folder of `data.yaml`.
pub(crate) const DIFFICULT: &str = "difficult.txt";

/// The largest list of names or difficult objects that is read.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// What a folder holds whose labels are YOLO's.
///
/// # Errors
/// [`Error::Malformed`] if there are no labels, or the description can't be read;
/// [`Error::OverLimit`] for too many classes.
pub(crate) fn contents(mut tree: Tree) -> Result<Contents> {
    let description = Description::in_tree(&tree)?;
    let base = description
        .as_ref()
        .map(|description| description.base.as_str());
    // A description may lie apart from what it describes.
    let layout = places::layout_of(&tree, base).or_else(|| places::layout_of(&tree, None));
    let layout = layout.ok_or_else(|| {
        Error::Malformed(format!(
            "{}: expected label files as YOLO's tools have them (labels/ID.txt and \
             images/ID.jpg, or ID.txt beside ID.jpg), found none",
            tree.root().display()
        ))
    })?;
    let mut findings = Vec::new();
    let (names, named_by) = match &description {
        Some(Description {
            names: Some(names),
            file,
            ..
        }) => (names.clone(), file.clone()),
        _ => names_from_files(&tree, shown(&layout.parts[0].annotations), &mut findings),
    };
    let difficult = difficult_objects(&tree, &layout.base, &mut findings);
    let is_known = |file: &TreeFile| {
        let is_description = description
            .as_ref()
            .is_some_and(|known| known.file == file.file());
        let is_difficult = file.folder == layout.base && file.name == DIFFICULT;
        // What Ultralytics keeps of label files.
        let is_cache = file.ending() == "cache";
        is_description || is_difficult || is_cache || is_names_file(&file.name)
    };
    tree.files.retain(|file| !is_known(file));
    let labels = label_files(&tree, &layout);
    let tree = tree.with_annotations(|file| labels.contains(&file.file()));
    let reader = RowReader {
        has_keypoints: description
            .as_ref()
            .is_some_and(|known| known.has_keypoints),
        difficult,
        names,
    };
    let (classes, class_findings) = reader.names.classes(&named_by)?;
    findings.extend(class_findings);
    let is_untold = reader.names == Names::Untold;
    let mut contents = contents_of(layout, tree, Arc::new(reader));
    contents.findings.extend(findings);
    contents.labels = named_by;
    contents.classes = match is_untold {
        true => classes_by_number(&contents)?,
        false => classes,
    };
    add_images_without_labels(&mut contents);
    if let Some(description) = description {
        contents.splits = splits_of(&description, &contents);
        contents.findings.extend(description.findings);
    }
    Ok(contents)
}

fn label_files(tree: &Tree, layout: &BoxLayout) -> HashSet<String> {
    let images = tree.image_stems();
    let are_labels = |file: &&TreeFile| places::is_label_file(file, layout, &images);
    tree.files
        .iter()
        .filter(are_labels)
        .map(TreeFile::file)
        .collect()
}

/// The names of the classes in a file of their own, and that file, or `otherwise`.
fn names_from_files(tree: &Tree, otherwise: &str, findings: &mut Vec<Finding>) -> (Names, String) {
    let mut told: Option<(Names, String)> = None;
    for file in tree.files.iter().filter(|file| is_names_file(&file.name)) {
        let bytes = read_bounded(&file.path, MAX_LIST_BYTES);
        let text = bytes
            .map_err(|error| error.message_about(&file.path))
            .and_then(|bytes| text_from_bytes(&bytes).map(|text| Names::from_lines(&text)));
        let fault = match (text, told.as_ref()) {
            (Ok(names), Some((known, _))) if names == *known => continue,
            (Ok(_), Some((_, first))) => {
                format!(
                    "is not read, as {} names the classes otherwise",
                    quoted(first)
                )
            }
            (Ok(names), None) => {
                told = Some((names, file.file()));
                continue;
            }
            (Err(fault), _) => fault,
        };
        let kind = FindingKind::BadDescription;
        findings.push(Finding::error(file.file(), kind, fault));
    }
    told.unwrap_or_else(|| {
        let message = "expected data.yaml or classes.txt for the names of the classes, found \
                       none; they are called class_0, class_1 and so on";
        findings.push(Finding::warning(
            otherwise,
            FindingKind::BadDescription,
            message,
        ));
        (Names::Untold, otherwise.to_owned())
    })
}

/// The classes that objects have, where nothing names them.
fn classes_by_number(contents: &Contents) -> Result<Option<ClassNames>> {
    let annotations: Vec<&Annotation> = contents.annotations.values().collect();
    let numbers_of = |annotation: &&Annotation| -> BTreeSet<u32> {
        match annotation.labels(contents.reader.as_deref()) {
            Ok(labels) => labels.class_names().filter_map(untold_number).collect(),
            Err(_) => BTreeSet::new(),
        }
    };
    let found = parallel::map(&annotations, numbers_of);
    let numbers: BTreeSet<u32> = found.into_iter().flatten().collect();
    match numbers.is_empty() {
        true => Ok(None),
        false => untold_classes(numbers).map(Some),
    }
}

/// The numbers of the difficult objects by the label file that they are in.
fn difficult_objects(
    tree: &Tree,
    base: &str,
    findings: &mut Vec<Finding>,
) -> HashMap<String, HashSet<usize>> {
    let mut difficult: HashMap<String, HashSet<usize>> = HashMap::new();
    let name = under(base, DIFFICULT);
    let is_it = |file: &&TreeFile| file.folder == base && file.name == DIFFICULT;
    let Some(file) = tree.files.iter().find(is_it) else {
        return difficult;
    };
    let text = read_bounded(&file.path, MAX_LIST_BYTES)
        .map_err(|error| error.message_about(&file.path))
        .and_then(|bytes| text_from_bytes(&bytes).map(|text| text.into_owned()));
    let text = text.unwrap_or_else(|fault| {
        findings.push(Finding::error(&name, FindingKind::BadList, fault));
        String::new()
    });
    let known: HashSet<String> = tree.files.iter().map(TreeFile::file).collect();
    let mut faults = FileFindings::default();
    for (index, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let parsed = line.trim().rsplit_once(char::is_whitespace);
        let parsed = parsed.and_then(|(file, row)| Some((file.trim_end(), row.parse().ok()?)));
        match parsed.map(|(file, row): (&str, usize)| (under(base, file), row)) {
            Some((file, row)) if known.contains(&file) => {
                difficult.entry(file).or_default().insert(row);
            }
            _ => {
                let message = format!(
                    "line {}: expected a label file and the number of a row, found {}",
                    index + 1,
                    quoted(line)
                );
                faults.push(Finding::error(&name, FindingKind::BadList, message));
            }
        }
    }
    findings.extend(faults.into_findings(&name));
    difficult
}

/// Lets images without a label file be images without objects, and tells how many there
/// are in each folder.
fn add_images_without_labels(contents: &mut Contents) {
    let mut folders: BTreeMap<String, (usize, usize, String)> = BTreeMap::new();
    for (id, files) in &contents.images {
        let Some(image) = files.first() else {
            continue;
        };
        let folder = image.file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let (images, without, first) = folders.entry(folder.to_owned()).or_default();
        *images += 1;
        if contents.annotations.contains_key(id) {
            continue;
        }
        if *without == 0 {
            first.clone_from(&image.file);
        }
        *without += 1;
        // It is said to be where it would be, for findings about its image.
        let annotation = Annotation::known(image.clone(), None, ImageLabels::default());
        contents.annotations.insert(id.clone(), annotation);
    }
    for (folder, (images, without, first)) in folders {
        let message = match without {
            0 => continue,
            _ if without == images => format!(
                "none of its {} has a label file; they count as images without objects",
                counted(images, "image")
            ),
            _ => format!(
                "{} of {images} without a label file, such as {}; they count as images without \
                 objects",
                counted(without, "image"),
                quoted(&first)
            ),
        };
        let finding = Finding::warning(shown(&folder), FindingKind::Unlabelled, message);
        contents.findings.push(finding);
    }
}

/// The splits that the description tells, if it tells any.
fn splits_of(description: &Description, contents: &Contents) -> Option<DescribedSplits> {
    let mut sources = BTreeMap::new();
    for (&split, places) in &description.splits {
        let mut source = SplitSource {
            place: description.file.clone(),
            ..SplitSource::default()
        };
        let mut seen = HashSet::new();
        for place in places {
            match place {
                Place::List(list) => source.lists.push(list.clone()),
                Place::Folder(folder) => {
                    let is_in = |files: &Vec<DataFile>| {
                        files
                            .first()
                            .is_some_and(|image| below(&image.file, folder).is_some())
                    };
                    let inside = contents.images.iter().filter(|(_, files)| is_in(files));
                    let ids = inside.map(|(id, _)| id).filter(|id| seen.insert(*id));
                    source.ids.extend(ids.cloned());
                }
            }
        }
        if let [Place::Folder(folder)] = &places[..] {
            source.place = shown(folder).to_owned();
        }
        sources.insert(split, source);
    }
    (!sources.is_empty()).then(|| DescribedSplits {
        sources,
        place: description.file.clone(),
    })
}
