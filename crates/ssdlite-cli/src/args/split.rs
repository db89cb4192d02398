//! The names of splits as values of options.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use ssdlite_data::split::Split;

/// Reads the name of a split; another is answered with those that there are. What
/// folders of splits are called elsewhere is understood too.
pub(crate) fn split() -> impl TypedValueParser<Value = Split> {
    let names = Split::ALL.map(|split| {
        let name = PossibleValue::new(split.name());
        match split {
            Split::Train => name.alias("training"),
            Split::Val => name.aliases(["valid", "validation", "dev"]),
            Split::TrainVal => name.aliases(["train_val", "trainvalid"]),
            Split::Test => name.alias("testing"),
        }
    });
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Roboflow's folders are called `valid`.
    #[test]
    fn names_of_folders_are_understood() {
        let read = |name: &str| {
            let option = clap::Arg::new("split").long("split").value_parser(split());
            let command = clap::Command::new("x").arg(option);
            let found = command.try_get_matches_from(["x", "--split", name]).ok()?;
            found.get_one::<Split>("split").copied()
        };
        assert_eq!(read("val"), Some(Split::Val));
        assert_eq!(read("valid"), Some(Split::Val));
        assert_eq!(read("training"), Some(Split::Train));
        assert_eq!(read("vals"), None);
    }
}
