//! Images and their objects, gathered from all files of a set.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ssdlite_core::ClassNames;

use crate::detection::annotation::{ClaimedSize, ImageLabels, LabelledObject, ObjectFields};
use crate::error::{Error, Result};
use crate::files::read_bounded;
use crate::finding::{FileFindings, Finding, FindingKind, Losses, quoted};
use crate::formats::coco::categories::Categories;
use crate::formats::coco::image_index::{ImageIndex, Named, Names};
use crate::formats::coco::left_out::{images_without_labels, json_that_is_not_read, outlines};
use crate::formats::coco::raw::{Key, RawAnnotation, RawFile, RawImage};
use crate::formats::contents::{Annotation, Contents, DataFile, DescribedSplits, SplitSource};
use crate::formats::json::{self, LooseList};
use crate::layout::{is_kind, shown};
use crate::split::Split;
use crate::tree::{Tree, TreeFile, below};

/// The largest file that is read: a million images with outlines.
const MAX_FILE_BYTES: u64 = 2 << 30;

/// What the files say, as far as they were read.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    images: Vec<GatheredImage<'a>>,
    /// Where an image is by its file, or by the name of one that is missing.
    by_name: HashMap<String, usize>,
    splits: BTreeMap<Split, GatheredSplit>,
    files: Vec<&'a TreeFile>,
    classes: Vec<String>,
    findings: Vec<Finding>,
    losses: Losses,
}

struct GatheredImage<'a> {
    image: Option<&'a TreeFile>,
    /// Its name in the file of its labels.
    name: String,
    /// The first file with its labels.
    labels: &'a TreeFile,
    size: ClaimedSize,
    objects: Vec<LabelledObject>,
}

#[derive(Default)]
struct GatheredSplit {
    place: String,
    images: Vec<usize>,
    known: HashSet<usize>,
}

/// What is the same in two entries of one object.
type Signature = (Arc<str>, [u64; 4]);

impl<'a> Gathered<'a> {
    /// Adds what a file says; its faults are findings.
    pub(super) fn add_file(
        &mut self,
        split: Option<Split>,
        file: &'a TreeFile,
        index: &ImageIndex<'a>,
    ) {
        let name = file.file();
        let raw: RawFile = match read_file(file) {
            Ok(raw) => raw,
            Err(fault) => {
                let kind = FindingKind::BadAnnotation;
                self.findings.push(Finding::error(name, kind, fault));
                return;
            }
        };
        let objects = raw.annotations.unwrap_or_default();
        let (Some(images), Some(categories)) = (raw.images, raw.categories) else {
            let message = "expected `images` and `categories`, found not both: not read";
            let has_boxes = objects.iter().any(|object| object.bbox != LooseList::Other);
            let finding = match has_boxes {
                true => Finding::error(name, FindingKind::BadAnnotation, message),
                false => Finding::warning(name, FindingKind::NotRead, message),
            };
            self.findings.push(finding);
            return;
        };
        self.files.push(file);
        let mut findings = FileFindings::default();
        let categories = Categories::new(&categories, &objects, &name, &mut findings);
        let known: HashSet<&String> = self.classes.iter().collect();
        let new = categories
            .classes
            .iter()
            .filter(|class| !known.contains(class));
        let new: Vec<String> = new.cloned().collect();
        self.classes.extend(new);
        let places = self.add_images(&images, split, file, index, &mut findings);
        self.add_objects(&objects, &places, &categories, file, &mut findings);
        self.findings.extend(outlines(&objects, &name));
        self.findings.extend(findings.into_findings(&name));
    }

    /// Adds the images of a file; returns where each is by its id.
    fn add_images(
        &mut self,
        raw: &[RawImage],
        split: Option<Split>,
        file: &'a TreeFile,
        index: &ImageIndex<'a>,
        findings: &mut FileFindings,
    ) -> HashMap<Key, usize> {
        let file_name = file.file();
        let texts: Vec<Option<String>> = raw.iter().map(|image| image.file_name.text()).collect();
        let names = Names::new(texts.iter().flatten().map(String::as_str));
        let mut places: HashMap<Key, usize> = HashMap::new();
        let mut seen: HashMap<usize, Key> = HashMap::new();
        for (number, (image, text)) in (1..).zip(raw.iter().zip(&texts)) {
            let mut fault = |kind, message: String| {
                let message = format!("image {number}: {message}");
                findings.push(Finding::error(&file_name, kind, message));
            };
            let (Some(id), Some(text)) = (Key::of(&image.id), text) else {
                let message = format!(
                    "expected an id and a file_name, found {} and {}",
                    image.id, image.file_name
                );
                fault(FindingKind::MissingImage, message);
                self.losses.images_skipped += 1;
                continue;
            };
            if places.contains_key(&id) {
                let message = format!("found again the id {id}, for {}", quoted(text));
                fault(FindingKind::RepeatedId, message);
                self.losses.images_skipped += 1;
                continue;
            }
            let named = match index.find(text, &names, &file.folder, split) {
                Named::One(named) => Some(named),
                Named::None => None,
                Named::Several(one, other) => {
                    let message = format!(
                        "expected one image called {}, found {} and {}",
                        quoted(text),
                        quoted(&one),
                        quoted(&other)
                    );
                    fault(FindingKind::AmbiguousImage, message);
                    self.losses.images_skipped += 1;
                    continue;
                }
            };
            let place = self.place_of(named, text, image, file);
            if let Some(other) = seen.get(&place) {
                let message = format!(
                    "{} stands twice, with the ids {other} and {id}; it has the objects of both",
                    quoted(text)
                );
                fault(FindingKind::RepeatedId, message);
            }
            seen.insert(place, id.clone());
            places.insert(id, place);
            if let Some(split) = split {
                let split = self.splits.entry(split).or_insert_with(|| GatheredSplit {
                    place: file_name.clone(),
                    ..GatheredSplit::default()
                });
                if split.known.insert(place) {
                    split.images.push(place);
                }
            }
        }
        places
    }

    /// Where an image is among those that were gathered; a new one is added.
    fn place_of(
        &mut self,
        image: Option<&'a TreeFile>,
        name: &str,
        raw: &RawImage,
        labels: &'a TreeFile,
    ) -> usize {
        let key = match image {
            Some(image) => image.file(),
            // No file is called so.
            None => format!("{name}/"),
        };
        let next = self.images.len();
        let place = *self.by_name.entry(key).or_insert(next);
        if place == next {
            self.images.push(GatheredImage {
                image,
                name: name.to_owned(),
                labels,
                size: raw.size(),
                objects: Vec::new(),
            });
        }
        place
    }

    /// Adds the objects of a file to their images. Of an image with objects of another
    /// file those are new that it hasn't got yet.
    fn add_objects(
        &mut self,
        raw: &[RawAnnotation],
        places: &HashMap<Key, usize>,
        categories: &Categories,
        file: &TreeFile,
        findings: &mut FileFindings,
    ) {
        let mut by_image: BTreeMap<usize, Vec<LabelledObject>> = BTreeMap::new();
        for (number, object) in (1..).zip(raw) {
            let place = Key::of(&object.image_id).and_then(|id| places.get(&id));
            let Some(&place) = place else {
                let message = format!(
                    "the image {} is none of the {} of the file that are read",
                    object.image_id,
                    places.len()
                );
                let finding = Finding::error(file.file(), FindingKind::UnknownId, message);
                findings.push(finding.of_object(number));
                self.losses.objects_skipped += 1;
                continue;
            };
            let fields = ObjectFields {
                class: categories.name_of(object),
                corners: object.corners(),
                difficult: object.is_crowd(),
                is_outline: false,
            };
            by_image.entry(place).or_default().push(LabelledObject {
                number,
                fields: Ok(fields),
            });
        }
        let mut entries: HashMap<usize, usize> = HashMap::new();
        for place in places.values() {
            *entries.entry(*place).or_default() += 1;
        }
        let mut differing = 0;
        for (place, objects) in by_image {
            let image = &mut self.images[place];
            let known = image.objects.len();
            if known == 0 && entries[&place] == 1 {
                image.objects = objects;
                continue;
            }
            let mut signatures: HashSet<Signature> =
                image.objects.iter().filter_map(signature).collect();
            for object in objects {
                let is_new = signature(&object).is_none_or(|same| signatures.insert(same));
                if is_new {
                    image.objects.push(object);
                }
            }
            differing += usize::from(known > 0 && image.objects.len() > known);
        }
        if differing > 0 {
            let message = format!(
                "{} other objects in another file; the objects of both are taken",
                match differing {
                    1 => "1 image has".to_owned(),
                    more => format!("{more} images have"),
                }
            );
            let kind = FindingKind::AmbiguousAnnotation;
            self.findings
                .push(Finding::error(file.file(), kind, message));
        }
    }

    /// What was gathered, as what the data folder holds.
    pub(super) fn into_contents(self, tree: &Tree) -> Result<Contents> {
        let mut findings = tree.findings.clone();
        findings.extend(self.findings);
        findings.extend(images_without_labels(tree, &self.by_name));
        findings.extend(json_that_is_not_read(tree, &self.files));
        let folders = || {
            self.images
                .iter()
                .filter_map(|image| Some(&*image.image?.folder))
        };
        let around = folder_around(folders());
        let label_folders = self.files.iter().map(|file| &*file.folder);
        let mut base = folder_around(folders().chain(label_folders));
        while tells_no_set(base) {
            base = base.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        let base = base.to_owned();
        let mut annotations: BTreeMap<String, Annotation> = BTreeMap::new();
        let mut images: BTreeMap<String, Vec<DataFile>> = BTreeMap::new();
        let mut ids: Vec<String> = Vec::new();
        for gathered in self.images {
            let path = match gathered.image {
                Some(image) => below(&image.file(), around).unwrap_or_default().to_owned(),
                None => gathered.name.replace('\\', "/"),
            };
            let stem = path.rsplit_once('.').map_or(&*path, |(stem, _)| stem);
            // Where the ending alone tells two images apart it is part of their ids.
            let id = match annotations.contains_key(stem) {
                false => stem.to_owned(),
                true => free_name(&path, &annotations),
            };
            if let Some(image) = gathered.image {
                images.insert(id.clone(), vec![DataFile::from(image)]);
            }
            let labels = ImageLabels {
                size: gathered.size,
                objects: gathered.objects,
                ..ImageLabels::default()
            };
            let file = DataFile::from(gathered.labels);
            let annotation = Annotation::known(file, Some(gathered.name), labels);
            annotations.insert(id.clone(), annotation);
            ids.push(id);
        }
        let labels = self
            .files
            .first()
            .map_or_else(|| shown("").to_owned(), |file| file.file());
        let source = |split: GatheredSplit| SplitSource {
            place: split.place,
            lists: Vec::new(),
            ids: split
                .images
                .into_iter()
                .map(|image| ids[image].clone())
                .collect(),
        };
        let sources: BTreeMap<Split, SplitSource> = (self.splits.into_iter())
            .map(|(split, gathered)| (split, source(gathered)))
            .collect();
        let folder = self.files.first().map_or("", |file| &file.folder);
        let splits = (!sources.is_empty()).then(|| DescribedSplits {
            sources,
            place: shown(folder).to_owned(),
        });
        let classes = match self.classes.is_empty() {
            true => None,
            false => Some(ClassNames::new(&self.classes)?),
        };
        Ok(Contents {
            tree: tree.clone(),
            base,
            annotations,
            images,
            aliases: Vec::new(),
            reader: None,
            splits,
            classes,
            labels,
            places: Vec::new(),
            findings,
            losses: self.losses,
        })
    }
}

fn read_file(file: &TreeFile) -> std::result::Result<RawFile, String> {
    let bytes = read_bounded(&file.path, MAX_FILE_BYTES).map_err(|error| match error {
        Error::OverLimit(_) => format!("expected at most {MAX_FILE_BYTES} bytes"),
        error => error.message_about(&file.path),
    })?;
    json::parse(&bytes)
}

fn signature(object: &LabelledObject) -> Option<Signature> {
    let fields = object.fields.as_ref().ok()?;
    let (class, corners) = (fields.class.as_ref().ok()?, fields.corners.as_ref().ok()?);
    Some((class.clone(), corners.edges.map(f64::to_bits)))
}

/// A name that no id has yet.
fn free_name(path: &str, taken: &BTreeMap<String, Annotation>) -> String {
    let names = (2..).map(|number| format!("{path}-{number}"));
    let mut names = std::iter::once(path.to_owned()).chain(names);
    names
        .find(|name| !taken.contains_key(name))
        .unwrap_or_default()
}

/// The folder that all of some are in.
fn folder_around<'f>(mut folders: impl Iterator<Item = &'f str>) -> &'f str {
    let Some(mut around) = folders.next() else {
        return "";
    };
    for folder in folders {
        while below(folder, around).is_none() {
            around = around.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
    around
}

/// Whether a folder is one of a set by its name, not the set's.
fn tells_no_set(folder: &str) -> bool {
    let last = folder.rsplit('/').next().unwrap_or_default();
    !last.is_empty() && (is_kind(last) || Split::from_folder_name(last).is_some())
}
