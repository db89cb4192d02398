//! Labelled sets written in one of the formats.
//!
//! A set gets its name when all of it is written, and nothing that is there is touched.
//! What is written is read back as it was: splits, difficult objects, images without
//! objects, boxes to the pixel. The writer of each format says what it does with what it
//! has no place for.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;

use crate::dataset::DetectionImage;
use crate::detection::lists::folded;
use crate::detection::{LabelledSet, SetPart};
use crate::error::{Error, Result};
use crate::files::{expect_going_on, make_folder, write_folder_aside, write_unsynced};
use crate::finding::quoted;
use crate::formats::{coco, voc, yolo};
use crate::layout::is_kind;
use crate::parallel;
use crate::split::Split;

/// A format that sets are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WrittenFormat {
    /// PASCAL VOC: `Annotations/ID.xml`, `JPEGImages/`, `ImageSets/Main/SPLIT.txt`.
    /// Edges are rounded to whole pixels, of which each side of a box has two at least;
    /// classes are those of the objects alone.
    Voc,
    /// YOLO: `data.yaml`, `images/SPLIT/`, `labels/SPLIT/ID.txt`. An image that stands
    /// in two splits has two files. Difficult objects are named in `difficult.txt`.
    Yolo,
    /// COCO: `annotations/SPLIT.json`, `images/`. Difficult objects have `iscrowd`.
    Coco,
}

impl WrittenFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Voc, Self::Yolo, Self::Coco];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Voc => "voc",
            Self::Yolo => "yolo",
            Self::Coco => "coco",
        }
    }
}

impl fmt::Display for WrittenFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for WrittenFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter().find(|format| format.name() == name);
        known.ok_or_else(|| {
            Error::InvalidRequest(format!(
                "expected the format voc, yolo or coco, found `{name}`"
            ))
        })
    }
}

/// How the image files of a set come into another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageFiles {
    /// They are copied.
    #[default]
    Copy,
    /// They get a second name (a hard link), which takes no room and needs one file
    /// system.
    Link,
}

/// How a set is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// In which format.
    pub format: WrittenFormat,
    /// How the image files come into it.
    pub images: ImageFiles,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrittenSet {
    /// Images, each once.
    pub images: usize,
    /// Objects in them.
    pub objects: usize,
    /// Image files that were written again, as the image stands in several splits.
    pub repeated_images: usize,
    /// Boxes of which an edge was moved to a whole pixel.
    pub rounded_boxes: usize,
    /// Classes that the format has no place for, as no object has them.
    pub lost_classes: Vec<String>,
}

/// Writes a set to the folder `out`, which must be new or empty.
///
/// An image's file is called by its id, without folders that say a split or a kind of
/// file as far as the names stay different, and has the ending of the image's path.
///
/// # Errors
/// [`Error::InvalidRequest`] if `out` holds something, for a set without images, or for
/// an id, box or class that can't be written; [`Error::Io`]; [`Error::Stopped`] once
/// `stop` is set. Nothing is left then.
pub fn write_set(
    out: &Path,
    set: &LabelledSet,
    options: &WriteOptions,
    stop: &AtomicBool,
) -> Result<WrittenSet> {
    check(set)?;
    let names = names_of(set);
    let mut written = WrittenSet {
        images: names.len(),
        ..WrittenSet::default()
    };
    written.objects = distinct(set).map(|image| image.objects.len()).sum();
    write_folder_aside(out, |root| {
        let target = Target {
            root,
            names: &names,
            images: options.images,
            stop,
        };
        match options.format {
            WrittenFormat::Voc => voc::set::write(&target, set, &mut written),
            WrittenFormat::Yolo => yolo::set::write(&target, set, &mut written),
            WrittenFormat::Coco => coco::set::write(&target, set),
        }
    })?;
    Ok(written)
}

/// Where a set is written to.
pub(crate) struct Target<'a> {
    root: &'a Path,
    names: &'a HashMap<&'a str, String>,
    images: ImageFiles,
    stop: &'a AtomicBool,
}

impl Target<'_> {
    /// An image's name without folder and ending; it may have folders in it.
    pub(super) fn name(&self, image: &DetectionImage) -> &str {
        self.names.get(image.id.as_str()).map_or("", String::as_str)
    }

    /// The name with the image's ending.
    pub(super) fn file_name(&self, image: &DetectionImage) -> String {
        let name = self.name(image);
        match image.path.extension() {
            Some(ending) => format!("{name}.{}", ending.to_string_lossy()),
            None => name.to_owned(),
        }
    }

    /// Brings an image's file into the set, `folder` seen from the set's.
    pub(super) fn put_image(&self, image: &DetectionImage, folder: &str) -> Result<()> {
        expect_going_on(self.stop)?;
        let path = self.path(&format!("{folder}/{}", self.file_name(image)))?;
        let put = match self.images {
            // What a link of the file system leads to, not that link.
            ImageFiles::Link => {
                fs::canonicalize(&image.path).and_then(|from| fs::hard_link(from, &path))
            }
            ImageFiles::Copy => copy(&image.path, &path),
        };
        put.map_err(|source| Error::io(&image.path, source))
    }

    /// Writes a text file, seen from the set's folder.
    pub(super) fn put_text(&self, file: &str, text: &str) -> Result<()> {
        write_unsynced(&self.path(file)?, text.as_bytes())
    }

    /// Where a new file is, in a folder that is there.
    pub(super) fn path(&self, file: &str) -> Result<PathBuf> {
        let path = self.root.join(file);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        // Names that differ in case may be one for the file system.
        if fs::symlink_metadata(&path).is_ok() {
            let fault = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(Error::io(path, fault));
        }
        Ok(path)
    }

    /// Work for many images, on all cores.
    pub(super) fn each<'i>(
        &self,
        images: impl IntoIterator<Item = &'i DetectionImage>,
        work: impl Fn(&DetectionImage) -> Result<()> + Sync,
    ) -> Result<()> {
        let images: Vec<&DetectionImage> = images.into_iter().collect();
        parallel::map(&images, |image| work(image))
            .into_iter()
            .collect()
    }
}

/// Copies a file's bytes, not whether it may be written.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = ssdlite_files::open_plain(from)?;
    let mut target = fs::File::options().write(true).create_new(true).open(to)?;
    io::copy(&mut source, &mut target).map(drop)
}

/// All images, each once.
pub(super) fn distinct(set: &LabelledSet) -> impl Iterator<Item = &DetectionImage> {
    let mut seen = HashSet::new();
    let images = set.parts.iter().flat_map(|part| &part.images);
    images.filter(move |image| seen.insert(image.id.as_str()))
}

/// The part of a split, if there is one.
pub(super) fn part_of(set: &LabelledSet, split: Split) -> Option<&SetPart> {
    set.parts.iter().find(|part| part.split == Some(split))
}

/// Refuses a set that no format can hold.
fn check(set: &LabelledSet) -> Result<()> {
    let refused = |fault: String| Err(Error::InvalidRequest(fault));
    let mut splits = HashSet::new();
    if let Some(part) = set.parts.iter().find(|part| !splits.insert(part.split)) {
        let split = part.split.map_or("none", Split::name);
        return refused(format!("expected each split once, found {split} twice"));
    }
    let mut paths: HashMap<&str, &Path> = HashMap::new();
    for image in set.parts.iter().flat_map(|part| &part.images) {
        let id = quoted(&image.id);
        if let Some(fault) = fault_of_id(&image.id) {
            return refused(format!("the image {id}: {fault}"));
        }
        let path = paths.entry(&image.id).or_insert(&image.path);
        if *path != image.path {
            return refused(format!("the image {id}: expected one file, found two"));
        }
        for (index, object) in image.objects.iter().enumerate() {
            let inside = object.bbox.clipped(image.size);
            if !object.bbox.is_valid() || inside != object.bbox {
                return refused(format!(
                    "the image {id}: object {}: expected a box inside of {}, found {}",
                    index + 1,
                    image.size,
                    object.bbox
                ));
            }
            if set.classes.get(object.class).is_none() {
                return refused(format!(
                    "the image {id}: object {}: expected one of {} classes, found the id {}",
                    index + 1,
                    set.classes.len(),
                    object.class.index()
                ));
            }
        }
    }
    match paths.is_empty() {
        true => refused("expected images to write, found none".into()),
        false => Ok(()),
    }
}

/// Why an id can't be a file's name.
fn fault_of_id(id: &str) -> Option<&'static str> {
    let mut steps = id.split('/');
    if steps.any(|step| matches!(step, "" | "." | "..")) {
        return Some("expected a name, or names with `/`");
    }
    if id.contains(char::is_control) {
        return Some("found a control character in the name");
    }
    let is_rooted = Path::new(id).has_root() || id.get(1..2) == Some(":");
    is_rooted.then_some("expected a name, found a path from a root")
}

/// What each image is called, by its id.
fn names_of(set: &LabelledSet) -> HashMap<&str, String> {
    let ids: Vec<&str> = distinct(set).map(|image| image.id.as_str()).collect();
    let short: Vec<String> = ids.iter().map(|id| short_name(id)).collect();
    let different: HashSet<String> = short.iter().map(|name| folded(name)).collect();
    match different.len() == ids.len() {
        true => ids.into_iter().zip(short).collect(),
        false => ids.into_iter().map(|id| (id, id.to_owned())).collect(),
    }
}

/// An id without the folders that say a split or a kind of file.
fn short_name(id: &str) -> String {
    let (folders, name) = id.rsplit_once('/').unwrap_or(("", id));
    let says_more = |folder: &&str| {
        !folder.is_empty() && Split::from_folder_name(folder).is_none() && !is_kind(folder)
    };
    let kept: Vec<&str> = folders.split('/').filter(says_more).chain([name]).collect();
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_says_a_split_or_a_kind() {
        for (id, name) in [
            ("a", "a"),
            ("train/a", "a"),
            ("Train/images/a", "a"),
            ("part/test/a", "part/a"),
            ("train", "train"),
        ] {
            assert_eq!(short_name(id), name);
        }
    }

    #[test]
    fn ids_that_lead_elsewhere_are_refused() {
        for id in ["", "/a", "a/../b", "a//b", ".", "a/", "a\nb", "C:a"] {
            assert!(fault_of_id(id).is_some(), "{id:?}");
        }
        for id in ["a", "a/b", "a b.c", "..a", "é"] {
            assert!(fault_of_id(id).is_none(), "{id:?}");
        }
    }
}
