//! Classification data: a folder of images for each class.
//!
//! Either the data folder holds `train`, and maybe `val` (or `valid`, `validation`)
//! and `test`, with a folder a class in each, or it holds the class folders itself and is divided
//! at random, class by class. The classes are the folders of `train` (or of the
//! whole set), sorted by name; `val` and `test` may lack some of them. Class
//! folders within class folders are not descended into.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ssdlite_core::{ClassId, ClassNames};
use ssdlite_files::counted;
use ssdlite_image::{DecodeMemory, format_from_name};

use crate::check::CheckReport;
use crate::dataset::{ClassificationSet, LabelledImage};
use crate::duplicates::{Placed, fingerprint_of_file, leaks};
use crate::error::{Error, Result};
use crate::files::entries_of;
use crate::finding::{Finding, FindingKind, Losses, Reading, because_of, quoted, similar_classes};
use crate::formats::recognise::Taken;
use crate::images::{SHOWN_ENDINGS, header_within_limits};
use crate::layout::{ClassLayout, Layout, expected_classes, shown};
use crate::parallel;
use crate::split::{PartSizes, Split, SplitShares, divide};
use crate::tree::{Tree, under};

/// Pairs of splits that must share no image.
const APART: [(Split, Split); 3] = [
    (Split::Train, Split::Test),
    (Split::Val, Split::Test),
    (Split::Train, Split::Val),
];

/// How an image folder is read.
#[derive(Clone, Debug, Default)]
pub struct ImageFolderOptions {
    /// The classes to expect. Without them they are the folders of `train`.
    pub classes: Option<ClassNames>,
    /// How a set without `train`, `val` and `test` is divided.
    pub shares: SplitShares,
}

/// A data folder with a folder of images for each class.
#[derive(Clone, Debug)]
pub struct ImageFolder {
    root: PathBuf,
    layout: ClassLayout,
    findings: Vec<Finding>,
}

/// An image as findings name it, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ImageFile {
    file: String,
    path: PathBuf,
}

/// The images of a split, by name.
#[derive(Default)]
struct Contents {
    /// Class by class.
    files: Vec<(ClassId, ImageFile)>,
    findings: Vec<Finding>,
    losses: Losses,
}

impl ImageFolder {
    /// Looks how the data folder at `root` is laid out: by splits if `train`
    /// is there and holds folders.
    ///
    /// # Errors
    /// [`Error::NoSuchFolder`]; [`Error::Malformed`] if there is no class folder, or
    /// if the folder holds images with boxes, [`Error::Unsupported`] for labels of
    /// another form, [`Error::Io`] if a folder can't be listed.
    pub fn open(root: &Path) -> Result<Self> {
        match Layout::of(root, None)? {
            Layout::Classes(layout, tree) => Ok(Self::new(layout, &tree)),
            Layout::Boxes(Taken { format, reason }, _) => {
                let fault = format!(
                    "found images with boxes, labelled as {format} has them, which a detector \
                     learns from: {reason}"
                );
                Err(expected_classes(root, &fault))
            }
        }
    }

    pub(crate) fn new(layout: ClassLayout, tree: &Tree) -> Self {
        let mut findings = tree.findings.clone();
        if let ClassLayout::PerSplit(splits) = &layout {
            findings.extend(beside_splits(splits, tree));
        }
        Self {
            root: tree.root().to_owned(),
            layout,
            findings,
        }
    }

    /// The data folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is in the folder and is not read, whatever split is asked for.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether the splits are folders of their own, not made at random.
    pub fn has_split_folders(&self) -> bool {
        matches!(self.layout, ClassLayout::PerSplit(_))
    }

    /// Whether the split can be read.
    pub fn has_split(&self, split: Split) -> bool {
        self.bases(split).is_ok()
    }

    /// The classes: the folders to train on that hold an image, sorted by
    /// name. Folders whose name no class may have are left out.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is none, [`Error::OverLimit`] for too
    /// many, [`Error::Io`] if a folder can't be listed.
    pub fn classes(&self) -> Result<ClassNames> {
        let base = self.train_base();
        let mut names = BTreeSet::new();
        for (name, path) in entries_of(&self.root.join(base))? {
            if !path.is_dir() {
                continue;
            }
            let files = entries_of(&path)?;
            let has_image = (files.iter()).any(|(file, _)| is_image(file));
            if has_image && ClassNames::new([&name]).is_ok() && name.trim() == name {
                names.insert(name);
            }
        }
        if names.is_empty() {
            return Err(Error::Malformed(format!(
                "{}: expected images in folders named by their class, found none",
                self.root.join(base).display()
            )));
        }
        // Folders whose names are one text are one class.
        let composed = |name| ClassNames::new([name]).map_or_else(|_| Vec::new(), Vec::from);
        let names: BTreeSet<String> = names.into_iter().flat_map(composed).collect();
        Ok(ClassNames::new(names)?)
    }

    /// Reads a split: the names of all images, and their headers.
    ///
    /// What can't be used is skipped as [`FindingKind`] says, reported and
    /// counted.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the split or its images are missing,
    /// [`Error::InvalidRequest`] for impossible shares, [`Error::Io`] if a
    /// folder can't be listed.
    pub fn read(
        &self,
        split: Split,
        options: &ImageFolderOptions,
    ) -> Result<Reading<ClassificationSet>> {
        let classes = self.expected_classes(options)?;
        let contents = self.contents(split, &classes, &options.shares)?;
        let faults = parallel::map(&contents.files, |(_, file)| {
            header_within_limits(&file.path).err()
        });
        let (mut findings, mut losses) = (contents.findings, contents.losses);
        let mut images = Vec::new();
        for ((class, file), fault) in contents.files.into_iter().zip(faults) {
            match fault {
                None => images.push(LabelledImage {
                    path: file.path,
                    class,
                }),
                Some(fault) => {
                    losses.images_skipped += 1;
                    findings.push(Finding::error(file.file, FindingKind::BadImage, fault));
                }
            }
        }
        if images.is_empty() {
            let reason = match (findings.first(), &self.layout) {
                (Some(_), _) => because_of(&findings),
                (None, ClassLayout::Single) => {
                    "; divided at random, a class needs three images at least".to_owned()
                }
                (None, ClassLayout::PerSplit(_)) => String::new(),
            };
            return Err(Error::Malformed(format!(
                "{}: expected images in the split {split}, found none that can be used{reason}",
                self.root.display()
            )));
        }
        Ok(Reading {
            set: ClassificationSet { classes, images },
            findings,
            losses,
        })
    }

    /// Checks every folder and decodes every image, on all cores.
    ///
    /// # Errors
    /// As [`Self::read`], but a missing or empty split is a finding.
    pub fn check(&self, options: &ImageFolderOptions) -> Result<CheckReport> {
        let classes = self.expected_classes(options)?;
        let mut findings = self.findings.clone();
        findings.extend(similar_classes(&classes, shown(self.train_base())));
        if classes.len() < 2 {
            let message = "holds images of one class alone: expected two or more to tell apart";
            let place = shown(self.train_base());
            findings.push(Finding::error(place, FindingKind::NoClasses, message));
        }
        let mut losses = Losses::default();
        let mut sound = Vec::new();
        for split in [Split::Train, Split::Val, Split::Test] {
            if !self.has_split(split) {
                let message = "there is no such folder";
                let finding = Finding::warning(split.name(), FindingKind::EmptySplit, message);
                findings.push(finding);
                continue;
            }
            let contents = self.contents(split, &classes, &options.shares)?;
            findings.extend(contents.findings);
            findings.extend(self.empty_classes(split, &contents.files, &classes));
            losses += contents.losses;
            let memory = DecodeMemory::default();
            let fingerprints = parallel::map(&contents.files, |(_, file)| {
                header_within_limits(&file.path)?;
                fingerprint_of_file(&file.path, &memory)
            });
            for ((_, file), fingerprint) in contents.files.into_iter().zip(fingerprints) {
                match fingerprint {
                    Ok(fingerprint) => sound.push((file.file, split, fingerprint)),
                    Err(fault) => {
                        losses.images_skipped += 1;
                        findings.push(Finding::error(file.file, FindingKind::BadImage, fault));
                    }
                }
            }
        }
        let placed: Vec<Placed<'_>> = (sound.iter())
            .map(|(name, split, fingerprint)| Placed {
                name,
                split: *split,
                fingerprint: *fingerprint,
            })
            .collect();
        findings.extend(leaks(&placed, &APART, |split| {
            self.name_of(split).to_owned()
        }));
        Ok(CheckReport {
            images: sound.len(),
            objects: sound.len(),
            ..CheckReport::new(findings, losses)
        })
    }

    /// The folder of the class folders to learn from, seen from the data
    /// folder.
    fn train_base(&self) -> &str {
        match &self.layout {
            ClassLayout::PerSplit(splits) => splits.get(&Split::Train).map_or("", String::as_str),
            ClassLayout::Single => "",
        }
    }

    /// The folders that hold a split's class folders.
    fn bases(&self, split: Split) -> Result<Vec<&str>> {
        let ClassLayout::PerSplit(splits) = &self.layout else {
            return Ok(vec![""]);
        };
        let parts = [Split::Train, Split::Val];
        let wanted = match split {
            Split::TrainVal if !splits.contains_key(&split) => &parts[..],
            _ => &[split],
        };
        let bases: Vec<&str> = (wanted.iter())
            .filter_map(|split| splits.get(split).map(String::as_str))
            .collect();
        if bases.is_empty() {
            return Err(Error::Malformed(format!(
                "{}: expected the folder {split}, found none",
                self.root.display()
            )));
        }
        Ok(bases)
    }

    /// What a split is called in findings.
    fn name_of(&self, split: Split) -> &str {
        match &self.layout {
            ClassLayout::PerSplit(splits) => {
                splits.get(&split).map_or(split.name(), String::as_str)
            }
            ClassLayout::Single => split.name(),
        }
    }

    fn expected_classes(&self, options: &ImageFolderOptions) -> Result<ClassNames> {
        options.shares.check()?;
        match &options.classes {
            Some(classes) => Ok(classes.clone()),
            None => self.classes(),
        }
    }

    /// The image files of a split, class by class.
    fn contents(
        &self,
        split: Split,
        classes: &ClassNames,
        shares: &SplitShares,
    ) -> Result<Contents> {
        let mut contents = Contents::default();
        for base in self.bases(split)? {
            for (name, path) in entries_of(&self.root.join(base))? {
                let place = under(base, &name);
                if !path.is_dir() {
                    contents.pass_over(place, "stands beside the class folders");
                    continue;
                }
                let files = images_in(&path, &place, &mut contents.findings)?;
                let Some(class) = classes.id_of(&name) else {
                    contents.losses.images_skipped += files.len();
                    let finding = unknown_class(place, &name, classes, files.len());
                    contents.findings.push(finding);
                    continue;
                };
                let files = match self.layout {
                    ClassLayout::PerSplit(_) => files,
                    ClassLayout::Single => part(files, split, &name, shares),
                };
                contents
                    .files
                    .extend(files.into_iter().map(|file| (class, file)));
            }
        }
        // Stable: `train` stays before `val` within a class.
        contents.files.sort_by_key(|(class, _)| *class);
        Ok(contents)
    }

    /// Classes without an image in a split.
    fn empty_classes(
        &self,
        split: Split,
        files: &[(ClassId, ImageFile)],
        classes: &ClassNames,
    ) -> Vec<Finding> {
        let present: BTreeSet<ClassId> = files.iter().map(|(class, _)| *class).collect();
        (classes.ids().zip(classes.iter()))
            .filter(|(class, _)| !present.contains(class))
            .map(|(_, name)| {
                let message = format!("the class {} has no image in {split}", quoted(name));
                let (file, kind) = (self.name_of(split), FindingKind::EmptyClass);
                match split {
                    Split::Train => Finding::error(file, kind, message),
                    _ => Finding::warning(file, kind, message),
                }
            })
            .collect()
    }
}

/// The image files in a class folder.
fn images_in(folder: &Path, place: &str, findings: &mut Vec<Finding>) -> Result<Vec<ImageFile>> {
    let mut files = Vec::new();
    for (name, path) in entries_of(folder)? {
        let file = under(place, &name);
        let kind = FindingKind::NotAImage;
        if path.is_dir() {
            let message = "is a folder in a class folder, its files are not read";
            findings.push(Finding::error(file, kind, message));
        } else if !is_image(&name) {
            let message = format!("expected an image ({SHOWN_ENDINGS})");
            findings.push(Finding::warning(file, kind, message));
        } else {
            files.push(ImageFile { file, path });
        }
    }
    Ok(files)
}

fn is_image(name: &str) -> bool {
    format_from_name(Path::new(name)).is_some()
}

/// What stands beside the folders of the splits and is in none of them.
fn beside_splits(splits: &BTreeMap<Split, String>, tree: &Tree) -> Vec<Finding> {
    let expected = "expected train, val or valid, and test beside each other";
    let mut findings = Vec::new();
    for name in tree.children("") {
        if !splits.values().any(|split| split == name) {
            let (kind, images) = (FindingKind::NotRead, tree.all_in(name).images);
            findings.push(match images {
                0 => Finding::warning(name, kind, format!("is not read: {expected}")),
                _ => {
                    let message =
                        format!("holds {} not read: {expected}", counted(images, "image"));
                    Finding::error(name, kind, message)
                }
            });
        }
    }
    let images = tree.directly_in("").images;
    if images > 0 {
        let message = format!(
            "holds {} outside of class folders, not read",
            counted(images, "image")
        );
        findings.push(Finding::error(".", FindingKind::NotRead, message));
    }
    findings
}

impl Contents {
    fn pass_over(&mut self, file: String, message: &str) {
        let finding = Finding::warning(file, FindingKind::NotAImage, message);
        self.findings.push(finding);
    }
}

/// The part of a class's images that belongs to a split. It depends on the
/// seed, the class's name and the number of its images, on no other class.
fn part<T: Ord + Clone>(files: Vec<T>, split: Split, class: &str, shares: &SplitShares) -> Vec<T> {
    let keys: Vec<u64> = std::iter::once(shares.seed)
        .chain(class.bytes().map(u64::from))
        .collect();
    let count = files.len();
    let sizes = PartSizes::without_empty(count, shares)
        .unwrap_or_else(|_| PartSizes::rounded(count, shares));
    let division = divide(files, sizes, &keys);
    match split {
        Split::Train => division.train,
        Split::Val => division.val,
        Split::Test => division.test,
        Split::TrainVal => {
            let mut files = [division.train, division.val].concat();
            files.sort_unstable();
            files
        }
    }
}

fn unknown_class(place: String, name: &str, classes: &ClassNames, images: usize) -> Finding {
    match ClassNames::new([name]) {
        _ if images == 0 => {
            let message = "holds no image, so it is no class";
            Finding::error(place, FindingKind::EmptyClass, message)
        }
        Err(fault) => Finding::error(place, FindingKind::InvalidClass, fault.to_string()),
        Ok(_) => {
            let message = format!(
                "expected one of {}, which {} is not; its images are skipped",
                counted(classes.len(), "class"),
                quoted(name)
            );
            Finding::error(place, FindingKind::UnknownClass, message)
        }
    }
}
