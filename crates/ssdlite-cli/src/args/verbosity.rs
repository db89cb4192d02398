//! The options of how much is told, which every command has.

use anyhow::Result;
use clap::Args;

use crate::console::Verbosity;
use crate::outcome::UsageError;

/// How much is told besides results, warnings and errors.
#[derive(Args)]
pub(crate) struct VerbosityArgs {
    /// Tell results, warnings and errors alone: no notes, no progress
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Also tell with what, how long it took, and lists to their ends
    #[arg(long, short, global = true)]
    verbose: bool,
}

impl VerbosityArgs {
    /// # Errors
    /// [`UsageError`] where both were given. They may stand before and after a command's
    /// name, so that the parser can't tell.
    pub(crate) fn verbosity(&self) -> Result<Verbosity> {
        match (self.quiet, self.verbose) {
            (false, false) => Ok(Verbosity::Usual),
            (true, false) => Ok(Verbosity::Quiet),
            (false, true) => Ok(Verbosity::Verbose),
            (true, true) => {
                let fault = "--quiet can't stand beside --verbose: expected one of them";
                Err(UsageError(fault.into()).into())
            }
        }
    }
}
