//! What is wrong with the files of a data set, one fault at a time.
//!
//! A reader never stops at a bad file. It leaves out or mends what is
//! affected, says so in a [`Finding`], and counts it in [`Losses`].

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use ssdlite_core::ClassNames;

/// What kind of fault a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A line of a list that names no image or annotation that is there, or
    /// several. It is skipped.
    UnknownId,
    /// A list names an image twice. The second line is skipped.
    RepeatedId,
    /// An image stands in two splits that must share none.
    Leak,
    /// `trainval` is not what `train` and `val` make together.
    SplitsDisagree,
    /// A list that can't be read. It counts as empty.
    BadList,
    /// A split is missing or names no image.
    EmptySplit,
    /// An image or annotation that no split names.
    Unlisted,
    /// An image without an annotation. The image is skipped.
    MissingAnnotation,
    /// Several annotations of one id. The first by name is taken.
    AmbiguousAnnotation,
    /// An annotation file that can't be read. The image is skipped.
    BadAnnotation,
    /// An annotation without a usable image size. The boxes are taken as
    /// counting the image's own pixels.
    UnknownSize,
    /// An annotation made for an image of another size. The image is
    /// skipped, because its boxes can't be trusted.
    SizeMismatch,
    /// An annotation that names another image than its own file name does.
    /// The file name wins.
    NameMismatch,
    /// An annotation without an image. It is skipped.
    MissingImage,
    /// Several images fit one annotation. The first of the order `.jpg`,
    /// `.jpeg`, `.png`, `.webp`, `.bmp` is taken.
    AmbiguousImage,
    /// An image that can't be decoded or is over a limit. It is skipped.
    BadImage,
    /// A turned image whose annotation's size can't tell whether its boxes
    /// are turned too. They are taken as they would be shown.
    UnclearOrientation,
    /// An object without a name or box, or with two. It is skipped.
    MalformedObject,
    /// A coordinate that is no finite number. The object is skipped.
    BadNumber,
    /// A box without area, or with swapped corners. The object is skipped.
    DegenerateBox,
    /// A box that lies outside its image. The object is skipped.
    OutsideBox,
    /// A box that sticks out of its image. It is clipped.
    ClippedBox,
    /// A class that is not among the expected ones. The object, or the folder
    /// of images, is skipped.
    UnknownClass,
    /// A name that no class may have. The object or folder is skipped.
    InvalidClass,
    /// Two classes whose names differ in case alone.
    SimilarClasses,
    /// A class without an image in a split where one is needed.
    EmptyClass,
    /// A file or folder that is no image where images are expected. It is
    /// skipped.
    NotAImage,
    /// A file or folder that is not read where it stands.
    NotRead,
}

/// How much a fault matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Possibly meant so; nothing that is labelled is lost.
    Warning,
    /// Wrong: a label or image is left out or changed, or the split is
    /// unsound.
    Error,
}

/// A fault in a file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The file or folder, seen from the data set's folder, with `/`.
    pub file: String,
    /// Which object of the file, counted from 1, if it is about one.
    pub object: Option<usize>,
    /// What kind of fault it is, and so what was done about it.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// What was expected and what was found.
    pub message: String,
}

impl Finding {
    /// An [`Severity::Error`] about a whole file.
    pub fn error(file: impl Into<String>, kind: FindingKind, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            object: None,
            kind,
            severity: Severity::Error,
            message: message.into(),
        }
    }

    /// A [`Severity::Warning`] about a whole file.
    pub fn warning(file: impl Into<String>, kind: FindingKind, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(file, kind, message)
        }
    }

    /// The same finding, about the file's object `number`, counted from 1.
    #[must_use]
    pub fn of_object(self, number: usize) -> Self {
        Self {
            object: Some(number),
            ..self
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(number) = self.object {
            write!(f, ": object {number}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// How much of a data set was left out or changed while reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// Images, or lines of a list, that were skipped.
    pub images_skipped: usize,
    /// Objects that were skipped in images that were not.
    pub objects_skipped: usize,
    /// Objects whose box was clipped to the image.
    pub objects_clipped: usize,
}

impl Losses {
    /// Whether nothing was left out or changed.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, other: Self) {
        self.images_skipped += other.images_skipped;
        self.objects_skipped += other.objects_skipped;
        self.objects_clipped += other.objects_clipped;
    }
}

impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} images skipped, {} objects skipped, {} objects clipped",
            self.images_skipped, self.objects_skipped, self.objects_clipped
        )
    }
}

/// A data set as far as it could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<T> {
    /// What was read.
    pub set: T,
    /// What was wrong, in the order of the files, then of their objects.
    pub findings: Vec<Finding>,
    /// How much that cost.
    pub losses: Losses,
}

/// The longest piece of outside text that a message repeats, in characters.
const QUOTED_CHARS: usize = 60;

/// Outside text for a message: escaped, in backquotes, cut to a bearable
/// length.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(QUOTED_CHARS).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Classes whose names differ in case alone.
pub(crate) fn similar_classes(classes: &ClassNames, file: &str) -> Vec<Finding> {
    let mut by_folded: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in classes.iter() {
        by_folded.entry(name.to_lowercase()).or_default().push(name);
    }
    (by_folded.into_values())
        .filter(|names| names.len() > 1)
        .map(|names| {
            let names: Vec<String> = names.into_iter().map(quoted).collect();
            let message = format!("the classes {} differ in case alone", names.join(", "));
            Finding::warning(file, FindingKind::SimilarClasses, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_file_and_object() {
        let finding = Finding::error("a.xml", FindingKind::DegenerateBox, "xmax 12 <= xmin 40");
        assert_eq!(finding.to_string(), "a.xml: xmax 12 <= xmin 40");
        assert_eq!(
            finding.of_object(4).to_string(),
            "a.xml: object 4: xmax 12 <= xmin 40"
        );
    }

    #[test]
    fn quoted_text_is_escaped_and_short() {
        assert_eq!(quoted("a\nb"), r"`a\nb`");
        assert_eq!(quoted(&"é".repeat(500)).chars().count(), QUOTED_CHARS + 3);
    }
}
