//! Evaluations and comparisons of detectors as web pages in a folder.
//!
//! Data flows one way: [`EvaluatedPage`] and [`ComparedPage`] take from an evaluation
//! what a page shows, `html` makes a page of that, and [`ReportFolder`] writes it as one
//! `index.html` with reduced images beside it, in the folder `report-images`. The page
//! needs no network, and without its script it says the same. Images lie beside it
//! because hundreds of them within it would keep a browser from showing anything until
//! all are read.
//!
//! Names come from files of anybody's: `maud` escapes whatever is put into a page, names
//! of images are never those of files here, and the page's policy lets no script run but
//! its own.
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
