//! What a model *is*: MobileNetV3 and SSD-lite as tables, box types, default
//! boxes, the box coder, matching, non-maximum suppression, class names, the
//! preprocessing spec, a model file's metadata and repeatable random numbers.
//!
//! No tensors, no input or output, no `unsafe`. Training and inference are
//! both built from this crate, so that neither can disagree with the other.

pub mod box_coder;
pub mod classes;
pub mod default_boxes;
pub mod detection;
pub mod detector;
pub mod error;
pub mod geometry;
pub mod graph;
pub mod inventory;
pub mod layers;
pub mod matcher;
pub mod mobilenet;
pub mod model_info;
pub mod nms;
pub mod post_processing;
pub mod preprocessing;
pub mod random;
pub mod scores;
pub mod tiles;
pub mod unit;

pub use box_coder::BoxCoder;
pub use classes::{ClassId, ClassNames};
pub use default_boxes::{BoxSize, DefaultBoxSizes, DefaultBoxes};
pub use detection::{Detection, GroundTruth, NamedDetection};
pub use detector::{FinestMap, Head};
pub use error::{Error, Result};
pub use geometry::{CenterBox, CornerBox, FractionBox, ImageSize, PixelBox};
pub use graph::{Graph, Node, NodeId, Operation, Output, OutputKind, Part};
pub use inventory::{TensorRole, TensorSpec};
pub use mobilenet::{MobileNetV3, Variant};
pub use model_info::{DetectorSettings, ModelInfo, Task};
pub use post_processing::{PostProcessing, Suppression};
pub use preprocessing::{Fit, Preprocessing};
pub use scores::Scores;
pub use tiles::{LearntView, Tiles};
pub use unit::{Activation, MapSize};
