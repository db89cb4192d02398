//! What training makes small.

use serde::{Deserialize, Serialize};
use ssdlite_core::matcher::Assignment;
use ssdlite_core::{BoxCoder, Scores};

use super::choice::Choice;
use super::head::HeadKind;
use crate::step::loss::{ClassificationLoss, HardNegatives, MultiboxLoss, RegressionLoss};

/// How a default box's scores are compared with its object's class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassificationLossKind {
    /// Cross entropy of a softmax with the background: arXiv 1512.02325.
    Softmax,
    /// Quality focal loss of sigmoids: arXiv 2006.04388.
    QualityFocal,
}

impl ClassificationLossKind {
    /// How scores follow from the logits of a network that is trained with it.
    pub const fn scores(self) -> Scores {
        match self {
            Self::Softmax => Scores::Softmax,
            Self::QualityFocal => Scores::Sigmoid,
        }
    }
}

/// The multibox loss, and which default boxes it wants objects of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DetectorLossOptions {
    /// How objects are assigned to default boxes.
    pub assignment: Choice<Assignment>,
    /// The loss of the classes.
    pub classification_loss: Choice<ClassificationLossKind>,
    /// The loss of the boxes.
    pub regression_loss: Choice<RegressionLoss>,
    /// Background boxes that count for each matched one.
    pub negative_ratio: f64,
    /// Background boxes that count in an image without objects; 0 as in the
    /// paper, where such an image teaches nothing.
    pub empty_negatives: usize,
    /// Share of the target that is spread over all classes.
    pub label_smoothing: f32,
}

impl Default for DetectorLossOptions {
    fn default() -> Self {
        Self {
            assignment: Choice::Auto,
            classification_loss: Choice::Auto,
            regression_loss: Choice::Auto,
            negative_ratio: 3.0,
            empty_negatives: 3,
            label_smoothing: 0.0,
        }
    }
}

/// Assignment and losses that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Losses {
    pub(crate) assignment: Assignment,
    pub(crate) classification: ClassificationLossKind,
    pub(crate) regression: RegressionLoss,
}

impl Losses {
    /// What a head is trained with where nothing else is asked for.
    const fn usual(head: HeadKind) -> Self {
        match head {
            HeadKind::Ssdlite => Self {
                assignment: Assignment::Iou,
                classification: ClassificationLossKind::Softmax,
                regression: RegressionLoss::SmoothL1,
            },
            HeadKind::Fpn => Self {
                assignment: Assignment::Atss,
                classification: ClassificationLossKind::QualityFocal,
                regression: RegressionLoss::Giou,
            },
        }
    }
}

impl DetectorLossOptions {
    /// What a detector with this head is trained with.
    pub(crate) fn of(&self, head: HeadKind) -> Losses {
        let usual = Losses::usual(head);
        Losses {
            assignment: self.assignment.or(usual.assignment),
            classification: self.classification_loss.or(usual.classification),
            regression: self.regression_loss.or(usual.regression),
        }
    }

    /// Chooses what is left open for a detector with this head.
    pub(crate) fn settle(&mut self, head: HeadKind) -> Losses {
        let losses = self.of(head);
        self.assignment = Choice::Is(losses.assignment);
        self.classification_loss = Choice::Is(losses.classification);
        self.regression_loss = Choice::Is(losses.regression);
        losses
    }

    /// The loss for a head, of boxes that regressions of `coder` describe.
    pub(crate) fn multibox(&self, head: HeadKind, coder: BoxCoder) -> MultiboxLoss {
        let losses = self.of(head);
        MultiboxLoss {
            classification: match losses.classification {
                ClassificationLossKind::Softmax => ClassificationLoss::Softmax(HardNegatives {
                    negative_ratio: self.negative_ratio,
                    empty_negatives: self.empty_negatives,
                    label_smoothing: self.label_smoothing,
                }),
                ClassificationLossKind::QualityFocal => ClassificationLoss::QualityFocal,
            },
            regression: losses.regression,
            coder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DetectorConfig;

    #[test]
    fn losses_have_the_names_of_the_options() {
        let loss = |text: &str| {
            let text = format!("[data]\npath = \"photos\"\n[loss]\n{text}");
            DetectorConfig::from_toml(&text).unwrap().loss
        };
        for (name, kind, scores) in [
            ("softmax", ClassificationLossKind::Softmax, Scores::Softmax),
            (
                "quality-focal",
                ClassificationLossKind::QualityFocal,
                Scores::Sigmoid,
            ),
        ] {
            let found = loss(&format!("classification-loss = \"{name}\"")).classification_loss;
            assert_eq!(found, Choice::Is(kind));
            assert_eq!(kind.scores(), scores);
        }
        for (name, kind) in [
            ("smooth-l1", RegressionLoss::SmoothL1),
            ("giou", RegressionLoss::Giou),
        ] {
            let found = loss(&format!("regression-loss = \"{name}\""));
            let multibox = found.multibox(HeadKind::Ssdlite, BoxCoder::default());
            assert_eq!(multibox.regression, kind);
        }
        for (name, kind) in [("iou", Assignment::Iou), ("atss", Assignment::Atss)] {
            let found = loss(&format!("assignment = \"{name}\"")).assignment;
            assert_eq!(found, Choice::Is(kind));
        }
    }

    #[test]
    fn what_is_left_open_belongs_to_the_head() {
        let paper = DetectorLossOptions::default().multibox(HeadKind::Ssdlite, BoxCoder::default());
        assert_eq!(paper, MultiboxLoss::default());
        let mut options = DetectorLossOptions {
            regression_loss: Choice::Is(RegressionLoss::SmoothL1),
            ..DetectorLossOptions::default()
        };
        let losses = options.settle(HeadKind::Fpn);
        assert_eq!(losses.regression, RegressionLoss::SmoothL1);
        assert_eq!(losses.classification.scores(), Scores::Sigmoid);
        // What is chosen stays, whatever the head.
        assert_eq!(options.of(HeadKind::Ssdlite), losses);
    }
}
