//! What is said of wrong usage, in this program's words.

use std::ffi::OsString;

use anyhow::Result;

use super::{Label, Unprinted, error, to_stderr};

/// What Rust says of numbers that can't be read, and what that means.
const WORDS: [(&str, &str); 6] = [
    (
        "invalid digit found in string",
        "expected a whole number of 0 or more",
    ),
    ("invalid float literal", "expected a number"),
    (
        "number too large to fit in target type",
        "the number is too large",
    ),
    (
        "number would be zero for non-zero type",
        "expected a number above 0",
    ),
    (
        "cannot parse integer from empty string",
        "expected a whole number",
    ),
    ("cannot parse float from empty string", "expected a number"),
];

/// A message that ends its first line with `: -1 is not in 0..=9`, with these
/// bounds in words.
fn in_bounds(text: &str) -> Option<String> {
    let (line, rest) = text.split_once('\n')?;
    let (told, bounds) = line.rsplit_once(" is not in ")?;
    let (told, _) = told.rsplit_once(": ")?;
    let (least, most) = bounds.split_once("..=")?;
    Some(format!(
        "{told}: expected a whole number of {least} to {most}\n{rest}"
    ))
}

/// A message with an option's other name where that was given.
fn as_given(text: String, arguments: impl IntoIterator<Item = OsString>) -> String {
    const SCORE: &str = "--score";
    const CONF: &str = "--conf";
    let names = arguments.into_iter().filter_map(|argument| {
        let argument = argument.into_string().ok()?;
        Some(argument.split('=').next()?.to_owned())
    });
    let names: Vec<String> = names.collect();
    let is_given = |option| names.iter().any(|name| name == option);
    if is_given(CONF) && !is_given(SCORE) {
        return text.replace(&format!("{SCORE} <"), &format!("{CONF} <"));
    }
    text
}

/// Tells of wrong usage, or gives the help that was asked for.
///
/// # Errors
/// If the help can't be printed.
pub(crate) fn usage(answer: &clap::Error) -> Result<()> {
    if answer.kind() == clap::error::ErrorKind::InvalidUtf8 {
        let mut arguments = std::env::args_os().skip(1);
        let found = arguments.find(|argument| argument.to_str().is_none());
        let found = found.unwrap_or_default();
        error(&format!(
            "expected words in UTF-8 for all but paths, found `{}`",
            found.display()
        ));
        return Ok(());
    }
    if answer.use_stderr() {
        let text = answer.to_string();
        let in_words = |text: String, (theirs, ours): &(&str, &str)| text.replace(theirs, ours);
        let text = as_given(WORDS.iter().fold(text, in_words), std::env::args_os());
        let text = in_bounds(&text).unwrap_or(text);
        let text = text.trim_end();
        match text.strip_prefix(Label::Error.word()) {
            Some(message) => error(message.trim_start()),
            None => to_stderr(None, text),
        }
        return Ok(());
    }
    Ok(answer.print().map_err(Unprinted)?)
}
