//! JSON of other tools: whatever encoding it is in, and whatever stands where a number
//! or a name is expected.
//!
//! A value of the wrong kind costs the object that it is of, not the file: it is kept
//! as [`Loose`] and told where it is used.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::error::Category;

use crate::finding::{escaped, quoted};
use crate::formats::text::text_from_bytes;

/// Reads a JSON file; the error is a message for the user.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let text = text_from_bytes(bytes)?;
    let text = without_nan(text.trim_start_matches('\u{feff}'));
    serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Eof => format!("expected JSON, found that it breaks off in line {line}"),
            Category::Syntax | Category::Io => {
                format!("expected JSON, found other text at line {line}, column {column}")
            }
            Category::Data => escaped(&error.to_string()),
        }
    })
}

/// Numbers that Python writes and JSON has not.
const NO_NUMBERS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The same text with nulls in the place of what Python writes for numbers that are
/// not finite.
fn without_nan(text: &str) -> Cow<'_, str> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return Cow::Borrowed(text);
    }
    let mut sound = String::with_capacity(text.len());
    let mut rest = text;
    // Up to each string, and over it: what stands in one is text.
    while let Some(start) = rest.find('"') {
        push_without_nan(&mut sound, &rest[..start]);
        let end = end_of_string(&rest[start..]);
        sound.push_str(&rest[start..start + end]);
        rest = &rest[start + end..];
    }
    push_without_nan(&mut sound, rest);
    Cow::Owned(sound)
}

fn push_without_nan(sound: &mut String, piece: &str) {
    let mut piece = Cow::Borrowed(piece);
    for name in NO_NUMBERS {
        if piece.contains(name) {
            piece = Cow::Owned(piece.replace(name, "null"));
        }
    }
    sound.push_str(&piece);
}

/// How many bytes a text's string has that starts it, its quotes included.
fn end_of_string(text: &str) -> usize {
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// A value of which only the kind is sure.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Loose {
    /// Null, or no value at all.
    #[default]
    Missing,
    Bool(bool),
    Integer(i128),
    Number(f64),
    Text(String),
    List,
    Map,
}

impl Loose {
    /// A finite number, also one that is written as text.
    pub(super) fn finite(&self) -> Option<f64> {
        let value = match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Number(value) => Some(*value),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Missing | Self::Bool(_) | Self::List | Self::Map => None,
        };
        value.filter(|value| value.is_finite())
    }

    /// A number of pixels.
    pub(super) fn side(&self) -> Option<u32> {
        let value = self.finite()?;
        let is_whole = value.fract() == 0.0 && value >= 0.0 && value <= f64::from(u32::MAX);
        is_whole.then_some(value as u32)
    }

    /// A name or number as text, trimmed.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.trim().to_owned()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Number(value) => Some(value.to_string()),
            Self::Missing | Self::Bool(_) | Self::List | Self::Map => None,
        }
    }

    /// Whether a flag is set; none for what is no flag.
    pub(super) fn flag(&self) -> Option<bool> {
        match self {
            Self::Missing => Some(false),
            Self::Bool(value) => Some(*value),
            other => match other.finite() {
                Some(0.0) => Some(false),
                Some(1.0) => Some(true),
                _ => None,
            },
        }
    }
}

/// The value for a message.
impl fmt::Display for Loose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("none"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::List => f.write_str("a list"),
            Self::Map => f.write_str("a map"),
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Loose, E> {
        Ok(Loose::Missing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Loose, E> {
        Ok(Loose::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Loose, E> {
        Ok(Loose::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Loose, E> {
        Ok(Loose::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Loose, E> {
        Ok(Loose::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Loose, E> {
        Ok(Loose::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Loose, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Loose, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Map)
    }
}

/// A list, or what stands in its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum LooseList<T> {
    List(Vec<T>),
    Map,
    /// A value of another kind, or none.
    #[default]
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for LooseList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseListVisitor(PhantomData))
    }
}

struct LooseListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LooseListVisitor<T> {
    type Value = LooseList<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<LooseList<T>, E> {
        Ok(LooseList::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<LooseList<T>, E> {
        Ok(LooseList::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<LooseList<T>, E> {
        Ok(LooseList::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<LooseList<T>, E> {
        Ok(LooseList::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<LooseList<T>, E> {
        Ok(LooseList::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<LooseList<T>, E> {
        Ok(LooseList::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<LooseList<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(LooseList::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<LooseList<T>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(LooseList::Map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_value_is_kept_as_what_it_is() {
        let json = r#"[null, true, -3, 2.5, " 7 ", [[1, {"a": []}]], {"a": {"b": 1}}]"#;
        let values: Vec<Loose> = parse(json.as_bytes()).unwrap();
        let expected = [
            Loose::Missing,
            Loose::Bool(true),
            Loose::Integer(-3),
            Loose::Number(2.5),
            Loose::Text(" 7 ".into()),
            Loose::List,
            Loose::Map,
        ];
        assert_eq!(values, expected);
        let finite: Vec<Option<f64>> = values.iter().map(Loose::finite).collect();
        let numbers = [None, None, Some(-3.0), Some(2.5), Some(7.0), None, None];
        assert_eq!(finite, numbers);
        let flags: Vec<Option<bool>> = values.iter().map(Loose::flag).collect();
        assert_eq!(flags[..4], [Some(false), Some(true), None, None]);
        let lists: Vec<LooseList<Loose>> = parse(json.as_bytes()).unwrap();
        let kinds: Vec<char> = (lists.iter())
            .map(|list| match list {
                LooseList::List(_) => 'l',
                LooseList::Map => 'm',
                LooseList::Other => 'o',
            })
            .collect();
        assert_eq!(String::from_iter(kinds), "ooooolm");
    }

    #[test]
    fn what_python_writes_for_no_number_is_null() {
        let json = r#"{"a": [NaN, -Infinity, Infinity, 1], "NaN \" NaN": "NaN"}"#;
        let sound = r#"{"a": [null, null, null, 1], "NaN \" NaN": "NaN"}"#;
        assert_eq!(without_nan(json), sound);
        assert_eq!(without_nan("[1]"), "[1]");
        // A text that never ends.
        assert_eq!(without_nan("NaN \"NaN"), "null \"NaN");
    }

    #[test]
    fn broken_files_are_told() {
        let fault = |bytes: &[u8]| parse::<Loose>(bytes).unwrap_err();
        assert!(fault(b"").contains("breaks off in line 1"));
        assert!(fault(b"{\n\"a\": ").contains("breaks off in line 2"));
        assert!(fault(b"{'a': 1}").contains("other text at line 1, column 2"));
        assert!(fault(b"\xE9").contains("expected UTF-8"));
        assert!(fault("[".repeat(1_000_000).as_bytes()).contains("expected JSON"));
        let marked = [b"\xEF\xBB\xBF".as_slice(), b"1"].concat();
        assert_eq!(parse::<Loose>(&marked).unwrap(), Loose::Integer(1));
    }
}
