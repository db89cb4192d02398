//! The command line of ssdlite.
//!
//! Each command has a module of its own under [`commands`]: it declares its
//! options, calls the libraries and prints what they answer. Options that
//! several commands have are in [`args`], what they print and save in
//! [`output`]. Exit codes: 0 done, 1 failed, 2 wrong usage.

mod args;
mod commands;
mod console;
mod device;
mod evaluation;
mod models;
mod outcome;
mod output;
mod server;
mod signals;
mod training;
mod weights;

use std::process::ExitCode;

use clap::Parser;

use commands::Command;
use outcome::{Outcome, UsageError};

/// MobileNetV3 + SSD-lite object detection: from a folder of labelled photos
/// to a detector that runs in real time on a CPU.
#[derive(Parser)]
#[command(name = "ssdlite", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    hide_contained_panics();
    let cli = Cli::parse();
    match cli.command.run() {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) if console::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            console::failure(&error);
            if error.is::<UsageError>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// A panic that an image decoder's caller turns into an error is not printed.
fn hide_contained_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !ssdlite_image::decode::is_contained() {
            print(panic);
        }
    }));
}
