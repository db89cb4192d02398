//! Images that are added to a VOC folder.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ssdlite_files::{NewFile, write_atomically};

use crate::error::{Error, Result};
use crate::files::make_folder;
use crate::formats::voc::VocAnnotation;
use crate::formats::voc::layout::{ANNOTATIONS, annotation_file, image_file, list_file};
use crate::split::Split;

/// An image to learn from stands in these lists.
const TRAINING_LISTS: [Split; 2] = [Split::Train, Split::TrainVal];

/// Adds images with their annotations to a VOC folder, which is made with the
/// first of them.
#[derive(Debug)]
pub struct VocWriter {
    root: PathBuf,
    /// How a file is written.
    put: fn(&Path, &[u8]) -> io::Result<()>,
}

impl VocWriter {
    /// A writer for the data folder at `root`. Nothing is written yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            put: write_atomically,
        }
    }

    /// A writer for a folder that has no name yet, and can be made again: its
    /// files need not reach the disk one by one.
    pub(crate) fn for_new_folder(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            put: |path, bytes| fs::write(path, bytes),
        }
    }

    /// Writes the bytes of an image file and its annotation, which names the
    /// file; no list gets to know of it. What has the same name is replaced.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a file name without an ending,
    /// [`Error::Io`].
    pub fn add(&self, image: &[u8], annotation: &VocAnnotation<'_>) -> Result<()> {
        let id = id_of(annotation)?;
        self.write(&image_file(annotation.filename), image)?;
        self.write(&annotation_file(id), annotation.to_xml().as_bytes())
    }

    /// As [`Self::add`], and has the image learnt from: it gets into those of
    /// the lists `train` and `trainval` that are there, or in a folder without
    /// annotations into new ones. A new list beside annotations that stand in
    /// none would leave those out of training. Tells whether it stands in a
    /// list. No file gets its name before all are written, so that a full disk
    /// leaves none of them.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_to_train(&mut self, image: &[u8], annotation: &VocAnnotation<'_>) -> Result<bool> {
        let id = id_of(annotation)?;
        let lists = self.training_lists()?;
        let xml = annotation.to_xml();
        let files = vec![
            self.write_unnamed(&image_file(annotation.filename), image)?,
            self.write_unnamed(&annotation_file(id), xml.as_bytes())?,
        ];
        self.name_and_list(files, id, &lists)?;
        Ok(!lists.is_empty())
    }

    /// Writes the text of an annotation for the image of this id, which is in the
    /// folder and has none. It gets into lists as by [`Self::add_to_train`], unless
    /// one names it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn annotate(&mut self, id: &str, text: &str) -> Result<()> {
        let lists = match self.is_listed(id)? {
            true => Vec::new(),
            false => self.training_lists()?,
        };
        let annotation = self.write_unnamed(&annotation_file(id), text.as_bytes())?;
        self.name_and_list(vec![annotation], id, &lists)
    }

    /// Gives files their names, and lists a line each for the image that they are
    /// about.
    fn name_and_list(&self, mut files: Vec<NewFile>, id: &str, lists: &[String]) -> Result<()> {
        for list in lists {
            let path = self.root.join(list);
            let text = with_line(&path, id).map_err(|source| Error::io(path, source))?;
            files.push(self.write_unnamed(list, &text)?);
        }
        for file in files {
            let path = file.path().to_owned();
            file.commit().map_err(|source| Error::io(path, source))?;
        }
        Ok(())
    }

    /// Whether a list names an image.
    fn is_listed(&self, id: &str) -> Result<bool> {
        for split in Split::ALL {
            let path = self.root.join(list_file(split));
            match fs::read(&path) {
                Ok(text) => {
                    let text = String::from_utf8_lossy(&text);
                    if text.lines().any(|line| line.trim() == id) {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::io(path, source)),
            }
        }
        Ok(false)
    }

    fn training_lists(&self) -> Result<Vec<String>> {
        let lists = TRAINING_LISTS.map(list_file);
        let is_there = |list: &&String| self.root.join(list).exists();
        let there: Vec<String> = lists.iter().filter(is_there).cloned().collect();
        if there.is_empty() && is_empty(&self.root.join(ANNOTATIONS))? {
            return Ok(lists.into());
        }
        Ok(there)
    }

    fn write(&self, file: &str, bytes: &[u8]) -> Result<()> {
        let path = self.root.join(file);
        make_folder_of(&path)?;
        (self.put)(&path, bytes).map_err(|source| Error::io(path, source))
    }

    /// Writes a file that has yet to get its name.
    fn write_unnamed(&self, file: &str, bytes: &[u8]) -> Result<NewFile> {
        let path = self.root.join(file);
        make_folder_of(&path)?;
        let written = NewFile::create(&path).and_then(|mut file| {
            file.write_all(bytes)?;
            Ok(file)
        });
        written.map_err(|source| Error::io(path, source))
    }
}

fn id_of<'a>(annotation: &VocAnnotation<'a>) -> Result<&'a str> {
    match annotation.filename.rsplit_once('.') {
        Some((id, _)) if !id.is_empty() => Ok(id),
        _ => Err(Error::InvalidRequest(format!(
            "expected an image's file name with an ending, found `{}`",
            annotation.filename
        ))),
    }
}

fn make_folder_of(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), make_folder)
}

/// Whether nothing is in a folder, or the folder is not there.
fn is_empty(folder: &Path) -> Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Error::io(folder, error)),
    }
}

/// A file's text with another line, also where its last was left without its
/// end.
fn with_line(path: &Path, line: &str) -> io::Result<Vec<u8>> {
    let mut text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    if text.last().is_some_and(|&last| last != b'\n') {
        text.push(b'\n');
    }
    text.extend(line.bytes().chain([b'\n']));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_gets_an_annotation_and_a_place_to_learn_from_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let list = |split: Split| fs::read_to_string(root.join(list_file(split)));
        let mut writer = VocWriter::new(root);
        writer.annotate("a", "<annotation/>").unwrap();
        assert!(root.join("Annotations/a.xml").is_file());
        assert!(!root.join("JPEGImages").exists());
        fs::write(root.join(list_file(Split::Test)), "b\n").unwrap();
        for id in ["b", "a", "c"] {
            writer.annotate(id, "<annotation/>").unwrap();
        }
        assert_eq!(list(Split::Train).unwrap(), "a\nc\n");
        assert_eq!(list(Split::TrainVal).unwrap(), "a\nc\n");
        assert_eq!(list(Split::Test).unwrap(), "b\n");
    }
}
