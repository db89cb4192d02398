//! Making the lists of a VOC folder.

use std::collections::{HashMap, HashSet};

use ssdlite_files::{counted, remove_leftovers_of, write_atomically};

use crate::error::{Error, Result};
use crate::files::{Overwrite, make_folder};
use crate::parallel;
use crate::split::{Division, PartSizes, Split, SplitShares, divide};
use crate::voc::annotation::is_difficult;
use crate::voc::folder::VocFolder;

/// How many images each list got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitCounts {
    /// Images in `train`.
    pub train: usize,
    /// Images in `val`.
    pub val: usize,
    /// Images in `test`.
    pub test: usize,
    /// Annotations that no list names, because they have no image.
    pub left_out: usize,
    /// Images that no list names, because they have no annotation.
    pub unannotated: usize,
}

impl VocFolder {
    /// Divides all annotations that have an image at random, and writes the
    /// four lists, sorted by id. `train`, `val` and `test` get an image each at
    /// least, and an object.
    ///
    /// The same files, shares and seed give the same lists everywhere.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for impossible shares, for too few images or
    /// objects, or if there are splits already that may not be overwritten;
    /// [`Error::Malformed`] if there is no image with an annotation: then nothing
    /// is written. [`Error::Io`] if a list can't be written.
    pub fn write_splits(&self, shares: &SplitShares, overwrite: Overwrite) -> Result<SplitCounts> {
        shares.check()?;
        if overwrite == Overwrite::Refuse
            && let Some(split) = Split::ALL.into_iter().find(|&split| self.has_split(split))
        {
            return Err(Error::InvalidRequest(format!(
                "{}: there is the split {} already, which was not to be overwritten",
                self.root().display(),
                self.list_of(split)
            )));
        }
        let ids: Vec<&str> = self
            .annotation_ids()
            .filter(|id| self.has_image(id))
            .collect();
        if ids.is_empty() {
            return Err(Error::Malformed(format!(
                "{}: expected annotations with images, found none among {}",
                self.root().display(),
                counted(self.annotation_ids().len(), "annotation")
            )));
        }
        let left_out = self.annotation_ids().len() - ids.len();
        let unannotated = (self.image_ids())
            .filter(|id| !self.has_annotation(id))
            .count();
        let division = self.division(&ids, shares)?;
        let mut trainval = [division.train.as_slice(), &division.val].concat();
        trainval.sort_unstable();
        let lists = self.root().join(self.lists());
        make_folder(&lists)?;
        for (split, ids) in [
            (Split::Train, &division.train),
            (Split::Val, &division.val),
            (Split::TrainVal, &trainval),
            (Split::Test, &division.test),
        ] {
            let text: String = ids.iter().flat_map(|id| [*id, "\n"]).collect();
            let path = lists.join(format!("{split}.txt"));
            remove_leftovers_of(&path);
            write_atomically(&path, text.as_bytes()).map_err(|source| Error::io(&path, source))?;
        }
        Ok(SplitCounts {
            train: division.train.len(),
            val: division.val.len(),
            test: division.test.len(),
            left_out,
            unannotated,
        })
    }

    /// The images divided so that no part is without an object, and if it can be so
    /// that `trainval` has every class of `test`: the first such division of those
    /// that the seed stands for.
    fn division<'a>(&self, ids: &[&'a str], shares: &SplitShares) -> Result<Division<&'a str>> {
        const TRIED: u64 = 100;
        let in_folder = |error: Error| match error {
            Error::InvalidRequest(fault) => {
                Error::InvalidRequest(format!("{}: {fault}", self.root().display()))
            }
            error => error,
        };
        let sizes = PartSizes::without_empty(ids.len(), shares).map_err(in_folder)?;
        let labels: HashMap<&str, Labels<'_>> = (ids.iter().copied())
            .zip(parallel::map(ids, |id| self.labels(id)))
            .collect();
        let with_objects = labels.values().filter(|labels| labels.count).count();
        let is_sound = |division: &Division<&str>| {
            let parts = [&division.train, &division.val, &division.test];
            (parts.iter()).all(|part| part.iter().any(|id| labels[id].count))
        };
        let classes_of = |part: &[&str]| -> HashSet<&str> {
            part.iter()
                .flat_map(|id| &labels[id].classes)
                .copied()
                .collect()
        };
        let knows_all = |division: &Division<&str>| {
            let mut known = classes_of(&division.train);
            known.extend(classes_of(&division.val));
            classes_of(&division.test).is_subset(&known)
        };
        let tried = if with_objects < 3 { 0 } else { TRIED };
        let divisions = || {
            (0..tried).map(|attempt| {
                let keys = [shares.seed, attempt];
                let keys = if attempt == 0 { &keys[..1] } else { &keys[..] };
                divide(ids.to_vec(), sizes, keys)
            })
        };
        divisions()
            .find(|division| is_sound(division) && knows_all(division))
            .or_else(|| divisions().find(is_sound))
            .ok_or_else(|| {
                Error::InvalidRequest(format!(
                    "{}: expected at least 3 images with an object that counts, one each for \
                     train, val and test, and parts that are large enough to get one; found {} \
                     of {}",
                    self.root().display(),
                    with_objects,
                    counted(ids.len(), "image")
                ))
            })
    }

    /// What an image's annotation says of its objects.
    fn labels(&self, id: &str) -> Labels<'_> {
        let annotation = self.annotation(id).and_then(|parsed| parsed.as_ref().ok());
        let objects = || annotation.iter().flat_map(|annotation| &annotation.objects);
        Labels {
            classes: objects()
                .filter_map(|object| object.name.as_deref())
                .collect(),
            count: objects().any(|object| !is_difficult(object).unwrap_or(false)),
        }
    }
}

/// What an annotation says of its objects.
struct Labels<'a> {
    classes: HashSet<&'a str>,
    /// Whether one of them is not difficult.
    count: bool,
}
