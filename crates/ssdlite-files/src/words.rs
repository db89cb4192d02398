//! Words of messages for people: counts, and what the operating system says.

use std::io;

/// A count with its noun, such as `1 epoch` or `2 epochs`; the plural is the noun with
/// an `s`, or `es` behind an `s`.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    // Nothing is counted that is more than all bytes of all disks.
    let count = count.try_into().unwrap_or(u64::MAX);
    let ending = match count {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {noun}{ending}")
}

/// A message for a user, without the system's number.
pub fn words_of(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder".into(),
        io::ErrorKind::PermissionDenied => "there is no permission to read or write it".into(),
        io::ErrorKind::StorageFull => "the disk is full".into(),
        io::ErrorKind::IsADirectory => "found a folder where a file is expected".into(),
        io::ErrorKind::NotADirectory => "found a file where a folder is expected".into(),
        _ => {
            let told = error.to_string();
            let number = told.find(" (os error ").unwrap_or(told.len());
            told[..number].to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counted(1_usize, "object"), "1 object");
        assert_eq!(counted(0_usize, "object"), "0 objects");
        assert_eq!(counted(2_u64, "class"), "2 classes");
        assert_eq!(counted(1_u32, "class"), "1 class");
    }

    #[test]
    fn the_systems_numbers_are_left_out() {
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(words_of(&missing), "there is no such file or folder");
        let long = io::Error::from_raw_os_error(36);
        assert!(long.to_string().contains("os error 36"));
        assert!(!words_of(&long).contains("os error"));
        assert_eq!(words_of(&io::Error::other("too late")), "too late");
    }
}
