//! JSON in which no object has a key twice.
//!
//! Readers differ in which of two values they take, so a file with both would
//! mean one thing here and another elsewhere.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

/// Reads all of a JSON and refuses one in which a key stands twice in an
/// object. The error is a message for the user.
pub(crate) fn check_keys(json: &[u8]) -> Result<(), String> {
    let checked = serde_json::from_slice(json).map(|Checked| ());
    checked.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Eof => {
                format!("expected JSON, found that it breaks off after {column} bytes")
            }
            Category::Syntax | Category::Io => {
                format!("expected JSON, found other text at line {line}, column {column}")
            }
            Category::Data => error.to_string(),
        }
    })
}

/// A value whose objects have each key once.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Checker)
    }
}

struct Checker;

impl<'de> Visitor<'de> for Checker {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Checked, A::Error> {
        while items.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Checked, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, Checked)) = entries.next_entry::<String, Checked>()? {
            if let Some(key) = keys.replace(key) {
                let fault = format!("the key `{}` stands twice", key.escape_debug());
                return Err(A::Error::custom(fault));
            }
        }
        Ok(Checked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_stand_twice_are_named_wherever_they_are() {
        for sound in [
            "{}",
            r#"[null, true, -1, 1, 0.5, "a", {"a": {"a": []}, "b": {"a": 1}}]"#,
        ] {
            check_keys(sound.as_bytes()).unwrap();
        }
        for twice in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"[{"b": [{"a": 1, "b": 0, "a": {}}]}]"#,
        ] {
            let error = check_keys(twice.as_bytes()).unwrap_err();
            assert!(error.contains("the key `a` stands twice"), "{error}");
        }
        for (json, words) in [
            ("", "breaks off after 0 bytes"),
            ("{\"a\": ", "breaks off after 6 bytes"),
            ("{\"a\" 1}", "other text at line 1, column 6"),
            (&"[".repeat(100_000), "other text"),
        ] {
            let error = check_keys(json.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
