//! Where a training run goes and what it goes on from.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

/// Reads the name of a folder in another.
fn run_name() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|name: OsString| match name_fault(&name) {
        None => Ok(name),
        Some(fault) => Err(format!(
            "expected the name of a folder in that of --runs, such as `first`, found {fault}"
        )),
    })
}

/// Why a text is not the name of a folder in another, if it is not.
fn name_fault(name: &OsStr) -> Option<&'static str> {
    let text = name.to_string_lossy();
    let mut components = Path::new(name).components();
    let parts = (components.next(), components.next());
    if name.is_empty() {
        Some("none")
    } else if text.contains(char::is_control) {
        Some("a control character in it")
    } else if text.contains(['/', '\\']) {
        Some("a path")
    } else if !matches!(parts, (Some(Component::Normal(_)), None)) {
        Some("another folder's place")
    } else {
        None
    }
}

/// Where a run goes and what it goes on from.
#[derive(Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunArgs {
    /// Name of the run's folder under --runs [default: the next free number]
    #[arg(long, conflicts_with = "resume", value_parser = run_name())]
    pub(crate) name: Option<OsString>,
    /// Folder of all runs
    #[arg(
        long,
        value_name = "DIR",
        default_value = "runs",
        conflicts_with = "resume"
    )]
    pub(crate) runs: PathBuf,
    /// Go on with a run that was stopped, in its folder and with its options; with
    /// --epochs also one that is finished, to more epochs than it has done
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<PathBuf>,
    /// A TOML file with any of these options, such as a run's config.toml; options
    /// given here override it
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object an epoch, and one of how the run ended
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_folder_in_another() {
        for name in ["first", "2026-11-27 photos", "..first", "a.b", "grün"] {
            assert_eq!(name_fault(name.as_ref()), None, "{name}");
        }
        let no_names = [
            "", ".", "..", "../x", "/x", "a/b", "a/", "a\\b", "a\0b", "a\nb", "\u{7f}",
        ];
        for name in no_names {
            assert!(name_fault(name.as_ref()).is_some(), "{name:?}");
        }
    }
}
