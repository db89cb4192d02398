//! MobileNetV3 and SSD-lite as Burn modules, their tensors by torchvision's
//! names.
//!
//! The networks are built from the tables of `ssdlite-core`: a layer is listed
//! there and nowhere else. Losses, optimizers and training runs are not here.

pub mod buffer;
pub mod error;
pub mod mobilenet;
pub mod network;
pub mod ops;
pub mod parameters;
pub mod ssdlite;
pub mod unit;

pub use error::{Error, Result};
pub use mobilenet::Classifier;
pub use network::Network;
pub use parameters::Inventory;
pub use ssdlite::{Detector, DetectorOutput, Frozen};
