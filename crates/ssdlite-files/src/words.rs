//! What the operating system says, in a user's words.

use std::io;

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
    fn the_systems_numbers_are_left_out() {
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(words_of(&missing), "there is no such file or folder");
        let long = io::Error::from_raw_os_error(36);
        assert!(long.to_string().contains("os error 36"));
        assert!(!words_of(&long).contains("os error"));
        assert_eq!(words_of(&io::Error::other("too late")), "too late");
    }
}
