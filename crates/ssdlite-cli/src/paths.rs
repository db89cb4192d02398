//! Files and folders that arguments name: one that is not there, where the name that is
//! likely meant is told, and one that would be written over the file that is read.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use ssdlite_media::Source;

/// The least likeness of two names of which one is likely a slip for the other.
const LEAST_LIKENESS: f64 = 0.85;

/// The most names of a folder that are looked at.
const MOST_NAMES: usize = 10_000;

/// Refuses a path at which nothing is.
pub(crate) fn expect_there(path: &Path) -> Result<()> {
    expect(path, "there is no such file or folder")
}

/// Refuses the path of a data folder at which nothing is.
pub(crate) fn expect_folder_there(path: &Path) -> Result<()> {
    expect(path, "the folder does not exist")
}

/// Refuses a path for an option's file at which the file lies that is read.
pub(crate) fn expect_another(option: &str, from: &Path, out: &Path) -> Result<()> {
    if let (Ok(from), Ok(to)) = (from.canonicalize(), out.canonicalize())
        && from == to
    {
        bail!("{option} {}: this is the file that is read", out.display());
    }
    Ok(())
}

/// Refuses a folder for an option's files that something is in.
pub(crate) fn expect_unused(folder: &Path, option: &str) -> Result<()> {
    let is_used = match folder.read_dir() {
        Ok(mut entries) => entries.next().is_some(),
        // A file, which can't be a folder either.
        Err(_) => folder.exists(),
    };
    if is_used {
        bail!(
            "{}: expected a new or empty folder for {option}",
            folder.display()
        );
    }
    Ok(())
}

fn expect(path: &Path, fault: &str) -> Result<()> {
    // What can't be looked at for another reason is told by whoever opens it.
    match path.try_exists() {
        Ok(false) => Err(anyhow!("{}: {fault}{}", path.display(), likely_meant(path))),
        _ => Ok(()),
    }
}

/// What frames come from.
pub(crate) fn source_from_argument(argument: &OsStr) -> Result<Source> {
    let likely = || likely_meant(Path::new(argument));
    Source::parse(argument).map_err(|error| match likely() {
        likely if likely.is_empty() => error.into(),
        likely => anyhow!("{error}{likely}"),
    })
}

/// The end of a message about a missing path; empty where nothing is like it.
fn likely_meant(path: &Path) -> String {
    let nearest = nearest(path);
    nearest.map_or_else(String::new, |nearest| {
        format!("; is {} meant?", nearest.display())
    })
}

/// The path that differs from a missing one in one name alone, by a slip.
fn nearest(path: &Path) -> Option<PathBuf> {
    let missing = path
        .ancestors()
        .filter(|part| !part.as_os_str().is_empty() && !part.exists())
        .last()?;
    let rest = path.strip_prefix(missing).ok()?;
    let name = missing.file_name()?.to_str()?.to_lowercase();
    let folder = match missing.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut best: Option<(f64, PathBuf)> = None;
    for entry in folder.read_dir().ok()?.flatten().take(MOST_NAMES) {
        let found = entry.file_name();
        let Some(text) = found.to_str().filter(|text| !text.starts_with('.')) else {
            continue;
        };
        let likeness = strsim::jaro_winkler(&name, &text.to_lowercase());
        let is_better = best.as_ref().is_none_or(|(most, _)| likeness > *most);
        if likeness >= LEAST_LIKENESS && is_better {
            let meant = missing.with_file_name(&found);
            let meant = match rest.as_os_str().is_empty() {
                true => meant,
                false => meant.join(rest),
            };
            if meant.exists() {
                best = Some((likeness, meant));
            }
        }
    }
    best.map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_slip_is_answered_with_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::create_dir_all(place("photos/train")).unwrap();
        fs::create_dir(place("films")).unwrap();
        fs::write(place("model.safetensors"), b"").unwrap();
        for (name, meant) in [
            ("photo", Some("photos")),
            ("Photos", Some("photos")),
            ("phtos/train", Some("photos/train")),
            ("photos/trian", Some("photos/train")),
            ("phtos/val", None),
            ("model.safetensor", Some("model.safetensors")),
            ("xyzzy", None),
            ("xyzzy/photos", None),
            ("films", None),
        ] {
            // Where letters of either case are the same, nothing is missing.
            let meant = meant.map(place).filter(|_| !place(name).exists());
            assert_eq!(nearest(&place(name)), meant, "{name}");
        }
        let told = expect_there(&place("photo")).unwrap_err().to_string();
        assert!(told.ends_with("photos meant?"), "{told}");
        assert!(expect_there(&place("films")).is_ok());
    }
}
