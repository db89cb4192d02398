//! How commands end.

use std::ffi::{OsStr, OsString};

use anyhow::Result;
use ssdlite_media::{FoundFiles, MediaFile};

use crate::console;

/// How a command ended that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All that was asked for was done.
    Done,
    /// Something was wrong; it has been said.
    Failed,
}

impl Outcome {
    /// Failed if anything did; says how many.
    pub(crate) fn from_failures(failures: usize) -> Self {
        if failures == 0 {
            return Self::Done;
        }
        let inputs = console::counted(failures as u64, "input");
        console::error(&format!("{inputs} could not be used"));
        Self::Failed
    }
}

/// The options contradict each other: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// The files that an argument names, and why others can't be used; what was passed
/// over is told.
pub(crate) fn told_files(found: FoundFiles) -> impl Iterator<Item = Result<MediaFile>> {
    for told in &found.passed_over {
        console::note(told);
    }
    let errors = found.errors.into_iter().map(|error| Err(error.into()));
    found.files.into_iter().map(Ok).chain(errors)
}

/// The inputs that all arguments name, and why others can't be used.
pub(crate) fn inputs_of_all<I>(
    arguments: &[OsString],
    inputs_of: impl Fn(&OsStr) -> Result<Vec<Result<I>>>,
) -> Vec<Result<I>> {
    let inputs = |argument: &OsString| match inputs_of(argument) {
        Ok(inputs) => inputs,
        Err(error) => vec![Err(error)],
    };
    arguments.iter().flat_map(inputs).collect()
}

/// Does `work` on every input. One that can't be used, or found, is told and counted
/// and the others go on; work that ends as failed ends all.
pub(crate) fn for_each_input<I>(
    inputs: Vec<Result<I>>,
    mut work: impl FnMut(I) -> Result<Outcome>,
) -> Result<Outcome> {
    let mut failures = 0;
    for input in inputs {
        match input.and_then(&mut work) {
            Ok(Outcome::Done) => {}
            Ok(Outcome::Failed) => return Ok(Outcome::Failed),
            Err(error) if console::is_unprinted(&error) => return Err(error),
            Err(error) => {
                console::failure(&error);
                failures += 1;
            }
        }
    }
    Ok(Outcome::from_failures(failures))
}
