//! `completions`: scripts that complete commands and options in a shell.

use anyhow::{Context, Result};
use clap::Args;
use clap_complete::Shell;

use crate::console;
use crate::outcome::Outcome;
use crate::{PROGRAM, command_line};

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that reads the script, such as by
    /// `source <(ssdlite completions bash)`
    shell: Shell,
}

impl CompletionsArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        console::table(script(self.shell)?.trim_end())?;
        Ok(Outcome::Done)
    }
}

fn script(shell: Shell) -> Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command_line(), PROGRAM, &mut script);
    String::from_utf8(script).context("a script for a shell is not UTF-8")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_scripts_of_all_shells_know_commands_options_and_values() {
        for &shell in Shell::value_variants() {
            let script = script(shell).unwrap();
            for word in ["classifier", "max-detections", "verbose"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
            let knows_values = matches!(shell, Shell::Bash | Shell::Fish | Shell::Zsh);
            assert!(!knows_values || script.contains("trainval"), "{shell}");
            // What is printed is what was made.
            let is_plain = |char: char| char == '\n' || char == '\t' || !char.is_control();
            assert!(script.chars().all(is_plain), "{shell}");
        }
    }
}
