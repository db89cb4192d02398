//! Images and annotations of a VOC folder, put together.

use std::path::PathBuf;

use ssdlite_core::ClassNames;
use ssdlite_image::Header;

use crate::dataset::{DetectionImage, DetectionSet};
use crate::error::{Error, Result};
use crate::finding::{Finding, FindingKind, Losses, Reading, quoted};
use crate::images::header_within_limits;
use crate::parallel;
use crate::split::Split;
use crate::voc::annotation::Frame;
use crate::voc::folder::{DataFile, VocFolder};
use crate::voc::xml::RawAnnotation;
use crate::voc::{Coordinates, VocOptions};

/// What is to be known to read one image.
pub(super) struct Expectation<'a> {
    pub(super) classes: &'a ClassNames,
    pub(super) coordinates: Coordinates,
}

/// One image as far as it could be read; none where it is skipped.
pub(super) struct ImageReading {
    pub(super) image: Option<DetectionImage>,
    pub(super) findings: Vec<Finding>,
    pub(super) losses: Losses,
}

impl ImageReading {
    fn skipped(findings: Vec<Finding>) -> Self {
        Self {
            image: None,
            findings,
            losses: Losses {
                images_skipped: 1,
                ..Losses::default()
            },
        }
    }
}

impl VocFolder {
    /// Reads a split: every annotation that was not read yet, and the header of
    /// every image.
    ///
    /// What can't be used is skipped or clipped as
    /// [`FindingKind`] says, reported and counted.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the split has no list, no usable image or no
    /// class, [`Error::OverLimit`] for too many classes.
    pub fn read(&self, split: Split, options: &VocOptions) -> Result<Reading<DetectionSet>> {
        let list = self.list(split)?;
        let classes = match &options.classes {
            Some(classes) => classes.clone(),
            None => self.classes()?,
        };
        let expectation = Expectation {
            classes: &classes,
            coordinates: options.coordinates,
        };
        let readings = parallel::map(&list.ids, |id| self.read_image(id, &expectation));
        let mut losses = Losses {
            images_skipped: list.skipped,
            ..Losses::default()
        };
        let mut findings = list.findings;
        let mut images = Vec::with_capacity(readings.len());
        for reading in readings {
            losses += reading.losses;
            findings.extend(reading.findings);
            images.extend(reading.image);
        }
        if images.is_empty() {
            let first = findings
                .first()
                .map_or_else(String::new, |finding| format!("; first fault: {finding}"));
            return Err(Error::Malformed(format!(
                "{}: expected images in {}, found none that can be used{first}",
                self.root().display(),
                self.list_of(split)
            )));
        }
        Ok(Reading {
            set: DetectionSet { classes, images },
            findings,
            losses,
        })
    }

    pub(super) fn read_image(&self, id: &str, expectation: &Expectation<'_>) -> ImageReading {
        let file = self.annotation_file(id);
        let mut findings = Vec::new();
        let raw = self.annotation_of(id, &file, &mut findings);
        let image = self.image_of(id, &file, &mut findings);
        let (Some(raw), Some((path, header))) = (raw, image) else {
            return ImageReading::skipped(findings);
        };
        findings.extend(name_mismatch(raw, id, &file));
        let (frame, finding) = Frame::new(raw, &header, expectation.coordinates, &file);
        findings.extend(finding);
        let Some(frame) = frame else {
            return ImageReading::skipped(findings);
        };
        let objects = frame.objects(raw, expectation.classes, &file, &mut findings);
        ImageReading {
            image: Some(DetectionImage {
                id: id.to_owned(),
                path,
                size: header.displayed,
                objects: objects.valid,
            }),
            findings,
            losses: objects.losses,
        }
    }

    fn annotation_of(
        &self,
        id: &str,
        file: &str,
        findings: &mut Vec<Finding>,
    ) -> Option<&RawAnnotation> {
        let (kind, fault) = match self.annotation(id) {
            Some(Ok(annotation)) => return Some(annotation),
            Some(Err(fault)) => (FindingKind::BadAnnotation, fault.as_str()),
            None => (
                FindingKind::MissingAnnotation,
                "expected an annotation, found none",
            ),
        };
        findings.push(Finding::error(file, kind, fault));
        None
    }

    fn image_of(
        &self,
        id: &str,
        annotation: &str,
        findings: &mut Vec<Finding>,
    ) -> Option<(PathBuf, Header)> {
        let files = self.image_files(id);
        let Some(DataFile { file, path }) = files.first() else {
            let expected = self.expected_image(id);
            let message = format!("expected the image {expected} or .png, found none");
            findings.push(Finding::error(
                annotation,
                FindingKind::MissingImage,
                message,
            ));
            return None;
        };
        if files.len() > 1 {
            let message = format!("found {} images of one id, this one is taken", files.len());
            findings.push(Finding::warning(file, FindingKind::AmbiguousImage, message));
        }
        match header_within_limits(path) {
            Ok(header) => Some((path.clone(), header)),
            Err(fault) => {
                findings.push(Finding::error(file, FindingKind::BadImage, fault));
                None
            }
        }
    }
}

/// An annotation that was written for an image of another name.
fn name_mismatch(raw: &RawAnnotation, id: &str, file: &str) -> Option<Finding> {
    let name = raw.filename.as_deref().filter(|name| !name.is_empty())?;
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let own_name = id.rsplit_once('/').map_or(id, |(_, name)| name);
    let message = format!(
        "<filename> is {}, but the image of the annotation's own name is taken",
        quoted(name)
    );
    let differs = stem != own_name && name != own_name;
    differs.then(|| Finding::warning(file, FindingKind::NameMismatch, message))
}
