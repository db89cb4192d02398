//! Detects in a loop on several threads with one detector, and fails if a
//! result differs from the first one or memory grows.
//!
//! ```text
//! cargo run --release -p ssdlite-infer --example soak -- \
//!     [detections=100000] [callers=2] [threads=2] [side=320]
//! ```
//!
//! Memory is read from `/proc` and so only on Linux; elsewhere results alone
//! are compared.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod run;

use std::process::ExitCode;

use run::Soak;

fn main() -> ExitCode {
    let mut soak = Soak::default();
    for argument in std::env::args().skip(1) {
        let known = argument.split_once('=').and_then(|(name, number)| {
            let number = number.parse().ok()?;
            match name {
                "detections" => soak.detections = number,
                "callers" => soak.callers = number,
                "threads" => soak.threads = number,
                "side" => soak.side = u32::try_from(number).ok()?,
                _ => return None,
            }
            Some(())
        });
        if known.is_none() {
            eprintln!("expected detections=, callers=, threads= or side=, found {argument}");
            return ExitCode::from(2);
        }
    }
    let report = |done: usize, bytes: Option<u64>| {
        let megabytes = bytes.map_or("unknown".into(), |bytes| {
            format!("{:.1} MB", bytes as f64 / 1e6)
        });
        println!("{done} detections, resident memory {megabytes}");
    };
    match soak.run(report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
