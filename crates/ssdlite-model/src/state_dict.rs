//! Named tensors and their check against a network's inventory.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use ssdlite_core::{TensorRole, TensorSpec};
use ssdlite_files::counted;

use crate::error::{Error, Result};
use crate::safetensors::{RawNumbers, RawTensor, describe};

/// The most keys that an error message lists.
const LISTED_KEYS: usize = 3;

/// The most keys that a report lists one by one: those of the outputs for
/// classes, a weight and a bias for each of six feature maps.
const REPORTED_KEYS: usize = 12;

/// Weights of which a smaller part fits are another network's: the same
/// network with a reduced tail takes almost two thirds, a MobileNetV3 of the
/// other variant or of another width a few that are alike by chance.
const LEAST_FITTING_PART: f64 = 0.5;

/// The numbers of a tensor, the last dimension fastest.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats: everything that a network computes with.
    F32(Vec<f32>),
    /// 64-bit integers: PyTorch's batch counts.
    I64(Vec<i64>),
    /// Another type or kind, by its name. No network needs one, so it was not read.
    Unread(String),
}

/// A tensor outside of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct StateTensor {
    /// Extents, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// As many as the shape says, unless they were not read.
    pub values: Values,
}

impl StateTensor {
    /// Its numbers, if they are 32-bit floats.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::F32(values) => Some(values),
            Values::I64(_) | Values::Unread(_) => None,
        }
    }

    /// Type and shape, as in `f32[16,3,3,3]`.
    fn description(&self) -> String {
        let dtype = match &self.values {
            Values::F32(_) => "f32",
            Values::I64(_) => "i64",
            Values::Unread(name) if self.shape.is_empty() => return name.clone(),
            Values::Unread(name) => name,
        };
        describe(dtype, &self.shape)
    }

    /// The number of values, where they were read.
    fn len(&self) -> usize {
        match &self.values {
            Values::F32(values) => values.len(),
            Values::I64(values) => values.len(),
            Values::Unread(_) => 0,
        }
    }
}

impl From<RawTensor<'_>> for StateTensor {
    fn from(tensor: RawTensor<'_>) -> Self {
        let values = match tensor.numbers {
            RawNumbers::F32(numbers) => {
                Values::F32(numbers.iter().map(|&x| f32::from_le_bytes(x)).collect())
            }
            RawNumbers::I64(numbers) => {
                Values::I64(numbers.iter().map(|&x| i64::from_le_bytes(x)).collect())
            }
            RawNumbers::Other(name) => Values::Unread(name.to_lowercase()),
        };
        Self {
            shape: tensor.shape,
            values,
        }
    }
}

fn expected(spec: &TensorSpec) -> String {
    let dtype = match spec.role {
        TensorRole::BatchesTracked => "i64",
        _ => "f32",
    };
    describe(dtype, &spec.shape)
}

/// Tensors by torchvision's keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateDict(BTreeMap<String, StateTensor>);

impl From<BTreeMap<String, StateTensor>> for StateDict {
    fn from(tensors: BTreeMap<String, StateTensor>) -> Self {
        Self(tensors)
    }
}

impl FromIterator<(String, StateTensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, StateTensor)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

impl IntoIterator for StateDict {
    type Item = (String, StateTensor);
    type IntoIter = std::collections::btree_map::IntoIter<String, StateTensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl StateDict {
    /// The tensor with this key.
    pub fn get(&self, key: &str) -> Option<&StateTensor> {
        self.0.get(key)
    }

    /// Puts a tensor under a key; returns the one that was there.
    pub fn insert(&mut self, key: String, tensor: StateTensor) -> Option<StateTensor> {
        self.0.insert(key, tensor)
    }

    /// All tensors in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &StateTensor)> {
        self.0.iter().map(|(key, tensor)| (key.as_str(), tensor))
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that these are exactly the tensors of a network.
    ///
    /// # Errors
    /// [`Error::WeightsMismatch`] that names what is missing, unexpected, or of
    /// another type or shape; [`Error::Malformed`] for numbers that are not
    /// finite, or negative where a variance is due.
    pub fn check(&self, specs: &[TensorSpec]) -> Result<()> {
        let (fitting, report) = self.sort_out(specs);
        let missing: Vec<_> = report.missing.iter().map(String::as_str).collect();
        let unexpected: Vec<_> = report.unused.iter().map(|key| escaped(key)).collect();
        let unexpected: Vec<_> = unexpected.iter().map(String::as_str).collect();
        let different: Vec<_> = report.different.iter().map(String::as_str).collect();
        let mut faults = Vec::new();
        for (name, keys) in [
            ("missing", missing),
            ("unexpected", unexpected),
            ("different", different),
        ] {
            if !keys.is_empty() {
                faults.push(format!("{} {name}: {}", keys.len(), abridged(&keys)));
            }
        }
        if !faults.is_empty() {
            let faults = faults.join("; ");
            return Err(Error::WeightsMismatch(format!(
                "expected the {} of the network, found {}: {faults}",
                counted(specs.len(), "tensor"),
                self.len()
            )));
        }
        check_values(&fitting)
    }

    /// The tensors that fit a network, with a report on all others.
    ///
    /// # Errors
    /// [`Error::WeightsMismatch`] if less than half of them fit, batch counts
    /// left aside; [`Error::Malformed`] if a fitting one is not finite or has a
    /// negative variance.
    pub fn select_fitting(&self, specs: &[TensorSpec]) -> Result<(Self, LoadReport)> {
        let (fitting, report) = self.sort_out(specs);
        let is_weight = |key: &&String| !key.ends_with(BATCH_COUNT);
        let found = self.0.keys().filter(is_weight).count();
        let fit = report.loaded.iter().filter(is_weight).count();
        if fit == 0 || (fit as f64) < LEAST_FITTING_PART * found as f64 {
            let first = specs.first();
            let first = first.map(|spec| format!("expected {} for {}", expected(spec), spec.key));
            let example = report.different.first().cloned().or(first);
            return Err(Error::WeightsMismatch(format!(
                "the weights are another network's, {fit} of {} fit: {}",
                counted(found, "tensor"),
                example.unwrap_or_default()
            )));
        }
        check_values(&fitting)?;
        let selected = fitting
            .into_iter()
            .map(|(spec, tensor)| (spec.key.clone(), tensor.clone()));
        Ok((selected.collect(), report))
    }

    /// The tensors without those that no network reads: beside its own parts, such as a
    /// loss's, and in them such that are no parameters, as tools leave there that count
    /// operations. Returns the keys of the others too.
    pub fn without_bookkeeping(self, specs: &[TensorSpec]) -> (Self, Vec<String>) {
        fn ends(key: &str) -> (Option<&str>, Option<&str>) {
            (key.split('.').next(), key.rsplit('.').next())
        }
        let known: HashSet<&str> = specs.iter().map(|spec| spec.key.as_str()).collect();
        let (parts, names): (HashSet<_>, HashSet<_>) = known.iter().map(|key| ends(key)).unzip();
        let mut others = Vec::new();
        let kept = self.0.into_iter().filter(|(key, _)| {
            let (part, name) = ends(key);
            let is_parameter = parts.contains(&part) && names.contains(&name);
            let is_kept = known.contains(key.as_str()) || is_parameter;
            if !is_kept {
                others.push(key.clone());
            }
            is_kept
        });
        let kept = kept.collect();
        (Self(kept), others)
    }

    fn sort_out<'a>(
        &'a self,
        specs: &'a [TensorSpec],
    ) -> (Vec<(&'a TensorSpec, &'a StateTensor)>, LoadReport) {
        let mut fitting = Vec::new();
        let mut report = LoadReport::default();
        for spec in specs {
            let key = spec.key.as_str();
            match self.get(key) {
                None => report.missing.push(key.to_owned()),
                Some(tensor) if tensor.description() == expected(spec) => {
                    report.loaded.push(key.to_owned());
                    fitting.push((spec, tensor));
                }
                Some(tensor) => report.different.push(format!(
                    "expected {} for {key}, found {}",
                    expected(spec),
                    tensor.description()
                )),
            }
        }
        let known: HashSet<_> = specs.iter().map(|spec| spec.key.as_str()).collect();
        let unused = self.0.keys().filter(|key| !known.contains(key.as_str()));
        report.unused = unused.cloned().collect();
        (fitting, report)
    }
}

/// How the keys of batch counts end.
pub(crate) const BATCH_COUNT: &str = "num_batches_tracked";

/// A key of a file, which may hold ends of lines, as it stands in messages.
fn escaped(key: &str) -> String {
    key.escape_debug().to_string()
}

/// The first of many keys.
fn abridged(keys: &[&str]) -> String {
    let listed = keys[..keys.len().min(LISTED_KEYS)].join(", ");
    if keys.len() > LISTED_KEYS {
        format!("{listed}, ...")
    } else {
        listed
    }
}

fn check_values(tensors: &[(&TensorSpec, &StateTensor)]) -> Result<()> {
    for (spec, tensor) in tensors {
        let key = &spec.key;
        if tensor.len() != spec.elements() {
            return Err(Error::Malformed(format!(
                "expected as many numbers for {key} as {} asks for, found {}",
                expected(spec),
                tensor.len()
            )));
        }
        let is_variance = spec.role == TensorRole::RunningVar;
        let least = if is_variance { 0.0 } else { f32::MIN };
        let is_sound = |number: f32| least <= number && number <= f32::MAX;
        let numbers = tensor.floats().unwrap_or_default();
        // Without a branch for each of the millions of numbers.
        if numbers.iter().fold(true, |sound, &x| sound & is_sound(x)) {
            continue;
        }
        let fault = numbers.iter().enumerate().find(|&(_, &x)| !is_sound(x));
        if let Some((index, number)) = fault {
            let what = if number.is_finite() {
                "no negative variance"
            } else {
                "finite numbers"
            };
            return Err(Error::Malformed(format!(
                "expected {what} in {key}, found {number} at element {index}"
            )));
        }
    }
    Ok(())
}

/// What became of each tensor when weights were taken over in part.
///
/// Printed, it counts what fits and lists the others, many of them by the part
/// of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Keys of the network that were filled.
    pub loaded: Vec<String>,
    /// Keys of the network that the weights lack.
    pub missing: Vec<String>,
    /// For each key that both have, but in another type or shape, what was
    /// expected and found.
    pub different: Vec<String>,
    /// Keys of the weights that the network lacks.
    pub unused: Vec<String>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loaded", counted(self.loaded.len(), "tensor"))?;
        for (name, keys, list) in [
            (
                "kept their first values, missing in the weights",
                &self.missing,
                by_part(&self.missing),
            ),
            (
                "kept their first values",
                &self.different,
                up_to_limit(&self.different),
            ),
            (
                "of the weights not used",
                &self.unused,
                by_part(&self.unused),
            ),
        ] {
            if !keys.is_empty() {
                write!(f, "\n{} {name}: {list}", keys.len())?;
            }
        }
        Ok(())
    }
}

/// Lists a few keys, or counts many by the part of the network that they belong
/// to, which is what their first two components name.
fn by_part(keys: &[String]) -> String {
    if keys.len() <= REPORTED_KEYS {
        let keys: Vec<_> = keys.iter().map(|key| escaped(key)).collect();
        return keys.join(", ");
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for key in keys {
        let part: Vec<&str> = key.split('.').take(2).collect();
        *counts.entry(part.join(".")).or_default() += 1;
    }
    let parts: Vec<_> = counts
        .iter()
        .map(|(part, count)| format!("{} ({count})", escaped(part)))
        .collect();
    parts.join(", ")
}

fn up_to_limit(entries: &[String]) -> String {
    let listed = entries[..entries.len().min(REPORTED_KEYS)].join(", ");
    match entries.len().checked_sub(REPORTED_KEYS) {
        None | Some(0) => listed,
        Some(more) => format!("{listed}, and {more} more"),
    }
}
