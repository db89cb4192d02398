//! The classes of a set by their numbers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ssdlite_core::ClassNames;

use crate::error::Result;
use crate::finding::{Finding, FindingKind, quoted};

/// The names of files with a class's name a line, in lower case: of labelImg and Label
/// Studio, of darknet and CVAT, of Roboflow.
const FILES: [&str; 4] = [
    "classes.txt",
    "obj.names",
    "_darknet.labels",
    "predefined_classes.txt",
];

/// Whether a file has a class's name a line, by its own.
pub(super) fn is_names_file(name: &str) -> bool {
    let name = name.to_lowercase();
    FILES.contains(&&*name) || name.ends_with(".names")
}

/// The classes by their numbers in label files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    Told(BTreeMap<u32, Arc<str>>),
    /// Nothing names them: they are called by their numbers.
    Untold,
}

impl Names {
    /// One name a line, numbered from 0.
    pub(super) fn from_lines(text: &str) -> Self {
        let lines = text.lines().map(str::trim).zip(0..);
        let named = lines.filter(|(name, _)| !name.is_empty());
        Self::Told(named.map(|(name, number)| (number, name.into())).collect())
    }

    /// The name of the class with this number.
    pub(super) fn get(&self, number: u32) -> Option<Arc<str>> {
        match self {
            Self::Told(names) => names.get(&number).cloned(),
            Self::Untold => Some(untold(number).into()),
        }
    }

    /// How many there are, for a message.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Told(names) => names.len(),
            Self::Untold => 0,
        }
    }

    /// The names that classes may have, in the order of their numbers, and what is
    /// wrong with the others in `file`; none if there is none.
    ///
    /// # Errors
    /// [`Error::OverLimit`](crate::Error::OverLimit) for too many.
    pub(super) fn classes(&self, file: &str) -> Result<(Option<ClassNames>, Vec<Finding>)> {
        let Self::Told(names) = self else {
            return Ok((None, Vec::new()));
        };
        let mut findings = Vec::new();
        let mut numbers: HashMap<String, u32> = HashMap::new();
        let mut sound = Vec::new();
        for (&number, name) in names {
            if let Some(fault) = ClassNames::fault_of(name) {
                let message = format!("class {number}: {fault}");
                findings.push(Finding::error(file, FindingKind::InvalidClass, message));
                continue;
            }
            let composed: String = ClassNames::new([name])?.iter().collect();
            if let Some(&other) = numbers.get(&composed) {
                let message = format!(
                    "the classes {other} and {number} are both called {}; they count as one",
                    quoted(name)
                );
                findings.push(Finding::warning(file, FindingKind::SimilarClasses, message));
                continue;
            }
            numbers.insert(composed.clone(), number);
            sound.push(composed);
        }
        let classes = match sound.is_empty() {
            true => None,
            false => Some(ClassNames::new(sound)?),
        };
        Ok((classes, findings))
    }
}

/// The classes with these numbers, where nothing names them.
pub(super) fn untold_classes(numbers: impl IntoIterator<Item = u32>) -> Result<ClassNames> {
    Ok(ClassNames::new(numbers.into_iter().map(untold))?)
}

fn untold(number: u32) -> String {
    format!("class_{number}")
}

/// The number in a name that [`untold`] made.
pub(super) fn untold_number(name: &str) -> Option<u32> {
    name.strip_prefix("class_")?.parse().ok()
}
