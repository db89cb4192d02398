//! A data folder: which annotations, images and splits it has.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ssdlite_core::ClassNames;
use ssdlite_files::counted;

use crate::detection::annotation::Parsed;
use crate::detection::lists::{ImageNames, List, Lists, lists_by_name, lists_in, read_list};
use crate::error::{Error, Result};
use crate::finding::{Finding, FindingKind, Losses, quoted};
use crate::formats::contents::{Annotation, AnnotationReader, Contents, DataFile, SplitSource};
use crate::formats::places::BoxPart;
use crate::formats::recognise::Taken;
use crate::formats::{self, Format};
use crate::images::without_image_ending;
use crate::layout::{ClassLayout, Layout, expected_boxes};
use crate::parallel;
use crate::photos::Photo;
use crate::split::Split;
use crate::tree::{below, under};
use crate::voc::layout::{LISTS, LISTS_PARENT, MAIN_LISTS, lists_folder};

/// A data folder of images with boxes, with the names of its files.
///
/// An annotation is read when it is first needed, and only then: classes,
/// splits and checks that are asked of one `DetectionFolder` share what was read.
#[derive(Clone, Debug)]
pub struct DetectionFolder {
    root: PathBuf,
    taken: Taken,
    base: String,
    annotations: BTreeMap<String, Annotation>,
    /// The preferred one of each id first.
    images: BTreeMap<String, Vec<DataFile>>,
    reader: Option<Arc<dyn AnnotationReader>>,
    names: ImageNames,
    splits: Splits,
    /// The folder of the lists, seen from the data folder.
    lists: String,
    /// The lists in folders beside that one, and in it, by the folder's name.
    named_lists: BTreeMap<String, Lists>,
    /// The classes, where something else than objects names them.
    described_classes: Option<ClassNames>,
    labels: String,
    places: Vec<BoxPart>,
    findings: Vec<Finding>,
    losses: Losses,
}

/// What tells the splits.
#[derive(Clone, Debug)]
struct Splits {
    kind: SplitKind,
    sources: BTreeMap<Split, SplitSource>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum SplitKind {
    /// Lists, or none.
    Lists,
    /// Folders of images and annotations.
    Folders,
    /// What the format has for it, in this file or folder.
    Described(String),
}

impl DetectionFolder {
    /// Lists the annotations, images and splits of the data folder at `root`, whose
    /// labels have this format; without one it is recognised.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`]; [`Error::Malformed`] if there are no images with
    /// boxes, or not of this format, or what describes them can't be read;
    /// [`Error::Unsupported`] for labels of another form; [`Error::OverLimit`] for too
    /// many classes; [`Error::Io`] if the folder can't be listed.
    pub fn open(root: &Path, format: Option<Format>) -> Result<Self> {
        match Layout::of(root, format)? {
            Layout::Boxes(taken, tree) => {
                let contents = formats::contents(taken.format, tree)?;
                Ok(Self::new(taken, contents))
            }
            Layout::Classes(layout, tree) => {
                let inner = match &layout {
                    ClassLayout::PerSplit(folders) => {
                        folders.get(&Split::Train).map_or("", String::as_str)
                    }
                    ClassLayout::Single => "",
                };
                let example = tree.children(inner).first().copied().unwrap_or_default();
                let example = quoted(&under(inner, example));
                let fault = format!(
                    "found images in folders named by their class, such as {example}, which a \
                     classifier learns from"
                );
                Err(expected_boxes(root, &fault))
            }
        }
    }

    pub(crate) fn new(taken: Taken, contents: Contents) -> Self {
        let mut findings = contents.findings;
        let names = names_of(&contents.annotations, &contents.images, &contents.aliases);
        let described = contents.splits;
        let lists = lists_in(&contents.tree, &contents.base, described.as_ref());
        findings.extend(lists.findings);
        let splits = match (lists.files.is_empty(), described) {
            (false, _) => splits_by_lists(lists.files),
            (true, Some(described)) => Splits {
                kind: SplitKind::Described(described.place),
                sources: described.sources,
            },
            (true, None) => splits_by_folder(&contents.annotations),
        };
        Self {
            root: contents.tree.root().to_owned(),
            taken,
            lists: under(&contents.base, LISTS),
            named_lists: lists_by_name(&contents.tree, &contents.base),
            base: contents.base,
            annotations: contents.annotations,
            images: contents.images,
            reader: contents.reader,
            names,
            splits,
            described_classes: contents.classes,
            labels: contents.labels,
            places: contents.places,
            findings,
            losses: contents.losses,
        }
    }

    /// The same folder with the splits of other lists than the usual ones: those in
    /// `ImageSets` in the folder of this name, such as `fold1`. [`MAIN_LISTS`] are the
    /// usual ones.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if there are no such lists.
    pub fn with_lists(mut self, name: &str) -> Result<Self> {
        if name == MAIN_LISTS {
            return Ok(self);
        }
        let Some(lists) = self.named_lists.get(name).cloned() else {
            const TOLD: usize = 10;
            let known: Vec<String> = self.names_of_lists().take(TOLD).map(quoted).collect();
            let known = match known.is_empty() {
                true => "none".to_owned(),
                false => format!("lists in {}", known.join(", ")),
            };
            return Err(Error::InvalidRequest(format!(
                "{}: expected lists in the folder {} of {}, found {known}",
                self.root.display(),
                quoted(name),
                under(&self.base, LISTS_PARENT)
            )));
        };
        self.lists = under(&self.base, &lists_folder(name));
        self.findings.extend(lists.findings);
        self.splits = splits_by_lists(lists.files);
        Ok(self)
    }

    /// The names of all folders of lists.
    pub(super) fn names_of_lists(&self) -> impl Iterator<Item = &str> {
        self.named_lists.keys().map(String::as_str)
    }

    /// The folder that all lists are below of, seen from the data folder.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The data folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The form of its labels.
    pub fn format(&self) -> Format {
        self.taken.format
    }

    /// Why it was taken for this format, such as: `` `a.xml` is an annotation in XML ``.
    pub fn reason(&self) -> &str {
        &self.taken.reason
    }

    /// What is in the folder and is not read, whatever split is asked for.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What was lost already when the folder was opened, as [`Self::findings`] tell.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// The ids of all annotations, sorted.
    pub fn annotation_ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.annotations.keys().map(String::as_str)
    }

    /// Whether there is an annotation of this id.
    pub(super) fn has_annotation(&self, id: &str) -> bool {
        self.annotations.contains_key(id)
    }

    /// The image files of an id, the preferred one first.
    pub(super) fn image_files(&self, id: &str) -> &[DataFile] {
        self.images.get(id).map_or(&[], Vec::as_slice)
    }

    /// The ids of all images, sorted.
    pub(super) fn image_ids(&self) -> impl Iterator<Item = &str> {
        self.images.keys().map(String::as_str)
    }

    /// The annotation file of an id, seen from the data folder, or where one is
    /// expected.
    pub(super) fn annotation_file(&self, id: &str) -> String {
        match (self.annotations.get(id), self.place_of(id)) {
            (Some(annotation), _) => annotation.file.file.clone(),
            (None, Some((part, rest))) => {
                let others = self.annotations.values().next();
                let ending = others.and_then(|other| other.file.file.rsplit_once('.'));
                let ending = ending.map_or("xml", |(_, ending)| ending);
                under(&part.annotations, &format!("{rest}.{ending}"))
            }
            (None, None) => self.labels.clone(),
        }
    }

    /// What tells an image's annotation in a file with those of others.
    pub(super) fn annotation_entry(&self, id: &str) -> Option<&str> {
        self.annotations.get(id)?.entry.as_deref()
    }

    /// The folder or file of the annotations, the first one of several, as a finding's
    /// file.
    pub(super) fn labels(&self) -> &str {
        &self.labels
    }

    /// The images with an annotation, and those without one.
    pub(crate) fn photos(&self) -> (Vec<Photo>, Vec<Photo>) {
        let photos = self.images.iter().filter_map(|(id, files)| {
            let DataFile { path, .. } = files.first()?;
            Some(Photo {
                name: id.clone(),
                path: path.clone(),
            })
        });
        photos.partition(|photo| self.has_annotation(&photo.name))
    }

    /// Where the image of an id is expected, seen from the data folder.
    pub(super) fn expected_image(&self, id: &str) -> String {
        let (folder, rest) = match self.place_of(id) {
            Some((part, rest)) => (part.images.as_str(), rest),
            None => ("", id),
        };
        under(folder, &format!("{}.jpg", without_image_ending(rest)))
    }

    /// The part that an id lies in, and the id without its prefix.
    fn place_of<'a>(&'a self, id: &'a str) -> Option<(&'a BoxPart, &'a str)> {
        let fitting =
            (self.places.iter()).filter_map(|part| Some((part, id.strip_prefix(&part.prefix)?)));
        let longest = fitting.max_by_key(|(part, _)| part.prefix.len());
        longest.or_else(|| Some((self.places.first()?, id)))
    }

    /// Whether the split has a list, folder or file of its own.
    pub fn has_split(&self, split: Split) -> bool {
        self.splits.sources.contains_key(&split)
    }

    /// Whether the splits are lists, of which all four are usual, or there is none.
    pub(super) fn has_lists(&self) -> bool {
        self.splits.kind == SplitKind::Lists
    }

    /// What to say of the place that [`Self::list_of`] gives for a split that is missing.
    pub(super) fn no_split(&self, split: Split) -> String {
        match self.splits.kind {
            SplitKind::Lists => "there is no such list".into(),
            SplitKind::Folders => "there is no such folder".into(),
            // It is the place of all splits.
            SplitKind::Described(_) => format!("there is no split {split}"),
        }
    }

    /// A split's list, folder or file, seen from the data folder, or where one is
    /// expected.
    pub(super) fn list_of(&self, split: Split) -> String {
        match (self.splits.sources.get(&split), &self.splits.kind) {
            (Some(source), _) => source.place.clone(),
            (None, SplitKind::Lists) => under(&self.lists, &format!("{split}.txt")),
            (None, SplitKind::Folders) => split.name().to_owned(),
            (None, SplitKind::Described(place)) => place.clone(),
        }
    }

    /// The folder of the lists, seen from the data folder.
    pub(super) fn lists(&self) -> &str {
        &self.lists
    }

    /// The split's own list, if it has one.
    pub(super) fn own_list(&self, split: Split) -> Option<List> {
        let source = self.splits.sources.get(&split)?;
        let mut list = List {
            ids: source.ids.clone(),
            ..List::default()
        };
        for file in &source.lists {
            list.join(read_list(&self.root, file, &self.names));
        }
        list.findings.extend(self.unannotated(split));
        Some(list)
    }

    /// The list of a split. `trainval` is put together from `train` and `val`,
    /// as far as they are there, where it has no list of its own.
    pub(super) fn list(&self, split: Split) -> Result<List> {
        let list = match self.own_list(split) {
            None if split == Split::TrainVal => self.joined_list(),
            list => list,
        };
        list.ok_or_else(|| {
            let found = match self.splits.kind {
                SplitKind::Lists => "found none; `ssdlite data split` divides the images",
                SplitKind::Folders => "found no such folder",
                SplitKind::Described(_) => "found none",
            };
            Error::Malformed(format!(
                "{}: expected the split {split} in {}, {found}",
                self.root.display(),
                self.list_of(split)
            ))
        })
    }

    /// Images in the split's folder that have no annotation.
    fn unannotated(&self, split: Split) -> Option<Finding> {
        let SplitKind::Folders = self.splits.kind else {
            return None;
        };
        let name = &self.splits.sources.get(&split)?.place;
        let in_folder = |id: &&str| below(id, name).is_some() && !self.has_annotation(id);
        let ids: Vec<&str> = self.image_ids().filter(in_folder).collect();
        let message = format!(
            "holds {} without annotation, not read, such as {}",
            counted(ids.len(), "image"),
            quoted(ids.first()?)
        );
        Some(Finding::warning(
            name,
            FindingKind::MissingAnnotation,
            message,
        ))
    }

    /// `train` and `val` in one, none if both are missing.
    fn joined_list(&self) -> Option<List> {
        let train = self.own_list(Split::Train);
        let val = self.own_list(Split::Val);
        let (mut joined, val) = match (train, val) {
            (Some(train), Some(val)) => (train, val),
            (train, val) => return train.or(val),
        };
        joined.join(val);
        Some(joined)
    }

    /// The classes in the order of the file that names them. Where there is none, those
    /// of the objects in `trainval`, or in `test` where nothing else is listed, sorted by
    /// name; names that no class may have are left out.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the list or any class is missing,
    /// [`Error::OverLimit`] for too many classes.
    pub fn classes(&self) -> Result<ClassNames> {
        if let Some(classes) = self.described_classes() {
            return Ok(classes.clone());
        }
        let ids = self.list_that_names_classes()?.ids;
        self.classes_of(&ids)?.ok_or_else(|| {
            Error::Malformed(format!("{}: {}", self.root.display(), no_classes(&ids)))
        })
    }

    /// The classes, where something else than objects names them.
    pub(super) fn described_classes(&self) -> Option<&ClassNames> {
        self.described_classes.as_ref()
    }

    /// The images whose objects name the classes.
    pub(super) fn list_that_names_classes(&self) -> Result<List> {
        let to_train_on = [Split::TrainVal, Split::Train, Split::Val];
        let split = if to_train_on.iter().any(|&split| self.has_split(split)) {
            Split::TrainVal
        } else {
            Split::Test
        };
        self.list(split)
    }

    /// The classes that a file names, else those of the objects in these images, if
    /// there is any.
    pub(super) fn classes_of<I: AsRef<str> + Sync>(&self, ids: &[I]) -> Result<Option<ClassNames>> {
        if let Some(classes) = &self.described_classes {
            return Ok(Some(classes.clone()));
        }
        let names_of = |id: &I| -> Vec<String> {
            let parsed = self.annotation(id.as_ref());
            let labels = parsed.and_then(|parsed| parsed.as_ref().ok());
            let names = labels.into_iter().flat_map(|labels| labels.class_names());
            let sound = names.filter_map(|name| ClassNames::new([name]).ok());
            let sound: BTreeSet<String> = sound.flat_map(Vec::from).collect();
            sound.into_iter().collect()
        };
        let found = parallel::map(ids, names_of);
        let names: BTreeSet<String> = found.into_iter().flatten().collect();
        if names.is_empty() {
            return Ok(None);
        }
        Ok(Some(ClassNames::new(names)?))
    }

    /// An id's annotation, if there is one.
    pub(super) fn annotation(&self, id: &str) -> Option<&Parsed> {
        let annotation = self.annotations.get(id)?;
        Some(annotation.labels(self.reader.as_deref()))
    }
}

impl SplitSource {
    fn of_list(file: String) -> Self {
        Self {
            place: file.clone(),
            lists: vec![file],
            ids: Vec::new(),
        }
    }
}

/// All names that lists may use.
fn names_of(
    annotations: &BTreeMap<String, Annotation>,
    images: &BTreeMap<String, Vec<DataFile>>,
    aliases: &[(String, String)],
) -> ImageNames {
    let mut names = ImageNames::default();
    let ids: BTreeSet<&String> = annotations.keys().chain(images.keys()).collect();
    let mut other: HashMap<&String, Vec<String>> = HashMap::new();
    for (alias, id) in aliases {
        other.entry(id).or_default().push(alias.clone());
    }
    for id in ids {
        let annotation = annotations.get(id).map(|annotation| &annotation.file);
        let files = annotation
            .into_iter()
            .chain(images.get(id).into_iter().flatten());
        let files = files.map(|file| file.file.clone());
        names.add(id, files.chain(other.remove(id).unwrap_or_default()));
    }
    names
}

/// The splits that lists tell.
fn splits_by_lists(lists: BTreeMap<Split, String>) -> Splits {
    Splits {
        kind: SplitKind::Lists,
        sources: (lists.into_iter())
            .map(|(split, list)| (split, SplitSource::of_list(list)))
            .collect(),
    }
}

/// The splits of a set whose images lie in a folder for each; lists are to be made
/// where there is none.
fn splits_by_folder(annotations: &BTreeMap<String, Annotation>) -> Splits {
    let mut sources: BTreeMap<Split, SplitSource> = BTreeMap::new();
    for id in annotations.keys() {
        let folder = id.split_once('/').map_or("", |(folder, _)| folder);
        if let Some(split) = Split::from_folder_name(folder) {
            let source = sources.entry(split).or_insert_with(|| SplitSource {
                place: folder.to_owned(),
                ..SplitSource::default()
            });
            source.ids.push(id.clone());
        }
    }
    let kind = match sources.is_empty() {
        true => SplitKind::Lists,
        false => SplitKind::Folders,
    };
    Splits { kind, sources }
}

/// What to say where [`DetectionFolder::classes_of`] finds none.
pub(super) fn no_classes(ids: &[String]) -> String {
    if ids.is_empty() {
        return "expected images whose objects name the classes, found none in the lists".into();
    }
    format!(
        "expected objects in the {} for the names of the classes, found none",
        counted(ids.len(), "image")
    )
}
