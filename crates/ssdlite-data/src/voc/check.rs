//! The check of a VOC folder.

use std::collections::{BTreeMap, BTreeSet};

use ssdlite_image::DecodeMemory;

use crate::check::CheckReport;
use crate::error::Result;
use crate::finding::{Finding, FindingKind, Losses, quoted, similar_classes};
use crate::images::decode_fault;
use crate::parallel;
use crate::split::Split;
use crate::voc::VocOptions;
use crate::voc::folder::VocFolder;
use crate::voc::layout::{ANNOTATIONS, LISTS, annotation_file, image_file, list_file};
use crate::voc::lists::{List, read_list};
use crate::voc::read::{Expectation, ImageReading};

/// Pairs of splits that must share no image. `trainval` against `train` and
/// `val` is another matter.
const APART: [(Split, Split); 4] = [
    (Split::Train, Split::Test),
    (Split::Val, Split::Test),
    (Split::TrainVal, Split::Test),
    (Split::Train, Split::Val),
];

impl VocFolder {
    /// Checks every list, annotation and image; images are decoded, on all
    /// cores.
    ///
    /// A set without any list is checked by its annotations. Where there are
    /// lists, annotations that none of them names are read too, but count
    /// neither as sound nor as losses: training does not see them.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) if there is no class at
    /// all, [`Error::OverLimit`](crate::Error::OverLimit) for too many,
    /// [`Error::Io`](crate::Error::Io) for a list that can't be read.
    pub fn check(&self, options: &VocOptions) -> Result<CheckReport> {
        let lists = self.lists()?;
        let mut findings = list_findings(&lists);
        let mut losses = Losses::default();
        for list in lists.values() {
            losses.images_skipped += list.findings.len();
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
            Some(classes) => classes.clone(),
            None if lists.is_empty() => self.classes_of(&ids)?,
            None => self.classes()?,
        };
        findings.extend(similar_classes(&classes, ANNOTATIONS));
        let expectation = Expectation {
            classes: &classes,
            coordinates: options.coordinates,
        };
        let memory = DecodeMemory::default();
        let read = |id: &String| self.decoded(self.read_image(id, &expectation), &memory);
        for (id, reading) in unlisted.iter().zip(parallel::map(&unlisted, read)) {
            let file = annotation_file(id);
            let message = "stands in no split";
            findings.push(Finding::warning(file, FindingKind::Unlisted, message));
            findings.extend(reading.findings);
        }
        let mut images = 0;
        let mut objects = 0;
        for reading in parallel::map(&ids, read) {
            losses += reading.losses;
            findings.extend(reading.findings);
            if let Some(image) = reading.image {
                images += 1;
                objects += image.objects.len();
            }
        }
        Ok(CheckReport {
            images,
            objects,
            ..CheckReport::new(findings, losses)
        })
    }

    fn lists(&self) -> Result<BTreeMap<Split, List>> {
        let mut lists = BTreeMap::new();
        for split in Split::ALL {
            if let Some(list) = read_list(self.root(), split)? {
                lists.insert(split, list);
            }
        }
        Ok(lists)
    }

    /// The same reading, but skipped if its image can't be decoded.
    fn decoded(&self, mut reading: ImageReading, memory: &DecodeMemory) -> ImageReading {
        let fault = reading
            .image
            .as_ref()
            .and_then(|image| Some((image.path.file_name()?, decode_fault(&image.path, memory)?)));
        if let Some((name, fault)) = fault {
            let file = image_file(&name.to_string_lossy());
            let finding = Finding::error(file, FindingKind::BadImage, fault);
            reading.findings.push(finding);
            reading.image = None;
            reading.losses = Losses {
                images_skipped: 1,
                ..Losses::default()
            };
        }
        reading
    }

    /// Images that neither a list nor an annotation names.
    fn images_without_annotation(&self, listed: &BTreeSet<&str>) -> Vec<Finding> {
        (self.image_ids())
            .filter(|id| !listed.contains(id) && !self.has_annotation(id))
            .flat_map(|id| self.image_files(id))
            .map(|name| {
                let file = image_file(name);
                Finding::warning(file, FindingKind::MissingAnnotation, "has no annotation")
            })
            .collect()
    }
}

/// Faults between the lists.
fn list_findings(lists: &BTreeMap<Split, List>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if lists.is_empty() {
        let message = "found no list; the set must be divided into splits before training";
        findings.push(Finding::warning(LISTS, FindingKind::EmptySplit, message));
        return findings;
    }
    for split in Split::ALL {
        let (file, kind) = (list_file(split), FindingKind::EmptySplit);
        match lists.get(&split) {
            Some(list) if list.ids.is_empty() => {
                findings.push(Finding::error(file, kind, "names no image"));
            }
            Some(_) => {}
            None => findings.push(Finding::warning(file, kind, "there is no such list")),
        }
    }
    let sets: BTreeMap<Split, BTreeSet<&str>> = (lists.iter())
        .map(|(&split, list)| (split, list.ids.iter().map(String::as_str).collect()))
        .collect();
    for (one, other) in APART {
        if let (Some(one_ids), Some(other_ids)) = (sets.get(&one), sets.get(&other)) {
            findings.extend(one_ids.intersection(other_ids).map(|id| {
                let message = format!("{} also stands in {one}", quoted(id));
                Finding::error(list_file(other), FindingKind::Leak, message)
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
            let file = list_file(Split::TrainVal);
            findings.push(Finding::warning(file, FindingKind::SplitsDisagree, message));
        }
    }
    findings
}
