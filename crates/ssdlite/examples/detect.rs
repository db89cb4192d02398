//! Prints the objects in images.
//!
//! ```text
//! cargo run --release -p ssdlite --example detect -- MODEL IMAGE...
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use ssdlite::image::decode::decode_file;
use ssdlite::{Detector, Limits};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((model, images)) = arguments.split_first() else {
        eprintln!("usage: detect MODEL IMAGE...");
        return ExitCode::from(2);
    };
    match detect(model, images) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn detect(model: &str, images: &[String]) -> Result<(), Box<dyn Error>> {
    let detector = Detector::load(model)?;
    for path in images {
        let image = decode_file(Path::new(path), &Limits::default())?;
        for found in detector.detect(&image)? {
            println!("{path}: {}", found.named(detector.classes()));
        }
    }
    Ok(())
}
