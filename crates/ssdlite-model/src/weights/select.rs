//! Which of a file's tensors are a network's weights, and under which keys.

use std::collections::BTreeMap;

use ssdlite_core::{MobileNetV3, Variant};
use ssdlite_files::counted;

use super::WeightsKind;
use super::stored::{Named, Stored};
use crate::error::{Error, Result};
use crate::state_dict::BATCH_COUNT;

/// A place with fewer of the network's tensors than this part of the fullest has no
/// network of its own: gradients, momenta or averages of the parameters alone are two
/// thirds of a state dict.
const LEAST_PART: f64 = 0.75;

/// The most networks of a file.
const MAX_PLACES: usize = 32;

/// Names that scripts give to averaged weights, alone or as a part of a longer name.
const AVERAGED: [&str; 6] = ["ema", "swa", "avg", "average", "averaged", "shadow"];

/// The tensors to read.
pub(super) struct Selection {
    /// Under the keys that they have in the network.
    pub(super) tensors: Vec<(String, Stored)>,
    /// What a user should know of it.
    pub(super) notes: Vec<String>,
}

/// The keys of the first convolution in a classifier and in a detector: with these
/// the keys of all networks here begin.
fn first_keys() -> [String; 2] {
    let network = MobileNetV3::new(Variant::Small);
    [network.classifier(1), network.detector(1, &[1; 6])].map(|graph| {
        let first = graph.tensors().into_iter().next();
        first.map_or_else(String::new, |spec| spec.key)
    })
}

/// A place in a file where a network's weights are.
struct Place<'a> {
    /// What stands before the network's keys.
    prefix: &'a str,
    tensors: BTreeMap<&'a str, &'a Stored>,
}

impl<'a> Place<'a> {
    /// The place whose first convolution is `first`, among all places' prefixes.
    fn of(first: &'a Named, prefix: &'a str, prefixes: &[&str], all: &'a [Named]) -> Self {
        // A network that was saved whole has a dictionary for each of its parts.
        let is_whole = first.container > prefix.len();
        // An average may be kept in the network that it is of.
        let within: Vec<&str> = prefixes
            .iter()
            .copied()
            .filter(|inner| inner.len() > prefix.len() && inner.starts_with(prefix))
            .collect();
        let tensors = all
            .iter()
            .filter(|named| is_whole || named.container() == first.container())
            .filter(|named| !within.iter().any(|inner| named.path.starts_with(inner)))
            .filter_map(|named| Some((named.path.strip_prefix(prefix)?, &named.tensor)));
        Self {
            prefix,
            tensors: tensors.collect(),
        }
    }

    /// The dictionary with most tensors, for a file of which no network is known.
    fn fullest(all: &'a [Named]) -> Option<Self> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for named in all {
            *counts.entry(named.container()).or_default() += 1;
        }
        let (prefix, _) = counts.into_iter().max_by_key(|&(_, count)| count)?;
        let first = all.iter().find(|named| named.container() == prefix)?;
        Some(Self::of(first, prefix, &[], all))
    }

    fn weights(&self) -> usize {
        let keys = self.tensors.keys();
        keys.filter(|key| !key.ends_with(BATCH_COUNT)).count()
    }

    fn is_averaged(&self, all: &[Named]) -> bool {
        let lower = self.prefix.to_lowercase();
        let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
        words.any(|word| AVERAGED.contains(&word) || word.starts_with("ema"))
            || all.iter().any(|named| self.is_counted_by(&named.path))
    }

    /// Whether a tensor is the count of PyTorch's `AveragedModel` that has this network
    /// in it.
    fn is_counted_by(&self, path: &str) -> bool {
        let model = path.strip_suffix("n_averaged");
        let inner = model.and_then(|model| self.prefix.strip_prefix(model));
        inner.is_some_and(|inner| inner.starts_with("module."))
    }

    fn name(&self) -> String {
        if self.prefix.is_empty() {
            "at the top of the file".into()
        } else {
            format!("under `{}`", self.prefix.escape_debug())
        }
    }
}

/// Finds the weights.
///
/// # Errors
/// [`Error::Malformed`] where there are none of this kind.
pub(super) fn weights(all: &[Named], kind: WeightsKind) -> Result<Selection> {
    let firsts = first_keys();
    let mut found: Vec<(&str, &Named)> = Vec::new();
    for named in all {
        let prefix = firsts.iter().find_map(|key| {
            let prefix = named.path.strip_suffix(key.as_str())?;
            (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
        });
        if let Some(prefix) = prefix
            && found.iter().all(|&(known, _)| known != prefix)
        {
            if found.len() == MAX_PLACES {
                return Err(Error::OverLimit(format!(
                    "expected at most {MAX_PLACES} networks in a file, found more"
                )));
            }
            found.push((prefix, named));
        }
    }
    let prefixes: Vec<&str> = found.iter().map(|&(prefix, _)| prefix).collect();
    let places = found.into_iter();
    let places = places.map(|(prefix, first)| Place::of(first, prefix, &prefixes, all));
    let places: Vec<Place<'_>> = places.collect();
    let most = places.iter().map(Place::weights).max().unwrap_or(0);
    let (mut places, parts): (Vec<_>, Vec<_>) = places
        .into_iter()
        .partition(|place| place.weights() as f64 >= LEAST_PART * most as f64);
    if places.is_empty() {
        places.extend(Place::fullest(all));
    }
    let (averaged, plain): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|place| place.is_averaged(all));
    let names = |places: &[Place<'_>]| {
        let names: Vec<_> = places.iter().map(Place::name).collect();
        names.join(" and ")
    };
    let mut notes = Vec::new();
    let chosen = match kind {
        WeightsKind::Plain if plain.is_empty() => averaged,
        WeightsKind::Plain => {
            if !averaged.is_empty() {
                notes.push(format!(
                    "the plain weights {} are taken; `ssdlite import --ema` takes the averaged \
                     ones {}",
                    names(&plain[..1]),
                    names(&averaged)
                ));
            }
            plain
        }
        WeightsKind::Averaged if averaged.is_empty() => {
            if let Some(part) = parts.iter().find(|place| place.is_averaged(all)) {
                return Err(Error::Malformed(format!(
                    "expected averaged weights of the whole network, found {} of its {most} \
                     tensors {}: the means and variances of its normalizations may be missing",
                    part.weights(),
                    part.name()
                )));
            }
            return Err(Error::Malformed(format!(
                "expected averaged weights, found others alone, {}",
                names(&plain)
            )));
        }
        WeightsKind::Averaged => {
            if !plain.is_empty() {
                notes.push(format!(
                    "the averaged weights {} are taken, not the plain ones {}",
                    names(&averaged[..1]),
                    names(&plain)
                ));
            }
            averaged
        }
    };
    // Of places that are alike the first, as dictionaries keep the order in which a
    // script puts things.
    let place = chosen.first().filter(|place| !place.tensors.is_empty());
    let place = place.ok_or_else(|| Error::Malformed("expected tensors, found none".into()))?;
    if chosen.len() > 1 {
        notes.push(format!(
            "there are several networks, {}: the first is taken",
            names(&chosen)
        ));
    }
    if !place.prefix.is_empty() {
        notes.push(format!(
            "`{}` was taken off the names of {}",
            place.prefix.escape_debug(),
            counted(place.tensors.len(), "tensor")
        ));
    }
    let tensors = place.tensors.iter();
    Ok(Selection {
        tensors: tensors
            .map(|(&key, &tensor)| (key.to_owned(), tensor.clone()))
            .collect(),
        notes,
    })
}
