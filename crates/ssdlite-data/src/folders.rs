//! Classification data: a folder of images for each class.
//!
//! Either the data folder holds `train`, and maybe `val` and `test`, with a
//! folder a class in each, or it holds the class folders itself and is divided
//! at random, class by class. The classes are the folders of `train` (or of the
//! whole set), sorted by name; `val` and `test` may lack some of them. Class
//! folders within class folders are not descended into.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ssdlite_core::{ClassId, ClassNames};
use ssdlite_image::DecodeMemory;

use crate::check::CheckReport;
use crate::dataset::{ClassificationSet, LabelledImage};
use crate::error::{Error, Result};
use crate::files::sorted_names;
use crate::finding::{Finding, FindingKind, Losses, Reading, quoted, similar_classes};
use crate::images::{IMAGE_ENDINGS, decode_fault, header_within_limits, stem_with_ending};
use crate::parallel;
use crate::split::{Split, SplitShares, divide};
use crate::voc;

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
    layout: Layout,
}

/// Where the class folders are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// In a folder for each split.
    PerSplit,
    /// In the data folder itself.
    Single,
}

/// The images of a split, by name.
#[derive(Default)]
struct Contents {
    /// Files seen from the data folder, class by class.
    files: Vec<(ClassId, String)>,
    findings: Vec<Finding>,
    losses: Losses,
}

impl ImageFolder {
    /// Looks how the data folder at `root` is laid out: by splits if `train`
    /// is there and holds folders.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there is no class folder, or if the folder is in
    /// VOC's layout, [`Error::Io`] if a folder can't be listed.
    pub fn open(root: &Path) -> Result<Self> {
        if voc::FOLDERS.iter().all(|name| root.join(name).is_dir()) {
            return Err(Error::Malformed(format!(
                "{}: expected train/CLASS/ or CLASS/ folders of images, found VOC's layout \
                 for detectors",
                root.display()
            )));
        }
        let train = root.join(Split::Train.name());
        let layout = if train.is_dir() && !folders_in(&train)?.is_empty() {
            Layout::PerSplit
        } else if folders_in(root)?.is_empty() {
            return Err(Error::Malformed(format!(
                "{}: expected train/CLASS/ or CLASS/ folders of images, found neither",
                root.display()
            )));
        } else {
            Layout::Single
        };
        Ok(Self {
            root: root.to_owned(),
            layout,
        })
    }

    /// The data folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the splits are folders of their own, not made at random.
    pub fn has_split_folders(&self) -> bool {
        self.layout == Layout::PerSplit
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
        for name in folders_in(&self.root.join(base))? {
            let files = sorted_names(&self.root.join(base).join(&name))?;
            let has_image =
                (files.iter()).any(|file| stem_with_ending(file, &IMAGE_ENDINGS).is_some());
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
            header_within_limits(&self.root.join(file)).err()
        });
        let (mut findings, mut losses) = (contents.findings, contents.losses);
        let mut images = Vec::new();
        for ((class, file), fault) in contents.files.into_iter().zip(faults) {
            match fault {
                None => images.push(LabelledImage {
                    path: self.root.join(file),
                    class,
                }),
                Some(fault) => {
                    losses.images_skipped += 1;
                    findings.push(Finding::error(file, FindingKind::BadImage, fault));
                }
            }
        }
        if images.is_empty() {
            let reason = match (findings.first(), self.layout) {
                (Some(finding), _) => format!("; first fault: {finding}"),
                (None, Layout::Single) => {
                    "; divided at random, so few images a class leave none for it".to_owned()
                }
                (None, Layout::PerSplit) => String::new(),
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
        let mut findings = similar_classes(&classes, self.train_base());
        let mut losses = Losses::default();
        let mut images = 0;
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
            let faults = parallel::map(&contents.files, |(_, file)| {
                let path = self.root.join(file);
                header_within_limits(&path)
                    .err()
                    .or_else(|| decode_fault(&path, &memory))
            });
            for ((_, file), fault) in contents.files.into_iter().zip(faults) {
                match fault {
                    None => images += 1,
                    Some(fault) => {
                        losses.images_skipped += 1;
                        findings.push(Finding::error(file, FindingKind::BadImage, fault));
                    }
                }
            }
        }
        Ok(CheckReport {
            images,
            objects: images,
            ..CheckReport::new(findings, losses)
        })
    }

    /// The folder of the class folders to learn from, seen from the data
    /// folder.
    fn train_base(&self) -> &'static str {
        match self.layout {
            Layout::PerSplit => Split::Train.name(),
            Layout::Single => "",
        }
    }

    /// The folders that hold a split's class folders.
    fn bases(&self, split: Split) -> Result<Vec<&'static str>> {
        let wanted: &[Split] = match (self.layout, split) {
            (Layout::Single, _) => return Ok(vec![""]),
            (Layout::PerSplit, Split::TrainVal) => &[Split::Train, Split::Val],
            (Layout::PerSplit, _) => &[split],
        };
        let bases: Vec<_> = wanted
            .iter()
            .map(|split| split.name())
            .filter(|name| self.root.join(name).is_dir())
            .collect();
        if bases.is_empty() {
            return Err(Error::Malformed(format!(
                "{}: expected the folder {split}, found none",
                self.root.display()
            )));
        }
        Ok(bases)
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
            for name in sorted_names(&self.root.join(base))? {
                let place = under(base, &name);
                if !self.root.join(&place).is_dir() {
                    contents.pass_over(place, "stands beside the class folders");
                    continue;
                }
                if name.starts_with('.') {
                    contents.pass_over(place, "is hidden");
                    continue;
                }
                let files = self.images_in(&place, &mut contents.findings)?;
                let Some(class) = classes.id_of(&name) else {
                    contents.losses.images_skipped += files.len();
                    contents.findings.push(unknown_class(place, &name, classes));
                    continue;
                };
                let files = match self.layout {
                    Layout::PerSplit => files,
                    Layout::Single => part(files, split, &name, shares),
                };
                contents
                    .files
                    .extend(files.into_iter().map(|file| (class, file)));
            }
        }
        // Stable: `train` stays before `val` within a class.
        contents.files.sort_by_key(|&(class, _)| class);
        Ok(contents)
    }

    /// The image files in a class folder, seen from the data folder.
    fn images_in(&self, place: &str, findings: &mut Vec<Finding>) -> Result<Vec<String>> {
        let mut files = Vec::new();
        for name in sorted_names(&self.root.join(place))? {
            let file = under(place, &name);
            let kind = FindingKind::NotAImage;
            if name.starts_with('.') {
                findings.push(Finding::warning(file, kind, "is hidden"));
            } else if self.root.join(&file).is_dir() {
                let message = "is a folder in a class folder, its files are not read";
                findings.push(Finding::error(file, kind, message));
            } else if stem_with_ending(&name, &IMAGE_ENDINGS).is_none() {
                let endings = IMAGE_ENDINGS.join(", ");
                let message = format!("expected an image ({endings})");
                findings.push(Finding::warning(file, kind, message));
            } else {
                files.push(file);
            }
        }
        Ok(files)
    }

    /// Classes without an image in a split.
    fn empty_classes(
        &self,
        split: Split,
        files: &[(ClassId, String)],
        classes: &ClassNames,
    ) -> Vec<Finding> {
        let present: BTreeSet<ClassId> = files.iter().map(|&(class, _)| class).collect();
        (classes.ids().zip(classes.iter()))
            .filter(|(class, _)| !present.contains(class))
            .map(|(_, name)| {
                let message = format!("the class {} has no image in {split}", quoted(name));
                let (file, kind) = (split.name(), FindingKind::EmptyClass);
                match split {
                    Split::Train => Finding::error(file, kind, message),
                    _ => Finding::warning(file, kind, message),
                }
            })
            .collect()
    }
}

impl Contents {
    fn pass_over(&mut self, file: String, message: &str) {
        let finding = Finding::warning(file, FindingKind::NotAImage, message);
        self.findings.push(finding);
    }
}

/// The part of a class's images that belongs to a split. It depends on the
/// seed, the class's name and the number of its images, on no other class.
fn part(files: Vec<String>, split: Split, class: &str, shares: &SplitShares) -> Vec<String> {
    let keys: Vec<u64> = std::iter::once(shares.seed)
        .chain(class.bytes().map(u64::from))
        .collect();
    let division = divide(files, shares, &keys);
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

fn unknown_class(place: String, name: &str, classes: &ClassNames) -> Finding {
    match ClassNames::new([name]) {
        Err(fault) => Finding::error(place, FindingKind::InvalidClass, fault.to_string()),
        Ok(_) => {
            let message = format!(
                "expected one of {} classes, which {} is not; its images are skipped",
                classes.len(),
                quoted(name)
            );
            Finding::error(place, FindingKind::UnknownClass, message)
        }
    }
}

fn under(base: &str, name: &str) -> String {
    if base.is_empty() {
        name.to_owned()
    } else {
        format!("{base}/{name}")
    }
}

/// The folders in a folder that are not hidden, sorted.
fn folders_in(path: &Path) -> Result<Vec<String>> {
    let mut names = sorted_names(path)?;
    names.retain(|name| !name.starts_with('.') && path.join(name).is_dir());
    Ok(names)
}
