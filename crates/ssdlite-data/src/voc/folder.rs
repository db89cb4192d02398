//! A VOC data folder: which annotations, images and lists it has.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ssdlite_core::ClassNames;

use crate::error::{Error, Result};
use crate::files::{read_bounded, sorted_names};
use crate::images::{IMAGE_ENDINGS, stem_with_ending};
use crate::parallel;
use crate::split::Split;
use crate::voc::layout::{ANNOTATIONS, FOLDERS, IMAGES, annotation_file, list_file};
use crate::voc::lists::{List, read_list};
use crate::voc::xml::{self, RawAnnotation};

/// The largest annotation file that is read: tens of thousands of objects.
const MAX_ANNOTATION_BYTES: u64 = 8 << 20;

/// The fields of an annotation; the error is a message for the user.
type Parsed = std::result::Result<RawAnnotation, String>;

/// A data folder in VOC's layout, with the names of its files.
///
/// An annotation is read when it is first needed, and only then: classes,
/// splits and checks that are asked of one `VocFolder` share what was read.
#[derive(Clone, Debug)]
pub struct VocFolder {
    root: PathBuf,
    annotations: BTreeMap<String, OnceLock<Parsed>>,
    images: BTreeMap<String, Vec<String>>,
}

impl VocFolder {
    /// Lists the annotations and images of the data folder at `root`. Hidden
    /// files and files of other kinds are passed over.
    ///
    /// # Errors
    /// [`Error::Malformed`] if `Annotations` or `JPEGImages` is missing,
    /// [`Error::Io`] if a folder can't be listed.
    pub fn open(root: &Path) -> Result<Self> {
        for folder in FOLDERS {
            if !root.join(folder).is_dir() {
                return Err(Error::Malformed(format!(
                    "{}: expected the folders {ANNOTATIONS} and {IMAGES}, found no {folder}",
                    root.display()
                )));
            }
        }
        let annotations = sorted_names(&root.join(ANNOTATIONS))?
            .iter()
            .filter_map(|name| stem_with_ending(name, &["xml"]))
            .map(|(stem, _)| (stem.to_owned(), OnceLock::new()))
            .collect();
        let mut images: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in sorted_names(&root.join(IMAGES))? {
            if let Some((stem, _)) = stem_with_ending(&name, &IMAGE_ENDINGS) {
                images.entry(stem.to_owned()).or_default().push(name);
            }
        }
        for names in images.values_mut() {
            names.sort_by_key(|name| {
                stem_with_ending(name, &IMAGE_ENDINGS).map(|(_, preference)| preference)
            });
        }
        Ok(Self {
            root: root.to_owned(),
            annotations,
            images,
        })
    }

    /// The data folder.
    pub fn root(&self) -> &Path {
        &self.root
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
    pub(super) fn image_files(&self, id: &str) -> &[String] {
        self.images.get(id).map_or(&[], Vec::as_slice)
    }

    /// The ids of all images, sorted.
    pub(super) fn image_ids(&self) -> impl Iterator<Item = &str> {
        self.images.keys().map(String::as_str)
    }

    /// Whether the split has a list of its own.
    pub fn has_split(&self, split: Split) -> bool {
        self.root.join(list_file(split)).is_file()
    }

    /// The list of a split. `trainval` is put together from `train` and `val`,
    /// as far as they are there, where it has no list of its own.
    pub(super) fn list(&self, split: Split) -> Result<List> {
        let list = match read_list(&self.root, split)? {
            None if split == Split::TrainVal => self.joined_list()?,
            list => list,
        };
        list.ok_or_else(|| {
            Error::Malformed(format!(
                "{}: expected the list {}, found none; divide the set into splits first",
                self.root.display(),
                list_file(split)
            ))
        })
    }

    /// `train` and `val` in one, none if both are missing.
    fn joined_list(&self) -> Result<Option<List>> {
        let train = read_list(&self.root, Split::Train)?;
        let val = read_list(&self.root, Split::Val)?;
        let (mut joined, val) = match (train, val) {
            (Some(train), Some(val)) => (train, val),
            (train, val) => return Ok(train.or(val)),
        };
        let known: HashSet<String> = joined.ids.iter().cloned().collect();
        let new = val.ids.into_iter().filter(|id| !known.contains(id));
        joined.ids.extend(new);
        joined.findings.extend(val.findings);
        Ok(Some(joined))
    }

    /// The classes of the objects in `trainval`, or in `test` where nothing
    /// else is listed, sorted by name. Names that no class may have are left
    /// out.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the list or any class is missing,
    /// [`Error::OverLimit`] for too many classes, [`Error::Io`] for a list
    /// that can't be read.
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
        let parsed = self.annotations.get(id)?;
        Some(parsed.get_or_init(|| self.parse_annotation(id)))
    }

    fn parse_annotation(&self, id: &str) -> Parsed {
        let path = self.root.join(annotation_file(id));
        let bytes = read_bounded(&path, MAX_ANNOTATION_BYTES).map_err(|error| match error {
            Error::Io { source, .. } => source.to_string(),
            Error::OverLimit(_) => format!("expected at most {MAX_ANNOTATION_BYTES} bytes"),
            _ => "expected a plain file".into(),
        })?;
        xml::parse(&bytes)
    }
}

/// What to say where [`VocFolder::classes_of`] finds none.
pub(super) fn no_classes(ids: &[String]) -> String {
    format!(
        "expected objects in the {} images that name the classes, found none",
        ids.len()
    )
}
