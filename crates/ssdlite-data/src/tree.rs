//! All files of a data folder, listed once.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ssdlite_image::{NamedFormat, format_from_name};

use crate::error::{Error, Result};
use crate::files::entries_of;
use crate::finding::{Finding, FindingKind};

/// A file of a data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeFile {
    /// The folder that it is in, seen from the data folder with `/`; empty for
    /// the data folder itself.
    pub(crate) folder: String,
    /// Its name; what is not UTF-8 in it comes as replacement characters.
    pub(crate) name: String,
    /// Where it is, its name exactly as it is.
    pub(crate) path: PathBuf,
    /// What its name says of it.
    pub(crate) kind: FileKind,
}

impl TreeFile {
    /// The file, seen from the data folder.
    pub(crate) fn file(&self) -> String {
        under(&self.folder, &self.name)
    }

    /// The name without its ending.
    pub(crate) fn stem(&self) -> &str {
        self.name
            .rsplit_once('.')
            .map_or(&self.name, |(stem, _)| stem)
    }

    /// The ending in lower case, without the dot.
    pub(crate) fn ending(&self) -> String {
        let ending = self.name.rsplit_once('.').map_or("", |(_, ending)| ending);
        ending.to_lowercase()
    }
}

/// What a file's name says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Image(NamedFormat),
    /// An annotation of an image: in XML, until
    /// [`with_annotations`](Tree::with_annotations) says otherwise.
    Annotation,
    Other,
}

/// So many images and annotations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) images: usize,
    pub(crate) annotations: usize,
}

/// The files of a data folder and of all folders in it, clutter left out. A
/// folder that links lead to by several ways is in it once.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    root: PathBuf,
    /// Sorted by folder, then by name.
    pub(crate) files: Vec<TreeFile>,
    /// Every folder with what is directly in it.
    folders: BTreeMap<String, Counts>,
    /// What can't be listed.
    pub(crate) findings: Vec<Finding>,
}

impl Tree {
    /// Lists the folder at `root` and all that are in it.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`], [`Error::Malformed`] if there is something else,
    /// [`Error::Io`] if it can't be listed. Faults of the folders in it are findings.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        expect_folder(root)?;
        let mut tree = Self {
            root: root.to_owned(),
            files: Vec::new(),
            folders: BTreeMap::new(),
            findings: Vec::new(),
        };
        let mut seen = HashSet::new();
        let mut waiting = BTreeSet::from([(String::new(), root.to_owned())]);
        while let Some((folder, path)) = waiting.pop_first() {
            let real = fs::canonicalize(&path).map_err(|source| Error::io(&path, source));
            let listed = real.and_then(|real| Ok((real, entries_of(&path)?)));
            let (real, entries) = match listed {
                Ok(listed) => listed,
                Err(error) if folder.is_empty() => return Err(error),
                Err(error) => {
                    tree.not_read(folder, format!("can't be listed: {error}"));
                    continue;
                }
            };
            if !seen.insert(real) {
                let message = "is a link to a folder that is read already";
                let finding = Finding::warning(folder, FindingKind::NotRead, message);
                tree.findings.push(finding);
                continue;
            }
            tree.folders.entry(folder.clone()).or_default();
            for (name, path) in entries {
                if path.is_dir() {
                    waiting.insert((under(&folder, &name), path));
                } else {
                    tree.add(&folder, name, path);
                }
            }
        }
        (tree.files).sort_unstable_by(|a, b| (&a.folder, &a.name).cmp(&(&b.folder, &b.name)));
        Ok(tree)
    }

    fn add(&mut self, folder: &str, name: String, path: PathBuf) {
        if name.contains(char::is_control) {
            let shown = under(folder, &name.escape_debug().to_string());
            self.not_read(shown, "has a control character in its name".into());
            return;
        }
        let counts = self.folders.entry(folder.to_owned()).or_default();
        let kind = match format_from_name(Path::new(&name)) {
            Some(format) => {
                counts.images += 1;
                FileKind::Image(format)
            }
            None if is_xml(&name) => {
                counts.annotations += 1;
                FileKind::Annotation
            }
            None => FileKind::Other,
        };
        self.files.push(TreeFile {
            folder: folder.to_owned(),
            name,
            path,
            kind,
        });
    }

    /// The same files, of which others are annotations than those in XML.
    pub(crate) fn with_annotations(mut self, is_annotation: impl Fn(&TreeFile) -> bool) -> Self {
        for counts in self.folders.values_mut() {
            counts.annotations = 0;
        }
        for file in &mut self.files {
            if matches!(file.kind, FileKind::Image(_)) {
                continue;
            }
            file.kind = FileKind::Other;
            if is_annotation(file) {
                file.kind = FileKind::Annotation;
                let counts = self.folders.entry(file.folder.clone()).or_default();
                counts.annotations += 1;
            }
        }
        self
    }

    fn not_read(&mut self, file: String, message: String) {
        let finding = Finding::error(file, FindingKind::NotRead, message);
        self.findings.push(finding);
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The names of the folders directly in `folder`, sorted.
    pub(crate) fn children(&self, folder: &str) -> Vec<&str> {
        let inner = self.folders.keys();
        let names = inner.filter_map(|inner| below(inner, folder));
        names
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .collect()
    }

    /// What is directly in a folder.
    pub(crate) fn directly_in(&self, folder: &str) -> Counts {
        self.folders.get(folder).copied().unwrap_or_default()
    }

    /// What is in a folder and in all folders in it.
    pub(crate) fn all_in(&self, folder: &str) -> Counts {
        let mut sum = Counts::default();
        for counts in self.counts_in(folder) {
            sum.images += counts.images;
            sum.annotations += counts.annotations;
        }
        sum
    }

    /// All folders, sorted; the data folder itself is the empty one.
    pub(crate) fn all_folders(&self) -> impl Iterator<Item = &str> {
        self.folders.keys().map(String::as_str)
    }

    /// Whether a folder, or one in it, holds images and annotations beside each other.
    pub(crate) fn mixes_kinds(&self, folder: &str) -> bool {
        self.counts_in(folder)
            .any(|counts| counts.images > 0 && counts.annotations > 0)
    }

    fn counts_in(&self, folder: &str) -> impl Iterator<Item = &Counts> {
        let folders = self.folders.iter();
        let inside = folders.filter(move |(inner, _)| below(inner, folder).is_some());
        inside.map(|(_, counts)| counts)
    }

    /// Folder and stem of each image.
    pub(crate) fn image_stems(&self) -> HashSet<(&str, &str)> {
        (self.files.iter())
            .filter(|file| matches!(file.kind, FileKind::Image(_)))
            .map(|file| (file.folder.as_str(), file.stem()))
            .collect()
    }

    /// The files of a folder and of all folders in it.
    pub(crate) fn files_in<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a TreeFile> {
        let files = self.files.iter();
        files.filter(move |file| below(&file.folder, folder).is_some())
    }
}

/// Refuses what can hold no data, as it is no folder.
///
/// # Errors
/// [`Error::NoSuchFolder`], [`Error::Malformed`] for a file, [`Error::Io`].
pub fn expect_folder(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Error::Malformed(format!(
            "{}: expected a folder of data, found a file",
            path.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::NoSuchFolder(path.to_owned()))
        }
        Err(error) => Err(Error::io(path, error)),
    }
}

fn is_xml(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case("xml"))
}

/// A name in a folder, seen from where the folder is seen from.
pub(crate) fn under(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// The path of `inner` seen from `folder`, if it is that folder (then it is
/// empty) or lies in it.
pub(crate) fn below<'a>(inner: &'a str, folder: &str) -> Option<&'a str> {
    if folder.is_empty() {
        return Some(inner);
    }
    let rest = inner.strip_prefix(folder)?;
    match rest.strip_prefix('/') {
        Some(rest) => Some(rest),
        None => rest.is_empty().then_some(""),
    }
}
