//! Names that are nobody's data.

use std::ffi::OsStr;

/// What Windows, macOS, Linux and NAS devices leave in folders that people fill,
/// in lower case. What else they leave is hidden.
const LEFT_BY_SYSTEMS: [&str; 9] = [
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "__macosx",
    "icon\r",
    "lost+found",
    "@eadir",
];

/// Whether a file or folder of this name is none of the business of who reads the
/// images or the data in a folder: it is hidden, as `.DS_Store`, the companion
/// `._a.jpg` that macOS writes on foreign drives and `.ipynb_checkpoints` are, or a
/// system left it there.
///
/// Only such a file may be passed over without a word.
pub fn is_clutter(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') || LEFT_BY_SYSTEMS.contains(&name.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_put_there_is_no_clutter() {
        for name in [
            ".DS_Store",
            "._a.jpg",
            ".git",
            "Thumbs.db",
            "__MACOSX",
            "DESKTOP.INI",
        ] {
            assert!(is_clutter(name.as_ref()), "{name}");
        }
        for name in ["a.jpg", "thumbs", "a.db", "Desktop", "_a.jpg", "a.ini"] {
            assert!(!is_clutter(name.as_ref()), "{name}");
        }
    }
}
