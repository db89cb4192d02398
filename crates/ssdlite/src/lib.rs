//! Detect objects in images, and classify images, on the CPU.
//!
//! A model is one file, made by `ssdlite train` or `ssdlite import`. Loading
//! checks it and prepares it for the machine's instruction set; after that a
//! [`Detector`] or a [`Classifier`] may be shared by any number of threads.
//!
//! ```no_run
//! use ssdlite::{Detector, Limits, decode_file};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let detector = Detector::load("blood_cells.safetensors")?;
//! let image = decode_file("smear.jpg".as_ref(), &Limits::default())?;
//! for found in detector.detect(&image)? {
//!     // Such as `cat 0.91 at 12.5, 80.1, 96.0, 171.4`.
//!     println!("{}", found.named(detector.classes()));
//!     let (width, height) = (found.bbox.width(), found.bbox.height());
//!     assert!(found.score <= 1.0 && width > 0.0 && height > 0.0);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A large photo need not be decoded whole for one small input; the boxes are the whole
//! photo's:
//!
//! ```no_run
//! use ssdlite::{Detector, Limits, decode_file_at_least};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let detector = Detector::load("blood_cells.safetensors")?;
//! let limits = Limits::default();
//! let photo = decode_file_at_least("photo.jpg".as_ref(), &limits, detector.enough())?;
//! let found = detector.detect(&photo)?;
//! # Ok(())
//! # }
//! ```
//!
//! The first image waits for its working memory, which a program that answers others
//! can take while it loads:
//!
//! ```no_run
//! use ssdlite::{Detector, DetectorOptions, RunOptions};
//!
//! let options = DetectorOptions {
//!     run: RunOptions {
//!         warm_up: true,
//!         ..RunOptions::default()
//!     },
//!     ..DetectorOptions::default()
//! };
//! let detector = Detector::load_with("blood_cells.safetensors", &options)?;
//! # Ok::<(), ssdlite::Error>(())
//! ```
//!
//! Pixels from elsewhere, such as a camera, become an [`RgbImage`] without a
//! file:
//!
//! ```
//! use ssdlite::{ImageSize, RgbImage};
//!
//! let size = ImageSize::new(4, 2);
//! let image = RgbImage::new(size, vec![128; 4 * 2 * 3])?;
//! assert_eq!(image.size(), size);
//! # Ok::<(), ssdlite::image::Error>(())
//! ```
//!
//! An [`RgbView`] is one whose bytes stay where they are.
//!
//! This crate re-exports what the project promises to keep stable: running
//! models ([`Detector`], [`Classifier`]) and, with the feature `eval`, judging
//! what they find. Training is the command line's.

pub use ssdlite_core::{
    ClassId, ClassNames, Detection, GroundTruth, ImageSize, ModelInfo, NamedDetection, PixelBox,
    PostProcessing, Suppression, Tiles,
};
#[cfg(feature = "eval")]
pub use ssdlite_eval as eval;
pub use ssdlite_image as image;
pub use ssdlite_image::decode::{decode_file, decode_file_at_least};
pub use ssdlite_image::{AsRgb, Decoded, Limits, RgbImage, RgbView};
pub use ssdlite_infer::{
    ClassScore, Classifier, Detector, DetectorOptions, DetectorOutputs, Error, Isa, MOST_THREADS,
    ModelFile, Result, RunOptions,
};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
