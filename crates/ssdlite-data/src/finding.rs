//! What is wrong with the files of a data set, one fault at a time.
//!
//! A reader never stops at a bad file. It leaves out or mends what is
//! affected, says so in a [`Finding`], and counts it in [`Losses`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use serde::Serialize;
use ssdlite_core::ClassNames;
use ssdlite_files::counted;
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection;

/// What kind of fault a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A line of a list that names no image or annotation that is there, or
    /// several. It is skipped.
    UnknownId,
    /// A list names an image twice, or a file gives an id twice. The second line or entry
    /// is skipped.
    RepeatedId,
    /// An image, or a copy of it, stands in two splits that must share none.
    Leak,
    /// Images of two splits that must share none look alike: near-duplicates, or
    /// frames of one video. Or there were too many to compare all.
    LookAlike,
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
    /// Several annotations of one id: of files of one name the first is taken, of
    /// entries in files of many images the objects of all.
    AmbiguousAnnotation,
    /// An annotation file that can't be read. The image is skipped.
    BadAnnotation,
    /// An annotation that is not in the encoding that it declares. It is read
    /// as UTF-8.
    DoubtfulEncoding,
    /// An annotation without a usable image size. The boxes are taken as
    /// counting the image's own pixels.
    UnknownSize,
    /// An annotation made for an image of another size. The image is
    /// skipped, because its boxes can't be trusted; but where the sizes differ
    /// by a pixel, or by exchanged sides and the boxes fit the image, the
    /// image's own size is taken.
    SizeMismatch,
    /// Boxes that count shares of the image, 0 to 1, not pixels. The object is
    /// skipped, and the image where all its boxes are such.
    NormalisedBox,
    /// Boxes that count pixels where shares of the image are expected. The object is
    /// skipped, and the image where all its boxes are such.
    PixelBox,
    /// A file that describes a set and contradicts itself or another one, or that is
    /// missing.
    BadDescription,
    /// Images that have no labels in a format where that means that they show no
    /// object.
    Unlabelled,
    /// An annotation that names another image than its own file name does.
    /// The file name wins.
    NameMismatch,
    /// An annotation without an image. It is skipped.
    MissingImage,
    /// Several images fit one annotation. The first of the order `.jpg`,
    /// `.jpeg`, `.png`, `.webp`, `.bmp` is taken; where they are in several folders,
    /// none.
    AmbiguousImage,
    /// An image that can't be decoded or is over a limit. It is skipped.
    BadImage,
    /// A turned image whose annotation's size can't tell whether its boxes
    /// are turned too. They are taken as they would be shown.
    UnclearOrientation,
    /// An object without a name or box, or with two. It is skipped.
    MalformedObject,
    /// An object within another element than `annotation` and `objects`, or a
    /// box outside of every object. It is skipped.
    MisplacedObject,
    /// Parts of objects. They are no objects and not read.
    PartsOfObjects,
    /// Outlines of objects other than boxes. The upright boxes around them are taken, or
    /// the boxes that are told beside them.
    Outline,
    /// A rotated box. Where centre and angle are known the upright box around
    /// it is taken, else its `bndbox` as it stands.
    RotatedBox,
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
    /// Classes whose names look alike.
    SimilarClasses,
    /// No object of any image has a name that a class may have, or the folders of a
    /// classifier are of one class alone.
    NoClasses,
    /// A class without an image in a split where one is needed.
    EmptyClass,
    /// A file or folder that is no image where images are expected. It is
    /// skipped.
    NotAImage,
    /// A file or folder that is not read where it stands.
    NotRead,
    /// How many more findings there are about a file than are told one by one.
    MoreFindings,
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
        // Names of files may hold what a terminal would obey.
        for character in self.file.chars() {
            match character.is_control() {
                true => write!(f, "{}", character.escape_default())?,
                false => write!(f, "{character}")?,
            }
        }
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
            "{} skipped, {} skipped, {} clipped",
            counted(self.images_skipped, "image"),
            counted(self.objects_skipped, "object"),
            counted(self.objects_clipped, "object")
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

/// The most findings about one file that are told one by one.
const FINDINGS_A_FILE: usize = 20;

/// Findings about one file: the first ones, and a count of the others.
#[derive(Debug, Default)]
pub(crate) struct FileFindings {
    told: Vec<Finding>,
    more_errors: usize,
    more_warnings: usize,
}

impl FileFindings {
    pub(crate) fn push(&mut self, finding: Finding) {
        if self.told.len() < FINDINGS_A_FILE {
            self.told.push(finding);
        } else if finding.severity == Severity::Error {
            self.more_errors += 1;
        } else {
            self.more_warnings += 1;
        }
    }

    /// The first findings, then one about `file` that counts the others.
    pub(crate) fn into_findings(self, file: &str) -> Vec<Finding> {
        let (errors, warnings) = (self.more_errors, self.more_warnings);
        let mut findings = self.told;
        let message = format!(
            "and {} and {} more of this file",
            counted(errors, "error"),
            counted(warnings, "warning")
        );
        match (errors, warnings) {
            (0, 0) => {}
            (0, _) => findings.push(Finding::warning(file, FindingKind::MoreFindings, message)),
            _ => findings.push(Finding::error(file, FindingKind::MoreFindings, message)),
        }
        findings
    }
}

/// The first error about each file as the end of a message about what could
/// not be done because of them, such as `: a.xml: found no <bndbox>`.
pub(crate) fn because_of(findings: &[Finding]) -> String {
    const TOLD: usize = 20;
    let mut files = HashSet::new();
    let first: Vec<&Finding> = (findings.iter())
        .filter(|finding| finding.severity == Severity::Error && files.insert(&finding.file))
        .collect();
    let told: Vec<String> = first
        .iter()
        .take(TOLD)
        .map(|finding| finding.to_string())
        .collect();
    match (told.is_empty(), first.len() - told.len()) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", told.join("; ")),
        (false, more) => {
            let more = counted(more, "file");
            format!(": {}; and {more} more", told.join("; "))
        }
    }
}

/// The longest piece of outside text that a message repeats, in characters.
pub(crate) const QUOTED_CHARS: usize = 60;

/// The longest message of another library that holds outside text.
const ESCAPED_CHARS: usize = 160;

/// Outside text for a message: escaped, in backquotes, cut to a bearable
/// length.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", shown(text, QUOTED_CHARS))
}

/// A message that holds outside text, escaped and cut to a bearable length.
pub(crate) fn escaped(message: &str) -> String {
    shown(message, ESCAPED_CHARS)
}

/// The first characters of a text; all that would not show is escaped.
fn shown(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(longest) {
        match character {
            '"' | '\'' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    shown
}

/// Classes whose names look alike: other case, blanks, widths, invisible
/// characters, or letters of another script that look the same.
pub(crate) fn similar_classes(classes: &ClassNames, file: &str) -> Vec<Finding> {
    let mut groups: BTreeSet<Vec<&str>> = BTreeSet::new();
    for look in [folded, skeleton] {
        let mut by_look: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for name in classes.iter() {
            by_look.entry(look(name)).or_default().push(name);
        }
        groups.extend(by_look.into_values().filter(|names| names.len() > 1));
    }
    (groups.into_iter())
        .map(|names| {
            let names: Vec<String> = names.into_iter().map(quoted).collect();
            let message = format!(
                "the classes {} look alike; they count as {} classes",
                names.join(", "),
                names.len()
            );
            Finding::warning(file, FindingKind::SimilarClasses, message)
        })
        .collect()
}

/// Classes by what their names look like.
pub(crate) struct Looks<'a>(HashMap<String, &'a str>);

impl<'a> Looks<'a> {
    pub(crate) fn new(classes: &'a ClassNames) -> Self {
        let looks = |name| [folded(name), skeleton(name)].map(|look| (look, name));
        Self(classes.iter().flat_map(looks).collect())
    }

    /// A class whose name looks like this one.
    pub(crate) fn similar(&self, name: &str) -> Option<&'a str> {
        let looks = [folded(name), skeleton(name)];
        looks.iter().find_map(|look| self.0.get(look)).copied()
    }
}

/// A name without what differs for a machine alone.
fn folded(name: &str) -> String {
    let compatible = name.nfkc().flat_map(char::to_lowercase);
    let words: String = compatible
        .map(|c| if matches!(c, '_' | '-') { ' ' } else { c })
        .filter(|&c| !is_invisible(c))
        .collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// [`folded`], and letters of other scripts as the Latin ones that they look
/// like. ASCII stays: `l` and `1` are told apart by who reads them as names.
///
/// Source: Unicode Technical Standard 39, section 4.
fn skeleton(name: &str) -> String {
    let mut skeleton = String::new();
    for character in name.nfkc() {
        match character.is_ascii() {
            true => skeleton.push(character),
            false => skeleton.extend(confusable_detection::skeleton(
                character.encode_utf8(&mut [0; 4]),
            )),
        }
    }
    folded(&skeleton)
}

/// Whether a character changes nothing that is seen: joiners, zero-width
/// spaces, marks of direction, the soft hyphen, variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fe00}'..='\u{fe0f}'
    )
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
    fn outside_text_is_escaped_and_short() {
        assert_eq!(quoted("a\nb"), r"`a\nb`");
        assert_eq!(quoted(&"é".repeat(500)).chars().count(), QUOTED_CHARS + 3);
        let message = escaped("expected '</a>', found \u{1b}[31m");
        assert_eq!(message, r"expected '</a>', found \u{1b}[31m");
        let finding = Finding::error("a\u{1b}.xml", FindingKind::BadAnnotation, "");
        assert_eq!(finding.to_string(), r"a\u{1b}.xml: ");
    }

    #[test]
    fn findings_of_a_file_are_told_up_to_twenty() {
        let of = |count: usize, severity| {
            let mut findings = FileFindings::default();
            for number in 0..count {
                let finding = Finding::error("a", FindingKind::BadNumber, "x");
                findings.push(Finding {
                    severity,
                    ..finding.of_object(number)
                });
            }
            findings.into_findings("a")
        };
        assert_eq!(of(20, Severity::Error).len(), 20);
        for severity in [Severity::Error, Severity::Warning] {
            let findings = of(1_000_000, severity);
            assert_eq!(findings.len(), 21);
            assert_eq!(findings[19].object, Some(19));
            assert_eq!(findings[20].kind, FindingKind::MoreFindings);
            assert_eq!(findings[20].severity, severity);
            assert!(findings[20].message.contains("999980"));
        }
    }

    #[test]
    fn reasons_name_each_file_once() {
        let kind = FindingKind::BadNumber;
        let error = |file: &str| Finding::error(file, kind, "x");
        let findings = [
            error("a"),
            error("a"),
            Finding::warning("b", kind, "x"),
            error("c"),
        ];
        assert_eq!(because_of(&findings[2..3]), "");
        assert_eq!(because_of(&findings), ": a: x; c: x");
        let many: Vec<Finding> = (0..25).map(|file| error(&file.to_string())).collect();
        assert!(because_of(&many).ends_with("; 19: x; and 5 files more"));
    }

    #[test]
    fn classes_that_look_alike_are_found() {
        for (one, other) in [
            ("cat", "Cat"),
            ("Кот", "кот"),
            ("red cell", "red\u{a0}cell"),
            ("red cell", "red  cell"),
            ("red cell", "red_cell"),
            ("cat", "cat\u{200b}"),
            ("cat", "ｃａｔ"),
            ("cat", "c\u{430}t"),
            ("BUS", "\u{412}US"),
            ("ﬁsh", "fish"),
        ] {
            let classes = ClassNames::new([one, other, "dog"]).unwrap();
            let findings = similar_classes(&classes, "Annotations");
            assert_eq!(findings.len(), 1, "{one:?} {other:?}");
            assert!(
                findings[0].message.contains(&quoted(other)),
                "{}",
                findings[0]
            );
            let known = ClassNames::new(["dog", one]).unwrap();
            assert_eq!(Looks::new(&known).similar(other), Some(one));
        }
        let apart = [
            "class 1", "class l", "café", "cafe", "burn", "bum", "O", "0",
        ];
        let classes = ClassNames::new(apart).unwrap();
        assert_eq!(similar_classes(&classes, "Annotations")[..], []);
    }
}
