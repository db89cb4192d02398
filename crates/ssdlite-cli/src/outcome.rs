//! How commands end.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use anyhow::Result;
use ssdlite_data::parallel::in_order;
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

/// Inputs that are looked at, or wait to be told of, for each thread.
const AHEAD: usize = 2;

/// Does `look` on every input, on several threads and ahead, and `tell` with what came of
/// it in the order of the inputs. One that can't be used, or found, is told and counted
/// and the others go on; telling that ends as failed ends all.
pub(crate) fn for_each_input<I: Sync, L: Send>(
    threads: NonZeroUsize,
    inputs: &[Result<I>],
    look: impl Fn(&I) -> L + Sync,
    mut tell: impl FnMut(&I, L) -> Result<Outcome>,
) -> Result<Outcome> {
    let mut failures = 0;
    let look = |input: &Result<I>| input.as_ref().ok().map(&look);
    let mut fails = |error: &anyhow::Error| {
        console::failure(error);
        failures += 1;
        ControlFlow::Continue(())
    };
    let tell = |input: &Result<I>, looked: Option<L>| match (input, looked) {
        (Ok(input), Some(looked)) => match tell(input, looked) {
            Ok(Outcome::Done) => ControlFlow::Continue(()),
            Ok(Outcome::Failed) => ControlFlow::Break(Ok(Outcome::Failed)),
            Err(error) if console::is_unprinted(&error) => ControlFlow::Break(Err(error)),
            Err(error) => fails(&error),
        },
        (Err(error), _) => fails(error),
        (Ok(_), None) => ControlFlow::Continue(()),
    };
    let ended = in_order(threads, AHEAD * threads.get(), inputs, look, tell);
    match ended {
        ControlFlow::Break(outcome) => outcome,
        ControlFlow::Continue(()) => Ok(Outcome::from_failures(failures)),
    }
}
