//! Prints the likeliest classes of images.
//!
//! ```text
//! cargo run --release -p ssdlite --example classify -- MODEL IMAGE...
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use ssdlite::image::decode::decode_file;
use ssdlite::{Classifier, Limits};

/// Classes printed for each image.
const MOST: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((model, images)) = arguments.split_first() else {
        eprintln!("usage: classify MODEL IMAGE...");
        return ExitCode::from(2);
    };
    match classify(model, images) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn classify(model: &str, images: &[String]) -> Result<(), Box<dyn Error>> {
    let classifier = Classifier::load(model)?;
    for path in images {
        let image = decode_file(Path::new(path), &Limits::default())?;
        for top in classifier.top(&image, MOST)? {
            let name = classifier.classes().get(top.class).unwrap_or("?");
            println!("{path}: {name} {:.3}", top.score);
        }
    }
    Ok(())
}
