//! What a network took over from a file of weights, in words.

use std::collections::HashSet;

use ssdlite_core::{
    ClassNames, DefaultBoxSizes, DetectorSettings, FinestMap, Graph, Head, ModelInfo, Part, Task,
};
use ssdlite_files::counted;
use ssdlite_model::{LoadReport, StateDict, class_head_keys};

/// The most names of classes that a message lists.
const LISTED_CLASSES: usize = 8;

/// A part of a network by the name that people read.
const fn name_of_part(part: Part) -> &'static str {
    match part {
        Part::Backbone => "backbone",
        Part::Extra => "extra blocks",
        Part::Neck => "neck",
        Part::Head => "heads",
    }
}

/// How many tensors of each part of a network were filled.
pub(super) fn counts_by_part(graph: &Graph, report: &LoadReport) -> String {
    let tensors = graph.tensors();
    let parts = [Part::Backbone, Part::Extra, Part::Neck, Part::Head];
    let counts = parts.into_iter().filter_map(|part| {
        let of_part = tensors.iter().filter(|spec| spec.part == part);
        let all = of_part.clone().count();
        let taken = of_part.filter(|spec| report.loaded.contains(&spec.key));
        (all > 0).then(|| format!("{} {} of {all}", name_of_part(part), taken.count()))
    });
    let counts: Vec<String> = counts.collect();
    format!("by part: {}", counts.join(", "))
}

/// What a detector without a feature pyramid leaves of a file that has one, and the option
/// that takes it; none of another file.
pub(super) fn left_pyramid(state: &StateDict, info: &ModelInfo) -> Option<String> {
    let Task::Detect(settings) = &info.task else {
        return None;
    };
    let head = Head::Fpn {
        channels: Head::USUAL_CHANNELS,
    };
    // With a map of stride 8 a pyramid has all the tensors that it has without.
    let finest = FinestMap::Stride8;
    let pyramid = ModelInfo {
        task: Task::Detect(DetectorSettings {
            head,
            finest,
            default_boxes: DefaultBoxSizes::paper(head, finest),
            ..settings.clone()
        }),
        ..info.clone()
    };
    let own: HashSet<String> = info.tensors().into_iter().map(|spec| spec.key).collect();
    let left = pyramid.tensors().into_iter();
    let left = left.filter(|spec| !own.contains(&spec.key) && state.get(&spec.key).is_some());
    // A head's names alone may be another network's.
    let has_neck = left.clone().any(|spec| spec.part == Part::Neck);
    let left = left.count();
    let is_left = has_neck && settings.head == Head::Ssdlite;
    is_left.then(|| {
        format!(
            "the file has a feature pyramid, of which {} are left out: `--head {}` takes them over",
            counted(left, "tensor"),
            head.name()
        )
    })
}

/// What became of the tensors that tell classes apart, which are called `heads`: those
/// of a file whose classes are `from`, if it says, in a network whose classes are `to`.
pub(super) struct ClassHeads<'a> {
    pub(super) heads: &'static str,
    pub(super) from: Option<&'a ClassNames>,
    pub(super) to: &'a ClassNames,
    /// Whether the file's scores follow from its logits in another way.
    pub(super) is_converted: bool,
    /// Whether the background has rows.
    pub(super) has_background: bool,
    /// Whether each class of the same name has its rows, and no others.
    pub(super) by_name: bool,
}

impl ClassHeads<'_> {
    pub(super) fn text(&self, graph: &Graph, report: &LoadReport) -> String {
        let keys = class_head_keys(graph);
        let taken = keys.iter().all(|key| report.loaded.contains(key));
        let Self { heads, to, .. } = *self;
        let as_a_whole = match (taken, self.is_converted) {
            (true, false) => "taken over as they stand",
            (true, true) => "taken over, converted to the scores of the loss",
            (false, _) => "begun anew",
        };
        let Some(from) = self.from else {
            return format!("{heads} {as_a_whole}: the file names no classes");
        };
        if from == to {
            return format!("{heads} {as_a_whole}: the classes are the file's");
        }
        let is_in = |names: &ClassNames, name: &str| names.iter().any(|known| known == name);
        let (same, new): (Vec<&str>, Vec<&str>) = to.iter().partition(|name| is_in(from, name));
        let unused: Vec<&str> = from.iter().filter(|name| !is_in(to, name)).collect();
        let fate = match (taken && self.by_name, same.is_empty()) {
            (true, false) => "taken over by name",
            (true, true) if self.has_background => "begun anew but for the background",
            (true, true) => "begun anew",
            (false, _) => as_a_whole,
        };
        let lists = [
            ("in both", same),
            ("here alone", new),
            ("in the file alone", unused),
        ]
        .map(|(what, names)| format!("{what}: {}", listed(&names)));
        format!("{heads} {fate}; classes {}", lists.join("; "))
    }
}

/// The first of many names.
fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    let shown = names[..names.len().min(LISTED_CLASSES)].join(", ");
    match names.len().saturating_sub(LISTED_CLASSES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
