//! Prints the likeliest classes of pictures.
//!
//! ```text
//! cargo run --release -p ssdlite --example classify -- MODEL PICTURE...
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use ssdlite::image::decode::decode_file;
use ssdlite::{Classifier, Limits};

/// Classes printed for each picture.
const MOST: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((model, pictures)) = arguments.split_first() else {
        eprintln!("usage: classify MODEL PICTURE...");
        return ExitCode::from(2);
    };
    match classify(model, pictures) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn classify(model: &str, pictures: &[String]) -> Result<(), Box<dyn Error>> {
    let classifier = Classifier::load(model)?;
    for path in pictures {
        let picture = decode_file(Path::new(path), &Limits::default())?;
        for top in classifier.top(&picture, MOST)? {
            let name = classifier.classes().get(top.class).unwrap_or("?");
            println!("{path}: {name} {:.3}", top.score);
        }
    }
    Ok(())
}
