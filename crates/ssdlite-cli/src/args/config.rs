//! Options and the `config.toml` whose keys they are.
//!
//! Options that were given are laid over the file of `--config`, and the
//! libraries check the result.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Arg;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ssdlite_train::config::{check_keys, read_config};

use crate::outcome::UsageError;

/// What adds to an option's help the default that it has in this configuration,
/// if it has one.
pub(crate) fn show_defaults(config: &impl Serialize) -> impl FnMut(Arg) -> Arg {
    // By way of text, in which an f32 has no more digits than it needs.
    let text = toml::to_string(config).unwrap_or_default();
    let config: toml::Table = text.parse().unwrap_or_default();
    move |option| {
        let mut sections = config.values().filter_map(toml::Value::as_table);
        let default = option
            .get_long()
            .and_then(|key| sections.find_map(|section| section.get(key)));
        let (Some(default), Some(help)) = (default, option.get_help()) else {
            return option;
        };
        let help = format!("{help} [default: {}]", text_from_value(default));
        option.help(help)
    }
}

/// A value as it is given on the command line.
fn text_from_value(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}

/// The options that were given, as a user writes them.
pub(crate) fn given_options(options: &impl Serialize) -> Result<Vec<String>> {
    let sections = toml_table(options)?;
    let keys = sections.values().filter_map(toml::Value::as_table);
    let names = keys.flat_map(toml::Table::keys).map(|key| match &**key {
        "path" => "DATA".to_owned(),
        key => format!("--{key}"),
    });
    Ok(names.collect())
}

fn toml_table(options: &impl Serialize) -> Result<toml::Table> {
    toml::Table::try_from(options).map_err(|_| {
        UsageError(format!(
            "the options are kept in the run's config.toml: expected numbers of at most {}",
            i64::MAX
        ))
        .into()
    })
}

/// The text of a configuration: the file, if there is one, with the options
/// that were given laid over it. The file is checked as one of a `C`, alone, so
/// that a fault's line is the file's.
pub(crate) fn config_text<C: DeserializeOwned>(
    file: Option<&Path>,
    options: &impl Serialize,
) -> Result<String> {
    let mut table = match file {
        Some(path) => table_from_file::<C>(path)?,
        None => toml::Table::new(),
    };
    for (section, options) in toml_table(options)? {
        let slot = table
            .entry(section)
            .or_insert_with(|| toml::Table::new().into());
        match (slot, options) {
            (toml::Value::Table(slot), toml::Value::Table(options)) => slot.extend(options),
            (slot, options) => *slot = options,
        }
    }
    take_reduced_tail_of_coco(&mut table);
    toml::to_string(&table).context("the options can't be written as TOML")
}

/// torchvision's weights trained on COCO have the reduced tail, so that is what
/// they are for unless it was said otherwise.
fn take_reduced_tail_of_coco(table: &mut toml::Table) {
    let Some(toml::Value::Table(model)) = table.get_mut("model") else {
        return;
    };
    if model.get("weights").and_then(toml::Value::as_str) == Some("coco") {
        model.entry("reduced-tail").or_insert(true.into());
    }
}

fn table_from_file<C: DeserializeOwned>(path: &Path) -> Result<toml::Table> {
    let text = read_config(path)?;
    check_keys::<C>(&text).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Options {
        training: Training,
    }

    #[derive(Serialize)]
    struct Training {
        lr: Option<f64>,
        epochs: Option<u32>,
    }

    #[test]
    fn options_override_the_file_key_by_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(
            &path,
            "[model]\nsize = 96\n[training]\nlr = 0.5\nepochs = 7\n",
        )
        .unwrap();
        let options = Options {
            training: Training {
                lr: Some(0.25),
                epochs: None,
            },
        };
        let merged: toml::Table = config_text::<toml::Table>(Some(&path), &options)
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(merged["training"]["lr"].as_float(), Some(0.25));
        assert_eq!(merged["training"]["epochs"].as_integer(), Some(7));
        assert_eq!(merged["model"]["size"].as_integer(), Some(96));
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.toml");
        std::fs::write(&path, "lr = = 1").unwrap();
        let options = toml::Table::new();
        let error = config_text::<toml::Table>(Some(&path), &options).unwrap_err();
        assert!(format!("{error:#}").contains("broken.toml"), "{error:#}");
    }
}
