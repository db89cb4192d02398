//! What training makes small, and its gradient by the network's outputs.

use std::num::NonZeroUsize;

use ssdlite_core::CenterBox;
use ssdlite_core::geometry::Fractions;

use super::Losses;
use super::loss::{CrossEntropy, MultiboxLoss, MultiboxTargets};
use crate::error::{Error, Result};

/// What the outputs for a batch should have been.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a> {
    /// The class id of each image.
    Classes(&'a [i32]),
    /// What each default box of each image should say.
    Boxes {
        /// `[N, boxes]`: 0 for background, else class id + 1.
        labels: &'a [i32],
        /// `[N, boxes, 4]`: what the box coder makes of the objects.
        regressions: &'a [f32],
        /// `[boxes]`: the default boxes, in the order of the outputs.
        default_boxes: &'a [CenterBox<Fractions>],
    },
}

/// A network's loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// A classifier's.
    CrossEntropy(CrossEntropy),
    /// A detector's.
    Multibox(MultiboxLoss),
}

impl Objective {
    /// The losses of a batch of `images`, with the gradient of their sum by each
    /// output. `outputs` are those of the graph, in its order, each
    /// `[N, rows, numbers]`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for outputs and targets of another task.
    pub fn evaluate(
        &self,
        outputs: &[Vec<f32>],
        targets: Targets<'_>,
        images: NonZeroUsize,
        threads: NonZeroUsize,
    ) -> Result<(Losses, Vec<Vec<f32>>)> {
        match (self, outputs, targets) {
            (Self::CrossEntropy(loss), [logits], Targets::Classes(labels)) => {
                let output = loss.evaluate(logits, labels);
                let losses = Losses {
                    classification: output.loss,
                    regression: None,
                };
                Ok((losses, vec![output.gradient]))
            }
            (
                Self::Multibox(loss),
                [logits, boxes],
                Targets::Boxes {
                    labels,
                    regressions,
                    default_boxes,
                },
            ) => {
                let targets = MultiboxTargets {
                    labels,
                    regressions,
                    default_boxes,
                    images,
                };
                let output = loss.evaluate(logits, boxes, targets, threads);
                let losses = Losses {
                    classification: output.classification,
                    regression: Some(output.regression),
                };
                Ok((
                    losses,
                    vec![output.logit_gradient, output.regression_gradient],
                ))
            }
            _ => Err(Error::InvalidRequest(
                "expected targets for the outputs of the network, found another task's".into(),
            )),
        }
    }
}
