//! A run's folder: which files it has, and how they are written.
//!
//! Every file is written under another name and renamed, so that a reader sees
//! the old one or the new one and nothing between.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ssdlite_data::Overwrite;

use crate::error::{Error, Result};

/// All that a run writes into its folder, besides the folders.
const FILES: [&str; 8] = [
    "config.toml",
    "results.csv",
    "results.png",
    "labels.png",
    "train_batch0.jpg",
    "val_batch0_pred.jpg",
    "last.safetensors",
    "best.safetensors",
];

const FOLDERS: [&str; 2] = ["checkpoints", "eval"];

/// The folder of one training run, such as `runs/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a new run. An earlier run's files are removed where
    /// that is allowed; files of any other name stay.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the folder holds anything and overwriting
    /// is refused; [`Error::Io`].
    pub fn create(path: impl Into<PathBuf>, overwrite: Overwrite) -> Result<Self> {
        let folder = Self { path: path.into() };
        let io_error = |source| Error::io(&folder.path, source);
        fs::create_dir_all(&folder.path).map_err(io_error)?;
        let used = fs::read_dir(&folder.path)
            .map_err(io_error)?
            .next()
            .is_some();
        if used && overwrite == Overwrite::Refuse {
            return Err(Error::InvalidRequest(format!(
                "{}: expected a new or empty folder, found files in it: resume that run or choose \
                 another name",
                folder.path.display()
            )));
        }
        if used {
            folder.remove_old_run()?;
        }
        for name in FOLDERS {
            fs::create_dir_all(folder.path.join(name)).map_err(io_error)?;
        }
        Ok(folder)
    }

    /// The folder of an earlier run.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if it has no `config.toml`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let folder = Self { path: path.into() };
        if !folder.config().is_file() {
            return Err(Error::InvalidRequest(format!(
                "{}: expected a run's folder, found no config.toml in it",
                folder.path.display()
            )));
        }
        Ok(folder)
    }

    fn remove_old_run(&self) -> Result<()> {
        let files = FILES
            .iter()
            .map(|name| fs::remove_file(self.path.join(name)));
        let folders = FOLDERS
            .iter()
            .map(|name| fs::remove_dir_all(self.path.join(name)));
        for removed in files.chain(folders) {
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io(&self.path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything needed to repeat the run.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// A row for each epoch.
    pub fn results_csv(&self) -> PathBuf {
        self.path.join("results.csv")
    }

    /// The same as curves.
    pub fn results_png(&self) -> PathBuf {
        self.path.join("results.png")
    }

    /// How many objects of which class and size there are to learn from.
    pub fn labels_png(&self) -> PathBuf {
        self.path.join("labels.png")
    }

    /// The first images as the network gets them, with their targets.
    pub fn train_batch_jpg(&self) -> PathBuf {
        self.path.join("train_batch0.jpg")
    }

    /// The first images of the validation split with what the best network
    /// finds in them.
    pub fn validation_batch_jpg(&self) -> PathBuf {
        self.path.join("val_batch0_pred.jpg")
    }

    /// The model after the last evaluated epoch.
    pub fn last_model(&self) -> PathBuf {
        self.path.join("last.safetensors")
    }

    /// The model with the best score.
    pub fn best_model(&self) -> PathBuf {
        self.path.join("best.safetensors")
    }

    /// What a stopped run goes on from.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// What is known of the best model on the validation split.
    pub fn evaluation(&self) -> PathBuf {
        self.path.join("eval")
    }

    /// The best model's scores on the validation split, class by class.
    pub fn best_evaluation(&self) -> PathBuf {
        self.evaluation().join("best.txt")
    }
}

/// Writes a file that is whole or not there.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    ssdlite_files::write_atomically(path, bytes).map_err(|source| Error::io(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_run_is_kept_unless_asked_otherwise() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("runs/first");
        let folder = RunFolder::create(&path, Overwrite::Refuse).unwrap();
        assert!(RunFolder::open(&path).is_err());
        write_file(&folder.config(), b"old").unwrap();
        fs::write(path.join("notes.txt"), b"mine").unwrap();
        fs::write(folder.checkpoints().join("a"), b"old").unwrap();
        assert!(RunFolder::open(&path).is_ok());
        let refused = RunFolder::create(&path, Overwrite::Refuse).unwrap_err();
        assert!(matches!(refused, Error::InvalidRequest(_)), "{refused}");
        assert_eq!(fs::read(folder.config()).unwrap(), b"old");
        RunFolder::create(&path, Overwrite::Allow).unwrap();
        assert!(!folder.config().exists());
        assert_eq!(fs::read_dir(folder.checkpoints()).unwrap().count(), 0);
        assert_eq!(fs::read(path.join("notes.txt")).unwrap(), b"mine");
    }
}
