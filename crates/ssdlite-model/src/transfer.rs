//! Making one network's weights of another's.

use ssdlite_core::{ClassNames, Graph, OutputKind, Part, TensorSpec};

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

/// The classification heads of a detector whose classes are `to`, filled row by
/// row from one whose classes are `from`: the background and every class of the
/// same name take over their row, the others keep what `initial` has.
///
/// `from` lists the names of all output classes without the background. It is
/// no [`ClassNames`], as files of others repeat names for classes that don't
/// occur; of such the first counts.
///
/// Returns the heads' tensors, for [`StateDict::insert`] into what is loaded
/// then. Heads that don't have the shape that `from` asks for are left out.
pub fn head_rows_by_class(
    source: &StateDict,
    from: &[&str],
    initial: &StateDict,
    to: &ClassNames,
    network: &Graph,
) -> StateDict {
    let rows: Vec<Option<usize>> = std::iter::once(Some(0))
        .chain(to.iter().map(|name| {
            let index = from.iter().position(|&known| known == name)?;
            Some(index + 1)
        }))
        .collect();
    let tensors = class_head_keys(network).into_iter().filter_map(|key| {
        let tensor = merge_rows(source.get(&key)?, from.len() + 1, initial.get(&key)?, &rows)?;
        Some((key, tensor))
    });
    tensors.collect()
}

/// The keys of the tensors that tell classes apart: of a detector's classification heads,
/// of a classifier's last layer.
pub fn class_head_keys(network: &Graph) -> Vec<String> {
    let outputs = network.outputs();
    let heads = outputs.filter(|(_, output)| output.kind == OutputKind::Logits);
    let keys = heads.flat_map(|(node, _)| &node.inputs).flat_map(|&id| {
        let head = network.node(id);
        [head.weight_key(), head.bias_key()]
    });
    let mut keys: Vec<String> = keys.collect();
    // Maps that share a head stand together.
    keys.dedup();
    keys
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

/// `initial` with row `i` of each default box replaced by row `rows[i]` of
/// `source`; `None` if the shapes don't fit.
fn merge_rows(
    source: &StateTensor,
    source_rows: usize,
    initial: &StateTensor,
    rows: &[Option<usize>],
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
    for default_box in 0..boxes {
        for (row, source_row) in rows.iter().enumerate() {
            let Some(source_row) = source_row else {
                continue;
            };
            let to = (default_box * rows.len() + row) * length;
            let from = (default_box * source_rows + source_row) * length;
            values[to..to + length].copy_from_slice(old.get(from..from + length)?);
        }
    }
    Some(StateTensor {
        shape: initial.shape.clone(),
        values: Values::F32(values),
    })
}
