//! Weights that a network starts from.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use ssdlite_core::{ClassNames, MobileNetV3, ModelInfo};
use ssdlite_model::{
    LoadReport, ModelFile, StateDict, detector_state_from_classifier, head_rows_by_class, read_pth,
};
use ssdlite_nn::{Classifier, Detector, Network};

use crate::error::{Error, Result};

/// Output classes of torchvision's detector trained on COCO, background
/// counted.
const COCO_OUTPUTS: usize = 91;

/// Tensors of a file, and what its outputs mean as far as that is known.
struct Source {
    state: StateDict,
    classes: Option<ClassNames>,
}

impl Source {
    /// Reads weights for a network on `backbone`.
    fn read(path: &Path, backbone: &MobileNetV3) -> Result<Self> {
        let is_pytorch = path.extension().is_some_and(|ending| {
            ending.eq_ignore_ascii_case("pth") || ending.eq_ignore_ascii_case("pt")
        });
        if is_pytorch {
            let state = read_pth(path)?;
            let classes = coco_if_so_many(&state);
            return Ok(Self { state, classes });
        }
        let (info, state) = ModelFile::read(path)?.into_parts();
        let found = &info.backbone;
        if !has_same_stages(found, backbone) {
            return Err(Error::WeightsMismatch(format!(
                "{}: expected weights of {}, found those of {}",
                path.display(),
                described(backbone),
                described(found)
            )));
        }
        Ok(Self {
            state,
            classes: Some(info.classes),
        })
    }

    fn is_classifier(&self) -> bool {
        self.state
            .iter()
            .any(|(key, _)| key.starts_with("features."))
    }
}

/// Whether tensors of one fit the other, but for those that a reduced tail
/// makes smaller.
fn has_same_stages(one: &MobileNetV3, other: &MobileNetV3) -> bool {
    let stages = |network: &MobileNetV3| {
        let MobileNetV3 {
            variant,
            width_multiplier,
            minimalistic,
            reduced_tail: _,
        } = *network;
        (variant, width_multiplier, minimalistic)
    };
    stages(one) == stages(other)
}

/// A network by the options that make it.
fn described(network: &MobileNetV3) -> String {
    let minimalistic = if network.minimalistic {
        ", minimalistic"
    } else {
        ""
    };
    format!(
        "the backbone {}, width {}{minimalistic}",
        network.variant.name(),
        network.width_multiplier
    )
}

/// COCO's classes for a PyTorch file with as many outputs as COCO asks for.
fn coco_if_so_many(state: &StateDict) -> Option<ClassNames> {
    let head = state.get("head.classification_head.module_list.0.1.bias")?;
    let outputs = head.shape.first()? / ssdlite_core::detector::BOXES_PER_CELL;
    (outputs == COCO_OUTPUTS).then(ClassNames::coco)
}

/// A detector with every tensor of a file that fits it, and what was taken
/// over. A classifier fills the backbone. Heads of another detector keep the
/// rows of classes with the same name.
///
/// # Errors
/// [`Error::Model`] for a file that can't be read; [`Error::WeightsMismatch`]
/// for one of which less than half fits, or a model of ours with another
/// backbone.
pub(crate) fn detector_from_file(
    info: &ModelInfo,
    path: &Path,
    seed: u64,
    device: &Device,
) -> Result<(Detector, String)> {
    let table = info.backbone.detector(info.classes.len());
    let network = Detector::new(&table, seed, device);
    let Source { mut state, classes } = {
        let source = Source::read(path, &info.backbone)?;
        if source.is_classifier() {
            Source {
                state: detector_state_from_classifier(&source.state, &info.backbone),
                classes: None,
            }
        } else {
            source
        }
    };
    let mut found = Vec::new();
    if let Some(from) = classes.filter(|from| *from != info.classes) {
        let names: Vec<&str> = from.iter().collect();
        let initial = network.valid().state_dict();
        let (rows, same) = head_rows_by_class(&state, &names, &initial, &info.classes, &table);
        for (key, tensor) in rows.iter() {
            state.insert(key.to_owned(), tensor.clone());
        }
        found = same;
    }
    let (network, report) = load_matching(network, &state, path)?;
    let mut text = report.to_string();
    if !found.is_empty() {
        text += &format!("\nheads taken over for: {}", found.join(", "));
    }
    Ok((network, text))
}

/// A classifier with every tensor of a file that fits it, and what was taken
/// over.
///
/// # Errors
/// [`Error::InvalidRequest`] for a detector's file, else as
/// [`detector_from_file`].
pub(crate) fn classifier_from_file(
    info: &ModelInfo,
    path: &Path,
    seed: u64,
    device: &Device,
) -> Result<(Classifier, String)> {
    let source = Source::read(path, &info.backbone)?;
    if !source.is_classifier() {
        return Err(Error::InvalidRequest(format!(
            "{}: expected a classifier's weights, found no features.* in it",
            path.display()
        )));
    }
    let table = info.backbone.classifier(info.classes.len());
    let network = Classifier::new(&table, seed, device);
    let (network, report) = load_matching(network, &source.state, path)?;
    Ok((network, report.to_string()))
}

/// [`Network::load_matching`], whose error names the file.
fn load_matching<N: Network>(
    network: N,
    state: &StateDict,
    path: &Path,
) -> Result<(N, LoadReport)> {
    let loaded = network.load_matching(state);
    loaded.map_err(|error| Error::WeightsMismatch(format!("{}: {error}", path.display())))
}
