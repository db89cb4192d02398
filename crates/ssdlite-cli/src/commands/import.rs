//! `import`: a PyTorch file of torchvision's networks becomes a model file.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo, Task, Variant};
use ssdlite_model::{ModelFile, StateDict, read_pth};

use crate::args::reading::class_names_from_file;
use crate::console;
use crate::outcome::Outcome;

#[derive(Args)]
pub(crate) struct ImportArgs {
    /// A state dict saved by PyTorch, also as `{"model": ...}`
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
        help = format!(
            "Side of its square input in pixels [default: {CLASSIFIER_SIDE} for classifiers, \
             {DETECTOR_SIDE} for detectors]"
        )
    )]
    size: Option<u32>,
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
    pub(crate) fn run(self) -> Result<Outcome> {
        let classes = self.class_names()?;
        let state = read_pth(&self.file)?;
        let mut info = self.info_that_fits(&state, &classes);
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        let origin = name.to_string_lossy().into_owned();
        info.training.insert("imported from".into(), origin);
        info.validate()?;
        let model = ModelFile::new(info, state).with_context(|| {
            format!(
                "{} does not hold this network with {} classes",
                self.file.display(),
                classes.len()
            )
        })?;
        model.write(&self.out)?;
        let info = model.info();
        let network = match &info.task {
            Task::Classify => "classifier",
            Task::Detect(_) => "detector",
        };
        console::note(&format!(
            "{}: {} {network} with {} classes",
            self.out.display(),
            info.backbone.variant.name(),
            classes.len()
        ));
        Ok(Outcome::Done)
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
        match self.classes.as_str() {
            "imagenet" => Ok(ClassNames::imagenet()),
            "coco" => Ok(ClassNames::coco()),
            path => class_names_from_file(path.as_ref()),
        }
    }
}
