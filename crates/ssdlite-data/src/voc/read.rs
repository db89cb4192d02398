//! Images and annotations of a VOC folder, put together.

use std::path::PathBuf;

use ssdlite_core::{ClassNames, GroundTruth};
use ssdlite_image::Header;

use crate::dataset::{DetectionImage, DetectionSet};
use crate::error::{Error, Result};
use crate::finding::{FileFindings, Finding, FindingKind, Losses, Reading, because_of, quoted};
use crate::images::header_within_limits;
use crate::parallel;
use crate::split::Split;
use crate::voc::annotation::{Expected, Frame, corners_of};
use crate::voc::folder::{DataFile, VocFolder, no_classes};
use crate::voc::lists::folded;
use crate::voc::xml::RawAnnotation;
use crate::voc::{Coordinates, VocOptions};

/// What is to be known to read one image.
pub(super) struct Expectation<'a> {
    /// None where no object names any.
    pub(super) classes: Option<Expected<'a>>,
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
    /// class, with the first fault of each file; [`Error::OverLimit`] for too
    /// many classes.
    pub fn read(&self, split: Split, options: &VocOptions) -> Result<Reading<DetectionSet>> {
        let list = self.list(split)?;
        let classes = match &options.classes {
            Some(classes) => classes.clone(),
            None => self.expected_classes(options.coordinates)?,
        };
        let expectation = Expectation {
            classes: Some(Expected::new(&classes)),
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
            return Err(Error::Malformed(format!(
                "{}: expected images in {}, found none that can be used{}",
                self.root().display(),
                self.list_of(split),
                because_of(&findings)
            )));
        }
        findings.extend(self.percentages(&images));
        Ok(Reading {
            set: DetectionSet { classes, images },
            findings,
            losses,
        })
    }

    /// [`VocFolder::classes`]; where there is none, the error says what is
    /// wrong with the images that should name them.
    fn expected_classes(&self, coordinates: Coordinates) -> Result<ClassNames> {
        let list = self.list_that_names_classes()?;
        if let Some(classes) = self.classes_of(&list.ids)? {
            return Ok(classes);
        }
        let expectation = Expectation {
            classes: None,
            coordinates,
        };
        let read = |id: &String| self.read_image(id, &expectation).findings;
        let mut findings = list.findings;
        findings.extend(parallel::map(&list.ids, read).into_iter().flatten());
        Err(Error::Malformed(format!(
            "{}: {}{}",
            self.root().display(),
            no_classes(&list.ids),
            because_of(&findings)
        )))
    }

    /// Boxes that are percentages of their image, most likely: none of several
    /// reaches beyond 100, while all images do by far.
    pub(super) fn percentages(&self, images: &[DetectionImage]) -> Option<Finding> {
        const LEAST_BOXES: usize = 10;
        const FAR: u32 = 200;
        let is_within = |object: &GroundTruth| object.bbox.x2.max(object.bbox.y2) <= 100.0;
        let are_percentages = |image: &&DetectionImage| {
            image.size.width.min(image.size.height) > FAR && image.objects.iter().all(is_within)
        };
        let mut labelled = images.iter().filter(|image| !image.objects.is_empty());
        let boxes: usize = labelled.clone().map(|image| image.objects.len()).sum();
        if boxes < LEAST_BOXES || !labelled.all(|image| are_percentages(&image)) {
            return None;
        }
        let message = format!(
            "none of the {boxes} boxes reaches beyond 100, while all images are larger than \
             {FAR}x{FAR}: expected pixels, found percentages, as it seems"
        );
        let file = self.annotations_folder();
        Some(Finding::warning(file, FindingKind::NormalisedBox, message))
    }

    pub(super) fn read_image(&self, id: &str, expectation: &Expectation<'_>) -> ImageReading {
        let file = self.annotation_file(id);
        let mut findings = FileFindings::default();
        let read = self.usable_image(id, &file, expectation, &mut findings);
        let findings = findings.into_findings(&file);
        match read {
            None => ImageReading::skipped(findings),
            Some((image, losses)) => ImageReading {
                image: Some(image),
                findings,
                losses,
            },
        }
    }

    /// An image and what was lost of its objects, if it can be used.
    fn usable_image(
        &self,
        id: &str,
        file: &str,
        expectation: &Expectation<'_>,
        findings: &mut FileFindings,
    ) -> Option<(DetectionImage, Losses)> {
        let raw = self.annotation_of(id, file, findings);
        let image = self.image_of(id, file, findings);
        let (raw, (path, header)) = (raw?, image?);
        if let Some(doubt) = &raw.doubtful_encoding {
            findings.push(Finding::warning(file, FindingKind::DoubtfulEncoding, doubt));
        }
        if raw.parts > 0 {
            let message = format!(
                "found {} <part>s of objects; objects alone are read",
                raw.parts
            );
            findings.push(Finding::warning(file, FindingKind::PartsOfObjects, message));
        }
        if let Some(finding) = name_mismatch(raw, id, file) {
            findings.push(finding);
        }
        let corners = raw.objects.iter().map(corners_of).collect::<Vec<_>>();
        let (frame, finding) = Frame::new(raw, &corners, &header, expectation.coordinates);
        if let Some(finding) = finding {
            findings.push(finding.about(file));
        }
        let objects = frame?.objects(raw, corners, expectation.classes.as_ref(), file, findings);
        let image = DetectionImage {
            id: id.to_owned(),
            path,
            size: header.displayed,
            objects: objects.valid,
        };
        Some((image, objects.losses))
    }

    fn annotation_of(
        &self,
        id: &str,
        file: &str,
        findings: &mut FileFindings,
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
        findings: &mut FileFindings,
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
    // Tools write paths of their own machine, and Windows heeds no case.
    let bare = folded(name.rsplit(['/', '\\']).next().unwrap_or(name));
    let stem = bare.rsplit_once('.').map_or(&*bare, |(stem, _)| stem);
    let own_name = folded(id.rsplit_once('/').map_or(id, |(_, name)| name));
    let message = format!(
        "<filename> is {}, but the image of the annotation's own name is taken",
        quoted(name)
    );
    let differs = stem != own_name && bare != own_name;
    differs.then(|| Finding::warning(file, FindingKind::NameMismatch, message))
}
