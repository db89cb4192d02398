//! The categories of a file, and which of them are classes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ssdlite_core::ClassNames;

use crate::detection::annotation::Fault;
use crate::finding::{FileFindings, Finding, FindingKind, quoted};
use crate::formats::coco::raw::{Key, RawAnnotation, RawCategory};

/// The names of a file's categories.
pub(super) struct Categories {
    names: BTreeMap<Key, Arc<str>>,
    /// Those that classes may have, in the order of their ids, each once.
    pub(super) classes: Vec<String>,
}

impl Categories {
    /// Reads the categories of a `file`, of which the objects use some.
    pub(super) fn new(
        raw: &[RawCategory],
        objects: &[RawAnnotation],
        file: &str,
        findings: &mut FileFindings,
    ) -> Self {
        let used: HashSet<Key> = (objects.iter())
            .filter_map(|object| Key::of(&object.category_id))
            .collect();
        let mut above: HashMap<String, Vec<Option<Key>>> = HashMap::new();
        for category in raw {
            if let Some(name) = category.supercategory.text() {
                above.entry(name).or_default().push(Key::of(&category.id));
            }
        }
        let mut names: BTreeMap<Key, Arc<str>> = BTreeMap::new();
        let mut groups = HashSet::new();
        for (index, category) in raw.iter().enumerate() {
            let mut fault = |kind, message: String| {
                let message = format!("category {}: {message}", index + 1);
                findings.push(Finding::error(file, kind, message));
            };
            let (Some(id), Some(name)) = (Key::of(&category.id), category.name.text()) else {
                let message = format!(
                    "expected an id and a name, found {} and {}",
                    category.id, category.name
                );
                fault(FindingKind::BadDescription, message);
                continue;
            };
            if names.contains_key(&id) {
                let message = format!("found again the id {id}, for {}", quoted(&name));
                fault(FindingKind::RepeatedId, message);
                continue;
            }
            let below = above.get(&name);
            let is_above_another =
                below.is_some_and(|ids| ids.iter().any(|other| other.as_ref() != Some(&id)));
            if is_above_another && !used.contains(&id) {
                groups.insert(id.clone());
            }
            names.insert(id, name.into());
        }
        let classes = classes_of(&names, &groups, file, findings);
        Self { names, classes }
    }

    /// The name of an object's class.
    pub(super) fn name_of(&self, object: &RawAnnotation) -> Result<Arc<str>, Fault> {
        let id = Key::of(&object.category_id);
        let name = id.as_ref().and_then(|id| self.names.get(id));
        name.cloned().ok_or_else(|| {
            let message = format!(
                "the category {} is none of the {} of the file",
                object.category_id,
                self.names.len()
            );
            (FindingKind::UnknownClass, message)
        })
    }
}

/// The names that classes may have, and what is wrong with the others.
fn classes_of(
    names: &BTreeMap<Key, Arc<str>>,
    groups: &HashSet<Key>,
    file: &str,
    findings: &mut FileFindings,
) -> Vec<String> {
    let mut classes = Vec::new();
    let mut ids: HashMap<String, &Key> = HashMap::new();
    for (id, name) in names {
        if groups.contains(id) {
            let message = format!(
                "the category {id} ({}) is what others belong to, and no object's: it is no class",
                quoted(name)
            );
            findings.push(Finding::warning(file, FindingKind::NotRead, message));
            continue;
        }
        if let Some(fault) = ClassNames::fault_of(name) {
            let message = format!("the category {id}: {fault}");
            findings.push(Finding::error(file, FindingKind::InvalidClass, message));
            continue;
        }
        let composed: Vec<String> = ClassNames::new([name]).map(Vec::from).unwrap_or_default();
        for class in composed {
            if let Some(other) = ids.get(&class) {
                let message = format!(
                    "the categories {other} and {id} are both called {}; they count as one",
                    quoted(name)
                );
                findings.push(Finding::warning(file, FindingKind::SimilarClasses, message));
                continue;
            }
            ids.insert(class.clone(), id);
            classes.push(class);
        }
    }
    classes
}
