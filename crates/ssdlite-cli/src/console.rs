//! What is printed: results to standard output, everything else to standard
//! error. With `--json` standard output holds one JSON object a line and
//! nothing else.
//!
//! Names and texts come from files of anybody's, so what would command a
//! terminal, or pose as a line of its own, is shown escaped.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::panic::PanicHookInfo;

use anyhow::Result;
use serde::Serialize;
pub(crate) use ssdlite_files::counted;
use ssdlite_files::words_of;
use ssdlite_image::error::text_of_panic;

/// Standard output can't take what is printed.
#[derive(Debug, thiserror::Error)]
#[error("can't write to standard output: {}", words_of(.0))]
struct Unprinted(io::Error);

/// Prints a result as one line of text.
pub(crate) fn text(text: impl Display) -> Result<()> {
    print(&escaped(&text.to_string(), |_| false))
}

/// Prints a result that has several lines.
pub(crate) fn table(table: impl Display) -> Result<()> {
    print(&escaped(&table.to_string(), |char| char == '\n'))
}

/// Prints a result as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    print(&json_line(value)?)
}

/// Writes a value as one line of JSON.
pub(crate) fn write_json_line(mut to: impl Write, value: &impl Serialize) -> Result<()> {
    writeln!(to, "{}", json_line(value)?)?;
    Ok(())
}

fn json_line(value: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(value)?;
    // JSON escapes the first of them itself; the others stand in strings alone.
    let mut line = String::with_capacity(json.len());
    for char in json.chars() {
        if commands_a_terminal(char) {
            write!(line, "\\u{:04x}", u32::from(char))?;
        } else {
            line.push(char);
        }
    }
    Ok(line)
}

fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").map_err(Unprinted)?;
    Ok(())
}

/// Lets all that was printed reach its reader.
pub(crate) fn finish() -> Result<()> {
    Ok(io::stdout().flush().map_err(Unprinted)?)
}

/// Whether a character does something else than to be seen: the control
/// characters, line ends of Unicode's, and what turns the direction of text.
fn commands_a_terminal(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text as a terminal can be shown it; `kept` and tabs stay.
fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let stays = |char| char == '\t' || kept(char) || !commands_a_terminal(char);
    if text.chars().all(&stays) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if stays(char) {
            shown.push(char);
        } else {
            shown.extend(char.escape_debug());
        }
    }
    shown.into()
}

/// A text as what one cell of a table can hold.
pub(crate) fn cell(text: &str) -> String {
    escaped(text, |_| false).replace('\t', "\\t")
}

/// Tells the user what is going on.
pub(crate) fn note(message: &str) {
    to_stderr(message);
}

/// Shows the user a picture of block characters, dark on light whatever the
/// terminal's own colours are.
pub(crate) fn picture(rows: &[String]) {
    /// Black on white by their numbers in the colours that no theme changes.
    const DARK_ON_LIGHT: &str = "\u{1b}[38;5;16;48;5;231m";
    const AS_BEFORE: &str = "\u{1b}[0m";
    let mut stderr = io::stderr().lock();
    for row in rows {
        let row = escaped(row, |_| false);
        // Nobody is left to see it where standard error is closed.
        writeln!(stderr, "{DARK_ON_LIGHT}{row}{AS_BEFORE}").ok();
    }
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
    let words = error.chain().map(|cause| match cause.downcast_ref() {
        Some(error) => words_of(error),
        None => cause.to_string(),
    });
    words
        .reduce(|text, cause| match text.ends_with(&cause) {
            true => text,
            false => format!("{text}: {cause}"),
        })
        .unwrap_or_default()
}

/// Writes a message. The lines after its first one are indented: none of them
/// can pose as another message.
fn to_stderr(message: &str) {
    let message = escaped(message, |char| char == '\n');
    let message = message.replace('\n', "\n  ").replace("\n  \n", "\n\n");
    // Nobody is left to tell where standard error is closed.
    writeln!(io::stderr().lock(), "{message}").ok();
}

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
        to_stderr(in_bounds(&text).as_deref().unwrap_or(&text).trim_end());
        return Ok(());
    }
    Ok(answer.print().map_err(Unprinted)?)
}

/// Tells of a fault in one line, without a trace. What an image's decoder panics
/// with becomes an error about the image.
pub(crate) fn panicked(panic: &PanicHookInfo<'_>) {
    if ssdlite_image::decode::is_contained() {
        return;
    }
    let place = panic.location().map(|place| format!(" at {place}"));
    let place = place.unwrap_or_default();
    let reason = text_of_panic(panic.payload());
    to_stderr(&format!("internal error{place}: {reason}"));
}

/// Whether standard output did not take a result: no input's fault.
pub(crate) fn is_unprinted(error: &anyhow::Error) -> bool {
    error.is::<Unprinted>()
}

/// Whether the reader of standard output went away, as `head` does.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Unprinted>()
        .is_some_and(|Unprinted(error)| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || io::Error::other("no such file");
        let missing = io::Error::from_raw_os_error(2);
        let told = with_causes(&ssdlite_train::Error::io("a.toml", missing).into());
        assert_eq!(told, "a.toml: there is no such file or folder");
        let wrapped = ssdlite_train::Error::io("a.toml", cause());
        assert_eq!(with_causes(&wrapped.into()), "a.toml: no such file");
        let told = Err::<(), _>(cause()).context("can't read b").unwrap_err();
        assert_eq!(with_causes(&told), "can't read b: no such file");
    }

    /// An escape sequence, a line of its own, C1, DEL and a change of direction.
    const HOSTILE: &str = "a\u{1b}[2J\r\nb\u{9b}\u{7f}\u{202e}\u{2066}\u{2028}\t\"é";

    #[test]
    fn nothing_commands_the_terminal() {
        assert_eq!(
            escaped(HOSTILE, |_| false),
            r#"a\u{1b}[2J\r\nb\u{9b}\u{7f}\u{202e}\u{2066}\u{2028}	"é"#
        );
        let lines = escaped(HOSTILE, |char| char == '\n');
        assert_eq!(lines.lines().count(), 2);
        assert!(matches!(escaped("é 日本", |_| false), Cow::Borrowed(_)));
    }

    #[test]
    fn json_is_escaped_and_means_the_same() {
        let line = json_line(&HOSTILE).unwrap();
        assert!(!line.chars().any(commands_a_terminal), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), HOSTILE);
    }
}
