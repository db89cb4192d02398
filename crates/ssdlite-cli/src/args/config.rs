//! Options and the `config.toml` whose keys they are.
//!
//! Options that were given are laid over the file of `--config`, and the
//! libraries check the result.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use clap::Arg;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ssdlite_train::config::{Ignored, check_keys, read_config};
use toml::Spanned;

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
    Ok(toml::Table::try_from(options)?)
}

/// The text of a configuration: the file, if there is one, with the options
/// that were given laid over it. The file is checked as one of a `C`, so that a
/// fault's line is the file's; what is overridden may be wrong there.
pub(crate) fn config_text<C: DeserializeOwned>(
    file: Option<&Path>,
    options: &impl Serialize,
) -> Result<String> {
    let options = toml_table(options)?;
    let mut table = match file {
        Some(path) => table_from_file::<C>(path, &options)?,
        None => toml::Table::new(),
    };
    for (section, options) in options {
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

/// A file's keys, but for those that options override.
fn table_from_file<C: DeserializeOwned>(path: &Path, options: &toml::Table) -> Result<toml::Table> {
    let text = overridden(read_config(path)?, options);
    check_keys::<C>(&text).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

/// The values of a configuration with their places in its text.
type PlacedValues = BTreeMap<String, BTreeMap<String, Spanned<toml::Value>>>;

/// A file's text with the options' values in the place of its own, its lines where
/// they were.
fn overridden(mut text: String, options: &toml::Table) -> String {
    // What can't be read at all is told by whoever reads it.
    let sections: PlacedValues = toml::from_str(&text).unwrap_or_default();
    let mut places = Vec::new();
    for (section, keys) in &sections {
        let options = options.get(section).and_then(toml::Value::as_table);
        for (key, value) in keys {
            if let Some(option) = options.and_then(|options| options.get(key)) {
                places.push((value.span(), option));
            }
        }
    }
    places.sort_by_key(|(span, _)| span.start);
    for (span, option) in places.into_iter().rev() {
        let lines = text[span.clone()].matches('\n').count();
        text.replace_range(span, &format!("{option}{}", "\n".repeat(lines)));
    }
    text
}

/// The value of a key such as `training.lr`.
fn value_of<'a>(config: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    let (section, name) = key.split_once('.')?;
    config.get(section)?.get(name)
}

/// A fault told about `key`, such as `training.lr`, in the words of whoever gave its
/// value: an option, or a line of the file.
fn told(
    key: &str,
    fault: &str,
    file: Option<&Path>,
    options: &impl Serialize,
) -> Result<anyhow::Error> {
    let (section, name) = key.split_once('.').unwrap_or(("", key));
    let path = match file {
        Some(path) if value_of(&toml_table(options)?, key).is_none() => path,
        _ => return Ok(UsageError(format!("--{name}: {fault}")).into()),
    };
    let text = read_config(path)?;
    let sections: PlacedValues = toml::from_str(&text).unwrap_or_default();
    let value = sections.get(section).and_then(|keys| keys.get(name));
    let place = match value {
        None => key.to_owned(),
        Some(value) => {
            let number = text[..value.span().start].matches('\n').count();
            let line = text.lines().nth(number).unwrap_or_default().trim();
            format!("line {}, `{line}`", number + 1)
        }
    };
    Ok(anyhow!("{}: {place}: {fault}", path.display()))
}

/// An error of a run that begins with the file and the options. What is wrong in a
/// value is told of the option, or of the file's line.
pub(crate) fn blamed(
    error: anyhow::Error,
    file: Option<&Path>,
    options: &impl Serialize,
) -> anyhow::Error {
    match error.downcast_ref() {
        Some(ssdlite_train::Error::Setting { key, fault }) => {
            told(key, fault, file, options).unwrap_or_else(|error| error)
        }
        _ => error,
    }
}

/// Refuses options that others make idle, and such keys of the file: there the
/// file's own key has to be the cause, and its value none that a run's `config.toml`
/// has from the `defaults`.
pub(crate) fn expect_effect(
    ignored: &[Ignored],
    defaults: &impl Serialize,
    file: Option<&Path>,
    options: &impl Serialize,
) -> Result<()> {
    let given = toml_table(options)?;
    let defaults = toml_table(defaults)?;
    let of_file: toml::Table = match file {
        Some(path) => read_config(path)?.parse().unwrap_or_default(),
        None => toml::Table::new(),
    };
    for Ignored { key, by, reason } in ignored {
        let is_by_option = by.is_some_and(|by| value_of(&given, by).is_some());
        let is_given = value_of(&given, key).is_some();
        let in_file = value_of(&of_file, key);
        let is_in_file = in_file.is_some() && in_file != value_of(&defaults, key);
        if is_given || is_in_file && !is_by_option {
            let fault = format!("this would have no effect: {reason}");
            return Err(told(key, &fault, file, options)?);
        }
    }
    Ok(())
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
