//! Patterns of file names: `*`, `?` and `[...]` within a name, `**` for any
//! folders between.
//!
//! The walk is our own and not that of the crate `glob`, whose patterns it
//! takes: that one follows links to folders as often as they lead in a circle,
//! and leaves out names that are not UTF-8. Here `**` goes into each real
//! folder once, and no wildcard stands for the dot of a hidden name.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::error::{Error, Result};

const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// What a pattern stands for.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    /// Files and folders, sorted.
    pub(crate) paths: Vec<PathBuf>,
    /// Folders that can't be looked into.
    pub(crate) errors: Vec<Error>,
}

/// A part of a pattern between two separators.
enum Part {
    /// A name without wildcards, or the root.
    Name(PathBuf),
    /// A name with wildcards.
    Pattern(Pattern),
    /// `**`
    AnyFolders,
}

/// Looks for what matches a pattern.
///
/// # Errors
/// [`Error::InvalidRequest`] for a pattern that is broken. Folders that can't
/// be read are among the [`Matches`].
pub(crate) fn expand(text: &str) -> Result<Matches> {
    let mut parts = Vec::new();
    for component in Path::new(text).components() {
        let name = component.as_os_str().to_str().unwrap_or_default();
        let part = match component {
            Component::Normal(_) if name == "**" => match parts.last() {
                Some(Part::AnyFolders) => continue,
                _ => Part::AnyFolders,
            },
            Component::Normal(_) if name.contains(['*', '?', '[']) => {
                // The crate's words tell of its own grammar.
                let pattern = Pattern::new(name).map_err(|_| {
                    Error::InvalidRequest(format!(
                        "{text}: there is no such file, and it is no pattern either: in `{name}` a \
                         `[` has no `]`, or `**` stands beside other characters"
                    ))
                })?;
                Part::Pattern(pattern)
            }
            _ => Part::Name(component.as_os_str().into()),
        };
        parts.push(part);
    }
    let mut search = Search::default();
    search.follow(PathBuf::new(), &parts);
    Ok(Matches {
        paths: search.paths.into_iter().collect(),
        errors: search.errors,
    })
}

#[derive(Default)]
struct Search {
    paths: BTreeSet<PathBuf>,
    errors: Vec<Error>,
}

impl Search {
    /// Looks in a folder for what the rest of a pattern stands for.
    fn follow(&mut self, folder: PathBuf, parts: &[Part]) {
        match parts {
            [] => {
                self.paths.insert(folder);
            }
            [Part::Name(name), rest @ ..] => {
                let path = folder.join(name);
                // A link that leads nowhere is told by whoever opens it.
                if path.symlink_metadata().is_ok() {
                    self.follow(path, rest);
                }
            }
            [Part::Pattern(pattern), rest @ ..] => {
                for path in self.entries(&folder) {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let matches = pattern.matches_with(&name, OPTIONS);
                    if matches && (rest.is_empty() || path.is_dir()) {
                        self.follow(path, rest);
                    }
                }
            }
            [Part::AnyFolders, rest @ ..] => {
                for folder in self.folders_below(folder) {
                    match rest {
                        // All that is in the folders.
                        [] => {
                            let entries = self.entries(&folder).into_iter();
                            self.paths.extend(entries.filter(|path| !is_clutter(path)));
                        }
                        rest => self.follow(folder, rest),
                    }
                }
            }
        }
    }

    /// A folder and those below it that are not clutter, each once: links to
    /// folders come last, as they may lead to one that is there anyway.
    fn folders_below(&mut self, folder: PathBuf) -> Vec<PathBuf> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        let mut folders = VecDeque::from([folder]);
        let mut links = VecDeque::new();
        while let Some(folder) = folders.pop_front().or_else(|| links.pop_front()) {
            let real = real_path(&folder);
            if !seen.insert(real.unwrap_or_else(|| folder.clone())) {
                continue;
            }
            for path in self.entries(&folder) {
                if is_clutter(&path) || !path.is_dir() {
                    continue;
                }
                if path.is_symlink() {
                    links.push_back(path);
                } else {
                    folders.push_back(path);
                }
            }
            found.push(folder);
        }
        found
    }

    /// What is in a folder, sorted.
    fn entries(&mut self, folder: &Path) -> Vec<PathBuf> {
        // The empty path is the current folder, without a name in front.
        let place = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let entries = fs::read_dir(place).and_then(|entries| {
            entries
                .map(|entry| Ok(folder.join(entry?.file_name())))
                .collect::<std::io::Result<Vec<_>>>()
        });
        match entries {
            Ok(mut entries) => {
                entries.sort_unstable();
                entries
            }
            Err(source) => {
                self.errors.push(Error::io(place, source));
                Vec::new()
            }
        }
    }
}

fn real_path(folder: &Path) -> Option<PathBuf> {
    if folder.as_os_str().is_empty() {
        return Path::new(".").canonicalize().ok();
    }
    folder.canonicalize().ok()
}

/// Whether the last part of a path is none of a reader's business.
pub(crate) fn is_clutter(path: &Path) -> bool {
    path.file_name().is_some_and(ssdlite_files::is_clutter)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a folder that a pattern stands for there.
    fn matches(folder: &Path, pattern: &str) -> Vec<String> {
        let pattern = folder.join(pattern);
        let found = expand(pattern.to_str().unwrap()).unwrap();
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        let name = |path: PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
        found.paths.into_iter().map(name).collect()
    }

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"x").unwrap();
        }
        folder
    }

    #[test]
    fn any_folders_are_none_or_many() {
        let folder = folder_with(&["a/b/c.jpg", "a/d.jpg", "a/e.txt", "f.jpg"]);
        for (pattern, expected) in [
            ("**/*.jpg", &["a/b/c.jpg", "a/d.jpg", "f.jpg"][..]),
            ("a/**/*.jpg", &["a/b/c.jpg", "a/d.jpg"]),
            ("**/b/*", &["a/b/c.jpg"]),
            ("*/*.jpg", &["a/d.jpg"]),
            ("a/?.[jt]*", &["a/d.jpg", "a/e.txt"]),
            ("a/**/**", &["a/b", "a/b/c.jpg", "a/d.jpg", "a/e.txt"]),
            ("none/*", &[]),
        ] {
            assert_eq!(matches(folder.path(), pattern), expected, "{pattern}");
        }
        for (pattern, part) in [("a**b", "`a**b`"), ("x/a[1.jpg", "`a[1.jpg`")] {
            let Err(Error::InvalidRequest(told)) = expand(pattern) else {
                panic!("{pattern} is no pattern");
            };
            assert!(
                told.contains("no such file") && told.contains(part),
                "{told}"
            );
        }
    }

    #[test]
    fn what_is_hidden_is_matched_by_its_dot_alone() {
        let folder = folder_with(&["._a.jpg", "a.jpg", ".git/b.jpg"]);
        assert_eq!(matches(folder.path(), "*.jpg"), ["a.jpg"]);
        assert_eq!(matches(folder.path(), "**/*.jpg"), ["a.jpg"]);
        assert_eq!(matches(folder.path(), "**"), ["a.jpg"]);
        assert_eq!(matches(folder.path(), ".git/*"), [".git/b.jpg"]);
        assert_eq!(matches(folder.path(), "._*"), ["._a.jpg"]);
    }

    #[test]
    #[cfg(unix)]
    fn links_that_lead_back_are_followed_once() {
        use std::os::unix::fs::symlink;
        let folder = folder_with(&["a/b/c.jpg", "z/d.jpg"]);
        let path = |name: &str| folder.path().join(name);
        for name in ["a/back", "a/b/back", "a/b/again"] {
            symlink(folder.path(), path(name)).unwrap();
        }
        symlink(path("z"), path("a/aside")).unwrap();
        symlink(path("nowhere"), path("a/lost.jpg")).unwrap();
        let expected = ["a/b/c.jpg", "a/lost.jpg", "z/d.jpg"];
        assert_eq!(matches(folder.path(), "**/*.jpg"), expected);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn names_that_are_no_text_are_matched() {
        use std::os::unix::ffi::OsStrExt;
        let folder = folder_with(&[]);
        let name = std::ffi::OsStr::from_bytes(b"b\xe4um.jpg");
        fs::write(folder.path().join(name), b"x").unwrap();
        let pattern = folder.path().join("b*.jpg");
        let found = expand(pattern.to_str().unwrap()).unwrap();
        assert_eq!(found.paths, [folder.path().join(name)]);
    }
}
