//! Making the lists of a VOC folder.

use ssdlite_files::write_atomically;

use crate::error::{Error, Result};
use crate::files::{Overwrite, make_folder};
use crate::split::{Split, SplitShares, divide};
use crate::voc::folder::VocFolder;
use crate::voc::layout::{LISTS, list_file};

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
}

impl VocFolder {
    /// Divides all annotations that have an image at random, and writes the
    /// four lists, sorted by id.
    ///
    /// The same names, shares and seed give the same lists everywhere.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for impossible shares, or if a list exists
    /// and may not be overwritten; then nothing is written.
    /// [`Error::Malformed`] if there is no image with an annotation,
    /// [`Error::Io`] if a list can't be written.
    pub fn write_splits(&self, shares: &SplitShares, overwrite: Overwrite) -> Result<SplitCounts> {
        shares.check()?;
        if overwrite == Overwrite::Refuse {
            self.refuse_existing_lists()?;
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
        let division = divide(ids, shares, &[shares.seed]);
        let mut trainval = [division.train.as_slice(), &division.val].concat();
        trainval.sort_unstable();
        make_folder(&self.root().join(LISTS))?;
        for (split, ids) in [
            (Split::Train, &division.train),
            (Split::Val, &division.val),
            (Split::TrainVal, &trainval),
            (Split::Test, &division.test),
        ] {
            let text: String = ids.iter().flat_map(|id| [*id, "\n"]).collect();
            let path = self.root().join(list_file(split));
            write_atomically(&path, text.as_bytes()).map_err(|source| Error::io(&path, source))?;
        }
        Ok(SplitCounts {
            train: division.train.len(),
            val: division.val.len(),
            test: division.test.len(),
            left_out,
        })
    }

    fn refuse_existing_lists(&self) -> Result<()> {
        let existing = Split::ALL
            .iter()
            .map(|&split| self.root().join(list_file(split)))
            .find(|path| path.exists());
        match existing {
            None => Ok(()),
            Some(path) => Err(Error::InvalidRequest(format!(
                "{}: the list exists already and was not to be overwritten",
                path.display()
            ))),
        }
    }
}
