//! `detect --save-labels`: images with what is found in them as a data set.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf, absolute};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use ssdlite_core::{ClassNames, GroundTruth, ImageSize};
use ssdlite_data::{
    DetectionImage, ImageFiles, LabelledSet, SetPart, WriteOptions, WrittenFormat, write_set,
};
use ssdlite_files::write_atomically;

use crate::args::labels::{LabelArgs, ScoreBand};
use crate::console::{self, counted};
use crate::outcome::UsageError;
use crate::output::found::Found;
use crate::paths::expect_unused;

/// The list of the images to look at, in the data set's folder.
const REVIEW: &str = "review.txt";

/// Images with what was found in them. They are written when all have been looked at, or
/// no more are to be: the set is whole then, or not there.
pub(super) struct Labels {
    folder: PathBuf,
    format: WrittenFormat,
    review: Option<ScoreBand>,
    images: Vec<DetectionImage>,
    /// The images' ids in lower case, as file systems may tell them apart.
    taken: HashSet<String>,
    /// The names of images to look at.
    to_review: Vec<String>,
}

impl Labels {
    /// What is to be saved, if anything is; `drawn` is where images with boxes go.
    ///
    /// # Errors
    /// For a folder that something is in, or will be.
    pub(super) fn from_args(args: &LabelArgs, drawn: Option<&Path>) -> Result<Option<Self>> {
        let Some((format, folder)) = args.asked() else {
            return Ok(None);
        };
        if let Some(drawn) = drawn
            && absolute(drawn)?.starts_with(absolute(folder)?)
        {
            let fault = "--labels: expected another folder than that of --save or one above it";
            return Err(UsageError(fault.into()).into());
        }
        // Asked before the work, and again when the set is written.
        expect_unused(folder, "--labels")?;
        Ok(Some(Self {
            folder: folder.to_owned(),
            format,
            review: args.review(),
            images: Vec::new(),
            taken: HashSet::new(),
            to_review: Vec::new(),
        }))
    }

    /// Adds an image with what was found in it.
    pub(super) fn add(&mut self, path: &Path, size: ImageSize, found: &[Found]) {
        let id = self.free_id(path);
        let is_doubtful = |band: ScoreBand| {
            let mut found = found.iter();
            found.any(|found| band.contains(found.detection.score))
        };
        if self.review.is_some_and(is_doubtful) {
            let ending = path.extension().unwrap_or_default().to_string_lossy();
            self.to_review.push(format!("{id}.{ending}"));
        }
        let object = |found: &Found| GroundTruth {
            class: found.detection.class,
            bbox: found.detection.bbox.clipped(size),
            difficult: false,
        };
        self.images.push(DetectionImage {
            id,
            path: path.to_owned(),
            size,
            objects: found.iter().map(object).collect(),
        });
    }

    /// The file's name without its ending, with a number where another image has it.
    fn free_id(&mut self, path: &Path) -> String {
        let stem = plain_name(path);
        let mut id = stem.clone();
        let mut number = 1;
        while !self.taken.insert(id.to_lowercase()) {
            number += 1;
            id = format!("{stem}-{number}");
        }
        id
    }

    /// Writes the set, and beside it the list of the images to look at. Of no image there
    /// is no set.
    pub(super) fn write(self, classes: &ClassNames) -> Result<()> {
        let folder = self.folder.display();
        if self.images.is_empty() {
            console::note(&format!("{folder}: no image, so no data set"));
            return Ok(());
        }
        let set = LabelledSet {
            classes: classes.clone(),
            parts: vec![SetPart {
                split: None,
                images: self.images,
            }],
        };
        let options = WriteOptions {
            format: self.format,
            images: ImageFiles::Copy,
        };
        // Whoever stops the work wants what is done of it.
        let never = AtomicBool::new(false);
        let written = write_set(&self.folder, &set, &options, &never)?;
        let mut told = format!(
            "{folder}: {} with {} as a {} data set",
            counted(written.images, "image"),
            counted(written.objects, "object"),
            self.format
        );
        if self.review.is_some() {
            let path = self.folder.join(REVIEW);
            let lines = self.to_review.iter().map(|name| format!("{name}\n"));
            let lines: String = lines.collect();
            write_atomically(&path, lines.as_bytes())
                .with_context(|| path.display().to_string())?;
            let images = counted(self.to_review.len(), "image");
            write!(told, "; {images} to review in {REVIEW}")?;
        }
        console::note(&told);
        Ok(())
    }
}

/// A file's name without its ending, as all systems and formats can have it.
fn plain_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |char: char| match char {
        '/' | '\\' | ':' => '_',
        char if char.is_control() => '_',
        char => char,
    };
    let name: String = stem.chars().map(plain).collect();
    match name.chars().all(|char| char == '.') {
        true => "image".into(),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_one_name_have_ids_of_their_own() {
        let mut labels = Labels {
            folder: "set".into(),
            format: WrittenFormat::Voc,
            review: None,
            images: Vec::new(),
            taken: HashSet::new(),
            to_review: Vec::new(),
        };
        for path in [
            "a/x.jpg", "b/x.jpg", "b/X.png", "x-2.jpg", "y.v2.jpg", "a\nb.jpg", "...jpg",
        ] {
            labels.add(Path::new(path), ImageSize::new(7, 5), &[]);
        }
        let ids = labels.images.iter().map(|image| image.id.as_str());
        let ids: Vec<&str> = ids.collect();
        assert_eq!(ids, ["x", "x-2", "X-3", "x-2-2", "y.v2", "a_b", "image"]);
    }
}
