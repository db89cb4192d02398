//! The command line of ssdlite.
//!
//! Each command has a module of its own under [`commands`]: it declares its
//! options, calls the libraries and prints what they answer. Options that
//! several commands have are in [`args`], what they print and save in
//! [`output`]. How much is told is decided in [`console`]. Exit codes: 0 done,
//! 1 failed, 2 wrong usage.

mod addresses;
mod args;
mod commands;
mod console;
mod device;
mod evaluation;
mod http;
mod label_studio;
mod models;
mod outcome;
mod output;
mod paths;
mod qr;
mod reload;
mod server;
mod signals;
mod training;
mod webhook;
mod weights;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::{CommandFactory, FromArgMatches, Parser};
use ssdlite_image::error::text_of_panic;

use args::verbosity::VerbosityArgs;
use commands::Command;
use outcome::{Outcome, UsageError};
use output::training_progress::duration_text;

/// What the program is called.
const PROGRAM: &str = "ssdlite";

/// MobileNetV3 + SSD-lite object detection: from a folder of labelled photos
/// to a detector that runs in real time on a CPU.
#[derive(Parser)]
#[command(name = PROGRAM, version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    verbosity: VerbosityArgs,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    panic::set_hook(Box::new(console::panicked));
    match answer().and_then(|code| console::finish().map(|()| code)) {
        Ok(code) => code,
        Err(error) if console::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console::failure(&error);
            if error.is::<UsageError>() {
                WRONG_USAGE.into()
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

const WRONG_USAGE: u8 = 2;

/// Has every option take a negative number as its value, so that the limits of
/// the option are told and not that there is no option `-1`.
fn take_negative_numbers(command: clap::Command) -> clap::Command {
    let take = |arg: clap::Arg| {
        let is_option = arg.get_long().is_some() && arg.get_action().takes_values();
        arg.allow_negative_numbers(is_option)
    };
    command
        .mut_args(take)
        .mut_subcommands(take_negative_numbers)
}

/// The whole command line.
fn command_line() -> clap::Command {
    take_negative_numbers(Cli::command())
}

/// Does what the arguments ask for.
fn answer() -> Result<ExitCode> {
    let start = Instant::now();
    let parsed = command_line().try_get_matches_from(std::env::args_os());
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(answer) => {
            console::usage(&answer)?;
            let is_wrong = answer.use_stderr();
            return Ok(if is_wrong {
                WRONG_USAGE.into()
            } else {
                ExitCode::SUCCESS
            });
        }
    };
    console::set_verbosity(cli.verbosity.verbosity()?);
    console::detail(&program_text());
    let ended = panic::catch_unwind(AssertUnwindSafe(|| cli.command.run()));
    let outcome = ended.unwrap_or_else(|panic| {
        let reason = text_of_panic(&*panic);
        Err(anyhow!("ssdlite has a fault, please report it: {reason}"))
    })?;
    console::detail(&format!("took {}", duration_text(start.elapsed())));
    Ok(match outcome {
        Outcome::Done => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::FAILURE,
    })
}

/// Which program runs where: what a report of a fault needs.
fn program_text() -> String {
    format!(
        "{PROGRAM} {} for {} {}, {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH,
        console::counted(ssdlite_infer::all_cores().get(), "core")
    )
}

#[cfg(test)]
mod tests;
