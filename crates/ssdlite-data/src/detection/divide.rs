//! Making lists of splits, whatever form the labels have.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use ssdlite_files::{counted, remove_leftovers_of, write_atomically};
use unicode_normalization::UnicodeNormalization;

use crate::detection::folder::DetectionFolder;
use crate::division::{Divider, ImageToDivide, KeptTogether};
use crate::error::{Error, Result};
use crate::files::{Overwrite, make_folder};
use crate::parallel;
use crate::split::{Division, Grouping, Split, SplitShares};
use crate::tree::under;
use crate::voc::layout::{fold_name, lists_folder};

/// How many images each list got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Images that stand in one list because they look alike.
    pub together: KeptTogether,
}

/// Lists that are made and not written yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLists {
    /// The folder of each division, and the texts of its lists.
    folders: Vec<(PathBuf, Vec<(Split, String)>)>,
    counts: Vec<SplitCounts>,
}

impl NewLists {
    /// How many images each list has, of each division.
    pub fn counts(&self) -> &[SplitCounts] {
        &self.counts
    }

    /// Writes the lists, each as a whole.
    ///
    /// # Errors
    /// [`Error::Io`] for the first list that can't be written.
    pub fn write(&self) -> Result<()> {
        for (folder, lists) in &self.folders {
            make_folder(folder)?;
            for (split, text) in lists {
                let path = folder.join(format!("{split}.txt"));
                remove_leftovers_of(&path);
                write_atomically(&path, text.as_bytes())
                    .map_err(|source| Error::io(&path, source))?;
            }
        }
        Ok(())
    }
}

impl DetectionFolder {
    /// Divides all annotations that have an image into the four lists, sorted by id.
    /// Images that look alike stand in one of `train`, `val` and `test`; each of these
    /// gets an image and an object at least, and its share of every class as near as
    /// that can be.
    ///
    /// The same files, shares and seed give the same lists everywhere.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for impossible shares, for too few images, objects or
    /// groups that look alike, or if there are splits already that may not be
    /// overwritten; [`Error::Malformed`] if there is no image with an annotation,
    /// [`Error::OverLimit`] for too many classes.
    pub fn divide(
        &self,
        shares: &SplitShares,
        grouping: Grouping,
        overwrite: Overwrite,
    ) -> Result<NewLists> {
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
        let ids = self.ids_to_divide()?;
        let divider = Divider::new(&self.images_to_divide(&ids)?, grouping);
        let division = divider.splits(shares).map_err(|error| self.told(error))?;
        let folder = self.root().join(self.lists());
        Ok(self.new_lists(&ids, &divider, &[(folder, division)]))
    }

    /// Divides all annotations that have an image for a cross-validation: as
    /// [`Self::divide`], but so many times, so that each image stands in `test` once. The
    /// lists of each fold are in a folder of their own, `ImageSets/fold1` and so on, which
    /// [`Self::with_lists`] reads.
    ///
    /// Of `shares` those of `train` and the seed count.
    ///
    /// # Errors
    /// As [`Self::divide`]; [`Error::InvalidRequest`] for fewer than two folds, and where
    /// there are others than those that would be overwritten.
    pub fn divide_into_folds(
        &self,
        folds: usize,
        shares: &SplitShares,
        grouping: Grouping,
        overwrite: Overwrite,
    ) -> Result<NewLists> {
        shares.check()?;
        if folds < 2 {
            return Err(Error::InvalidRequest(format!(
                "expected at least 2 folds, found {folds}"
            )));
        }
        self.expect_room(folds, overwrite)?;
        let ids = self.ids_to_divide()?;
        let divider = Divider::new(&self.images_to_divide(&ids)?, grouping);
        let divisions = divider.folds(folds, shares);
        let divisions = divisions.map_err(|error| self.told(error))?;
        let placed: Vec<(PathBuf, Division<usize>)> = (divisions.into_iter().enumerate())
            .map(|(fold, division)| {
                let lists = lists_folder(&fold_name(fold + 1));
                (self.root().join(under(self.base(), &lists)), division)
            })
            .collect();
        Ok(self.new_lists(&ids, &divider, &placed))
    }

    fn new_lists(
        &self,
        ids: &[&str],
        divider: &Divider,
        divisions: &[(PathBuf, Division<usize>)],
    ) -> NewLists {
        let folders = divisions.iter();
        let counts = divisions.iter();
        NewLists {
            folders: folders
                .map(|(folder, division)| (folder.clone(), texts(ids, division)))
                .collect(),
            counts: counts
                .map(|(_, division)| self.counts(ids, division, divider))
                .collect(),
        }
    }

    /// Refuses to write lists of folds where there are others that must stay, or that
    /// would seem to belong to them.
    fn expect_room(&self, folds: usize, overwrite: Overwrite) -> Result<()> {
        let written: BTreeSet<String> = (1..=folds).map(fold_name).collect();
        for name in self.names_of_lists().filter(|name| is_fold(name)) {
            let fault = match (written.contains(name), overwrite) {
                (true, Overwrite::Allow) => continue,
                (true, Overwrite::Refuse) => "which --force overwrites",
                (false, _) => "of another division; remove them first",
            };
            return Err(Error::InvalidRequest(format!(
                "{}: there are lists in {} already, {fault}",
                self.root().display(),
                under(self.base(), &lists_folder(name))
            )));
        }
        Ok(())
    }

    /// The ids of all annotations that have an image, sorted.
    fn ids_to_divide(&self) -> Result<Vec<&str>> {
        let ids: Vec<&str> = self
            .annotation_ids()
            .filter(|id| !self.image_files(id).is_empty())
            .collect();
        if ids.is_empty() {
            return Err(Error::Malformed(format!(
                "{}: expected annotations with images, found none among {}",
                self.root().display(),
                counted(self.annotation_ids().len(), "annotation")
            )));
        }
        Ok(ids)
    }

    /// What decides in which part each image of these ids comes.
    fn images_to_divide<'a>(&'a self, ids: &[&'a str]) -> Result<Vec<ImageToDivide<'a>>> {
        let classes = self.classes_of(ids)?;
        let indices: HashMap<&str, usize> = (classes.iter())
            .flat_map(|classes| classes.iter().enumerate())
            .map(|(index, name)| (name, index))
            .collect();
        let index_of = |name: &str| {
            let composed: String = name.trim().nfc().collect();
            indices.get(composed.as_str()).copied()
        };
        let images = parallel::map(ids, |&id| {
            let file = self.image_files(id).first()?;
            let labels = self.annotation(id).and_then(|parsed| parsed.as_ref().ok());
            let names = labels.into_iter().flat_map(|labels| labels.class_names());
            let classes: BTreeSet<usize> = names.filter_map(index_of).collect();
            Some(ImageToDivide {
                name: id,
                file: &file.file,
                path: &file.path,
                classes: classes.into_iter().collect(),
                counts: labels.is_some_and(|labels| labels.has_countable()),
            })
        });
        Ok(images.into_iter().flatten().collect())
    }

    /// A fault of a division, told of this folder.
    fn told(&self, error: Error) -> Error {
        match error {
            Error::InvalidRequest(fault) => {
                Error::InvalidRequest(format!("{}: {fault}", self.root().display()))
            }
            error => error,
        }
    }

    fn counts(&self, ids: &[&str], division: &Division<usize>, divider: &Divider) -> SplitCounts {
        let unannotated = self.image_ids().filter(|id| !self.has_annotation(id));
        SplitCounts {
            train: division.train.len(),
            val: division.val.len(),
            test: division.test.len(),
            left_out: self.annotation_ids().len() - ids.len(),
            unannotated: unannotated.count(),
            together: divider.together().clone(),
        }
    }
}

/// Whether a folder of lists is called as those of a cross-validation are.
fn is_fold(name: &str) -> bool {
    let number = name.strip_prefix("fold").map(str::parse::<usize>);
    number.is_some_and(|number| number.is_ok_and(|number| fold_name(number) == name))
}

/// The four lists of a division of these ids.
fn texts(ids: &[&str], division: &Division<usize>) -> Vec<(Split, String)> {
    let mut trainval = [division.train.as_slice(), &division.val].concat();
    trainval.sort_unstable();
    let lists = [
        (Split::Train, &division.train),
        (Split::Val, &division.val),
        (Split::TrainVal, &trainval),
        (Split::Test, &division.test),
    ];
    let text = |images: &Vec<usize>| -> String {
        let lines = images.iter().flat_map(|&image| [ids[image], "\n"]);
        lines.collect()
    };
    Vec::from(lists.map(|(split, images)| (split, text(images))))
}
