//! Making one network's weights of another's.

use ssdlite_core::{Graph, OutputKind, Part, Scores, TensorSpec};

use crate::state_dict::{StateDict, StateTensor, Values};

/// A classifier's backbone under the keys of a detector with the same
/// MobileNetV3: `features.N` becomes `backbone.features.0.N` up to the
/// expansion of C4 and `backbone.features.1.M` after it. The classifier's
/// linear layers are left out.
///
/// Both are networks on the same MobileNetV3. Shapes are as in `state`;
/// [`StateDict::select_fitting`] tells which of them a detector with a reduced
/// tail can't take.
pub fn detector_state_from_classifier(
    state: &StateDict,
    classifier: &Graph,
    detector: &Graph,
) -> StateDict {
    // Both backbones have the same tensors in the same order.
    let of_backbone = |graph: &Graph| -> Vec<TensorSpec> {
        let tensors = graph.tensors().into_iter();
        tensors.filter(|spec| spec.part == Part::Backbone).collect()
    };
    let keys = of_backbone(classifier)
        .into_iter()
        .zip(of_backbone(detector));
    keys.filter_map(|(from, to)| Some((to.key, state.get(&from.key)?.clone())))
        .collect()
}

/// What a detector's class logits stand for.
#[derive(Clone, Copy, Debug)]
pub struct HeadClasses<'a> {
    /// The names of all classes without the background. They are no
    /// [`ClassNames`](ssdlite_core::ClassNames), as files of others repeat names for
    /// classes that don't occur; of such the first counts.
    pub names: &'a [&'a str],
    /// How scores follow from the logits.
    pub scores: Scores,
}

impl HeadClasses<'_> {
    fn logits(&self) -> usize {
        self.scores.logits(self.names.len())
    }
}

/// The classification heads of a detector whose classes are `to`, filled row by
/// row from one whose classes are `from`: the background and every class of the
/// same name take over their row, the others keep what `initial` has.
///
/// A sigmoid's logit is the lead that a class's logit has over the background's in a
/// softmax: where scores change, the background's row is subtracted from those of the
/// classes, or is 0. So a class alone against the background keeps its score.
///
/// Returns the heads' tensors, for [`StateDict::insert`] into what is loaded
/// then. Heads that don't have the shape that `from` asks for are left out.
pub fn head_rows_by_class(
    source: &StateDict,
    from: HeadClasses<'_>,
    initial: &StateDict,
    to: HeadClasses<'_>,
    network: &Graph,
) -> StateDict {
    let background = match (from.scores, to.scores) {
        (_, Scores::Sigmoid) => None,
        (Scores::Softmax, Scores::Softmax) => Some(Row::Same(0)),
        (Scores::Sigmoid, Scores::Softmax) => Some(Row::Zero),
    };
    let first = from.scores.background_logits();
    let classes = to.names.iter().map(|name| {
        let index = from.names.iter().position(|known| known == name);
        match (index, from.scores == to.scores || first == 0) {
            (None, _) => Row::Initial,
            (Some(index), true) => Row::Same(index + first),
            (Some(index), false) => Row::LeadOverFirst(index + first),
        }
    });
    let rows: Vec<Row> = background.into_iter().chain(classes).collect();
    let tensors = class_head_keys(network).into_iter().filter_map(|key| {
        let tensor = merge_rows(source.get(&key)?, from.logits(), initial.get(&key)?, &rows)?;
        Some((key, tensor))
    });
    tensors.collect()
}

/// Where a row of a head comes from.
#[derive(Clone, Copy)]
enum Row {
    /// What it began with.
    Initial,
    /// That row of the source.
    Same(usize),
    /// That row of the source less its first.
    LeadOverFirst(usize),
    Zero,
}

/// The keys of the tensors that tell classes apart: of a detector's classification heads,
/// of a classifier's last layer.
pub fn class_head_keys(network: &Graph) -> Vec<String> {
    let outputs = network.outputs();
    let heads = outputs.filter(|(_, output)| output.kind == OutputKind::Logits);
    let nodes = heads.flat_map(|(node, _)| &node.inputs);
    let keys = nodes.map(|&id| [network.node(id).weight_key(), network.node(id).bias_key()]);
    let mut keys: Vec<[String; 2]> = keys.collect();
    // Maps that share a head stand together.
    keys.dedup();
    keys.into_flattened()
}

/// How many classes the outputs of a state dict tell apart, a detector's background
/// counted; `None` where they are not those of such a network. Its class count may be
/// any.
pub fn output_count(state: &StateDict, network: &Graph) -> Option<usize> {
    let mut outputs = network.outputs();
    let (node, output) = outputs.find(|(_, output)| output.kind == OutputKind::Logits)?;
    let first = network.node(*node.inputs.first()?);
    let boxes = first.channels / output.numbers;
    let found = *state.get(&first.bias_key())?.shape.first()?;
    found.is_multiple_of(boxes).then_some(found / boxes)
}

/// `initial` with the rows of each default box from `source`, where it has
/// `source_rows` a box; `None` if the shapes don't fit.
fn merge_rows(
    source: &StateTensor,
    source_rows: usize,
    initial: &StateTensor,
    rows: &[Row],
) -> Option<StateTensor> {
    let (Values::F32(old), Values::F32(new)) = (&source.values, &initial.values) else {
        return None;
    };
    let boxes = initial.shape.first()? / rows.len();
    let fits = source.shape.first() == Some(&(boxes * source_rows))
        && source.shape[1..] == initial.shape[1..];
    if !fits {
        return None;
    }
    let length: usize = initial.shape[1..].iter().product();
    let mut values = new.clone();
    let slots = values.chunks_exact_mut((rows.len() * length).max(1));
    for (slots, old) in slots.zip(old.chunks_exact((source_rows * length).max(1))) {
        for (slot, row) in slots.chunks_exact_mut(length).zip(rows) {
            match *row {
                Row::Initial => {}
                Row::Zero => slot.fill(0.0),
                Row::Same(row) => slot.copy_from_slice(&old[row * length..][..length]),
                Row::LeadOverFirst(row) => {
                    let pairs = old[row * length..].iter().zip(old);
                    for (slot, (value, first)) in slot.iter_mut().zip(pairs) {
                        *slot = value - first;
                    }
                }
            }
        }
    }
    Some(StateTensor {
        shape: initial.shape.clone(),
        values: Values::F32(values),
    })
}
