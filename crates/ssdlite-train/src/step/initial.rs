//! Weights that a network starts from.

use std::path::Path;

use ssdlite_core::random::Rng;
use ssdlite_core::{
    ClassNames, DetectorSettings, Graph, MobileNetV3, ModelInfo, Part, Scores, Task, TensorRole,
    TensorSpec,
};
use ssdlite_model::{
    HeadClasses, StateDict, Weights, WeightsKind, class_head_keys, detector_state_from_classifier,
    head_rows_by_class, read_weights,
};

use super::TensorLayout;
use super::parameters::{fill, state_dict};
use super::taken_over::{ClassHeads, counts_by_part, left_pyramid};
use crate::error::{Error, Result};

/// Deviation of the weights of a linear layer: torchvision's `mobilenetv3.py`.
const LINEAR_DEVIATION: f64 = 0.01;

/// Deviation of the weights of the extra blocks and heads: `_normal_init` of
/// torchvision's `ssdlite.py`.
const HEAD_DEVIATION: f64 = 0.03;

/// The first values of all tensors, as in torchvision. They depend on the seed
/// and the tensor's name alone.
pub fn random_values(layout: &TensorLayout, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; layout.len()];
    for slot in layout.slots() {
        let into = &mut values[slot.range.clone()];
        match slot.spec.role {
            TensorRole::Weight => {
                let deviation = weight_deviation(&slot.spec);
                let mut random = Rng::from_text(seed, &slot.spec.key);
                into.fill_with(|| (random.normal() * deviation) as f32);
            }
            TensorRole::BatchNormWeight | TensorRole::RunningVar => into.fill(1.0),
            TensorRole::Bias
            | TensorRole::BatchNormBias
            | TensorRole::RunningMean
            | TensorRole::BatchesTracked => {}
        }
    }
    values
}

/// The score that all classes of all default boxes begin with, where it is a sigmoid:
/// arXiv 1708.02002, section 4.1. So the many boxes without an object don't outweigh
/// all others in the first steps.
const FIRST_SCORE: f32 = 0.01;

/// The first values of a model's tensors: [`random_values`], with the biases of
/// sigmoids so that scores begin at [`FIRST_SCORE`].
pub(crate) fn first_values(info: &ModelInfo, layout: &TensorLayout, seed: u64) -> Vec<f32> {
    let mut values = random_values(layout, seed);
    if scores_of(info) == Scores::Sigmoid {
        let bias = -((1.0 - FIRST_SCORE) / FIRST_SCORE).ln();
        let heads = class_head_keys(&info.graph());
        for slot in layout.slots() {
            if slot.spec.role == TensorRole::Bias && heads.contains(&slot.spec.key) {
                values[slot.range.clone()].fill(bias);
            }
        }
    }
    values
}

/// The deviation of a weight's first values. The backbone's convolutions have
/// `sqrt(2 / (out_channels * kernel^2))`: He et al., arXiv 1502.01852, by fan
/// out, as torchvision's `mobilenetv3.py`.
fn weight_deviation(spec: &TensorSpec) -> f64 {
    match (&spec.shape[..], spec.part) {
        (&[out, _, height, width], Part::Backbone) => (2.0 / (out * height * width) as f64).sqrt(),
        (&[_, _, _, _], _) => HEAD_DEVIATION,
        _ => LINEAR_DEVIATION,
    }
}

/// Output classes of torchvision's detector trained on COCO, background
/// counted.
const COCO_OUTPUTS: usize = 91;

/// Tensors of a file, and what its outputs mean as far as that is known.
struct Source {
    state: StateDict,
    classes: Option<ClassNames>,
    /// Of a detector; torchvision's are a softmax.
    scores: Scores,
    /// How the tensors were found.
    notes: Vec<String>,
}

/// What the detector is made of whose weights a file holds; none for a classifier's.
///
/// # Errors
/// [`Error::Model`] for a file that can't be read.
pub(crate) fn detector_of_weights(path: &Path) -> Result<Option<DetectorSettings>> {
    let Weights { state, info, .. } = read_weights(path, WeightsKind::Plain)?;
    Ok(match info.map(|info| info.task) {
        Some(Task::Detect(settings)) => Some(settings),
        Some(Task::Classify) => None,
        // Others' detectors are torchvision's.
        None => (!is_classifier(&state)).then(DetectorSettings::default),
    })
}

fn is_classifier(state: &StateDict) -> bool {
    state.iter().any(|(key, _)| key.starts_with("features."))
}

impl Source {
    /// Reads weights for a network on `backbone`.
    fn read(path: &Path, backbone: &MobileNetV3) -> Result<Self> {
        let weights = read_weights(path, WeightsKind::Plain)?;
        let Weights { state, info, notes } = weights;
        let Some(info) = info else {
            let classes = coco_if_so_many(&state);
            return Ok(Self {
                state,
                classes,
                scores: Scores::Softmax,
                notes,
            });
        };
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
            scores: scores_of(&info),
            classes: Some(info.classes),
            notes,
        })
    }

    fn is_classifier(&self) -> bool {
        is_classifier(&self.state)
    }
}

/// How a detector's scores follow from its logits; a classifier's are a softmax.
const fn scores_of(info: &ModelInfo) -> Scores {
    match &info.task {
        Task::Classify => Scores::Softmax,
        Task::Detect(settings) => settings.scores,
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

/// COCO's classes for a file of others with as many outputs as COCO asks for.
fn coco_if_so_many(state: &StateDict) -> Option<ClassNames> {
    let head = |name: &str| {
        let bias = state.get(&format!("head.{name}.module_list.0.1.bias"))?;
        bias.shape.first().copied()
    };
    // The regressions of a default box are four numbers.
    let boxes = head("regression_head")? / ssdlite_core::detector::BOX_NUMBERS;
    (head("classification_head")? == boxes * COCO_OUTPUTS).then(ClassNames::coco)
}

/// The first values of a network's tensors with every tensor of a file that
/// fits, and what was taken over. A classifier fills a detector's backbone.
/// Heads of another detector keep the rows of classes with the same name.
///
/// # Errors
/// [`Error::Model`] for a file that can't be read; [`Error::WeightsMismatch`] for
/// one of which less than half fits, or a model of ours with another backbone;
/// [`Error::InvalidRequest`] for a detector's file where a classifier is to be.
pub(crate) fn values_from_file(
    info: &ModelInfo,
    layout: &TensorLayout,
    path: &Path,
    seed: u64,
) -> Result<(Vec<f32>, String)> {
    let graph = info.graph();
    let mut values = first_values(info, layout, seed);
    let mut source = Source::read(path, &info.backbone)?;
    let notes = std::mem::take(&mut source.notes);
    let from_classifier = source.is_classifier();
    let file_classes = source.classes.clone();
    let file_scores = source.scores;
    let left = left_pyramid(&source.state, info);
    let state = match (&info.task, from_classifier) {
        (Task::Classify, true) => source.state,
        (Task::Classify, false) => {
            return Err(Error::InvalidRequest(format!(
                "{}: expected a classifier's weights, found no features.* in it",
                path.display()
            )));
        }
        (Task::Detect(_), true) => {
            let classifier = info.backbone.classifier(info.classes.len());
            detector_state_from_classifier(&source.state, &classifier, &graph)
        }
        (Task::Detect(_), false) => {
            let initial = state_dict(layout, &values);
            source.with_heads_for(info, &initial, &graph)
        }
    };
    let fitting = state.select_fitting(&graph.tensors());
    let (fitting, report) = fitting.map_err(|error| {
        let hint = left.iter().map(|left| format!("; {left}"));
        let hint: String = hint.collect();
        Error::WeightsMismatch(format!("{}: {error}{hint}", path.display()))
    })?;
    fill(&mut values, layout, &fitting);
    let heads = ClassHeads {
        heads: match info.task {
            Task::Detect(_) => "class heads",
            Task::Classify => "last layer",
        },
        from: file_classes.as_ref(),
        to: &info.classes,
        is_converted: file_scores != scores_of(info),
        has_background: scores_of(info) == Scores::Softmax,
        by_name: matches!(info.task, Task::Detect(_)),
    };
    let is_backbone_alone = from_classifier && matches!(info.task, Task::Detect(_));
    let classes = if is_backbone_alone {
        "the file is a classifier's: all but the backbone begins anew".to_owned()
    } else {
        heads.text(&graph, &report)
    };
    let mut told = vec![report.to_string(), counts_by_part(&graph, &report), classes];
    told.extend(left);
    Ok((values, [notes, told].concat().join("\n")))
}

impl Source {
    /// A detector's tensors with heads for other classes or scores, as far as the
    /// classes have the same names.
    fn with_heads_for(self, info: &ModelInfo, initial: &StateDict, graph: &Graph) -> StateDict {
        let mut state = self.state;
        let scores = scores_of(info);
        let Some(from) = self.classes else {
            if self.scores == scores {
                return state;
            }
            // Rows that might have the same number say something else.
            let heads = class_head_keys(graph);
            let others = state
                .iter()
                .filter(|(key, _)| !heads.iter().any(|head| head == key));
            return others
                .map(|(key, tensor)| (key.to_owned(), tensor.clone()))
                .collect();
        };
        if from == info.classes && self.scores == scores {
            return state;
        }
        let (from, to): (Vec<&str>, Vec<&str>) =
            (from.iter().collect(), info.classes.iter().collect());
        let from = HeadClasses {
            names: &from,
            scores: self.scores,
        };
        let to = HeadClasses { names: &to, scores };
        let rows = head_rows_by_class(&state, from, initial, to, graph);
        for (key, tensor) in rows.iter() {
            state.insert(key.to_owned(), tensor.clone());
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use ssdlite_core::{DefaultBoxSizes, FinestMap, Head, Variant};
    use ssdlite_testing::model_from_formula;

    use super::*;

    fn layout() -> TensorLayout {
        let small = MobileNetV3::new(Variant::Small);
        TensorLayout::new(&small.detector(3, &[6; 6]), &[])
    }

    fn moments(values: &[f32]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let square = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / count;
        (mean, square.sqrt())
    }

    #[test]
    fn values_depend_on_seed_and_name_alone() {
        let layout = layout();
        let values = random_values(&layout, 7);
        assert_eq!(values, random_values(&layout, 7));
        assert_ne!(values, random_values(&layout, 8));
        let [one, other] = [
            "head.regression_head.module_list.4.1.weight",
            "head.regression_head.module_list.3.1.weight",
        ]
        .map(|key| &values[layout.range(key).unwrap()]);
        assert_eq!(one.len(), other.len());
        assert_ne!(one, other);
    }

    #[test]
    fn sigmoids_begin_at_their_first_score() {
        let classes = ClassNames::new(["a", "b", "c"]).unwrap();
        let mut info = ModelInfo::detector(MobileNetV3::new(Variant::Small), classes, 300);
        let layout = TensorLayout::new(&info.graph(), &[]);
        assert_eq!(first_values(&info, &layout, 7), random_values(&layout, 7));
        for head in [Head::Ssdlite, Head::Fpn { channels: 64 }] {
            info.task = Task::Detect(DetectorSettings {
                scores: Scores::Sigmoid,
                head,
                default_boxes: DefaultBoxSizes::paper(head, FinestMap::Stride16),
                ..DetectorSettings::default()
            });
            let layout = TensorLayout::new(&info.graph(), &[]);
            let (first, random) = (first_values(&info, &layout, 7), random_values(&layout, 7));
            let heads = class_head_keys(&info.graph());
            for slot in layout.slots() {
                let (first, random) = (&first[slot.range.clone()], &random[slot.range.clone()]);
                let key = &slot.spec.key;
                if slot.spec.role == TensorRole::Bias && heads.contains(key) {
                    let score = |bias: f32| 1.0 / (1.0 + (-bias).exp());
                    assert!(first.iter().all(|&bias| (score(bias) - 0.01).abs() < 1e-6));
                } else {
                    assert_eq!(first, random, "{key}");
                }
            }
        }
    }

    #[test]
    fn a_pyramid_that_is_left_out_is_told_with_the_option_that_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let network = MobileNetV3 {
            width_multiplier: 0.1,
            ..MobileNetV3::new(Variant::Small)
        };
        let info = |head, finest| {
            let classes = ClassNames::new(["a", "b"]).unwrap();
            let mut info = ModelInfo::detector(network, classes, 64);
            info.task = Task::Detect(DetectorSettings {
                head,
                finest,
                default_boxes: DefaultBoxSizes::paper(head, finest),
                ..DetectorSettings::default()
            });
            info
        };
        let (paper, pyramid) = (Head::Ssdlite, Head::Fpn { channels: 64 });
        let told = |from: &ModelInfo, to: &ModelInfo| {
            model_from_formula(from).write(&path).unwrap();
            let layout = TensorLayout::new(&to.graph(), &[]);
            let (_, told) = values_from_file(to, &layout, &path, 1).unwrap();
            told.lines()
                .find(|line| line.contains("pyramid"))
                .map(str::to_owned)
        };
        let to = info(paper, FinestMap::Stride16);
        for finest in [FinestMap::Stride8, FinestMap::Stride16] {
            let from = info(pyramid, finest);
            let line = told(&from, &to).unwrap();
            assert!(line.contains("`--head fpn`"), "{line}");
            let keys = |info: &ModelInfo| info.tensors().into_iter().map(|spec| spec.key);
            let left = keys(&from).filter(|key| !keys(&to).any(|own| own == *key));
            let counted = format!("{} tensors", left.count());
            assert!(line.contains(&counted), "{line}: {counted}");
            assert_eq!(told(&from, &from), None);
        }
        assert_eq!(told(&to, &to), None);
        assert_eq!(told(&to, &info(pyramid, FinestMap::Stride8)), None);
    }

    #[test]
    fn weights_have_torchvisions_deviations() {
        let layout = layout();
        let values = random_values(&layout, 1);
        for (key, deviation) in [
            // 5x5 depthwise: fan out counts the kernel once a channel.
            (
                "backbone.features.0.8.block.1.0.weight",
                (2.0_f64 / (144.0 * 25.0)).sqrt(),
            ),
            ("backbone.features.1.3.0.weight", (2.0_f64 / 576.0).sqrt()),
            ("backbone.extra.0.0.0.weight", 0.03),
            ("head.classification_head.module_list.0.1.weight", 0.03),
        ] {
            let values = &values[layout.range(key).unwrap()];
            let (mean, found) = moments(values);
            let error = deviation / (values.len() as f64).sqrt();
            // Four standard errors of each.
            assert!(mean.abs() < 4.0 * error, "{key}: mean {mean}");
            assert!(
                (found - deviation).abs() < 4.0 * error / 2.0_f64.sqrt(),
                "{key}: {found}"
            );
        }
        for (key, expected) in [
            ("backbone.features.0.0.1.weight", 1.0),
            ("backbone.features.0.0.1.bias", 0.0),
            ("backbone.features.0.0.1.running_var", 1.0),
            ("head.regression_head.module_list.0.1.bias", 0.0),
        ] {
            let values = &values[layout.range(key).unwrap()];
            assert!(values.iter().all(|&value| value == expected), "{key}");
        }
    }
}
