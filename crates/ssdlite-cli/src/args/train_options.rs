//! The options of both training commands.
//!
//! Each option is a key of `config.toml`. Its default stands in the
//! configuration alone, from where [`show_defaults`] puts it into the help.

use std::ffi::OsString;

use clap::builder::{BoolishValueParser, OsStringValueParser, TypedValueParser};
use clap::{Arg, Args};
use serde::Serialize;
use ssdlite_core::FinestMap;
use ssdlite_core::Tiles;
use ssdlite_core::post_processing::MOST_BOXES;
use ssdlite_core::preprocessing::{MAX_INPUT_SIDE, MIN_INPUT_SIDE};
use ssdlite_data::Format;
use ssdlite_data::loader::MAX_WORKERS;
use ssdlite_data::split::Split;
use ssdlite_infer::MOST_THREADS;
use ssdlite_train::config::{Choice, MAX_BATCH};
use ssdlite_train::{ClassifierConfig, DetectorConfig};

use super::config::show_defaults;
use super::format::format;
use super::network::{BackboneArg, DeviceArg};
use super::number::{probability, whole};
use super::split::split;

/// The largest whole number that TOML, and so `config.toml`, keeps.
const MOST_KEPT: u64 = i64::MAX as u64;

/// Reads a path or a text that `config.toml` keeps, in UTF-8 as it is.
fn kept_text() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().try_map(|text: OsString| {
        text.into_string()
            .map_err(|_| "expected UTF-8, in which the run's config.toml keeps it")
    })
}

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
    /// Which MobileNetV3
    #[arg(long)]
    backbone: Option<BackboneArg>,
    /// Factor on all channel counts
    #[arg(long)]
    width: Option<f32>,
    /// Half the channels from C4 on
    #[arg(long)]
    reduced_tail: Option<bool>,
    /// No squeeze-and-excite, h-swish or 5x5 kernels
    #[arg(long)]
    minimalistic: Option<bool>,
    /// Side of the square input in pixels
    #[arg(long, value_name = "PIXELS", value_parser = whole(MIN_INPUT_SIDE..=MAX_INPUT_SIDE))]
    size: Option<u32>,
    /// First weights: `imagenet` or `coco` (fetched), a model of ours or a PyTorch
    /// file, or `none`
    #[arg(
        long,
        value_name = "imagenet|coco|FILE|none",
        value_parser = kept_text()
    )]
    weights: Option<String>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Detector")]
struct DetectorHeadArgs {
    /// The paper's SSD-lite, or a feature pyramid with one head for all maps; `auto` for
    /// a pyramid, or the head of a detector that --weights names
    #[arg(long, value_parser = ["auto", "ssdlite", "fpn"])]
    head: Option<String>,
    /// Stride of the finest map in pixels; 8 finds smaller objects; `auto` by the sizes of
    /// those in DATA
    #[arg(long, value_name = "auto|8|16", value_parser = finest)]
    finest: Option<Choice<FinestMap>>,
    /// Default boxes: `fit` for some like the objects in DATA, `paper` for SSD's, or those
    /// of a file: a list of sizes, a run's config.toml or a model; `auto` for `fit`, or
    /// those of a detector that --weights names
    #[arg(long, value_name = "auto|fit|paper|FILE", value_parser = kept_text())]
    boxes: Option<String>,
}

/// Reads the stride of the finest map.
fn finest(text: &str) -> Result<Choice<FinestMap>, String> {
    if text == "auto" {
        return Ok(Choice::Auto);
    }
    let stride = text.parse::<u32>().ok();
    let finest = stride.and_then(|stride| FinestMap::try_from(stride).ok());
    finest
        .map(Choice::Is)
        .ok_or_else(|| "expected 8, 16 or auto".into())
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Training", mut_arg("nesterov", switch))]
struct TrainingArgs {
    /// Passes over the training images; 0 for 100 (a classifier: 40), or as many more
    /// as 1000 steps need
    #[arg(long)]
    epochs: Option<u32>,
    /// Images a step; 0 for a 24th of the training images, 8 at least and 24 at most
    /// (a classifier: a tenth, up to 32)
    #[arg(long, value_parser = whole(0..=MAX_BATCH))]
    batch: Option<usize>,
    /// Which optimizer
    #[arg(long, value_parser = ["adamw", "sgd"])]
    optimizer: Option<String>,
    /// Momentum of SGD
    #[arg(long)]
    momentum: Option<f64>,
    /// Nesterov's momentum for SGD
    #[arg(long)]
    nesterov: Option<bool>,
    /// Highest learning rate; 0 for 0.008, for 0.002 with --weights (or a classifier)
    #[arg(long)]
    lr: Option<f64>,
    /// Learning rate of MobileNetV3, if not that of --lr
    #[arg(long, value_name = "LR")]
    base_net_lr: Option<f64>,
    /// Learning rate of a detector's extra blocks, if not that of --lr
    #[arg(long, value_name = "LR")]
    extra_layers_lr: Option<f64>,
    /// Parts that keep their first weights
    #[arg(long, value_parser = ["none", "backbone", "all-but-heads"])]
    freeze: Option<String>,
    /// How the learning rate falls
    #[arg(long, value_parser = ["cosine", "multi-step"])]
    schedule: Option<String>,
    /// Share of all steps in which the learning rate rises
    #[arg(long, value_name = "SHARE")]
    warmup: Option<f64>,
    /// Epochs after which a multi-step schedule falls, with commas
    #[arg(long, value_delimiter = ',', value_name = "EPOCHS")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    milestones: Vec<f64>,
    /// By what factor it falls
    #[arg(long)]
    gamma: Option<f64>,
    /// Weight decay of convolutions and linear layers
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Greatest norm of all gradients; 0 for no clipping
    #[arg(long)]
    clip_norm: Option<f64>,
    /// Decay of the moving average of the weights; 0 for none
    #[arg(long, value_name = "DECAY")]
    ema: Option<f64>,
    /// Stop after so many epochs without a better score; 0 for never
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<u32>,
    /// What weights, order and augmentation are drawn from
    #[arg(long, value_parser = whole(0..=MOST_KEPT))]
    seed: Option<u64>,
    /// Threads of the training step; 0 for all cores
    #[arg(long, value_parser = whole(0..=MOST_THREADS.get()))]
    threads: Option<usize>,
    /// Where the network is trained
    #[arg(long)]
    device: Option<DeviceArg>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Loading")]
struct LoaderArgs {
    /// Threads that decode and augment beside the training step; 0 for one on each core that it
    /// leaves, or for its own between two steps
    #[arg(long, value_parser = whole(0..=MAX_WORKERS))]
    workers: Option<usize>,
    /// Mebibytes of decoded images to keep in memory
    #[arg(long, value_name = "MIB", value_parser = whole(0..=MOST_KEPT))]
    cache: Option<u64>,
}

/// A detector's options.
#[derive(Args, Serialize)]
#[command(mut_args(show_defaults(&DetectorConfig::new("DATA"))))]
pub(crate) struct DetectorTaskArgs {
    #[command(flatten)]
    data: DetectorDataArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    detector: DetectorHeadArgs,
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

impl DetectorTaskArgs {
    /// The epochs that were asked for.
    pub(crate) fn epochs(&self) -> Option<u32> {
        self.training.epochs
    }
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Data")]
#[expect(clippy::duplicated_attributes, reason = "they name two options")]
#[command(mut_arg("voc_zero_based", switch), mut_arg("train_difficult", switch))]
struct DetectorDataArgs {
    /// A folder of images with boxes, as VOC, YOLO, COCO or labelme have it
    #[arg(
        value_name = "DATA",
        value_parser = kept_text(),
        required_unless_present_any = ["config", "resume"]
    )]
    path: Option<String>,
    /// Form of the labels; `auto` by the files in DATA
    #[arg(long, value_parser = format())]
    format: Option<Choice<Format>>,
    /// Read boxes of VOC's annotations as counted from 0 with exclusive right and bottom
    /// edges
    #[arg(long)]
    voc_zero_based: Option<bool>,
    /// The split to learn from
    #[arg(long, value_parser = split())]
    train_split: Option<Split>,
    /// The split that picks the best weights
    #[arg(long, value_parser = split())]
    val_split: Option<Split>,
    /// The folder of ImageSets whose lists tell the splits, such as fold1
    #[arg(long, value_name = "NAME")]
    lists: Option<String>,
    /// Learn objects marked difficult too
    #[arg(long)]
    train_difficult: Option<bool>,
    /// Also learn from tiles of large images, in which small objects are larger, and
    /// look at them afterwards: `auto` where the whole shows objects too small, or N
    /// tiles along the longer side, 2 to 16
    #[arg(long, value_name = "auto|off|N")]
    tiles: Option<Tiles>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Augmentation", mut_arg("iou_crop", switch))]
struct DetectorAugmentArgs {
    /// Probability of each photometric distortion
    #[arg(long, value_name = "PROBABILITY")]
    photometric: Option<f32>,
    /// Probability of expanding the image's frame
    #[arg(long, value_name = "PROBABILITY")]
    zoom_out: Option<f32>,
    /// Crop around objects
    #[arg(long)]
    iou_crop: Option<bool>,
    /// Probability of swapping left and right
    #[arg(long, value_name = "PROBABILITY")]
    mirror: Option<f32>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Loss")]
struct DetectorLossArgs {
    /// How objects are assigned to default boxes; `auto` for iou with the head ssdlite, atss
    /// with fpn
    #[arg(long, value_name = "RULE", value_parser = ["auto", "iou", "atss"])]
    assignment: Option<String>,
    /// The loss of the classes; quality-focal has no background; `auto` for softmax with the
    /// head ssdlite, quality-focal with fpn
    #[arg(long, value_name = "LOSS", value_parser = ["auto", "softmax", "quality-focal"])]
    classification_loss: Option<String>,
    /// The loss of the boxes; `auto` for smooth-l1 with the head ssdlite, giou with fpn
    #[arg(long, value_name = "LOSS", value_parser = ["auto", "smooth-l1", "giou"])]
    regression_loss: Option<String>,
    /// Background boxes that count for each matched one
    #[arg(long, value_name = "RATIO")]
    negative_ratio: Option<f64>,
    /// Background boxes that count in an image without objects; 0 as in the paper
    #[arg(long, value_name = "BOXES", value_parser = whole(0..=MOST_KEPT as usize))]
    empty_negatives: Option<usize>,
    /// Share of the target that is spread over all classes
    #[arg(long, value_name = "SHARE")]
    label_smoothing: Option<f32>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Evaluation")]
struct DetectorEvaluationArgs {
    /// Epochs from one evaluation to the next; 0 for at least 25 steps between
    #[arg(long, value_name = "EPOCHS")]
    every: Option<u32>,
    /// Least score of a detection that counts
    #[arg(long, visible_alias = "conf", value_parser = probability)]
    score: Option<f32>,
    /// IoU above which the worse of two boxes of a class goes
    #[arg(long, value_name = "IOU", value_parser = probability)]
    nms: Option<f32>,
    /// Most boxes a class that compete
    #[arg(long, value_parser = whole(1..=MOST_BOXES))]
    candidates: Option<usize>,
    /// Most detections an image
    #[arg(long, value_parser = whole(1..=MOST_BOXES))]
    max_detections: Option<usize>,
}

/// A classifier's options.
#[derive(Args, Serialize)]
#[command(mut_args(show_defaults(&ClassifierConfig::new("DATA"))))]
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

impl ClassifierTaskArgs {
    /// The epochs that were asked for.
    pub(crate) fn epochs(&self) -> Option<u32> {
        self.training.epochs
    }
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Data")]
struct ClassifierDataArgs {
    /// A folder of images in class folders, under train, val and test, or alone
    /// and then divided at random
    #[arg(
        value_name = "DATA",
        value_parser = kept_text(),
        required_unless_present_any = ["config", "resume"]
    )]
    path: Option<String>,
    /// The part of all images that is trainval where DATA is divided at random; the
    /// rest is test
    #[arg(long, value_name = "SHARE")]
    trainval: Option<f64>,
    /// The part of trainval that is train; the rest is val
    #[arg(long, value_name = "SHARE")]
    train: Option<f64>,
    /// Another seed gives another division
    #[arg(long, value_name = "SEED", value_parser = whole(0..=MOST_KEPT))]
    split_seed: Option<u64>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Augmentation")]
struct ClassifierAugmentArgs {
    /// Border before the random crop, in shares of the input's side
    #[arg(long, value_name = "SHARE")]
    padding: Option<f32>,
    /// Probability of swapping left and right
    #[arg(long, value_name = "PROBABILITY")]
    mirror: Option<f32>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Loss")]
struct ClassifierLossArgs {
    /// Share of the target that is spread over all classes
    #[arg(long, value_name = "SHARE")]
    label_smoothing: Option<f32>,
}

#[derive(Args, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Evaluation")]
struct ClassifierEvaluationArgs {
    /// Epochs from one evaluation to the next; 0 for at least 25 steps between
    #[arg(long, value_name = "EPOCHS")]
    every: Option<u32>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::config::config_text;
    use super::*;

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

    /// The configuration of the options when each is given the default that its
    /// help shows, and the options whose help shows none.
    fn config_from_help<O: Args + Serialize, C: serde::de::DeserializeOwned>()
    -> (String, Vec<String>) {
        let command = O::augment_args(clap::Command::new("train"));
        let mut words = vec!["train".to_owned(), "photos".to_owned()];
        let mut without = Vec::new();
        for option in command.get_arguments() {
            let Some(name) = option.get_long() else {
                continue;
            };
            let help = option.get_help().unwrap().to_string();
            let parts: Vec<_> = help.split(" [default: ").collect();
            match parts[..] {
                [_] => without.push(name.to_owned()),
                [_, value] => {
                    let value = value.strip_suffix(']').unwrap();
                    words.push(format!("--{name}={value}"));
                }
                _ => panic!("--{name}: expected one default, found {help}"),
            }
        }
        let matches = command.try_get_matches_from(words).unwrap();
        let options = O::from_arg_matches(&matches).unwrap();
        (config_text::<C>(None, &options).unwrap(), without)
    }

    /// All keys of all sections.
    fn keys(config: &str) -> BTreeSet<String> {
        let sections: toml::Table = config.parse().unwrap();
        let keys = |(name, section): (&String, &toml::Value)| {
            let keys = section.as_table().unwrap().keys();
            keys.map(|key| format!("{name}.{key}")).collect::<Vec<_>>()
        };
        sections.iter().flat_map(keys).collect()
    }

    #[test]
    fn help_shows_the_defaults_of_a_detectors_configuration() {
        let (text, without) = config_from_help::<DetectorTaskArgs, DetectorConfig>();
        let usual = DetectorConfig::new("photos");
        assert_eq!(DetectorConfig::from_toml(&text).unwrap(), usual);
        assert_eq!(keys(&text), keys(&usual.to_toml().unwrap()));
        assert_eq!(without, ["base-net-lr", "extra-layers-lr", "milestones"]);
    }

    #[test]
    fn help_shows_the_defaults_of_a_classifiers_configuration() {
        let (text, without) = config_from_help::<ClassifierTaskArgs, ClassifierConfig>();
        let usual = ClassifierConfig::new("photos");
        assert_eq!(ClassifierConfig::from_toml(&text).unwrap(), usual);
        assert_eq!(keys(&text), keys(&usual.to_toml().unwrap()));
        assert_eq!(without, ["base-net-lr", "extra-layers-lr", "milestones"]);
    }
}
