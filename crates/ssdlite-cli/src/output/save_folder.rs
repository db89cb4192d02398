//! The folder of `--save`: each result under a name of its own.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ssdlite_files::{remove_leftovers, write_atomically};

/// Endings of what is saved.
const ENDINGS: [&str; 3] = [".jpg", ".mp4", ".jsonl"];

/// A folder for annotated images and videos.
pub(crate) struct SaveFolder {
    folder: PathBuf,
    taken: HashSet<PathBuf>,
}

impl SaveFolder {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
        // What earlier ones left that were killed.
        remove_leftovers(folder, |name| {
            ENDINGS.iter().any(|ending| name.ends_with(ending))
        });
        Ok(Self {
            folder: folder.to_owned(),
            taken: HashSet::new(),
        })
    }

    /// The folder, if anything was saved in it.
    pub(crate) fn if_used(&self) -> Option<&Path> {
        (!self.taken.is_empty()).then_some(&*self.folder)
    }

    /// Saves a JPEG file under the name of the file that it came from.
    pub(crate) fn save_jpeg(&mut self, origin: &Path, jpeg: &[u8]) -> Result<()> {
        let path = self.path_for(origin, "jpg")?;
        write_atomically(&path, jpeg).with_context(|| path.display().to_string())
    }

    /// A path under the name of `origin`, with a number where two have the
    /// same name. An error if it is `origin` itself, which would be lost.
    pub(crate) fn path_for(&mut self, origin: &Path, extension: &str) -> Result<PathBuf> {
        let stem = origin.file_stem().unwrap_or(origin.as_os_str());
        let mut name = PathBuf::from(stem).with_added_extension(extension);
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            let mut numbered = stem.to_owned();
            numbered.push(format!("-{number}.{extension}"));
            name = numbered.into();
        }
        let path = self.folder.join(name);
        let is_origin = path
            .canonicalize()
            .is_ok_and(|found| origin.canonicalize().is_ok_and(|origin| origin == found));
        if is_origin {
            anyhow::bail!(
                "{}: saving would replace the input; choose another folder for --save",
                origin.display()
            );
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_used_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut save = SaveFolder::new(folder.path()).unwrap();
        let mut name = |origin: &str| save.path_for(origin.as_ref(), "mp4").unwrap();
        assert_eq!(name("a/x.mov"), folder.path().join("x.mp4"));
        assert_eq!(name("b/x.mp4"), folder.path().join("x-2.mp4"));
        assert_eq!(name("c/x.y.mp4"), folder.path().join("x.y.mp4"));
    }

    #[test]
    fn an_input_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("x.jpg");
        std::fs::write(&origin, b"x").unwrap();
        let mut save = SaveFolder::new(folder.path()).unwrap();
        let error = save.path_for(&origin, "jpg").unwrap_err().to_string();
        assert!(error.contains("x.jpg"), "{error}");
        assert!(save.path_for(&origin, "mp4").is_ok());
    }
}
