//! Everything that a training run needs to be repeated, as a TOML file.
//!
//! A key has the name of its command-line option. The sections `[model]` and
//! `[training]` are the same for detectors and classifiers. A key that is left
//! out takes its default; a key that doesn't exist is an error.

mod boxes;
mod classifier;
mod detector;
mod ignored;
mod message;
mod model;
mod training;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use boxes::BOXES_KEY;
pub use boxes::Boxes;
pub use classifier::{
    ClassifierAugmentOptions, ClassifierConfig, ClassifierDataOptions, ClassifierEvaluationOptions,
    ClassifierLossOptions,
};
pub use detector::{
    ClassificationLossKind, DetectorAugmentOptions, DetectorConfig, DetectorDataOptions,
    DetectorEvaluationOptions, DetectorHeadOptions, DetectorLossOptions, HeadKind,
};
pub use ignored::Ignored;
pub use model::{ModelOptions, Weights};
pub use training::{
    DeviceKind, Freeze, LoaderOptions, MAX_BATCH, OptimizerKind, ScheduleKind, TrainingOptions,
};

use crate::error::{Error, Result};

/// The largest `config.toml`: many times what all options take.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a `config.toml`.
///
/// # Errors
/// [`Error::Io`], also for what is no plain file or far too large, and
/// [`Error::Malformed`] for what is no text.
pub fn read_config(path: &Path) -> Result<String> {
    let bytes = ssdlite_files::read_bounded(path, MAX_BYTES);
    let bytes = bytes.map_err(|source| Error::io(path, source))?;
    String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        Error::Malformed(format!(
            "{}: expected text in UTF-8, found other bytes in line {}",
            path.display(),
            line_after(sound)
        ))
    })
}

/// The number of the line in which a text goes on, counted from 1.
fn line_after(text: &[u8]) -> usize {
    1 + text.iter().filter(|&&byte| byte == b'\n').count()
}

/// Checks a configuration's keys and the kinds of their values; some may be missing.
///
/// # Errors
/// [`Error::Config`] with line and key.
pub fn check_keys<C: DeserializeOwned>(text: &str) -> Result<()> {
    match toml::from_str::<C>(text) {
        Err(error) if !is_about_missing(&error) => {
            Err(Error::Config(message::from_toml_error(&error, text)))
        }
        _ => Ok(()),
    }
}

fn is_about_missing(error: &toml::de::Error) -> bool {
    error.message().starts_with("missing field")
}

/// Reads a configuration; the error tells the line and the key.
fn from_toml<C: DeserializeOwned>(text: &str) -> Result<C> {
    toml::from_str(text).map_err(|error| Error::Config(message::from_toml_error(&error, text)))
}

/// Reads a configuration whose missing keys are taken from `defaults`.
fn over_defaults<C: Serialize + DeserializeOwned>(defaults: &C, text: &str) -> Result<C> {
    let fault = |error: &dyn std::fmt::Display| Error::Config(error.to_string());
    let mut table = toml::Table::try_from(defaults).map_err(|error| fault(&error))?;
    let given: toml::Table = text.parse().map_err(|error| fault(&error))?;
    lay_over(&mut table, given);
    table.try_into().map_err(|error| fault(&error))
}

fn lay_over(table: &mut toml::Table, given: toml::Table) {
    for (key, value) in given {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(given)) => lay_over(inner, given),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// A path that means the same from every folder, and that TOML can hold.
fn absolute(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|source| Error::io(path, source))?;
    match absolute.to_str() {
        Some(_) => Ok(absolute),
        None => Err(Error::Config(format!(
            "{}: expected a path in UTF-8, as config.toml keeps it, found other bytes",
            absolute.display()
        ))),
    }
}

fn to_toml<C: Serialize>(config: &C) -> Result<String> {
    toml::to_string(config).map_err(|error| Error::Config(error.to_string()))
}

/// An error about a key: `training.lr: expected ..., found ...`.
fn wrong(key: &'static str, expected: &str, found: impl std::fmt::Display) -> Error {
    let fault = format!("expected {expected}, found {found}");
    Error::Setting { key, fault }
}

/// A number as a user writes it: no hundreds of digits.
fn number(value: f64) -> String {
    if value.abs() < 1e15 {
        value.to_string()
    } else {
        format!("{value:e}")
    }
}

/// Checks that a number is finite and at least 0.
fn check_not_negative(key: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        Ok(())
    } else {
        Err(wrong(key, "a number of 0 or more", number(value)))
    }
}

/// Checks that a number is finite and above 0.
fn check_positive(key: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(wrong(key, "a number above 0", number(value)))
    }
}

/// Checks that a number is at least 0 and less than 1.
fn check_share(key: &'static str, value: f64) -> Result<()> {
    if (0.0..1.0).contains(&value) {
        Ok(())
    } else {
        Err(wrong(
            key,
            "a number of 0 or more and below 1",
            number(value),
        ))
    }
}

/// Checks that a whole number is within a range.
fn check_whole(key: &'static str, range: RangeInclusive<usize>, value: usize) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let expected = format!("a whole number of {} to {}", range.start(), range.end());
    Err(wrong(key, &expected, value))
}

/// Checks that a number is 0 to 1.
fn check_probability(key: &'static str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(wrong(key, "a number of 0 to 1", number(value)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_configuration_is_a_small_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, b"a = 1\nb = \"\xff\"\n").unwrap();
        let error = read_config(&path).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        let large = fs::File::create(&path).unwrap();
        large.set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(read_config(&path), Err(Error::Io { .. })));
    }
}
