//! Evaluations and comparisons of detectors as web pages in a folder.
//!
//! Data flows one way: [`EvaluatedPage`] and [`ComparedPage`] take from an evaluation
//! what a page shows, `html` makes a page of that, and [`ReportFolder`] writes it as one
//! `index.html` that holds all it shows. The page needs no network and no other file, and
//! without its script it says the same. Its reduced images stand at its end, each once,
//! and are drawn wherever they are referred to: what is read stands before them.
//!
//! Names come from files of anybody's: `maud` escapes whatever is put into a page, and the
//! page's policy lets nothing be loaded and no script run but its own.
//!
//! No model is run here, and nothing is measured.

mod compared;
mod error;
mod evaluated;
mod folder;
mod html;
mod pictures;
mod shown;

pub use compared::{ComparedPage, ComparedSide};
pub use error::{Error, Result};
pub use evaluated::EvaluatedPage;
pub use folder::ReportFolder;
pub use shown::{MOST_PICTURES, ShownData, ShownImage, ShownModel};
