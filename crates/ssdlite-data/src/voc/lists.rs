//! The lists of `ImageSets/Main`: which images make up a split.
//!
//! Each line is an id, whatever blanks surround it. Lists of two columns for a
//! single class, such as `cat_train.txt`, are never opened.

use std::collections::HashSet;
use std::path::{Component, Path};

use crate::error::{Error, Result};
use crate::files::read_bounded;
use crate::finding::{Finding, FindingKind, quoted};
use crate::split::Split;
use crate::voc::encoding::text_from_bytes;
use crate::voc::layout::list_file;

/// The largest list that is read: millions of ids.
const MAX_LIST_BYTES: u64 = 64 << 20;

/// The ids of a split, each a plain file name and none twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct List {
    pub(super) ids: Vec<String>,
    pub(super) findings: Vec<Finding>,
}

/// The list of a split, if its file is there.
pub(super) fn read_list(root: &Path, split: Split) -> Result<Option<List>> {
    let file = list_file(split);
    let path = root.join(&file);
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read_bounded(&path, MAX_LIST_BYTES)?;
    let text = text_from_bytes(&bytes)
        .map_err(|fault| Error::Malformed(format!("{}: {fault}", path.display())))?;
    Ok(Some(list_from_text(&text, &file)))
}

fn list_from_text(text: &str, file: &str) -> List {
    let mut list = List::default();
    let mut seen = HashSet::new();
    let lines = text.lines().map(str::trim).enumerate();
    for (index, id) in lines.filter(|(_, id)| !id.is_empty()) {
        let fault = if !is_plain_file_name(id) {
            Some((FindingKind::UnsafeId, "expected an id, found"))
        } else if !seen.insert(id) {
            Some((FindingKind::RepeatedId, "found again the id"))
        } else {
            None
        };
        match fault {
            None => list.ids.push(id.to_owned()),
            Some((kind, message)) => list.findings.push(Finding::error(
                file,
                kind,
                format!("line {}: {message} {}", index + 1, quoted(id)),
            )),
        }
    }
    list
}

/// Whether a name stays in the folder that it is joined to, on any system.
fn is_plain_file_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!(parts.next(), Some(Component::Normal(part)) if part == name)
        && parts.next().is_none()
        && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_trimmed_and_blank_ones_passed_over() {
        let list = list_from_text("a 1\r\n  b\t \r\n\r\n \nc.d", "x.txt");
        assert_eq!(list.ids, ["a 1", "b", "c.d"]);
        assert!(list.findings.is_empty());
    }

    #[test]
    fn ids_that_are_paths_or_stand_twice_are_named_with_their_line() {
        let bad = [
            "../../etc/passwd",
            "/etc/passwd",
            "a/b",
            r"a\b",
            "..",
            ".",
            "a\0b",
            "a/",
        ];
        for id in bad {
            let list = list_from_text(&format!("ok\n{id}\n"), "x.txt");
            assert_eq!(list.ids, ["ok"], "{id:?}");
            assert_eq!(list.findings[0].kind, FindingKind::UnsafeId);
            assert!(list.findings[0].message.starts_with("line 2: "));
        }
        let list = list_from_text("a\nb\na\n", "x.txt");
        assert_eq!(list.ids, ["a", "b"]);
        assert_eq!(
            list.findings[0].to_string(),
            "x.txt: line 3: found again the id `a`"
        );
    }
}
