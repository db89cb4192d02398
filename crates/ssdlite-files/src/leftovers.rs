//! What processes that were killed left under temporary names.
//!
//! A living process holds a lock on what it has under such a name, so what can
//! be locked is a dead one's. Nothing is removed where there are no locks, and
//! on systems whose locks keep other programs from a file.

use std::path::Path;

/// Removes what dead processes left of `target`. Best effort: the writing of
/// the target does not depend on it.
pub fn remove_leftovers_of(target: &Path) {
    let folder = crate::folder_of(target);
    if let Some(name) = target.file_name() {
        remove_leftovers(folder, |found| found == name);
    }
}

/// Removes what dead processes left in a folder of the targets that are named.
/// Best effort, as [`remove_leftovers_of`].
pub fn remove_leftovers(folder: &Path, is_target: impl Fn(&str) -> bool) {
    #[cfg(unix)]
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let target = name.to_str().and_then(target_from_temporary);
        if target.is_some_and(&is_target) {
            let _ = unix::remove_unless_held(&entry);
        }
    }
    #[cfg(not(unix))]
    let _ = (folder, is_target);
}

/// The name that a temporary name stands for, if it is one:
/// `TARGET.PROCESS-NUMBER.tmp` or `TARGET.PROCESS-NUMBER.part.EXTENSION`.
pub fn target_from_temporary(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".tmp").or_else(|| {
        let (stem, extension) = name.rsplit_once(".part")?;
        let is_extension = extension.is_empty() || extension.rfind('.') == Some(0);
        is_extension.then_some(stem)
    })?;
    let (target, numbers) = stem.rsplit_once('.')?;
    let (process, number) = numbers.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (!target.is_empty() && is_number(process) && is_number(number)).then_some(target)
}

#[cfg(unix)]
mod unix {
    use std::fs::{self, DirEntry, File};
    use std::io;

    pub(super) fn remove_unless_held(entry: &DirEntry) -> io::Result<()> {
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_file() {
            // Some file systems lock for writing only what is open for it.
            let file = File::options().read(true).write(true).open(&path)?;
            file.try_lock()?;
            fs::remove_file(&path)?;
        } else if kind.is_dir() {
            let folder = File::open(&path)?;
            folder.try_lock()?;
            fs::remove_dir_all(&path)?;
        }
        Ok(())
    }
}
