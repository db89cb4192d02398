//! How a network is trained: what detectors and classifiers have in common.

use serde::{Deserialize, Serialize};
use ssdlite_core::Part;
use ssdlite_data::loader::MAX_WORKERS;
use ssdlite_infer::MOST_THREADS;

use super::{check_not_negative, check_positive, check_share, wrong};
use crate::error::Result;
use crate::step::{Decay, Schedule};

/// The most images of a step: several times what the memory of a large GPU
/// takes.
pub const MAX_BATCH: usize = 4096;

/// Which optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum, as PyTorch's `SGD`.
    Sgd,
    /// Adam with decoupled weight decay, arXiv 1711.05101, as PyTorch's
    /// `AdamW`.
    AdamW,
}

/// What a network is trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// A GPU, through Vulkan.
    Vulkan,
    /// A GPU of Apple's.
    Metal,
}

impl DeviceKind {
    /// Its name in a configuration, and that of the feature that brings it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
        }
    }
}

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Half a cosine down to 0.
    Cosine,
    /// Times `gamma` at each of the `milestones`.
    MultiStep,
}

/// Which parts of a network keep the weights they start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freeze {
    /// All parts train.
    None,
    /// MobileNetV3 does not train.
    Backbone,
    /// In a detector the extra blocks don't train either.
    AllButHeads,
}

impl Freeze {
    /// The parts that train.
    pub const fn trained(self) -> &'static [Part] {
        match self {
            Self::None => &[Part::Backbone, Part::Extra, Part::Neck, Part::Head],
            Self::Backbone => &[Part::Extra, Part::Neck, Part::Head],
            Self::AllButHeads => &[Part::Head],
        }
    }
}

/// How images get into memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LoaderOptions {
    /// Threads that decode and augment beside the training step; with 0 those of
    /// the cores that it leaves, or its own between two steps. The batches are the
    /// same whoever makes them.
    pub workers: usize,
    /// Mebibytes of decoded images that are kept from epoch to epoch.
    pub cache: u64,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        Self {
            workers: 0,
            cache: 1024,
        }
    }
}

impl LoaderOptions {
    pub(super) fn validate(&self) -> Result<()> {
        if self.workers > MAX_WORKERS {
            let expected = format!("up to {MAX_WORKERS} threads");
            return Err(wrong("loader.workers", &expected, self.workers));
        }
        Ok(())
    }
}

/// How a network is trained.
///
/// Weight decay spares biases and batch norms, as in arXiv 1812.01187, section
/// 3.1, and timm's `param_groups_weight_decay`: pulling a scale towards 0
/// regularises nothing that the next layer can't undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainingOptions {
    /// Passes over the training images. 0 takes 100, a classifier 40, or as many
    /// more as 1000 steps need.
    pub epochs: u32,
    /// Images a step. 0 takes a 24th of the training images, 8 at least and 24 at
    /// most; for a classifier a tenth, up to 32.
    pub batch: usize,
    /// The optimizer.
    pub optimizer: OptimizerKind,
    /// SGD's momentum; AdamW takes no notice of it.
    pub momentum: f64,
    /// Whether SGD looks ahead by Nesterov's rule.
    pub nesterov: bool,
    /// The learning rate at its highest. 0 takes 0.008 for a detector from scratch,
    /// 0.002 for a classifier or weights to begin with.
    pub lr: f64,
    /// The learning rate of MobileNetV3, if not `lr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_net_lr: Option<f64>,
    /// The learning rate of a detector's extra blocks, if not `lr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_layers_lr: Option<f64>,
    /// Which parts don't train.
    pub freeze: Freeze,
    /// How the learning rate falls.
    pub schedule: ScheduleKind,
    /// Share of all steps in which the learning rate rises from 0; a share, so
    /// that it suits short runs and long ones.
    pub warmup: f64,
    /// Epochs, fractions allowed, after which a multi-step schedule falls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub milestones: Vec<f64>,
    /// By what factor it falls.
    pub gamma: f64,
    /// Weight decay of the weights of convolutions and linear layers.
    pub weight_decay: f64,
    /// Greatest norm of all gradients together; 0 leaves them as they are.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights, which is what is evaluated
    /// and saved; 0 takes the weights themselves.
    pub ema: f64,
    /// Epochs without a better score after which training ends early; 0 for
    /// never. Only an evaluation can tell.
    pub patience: u32,
    /// What first weights, order, augmentation and dropout are drawn from.
    pub seed: u64,
    /// Threads of the training step; 0 takes all cores.
    pub threads: usize,
    /// Where the network is trained. To make it the session's device is left to
    /// the caller.
    pub device: DeviceKind,
}

impl Default for TrainingOptions {
    /// From scratch on some dozens to thousands of images: AdamW with a warm-up and
    /// a cosine.
    fn default() -> Self {
        Self {
            epochs: 0,
            batch: 0,
            optimizer: OptimizerKind::AdamW,
            momentum: 0.9,
            nesterov: false,
            lr: 0.0,
            base_net_lr: None,
            extra_layers_lr: None,
            freeze: Freeze::None,
            schedule: ScheduleKind::Cosine,
            warmup: 0.1,
            milestones: Vec::new(),
            gamma: 0.1,
            weight_decay: 0.01,
            clip_norm: 10.0,
            ema: 0.999,
            patience: 0,
            seed: 0,
            threads: 0,
            device: DeviceKind::Cpu,
        }
    }
}

impl TrainingOptions {
    /// The schedule of a run with this many steps an epoch.
    pub fn schedule(&self, steps_per_epoch: u64) -> Schedule {
        let steps = u64::from(self.epochs) * steps_per_epoch;
        let decay = match self.schedule {
            ScheduleKind::Cosine => Decay::Cosine,
            ScheduleKind::MultiStep => Decay::MultiStep {
                milestones: self
                    .milestones
                    .iter()
                    .map(|epoch| (epoch * steps_per_epoch as f64).round() as u64)
                    .collect(),
                gamma: self.gamma,
            },
        };
        Schedule {
            steps,
            warmup_steps: (self.warmup * steps as f64).round() as u64,
            decay,
        }
    }

    pub(super) fn validate(&self) -> Result<()> {
        if self.batch > MAX_BATCH {
            let expected = format!("up to {MAX_BATCH} images");
            return Err(wrong("training.batch", &expected, self.batch));
        }
        if self.threads > MOST_THREADS.get() {
            let expected = format!("up to {MOST_THREADS} threads");
            return Err(wrong("training.threads", &expected, self.threads));
        }
        check_not_negative("training.lr", self.lr)?;
        for (option, lr) in [
            ("training.base-net-lr", self.base_net_lr),
            ("training.extra-layers-lr", self.extra_layers_lr),
        ] {
            lr.map_or(Ok(()), |lr| check_not_negative(option, lr))?;
        }
        check_share("training.momentum", self.momentum)?;
        check_share("training.warmup", self.warmup)?;
        check_share("training.ema", self.ema)?;
        check_positive("training.gamma", self.gamma)?;
        check_not_negative("training.weight-decay", self.weight_decay)?;
        check_not_negative("training.clip-norm", self.clip_norm)?;
        self.validate_milestones()
    }

    fn validate_milestones(&self) -> Result<()> {
        if self.schedule == ScheduleKind::MultiStep && self.milestones.is_empty() {
            let expected = "`milestones` with multi-step, at least one epoch";
            return Err(wrong("training.schedule", expected, "none"));
        }
        for &milestone in &self.milestones {
            check_positive("training.milestones", milestone)?;
        }
        if self.milestones.is_sorted() {
            Ok(())
        } else {
            let found = format!("{:?}", self.milestones);
            Err(wrong("training.milestones", "ascending epochs", found))
        }
    }
}
