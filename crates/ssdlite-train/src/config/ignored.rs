//! Keys that a configuration takes no notice of, since another key says so.
//!
//! To give such a key is most likely a mistake, but a file that holds all keys
//! holds them too: what is made of it is left to the caller.

use ssdlite_data::Format;

use super::classifier::ClassifierConfig;
use super::detector::DetectorConfig;
use super::loss::ClassificationLossKind;
use super::training::{Freeze, OptimizerKind, ScheduleKind, TrainingOptions};

/// A key without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Section and key, such as `training.momentum`.
    pub key: &'static str,
    /// The key that makes it so, if one does.
    pub by: Option<&'static str>,
    /// Why, for people.
    pub reason: &'static str,
}

const fn by(by: &'static str, key: &'static str, reason: &'static str) -> Ignored {
    let by = Some(by);
    Ignored { key, by, reason }
}

impl TrainingOptions {
    fn ignored(&self) -> Vec<Ignored> {
        let mut ignored = Vec::new();
        if self.optimizer == OptimizerKind::AdamW {
            let reason = "only the optimizer sgd takes notice of it, found adamw";
            ignored.extend(
                ["training.momentum", "training.nesterov"]
                    .map(|key| by("training.optimizer", key, reason)),
            );
        }
        if self.schedule == ScheduleKind::Cosine {
            let reason = "only the schedule multi-step takes notice of it, found cosine";
            ignored.extend(
                ["training.milestones", "training.gamma"]
                    .map(|key| by("training.schedule", key, reason)),
            );
        }
        if self.freeze != Freeze::None {
            let reason = "MobileNetV3 is frozen and doesn't learn";
            ignored.push(by("training.freeze", "training.base-net-lr", reason));
        }
        ignored
    }
}

impl DetectorConfig {
    /// The keys that have no effect beside the others.
    pub fn ignored(&self) -> Vec<Ignored> {
        let mut ignored = self.training.ignored();
        if self.training.freeze == Freeze::AllButHeads {
            let reason = "the extra blocks are frozen and don't learn";
            ignored.push(by("training.freeze", "training.extra-layers-lr", reason));
        }
        if self
            .data
            .format
            .asked()
            .is_some_and(|format| format != Format::Voc)
        {
            let reason = "only VOC's annotations take notice of it";
            ignored.push(by("data.format", "data.voc-zero-based", reason));
        }
        let reason = match self.loss.of(self.detector.kind()).classification {
            ClassificationLossKind::Softmax => None,
            ClassificationLossKind::QualityFocal => {
                Some("only the classification loss softmax takes notice of it, found quality-focal")
            }
        };
        let of_softmax = [
            "loss.negative-ratio",
            "loss.empty-negatives",
            "loss.label-smoothing",
        ];
        ignored.extend(
            reason.into_iter().flat_map(|reason| {
                of_softmax.map(|key| by("loss.classification-loss", key, reason))
            }),
        );
        ignored
    }
}

impl ClassifierConfig {
    /// The keys that have no effect beside the others.
    pub fn ignored(&self) -> Vec<Ignored> {
        let mut ignored = self.training.ignored();
        ignored.push(Ignored {
            key: "training.extra-layers-lr",
            by: None,
            reason: "a classifier has no extra blocks",
        });
        ignored
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Choice, HeadKind};

    fn keys(ignored: &[Ignored]) -> Vec<&str> {
        let mut keys: Vec<_> = ignored.iter().map(|ignored| ignored.key).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn losses_of_sigmoids_mine_and_smooth_nothing() {
        let mut config = DetectorConfig::new("photos");
        config.detector.head = Choice::Is(HeadKind::Ssdlite);
        let before = keys(&config.ignored()).len();
        config.loss.classification_loss = Choice::Is(ClassificationLossKind::QualityFocal);
        let ignored = config.ignored();
        assert_eq!(ignored.len(), before + 3);
        for key in [
            "loss.empty-negatives",
            "loss.label-smoothing",
            "loss.negative-ratio",
        ] {
            let found = ignored.iter().find(|found| found.key == key).unwrap();
            assert_eq!(found.by, Some("loss.classification-loss"));
        }
    }

    #[test]
    fn the_optimizer_the_schedule_and_frozen_parts_make_keys_idle() {
        let mut config = DetectorConfig::new("photos");
        config.detector.head = Choice::Is(HeadKind::Ssdlite);
        let adamw_and_cosine = [
            "training.gamma",
            "training.milestones",
            "training.momentum",
            "training.nesterov",
        ];
        assert_eq!(keys(&config.ignored()), adamw_and_cosine);
        config.training.optimizer = OptimizerKind::Sgd;
        config.training.schedule = ScheduleKind::MultiStep;
        assert_eq!(config.ignored(), []);
        config.training.freeze = Freeze::Backbone;
        assert_eq!(keys(&config.ignored()), ["training.base-net-lr"]);
        config.training.freeze = Freeze::AllButHeads;
        let frozen = ["training.base-net-lr", "training.extra-layers-lr"];
        assert_eq!(keys(&config.ignored()), frozen);
        let classifier = ClassifierConfig::new("photos").ignored();
        assert!(keys(&classifier).contains(&"training.extra-layers-lr"));
    }
}
