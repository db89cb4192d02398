//! The form of a data folder's labels, as the value of an option.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use ssdlite_data::{DetectionFolder, Format};
use ssdlite_train::config::Choice;

use crate::console;
use crate::outcome::UsageError;

/// How what is left to the files is written.
pub(crate) const AUTO: &str = "auto";

/// Reads the name of a format, or `auto`; another is answered with those that there are.
pub(crate) fn format() -> impl TypedValueParser<Value = Choice<Format>> {
    let names = [AUTO].into_iter().chain(Format::ALL.map(Format::name));
    PossibleValuesParser::new(names).try_map(|name| match name.as_str() {
        AUTO => Ok(Choice::Auto),
        name => name.parse().map(Choice::Is),
    })
}

/// The form of the labels of images with boxes.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct FormatArgs {
    /// Form of the labels of boxes; `auto` by the files
    #[arg(long, value_parser = format(), default_value = AUTO)]
    format: Choice<Format>,
    /// Read boxes of VOC's annotations as counted from 0 with exclusive right and bottom
    /// edges
    #[arg(long)]
    pub(crate) voc_zero_based: bool,
}

impl FormatArgs {
    /// The format that was asked for.
    pub(crate) fn asked(self) -> Option<Format> {
        self.format.asked()
    }

    /// [`tell_format`], unless an option was given that has no effect on it.
    pub(crate) fn tell(self, folder: &DetectionFolder) -> anyhow::Result<()> {
        let (path, format) = (folder.root().display(), folder.format());
        if self.voc_zero_based && format != Format::Voc {
            let fault = format!(
                "--voc-zero-based: this would have no effect: only VOC's annotations take notice \
                 of it, {path} has labels of {format}"
            );
            return Err(UsageError(fault).into());
        }
        tell_format(folder);
        Ok(())
    }
}

/// Tells which form of labels a folder was read as, and why.
pub(crate) fn tell_format(folder: &DetectionFolder) {
    let (path, format, reason) = (folder.root().display(), folder.format(), folder.reason());
    console::note(&format!("{path}: labels of {format}: {reason}"));
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: FormatArgs,
    }

    #[test]
    fn formats_are_asked_for_by_name() {
        let asked = |args: &[&str]| {
            let words = ["x"].iter().chain(args);
            Command::try_parse_from(words)
                .ok()
                .map(|command| command.args.asked())
        };
        assert_eq!(asked(&[]), Some(None));
        assert_eq!(asked(&["--format", "auto"]), Some(None));
        assert_eq!(asked(&["--format", "coco"]), Some(Some(Format::Coco)));
        assert_eq!(asked(&["--format", "xml"]), None);
    }
}
