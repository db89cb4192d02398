//! Lists: which images make up a split.
//!
//! A line names an image in any of the forms in use: an id, a file name with its
//! ending, a path with `/` or `\` from anywhere; with or without a column of -1, 0
//! or 1 that tells whether a class is in it, or one that names the annotation. It
//! stands for what is there: nothing is opened by a name from a list. Lists of
//! single classes, such as `cat_train.txt`, are never opened.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

use crate::files::read_bounded;
use crate::finding::{FileFindings, Finding, FindingKind, quoted};
use crate::formats::contents::DescribedSplits;
use crate::formats::text::text_from_bytes;
use crate::images::without_image_ending;
use crate::layout::split_of_list;
use crate::split::Split;
use crate::tree::{FileKind, Tree, below, under};
use crate::voc::layout::{LISTS, LISTS_PARENT};

/// The largest list that is read: millions of ids.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// The ids of a split, each of an image or annotation that is there and none twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct List {
    pub(super) ids: Vec<String>,
    pub(super) findings: Vec<Finding>,
    /// The lines that stand for nothing.
    pub(super) skipped: usize,
}

impl List {
    /// Adds the images of another list that are not in this one.
    pub(super) fn join(&mut self, other: Self) {
        let known: HashSet<String> = self.ids.iter().cloned().collect();
        let new = other.ids.into_iter().filter(|id| !known.contains(id));
        self.ids.extend(new);
        self.findings.extend(other.findings);
        self.skipped += other.skipped;
    }
}

/// The lists in one folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    /// Seen from the data folder.
    pub(super) files: BTreeMap<Split, String>,
    /// What is wrong with their names and places.
    pub(super) findings: Vec<Finding>,
}

/// The lists of a data folder: those in `ImageSets/Main`, or if there is none those
/// in `ImageSets`, or in the folder itself where nothing else describes the splits.
pub(super) fn lists_in(tree: &Tree, base: &str, described: Option<&DescribedSplits>) -> Lists {
    let usual = under(base, LISTS);
    let mut places = vec![usual.clone(), under(base, LISTS_PARENT)];
    if described.is_none() {
        places.push(base.to_owned());
    }
    let mut found = (places.into_iter())
        .map(|place| (lists_at(tree, base, &place), place))
        .filter(|(lists, _)| !lists.files.is_empty());
    let (mut lists, read) = found.next().unwrap_or((Lists::default(), usual));
    let sources = described
        .iter()
        .flat_map(|described| described.sources.values());
    let known: HashSet<&str> = sources
        .flat_map(|source| &source.lists)
        .map(String::as_str)
        .collect();
    let elsewhere = lists_elsewhere(tree, base, &read, &known);
    lists.findings.extend(elsewhere);
    lists
}

/// The lists in each folder of `ImageSets` that has some, by its name.
pub(super) fn lists_by_name(tree: &Tree, base: &str) -> BTreeMap<String, Lists> {
    let parent = under(base, LISTS_PARENT);
    let names = tree.children(&parent).into_iter();
    names
        .map(|name| (name.to_owned(), lists_at(tree, base, &under(&parent, name))))
        .filter(|(_, lists)| !lists.files.is_empty())
        .collect()
}

/// The lists in a folder; nothing is wrong with one that has none.
fn lists_at(tree: &Tree, base: &str, place: &str) -> Lists {
    let mut lists = Lists::default();
    let in_place = (tree.files.iter())
        .filter(|file| file.folder.eq_ignore_ascii_case(place))
        .filter(|file| file.kind == FileKind::Other);
    let mut unknown = Vec::new();
    for file in in_place {
        let Some(split) = split_of_list(file) else {
            let is_of_class = Split::ALL
                .iter()
                .any(|split| file.stem().ends_with(&format!("_{split}")));
            if !is_of_class && file.folder != base {
                let message = "is no list of train, val, trainval or test";
                let finding = Finding::warning(file.file(), FindingKind::NotRead, message);
                unknown.push(finding);
            }
            continue;
        };
        let new = file.file();
        match lists.files.get_mut(&split) {
            None => {
                lists.files.insert(split, new);
            }
            Some(known) => {
                let is_better = file.name == format!("{split}.txt");
                let other = match is_better {
                    true => std::mem::replace(known, new),
                    false => new,
                };
                let message = format!("is not read, as {} is there", quoted(known));
                let finding = Finding::error(other, FindingKind::NotRead, message);
                lists.findings.push(finding);
            }
        }
    }
    if !lists.files.is_empty() {
        lists.findings.extend(unknown);
    }
    lists
}

/// What is called as a list is, but stands where none is read and is not one of the
/// `described` ones.
fn lists_elsewhere(tree: &Tree, base: &str, read: &str, described: &HashSet<&str>) -> Vec<Finding> {
    let parent = under(base, LISTS_PARENT);
    // VOC's lists of other tasks are in folders beside `Main`.
    let is_known = |folder: &str| {
        let is_other_task = below(folder, &parent).is_some_and(|inner| !inner.is_empty());
        is_other_task || folder.eq_ignore_ascii_case(read)
    };
    let place = match read {
        "" => "the data folder itself".to_owned(),
        read => quoted(read),
    };
    (tree.files.iter())
        .filter(|file| file.kind == FileKind::Other && split_of_list(file).is_some())
        .filter(|file| !is_known(&file.folder) && !described.contains(&*file.file()))
        .map(|file| {
            let message = format!("is not read: lists are expected in {place}");
            Finding::warning(file.file(), FindingKind::NotRead, message)
        })
        .collect()
}

/// Reads a list; what can't be read counts as empty.
pub(super) fn read_list(root: &Path, file: &str, names: &ImageNames) -> List {
    let text = read_bounded(&root.join(file), MAX_LIST_BYTES)
        .map_err(|error| error.message_about(root.join(file).as_path()))
        .and_then(|bytes| text_from_bytes(&bytes).map(Cow::into_owned));
    match text {
        Ok(text) => list_from_text(&text, file, names),
        Err(fault) => List {
            findings: vec![Finding::error(file, FindingKind::BadList, fault)],
            ..List::default()
        },
    }
}

fn list_from_text(text: &str, file: &str, names: &ImageNames) -> List {
    let mut list = List::default();
    let mut findings = FileFindings::default();
    let mut seen = HashSet::new();
    // Old tools end lines by a carriage return alone.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, line) in text.lines().enumerate() {
        let fault = match names.id_of_line(line) {
            None => continue,
            Some(Ok(id)) if seen.insert(id) => {
                list.ids.push(id.to_owned());
                continue;
            }
            Some(Ok(id)) => {
                let message = format!("found again the id {}", quoted(id));
                (FindingKind::RepeatedId, message)
            }
            Some(Err(fault)) => (FindingKind::UnknownId, fault),
        };
        list.skipped += 1;
        let message = format!("line {}: {}", index + 1, fault.1);
        findings.push(Finding::error(file, fault.0, message));
    }
    list.findings = findings.into_findings(file);
    list
}

/// By which names the images and annotations of a data folder are known.
#[derive(Clone, Debug, Default)]
pub(super) struct ImageNames {
    ids: Vec<String>,
    /// Ids, and files seen from the data folder, folded.
    by_name: HashMap<String, Vec<Name>>,
    /// The same without any folder.
    by_bare_name: HashMap<String, Vec<usize>>,
}

/// A name and the index of its id.
#[derive(Clone, Debug)]
struct Name {
    name: String,
    id: usize,
}

impl ImageNames {
    /// Adds an id with other names for it.
    pub(super) fn add(&mut self, id: &str, others: impl IntoIterator<Item = String>) {
        let index = self.ids.len();
        self.ids.push(id.to_owned());
        for name in std::iter::once(id.to_owned()).chain(others) {
            let names = self.by_name.entry(folded(&name)).or_default();
            names.push(Name { name, id: index });
        }
        let bare = id.rsplit_once('/').map_or(id, |(_, name)| name);
        let bare_names = self.by_bare_name.entry(folded(bare)).or_default();
        bare_names.push(index);
    }

    /// The id that a line stands for; none for blank lines and comments.
    fn id_of_line<'a>(&'a self, line: &str) -> Option<Result<&'a str, String>> {
        let trimmed = line.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if trimmed.is_empty() {
            return None;
        }
        // Blanks may belong to an id, and so may a `#`.
        if let Some(id) = self.known(line).or_else(|| self.known(trimmed)) {
            return Some(Ok(id));
        }
        if trimmed.starts_with('#') {
            return None;
        }
        let found = self.find_in_columns(trimmed).map_err(|fault| {
            fault.unwrap_or_else(|| {
                format!(
                    "expected the id of an image, found {}, of which there is neither image nor \
                     annotation",
                    quoted(trimmed)
                )
            })
        });
        Some(found)
    }

    /// The id of exactly this name.
    fn known(&self, name: &str) -> Option<&str> {
        let names = self.by_name.get(&folded(name))?;
        let found = names.iter().find(|found| found.name == name)?;
        Some(&self.ids[found.id])
    }

    /// The id that a line stands for, of one with columns by the first of them: a
    /// class's -1, 0 or 1, numbers of any meaning, or the file of the annotation.
    fn find_in_columns(&self, line: &str) -> Result<&str, Option<String>> {
        let is_gap = |c: char| c.is_whitespace() || [',', ';'].contains(&c);
        if let Some((first, last)) = line.rsplit_once(is_gap)
            && ["-1", "0", "1", "+1"].contains(&last)
        {
            let found = self.find(first.trim_end_matches(is_gap));
            if found != Err(None) {
                return found;
            }
        }
        if let Some((first, rest)) = line.split_once(is_gap) {
            let is_file = without_file_ending(first) != first;
            let columns: Vec<&str> = (rest.split(is_gap))
                .filter(|column| !column.is_empty())
                .collect();
            let are_numbers = columns.iter().all(|column| column.parse::<f64>().is_ok());
            // A name may have a number behind a blank.
            if are_numbers && (is_file || columns.len() > 1) {
                return self.find(first);
            }
            if is_file {
                let id = self.find(first)?;
                let is_annotation = self.find(rest.trim_matches(is_gap)) == Ok(id);
                return if is_annotation { Ok(id) } else { Err(None) };
            }
        }
        self.find(line)
    }

    /// The id that a name or path stands for; without a fault if there is none.
    fn find(&self, text: &str) -> Result<&str, Option<String>> {
        let text = text.trim_matches(['"', '\'']).replace('\\', "/");
        let mut rest = text.as_str();
        loop {
            for name in [rest, without_file_ending(rest)] {
                if let Some(found) = self.by_name.get(&folded(name)) {
                    let mut names = found.iter();
                    let exact = names.find(|found| found.name == name);
                    let ids: Vec<usize> = match exact {
                        Some(exact) => vec![exact.id],
                        None => found.iter().map(|found| found.id).collect(),
                    };
                    return self.only(&ids, name);
                }
            }
            match rest.split_once('/') {
                Some((_, inner)) => rest = inner,
                None => break,
            }
        }
        if text.contains('/') {
            return Err(None);
        }
        let bare = [text.as_str(), without_file_ending(&text)];
        let mut found = bare.iter().filter_map(|name| {
            let ids = self.by_bare_name.get(&folded(name))?;
            Some(self.only(ids, name))
        });
        found.next().unwrap_or(Err(None))
    }

    fn only(&self, ids: &[usize], name: &str) -> Result<&str, Option<String>> {
        let first = &self.ids[ids[0]];
        match ids.iter().find(|&&id| id != ids[0]) {
            None => Ok(first),
            Some(&other) => Err(Some(format!(
                "expected the id of one image, found {}, which may be {} or {}",
                quoted(name),
                quoted(first),
                quoted(&self.ids[other])
            ))),
        }
    }
}

/// A name without what file systems and tools change in it: case, and whether an
/// accent is a character of its own.
pub(crate) fn folded(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).collect()
}

/// A name without the ending of an image or annotation file.
fn without_file_ending(name: &str) -> &str {
    const ANNOTATION_ENDINGS: [&str; 3] = ["xml", "txt", "json"];
    match name.rsplit_once('.') {
        Some((stem, ending))
            if (ANNOTATION_ENDINGS.iter()).any(|known| known.eq_ignore_ascii_case(ending)) =>
        {
            stem
        }
        _ => without_image_ending(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ids: &[&str]) -> ImageNames {
        let mut names = ImageNames::default();
        for id in ids {
            let files = [
                format!("JPEGImages/{id}.jpg"),
                format!("Annotations/{id}.xml"),
            ];
            names.add(id, files);
        }
        names
    }

    fn ids(text: &str, known: &[&str]) -> Vec<String> {
        let list = list_from_text(text, "x.txt", &names(known));
        assert!(list.findings.is_empty(), "{text:?}: {:?}", list.findings);
        list.ids
    }

    #[test]
    fn lines_are_trimmed_and_blank_ones_passed_over() {
        let known = ["a 1", "b", "c.d", "#1"];
        let text = "a 1\r\n  b\t \r\n\r\n \n# a comment\n#1\nc.d";
        assert_eq!(ids(text, &known), ["a 1", "b", "#1", "c.d"]);
        assert_eq!(ids("a 1\rb\r", &known), ["a 1", "b"]);
    }

    #[test]
    fn every_form_in_use_is_understood() {
        let known = ["a", "b 1", "c.v2", "part/d", "part/e", "other/e", "\u{e9}"];
        for (line, id) in [
            ("a.jpg", "a"),
            ("a.JPEG", "a"),
            ("A", "a"),
            ("a.xml", "a"),
            ("JPEGImages/a.jpg", "a"),
            ("./JPEGImages/a.jpg", "a"),
            ("/home/me/set/JPEGImages/a.png", "a"),
            (r"C:\sets\mine\JPEGImages\part\d.jpg", "part/d"),
            ("../a", "a"),
            ("a 1", "a"),
            ("a  -1", "a"),
            ("a\t0", "a"),
            ("a,1", "a"),
            ("b 1", "b 1"),
            ("b 1 -1", "b 1"),
            ("a 1 1 1", "a"),
            ("a.jpg 7", "a"),
            ("JPEGImages/a.jpg 10,10,40,50,0 50,20,90,70,1", "a"),
            ("\"b 1.jpg\"", "b 1"),
            ("c.v2", "c.v2"),
            ("c.v2.png 1", "c.v2"),
            ("part/d", "part/d"),
            ("d.jpg", "part/d"),
            ("other/e", "other/e"),
            ("JPEGImages/a.jpg Annotations/a.xml", "a"),
            ("e\u{301}.jpg", "\u{e9}"),
        ] {
            assert_eq!(ids(line, &known), [id], "{line}");
        }
    }

    #[test]
    fn lines_that_name_nothing_or_twice_are_told() {
        let known = ["ok", "a", "x/e", "y/e"];
        for id in [
            "../../etc/passwd",
            "/etc/passwd",
            "b",
            "a b",
            "..",
            ".",
            "a/",
            "e",
            "z/e",
        ] {
            let list = list_from_text(&format!("ok\n{id}\n"), "x.txt", &names(&known));
            assert_eq!(list.ids, ["ok"], "{id:?}");
            assert_eq!(list.findings[0].kind, FindingKind::UnknownId);
            let message = &list.findings[0].message;
            assert!(
                message.starts_with("line 2: expected the id of"),
                "{message}"
            );
        }
        let list = list_from_text("a\nok\na.jpg\n", "x.txt", &names(&known));
        assert_eq!(list.ids, ["a", "ok"]);
        let repeated = "x.txt: line 3: found again the id `a`";
        assert_eq!(list.findings[0].to_string(), repeated);
    }

    #[test]
    fn a_list_of_faults_is_counted_not_printed() {
        let list = list_from_text(&"nothing\n".repeat(1000), "x.txt", &names(&["a"]));
        assert_eq!((list.findings.len(), list.skipped), (21, 1000));
        assert_eq!(list.findings[20].kind, FindingKind::MoreFindings);
    }
}
