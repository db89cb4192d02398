//! The argument that names a model: a file, or the folder of a training run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::Result;
use ssdlite_train::RunFolder;

use crate::paths::expect_there;

/// A model file, or a training run's folder, which stands for its best model.
#[derive(Clone, Debug)]
pub(crate) struct ModelArg(PathBuf);

impl From<OsString> for ModelArg {
    fn from(path: OsString) -> Self {
        Self(path.into())
    }
}

impl From<&Path> for ModelArg {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl ModelArg {
    /// The model file. A fault of a file is found when it is read.
    ///
    /// # Errors
    /// For a path at which nothing is, a folder that is no run's, or of a run that has
    /// no model yet.
    pub(crate) fn file(&self) -> Result<PathBuf> {
        expect_there(&self.0)?;
        Ok(RunFolder::model_of(&self.0)?)
    }

    /// What the model is called where several are served: the file's name without its
    /// ending, or the name of the run.
    pub(crate) fn name(&self) -> String {
        let path = &self.0;
        let name = match path.is_dir().then(|| path.canonicalize()) {
            Some(Ok(run)) => run.file_name().map(OsStr::to_owned),
            _ => path.file_stem().map(OsStr::to_owned),
        };
        name.unwrap_or_default().to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_by_its_file_or_its_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("cars.v2");
        std::fs::create_dir_all(run.join("eval")).unwrap();
        let name = |path: &Path| ModelArg::from(path).name();
        assert_eq!(name(&run), "cars.v2");
        assert_eq!(name(&run.join("eval/..")), "cars.v2");
        assert_eq!(name(&run.join("best.safetensors")), "best");
        assert_eq!(name(&folder.path().join("absent.pth")), "absent");
    }
}
