//! Every option of every command answers wrong values in one way.

use std::any::TypeId;
use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Arg, FromArgMatches};

use super::{Cli, command_line};
use crate::commands::Command;
use crate::outcome::UsageError;

/// The words of a command that asks for nothing but what it must have.
fn least_words(names: &[String], command: &clap::Command) -> Vec<String> {
    let mut words = names.to_vec();
    for arg in command.get_arguments() {
        let is_data = arg.get_id() == "path" && arg.is_positional();
        if !arg.is_required_set() && !is_data {
            continue;
        }
        let values = arg.get_possible_values();
        let value = values.first().map_or("absent", |value| value.get_name());
        words.extend(arg.get_long().map(|name| format!("--{name}")));
        words.push(value.to_owned());
    }
    words
}

/// Calls `each` with the least words of each command, and each of its options.
fn for_each_option(
    command: &clap::Command,
    names: &[String],
    each: &mut impl FnMut(&[String], &Arg),
) {
    for inner in command.get_subcommands() {
        let names = [names, &[inner.get_name().to_owned()]].concat();
        for_each_option(inner, &names, each);
    }
    if !command.has_subcommands() {
        let words = least_words(names, command);
        let options = command.get_arguments();
        for option in options.filter(|arg| arg.get_long().is_some()) {
            each(&words, option);
        }
    }
}

fn command() -> clap::Command {
    let mut command = command_line();
    command.build();
    command
}

/// What is said of wrong usage; nothing where the words are none.
fn refusal(words: &[String]) -> Option<String> {
    let matches = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            assert!(error.use_stderr(), "{words:?}");
            return Some(error.to_string());
        }
    };
    let cli = Cli::from_arg_matches(&matches).unwrap();
    // Whoever trains has numbers in a configuration, which is checked before the data
    // is looked for.
    let trains = matches!(&cli.command, Command::Train(_))
        || words[1] == "classifier" && words[2] == "train";
    let error = cli.command.run_if(trains)?;
    error.is::<UsageError>().then(|| error.to_string())
}

impl Command {
    /// The error of a command that is wanted.
    fn run_if(self, is_wanted: bool) -> Option<anyhow::Error> {
        is_wanted.then(|| self.run().err()).flatten()
    }
}

fn is_number(option: &Arg) -> bool {
    let kind = option.get_value_parser().type_id();
    [
        TypeId::of::<f32>(),
        TypeId::of::<f64>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<NonZeroUsize>(),
        TypeId::of::<Duration>(),
    ]
    .iter()
    .any(|number| kind == *number)
}

#[test]
fn wrong_numbers_are_wrong_usage_and_name_their_option() {
    let mut numbers = 0;
    let program = ["ssdlite".to_owned()];
    for_each_option(&command(), &program, &mut |words, option| {
        if !is_number(option) {
            return;
        }
        numbers += 1;
        let name = format!("--{}", option.get_long().unwrap());
        // Of the last two many an option takes one.
        for value in ["-1", "nan", "many", "", "-inf", "0", "1e9"] {
            let given = [words, &[format!("{name}={value}")]].concat();
            match refusal(&given) {
                Some(told) => {
                    assert!(told.contains(&name), "{given:?}: {told}");
                    assert!(!told.contains("training."), "{given:?}: {told}");
                }
                None => assert!(["0", "1e9"].contains(&value), "{given:?}"),
            }
        }
    });
    assert!(numbers > 70, "{numbers}");
}

#[test]
fn wrong_choices_are_wrong_usage_and_name_their_option() {
    let mut choices = 0;
    let program = ["ssdlite".to_owned()];
    for_each_option(&command(), &program, &mut |words, option| {
        if !option.get_action().takes_values() || option.get_possible_values().is_empty() {
            return;
        }
        choices += 1;
        let name = format!("--{}", option.get_long().unwrap());
        let given = [words, &[format!("{name}=xyzzy")]].concat();
        let told = refusal(&given).unwrap_or_default();
        assert!(told.contains(&name), "{given:?}: {told}");
    });
    assert!(choices > 20, "{choices}");
}
