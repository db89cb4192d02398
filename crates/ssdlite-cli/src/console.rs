//! What is printed: results to standard output, everything else to standard
//! error. With `--json` standard output holds one JSON object a line and
//! nothing else.
//!
//! Results, errors, warnings and notices are always printed. `--quiet` leaves out notes,
//! pictures and progress; `--verbose` adds details. There is colour on a terminal alone,
//! and none where the environment sets `NO_COLOR`.
//!
//! Names and texts come from files of anybody's, so what would command a
//! terminal, or pose as a line of its own, is shown escaped.

mod usage;

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use anyhow::Result;
use clap::builder::styling::{AnsiColor, Style};
use indicatif::ProgressDrawTarget;
use serde::Serialize;
pub(crate) use ssdlite_files::counted;
use ssdlite_files::words_of;
use ssdlite_image::error::text_of_panic;

pub(crate) use usage::usage;

/// How much is told besides results, warnings and errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verbosity {
    /// Nothing.
    Quiet,
    /// What is done, and what to do next.
    #[default]
    Usual,
    /// Also with what, how long it took, and lists to their ends.
    Verbose,
}

/// Set once, before the command begins.
static VERBOSITY: OnceLock<Verbosity> = OnceLock::new();

/// Has this much told from here on. To be called once.
pub(crate) fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.get_or_init(|| verbosity);
}

fn verbosity() -> Verbosity {
    VERBOSITY.get().copied().unwrap_or_default()
}

/// Whether lists are told to their ends.
pub(crate) fn is_verbose() -> bool {
    verbosity() == Verbosity::Verbose
}

/// Where progress is drawn: on a terminal that is standard error, or nowhere.
pub(crate) fn progress_target() -> ProgressDrawTarget {
    match verbosity() {
        Verbosity::Quiet => ProgressDrawTarget::hidden(),
        Verbosity::Usual | Verbosity::Verbose => ProgressDrawTarget::stderr(),
    }
}

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
    if verbosity() != Verbosity::Quiet {
        to_stderr(None, message);
    }
}

/// Tells the user with what, and how long it took.
pub(crate) fn detail(message: &str) {
    if is_verbose() {
        to_stderr(None, message);
    }
}

/// Tells the user what must be known however little was asked for, and is no fault:
/// that work ends early, or that a camera is gone.
pub(crate) fn notice(message: &str) {
    to_stderr(None, message);
}

/// Shows the user a picture of block characters, dark on light whatever the
/// terminal's own colours are; nothing where there are no colours.
pub(crate) fn picture(rows: &[String]) {
    /// Black on white by their numbers in the colours that no theme changes.
    const DARK_ON_LIGHT: &str = "\u{1b}[38;5;16;48;5;231m";
    const AS_BEFORE: &str = "\u{1b}[0m";
    let has_colors = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    if verbosity() == Verbosity::Quiet || !has_colors {
        return;
    }
    let mut stderr = anstream::stderr().lock();
    for row in rows {
        let row = escaped(row, |_| false);
        // Nobody is left to see it where standard error is closed.
        writeln!(stderr, "{DARK_ON_LIGHT}{row}{AS_BEFORE}").ok();
    }
}

/// What begins a message that tells of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Warning,
    Error,
}

impl Label {
    const fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning:",
            Self::Error => "error:",
        }
    }

    const fn style(self) -> Style {
        let color = match self {
            Self::Warning => AnsiColor::Yellow,
            Self::Error => AnsiColor::Red,
        };
        color.on_default().bold()
    }
}

/// Tells the user what was not as it should be, while the work goes on.
pub(crate) fn warning(message: &str) {
    to_stderr(Some(Label::Warning), message);
}

/// Tells the user why something was not done.
pub(crate) fn error(message: &str) {
    to_stderr(Some(Label::Error), message);
}

/// Tells the user why something was not done, with all causes.
pub(crate) fn failure(error: &anyhow::Error) {
    self::error(&with_causes(error));
}

/// The messages of an error and its causes. A message that repeats its cause at
/// its end stands for both.
pub(crate) fn with_causes(error: &anyhow::Error) -> String {
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
fn to_stderr(label: Option<Label>, message: &str) {
    let mut stderr = anstream::stderr().lock();
    // Nobody is left to tell where standard error is closed.
    writeln!(stderr, "{}", message_text(label, message)).ok();
}

/// A message as it is written to a terminal with colours.
fn message_text(label: Option<Label>, message: &str) -> String {
    let message = escaped(message, |char| char == '\n');
    let message = message.replace('\n', "\n  ").replace("\n  \n", "\n\n");
    match label {
        None => message,
        Some(label) => {
            let style = label.style();
            format!("{style}{}{style:#} {message}", label.word())
        }
    }
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
    to_stderr(None, &format!("internal error{place}: {reason}"));
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
    fn a_label_is_the_only_thing_in_color() {
        let text = message_text(Some(Label::Error), "a\u{1b}[31mb\nwarning: c");
        let shown = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m a\\u{1b}[31mb\n  warning: c";
        assert_eq!(text, shown);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain, "error: a\\u{1b}[31mb\n  warning: c");
        assert_eq!(message_text(None, "a\n\nb"), "a\n\n  b");
    }

    #[test]
    fn json_is_escaped_and_means_the_same() {
        let line = json_line(&HOSTILE).unwrap();
        assert!(!line.chars().any(commands_a_terminal), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), HOSTILE);
    }
}
