//! The check of images with boxes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ssdlite_core::{ClassId, ClassNames, GroundTruth};
use ssdlite_files::counted;
use ssdlite_image::DecodeMemory;

use crate::check::CheckReport;
use crate::dataset::DetectionImage;
use crate::detection::DetectionFolderOptions;
use crate::detection::folder::{DetectionFolder, no_classes};
use crate::detection::frame::Expected;
use crate::detection::lists::List;
use crate::detection::read::{Expectation, ImageReading};
use crate::duplicates::{Fingerprint, Placed, fingerprint_of_file, leaks};
use crate::error::Result;
use crate::finding::{Finding, FindingKind, Losses, quoted, similar_classes};
use crate::formats::contents::DataFile;
use crate::parallel;
use crate::split::Split;

/// Pairs of splits that must share no image. `trainval` against `train` and
/// `val` is another matter.
const APART: [(Split, Split); 4] = [
    (Split::Train, Split::Test),
    (Split::Val, Split::Test),
    (Split::TrainVal, Split::Test),
    (Split::Train, Split::Val),
];

impl DetectionFolder {
    /// Checks every list, annotation and image; images are decoded, on all
    /// cores.
    ///
    /// A set without any list is checked by its annotations. Where there are
    /// lists, annotations that none of them names are read too, but count
    /// neither as sound nor as losses: training does not see them.
    ///
    /// # Errors
    /// [`Error::OverLimit`](crate::Error::OverLimit) for too many classes.
    pub fn check(&self, options: &DetectionFolderOptions) -> Result<CheckReport> {
        let lists: BTreeMap<Split, List> = (Split::ALL.into_iter())
            .filter_map(|split| Some((split, self.own_list(split)?)))
            .collect();
        let mut findings = self.findings().to_vec();
        findings.extend(self.list_findings(&lists));
        let mut losses = self.losses();
        for list in lists.values() {
            losses.images_skipped += list.skipped;
            findings.extend(list.findings.iter().cloned());
        }
        let listed: BTreeSet<&str> = lists
            .values()
            .flat_map(|list| list.ids.iter().map(String::as_str))
            .collect();
        let unlisted: Vec<String> = (self.annotation_ids())
            .filter(|id| !listed.contains(id))
            .map(str::to_owned)
            .collect();
        findings.extend(self.images_without_annotation(&listed));
        let (ids, unlisted) = if lists.is_empty() {
            (unlisted, Vec::new())
        } else {
            (listed.into_iter().map(str::to_owned).collect(), unlisted)
        };
        let classes = match &options.classes {
            Some(classes) => Some(classes.clone()),
            None => {
                let naming = match lists.is_empty() {
                    true => ids.clone(),
                    false => self.list_that_names_classes()?.ids,
                };
                let mut classes = self.classes_of(&naming)?;
                if classes.is_none() {
                    let (kind, message) = (FindingKind::NoClasses, no_classes(&naming));
                    findings.push(Finding::error(self.labels(), kind, message));
                    // With those of all images the other faults can be told.
                    let all: Vec<String> = self.annotation_ids().map(str::to_owned).collect();
                    classes = self.classes_of(&all)?;
                }
                classes
            }
        };
        let alike = |classes| similar_classes(classes, self.labels());
        findings.extend(classes.iter().flat_map(alike));
        let expectation = Expectation {
            classes: classes.as_ref().map(Expected::new),
            coordinates: options.coordinates,
        };
        let memory = DecodeMemory::default();
        let read = |id: &String| self.decoded(self.read_image(id, &expectation), &memory);
        for (id, (reading, _)) in unlisted.iter().zip(parallel::map(&unlisted, read)) {
            let file = self.annotation_file(id);
            let message = "stands in no split";
            findings.push(Finding::warning(file, FindingKind::Unlisted, message));
            findings.extend(reading.findings);
        }
        let mut images = Vec::new();
        let mut outlines = 0;
        let mut fingerprints = HashMap::new();
        for (id, (reading, fingerprint)) in ids.iter().zip(parallel::map(&ids, read)) {
            losses += reading.losses;
            outlines += reading.outlines;
            findings.extend(reading.findings);
            images.extend(reading.image);
            fingerprints.extend(fingerprint.map(|fingerprint| (id.as_str(), fingerprint)));
        }
        findings.extend(self.leaks(&lists, &fingerprints));
        findings.extend(self.percentages(&images));
        findings.extend(self.outlines_as_boxes(outlines));
        findings.extend(self.unusable_splits(&lists, &images, classes.as_ref()));
        Ok(CheckReport {
            images: images.len(),
            objects: images.iter().map(|image| image.objects.len()).sum(),
            ..CheckReport::new(findings, losses)
        })
    }

    /// Splits with sound images, of which none has an object that counts, and classes
    /// that can't be learnt from `train`.
    fn unusable_splits(
        &self,
        lists: &BTreeMap<Split, List>,
        images: &[DetectionImage],
        classes: Option<&ClassNames>,
    ) -> Vec<Finding> {
        let by_id: HashMap<&str, &DetectionImage> = (images.iter())
            .map(|image| (image.id.as_str(), image))
            .collect();
        let mut findings = Vec::new();
        for (&split, list) in lists {
            if split == Split::TrainVal && lists.contains_key(&Split::Train) {
                continue;
            }
            let of_split = (list.ids.iter()).filter_map(|id| by_id.get(id.as_str()));
            let objects: Vec<&GroundTruth> =
                of_split.clone().flat_map(|image| &image.objects).collect();
            let does_count = |object: &&GroundTruth| split == Split::Train || !object.difficult;
            let file = self.list_of(split);
            if of_split.count() > 0 && !objects.iter().any(does_count) {
                let message = match objects.len() {
                    0 => "names no image with an object",
                    _ => "names no image with an object that is not marked difficult",
                };
                findings.push(Finding::error(file, FindingKind::EmptySplit, message));
            } else if split == Split::Train && !objects.is_empty() {
                let learnt: BTreeSet<ClassId> = objects.iter().map(|object| object.class).collect();
                let names = classes
                    .iter()
                    .flat_map(|names| names.ids().zip(names.iter()));
                let unlearnt: Vec<&str> = names
                    .filter(|(class, _)| !learnt.contains(class))
                    .map(|(_, name)| name)
                    .collect();
                if let Some(first) = unlearnt.first() {
                    let message = format!(
                        "names no image with an object of {}, such as {}",
                        counted(unlearnt.len(), "class"),
                        quoted(first)
                    );
                    findings.push(Finding::warning(file, FindingKind::EmptyClass, message));
                }
            }
        }
        findings
    }

    /// Images of different files that show the same and stand in splits that must share
    /// none.
    fn leaks(
        &self,
        lists: &BTreeMap<Split, List>,
        fingerprints: &HashMap<&str, Fingerprint>,
    ) -> Vec<Finding> {
        // An image of `trainval` is one of `train` or `val`, where these are told.
        let mut splits: BTreeMap<&str, Split> = BTreeMap::new();
        for split in [Split::Test, Split::TrainVal, Split::Val, Split::Train] {
            let ids = lists.get(&split).into_iter().flat_map(|list| &list.ids);
            splits.extend(ids.map(|id| (id.as_str(), split)));
        }
        let placed: Vec<Placed<'_>> = (splits.into_iter())
            .filter_map(|(name, split)| {
                let fingerprint = *fingerprints.get(name)?;
                Some(Placed {
                    name,
                    split,
                    fingerprint,
                })
            })
            .collect();
        leaks(&placed, &APART, |split| self.list_of(split))
    }

    /// The same reading with what its image shows, but skipped if that can't be decoded.
    fn decoded(
        &self,
        mut reading: ImageReading,
        memory: &DecodeMemory,
    ) -> (ImageReading, Option<Fingerprint>) {
        let Some(image) = &reading.image else {
            return (reading, None);
        };
        let fault = match fingerprint_of_file(&image.path, memory) {
            Ok(fingerprint) => return (reading, Some(fingerprint)),
            Err(fault) => fault,
        };
        for DataFile { file, .. } in self.image_files(&image.id).iter().take(1) {
            let finding = Finding::error(file, FindingKind::BadImage, &fault);
            reading.findings.push(finding);
        }
        reading.image = None;
        reading.outlines = 0;
        reading.losses = Losses {
            images_skipped: 1,
            ..Losses::default()
        };
        (reading, None)
    }

    /// Images that neither a list nor an annotation names.
    fn images_without_annotation(&self, listed: &BTreeSet<&str>) -> Vec<Finding> {
        (self.image_ids())
            .filter(|id| !listed.contains(id) && !self.has_annotation(id))
            .flat_map(|id| self.image_files(id))
            .map(|DataFile { file, .. }| {
                Finding::warning(file, FindingKind::MissingAnnotation, "has no annotation")
            })
            .collect()
    }

    /// Faults between the lists.
    fn list_findings(&self, lists: &BTreeMap<Split, List>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if lists.is_empty() {
            let message = "found no list; the set must be divided into splits before training";
            findings.push(Finding::warning(
                self.lists(),
                FindingKind::EmptySplit,
                message,
            ));
            return findings;
        }
        for split in Split::ALL {
            let (file, kind) = (self.list_of(split), FindingKind::EmptySplit);
            match lists.get(&split) {
                Some(list) if list.ids.is_empty() && list.findings.is_empty() => {
                    findings.push(Finding::error(file, kind, "names no image"));
                }
                Some(_) => {}
                None if split == Split::TrainVal && !self.has_lists() => {}
                None => findings.push(Finding::warning(file, kind, self.no_split(split))),
            }
        }
        let sets: BTreeMap<Split, BTreeSet<&str>> = (lists.iter())
            .map(|(&split, list)| (split, list.ids.iter().map(String::as_str).collect()))
            .collect();
        for (one, other) in APART {
            if let (Some(one_ids), Some(other_ids)) = (sets.get(&one), sets.get(&other)) {
                findings.extend(one_ids.intersection(other_ids).map(|id| {
                    let message = format!("{} also stands in {one}", quoted(id));
                    Finding::error(self.list_of(other), FindingKind::Leak, message)
                }));
            }
        }
        if let (Some(train), Some(val), Some(trainval)) = (
            sets.get(&Split::Train),
            sets.get(&Split::Val),
            sets.get(&Split::TrainVal),
        ) {
            let union: BTreeSet<&str> = train.union(val).copied().collect();
            let differing: Vec<&&str> = union.symmetric_difference(trainval).collect();
            if let Some(first) = differing.first() {
                let message = format!(
                    "differs from train and val together by {} ids, such as {}",
                    differing.len(),
                    quoted(first)
                );
                let file = self.list_of(Split::TrainVal);
                findings.push(Finding::warning(file, FindingKind::SplitsDisagree, message));
            }
        }
        findings
    }
}
