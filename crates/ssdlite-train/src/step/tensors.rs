//! Where each tensor of a network lies in a flat vector.

use std::collections::HashMap;
use std::ops::Range;

use ssdlite_core::{Graph, Part, TensorRole, TensorSpec};

/// A tensor's place.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSlot {
    /// Its name, shape and role.
    pub spec: TensorSpec,
    /// Where its numbers lie, in PyTorch's order.
    pub range: Range<usize>,
    /// Whether gradients change it: a parameter of a part that trains.
    pub trained: bool,
}

/// The places of all tensors of a network, one after the other in the order of
/// its inventory. Counts (`num_batches_tracked`) are kept as floats.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorLayout {
    slots: Vec<TensorSlot>,
    by_key: HashMap<String, usize>,
    trained: Vec<Part>,
}

impl TensorLayout {
    /// The layout of a network of which some parts train.
    pub fn new(graph: &Graph, trained: &[Part]) -> Self {
        let mut end = 0;
        let specs = graph.tensors().into_iter();
        let slots: Vec<TensorSlot> = specs
            .map(|spec| {
                let start = end;
                end += spec.elements();
                TensorSlot {
                    range: start..end,
                    trained: spec.role.is_parameter() && trained.contains(&spec.part),
                    spec,
                }
            })
            .collect();
        let keys = slots.iter().map(|slot| slot.spec.key.clone());
        Self {
            by_key: keys.zip(0..).collect(),
            slots,
            trained: trained.to_vec(),
        }
    }

    /// All tensors in order.
    pub fn slots(&self) -> &[TensorSlot] {
        &self.slots
    }

    /// Numbers of all tensors together.
    pub fn len(&self) -> usize {
        self.slots.last().map_or(0, |slot| slot.range.end)
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many numbers are trained.
    pub fn trained_count(&self) -> usize {
        let trained = self.slots.iter().filter(|slot| slot.trained);
        trained.map(|slot| slot.range.len()).sum()
    }

    /// Where the numbers of a tensor lie; none if the network has no such
    /// tensor.
    pub fn range(&self, key: &str) -> Option<Range<usize>> {
        let index = *self.by_key.get(key)?;
        Some(self.slots[index].range.clone())
    }

    /// Whether a part that trains has running statistics.
    pub fn has_statistics(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.any(|slot| slot.spec.role == TensorRole::RunningMean && self.trains(slot.spec.part))
    }

    /// Whether a part trains.
    pub fn trains(&self, part: Part) -> bool {
        self.trained.contains(&part)
    }
}
