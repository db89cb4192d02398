//! `serve` takes up models that were trained anew: all of them at SIGHUP, and with
//! `--watch` each whose file has changed.
//!
//! A file is read, checked and tried before it takes the place of the one that is
//! served; one that can't be used changes nothing and is told once.

use std::io::{IsTerminal, stderr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use ssdlite_serve::{Model, ModelOptions, OnHangup, ServedModels};

use crate::args::model::ModelArg;
use crate::console;
use crate::models::load_served;

/// How often files are looked at. One that is the same twice is whole, whoever
/// writes it.
const PAUSE: Duration = Duration::from_millis(500);

/// A model that is served, and where it comes from.
pub(crate) struct Origin {
    name: String,
    argument: ModelArg,
    /// The file that was read last, whatever came of it.
    read: Option<Stamp>,
    /// The file at the last look.
    seen: Option<Stamp>,
}

/// Tells a file from one that is put in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    length: u64,
    written: Option<SystemTime>,
    /// A file that is renamed into place has another, though it be as old.
    #[cfg(unix)]
    inode: u64,
}

impl Stamp {
    /// The file that is there now, if there is one.
    fn of(argument: &ModelArg) -> Option<Self> {
        let path = argument.file().ok()?;
        let metadata = path.metadata().ok()?;
        Some(Self {
            path,
            length: metadata.len(),
            written: metadata.modified().ok(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(&metadata),
        })
    }
}

impl Origin {
    /// Reads the model that is served at first, under this name or its own.
    pub(crate) fn load(
        argument: ModelArg,
        name: Option<&str>,
        options: &ModelOptions,
    ) -> Result<(Model, Self)> {
        let read = Stamp::of(&argument);
        let mut model = load_served(&argument, options)?;
        if let Some(name) = name {
            name.clone_into(&mut model.name);
        }
        let origin = Self {
            name: model.name.clone(),
            argument,
            seen: read.clone(),
            read,
        };
        Ok((model, origin))
    }

    /// Whether another file has come, and is whole.
    fn has_changed(&mut self) -> bool {
        let now = Stamp::of(&self.argument);
        let is_settled = now == self.seen;
        self.seen.clone_from(&now);
        // One that is gone may be about to come.
        is_settled && now.is_some() && now != self.read
    }

    /// Puts the file that is there in the model's place, if it can be used.
    fn take_up(&mut self, models: &ServedModels, options: &ModelOptions) {
        self.read = Stamp::of(&self.argument);
        let taken = load_served(&self.argument, options).and_then(|model| {
            let version = model.version.clone();
            let name = self.name.clone();
            models.replace(Model { name, ..model })?;
            Ok(version)
        });
        let name = &self.name;
        match taken {
            Ok(version) => console::note(&format!("{name}: the model of {version} is served now")),
            Err(error) => console::warning(&format!(
                "{name}: the model stays as it was: {}",
                console::with_causes(&error)
            )),
        }
    }
}

/// What takes models up anew.
pub(crate) struct Reloader {
    pub(crate) origins: Vec<Origin>,
    pub(crate) options: ModelOptions,
    /// Whether files are looked at.
    pub(crate) watches: bool,
}

impl Reloader {
    /// Has models taken up from now on, for as long as the process runs.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub(crate) fn start(mut self, models: ServedModels, told: Receiver<()>) -> Result<()> {
        let run = move || {
            loop {
                let is_told = match told.recv_timeout(PAUSE) {
                    Ok(()) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                    // The server has ended.
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                for origin in &mut self.origins {
                    if is_told || (self.watches && origin.has_changed()) {
                        origin.take_up(&models, &self.options);
                    }
                }
            }
        };
        let thread = thread::Builder::new().spawn(run);
        thread.map(drop).context("no thread for models that change")
    }
}

/// What the server does at SIGHUP, and what that tells of it. A terminal that is
/// closed sends one too: the server that it was started in ends with it.
pub(crate) fn on_hangup() -> (OnHangup, Receiver<()>) {
    let (tell, told) = sync_channel(1);
    let had_terminal = stderr().is_terminal();
    let on_hangup = move || {
        if had_terminal && !stderr().is_terminal() {
            return ControlFlow::Break(());
        }
        // One that waits is enough.
        let _ = tell.try_send(());
        ControlFlow::Continue(())
    };
    (Box::new(on_hangup), told)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn origin(path: &Path) -> Origin {
        let argument = ModelArg::from(path);
        let read = Stamp::of(&argument);
        Origin {
            name: "a".into(),
            seen: read.clone(),
            read,
            argument,
        }
    }

    #[test]
    fn a_file_has_changed_when_it_is_another_and_the_same_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        fs::write(&path, "1").unwrap();
        let mut origin = origin(&path);
        assert!(!origin.has_changed());
        for (text, changed) in [("12", false), ("123", false), ("123", true)] {
            if fs::read_to_string(&path).unwrap() != text {
                fs::write(&path, text).unwrap();
            }
            assert_eq!(origin.has_changed(), changed, "{text}");
        }
        origin.read = Stamp::of(&origin.argument);
        assert!(!origin.has_changed());
        // As long as before and put in its place as a whole.
        fs::write(folder.path().join("new"), "321").unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!origin.has_changed());
        assert!(!origin.has_changed());
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(!origin.has_changed());
        assert!(origin.has_changed());
    }
}
