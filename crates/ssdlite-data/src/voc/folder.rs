//! A VOC data folder: which annotations, images and lists it has.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ssdlite_core::ClassNames;
use ssdlite_files::counted;

use crate::error::{Error, Result};
use crate::files::read_bounded;
use crate::finding::{Finding, FindingKind, quoted};
use crate::images::{preference, without_image_ending};
use crate::layout::{BoxLayout, BoxPart, ClassLayout, Layout, expected_boxes, shown};
use crate::parallel;
use crate::split::Split;
use crate::tree::{FileKind, Tree, TreeFile, below, under};
use crate::voc::layout::{LISTS, list_file};
use crate::voc::lists::{ImageNames, List, folded, lists_in, read_list};
use crate::voc::xml::{self, RawAnnotation};

/// The largest annotation file that is read: tens of thousands of objects.
const MAX_ANNOTATION_BYTES: u64 = 8 << 20;

/// The fields of an annotation; the error is a message for the user.
type Parsed = std::result::Result<RawAnnotation, String>;

/// A data folder of images with boxes, with the names of its files.
///
/// An annotation is read when it is first needed, and only then: classes,
/// splits and checks that are asked of one `VocFolder` share what was read.
#[derive(Clone, Debug)]
pub struct VocFolder {
    root: PathBuf,
    layout: BoxLayout,
    annotations: BTreeMap<String, Annotation>,
    /// The preferred one of each id first.
    images: BTreeMap<String, Vec<DataFile>>,
    names: ImageNames,
    splits: BTreeMap<Split, SplitSource>,
    findings: Vec<Finding>,
}

/// A file as findings name it, and where it is.
#[derive(Clone, Debug)]
pub(super) struct DataFile {
    pub(super) file: String,
    pub(super) path: PathBuf,
}

#[derive(Clone, Debug)]
struct Annotation {
    file: DataFile,
    parsed: OnceLock<Parsed>,
}

/// What tells the images of a split.
#[derive(Clone, Debug)]
enum SplitSource {
    /// A list, seen from the data folder.
    List(String),
    /// A folder of images and annotations.
    Folder { name: String, ids: Vec<String> },
}

impl VocFolder {
    /// Lists the annotations, images and lists of the data folder at `root`.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`]; [`Error::Malformed`] if there are no images with
    /// boxes, [`Error::Unsupported`] for labels of another form, [`Error::Io`] if
    /// the folder can't be listed.
    pub fn open(root: &Path) -> Result<Self> {
        match Layout::of(root)? {
            Layout::Boxes(layout, tree) => Ok(Self::new(layout, &tree)),
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

    pub(crate) fn new(layout: BoxLayout, tree: &Tree) -> Self {
        let mut findings = tree.findings.clone();
        findings.extend(layout.left_out(tree));
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
                let annotation = Annotation {
                    file: DataFile::from(file),
                    parsed: OnceLock::new(),
                };
                annotations.insert(id, annotation);
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
        let names = names_of(&annotations, &images, &aliases);
        let (lists, list_findings) = lists_in(tree, &layout.base);
        findings.extend(list_findings);
        let splits = match lists.is_empty() {
            true => splits_by_folder(&annotations),
            false => (lists.into_iter())
                .map(|(split, list)| (split, SplitSource::List(list)))
                .collect(),
        };
        Self {
            root: tree.root().to_owned(),
            layout,
            annotations,
            images,
            names,
            splits,
            findings,
        }
    }

    /// The data folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is in the folder and is not read, whatever split is asked for.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The ids of all annotations, sorted.
    pub fn annotation_ids(&self) -> impl ExactSizeIterator<Item = &str> {
        self.annotations.keys().map(String::as_str)
    }

    /// Whether there is an annotation of this id.
    pub(super) fn has_annotation(&self, id: &str) -> bool {
        self.annotations.contains_key(id)
    }

    /// Whether there is an image of this id.
    pub(crate) fn has_image(&self, id: &str) -> bool {
        self.images.contains_key(id)
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
        match self.annotations.get(id) {
            Some(annotation) => annotation.file.file.clone(),
            None => {
                let (part, rest) = self.part_of(id);
                under(&part.annotations, &format!("{rest}.xml"))
            }
        }
    }

    /// The folder of the annotations, the first one of several, as a finding's file.
    pub(super) fn annotations_folder(&self) -> &str {
        shown(&self.layout.parts[0].annotations)
    }

    /// Where the image of an id is expected, seen from the data folder.
    pub(super) fn expected_image(&self, id: &str) -> String {
        let (part, rest) = self.part_of(id);
        under(&part.images, &format!("{}.jpg", without_image_ending(rest)))
    }

    /// The part that an id lies in, and the id without its prefix.
    fn part_of<'a>(&'a self, id: &'a str) -> (&'a BoxPart, &'a str) {
        let parts = self.layout.parts.iter();
        let fitting = parts.filter_map(|part| Some((part, id.strip_prefix(&part.prefix)?)));
        let longest = fitting.max_by_key(|(part, _)| part.prefix.len());
        longest.unwrap_or((&self.layout.parts[0], id))
    }

    /// Whether the split has a list or folder of its own.
    pub fn has_split(&self, split: Split) -> bool {
        self.splits.contains_key(&split)
    }

    /// Whether the splits are folders of images and annotations, not lists.
    pub(super) fn has_split_folders(&self) -> bool {
        let mut sources = self.splits.values();
        sources.any(|source| matches!(source, SplitSource::Folder { .. }))
    }

    /// A split's list or folder, seen from the data folder, or the list that is
    /// expected.
    pub(super) fn list_of(&self, split: Split) -> String {
        match self.splits.get(&split) {
            Some(SplitSource::List(file)) => file.clone(),
            Some(SplitSource::Folder { name, .. }) => name.clone(),
            None if self.has_split_folders() => split.name().to_owned(),
            None => under(&self.layout.base, &list_file(split)),
        }
    }

    /// The folder of the lists, seen from the data folder.
    pub(super) fn lists(&self) -> String {
        under(&self.layout.base, LISTS)
    }

    /// The split's own list, if it has one.
    pub(super) fn own_list(&self, split: Split) -> Option<List> {
        match self.splits.get(&split)? {
            SplitSource::List(file) => Some(read_list(&self.root, file, &self.names)),
            SplitSource::Folder { ids, .. } => Some(List {
                ids: ids.clone(),
                findings: self.unannotated(split).into_iter().collect(),
                skipped: 0,
            }),
        }
    }

    /// The list of a split. `trainval` is put together from `train` and `val`,
    /// as far as they are there, where it has no list of its own.
    pub(super) fn list(&self, split: Split) -> Result<List> {
        let list = match self.own_list(split) {
            None if split == Split::TrainVal => self.joined_list(),
            list => list,
        };
        list.ok_or_else(|| {
            let found = match self.has_split_folders() {
                true => "found no such folder",
                false => "found none; `ssdlite data split` divides the images",
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
        let Some(SplitSource::Folder { name, .. }) = self.splits.get(&split) else {
            return None;
        };
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
        let known: HashSet<String> = joined.ids.iter().cloned().collect();
        let new = val.ids.into_iter().filter(|id| !known.contains(id));
        joined.ids.extend(new);
        joined.findings.extend(val.findings);
        joined.skipped += val.skipped;
        Some(joined)
    }

    /// The classes of the objects in `trainval`, or in `test` where nothing
    /// else is listed, sorted by name. Names that no class may have are left
    /// out.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the list or any class is missing,
    /// [`Error::OverLimit`] for too many classes.
    pub fn classes(&self) -> Result<ClassNames> {
        let ids = self.list_that_names_classes()?.ids;
        self.classes_of(&ids)?.ok_or_else(|| {
            Error::Malformed(format!("{}: {}", self.root.display(), no_classes(&ids)))
        })
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

    /// The classes of the objects in these images, if there is any.
    pub(super) fn classes_of(&self, ids: &[String]) -> Result<Option<ClassNames>> {
        let names_of = |id: &String| -> Vec<String> {
            let annotation = self.annotation(id).and_then(|parsed| parsed.as_ref().ok());
            (annotation.into_iter())
                .flat_map(|annotation| &annotation.objects)
                .filter_map(|object| ClassNames::new([object.name.as_ref()?]).ok())
                .flat_map(Vec::from)
                .collect()
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
        let parse = || parse_annotation(&annotation.file.path);
        Some(annotation.parsed.get_or_init(parse))
    }
}

impl From<&TreeFile> for DataFile {
    fn from(file: &TreeFile) -> Self {
        Self {
            file: file.file(),
            path: file.path.clone(),
        }
    }
}

fn parse_annotation(path: &Path) -> Parsed {
    let bytes = read_bounded(path, MAX_ANNOTATION_BYTES).map_err(|error| match error {
        Error::OverLimit(_) => format!("expected at most {MAX_ANNOTATION_BYTES} bytes"),
        error => error.message_about(path),
    })?;
    xml::parse(&bytes)
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

/// The splits of a set whose images lie in a folder for each.
fn splits_by_folder(annotations: &BTreeMap<String, Annotation>) -> BTreeMap<Split, SplitSource> {
    let mut folders: BTreeMap<Split, (String, Vec<String>)> = BTreeMap::new();
    for id in annotations.keys() {
        let folder = id.split_once('/').map_or("", |(folder, _)| folder);
        if let Some(split) = Split::from_folder_name(folder) {
            let new = || (folder.to_owned(), Vec::new());
            let (_, ids) = folders.entry(split).or_insert_with(new);
            ids.push(id.clone());
        }
    }
    let source = |(name, ids)| SplitSource::Folder { name, ids };
    (folders.into_iter())
        .map(|(split, folder)| (split, source(folder)))
        .collect()
}

/// What to say where [`VocFolder::classes_of`] finds none.
pub(super) fn no_classes(ids: &[String]) -> String {
    if ids.is_empty() {
        return "expected images whose objects name the classes, found none in the lists".into();
    }
    format!(
        "expected objects in the {} for the names of the classes, found none",
        counted(ids.len(), "image")
    )
}
