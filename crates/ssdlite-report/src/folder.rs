//! The folder of a report.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ssdlite_files::{open_plain, remove_leftovers, write_atomically};

use crate::compared::ComparedPage;
use crate::error::{Error, Result};
use crate::evaluated::EvaluatedPage;
use crate::html::{self, GENERATOR};
use crate::pictures::Pictures;
use crate::shown::Shot;

/// The page's file.
const PAGE: &str = "index.html";

/// A folder for one page. A page of an earlier report in it is replaced.
#[derive(Debug)]
pub struct ReportFolder {
    folder: PathBuf,
}

impl ReportFolder {
    /// Makes the folder, if it is not there.
    ///
    /// # Errors
    /// [`Error::ForeignPage`] if there is a page in it that no report wrote;
    /// [`Error::Io`].
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|source| Error::io(folder, source))?;
        // What earlier ones left that were killed.
        remove_leftovers(folder, |name| name == PAGE);
        let page = folder.join(PAGE);
        match open_plain(&page) {
            Ok(file) => {
                if !is_ours(file).map_err(|source| Error::io(&page, source))? {
                    return Err(Error::ForeignPage(page));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::io(&page, source)),
        }
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Writes the page of an evaluation; returns its path.
    ///
    /// # Errors
    /// [`Error::Image`] for an image that can't be read any more; [`Error::Io`].
    pub fn write_evaluated(&self, page: &EvaluatedPage) -> Result<PathBuf> {
        // In turns, so that neither takes all the room.
        let mut doubtful = page.doubts.iter().map(|label| label.image);
        let mut shots = images_of(&page.gallery.shots);
        let images = std::iter::from_fn(|| Some([shots.next(), doubtful.next()]))
            .take_while(|turn| turn.iter().any(Option::is_some))
            .flat_map(|turn| turn.into_iter().flatten());
        let pictures = Pictures::reduce(&page.names, images)?;
        self.write(&html::evaluated(page, &pictures))
    }

    /// Writes the page of a comparison; returns its path.
    ///
    /// # Errors
    /// As [`Self::write_evaluated`].
    pub fn write_compared(&self, page: &ComparedPage) -> Result<PathBuf> {
        let pictures = Pictures::reduce(&page.names, images_of(&page.gallery.shots))?;
        self.write(&html::compared(page, &pictures))
    }

    fn write(&self, html: &str) -> Result<PathBuf> {
        let page = self.folder.join(PAGE);
        write_atomically(&page, html.as_bytes()).map_err(|source| Error::io(&page, source))?;
        Ok(page)
    }
}

fn images_of(shots: &[Shot]) -> impl Iterator<Item = usize> {
    shots.iter().map(|shot| shot.image)
}

/// Whether a page says near its beginning that a report wrote it.
fn is_ours(file: File) -> io::Result<bool> {
    const BEGINNING: u64 = 2048;
    let mut beginning = Vec::new();
    file.take(BEGINNING).read_to_end(&mut beginning)?;
    let beginning = String::from_utf8_lossy(&beginning);
    Ok(beginning.contains(&format!("content=\"{GENERATOR}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_somebody_elses_stays() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join(PAGE);
        fs::write(&page, "<!doctype html><title>Mine</title>").unwrap();
        let error = ReportFolder::create(folder.path()).unwrap_err();
        assert!(matches!(error, Error::ForeignPage(_)), "{error}");
        assert!(error.to_string().contains(PAGE), "{error}");
        fs::write(&page, "").unwrap();
        assert!(ReportFolder::create(folder.path()).is_err());
        let below = folder.path().join("a/b");
        ReportFolder::create(&below).unwrap();
        assert!(below.is_dir());
        fs::create_dir(below.join(PAGE)).unwrap();
        let error = ReportFolder::create(&below).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
