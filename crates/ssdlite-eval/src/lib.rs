//! Metrics on plain detections and class scores.
//!
//! An [`Evaluation`] takes the images of a data set one by one, each with its
//! objects and what a detector found in it, and answers with VOC and COCO
//! average precision, precision-recall curves, a confusion matrix, detection
//! rates and the score threshold that suits; it sorts mistakes by kind ([`JudgedImage`])
//! and doubts labels ([`DoubtfulLabel`]). A [`Comparison`] sets two of them against each
//! other. A [`Classification`] does for class scores what an evaluation does for boxes.
//! Every report prints as an aligned table ([`std::fmt::Display`]) and
//! serialises as JSON.
//!
//! No files, no drawing, no tensors: boxes and scores come in, numbers go out.

pub mod bootstrap;
pub mod classify;
pub mod coco;
pub mod comparison;
pub mod confusion;
pub mod curve;
pub mod doubts;
pub mod error;
pub mod evaluation;
mod matching;
pub mod mistakes;
pub mod per_class;
pub mod rate;
mod table;
pub mod threshold;
pub mod voc;

pub use bootstrap::{ApDifference, Better, Bootstrap, Interval};
pub use classify::{ClassAccuracy, Classification, ClassificationReport};
pub use coco::CocoReport;
pub use comparison::{ClassComparison, Comparison, ComparisonOptions, ImageDifference, Side};
pub use confusion::{Confusion, ConfusionMatrix};
pub use curve::{PrCurve, PrPoint, mean_precision_recall};
pub use doubts::{Doubt, DoubtfulLabel};
pub use error::{Error, Result};
pub use evaluation::{Evaluation, IouThreshold};
pub use mistakes::{Hit, JudgedImage, Mistake, MistakeKind, count_mistakes};
pub use per_class::ClassAp;
pub use rate::{DetectionRates, Rates};
pub use threshold::{ScoreCurve, ScoreCurves, ScorePoint, Suggestion};
pub use voc::{VocMetric, VocReport};
