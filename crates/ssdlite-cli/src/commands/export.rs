//! `export`: a model becomes a file of others: ONNX, or PyTorch's.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use ssdlite_core::post_processing::MOST_BOXES;
use ssdlite_core::{PostProcessing, Suppression, Task};
use ssdlite_export::{
    Batch, InputNumbers, Layout, MOST_IMAGES, Onnx, OnnxOptions, labelmap, onnx_from_model,
    pth_from_model,
};
use ssdlite_files::{remove_leftovers_of, write_atomically};
use ssdlite_model::ModelFile;

use crate::args::model::ModelArg;
use crate::args::number::{probability, whole};
use crate::console::{self, counted};
use crate::outcome::{Outcome, UsageError};
use crate::paths::expect_another;
use crate::signals::finish_writing;

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// A model file, or a training run's folder for its best model
    model: ModelArg,
    /// The kind of file
    #[arg(long, value_enum)]
    to: Format,
    /// Where it goes, a name that ends as files of its kind do
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    onnx: OnnxArgs,
}

/// What is asked of an ONNX file alone.
#[derive(Args)]
#[command(next_help_heading = "ONNX")]
struct OnnxArgs {
    /// The form of a detector's outputs [default: raw]
    #[arg(long, value_enum)]
    layout: Option<LayoutArg>,
    /// How many images it takes at once, or `dynamic` for any number [default: 1]
    #[arg(long, value_name = "N|dynamic", value_parser = batch)]
    batch: Option<Batch>,
    /// The numbers of the images that it takes [default: float]
    #[arg(long, value_enum)]
    input: Option<InputArg>,
    /// Also write the names of the classes to this text file, numbered as the layout's
    /// consumer counts them
    #[arg(long, value_name = "FILE")]
    labelmap: Option<PathBuf>,
    /// In the layouts nms and ssd7: least score of a detection, 0 to 1 [default: as the
    /// model says]
    #[arg(long, visible_alias = "conf", value_parser = probability)]
    score: Option<f32>,
    /// In the layouts nms and ssd7: IoU above which the worse of two boxes of a class
    /// goes [default: as the model says]
    #[arg(long, value_name = "IOU", value_parser = probability)]
    nms: Option<f32>,
    /// In the layouts nms and ssd7: rows of an image [default: as the model says]
    #[arg(long, value_parser = whole(1..=MOST_BOXES))]
    max_detections: Option<usize>,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For ONNX Runtime, OpenVINO, TensorRT and what is built on them
    Onnx,
    /// torchvision's state dict, for PyTorch
    Pth,
}

impl Format {
    /// How names of such files end; the first is told.
    const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Onnx => &["onnx"],
            Self::Pth => &["pth", "pt"],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LayoutArg {
    /// Boxes and scores of all default boxes
    Raw,
    /// Detections, suppressed inside
    Nms,
    /// As Ultralytics' YOLO; for Frigate's yolo-generic too
    Yolo,
    /// As OpenVINO's SSD; for Frigate's OpenVINO detector
    Ssd7,
    /// For jetson-inference's detectNet
    Jetson,
}

impl From<LayoutArg> for Layout {
    fn from(layout: LayoutArg) -> Self {
        match layout {
            LayoutArg::Raw => Self::Raw,
            LayoutArg::Nms => Self::Nms,
            LayoutArg::Yolo => Self::Yolo,
            LayoutArg::Ssd7 => Self::Ssd7,
            LayoutArg::Jetson => Self::Jetson,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InputArg {
    /// 0 to 1
    Float,
    /// 0 to 255
    Uint8,
}

impl From<InputArg> for InputNumbers {
    fn from(input: InputArg) -> Self {
        match input {
            InputArg::Float => Self::Floats,
            InputArg::Uint8 => Self::Bytes,
        }
    }
}

fn batch(text: &str) -> Result<Batch, String> {
    if text == "dynamic" {
        return Ok(Batch::Dynamic);
    }
    let count = whole(1..=MOST_IMAGES)(text);
    count
        .map(Batch::Fixed)
        .map_err(|fault| format!("{fault}, or `dynamic`"))
}

impl ExportArgs {
    pub(crate) fn run(self) -> Result<Outcome> {
        expect_ending("--out", &self.out, self.to.endings())?;
        self.onnx.expect_of_use(self.to)?;
        if let Some(labelmap) = &self.onnx.labelmap {
            expect_ending("--labelmap", labelmap, &["txt"])?;
        }
        let from = self.model.file()?;
        expect_another("--out", &from, &self.out)?;
        if let Some(labelmap) = &self.onnx.labelmap {
            expect_another("--labelmap", &from, labelmap)?;
        }
        let model = ModelFile::read(&from)?;
        let (bytes, told) = match self.to {
            Format::Onnx => {
                let onnx = onnx_from_model(&model, &self.onnx.options(&model));
                let onnx = onnx.with_context(|| from.display().to_string())?;
                let told = ports(&onnx);
                (onnx.bytes, told)
            }
            Format::Pth => {
                let bytes = pth_from_model(&model);
                let bytes = bytes.with_context(|| from.display().to_string())?;
                (bytes, counted(model.state().len(), "tensor"))
            }
        };
        finish_writing()?;
        write(&self.out, &bytes, &told)?;
        if let Some(path) = &self.onnx.labelmap {
            let classes = &model.info().classes;
            let text = labelmap(classes, self.onnx.layout());
            write(path, text.as_bytes(), &counted(classes.len(), "class"))?;
        }
        if self.to == Format::Onnx
            && let Task::Detect(settings) = &model.info().task
            && let Some(view) = settings.learnt_view
            && view.tiles
        {
            console::note(&format!(
                "the model learnt from tiles of {}, in which `ssdlite detect` looks at larger \
                 images; what runs the file looks at what it is given",
                view.size
            ));
        }
        Ok(Outcome::Done)
    }
}

/// Refuses a name that others would take for another kind of file.
fn expect_ending(option: &str, path: &Path, endings: &[&str]) -> Result<()> {
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    if ending.is_some_and(|ending| endings.iter().any(|&known| ending == known)) {
        return Ok(());
    }
    Err(UsageError(format!(
        "{option}: expected a name that ends in .{}, found {}",
        endings[0],
        path.display()
    ))
    .into())
}

/// Writes a file, and tells what is in it.
fn write(path: &Path, bytes: &[u8], told: &str) -> Result<()> {
    remove_leftovers_of(path);
    let out = path.display();
    write_atomically(path, bytes).with_context(|| out.to_string())?;
    console::note(&format!("{out}: {told}"));
    Ok(())
}

/// `images f32[1,3,300,300] -> boxes f32[1,3000,4], scores f32[1,3000,20]`.
fn ports(onnx: &Onnx) -> String {
    let outputs: Vec<String> = onnx.outputs.iter().map(ToString::to_string).collect();
    format!("{} -> {}", onnx.input, outputs.join(", "))
}

impl OnnxArgs {
    fn layout(&self) -> Layout {
        self.layout.map_or_else(Layout::default, Layout::from)
    }

    /// Refuses options that would have no effect.
    fn expect_of_use(&self, format: Format) -> Result<()> {
        let of_suppression = [
            ("--score", self.score.is_some()),
            ("--nms", self.nms.is_some()),
            ("--max-detections", self.max_detections.is_some()),
        ];
        let of_onnx = [
            ("--layout", self.layout.is_some()),
            ("--batch", self.batch.is_some()),
            ("--input", self.input.is_some()),
            ("--labelmap", self.labelmap.is_some()),
        ];
        let given = |options: &[(&'static str, bool)]| {
            let given = options.iter().find(|(_, is_given)| *is_given);
            given.map(|(name, _)| *name)
        };
        let idle = |option: &str, beside: &str| -> Result<()> {
            Err(UsageError(format!("{option}: this would have no effect with {beside}")).into())
        };
        if format == Format::Pth
            && let Some(option) = given(&[&of_onnx[..], &of_suppression].concat())
        {
            return idle(option, "--to pth");
        }
        let layout = self.layout();
        if !layout.suppresses()
            && let Some(option) = given(&of_suppression)
        {
            return idle(option, &format!("--layout {}", layout.name()));
        }
        Ok(())
    }

    fn options(&self, model: &ModelFile) -> OnnxOptions {
        OnnxOptions {
            layout: self.layout(),
            batch: self.batch.unwrap_or_default(),
            input: self.input.map_or_else(InputNumbers::default, Into::into),
            post_processing: match &model.info().task {
                Task::Classify => None,
                Task::Detect(settings) => Some(self.over(settings.post_processing)),
            },
        }
    }

    /// `settings` with the options that were given.
    fn over(&self, mut settings: PostProcessing) -> PostProcessing {
        if let Some(score) = self.score {
            settings.score_threshold = score;
        }
        if let Some(max_iou) = self.nms {
            settings.suppression = Suppression::Hard { max_iou };
        }
        if let Some(most) = self.max_detections {
            settings.max_detections = most;
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_a_number_or_dynamic() {
        assert_eq!(batch("7"), Ok(Batch::Fixed(7)));
        assert_eq!(batch("dynamic"), Ok(Batch::Dynamic));
        for text in ["0", "-1", "", "nan", "1e9", "4096", "Dynamic"] {
            let fault = batch(text).unwrap_err();
            assert!(fault.ends_with("1024, or `dynamic`"), "{fault}");
        }
    }
}
