//! Images with boxes, divided into parts that share nothing of what they show.
//!
//! What is alike by its look stays together ([`crate::duplicates`]), and every part gets
//! its share of every class ([`crate::stratify`]). Formats say which images there are
//! and write what is decided here.

use std::collections::BTreeMap;
use std::path::Path;

use ssdlite_files::counted;
use ssdlite_image::DecodeMemory;

use crate::duplicates::{Comparable, Fingerprint, LookGroups, fingerprint_of_file};
use crate::error::{Error, Result};
use crate::finding::{Finding, FindingKind};
use crate::parallel;
use crate::split::{Division, Grouping, PartSizes, SplitShares, train_and_val};
use crate::stratify::{Group, WITH_OBJECT, WITHOUT_OBJECT, label_of_class, stratified};

/// Images of which each looks like another one, so that they stand in one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptTogether {
    /// How many images.
    pub images: usize,
    /// How many groups they make.
    pub groups: usize,
    /// The images of the largest group.
    pub largest: usize,
    /// Images that could not be compared with the others.
    pub findings: Vec<Finding>,
}

/// An image that is to stand in one of several parts.
#[derive(Clone, Debug)]
pub(crate) struct ImageToDivide<'a> {
    /// Its name in the set, which tells too whether it may be a video's frame.
    pub(crate) name: &'a str,
    /// The file as findings name it.
    pub(crate) file: &'a str,
    /// Where that is.
    pub(crate) path: &'a Path,
    /// The indices of its objects' classes, each once.
    pub(crate) classes: Vec<usize>,
    /// Whether one of its objects is not difficult.
    pub(crate) counts: bool,
}

/// Images that are to be divided.
pub(crate) struct Divider {
    images: usize,
    with_object: usize,
    members: Vec<Vec<usize>>,
    groups: Vec<Group>,
    together: KeptTogether,
}

impl Divider {
    /// Finds out which images stay together.
    pub(crate) fn new(images: &[ImageToDivide<'_>], grouping: Grouping) -> Self {
        let (looks, findings) = match grouping {
            Grouping::ByLook => look_groups(images),
            Grouping::Apart => (LookGroups::apart(images.len()), Vec::new()),
        };
        let members = looks.members();
        let alike = members.iter().map(Vec::len).filter(|&images| images > 1);
        let together = KeptTogether {
            images: alike.clone().sum(),
            groups: alike.clone().count(),
            largest: alike.max().unwrap_or(0),
            findings,
        };
        Self {
            images: images.len(),
            with_object: images.iter().filter(|image| image.counts).count(),
            groups: (members.iter())
                .map(|members| group_of(members, images))
                .collect(),
            members,
            together,
        }
    }

    /// Which images stay together.
    pub(crate) fn together(&self) -> &KeptTogether {
        &self.together
    }

    /// The images of `train`, `val` and `test`, by their indices.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for shares that leave nothing for a part, and for too few
    /// images, objects or groups for three parts.
    pub(crate) fn splits(&self, shares: &SplitShares) -> Result<Division<usize>> {
        let sizes = PartSizes::without_empty(self.images, shares)?.of_parts(self.images);
        let all: Vec<usize> = (0..self.groups.len()).collect();
        let parts = self.dealt(&all, &sizes, &[shares.seed]);
        let parts: Option<[Vec<usize>; 3]> = parts.and_then(|parts| parts.try_into().ok());
        let [train, val, test] =
            parts.ok_or_else(|| self.too_few("train, val and test", sizes.len()))?;
        Ok(Division { train, val, test })
    }

    /// So many divisions: each image is in `test` of one of them. The others of each
    /// division are `train` and `val`, by the share of `train`.
    ///
    /// # Errors
    /// As [`Self::splits`].
    pub(crate) fn folds(&self, folds: usize, shares: &SplitShares) -> Result<Vec<Division<usize>>> {
        // Without its test, each fold has two parts to fill.
        let least = if folds == 2 { 4 } else { folds };
        let too_few = || {
            self.too_few(
                "the test of each fold, and two for its train and val",
                least,
            )
        };
        if self.with_object < least {
            return Err(too_few());
        }
        let sizes: Vec<usize> = (0..folds)
            .map(|fold| self.images / folds + usize::from(fold < self.images % folds))
            .collect();
        let all: Vec<usize> = (0..self.groups.len()).collect();
        let keys = [shares.seed, folds as u64];
        let tests = stratified(&self.groups, &sizes, &keys).ok_or_else(too_few)?;
        (0..folds)
            .map(|fold| {
                let (test, rest): (Vec<usize>, Vec<usize>) =
                    all.iter().partition(|&&group| tests[group] == fold);
                let test = self.images_of(&test);
                let sizes = train_and_val(self.images - test.len(), shares)?;
                let keys = [shares.seed, folds as u64, fold as u64];
                let parts = self.dealt(&rest, &sizes, &keys);
                let parts: Option<[Vec<usize>; 2]> = parts.and_then(|parts| parts.try_into().ok());
                let [train, val] = parts.ok_or_else(too_few)?;
                Ok(Division { train, val, test })
            })
            .collect()
    }

    /// The images of each part, when some of the groups are dealt out.
    fn dealt(&self, groups: &[usize], sizes: &[usize], keys: &[u64]) -> Option<Vec<Vec<usize>>> {
        let own: Vec<Group> = (groups.iter())
            .map(|&group| self.groups[group].clone())
            .collect();
        let parts = stratified(&own, sizes, keys)?;
        let of_part = |part| {
            let dealt = groups.iter().zip(&parts);
            let of_part = dealt.filter(move |(_, own)| **own == part);
            let of_part: Vec<usize> = of_part.map(|(&group, _)| group).collect();
            self.images_of(&of_part)
        };
        Some((0..sizes.len()).map(of_part).collect())
    }

    /// The images of groups, in their own order.
    fn images_of(&self, groups: &[usize]) -> Vec<usize> {
        let members = groups.iter().flat_map(|&group| &self.members[group]);
        let mut images: Vec<usize> = members.copied().collect();
        images.sort_unstable();
        images
    }

    fn too_few(&self, parts: &str, expected: usize) -> Error {
        if self.with_object < expected {
            return Error::InvalidRequest(format!(
                "expected at least {expected} images with an object that counts, one each for \
                 {parts}; found {} of {}",
                self.with_object,
                counted(self.images, "image")
            ));
        }
        let counting = self.groups.iter().filter(|group| group.counts()).count();
        Error::InvalidRequest(format!(
            "expected at least {expected} groups of images with an object that counts, one each \
             for {parts}; found {counting}, as images that look alike stay together, and so do \
             the frames of one video; --ungrouped divides all {} one by one, and scores will be \
             too good",
            counted(self.images, "image")
        ))
    }
}

/// Which images look alike, and which can't be looked at.
fn look_groups(images: &[ImageToDivide<'_>]) -> (LookGroups, Vec<Finding>) {
    let memory = DecodeMemory::default();
    let fingerprints = parallel::map(images, |image| fingerprint_of_file(image.path, &memory));
    let mut findings = Vec::new();
    let mut compared = Vec::with_capacity(images.len());
    for (image, fingerprint) in images.iter().zip(fingerprints) {
        let fingerprint: Option<Fingerprint> = match fingerprint {
            Ok(fingerprint) => Some(fingerprint),
            Err(fault) => {
                findings.push(Finding::error(image.file, FindingKind::BadImage, fault));
                None
            }
        };
        compared.push(Comparable {
            name: image.name,
            fingerprint,
        });
    }
    let looks = LookGroups::new(&compared);
    findings.extend(looks.unfinished());
    (looks, findings)
}

/// What the images of a group show.
fn group_of(members: &[usize], images: &[ImageToDivide<'_>]) -> Group {
    let mut labels: BTreeMap<usize, usize> = BTreeMap::new();
    for &member in members {
        let image = &images[member];
        let kind = match image.counts {
            true => WITH_OBJECT,
            false => WITHOUT_OBJECT,
        };
        let classes = image.classes.iter().map(|&class| label_of_class(class));
        for label in classes.chain([kind]) {
            *labels.entry(label).or_default() += 1;
        }
    }
    Group {
        images: members.len(),
        labels: labels.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// So many images of each class, none of them looked at.
    fn images(per_class: &[usize]) -> Vec<ImageToDivide<'static>> {
        let classes = per_class.iter().enumerate();
        let classes = classes.flat_map(|(class, &count)| std::iter::repeat_n(class, count));
        classes
            .map(|class| ImageToDivide {
                name: "",
                file: "",
                path: Path::new(""),
                classes: vec![class],
                counts: true,
            })
            .collect()
    }

    #[test]
    fn each_image_is_tested_in_one_fold_and_learnt_in_the_others() {
        let images = images(&[40, 10, 5]);
        let divider = Divider::new(&images, Grouping::Apart);
        let shares = SplitShares::default();
        let folds = divider.folds(5, &shares).unwrap();
        let mut tested: Vec<usize> = Vec::new();
        for fold in &folds {
            let parts = [&fold.train, &fold.val, &fold.test];
            let all: BTreeSet<usize> = parts.into_iter().flatten().copied().collect();
            assert_eq!(all.len(), 55);
            assert_eq!(parts.map(Vec::len), [40, 4, 11]);
            assert!(parts.iter().all(|part| part.is_sorted()));
            let of_class = |class| {
                let of_class = |&&image: &&usize| images[image].classes == [class];
                fold.test.iter().filter(of_class).count()
            };
            assert_eq!([0, 1, 2].map(of_class), [8, 2, 1]);
            tested.extend(&fold.test);
        }
        tested.sort_unstable();
        assert_eq!(tested, (0..55).collect::<Vec<_>>());
        assert_eq!(divider.folds(5, &shares).unwrap(), folds);
    }

    #[test]
    fn too_few_for_all_parts_are_refused() {
        let shares = SplitShares::default();
        for (count, folds) in [(0, 2), (1, 2), (2, 2), (4, 5), (2, 100)] {
            let images = images(&[count]);
            let divider = Divider::new(&images, Grouping::Apart);
            let fault = divider.folds(folds, &shares).unwrap_err().to_string();
            assert!(fault.contains(&format!("found {count}")), "{fault}");
        }
        let images = images(&[3]);
        let divider = Divider::new(&images, Grouping::Apart);
        assert_eq!(divider.splits(&shares).unwrap().test.len(), 1);
        let whole = SplitShares {
            train: 1.0,
            ..shares
        };
        for fault in [
            divider.splits(&whole).unwrap_err(),
            divider.folds(3, &whole).unwrap_err(),
        ] {
            assert!(fault.to_string().contains("no image for val"), "{fault}");
        }
    }
}
