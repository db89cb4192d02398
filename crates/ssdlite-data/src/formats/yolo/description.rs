//! The file that describes a set, `data.yaml`: what its classes are called and where
//! its images are.
//!
//! Paths in it were written on another machine, for a program that starts in another
//! folder. So they stand for what is there by that name in the description's own
//! folder; nothing is opened by a path from the file.

use std::collections::BTreeMap;
use std::sync::Arc;

use ssdlite_core::classes::MAX_CLASSES;

use crate::error::{self, Error};
use crate::files::read_bounded;
use crate::finding::{Finding, FindingKind, quoted};
use crate::formats::recognise::is_yolo_description;
use crate::formats::text::text_from_bytes;
use crate::formats::yolo::names::Names;
use crate::formats::yolo::yaml::{self, Node};
use crate::split::Split;
use crate::tree::{Tree, TreeFile, under};

/// The largest description that is read.
const MAX_DESCRIPTION_BYTES: u64 = 4 << 20;

/// The most folders and lists of a split.
const MAX_PLACES: usize = 100;

/// The most names in a path.
const MAX_STEPS: usize = 32;

/// What a description says.
#[derive(Clone, Debug)]
pub(super) struct Description {
    /// Its file, seen from the data folder.
    pub(super) file: String,
    /// The folder that it is in.
    pub(super) base: String,
    pub(super) names: Option<Names>,
    /// Whether objects have key points behind their boxes.
    pub(super) has_keypoints: bool,
    /// What each split is made of.
    pub(super) splits: BTreeMap<Split, Vec<Place>>,
    pub(super) findings: Vec<Finding>,
}

/// Some images of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Those in a folder, seen from the data folder.
    Folder(String),
    /// Those in a list.
    List(String),
}

impl Description {
    /// The description nearest to the data folder, if there is one; of several beside
    /// each other that called `data.yaml`.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it can't be read: nothing else tells what the numbers of
    /// the classes mean. [`Error::OverLimit`] for too long a file.
    pub(super) fn in_tree(tree: &Tree) -> error::Result<Option<Self>> {
        let is_yaml = |file: &&TreeFile| ["yaml", "yml"].contains(&&*file.ending());
        let mut found: Vec<&TreeFile> = (tree.files.iter())
            .filter(is_yaml)
            .filter(|file| is_yolo_description(file))
            .collect();
        found.sort_by_key(|file| {
            let depth = match file.folder.as_str() {
                "" => 0,
                folder => 1 + folder.matches('/').count(),
            };
            (depth, !file.name.eq_ignore_ascii_case("data.yaml"))
        });
        let Some((first, others)) = found.split_first() else {
            return Ok(None);
        };
        let name = first.file();
        let malformed =
            |fault: String| Error::Malformed(format!("{}: {name}: {fault}", tree.root().display()));
        let bytes = read_bounded(&first.path, MAX_DESCRIPTION_BYTES)?;
        let text = text_from_bytes(&bytes).map_err(malformed)?;
        let text = text.trim_start_matches('\u{feff}');
        let root = yaml::parse(text).map_err(malformed)?;
        let mut description = Self {
            file: name.clone(),
            base: first.folder.clone(),
            names: names_in(&root).map_err(malformed)?,
            has_keypoints: root.get("kpt_shape").map_err(malformed)?.is_some(),
            splits: BTreeMap::new(),
            findings: Vec::new(),
        };
        for other in others {
            let message = format!("is not read, as {} describes the set", quoted(&name));
            let finding = Finding::warning(other.file(), FindingKind::NotRead, message);
            description.findings.push(finding);
        }
        description.check_count(&root).map_err(malformed)?;
        description.find_splits(&root, tree).map_err(malformed)?;
        Ok(Some(description))
    }

    /// Compares the number of classes with their names.
    fn check_count(&mut self, root: &Node) -> Result<(), String> {
        let Some(Node::Text(count)) = root.get("nc")? else {
            return Ok(());
        };
        let names = match &self.names {
            Some(names) => names.len(),
            None => {
                let count: Option<u32> = count.trim().parse().ok();
                let sound = count.filter(|&count| count as usize <= MAX_CLASSES);
                let count = sound.ok_or_else(|| {
                    format!("nc: expected a number of classes up to {MAX_CLASSES}")
                })?;
                let names = (0..count).map(|number| (number, format!("class_{number}").into()));
                self.names = Some(Names::Told(names.collect()));
                return Ok(());
            }
        };
        if count.trim() != names.to_string() {
            let message = format!("nc is {}, but {names} classes have names", quoted(count));
            let finding = Finding::warning(&self.file, FindingKind::BadDescription, message);
            self.findings.push(finding);
        }
        Ok(())
    }

    fn find_splits(&mut self, root: &Node, tree: &Tree) -> Result<(), String> {
        let path = match root.get("path")? {
            Some(Node::Text(path)) => path.as_str(),
            Some(other) => return Err(format!("path: expected text, found {}", other.kind())),
            None => "",
        };
        let Node::Map(entries) = root else {
            return Err(format!("expected a map, found {}", root.kind()));
        };
        for (key, value) in entries {
            let Some(split) = Split::from_folder_name(key) else {
                continue;
            };
            root.get(key)?;
            let texts = texts_of(value).map_err(|fault| format!("{key}: {fault}"))?;
            if texts.len() > MAX_PLACES {
                let found = texts.len();
                return Err(format!(
                    "{key}: expected at most {MAX_PLACES} places, found {found}"
                ));
            }
            for text in texts {
                let inside = place_of(tree, &self.base, path, text);
                match inside.or_else(|| place_of(tree, "", path, text)) {
                    Some(place) => self.splits.entry(split).or_default().push(place),
                    None => {
                        let message = format!(
                            "{}: found neither folder nor list at {}",
                            quoted(key),
                            quoted(text)
                        );
                        let kind = FindingKind::EmptySplit;
                        self.findings
                            .push(Finding::warning(&self.file, kind, message));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The names of the classes: a list, or a map from their numbers.
fn names_in(root: &Node) -> Result<Option<Names>, String> {
    let text_of = |number: u32, node: &Node| match node {
        Node::Text(name) => Ok((number, Arc::from(name.trim()))),
        other => Err(format!(
            "names: {number}: expected text, found {}",
            other.kind()
        )),
    };
    let names = match root.get("names")? {
        None => return Ok(None),
        Some(Node::List(names)) => {
            let numbered = (0..).zip(names);
            numbered
                .map(|(number, name)| text_of(number, name))
                .collect::<Result<_, _>>()?
        }
        Some(Node::Map(entries)) => {
            let mut names = BTreeMap::new();
            for (key, name) in entries {
                let number: u32 = key.trim().parse().map_err(|_| {
                    format!(
                        "names: expected the number of a class, found {}",
                        quoted(key)
                    )
                })?;
                let (number, name) = text_of(number, name)?;
                if names.insert(number, name).is_some() {
                    return Err(format!("names: found the class {number} twice"));
                }
            }
            names
        }
        Some(other @ Node::Text(_)) if !texts_of(other)?.is_empty() => {
            return Err("names: expected a list or a map of names, found text".into());
        }
        Some(Node::Text(_)) => return Ok(None),
    };
    Ok(Some(Names::Told(names)))
}

/// The texts of a value: one, several or none.
fn texts_of(node: &Node) -> Result<Vec<&str>, String> {
    match node {
        // As YAML writes nothing.
        Node::Text(text) if ["", "~", "null"].contains(&text.trim()) => Ok(Vec::new()),
        Node::Text(text) => Ok(vec![text.trim()]),
        Node::List(items) => {
            let texts: Result<Vec<Vec<&str>>, String> = items.iter().map(texts_of_item).collect();
            Ok(texts?.concat())
        }
        Node::Map(_) => Err("expected a folder, a list of images, or several, found a map".into()),
    }
}

fn texts_of_item(node: &Node) -> Result<Vec<&str>, String> {
    match node {
        Node::Text(_) => texts_of(node),
        other => Err(format!("expected text, found {}", other.kind())),
    }
}

/// What is there by the name that an entry gives, in the set's `path`.
fn place_of(tree: &Tree, base: &str, path: &str, entry: &str) -> Option<Place> {
    let inner = steps(entry);
    let whole: Vec<&str> = match is_absolute(entry) {
        true => inner.clone(),
        false => steps(path)
            .into_iter()
            .chain(inner.iter().copied())
            .collect(),
    };
    if whole.len() > MAX_STEPS {
        return None;
    }
    let shortest = match (is_absolute(entry), inner.last()) {
        (false, _) => inner.len(),
        // One name of a path alone may be another folder's, unless it tells the split.
        (true, Some(last)) if Split::from_folder_name(last).is_some() => 1,
        (true, _) => 2,
    };
    let candidates = (0..=whole.len()).map(|start| &whole[start..]);
    let mut candidates = candidates.filter(|steps| steps.len() >= shortest);
    candidates.find_map(|steps| {
        let name = under(base, &steps.join("/"));
        let name = name.trim_end_matches('/');
        let folder = tree.all_folders().find(|folder| *folder == name);
        let alike = || {
            tree.all_folders()
                .find(|folder| folder.eq_ignore_ascii_case(name))
        };
        if let Some(folder) = folder.or_else(alike) {
            return Some(Place::Folder(folder.to_owned()));
        }
        let (folder, bare) = name.rsplit_once('/').unwrap_or(("", name));
        let mut lists = tree.files.iter().filter(|_| bare.ends_with(".txt"));
        let list = lists.find(|file| {
            file.name.eq_ignore_ascii_case(bare) && file.folder.eq_ignore_ascii_case(folder)
        });
        list.map(|list| Place::List(list.file()))
    })
}

/// The names in a path, without those that only lead elsewhere.
fn steps(path: &str) -> Vec<&str> {
    let steps = path
        .split(['/', '\\'])
        .filter(|step| !matches!(*step, "" | "." | ".." | "~"));
    steps.filter(|step| !step.ends_with(':')).collect()
}

fn is_absolute(path: &str) -> bool {
    path.starts_with(['/', '\\', '~']) || path.get(1..2) == Some(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_list_or_a_map() {
        let names = |text: &str| names_in(&yaml::parse(text).unwrap());
        let told = |entries: &[(u32, &str)]| {
            let entries = entries.iter().map(|&(number, name)| (number, name.into()));
            Ok(Some(Names::Told(entries.collect())))
        };
        assert_eq!(names("names: [a, 'b c']"), told(&[(0, "a"), (1, "b c")]));
        assert_eq!(names("names:\n- 1\n- no\n"), told(&[(0, "1"), (1, "no")]));
        assert_eq!(names("names: {0: a, 7: b}"), told(&[(0, "a"), (7, "b")]));
        assert_eq!(names("nc: 2"), Ok(None));
        assert_eq!(names("names:\nnc: 2"), Ok(None));
        for (text, words) in [
            ("names: {a: 0}", "expected the number of a class, found `a`"),
            ("names: {0: a, 0: b}", "the class 0 twice"),
            ("names: [[a]]", "names: 0: expected text, found a list"),
            ("names: a", "expected a list or a map of names"),
        ] {
            let error = names(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn paths_are_read_as_names() {
        assert_eq!(steps("../train/./images/"), ["train", "images"]);
        assert_eq!(steps(r"C:\sets\mine\images"), ["sets", "mine", "images"]);
        assert!(is_absolute("/a") && is_absolute(r"D:\a") && is_absolute("~/a"));
        assert!(!is_absolute("../a") && !is_absolute("é"));
    }
}
