//! The options of both training commands.
//!
//! Each option is a key of `config.toml`: options that were given are laid
//! over the file of `--config`, and the libraries check the result. So an
//! option's default stands in one place, the configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::builder::BoolishValueParser;
use clap::{Arg, Args};
use serde::Serialize;

/// What a network can be trained on.
#[cfg(feature = "vulkan")]
const DEVICES: [&str; 2] = ["cpu", "vulkan"];
#[cfg(not(feature = "vulkan"))]
const DEVICES: [&str; 1] = ["cpu"];

/// Adds what makes an option a switch that can also be turned off: `--switch`,
/// `--switch=false`.
fn switch(option: Arg) -> Arg {
    option
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(BoolishValueParser::new())
        .value_name("true|false")
        .hide_possible_values(true)
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Model")]
#[expect(clippy::duplicated_attributes, reason = "they name two options")]
#[command(mut_arg("reduced_tail", switch), mut_arg("minimalistic", switch))]
struct ModelArgs {
    /// Which MobileNetV3 [default: small]
    #[arg(long, value_parser = ["small", "large"])]
    backbone: Option<String>,
    /// Factor on all channel counts [default: 1]
    #[arg(long)]
    width: Option<f32>,
    /// Half the channels from C4 on [default: false]
    #[arg(long)]
    reduced_tail: Option<bool>,
    /// No squeeze-and-excite, h-swish or 5x5 kernels [default: false]
    #[arg(long)]
    minimalistic: Option<bool>,
    /// Side of the square input in pixels [default: 300 for detectors, 224 for
    /// classifiers]
    #[arg(long, value_name = "PIXELS")]
    size: Option<u32>,
    /// First weights: `imagenet` or `coco` (fetched), a model of ours or a PyTorch
    /// file, or `none` [default: none]
    #[arg(long, value_name = "imagenet|coco|FILE|none")]
    weights: Option<String>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Training", mut_arg("nesterov", switch))]
struct TrainingArgs {
    /// Passes over the training images [default: 100 for detectors, 40 for
    /// classifiers]
    #[arg(long)]
    epochs: Option<u32>,
    /// Images a step [default: 24 for detectors, 32 for classifiers]
    #[arg(long)]
    batch: Option<usize>,
    /// Which optimizer [default: adamw]
    #[arg(long, value_parser = ["adamw", "sgd"])]
    optimizer: Option<String>,
    /// Momentum of SGD [default: 0.9]
    #[arg(long)]
    momentum: Option<f64>,
    /// Nesterov's momentum for SGD [default: false]
    #[arg(long)]
    nesterov: Option<bool>,
    /// Highest learning rate [default: 0.002]
    #[arg(long)]
    lr: Option<f64>,
    /// Learning rate of MobileNetV3 [default: that of --lr]
    #[arg(long, value_name = "LR")]
    base_net_lr: Option<f64>,
    /// Learning rate of a detector's extra blocks [default: that of --lr]
    #[arg(long, value_name = "LR")]
    extra_layers_lr: Option<f64>,
    /// Parts that keep their first weights [default: none]
    #[arg(long, value_parser = ["none", "backbone", "all-but-heads"])]
    freeze: Option<String>,
    /// How the learning rate falls [default: cosine]
    #[arg(long, value_parser = ["cosine", "multi-step"])]
    schedule: Option<String>,
    /// Share of all steps in which the learning rate rises [default: 0.1]
    #[arg(long, value_name = "SHARE")]
    warmup: Option<f64>,
    /// Epochs after which a multi-step schedule falls, with commas
    #[arg(long, value_delimiter = ',', value_name = "EPOCHS")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    milestones: Vec<f64>,
    /// By what factor it falls [default: 0.1]
    #[arg(long)]
    gamma: Option<f64>,
    /// Weight decay of convolutions and linear layers [default: 0.01]
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Greatest norm of all gradients; 0 for no clipping [default: 10]
    #[arg(long)]
    clip_norm: Option<f64>,
    /// Decay of the moving average of the weights; 0 for none [default: 0.999]
    #[arg(long, value_name = "DECAY")]
    ema: Option<f64>,
    /// Stop after so many epochs without a better score; 0 for never [default: 0]
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<u32>,
    /// What weights, order and augmentation are drawn from [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// Threads of the training step; 0 for all cores [default: 0]
    #[arg(long)]
    threads: Option<usize>,
    /// Where the network is trained [default: cpu]
    #[arg(long, value_parser = DEVICES)]
    device: Option<String>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Loading")]
struct LoaderArgs {
    /// Threads that decode and augment [default: 2]
    #[arg(long)]
    workers: Option<usize>,
    /// Mebibytes of decoded images to keep in memory [default: 1024]
    #[arg(long, value_name = "MIB")]
    cache: Option<u64>,
}

/// A detector's options.
#[derive(Args, Serialize)]
pub(crate) struct DetectorTaskArgs {
    #[command(flatten)]
    data: DetectorDataArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    loader: LoaderArgs,
    #[command(flatten)]
    augment: DetectorAugmentArgs,
    #[command(flatten)]
    loss: DetectorLossArgs,
    #[command(flatten)]
    evaluation: DetectorEvaluationArgs,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Data")]
#[expect(clippy::duplicated_attributes, reason = "they name two options")]
#[command(mut_arg("voc_zero_based", switch), mut_arg("train_difficult", switch))]
struct DetectorDataArgs {
    /// A VOC folder (Annotations, ImageSets, JPEGImages)
    #[arg(value_name = "DATA", required_unless_present_any = ["config", "resume"])]
    path: Option<PathBuf>,
    /// Read boxes as counted from 0 with exclusive right and bottom edges
    #[arg(long)]
    voc_zero_based: Option<bool>,
    /// The split to learn from [default: train]
    #[arg(long, value_name = "SPLIT")]
    train_split: Option<String>,
    /// The split that picks the best weights [default: val]
    #[arg(long, value_name = "SPLIT")]
    val_split: Option<String>,
    /// Learn objects marked difficult too [default: false]
    #[arg(long)]
    train_difficult: Option<bool>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Augmentation", mut_arg("iou_crop", switch))]
struct DetectorAugmentArgs {
    /// Probability of each photometric distortion [default: 0.5]
    #[arg(long, value_name = "PROBABILITY")]
    photometric: Option<f32>,
    /// Probability of expanding the image's frame [default: 0.5]
    #[arg(long, value_name = "PROBABILITY")]
    zoom_out: Option<f32>,
    /// Crop around objects [default: true]
    #[arg(long)]
    iou_crop: Option<bool>,
    /// Probability of swapping left and right [default: 0.5]
    #[arg(long, value_name = "PROBABILITY")]
    mirror: Option<f32>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Loss")]
struct DetectorLossArgs {
    /// Background boxes that count for each matched one [default: 3]
    #[arg(long, value_name = "RATIO")]
    negative_ratio: Option<f64>,
    /// Background boxes that count in an image without objects; 0 as in the paper
    /// [default: 3]
    #[arg(long, value_name = "BOXES")]
    empty_negatives: Option<usize>,
    /// Share of the target that is spread over all classes [default: 0]
    #[arg(long, value_name = "SHARE")]
    label_smoothing: Option<f32>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Evaluation")]
struct DetectorEvaluationArgs {
    /// Epochs from one evaluation to the next [default: 1]
    #[arg(long, value_name = "EPOCHS")]
    every: Option<u32>,
    /// Least score of a detection that counts [default: 0.01]
    #[arg(long)]
    score: Option<f32>,
    /// IoU above which the worse of two boxes of a class goes [default: 0.45]
    #[arg(long, value_name = "IOU")]
    nms: Option<f32>,
    /// Most boxes a class that compete [default: 300]
    #[arg(long)]
    candidates: Option<usize>,
    /// Most detections an image [default: 300]
    #[arg(long)]
    max_detections: Option<usize>,
}

/// A classifier's options.
#[derive(Args, Serialize)]
pub(crate) struct ClassifierTaskArgs {
    #[command(flatten)]
    data: ClassifierDataArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    loader: LoaderArgs,
    #[command(flatten)]
    augment: ClassifierAugmentArgs,
    #[command(flatten)]
    loss: ClassifierLossArgs,
    #[command(flatten)]
    evaluation: ClassifierEvaluationArgs,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Data")]
struct ClassifierDataArgs {
    /// A folder of images in class folders, under train, val and test, or alone
    /// and then divided at random
    #[arg(value_name = "DATA", required_unless_present_any = ["config", "resume"])]
    path: Option<PathBuf>,
    /// The part of all images that is trainval where DATA is divided at random; the
    /// rest is test [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    trainval: Option<f64>,
    /// The part of trainval that is train; the rest is val [default: 0.9]
    #[arg(long, value_name = "SHARE")]
    train: Option<f64>,
    /// Another seed gives another division [default: 0]
    #[arg(long, value_name = "SEED")]
    split_seed: Option<u64>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Augmentation")]
struct ClassifierAugmentArgs {
    /// Border before the random crop, in shares of the input's side
    /// [default: 1/14]
    #[arg(long, value_name = "SHARE")]
    padding: Option<f32>,
    /// Probability of swapping left and right [default: 0.5]
    #[arg(long, value_name = "PROBABILITY")]
    mirror: Option<f32>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Loss")]
struct ClassifierLossArgs {
    /// Share of the target that is spread over all classes [default: 0]
    #[arg(long, value_name = "SHARE")]
    label_smoothing: Option<f32>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Evaluation")]
struct ClassifierEvaluationArgs {
    /// Epochs from one evaluation to the next [default: 1]
    #[arg(long, value_name = "EPOCHS")]
    every: Option<u32>,
}

/// Where a run goes and what it goes on from.
#[derive(Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunArgs {
    /// Name of the run's folder under --runs [default: the next free number]
    #[arg(long, conflicts_with = "resume")]
    pub(crate) name: Option<String>,
    /// Folder of all runs
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) runs: PathBuf,
    /// Go on with a run that was stopped, in its folder and with its options
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<PathBuf>,
    /// A TOML file with any of these options, such as a run's config.toml; options
    /// given here override it
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON object an epoch
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whether any option was given.
pub(crate) fn any_given(options: &impl Serialize) -> Result<bool> {
    let sections = toml_table(options)?;
    let is_empty = |section: &toml::Value| section.as_table().is_some_and(toml::Table::is_empty);
    Ok(!sections.values().all(is_empty))
}

fn toml_table(options: &impl Serialize) -> Result<toml::Table> {
    toml::Table::try_from(options).context("the options can't be written as TOML")
}

/// The text of a configuration: the file, if there is one, with the options
/// that were given laid over it.
pub(crate) fn config_text(file: Option<&Path>, options: &impl Serialize) -> Result<String> {
    let mut table = match file {
        Some(path) => table_from_file(path)?,
        None => toml::Table::new(),
    };
    for (section, options) in toml_table(options)? {
        let slot = table
            .entry(section)
            .or_insert_with(|| toml::Table::new().into());
        match (slot, options) {
            (toml::Value::Table(slot), toml::Value::Table(options)) => slot.extend(options),
            (slot, options) => *slot = options,
        }
    }
    take_reduced_tail_of_coco(&mut table);
    toml::to_string(&table).context("the options can't be written as TOML")
}

/// torchvision's weights trained on COCO have the reduced tail, so that is what
/// they are for unless it was said otherwise.
fn take_reduced_tail_of_coco(table: &mut toml::Table) {
    let Some(toml::Value::Table(model)) = table.get_mut("model") else {
        return;
    };
    if model.get("weights").and_then(toml::Value::as_str) == Some("coco") {
        model.entry("reduced-tail").or_insert(true.into());
    }
}

fn table_from_file(path: &Path) -> Result<toml::Table> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("can't read the configuration {}", path.display()))?;
    text.parse()
        .with_context(|| format!("{} is no TOML file", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Options {
        training: Training,
    }

    #[derive(Serialize)]
    struct Training {
        lr: Option<f64>,
        epochs: Option<u32>,
    }

    #[test]
    fn options_override_the_file_key_by_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(
            &path,
            "[model]\nsize = 96\n[training]\nlr = 0.5\nepochs = 7\n",
        )
        .unwrap();
        let options = Options {
            training: Training {
                lr: Some(0.25),
                epochs: None,
            },
        };
        let merged: toml::Table = config_text(Some(&path), &options).unwrap().parse().unwrap();
        assert_eq!(merged["training"]["lr"].as_float(), Some(0.25));
        assert_eq!(merged["training"]["epochs"].as_integer(), Some(7));
        assert_eq!(merged["model"]["size"].as_integer(), Some(96));
    }

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        options: DetectorTaskArgs,
    }

    #[test]
    fn a_switch_takes_no_word_after_it() {
        let parse = |args: &[&str]| {
            let words = ["train"].iter().chain(args);
            <Command as clap::Parser>::try_parse_from(words).map(|command| command.options)
        };
        let options = parse(&["--reduced-tail", "photos", "--iou-crop=false"]).unwrap();
        assert_eq!(options.data.path, Some("photos".into()));
        assert_eq!(options.model.reduced_tail, Some(true));
        assert_eq!(options.augment.iou_crop, Some(false));
        assert_eq!(options.model.minimalistic, None);
        assert!(parse(&["photos", "--nesterov=perhaps"]).is_err());
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.toml");
        std::fs::write(&path, "lr = = 1").unwrap();
        let options = toml::Table::new();
        let error = config_text(Some(&path), &options).unwrap_err();
        assert!(format!("{error:#}").contains("broken.toml"), "{error:#}");
    }
}
