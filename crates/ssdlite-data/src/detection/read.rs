//! Images and annotations, put together.

use std::path::PathBuf;

use ssdlite_core::{ClassNames, GroundTruth};
use ssdlite_image::Header;

use crate::dataset::{DetectionImage, DetectionSet};
use crate::detection::DetectionFolderOptions;
use crate::detection::annotation::ImageLabels;
use crate::detection::folder::{DetectionFolder, no_classes};
use crate::detection::frame::{Expected, Frame};
use crate::detection::lists::folded;
use crate::error::{Error, Result};
use crate::finding::{FileFindings, Finding, FindingKind, Losses, Reading, because_of, quoted};
use crate::formats::Format;
use crate::formats::contents::DataFile;
use crate::images::header_within_limits;
use crate::parallel;
use crate::split::Split;
use crate::voc::Coordinates;

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
    /// How many of its objects are boxes around other outlines.
    pub(super) outlines: usize,
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
            outlines: 0,
        }
    }
}

impl DetectionFolder {
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
    pub fn read(
        &self,
        split: Split,
        options: &DetectionFolderOptions,
    ) -> Result<Reading<DetectionSet>> {
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
        let mut outlines = 0;
        for reading in readings {
            losses += reading.losses;
            outlines += reading.outlines;
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
        findings.extend(self.outlines_as_boxes(outlines));
        Ok(Reading {
            set: DetectionSet { classes, images },
            findings,
            losses,
        })
    }

    /// [`DetectionFolder::classes`]; where there is none, the error says what is
    /// wrong with the images that should name them.
    fn expected_classes(&self, coordinates: Coordinates) -> Result<ClassNames> {
        if let Some(classes) = self.described_classes() {
            return Ok(classes.clone());
        }
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
        if self.format() == Format::Yolo {
            return None;
        }
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
        let file = self.labels();
        Some(Finding::warning(file, FindingKind::NormalisedBox, message))
    }

    /// What to tell of objects that are marked otherwise than by a box.
    pub(super) fn outlines_as_boxes(&self, outlines: usize) -> Option<Finding> {
        let message = format!(
            "{} not marked by a box; the upright boxes around their outlines are taken",
            match outlines {
                0 => return None,
                1 => "1 object is".to_owned(),
                more => format!("{more} objects are"),
            }
        );
        Some(Finding::warning(
            self.labels(),
            FindingKind::Outline,
            message,
        ))
    }

    pub(super) fn read_image(&self, id: &str, expectation: &Expectation<'_>) -> ImageReading {
        let file = self.annotation_file(id);
        let mut findings = FileFindings::default();
        let read = self.usable_image(id, &file, expectation, &mut findings);
        let mut findings = findings.into_findings(&file);
        if let Some(entry) = self.annotation_entry(id) {
            for finding in findings.iter_mut().filter(|finding| finding.file == file) {
                finding.message = format!("{}: {}", quoted(entry), finding.message);
            }
        }
        match read {
            None => ImageReading::skipped(findings),
            Some((image, losses, outlines)) => ImageReading {
                image: Some(image),
                findings,
                losses,
                outlines,
            },
        }
    }

    /// An image, what was lost of its objects, and how many are boxes around other
    /// outlines, if it can be used.
    fn usable_image(
        &self,
        id: &str,
        file: &str,
        expectation: &Expectation<'_>,
        findings: &mut FileFindings,
    ) -> Option<(DetectionImage, Losses, usize)> {
        let labels = self.annotation_of(id, file, findings);
        let image = self.image_of(id, file, findings);
        let (labels, (path, header)) = (labels?, image?);
        for (kind, doubt) in &labels.doubts {
            findings.push(Finding::warning(file, *kind, doubt));
        }
        if let Some(finding) = name_mismatch(labels, id, file) {
            findings.push(finding);
        }
        let (frame, finding) = Frame::new(labels, &header, expectation.coordinates);
        if let Some(finding) = finding {
            findings.push(finding.about(file));
        }
        let objects = frame?.objects(labels, expectation.classes.as_ref(), file, findings);
        let image = DetectionImage {
            id: id.to_owned(),
            path,
            size: header.displayed,
            objects: objects.valid,
        };
        Some((image, objects.losses, objects.outlines))
    }

    fn annotation_of(
        &self,
        id: &str,
        file: &str,
        findings: &mut FileFindings,
    ) -> Option<&ImageLabels> {
        let (kind, fault) = match self.annotation(id) {
            Some(Ok(labels)) => return Some(labels),
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
fn name_mismatch(labels: &ImageLabels, id: &str, file: &str) -> Option<Finding> {
    let name = labels.filename.as_deref().filter(|name| !name.is_empty())?;
    // Tools write paths of their own machine, and Windows heeds no case.
    let bare = folded(name.rsplit(['/', '\\']).next().unwrap_or(name));
    let stem = bare.rsplit_once('.').map_or(&*bare, |(stem, _)| stem);
    let own_name = folded(id.rsplit_once('/').map_or(id, |(_, name)| name));
    let message = format!(
        "was made for an image called {}, but that of the annotation's own name is taken",
        quoted(name)
    );
    let differs = stem != own_name && bare != own_name;
    differs.then(|| Finding::warning(file, FindingKind::NameMismatch, message))
}
