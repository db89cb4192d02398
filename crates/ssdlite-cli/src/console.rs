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
    write_json_line(io::stdout().lock(), value)
}

/// Writes a value as one line of JSON.
pub(crate) fn write_json_line(mut to: impl Write, value: &impl Serialize) -> Result<()> {
    let line = serde_json::to_string(value)?;
    writeln!(to, "{line}")?;
    Ok(())
}

/// A count with its noun, such as `1 epoch` or `2 epochs`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
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

/// Tells the user why something was not done, with all causes.
pub(crate) fn failure(error: &anyhow::Error) {
    self::error(&with_causes(error));
}

/// The messages of an error and its causes. A message that repeats its cause at
/// its end stands for both.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
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

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || io::Error::other("no such file");
        let wrapped = ssdlite_train::Error::io("a.toml", cause());
        assert_eq!(with_causes(&wrapped.into()), "a.toml: no such file");
        let told = Err::<(), _>(cause()).context("can't read b").unwrap_err();
        assert_eq!(with_causes(&told), "can't read b: no such file");
    }
}
