//! From what a detector's network says to boxes and scores, as
//! `ssdlite_core::post_processing` makes them.

use ssdlite_core::box_coder::MAX_LOG_GROWTH;
use ssdlite_core::{BoxCoder, DefaultBoxes, Scores};
use ssdlite_model::{Error, Result};

use super::graph::{Attribute, Element, GraphBuilder, Value};
use super::network::Outputs;

/// Coordinates of a point.
const POINT: usize = 2;

/// Of what has a row for each default box of each image.
pub(super) const LAST_AXIS: [(&str, Attribute<'_>); 1] = [("axis", Attribute::Int(2))];

/// How a detector's outputs are understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder<'a> {
    pub(super) default_boxes: &'a DefaultBoxes,
    pub(super) coder: &'a BoxCoder,
    pub(super) scores: Scores,
    /// Without the background.
    pub(super) classes: usize,
    pub(super) background: Background,
}

/// Whether the background's score stands before those of the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Background {
    LeftOut,
    First,
}

/// Boxes and scores of the default boxes, `A` of them. Boxes are clipped to the image;
/// one that lies outside has no extent and scores of 0.
#[derive(Debug)]
pub(super) struct Decoded {
    /// `[images, A, 4]`: left, top, right, bottom as fractions of the image.
    pub(super) boxes: Value,
    /// `[images, A, 2]`: left and top.
    pub(super) least: Value,
    /// `[images, A, 2]`: right and bottom.
    pub(super) greatest: Value,
    /// `[images, A, 2]`: width and height.
    pub(super) extent: Value,
    /// `[images, A, classes]`, or one more with the background.
    pub(super) scores: Value,
}

impl Decoder<'_> {
    /// Adds the nodes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a network without box regressions.
    pub(super) fn add(self, builder: &mut GraphBuilder, outputs: &Outputs) -> Result<Decoded> {
        let regressions = outputs.regressions.as_ref().ok_or_else(|| {
            Error::Unsupported("expected a network with box regressions, found none".into())
        })?;
        let boxes = self.add_boxes(builder, regressions);
        let names = ["boxes.least", "boxes.greatest"];
        let [least, greatest] = split(builder, names, &boxes, [POINT; 2]);
        let extent = builder.node("Sub", "boxes.extent", &[&greatest, &least], &[]);
        let scores = self.add_scores(builder, &outputs.logits);
        let scores = mask(builder, &extent, &scores);
        Ok(Decoded {
            boxes,
            least,
            greatest,
            extent,
            scores,
        })
    }

    /// `centre = default centre + d * (variance * default size)` and
    /// `half size = exp(min(d * variance, limit)) * (default size / 2)`.
    fn add_boxes(self, builder: &mut GraphBuilder, regressions: &Value) -> Value {
        let variance = self.coder.center_variance;
        let (mut centers, mut steps, mut half_sizes) = (Vec::new(), Vec::new(), Vec::new());
        for default in self.default_boxes.centers() {
            centers.extend([default.cx, default.cy]);
            steps.extend([default.w * variance, default.h * variance]);
            half_sizes.extend([default.w * 0.5, default.h * 0.5]);
        }
        let shape = [self.default_boxes.len(), POINT];
        let centers = builder.floats("default.centers", &shape, &centers);
        let steps = builder.floats("default.steps", &shape, &steps);
        let half_sizes = builder.floats("default.half_sizes", &shape, &half_sizes);

        let names = ["regressions.offset", "regressions.growth"];
        let [offset, growth] = split(builder, names, regressions, [POINT; 2]);
        let offset = builder.node("Mul", "center.offset", &[&offset, &steps], &[]);
        let centers = builder.node("Add", "center", &[&offset, &centers], &[]);
        let variance = builder.floats("growth.variance", &[], &[self.coder.size_variance]);
        let growth = builder.node("Mul", "growth.log", &[&growth, &variance], &[]);
        let limit = builder.floats("growth.limit", &[], &[MAX_LOG_GROWTH]);
        let growth = builder.node("Min", "growth.limited", &[&growth, &limit], &[]);
        let growth = builder.node("Exp", "growth", &[&growth], &[]);
        let half_sizes = builder.node("Mul", "half_size", &[&growth, &half_sizes], &[]);
        let least = builder.node("Sub", "corners.least", &[&centers, &half_sizes], &[]);
        let greatest = builder.node("Add", "corners.greatest", &[&centers, &half_sizes], &[]);
        let corners = builder.node("Concat", "corners", &[&least, &greatest], &LAST_AXIS);
        let [left, right] = [("image.least", 0.0), ("image.greatest", 1.0)]
            .map(|(name, edge)| builder.floats(name, &[], &[edge]));
        builder.node("Clip", "boxes", &[&corners, &left, &right], &[])
    }

    /// Scores of the classes, and of the background if it is wanted.
    fn add_scores(self, builder: &mut GraphBuilder, logits: &Value) -> Value {
        match (self.scores, self.background) {
            (Scores::Softmax, Background::First) => {
                builder.node("Softmax", "softmax", &[logits], &LAST_AXIS)
            }
            (Scores::Softmax, Background::LeftOut) => {
                let all = builder.node("Softmax", "softmax", &[logits], &LAST_AXIS);
                let names = ["softmax.background", "softmax.classes"];
                let [_, classes] = split(builder, names, &all, [1, self.classes]);
                classes
            }
            (Scores::Sigmoid, Background::LeftOut) => {
                builder.node("Sigmoid", "sigmoid", &[logits], &[])
            }
            (Scores::Sigmoid, Background::First) => {
                let classes = builder.node("Sigmoid", "sigmoid", &[logits], &[]);
                // It tells no background apart: what the best class leaves.
                let most = reduced(builder, "ReduceMax", "sigmoid.most", &classes);
                let one = builder.floats("sigmoid.one", &[], &[1.0]);
                let background = builder.node("Sub", "background", &[&one, &most], &[]);
                builder.node(
                    "Concat",
                    "with_background",
                    &[&background, &classes],
                    &LAST_AXIS,
                )
            }
        }
    }
}

/// Parts of these lengths along the last axis.
fn split<const N: usize>(
    builder: &mut GraphBuilder,
    names: [&str; N],
    value: &Value,
    lengths: [usize; N],
) -> [Value; N] {
    let parts = format!("{}.parts", names[0]);
    let parts = builder.ints(&parts, &lengths.map(|length| length as i64));
    builder.node_of("Split", names, &[value, &parts], &LAST_AXIS)
}

/// One number of each row, by `ReduceMin` or `ReduceMax`.
fn reduced(builder: &mut GraphBuilder, operator: &str, name: &str, rows: &Value) -> Value {
    let attributes = [
        ("axes", Attribute::Ints(&[2])),
        ("keepdims", Attribute::Int(1)),
    ];
    builder.node(operator, name, &[rows], &attributes)
}

/// Scores where a box has an extent, 0 where it has none.
fn mask(builder: &mut GraphBuilder, extent: &Value, scores: &Value) -> Value {
    let least = reduced(builder, "ReduceMin", "extent.least", extent);
    let inside = is_positive(builder, "inside", &least);
    builder.node("Mul", "scores", &[scores, &inside], &[])
}

/// 1 where a number is above 0, else 0.
pub(super) fn is_positive(builder: &mut GraphBuilder, name: &str, numbers: &Value) -> Value {
    let zero = builder.floats(&format!("{name}.zero"), &[], &[0.0]);
    let is_greater = format!("{name}.is");
    let is_greater = builder.node("Greater", &is_greater, &[numbers, &zero], &[]);
    let to_float = [("to", Attribute::Int(Element::F32.number()))];
    builder.node("Cast", name, &[&is_greater], &to_float)
}
