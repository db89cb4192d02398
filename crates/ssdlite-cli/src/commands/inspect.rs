//! `inspect`: what a model file holds.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use ssdlite_core::layers::{Layer, LayerKind};
use ssdlite_core::unit::ConvKind;
use ssdlite_core::{Fit, Head, LearntView, MapSize, ModelInfo, Scores, Suppression, Task};
use ssdlite_model::ModelFile;

use crate::args::model::ModelArg;
use crate::console::{self, cell, counted};
use crate::models::{Costs, backbone_text};
use crate::outcome::Outcome;

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A model file, or a run's folder for its best model
    model: ModelArg,
    /// Also list every layer
    #[arg(long)]
    layers: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with = "layers")]
    json: bool,
}

#[derive(Serialize)]
struct Inspection<'a> {
    model: &'a Path,
    #[serde(flatten)]
    costs: Costs,
    feature_maps: Vec<MapSize>,
    #[serde(flatten)]
    info: &'a ModelInfo,
}

impl InspectArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        let model = self.model.file()?;
        let (info, _) = ModelFile::read(&model)?.into_parts();
        let inspection = Inspection {
            model: &model,
            costs: Costs::of(&model, &info)?,
            feature_maps: info.graph().feature_maps(info.input()),
            info: &info,
        };
        if self.json {
            console::json(&inspection)?;
            return Ok(Outcome::Done);
        }
        console::table(inspection.to_text().trim_end())?;
        if self.layers {
            console::table(layer_table(&info).trim_end())?;
        }
        Ok(Outcome::Done)
    }
}

impl Inspection<'_> {
    fn to_text(&self) -> String {
        let info = self.info;
        let mut lines = Lines::default();
        lines.add("file", self.model.display());
        let task = match &info.task {
            Task::Classify => "classifier",
            Task::Detect(_) => "detector",
        };
        lines.add("task", task);
        lines.add("backbone", backbone_text(info));
        lines.add("input", format_args!("{} RGB", info.preprocessing.size));
        lines.add("preprocessing", preprocessing_text(info));
        if !self.feature_maps.is_empty() {
            lines.add("feature maps", maps_text(&self.feature_maps));
        }
        if let Some(boxes) = info.default_boxes() {
            lines.add("default boxes", boxes.len());
        }
        let Costs {
            file_bytes,
            parameters,
            macs,
        } = self.costs;
        let bytes = file_bytes as f64 / 1e6;
        lines.add(
            "parameters",
            format_args!("{parameters} ({bytes:.1} MB file)"),
        );
        lines.add("cost", format_args!("{:.3} GMACs", macs as f64 / 1e9));
        lines.add(
            "classes",
            format_args!("{} ({})", info.classes.len(), info.classes),
        );
        if let Task::Detect(settings) = &info.task {
            let head = match settings.head {
                Head::Ssdlite => "SSD-lite's, one for each map".to_owned(),
                Head::Fpn { channels } => format!("one for a pyramid of {channels} channels"),
            };
            lines.add("head", head);
            let scores = match settings.scores {
                Scores::Softmax => "softmax over the background and the classes",
                Scores::Sigmoid => "sigmoid of each class",
            };
            lines.add("scores", scores);
            let post = &settings.post_processing;
            let suppression = match post.suppression {
                Suppression::Hard { max_iou } => format!("NMS at IoU {max_iou}"),
                Suppression::Soft { sigma } => format!("soft NMS, sigma {sigma}"),
            };
            lines.add(
                "post-processing",
                format_args!(
                    "score {}, {suppression}, {} a class, {} an image",
                    post.score_threshold,
                    counted(post.candidates_per_class, "candidate"),
                    counted(post.max_detections, "detection")
                ),
            );
        }
        if let Task::Detect(settings) = &info.task
            && let Some(view) = &settings.learnt_view
        {
            lines.add("learnt from", view_text(view));
        }
        lines.section("training", info.training.iter());
        let metrics = info.metrics.iter();
        let metrics = metrics.map(|(name, score)| (name, format!("{score:.4}")));
        lines.section("metrics", metrics);
        lines.0
    }
}

/// Lines of a name and a value in two columns.
#[derive(Default)]
struct Lines(String);

impl Lines {
    const NAME_WIDTH: usize = 17;

    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        let (name, value) = (cell(name), cell(&value.to_string()));
        // Writing to a string can't fail.
        let _ = writeln!(self.0, "{name:width$} {value}", width = Self::NAME_WIDTH);
    }

    fn section<K: AsRef<str>, V: std::fmt::Display>(
        &mut self,
        title: &str,
        entries: impl ExactSizeIterator<Item = (K, V)>,
    ) {
        if entries.len() > 0 {
            self.0.push_str(title);
            self.0.push('\n');
        }
        for (name, value) in entries {
            self.add(&format!("  {}", name.as_ref()), value);
        }
    }
}

fn preprocessing_text(info: &ModelInfo) -> String {
    let spec = &info.preprocessing;
    let fit = match spec.fit {
        Fit::Stretch => "stretched".to_owned(),
        Fit::CenterCrop { shorter_side } => {
            format!("shorter side to {shorter_side}, centre crop")
        }
    };
    format!("{fit}; mean {:?}, deviation {:?}", spec.mean, spec.std)
}

fn view_text(view: &LearntView) -> String {
    let LearntView {
        size, least_side, ..
    } = view;
    let (what, tiles) = match view.tiles {
        true => ("tiles", "auto"),
        false => ("images", "off"),
    };
    format!(
        "{what} of {size}, a tenth of the objects below {least_side:.0} pixels of the input; \
         --tiles {tiles} unless asked otherwise"
    )
}

fn maps_text(maps: &[MapSize]) -> String {
    let text = |map: &MapSize| format!("{}x{}", map.width, map.height);
    maps.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn layer_table(info: &ModelInfo) -> String {
    let layers = info.graph().layers(info.input());
    let mut table = format!(
        "\n{:45} {:22} {:>14} {:>14} {:>9}\n",
        "layer", "kind", "input", "output", "MMACs"
    );
    for layer in &layers {
        let shape = |map: MapSize, channels| format!("{}x{}x{channels}", map.width, map.height);
        let _ = writeln!(
            table,
            "{:45} {:22} {:>14} {:>14} {:>9.3}",
            layer.key,
            kind_text(layer),
            shape(layer.input, layer.in_channels),
            shape(layer.output, layer.out_channels),
            layer.macs as f64 / 1e6
        );
    }
    table
}

fn kind_text(layer: &Layer) -> String {
    match layer.kind {
        LayerKind::Conv(conv) => {
            let name = match conv.kind {
                ConvKind::Full => "convolution",
                ConvKind::Depthwise => "depthwise",
                ConvKind::Pointwise => "pointwise",
            };
            let (kernel, stride) = (conv.kernel, conv.stride);
            format!("{name} {kernel}x{kernel} /{stride}")
        }
        LayerKind::SqueezeExcite => "squeeze-and-excite".into(),
        LayerKind::Linear => "linear".into(),
    }
}
