//! Making the lists of a VOC folder.

use std::collections::HashSet;

use ssdlite_files::write_atomically;

use crate::error::{Error, Result};
use crate::files::{Overwrite, make_folder};
use crate::parallel;
use crate::split::{Division, PartSizes, Split, SplitShares, divide};
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
                "{}: expected annotations with images, found none among {} annotations",
                self.root().display(),
                self.annotation_ids().len()
            )));
        }
        let left_out = self.annotation_ids().len() - ids.len();
        let unannotated = (self.image_ids())
            .filter(|id| !self.has_annotation(id))
            .count();
        let division = self.division(&ids, shares)?;
        let mut trainval = [division.train.as_slice(), &division.val].concat();
        trainval.sort_unstable();
        make_folder(&self.root().join(self.lists()))?;
        for (split, ids) in [
            (Split::Train, &division.train),
            (Split::Val, &division.val),
            (Split::TrainVal, &trainval),
            (Split::Test, &division.test),
        ] {
            let text: String = ids.iter().flat_map(|id| [*id, "\n"]).collect();
            let path = self.root().join(self.lists()).join(format!("{split}.txt"));
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

    /// The images divided so that no part is without an object: the first such
    /// division of those that the seed stands for.
    fn division<'a>(&self, ids: &[&'a str], shares: &SplitShares) -> Result<Division<&'a str>> {
        const TRIED: u64 = 1000;
        let in_folder = |error: Error| match error {
            Error::InvalidRequest(fault) => {
                Error::InvalidRequest(format!("{}: {fault}", self.root().display()))
            }
            error => error,
        };
        let sizes = PartSizes::without_empty(ids.len(), shares).map_err(in_folder)?;
        let has_objects = parallel::map(ids, |id| self.has_objects(id));
        let with_objects: HashSet<&str> = (ids.iter().zip(&has_objects))
            .filter_map(|(id, has_objects)| has_objects.then_some(*id))
            .collect();
        let is_sound = |division: &Division<&str>| {
            let parts = [&division.train, &division.val, &division.test];
            (parts.iter()).all(|part| part.iter().any(|id| with_objects.contains(id)))
        };
        let first = divide(ids.to_vec(), sizes, &[shares.seed]);
        let others = (1..TRIED).map(|next| divide(ids.to_vec(), sizes, &[shares.seed, next]));
        std::iter::once(first)
            .chain(others.take(if with_objects.len() < 3 {
                0
            } else {
                TRIED as usize
            }))
            .find(is_sound)
            .ok_or_else(|| {
                Error::InvalidRequest(format!(
                    "{}: expected at least 3 images with an object that counts, one each for \
                     train, val and test, and parts that are large enough to get one; found {} \
                     of {} images",
                    self.root().display(),
                    with_objects.len(),
                    ids.len()
                ))
            })
    }

    /// Whether an image's annotation has an object that is not difficult.
    fn has_objects(&self, id: &str) -> bool {
        let annotation = self.annotation(id).and_then(|parsed| parsed.as_ref().ok());
        let mut objects = annotation.iter().flat_map(|annotation| &annotation.objects);
        objects.any(|object| object.difficult.as_deref() != Some("1"))
    }
}
