//! All images of a folder at once, by the splits that they stand in.

use std::collections::{BTreeMap, HashMap, HashSet};

use ssdlite_core::ClassNames;
use ssdlite_files::counted;

use crate::dataset::DetectionImage;
use crate::detection::DetectionFolderOptions;
use crate::detection::folder::{DetectionFolder, no_classes};
use crate::detection::frame::Expected;
use crate::detection::lists::List;
use crate::detection::read::Expectation;
use crate::error::{Error, Result};
use crate::finding::{Finding, FindingKind, Reading, because_of};
use crate::parallel;
use crate::split::Split;

/// Images with boxes, by the splits that they stand in.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledSet {
    /// The classes that the objects' ids index.
    pub classes: ClassNames,
    /// Each split once at most, and the images of none. An image may stand in several.
    pub parts: Vec<SetPart>,
}

/// The images of a split, or those that stand in none.
#[derive(Clone, Debug, PartialEq)]
pub struct SetPart {
    /// Which split, if any.
    pub split: Option<Split>,
    /// Its images, in the order of the list that named them.
    pub images: Vec<DetectionImage>,
}

impl DetectionFolder {
    /// Reads all images that have an annotation, in a split or none, with the classes
    /// of all their objects. `trainval` is left out where it is `train` and `val`
    /// together.
    ///
    /// # Errors
    /// As [`Self::read`], of which all splits together have to have an image and a class.
    pub fn read_all(&self, options: &DetectionFolderOptions) -> Result<Reading<LabelledSet>> {
        let lists = self.all_lists();
        let mut losses = self.losses();
        let mut findings = Vec::new();
        for list in lists.values() {
            losses.images_skipped += list.skipped;
            findings.extend(list.findings.iter().cloned());
        }
        let mut seen = HashSet::new();
        let listed = lists.values().flat_map(|list| &list.ids);
        let mut ids: Vec<String> = listed.filter(|id| seen.insert(*id)).cloned().collect();
        let unlisted: Vec<String> = (self.annotation_ids().map(str::to_owned))
            .filter(|id| !seen.contains(id))
            .collect();
        ids.extend(unlisted.iter().cloned());
        findings.extend(self.images_left_out(&ids));
        let classes = match &options.classes {
            Some(classes) => Some(classes.clone()),
            None => self.classes_of(&ids)?,
        };
        let expectation = Expectation {
            classes: classes.as_ref().map(Expected::new),
            coordinates: options.coordinates,
        };
        let mut images: HashMap<&str, DetectionImage> = HashMap::new();
        let mut outlines = 0;
        let readings = parallel::map(&ids, |id| self.read_image(id, &expectation));
        for (id, reading) in ids.iter().zip(readings) {
            losses += reading.losses;
            outlines += reading.outlines;
            findings.extend(reading.findings);
            images.extend(reading.image.map(|image| (id.as_str(), image)));
        }
        let nothing = |fault: &str| {
            Error::Malformed(format!(
                "{}: {fault}{}",
                self.root().display(),
                because_of(&findings)
            ))
        };
        let Some(classes) = classes else {
            return Err(nothing(&no_classes(&ids)));
        };
        if images.is_empty() {
            return Err(nothing(
                "expected images with annotations, found none that can be used",
            ));
        }
        findings.extend(self.outlines_as_boxes(outlines));
        let part = |split, ids: &[String]| SetPart {
            split,
            images: (ids.iter())
                .filter_map(|id| images.get(id.as_str()).cloned())
                .collect(),
        };
        let mut parts: Vec<SetPart> = (lists.iter())
            .map(|(&split, list)| part(Some(split), &list.ids))
            .collect();
        parts.push(part(None, &unlisted));
        parts.retain(|part| !part.images.is_empty());
        Ok(Reading {
            set: LabelledSet { classes, parts },
            findings,
            losses,
        })
    }

    /// The lists of all splits, without a `trainval` that says what `train` and `val`
    /// say.
    fn all_lists(&self) -> BTreeMap<Split, List> {
        let mut lists: BTreeMap<Split, List> = (Split::ALL.into_iter())
            .filter_map(|split| Some((split, self.own_list(split)?)))
            .collect();
        let ids =
            |split| -> Option<HashSet<&String>> { Some(lists.get(&split)?.ids.iter().collect()) };
        let is_union = match (ids(Split::Train), ids(Split::Val), ids(Split::TrainVal)) {
            (Some(train), Some(val), Some(both)) => &train | &val == both,
            _ => false,
        };
        if is_union {
            lists.remove(&Split::TrainVal);
        }
        lists
    }

    /// Images without an annotation that no list names either.
    fn images_left_out(&self, read: &[String]) -> Option<Finding> {
        let read: HashSet<&str> = read.iter().map(String::as_str).collect();
        let left_out: Vec<&str> = self.image_ids().filter(|id| !read.contains(id)).collect();
        let file = &self.image_files(left_out.first()?).first()?.file;
        let message = format!(
            "has no annotation; {} without one are not read",
            counted(left_out.len(), "image")
        );
        Some(Finding::warning(
            file,
            FindingKind::MissingAnnotation,
            message,
        ))
    }
}
