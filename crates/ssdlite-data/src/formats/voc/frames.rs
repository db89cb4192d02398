//! The images of a VOC folder by their ids, one at a time, for who looks through
//! them.
//!
//! They lie in `JPEGImages` itself, not in folders there, as [`super::VocWriter`]
//! puts them. An id is the name of a file and never a path, so that whoever gives
//! one can't leave the folder.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use ssdlite_files::write_atomically;
use ssdlite_image::{Format, NamedFormat, format_from_name};

use crate::error::{Error, Result};
use crate::files::{entries_of, read_bounded};
use crate::formats::voc::MAX_ANNOTATION_BYTES;
use crate::formats::voc::layout::{ANNOTATIONS, IMAGES};

/// The most bytes of an id: a file's name is longer by its ending, and a temporary
/// one by more.
const MAX_ID_BYTES: usize = 200;

/// The endings of annotation files that are found, the one that is written first.
const ANNOTATION_ENDINGS: [&str; 2] = ["xml", "XML"];

/// The images of the VOC folder at a path.
#[derive(Clone, Debug)]
pub struct VocFrames {
    root: PathBuf,
}

/// The images of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameList {
    /// Their ids, sorted.
    pub ids: Vec<String>,
    /// How many files and folders lie among the images and are none that can be
    /// looked at here.
    pub left_out: usize,
}

impl VocFrames {
    /// The images of the data folder at `root`, which need not be there yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The images that are there.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder can't be listed.
    pub fn list(&self) -> Result<FrameList> {
        let folder = self.root.join(IMAGES);
        if !folder.exists() {
            return Ok(FrameList::default());
        }
        let entries = entries_of(&folder)?;
        let found = entries.len();
        let mut images = 0;
        let mut ids = BTreeSet::new();
        for (name, path) in entries {
            if let Some((id, _)) = name.rsplit_once('.')
                && matches!(
                    format_from_name(Path::new(&name)),
                    Some(NamedFormat::Read(_))
                )
                && is_id(id)
                && path.is_file()
            {
                images += 1;
                ids.insert(id.to_owned());
            }
        }
        Ok(FrameList {
            ids: ids.into_iter().collect(),
            left_out: found - images,
        })
    }

    /// The image file of an id, if there is one; of several the one that is trained
    /// on.
    pub fn image(&self, id: &str) -> Option<PathBuf> {
        let endings = Format::ALL.into_iter().flat_map(Format::endings);
        let names = endings.flat_map(|ending| {
            [ending.to_string(), ending.to_ascii_uppercase()].map(|ending| format!("{id}.{ending}"))
        });
        let folder = self.root.join(IMAGES);
        let mut paths = names.map(|name| folder.join(name));
        is_id(id).then(|| paths.find(|path| path.is_file()))?
    }

    /// The bytes of an id's annotation file, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Unsupported`] for what is no plain file,
    /// [`Error::OverLimit`].
    pub fn annotation(&self, id: &str) -> Result<Option<Vec<u8>>> {
        match self.annotation_file(id) {
            Some(path) => read_bounded(&path, MAX_ANNOTATION_BYTES).map(Some),
            None => Ok(None),
        }
    }

    /// Replaces the annotation file of an id, which has to be there.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if it is not, [`Error::Io`].
    pub fn replace_annotation(&self, id: &str, text: &str) -> Result<()> {
        let path = self.annotation_file(id).ok_or_else(|| {
            Error::InvalidRequest("expected an annotation to replace, found none".into())
        })?;
        write_atomically(&path, text.as_bytes()).map_err(|source| Error::io(path, source))
    }

    fn annotation_file(&self, id: &str) -> Option<PathBuf> {
        let folder = self.root.join(ANNOTATIONS);
        let paths = ANNOTATION_ENDINGS.map(|ending| folder.join(format!("{id}.{ending}")));
        is_id(id).then(|| paths.into_iter().find(|path| path.exists()))?
    }
}

/// Whether this is the beginning of a file's name and nothing else anywhere.
fn is_id(id: &str) -> bool {
    let mut components = Path::new(id).components();
    let is_name = matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(name)), None) if name == id
    );
    let is_foreign = |c: char| c.is_control() || c == '/' || c == '\\' || cfg!(windows) && c == ':';
    is_name
        && id.len() <= MAX_ID_BYTES
        && !id.starts_with('.')
        && !id.contains(char::REPLACEMENT_CHARACTER)
        && !id.contains(is_foreign)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    #[test]
    fn images_are_listed_once_and_what_is_none_is_counted() {
        let folder = folder_with(&[
            "JPEGImages/b.PNG",
            "JPEGImages/a.v2.jpg",
            "JPEGImages/a.v2.png",
            "JPEGImages/c d.webp",
            "JPEGImages/.hidden.jpg",
            "JPEGImages/notes.txt",
            "JPEGImages/x.heic",
            "JPEGImages/inner/d.jpg",
        ]);
        let frames = VocFrames::new(folder.path());
        let list = frames.list().unwrap();
        assert_eq!(list.ids, ["a.v2", "b", "c d"]);
        assert_eq!(list.left_out, 3);
        let image = |id| {
            Some(
                frames
                    .image(id)?
                    .strip_prefix(folder.path())
                    .unwrap()
                    .to_owned(),
            )
        };
        assert_eq!(image("a.v2"), Some("JPEGImages/a.v2.jpg".into()));
        assert_eq!(image("b"), Some("JPEGImages/b.PNG".into()));
        assert_eq!(image("d"), None);
        let none = VocFrames::new(folder.path().join("none")).list().unwrap();
        assert_eq!(none, FrameList::default());
    }

    #[test]
    fn no_id_leaves_the_folder() {
        let folder = folder_with(&[
            "secret.jpg",
            "secret.xml",
            "JPEGImages/inner/d.jpg",
            "Annotations/inner/d.xml",
            "Annotations/a.xml",
        ]);
        let frames = VocFrames::new(folder.path());
        let absolute = folder.path().join("secret").display().to_string();
        for id in [
            "../secret",
            "..",
            ".",
            "",
            "inner/d",
            "inner\\d",
            "./inner/d",
            "a/",
            "/a",
            "a\0",
            "a\n",
            &absolute,
            &"a".repeat(300),
        ] {
            assert_eq!(frames.image(id), None, "{id:?}");
            assert_eq!(frames.annotation(id).unwrap(), None, "{id:?}");
            assert!(frames.replace_annotation(id, "x").is_err(), "{id:?}");
        }
        assert_eq!(
            frames.annotation("a").unwrap().unwrap(),
            b"Annotations/a.xml"
        );
        frames.replace_annotation("a", "new").unwrap();
        assert_eq!(frames.annotation("a").unwrap().unwrap(), b"new");
    }
}
