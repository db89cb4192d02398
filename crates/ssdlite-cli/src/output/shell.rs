//! Paths as words of a command that a user can copy.

use std::path::Path;

/// A path as one word for a shell that is not taken for an option.
pub(crate) fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let text = match text.starts_with('-') {
        true => format!("./{text}"),
        false => text,
    };
    let is_plain =
        |char: char| char.is_alphanumeric() || matches!(char, '/' | '.' | '_' | '-' | '+' | ',');
    if cfg!(windows) {
        let is_plain = |char| is_plain(char) || matches!(char, '\\' | ':');
        return match text.chars().all(is_plain) {
            true => text,
            false => format!("\"{text}\""),
        };
    }
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_not_take_it_as_it_is() {
        for (path, expected) in [
            (
                "runs/mine-2/best.safetensors",
                "runs/mine-2/best.safetensors",
            ),
            ("runs/für mich", "'runs/für mich'"),
            ("a'b", r"'a'\''b'"),
            ("$HOME;x", "'$HOME;x'"),
            ("-x/best", "./-x/best"),
            ("~x", "'~x'"),
        ] {
            assert_eq!(word(Path::new(path)), expected);
        }
    }
}
