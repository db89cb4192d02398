//! `import`: a PyTorch or safetensors file of torchvision's networks becomes a model
//! file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use ssdlite_core::preprocessing::{MAX_INPUT_SIDE, MIN_INPUT_SIDE};
use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Task, Variant};
use ssdlite_files::remove_leftovers_of;
use ssdlite_model::{ModelFile, StateDict, WeightsKind, output_count, read_weights};

use crate::args::model::ModelArg;
use crate::args::number::whole;
use crate::args::reading::{ListOf, class_names_from_file};
use crate::console::{self, counted};
use crate::outcome::Outcome;
use crate::paths::{expect_another, expect_there};
use crate::signals::finish_writing;

#[derive(Args)]
pub(crate) struct ImportArgs {
    /// Weights saved by PyTorch or as safetensors, also in a checkpoint of a training
    /// script
    file: PathBuf,
    /// The network that the file holds
    #[arg(long, value_enum)]
    arch: Arch,
    /// The names of its classes: `imagenet`, `coco`, or a file with one a line,
    /// without background
    #[arg(long, value_name = "FILE|imagenet|coco")]
    classes: String,
    #[arg(
        long,
        value_name = "PIXELS",
        value_parser = whole(MIN_INPUT_SIDE..=MAX_INPUT_SIDE),
        help = format!(
            "Side of its square input in pixels [default: {CLASSIFIER_SIDE} for classifiers, \
             {DETECTOR_SIDE} for detectors]"
        )
    )]
    size: Option<u32>,
    /// Take the averaged weights of a file that holds both
    #[arg(long)]
    ema: bool,
    /// Where the model goes
    #[arg(long, value_name = "MODEL")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Arch {
    ClassifierSmall,
    ClassifierLarge,
    SsdliteSmall,
    SsdliteLarge,
}

/// torchvision's input side of its classifiers.
const CLASSIFIER_SIDE: u32 = 224;

/// torchvision's input side of its SSD-lite.
const DETECTOR_SIDE: u32 = 320;

impl Arch {
    const fn is_detector(self) -> bool {
        matches!(self, Self::SsdliteSmall | Self::SsdliteLarge)
    }

    fn info(self, tail: Tail, classes: ClassNames, side: Option<u32>) -> ModelInfo {
        let variant = match self {
            Self::ClassifierSmall | Self::SsdliteSmall => Variant::Small,
            Self::ClassifierLarge | Self::SsdliteLarge => Variant::Large,
        };
        let backbone = match tail {
            Tail::Full => MobileNetV3::new(variant),
            Tail::Reduced => MobileNetV3::new(variant).with_reduced_tail(),
        };
        match self {
            Self::ClassifierSmall | Self::ClassifierLarge => {
                ModelInfo::classifier(backbone, classes, side.unwrap_or(CLASSIFIER_SIDE))
            }
            Self::SsdliteSmall | Self::SsdliteLarge => {
                ModelInfo::detector(backbone, classes, side.unwrap_or(DETECTOR_SIDE))
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Tail {
    Full,
    Reduced,
}

impl ImportArgs {
    pub(crate) fn run(mut self) -> Result<Outcome> {
        self.file = ModelArg::from(&*self.file).file()?;
        expect_another("--out", &self.file, &self.out)?;
        let classes = self.class_names()?;
        let kind = if self.ema {
            WeightsKind::Averaged
        } else {
            WeightsKind::Plain
        };
        let file = self.file.display();
        let weights = read_weights(&self.file, kind)?;
        if weights.info.is_some() {
            bail!("{file} is a model file already");
        }
        for note in &weights.notes {
            console::note(&format!("{file}: {note}"));
        }
        let mut info = self.info_that_fits(&weights.state, &classes);
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        let origin = name.to_string_lossy().into_owned();
        info.training.insert("imported from".into(), origin);
        info.validate()?;
        let (state, passed_over) = weights.state.without_bookkeeping(&info.tensors());
        self.expect_this_network(&state, &passed_over, &info)?;
        let outputs = output_count(&state, &info.graph());
        self.expect_as_many(outputs, &classes)?;
        let model = ModelFile::new(info, state);
        let model = model.with_context(|| format!("{file} does not hold this network"))?;
        if !passed_over.is_empty() {
            console::note(&format!("{file}: {}", not_of_the_network(&passed_over)));
        }
        finish_writing()?;
        remove_leftovers_of(&self.out);
        model.write(&self.out)?;
        let info = model.info();
        let network = match &info.task {
            Task::Classify => "classifier",
            Task::Detect(_) => "detector",
        };
        console::note(&format!(
            "{}: {} {network} with {}",
            self.out.display(),
            info.backbone.variant.name(),
            counted(classes.len(), "class")
        ));
        Ok(Outcome::Done)
    }

    /// Refuses the tensors of another network, and such as hold no sound numbers.
    fn expect_this_network(
        &self,
        state: &StateDict,
        passed_over: &[String],
        info: &ModelInfo,
    ) -> Result<()> {
        let specs = info.tensors();
        if let (true, [spec, ..], [found, ..]) = (state.is_empty(), &specs[..], passed_over) {
            bail!(
                "{} holds another network: expected tensors such as {}, found {} such as {found:?}",
                self.file.display(),
                spec.key,
                counted(passed_over.len(), "other")
            );
        }
        let selected = state.select_fitting(&specs);
        selected.with_context(|| self.file.display().to_string())?;
        Ok(())
    }

    /// Refuses a file whose network has so many outputs, where these are not the classes'.
    fn expect_as_many(&self, outputs: Option<usize>, classes: &ClassNames) -> Result<()> {
        let (file, listed) = (self.file.display(), classes.len());
        let background = usize::from(self.arch.is_detector());
        let held = outputs.and_then(|outputs| outputs.checked_sub(background));
        let Some(held) = held.filter(|&held| held != listed) else {
            return Ok(());
        };
        let background = if self.arch.is_detector() {
            " beside the background"
        } else {
            ""
        };
        let hint = if listed == held + 1 {
            " (is one of its lines the background, which is not wanted?)"
        } else {
            ""
        };
        bail!(
            "expected {held} class names for {file}{background}, found {listed} in --classes {}{hint}",
            self.classes
        )
    }

    /// Whether the tail is reduced stands in no file: the tensors tell.
    fn info_that_fits(&self, state: &StateDict, classes: &ClassNames) -> ModelInfo {
        let info = |tail| self.arch.info(tail, classes.clone(), self.size);
        let fitting = |info: &ModelInfo| {
            let selected = state.select_fitting(&info.tensors());
            selected.map_or(0, |(fitting, _)| fitting.len())
        };
        let (full, reduced) = (info(Tail::Full), info(Tail::Reduced));
        if fitting(&reduced) > fitting(&full) {
            reduced
        } else {
            full
        }
    }

    fn class_names(&self) -> Result<ClassNames> {
        let of = match (self.classes.as_str(), self.arch.is_detector()) {
            ("imagenet", _) => return Ok(ClassNames::imagenet()),
            ("coco", _) => return Ok(ClassNames::coco()),
            (_, true) => ListOf::Objects,
            (_, false) => ListOf::Images,
        };
        let path = Path::new(&self.classes);
        expect_there(path).context("--classes: expected `imagenet`, `coco` or a file")?;
        class_names_from_file(path, of)
    }
}

/// The most names of tensors that are listed.
const LISTED_NAMES: usize = 5;

/// A sentence on tensors that were left out.
fn not_of_the_network(names: &[String]) -> String {
    let listed = names.iter().take(LISTED_NAMES);
    let listed: Vec<_> = listed.map(|name| name.escape_debug().to_string()).collect();
    let listed = listed.join(", ");
    let more = if names.len() > LISTED_NAMES {
        ", ..."
    } else {
        ""
    };
    format!(
        "{} that are none of the network's were left out: {listed}{more}",
        counted(names.len(), "tensor")
    )
}
