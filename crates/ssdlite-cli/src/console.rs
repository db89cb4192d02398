//! What is printed: results to standard output, everything else to standard
//! error. With `--json` standard output holds one JSON object a line and
//! nothing else.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

/// Prints a result as text.
pub(crate) fn text(text: impl std::fmt::Display) -> Result<()> {
    writeln!(io::stdout().lock(), "{text}")?;
    Ok(())
}

/// Prints a result as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(value)?;
    writeln!(io::stdout().lock(), "{line}")?;
    Ok(())
}

/// Tells the user what is going on.
pub(crate) fn note(message: &str) {
    to_stderr(message);
}

/// Tells the user what was not as it should be, while the work goes on.
pub(crate) fn warning(message: &str) {
    to_stderr(&format!("warning: {message}"));
}

/// Tells the user why something was not done.
pub(crate) fn error(message: &str) {
    to_stderr(&format!("error: {message}"));
}

fn to_stderr(message: &str) {
    // Nobody is left to tell where standard error is closed.
    writeln!(io::stderr().lock(), "{message}").ok();
}

/// Whether the reader of standard output went away, as `head` does.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
