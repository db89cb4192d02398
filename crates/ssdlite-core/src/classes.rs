//! Class ids and class names.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};

/// The most classes that a model may have.
pub const MAX_CLASSES: usize = 10_000;

/// The longest class name, in bytes.
pub const MAX_CLASS_NAME_BYTES: usize = 256;

/// A class of objects or images, counted from 0 without the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassId(pub u32);

impl ClassId {
    /// The class with this index.
    ///
    /// # Panics
    /// If the index does not fit 32 bits, which [`MAX_CLASSES`] rules out.
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("a class index fits 32 bits"))
    }

    /// The index of the class in [`ClassNames`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The names of a model's classes, in the order of their ids.
///
/// Names are trimmed and case-sensitive, not empty, different from each
/// other, and never "background", which is added by the networks themselves.
/// They are in Unicode's composed form (NFC), so that one text is one name,
/// whichever code points it was written with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ClassNames(Vec<String>);

impl ClassNames {
    /// Checks, trims and composes the names.
    ///
    /// # Errors
    /// [`Error::Malformed`] for no names at all, an empty or too long name, a
    /// control character in a name, a repeated one, or "background";
    /// [`Error::OverLimit`] for more than [`MAX_CLASSES`].
    pub fn new<I>(names: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        // One more than allowed shows that there are too many, even if they
        // never end.
        let names: Vec<String> = names
            .into_iter()
            .take(MAX_CLASSES + 1)
            .map(|name| name.as_ref().trim().nfc().collect())
            .collect();
        if names.is_empty() {
            return Err(Error::Malformed("expected at least one class name".into()));
        }
        if names.len() > MAX_CLASSES {
            return Err(Error::OverLimit(format!(
                "expected at most {MAX_CLASSES} classes, found more"
            )));
        }
        let mut seen = HashSet::new();
        for (index, name) in names.iter().enumerate() {
            if let Some(fault) = fault_of_name(name) {
                return Err(Error::Malformed(format!("class {index}: {fault}")));
            }
            if !seen.insert(name.as_str()) {
                return Err(Error::Malformed(format!(
                    "class {index}: the name `{name}` stands twice"
                )));
            }
        }
        Ok(Self(names))
    }

    /// Reads one name a line; blank lines don't count.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn from_lines(text: &str) -> Result<Self> {
        let lines = text.trim_start_matches('\u{feff}').lines();
        Self::new(lines.filter(|line| !line.trim().is_empty()))
    }

    /// The 1000 classes of ImageNet in the order of torchvision's classifiers.
    ///
    /// Source: `_IMAGENET_CATEGORIES` of torchvision 0.29's `models/_meta.py`.
    pub fn imagenet() -> Self {
        Self::from_list(include_str!("class_lists/imagenet.txt"))
    }

    /// The classes of COCO in the order of torchvision's detectors, 90 with the
    /// ten numbers that COCO leaves out, which are called `unused` and their
    /// number.
    ///
    /// Source: `_COCO_CATEGORIES` of torchvision 0.29's `models/_meta.py`.
    pub fn coco() -> Self {
        Self::from_list(include_str!("class_lists/coco.txt"))
    }

    fn from_list(list: &'static str) -> Self {
        Self(list.lines().map(str::to_owned).collect())
    }

    /// The number of classes, background not counted.
    #[expect(clippy::len_without_is_empty, reason = "there is always a class")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of a class, if there is such a class.
    pub fn get(&self, class: ClassId) -> Option<&str> {
        self.0.get(class.index()).map(String::as_str)
    }

    /// The class with this name, whichever code points write it.
    pub fn id_of(&self, name: &str) -> Option<ClassId> {
        let name: String = name.nfc().collect();
        let index = self.0.iter().position(|known| *known == name)?;
        Some(ClassId::from_index(index))
    }

    /// All names in the order of their ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// All ids in order.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = ClassId> + use<> {
        (0..self.0.len()).map(ClassId::from_index)
    }
}

fn fault_of_name(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("the name is empty".into());
    }
    if name == "background" {
        return Some("`background` is added by the network, it is no class of its own".into());
    }
    if name.len() > MAX_CLASS_NAME_BYTES {
        return Some(format!(
            "the name has {} bytes, at most {MAX_CLASS_NAME_BYTES} are allowed",
            name.len()
        ));
    }
    if name.chars().any(char::is_control) {
        return Some(format!("the name {name:?} holds a control character"));
    }
    None
}

impl TryFrom<Vec<String>> for ClassNames {
    type Error = Error;

    fn try_from(names: Vec<String>) -> Result<Self> {
        Self::new(names)
    }
}

impl From<ClassNames> for Vec<String> {
    fn from(names: ClassNames) -> Self {
        names.0
    }
}

impl fmt::Display for ClassNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_found_by_case() {
        let names = ClassNames::new([" cat", "Cat ", "dog"]).unwrap();
        assert_eq!(names.id_of("Cat"), Some(ClassId(1)));
        assert_eq!(names.id_of("DOG"), None);
        assert_eq!(names.get(ClassId(2)), Some("dog"));
        assert_eq!(names.get(ClassId(3)), None);
    }

    #[test]
    fn one_text_is_one_name() {
        let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
        for name in [composed, decomposed] {
            let names = ClassNames::new(["a", name]).unwrap();
            assert_eq!(names.get(ClassId(1)), Some(composed));
            for asked in [composed, decomposed] {
                assert_eq!(names.id_of(asked), Some(ClassId(1)));
            }
        }
        assert!(ClassNames::new([composed, decomposed]).is_err());
    }

    #[test]
    fn published_lists_are_sound() {
        for (names, count) in [(ClassNames::imagenet(), 1000), (ClassNames::coco(), 90)] {
            assert_eq!(ClassNames::new(names.iter()).unwrap(), names);
            assert_eq!(names.len(), count);
        }
        assert_eq!(
            ClassNames::imagenet().get(ClassId(999)),
            Some("toilet tissue")
        );
        assert_eq!(ClassNames::coco().id_of("toothbrush"), Some(ClassId(89)));
        assert_eq!(ClassNames::coco().id_of("person"), Some(ClassId(0)));
    }

    #[test]
    fn bad_names_are_refused() {
        let none: [&str; 0] = [];
        assert!(ClassNames::new(none).is_err());
        for bad in [
            vec!["a", " a "],
            vec![" "],
            vec!["background"],
            vec!["a\nb"],
        ] {
            assert!(ClassNames::new(bad).is_err());
        }
    }

    #[test]
    fn too_many_names_are_refused_without_end() {
        let names = |count: usize| ClassNames::new((0..count).map(|i| i.to_string()));
        assert!(names(MAX_CLASSES).is_ok());
        for count in [MAX_CLASSES + 1, usize::MAX] {
            let error = names(count).unwrap_err();
            assert!(matches!(error, Error::OverLimit(_)), "{error}");
        }
    }

    #[test]
    fn reading_json_checks_too() {
        assert!(serde_json::from_str::<ClassNames>(r#"["a","b"]"#).is_ok());
        assert!(serde_json::from_str::<ClassNames>(r#"["a","a"]"#).is_err());
    }
}
