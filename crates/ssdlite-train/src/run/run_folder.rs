//! A run's folder: which files it has, how they are written, and that one
//! process at a time works in it.
//!
//! Every file is written under another name and renamed, so that a reader sees
//! the old one or the new one and nothing between; but an event file of TensorBoard's
//! grows.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ssdlite_data::Overwrite;
use ssdlite_files::{LockFile, Locked, remove_leftovers, target_from_temporary};

use super::checkpoint::steps_from_name;
use crate::config::read_config;
use crate::error::{Error, Result};

/// What a run's folder is known by.
const CONFIG: &str = "config.toml";

const BEST_MODEL: &str = "best.safetensors";

/// All that a run writes into its folder, besides the folders.
const FILES: [&str; 8] = [
    CONFIG,
    "results.csv",
    "results.png",
    "labels.png",
    "train_batch0.jpg",
    "val_batch0_pred.jpg",
    "last.safetensors",
    BEST_MODEL,
];

/// What the name of an event file begins with, as TensorFlow's, and ends with.
const EVENTS: [&str; 2] = ["events.out.tfevents.", ".ssdlite"];

const CHECKPOINTS: &str = "checkpoints";

const EVALUATION: &str = "eval";

const FOLDERS: [&str; 2] = [CHECKPOINTS, EVALUATION];

/// What a run writes before its first checkpoint.
const BEFORE_CHECKPOINT: [&str; 3] = [CONFIG, "labels.png", "train_batch0.jpg"];

/// What `eval` holds.
const EVALUATION_FILES: [&str; 5] = [
    "best.txt",
    "confusion.png",
    "evaluation.json",
    "f1.png",
    "precision_recall.png",
];

/// There as long as a process works on the run.
const LOCK: &str = "run.lock";

/// The folder of one training run, such as `runs/NAME`. As long as this lives
/// no other process can have it.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Or why there is no lock.
    lock: std::result::Result<LockFile, io::Error>,
}

impl RunFolder {
    /// Makes the folder of a new run. An earlier run's files are removed where
    /// that is allowed, or where it ended before its first step was kept; files of any
    /// other name stay.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if the folder holds anything else and overwriting
    /// is refused, or if a process works on a run there; [`Error::Io`].
    pub fn create(path: impl Into<PathBuf>, overwrite: Overwrite) -> Result<Self> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(|source| Error::io(&path, source))?;
        let refuse_used = || match overwrite {
            Overwrite::Refuse => expect_unused(&path),
            Overwrite::Allow => Ok(()),
        };
        // Asked before so that nothing is made in a folder of somebody's, and
        // after because another process may have begun a run meanwhile.
        refuse_used()?;
        let lock = lock(&path)?;
        refuse_used()?;
        let folder = Self { path, lock };
        folder.remove_leftovers();
        folder.remove_old_run()?;
        folder.make_folders()?;
        Ok(folder)
    }

    /// The folder of an earlier run. What processes that were killed left half
    /// written is removed.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if it is no run's folder, or if a process works
    /// on the run; [`Error::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        expect_run(&path)?;
        let lock = lock(&path)?;
        let folder = Self { path, lock };
        folder.remove_leftovers();
        folder.make_folders()?;
        Ok(folder)
    }

    /// The text of a run's `config.toml`; that of a run under way can be read too.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] if `path` is no run's folder; [`Error::Io`].
    pub fn read_config(path: &Path) -> Result<String> {
        expect_run(path)?;
        read_config(&path.join(CONFIG))
    }

    /// The model file that a path of a user's stands for: the file itself, or the best
    /// model of the run in a folder.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a folder that is no run's, or of a run that has no
    /// model yet; [`Error::Io`].
    pub fn model_of(path: &Path) -> Result<PathBuf> {
        if !path.is_dir() {
            return Ok(path.to_owned());
        }
        let found = path.display();
        if !path.join(CONFIG).exists() {
            let hint = match runs_in(path)? {
                Some(run) => format!("runs in it: name one of them, such as {}", run.display()),
                None => format!("a folder without a {CONFIG}"),
            };
            return Err(Error::InvalidRequest(format!(
                "{found}: expected a model file or a run's folder, found {hint}"
            )));
        }
        let model = path.join(BEST_MODEL);
        if model.exists() {
            return Ok(model);
        }
        Err(Error::InvalidRequest(format!(
            "{found}: this run has no model yet, as none of its epochs has been evaluated: wait \
             for the first evaluation, or go on with it by `--resume {found}`"
        )))
    }

    /// Why nothing keeps another process from the run, where that is so: a file
    /// system without locks.
    pub fn lock_fault(&self) -> Option<&io::Error> {
        self.lock.as_ref().err()
    }

    fn make_folders(&self) -> Result<()> {
        for name in FOLDERS {
            let inner = self.path.join(name);
            fs::create_dir_all(&inner).map_err(|source| Error::io(&inner, source))?;
        }
        Ok(())
    }

    fn remove_leftovers(&self) {
        remove_leftovers(&self.path, is_file_of_run);
        remove_leftovers(&self.checkpoints(), |target| {
            steps_from_name(target).is_some()
        });
        remove_leftovers(&self.evaluation(), |target| {
            EVALUATION_FILES.contains(&target)
        });
    }

    fn remove_old_run(&self) -> Result<()> {
        let files = FILES
            .iter()
            .map(|name| fs::remove_file(self.path.join(name)));
        let folders = FOLDERS
            .iter()
            .map(|name| fs::remove_dir_all(self.path.join(name)));
        let events = self.event_files()?.into_iter().map(fs::remove_file);
        for removed in files.chain(folders).chain(events) {
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
        self.path.join(CONFIG)
    }

    /// A row for each epoch.
    pub fn results_csv(&self) -> PathBuf {
        self.path.join("results.csv")
    }

    /// The same as curves.
    pub fn results_png(&self) -> PathBuf {
        self.path.join("results.png")
    }

    /// The same for TensorBoard, of the session that began at this time, in seconds since
    /// 1970.
    pub(crate) fn event_file(&self, seconds: u64) -> PathBuf {
        let [start, end] = EVENTS;
        // In the order of their names TensorBoard reads them.
        self.path.join(format!("{start}{seconds:010}{end}"))
    }

    /// The event files of all sessions.
    pub(crate) fn event_files(&self) -> Result<Vec<PathBuf>> {
        let names = names_in(&self.path)?.into_iter();
        let names = names.filter(|name| is_event_file(name));
        Ok(names.map(|name| self.path.join(name)).collect())
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
        self.path.join(BEST_MODEL)
    }

    /// What a stopped run goes on from.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// What is known of the best model on the validation split.
    pub fn evaluation(&self) -> PathBuf {
        self.path.join(EVALUATION)
    }

    /// The best model's scores on the validation split, class by class.
    pub fn best_evaluation(&self) -> PathBuf {
        self.evaluation().join("best.txt")
    }
}

/// Checks that there is a run in a folder.
fn expect_run(path: &Path) -> Result<()> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => "there is nothing of this name",
        Err(error) => return Err(Error::io(path, error)),
        Ok(found) if !found.is_dir() => "found a file",
        Ok(_) if !path.join(CONFIG).exists() => "found no config.toml in it",
        Ok(_) => return Ok(()),
    };
    Err(Error::InvalidRequest(format!(
        "{}: expected a run's folder, {found}",
        path.display()
    )))
}

/// A run that is in a folder of runs.
fn runs_in(folder: &Path) -> Result<Option<PathBuf>> {
    let io_error = |source| Error::io(folder, source);
    let mut runs = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        if path.join(CONFIG).is_file() {
            runs.push(path);
        }
    }
    Ok(runs.into_iter().min())
}

/// Checks that nothing would be lost in a folder: it has nothing but files of a run
/// that did not come to keep a step.
fn expect_unused(path: &Path) -> Result<()> {
    let inner = names_in(path)?;
    let checkpoints = names_in(&path.join(CHECKPOINTS))?;
    let evaluation = names_in(&path.join(EVALUATION))?;
    let is_of_run = |name: &str| {
        let is_named = name == LOCK || FOLDERS.contains(&name);
        is_named || is_ours(name, is_file_of_run)
    };
    let is_checkpoint = |name: &str| is_ours(name, |target| steps_from_name(target).is_some());
    let is_of_evaluation = |name: &str| is_ours(name, |target| EVALUATION_FILES.contains(&target));
    let is_foreign = !inner.iter().all(|name| is_of_run(name))
        || !checkpoints.iter().all(|name| is_checkpoint(name))
        || !evaluation.iter().all(|name| is_of_evaluation(name));
    let refused = |found: &str| {
        Err(Error::InvalidRequest(format!(
            "{}: expected a new or empty folder, found {found}",
            path.display()
        )))
    };
    let is_there = |name: &str| inner.iter().any(|found| found == name);
    if is_foreign && !is_there(CONFIG) {
        return refused("files in it: choose another name");
    }
    // The first checkpoint stays beside the second: where it is alone, no epoch was
    // complete.
    let is_begun = match checkpoints
        .iter()
        .filter_map(|name| steps_from_name(name))
        .max()
    {
        Some(steps) => steps > 0,
        None => FILES
            .iter()
            .any(|name| is_there(name) && !BEFORE_CHECKPOINT.contains(name)),
    };
    if is_foreign || is_begun {
        return refused(&format!(
            "a run in it: go on with it by `--resume {}`, or choose another name",
            path.display()
        ));
    }
    Ok(())
}

/// The names of what is in a folder; none of one that isn't there.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    let io_error = |source| Error::io(folder, source);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error)?,
    };
    let name = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.map_err(io_error)?;
        Ok(entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

/// Whether a run writes a file of this name into its folder itself.
fn is_file_of_run(name: &str) -> bool {
    FILES.contains(&name) || is_event_file(name)
}

fn is_event_file(name: &str) -> bool {
    let [start, end] = EVENTS;
    let seconds = name.strip_prefix(start);
    let seconds = seconds.and_then(|name| name.strip_suffix(end));
    seconds.is_some_and(|seconds| {
        !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether a file of this name is a run's, or was left half written by one.
fn is_ours(name: &str, is_target: impl Fn(&str) -> bool) -> bool {
    is_target(name) || target_from_temporary(name).is_some_and(is_target)
}

/// Takes a folder for this process, where the file system knows how.
fn lock(folder: &Path) -> Result<std::result::Result<LockFile, io::Error>> {
    let path = folder.join(LOCK);
    match LockFile::acquire(&path).map_err(|source| Error::io(&path, source))? {
        Locked::Ours(lock) => Ok(Ok(lock)),
        Locked::Unsupported(fault) => Ok(Err(fault)),
        Locked::Others(process) => {
            let process =
                process.map_or_else(|| "another process".into(), |id| format!("process {id}"));
            Err(Error::InvalidRequest(format!(
                "{}: {process} works on this run: wait until it has ended, or stop it",
                folder.display()
            )))
        }
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
        drop(folder);
        assert!(RunFolder::open(&path).is_err());
        let folder = RunFolder::create(&path, Overwrite::Refuse).unwrap();
        write_file(&folder.config(), b"old").unwrap();
        fs::write(path.join("notes.txt"), b"mine").unwrap();
        fs::write(folder.checkpoints().join("a"), b"old").unwrap();
        fs::write(folder.event_file(1_750_000_000), b"old").unwrap();
        fs::write(path.join("events.out.tfevents.1.host"), b"mine").unwrap();
        drop(folder);
        let folder = RunFolder::open(&path).unwrap();
        let refused = RunFolder::create(&path, Overwrite::Refuse).unwrap_err();
        assert!(matches!(refused, Error::InvalidRequest(_)), "{refused}");
        assert_eq!(fs::read(folder.config()).unwrap(), b"old");
        drop(folder);
        let folder = RunFolder::create(&path, Overwrite::Allow).unwrap();
        assert!(!folder.config().exists());
        assert_eq!(fs::read_dir(folder.checkpoints()).unwrap().count(), 0);
        assert!(folder.event_files().unwrap().is_empty());
        for name in ["notes.txt", "events.out.tfevents.1.host"] {
            assert_eq!(fs::read(path.join(name)).unwrap(), b"mine");
        }
    }

    #[test]
    fn a_run_that_kept_no_step_gives_its_name_away() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let create = || RunFolder::create(&path, Overwrite::Refuse);
        let write = |name: &str| fs::write(path.join(name), b"old").unwrap();
        let failed = [CONFIG, "labels.png", "train_batch0.jpg"];
        let first = "checkpoints/step-0000000000.safetensors";
        for more in [&[][..], &[first], &[first, BEST_MODEL, "eval/best.txt"]] {
            drop(create().unwrap());
            failed.iter().chain(more).for_each(|name| write(name));
            let folder = create().unwrap();
            assert!(!folder.config().exists() && !path.join(first).exists());
        }
        // Whatever else is there stays.
        for kept in [
            "checkpoints/step-0000000003.safetensors",
            "checkpoints/mine.safetensors",
            "eval/mine.txt",
            "notes.txt",
            "results.csv",
        ] {
            drop(create().unwrap());
            failed.iter().for_each(|name| write(name));
            write(kept);
            let refused = create().unwrap_err().to_string();
            assert!(refused.contains("--resume"), "{kept}: {refused}");
            assert_eq!(fs::read(path.join(kept)).unwrap(), b"old");
            assert_eq!(fs::read(path.join(CONFIG)).unwrap(), b"old");
            fs::remove_file(path.join(kept)).unwrap();
        }
    }

    #[test]
    fn a_runs_folder_stands_for_its_best_model() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("runs/first");
        let words = |path: &Path| RunFolder::model_of(path).unwrap_err().to_string();
        let file = parent.path().join("absent.safetensors");
        assert_eq!(RunFolder::model_of(&file).unwrap(), file);
        let folder = RunFolder::create(&path, Overwrite::Refuse).unwrap();
        assert!(words(&path).contains("without a config.toml"));
        write_file(&folder.config(), b"").unwrap();
        assert!(words(&path).contains("no model yet"), "{}", words(&path));
        let runs = words(path.parent().unwrap());
        assert!(runs.contains("such as") && runs.contains("first"), "{runs}");
        write_file(&folder.best_model(), b"").unwrap();
        assert_eq!(RunFolder::model_of(&path).unwrap(), folder.best_model());
    }

    #[test]
    fn one_process_at_a_time_has_a_run() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let folder = RunFolder::create(&path, Overwrite::Refuse).unwrap();
        assert!(folder.lock_fault().is_none());
        write_file(&folder.config(), b"# nothing").unwrap();
        let text = RunFolder::read_config(&path).unwrap();
        assert_eq!(text, "# nothing");
        let refused = [
            RunFolder::open(&path),
            RunFolder::create(&path, Overwrite::Allow),
        ];
        for refused in refused {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("works on this run"), "{error}");
            #[cfg(unix)]
            assert!(error.contains(&std::process::id().to_string()), "{error}");
        }
        drop(folder);
        assert!(!path.join(LOCK).exists());
        // A run that failed may have lost its empty folders.
        fs::remove_dir(path.join("eval")).unwrap();
        let folder = RunFolder::open(&path).unwrap();
        assert!(folder.evaluation().is_dir());
    }

    #[cfg(unix)]
    #[test]
    fn what_killed_processes_left_of_a_run_goes() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        drop(RunFolder::create(&path, Overwrite::Refuse).unwrap());
        let left = [
            "config.toml.5-0.tmp",
            "run.lock",
            "checkpoints/step-0000000000.safetensors.5-3.tmp",
            "eval/evaluation.json.5-9.tmp",
        ];
        let mine = [
            "notes.txt.5-0.tmp",
            "checkpoints/a.5-3.tmp",
            "eval/mine.5-4.tmp",
        ];
        // It may be begun again if it has nothing but what was left.
        fs::write(path.join(left[0]), b"half").unwrap();
        fs::write(path.join(left[1]), b"5").unwrap();
        let folder = RunFolder::create(&path, Overwrite::Refuse).unwrap();
        assert!(!path.join(left[0]).exists());
        write_file(&folder.config(), b"").unwrap();
        drop(folder);
        for name in left.iter().chain(&mine) {
            fs::write(path.join(name), b"half").unwrap();
        }
        drop(RunFolder::open(&path).unwrap());
        for name in left {
            assert!(!path.join(name).exists(), "{name}");
        }
        for name in mine {
            assert!(path.join(name).exists(), "{name}");
        }
    }

    #[test]
    fn what_is_no_run_is_told_apart() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, b"").unwrap();
        fs::create_dir(parent.path().join("folder")).unwrap();
        for (name, words) in [
            ("none", "nothing of this name"),
            ("file", "found a file"),
            ("folder", "no config.toml"),
        ] {
            let path = parent.path().join(name);
            let error = RunFolder::open(&path).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(name), "{error}");
            assert!(RunFolder::read_config(&path).is_err());
        }
    }
}
