//! What is wrong in a configuration, in a user's words.
//!
//! serde and toml speak of fields, variants and Rust's types; what they mean is
//! told from the start of their messages, which the tests hold.

use super::{is_about_missing, line_after};

/// The least likeness of two names that a slip could have made of one another,
/// 0 to 1; clap's for options is 0.7.
const LEAST_LIKENESS: f64 = 0.6;

/// Line, text and reason of an error.
pub(super) fn from_toml_error(error: &toml::de::Error, text: &str) -> String {
    let reason = reason(error.message());
    let start = error.span().map(|span| span.start);
    // What is missing stands in no line.
    let start = start.filter(|_| !is_about_missing(error));
    let Some(before) = start.and_then(|start| text.as_bytes().get(..start)) else {
        return reason;
    };
    let number = line_after(before);
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    format!("line {number}, `{line}`: {reason}")
}

fn reason(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let (found, known) = match quoted.split_first() {
        Some((found, known)) => (*found, known),
        None => ("", &[][..]),
    };
    if message.starts_with("unknown field") {
        format!(
            "there is no key or section `{found}` here{}",
            nearest(found, known)
        )
    } else if message.starts_with("unknown variant") {
        format!("expected one of {}, found {found}", known.join(", "))
    } else if message.starts_with("missing field") {
        format!("expected the key or section `{found}`, found none")
    } else if let Some((found, expected)) = type_fault(message) {
        format!(
            "expected {}, found {}",
            in_words(expected),
            found_in_words(found)
        )
    } else if message == "wanted string or table" {
        "expected a word in quotes".into()
    } else {
        message.lines().collect::<Vec<_>>().join(", ")
    }
}

/// What was found and expected, by a message such as `invalid type: string "a",
/// expected f64`.
fn type_fault(message: &str) -> Option<(&str, &str)> {
    let rest = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?;
    rest.rsplit_once(", expected ")
}

fn in_words(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "a boolean" => "true or false",
        "a string" | "path string" => "a text in quotes",
        "a sequence" => "a list in brackets",
        name if name.starts_with("struct ") => "a section",
        name if name.starts_with("enum ") => "a word in quotes",
        other => other,
    }
}

/// A value after the kind that serde gives it.
fn found_in_words(found: &str) -> &str {
    let kinds = ["string ", "integer ", "floating point ", "boolean "];
    let value = kinds.iter().find_map(|kind| found.strip_prefix(kind));
    value.unwrap_or(match found {
        "map" => "a section",
        "sequence" => "a list",
        other => other,
    })
}

/// The known names that are like a name, or all if none is.
fn nearest(name: &str, known: &[&str]) -> String {
    let likeness = |other: &str| strsim::jaro_winkler(name, other);
    let mut near: Vec<&str> = known.to_vec();
    near.retain(|known| likeness(known) >= LEAST_LIKENESS);
    near.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    near.truncate(3);
    if near.is_empty() {
        format!("; expected one of {}", known.join(", "))
    } else {
        format!("; like it are {}", near.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use crate::DetectorConfig;
    use crate::config::check_keys;

    #[test]
    fn line_key_and_what_was_expected_are_told() {
        let head = "[data]\npath = \"photos\"\n";
        for (section, words) in [
            (
                "[training]\nepoch = 3",
                "line 4, `epoch = 3`: there is no key or section `epoch` here; like it are epochs",
            ),
            (
                "[trainig]\nlr = 1",
                "line 3, `[trainig]`: there is no key or section `trainig` here; like it are training",
            ),
            (
                "[loader]\nxyzzy = 1",
                "line 4, `xyzzy = 1`: there is no key or section `xyzzy` here; expected one of \
                 workers, cache",
            ),
            (
                "[training]\n\nlr = \"high\"",
                "line 5, `lr = \"high\"`: expected a number, found \"high\"",
            ),
            (
                "[training]\nepochs = -1",
                "line 4, `epochs = -1`: expected a whole number of 0 or more, found `-1`",
            ),
            (
                "[training]\nepochs = 99999999999",
                "line 4, `epochs = 99999999999`: expected a whole number of 0 or more",
            ),
            (
                "[augment]\niou-crop = 1",
                "line 4, `iou-crop = 1`: expected true or false, found `1`",
            ),
            (
                "[model]\nbackbone = \"huge\"",
                "line 4, `backbone = \"huge\"`: expected one of small, large, found huge",
            ),
            (
                "[training]\noptimizer = 3",
                "line 4, `optimizer = 3`: expected",
            ),
            (
                "[training]\nlr = 1\nlr = 2",
                "line 5, `lr = 2`: duplicate key",
            ),
            ("[training]\nlr = = 1", "line 4, `lr = = 1`: "),
            ("[training\nlr = 1", "line 3, `[training`: "),
            ("training = 3", "line 3, `training = 3`"),
        ] {
            let text = format!("{head}{section}\n");
            let error = DetectorConfig::from_toml(&text).unwrap_err().to_string();
            assert!(error.starts_with(words), "{section}: {error}");
            let checked = check_keys::<DetectorConfig>(&text).unwrap_err();
            assert_eq!(checked.to_string(), error);
            for jargon in ["field", "variant", "f64", "usize", "u32", "struct", "TOML"] {
                assert!(!error.contains(jargon), "{error}");
            }
        }
    }

    #[test]
    fn what_is_missing_may_be_given_elsewhere() {
        check_keys::<DetectorConfig>("[training]\nlr = 1\n").unwrap();
        let error = DetectorConfig::from_toml("").unwrap_err().to_string();
        assert_eq!(error, "expected the key or section `data`, found none");
    }
}
