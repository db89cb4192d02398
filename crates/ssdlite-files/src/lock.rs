//! Files that one process at a time holds, for as long as it lives: the system
//! releases them even after a process that was killed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What came of asking for a [`LockFile`].
#[derive(Debug)]
pub enum Locked {
    /// This process holds it.
    Ours(LockFile),
    /// Another one does, under this number if that can be read.
    Others(Option<u32>),
    /// The file system has no locks; what the operating system said.
    Unsupported(io::Error),
}

/// A file that this process holds. It has the process's number in it, and is
/// removed when it is dropped.
#[derive(Debug)]
pub struct LockFile {
    /// Locked as long as it is open.
    _file: File,
    path: PathBuf,
}

impl LockFile {
    /// Makes the file, or takes over the one that a dead process left.
    ///
    /// # Errors
    /// What the operating system said if there can be no such file.
    pub fn acquire(path: &Path) -> io::Result<Locked> {
        loop {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true).truncate(false);
            let mut file = options.open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Locked::Others(process_in(file))),
                Err(TryLockError::Error(error)) => {
                    fs::remove_file(path)?;
                    return Ok(Locked::Unsupported(error));
                }
            }
            // Its holder may have removed it between our opening and locking.
            if is_named(&file, path) {
                // Without its number, say on a full disk, it is as locked.
                let _ = file
                    .set_len(0)
                    .and_then(|()| write!(file, "{}", std::process::id()));
                return Ok(Locked::Ours(Self {
                    _file: file,
                    path: path.to_owned(),
                }));
            }
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Still locked: nobody else can hold what is removed. A file that stays
        // is taken over by the next one who asks.
        let _ = fs::remove_file(&self.path);
    }
}

/// The number that a holder wrote.
fn process_in(file: File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

/// Whether an open file is still the one of its name.
#[cfg(unix)]
pub(crate) fn is_named(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(file), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (file.dev(), file.ino()) == (named.dev(), named.ino())
}

#[cfg(not(unix))]
pub(crate) fn is_named(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_it_goes_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        // As a process that was killed leaves it.
        fs::write(&path, "4000000000 and more").unwrap();
        let Locked::Ours(lock) = LockFile::acquire(&path).unwrap() else {
            panic!("expected a lock that is free");
        };
        let Locked::Others(process) = LockFile::acquire(&path).unwrap() else {
            panic!("expected a lock that is held");
        };
        if cfg!(unix) {
            assert_eq!(process, Some(std::process::id()));
        }
        drop(lock);
        assert!(!path.exists());
        assert!(matches!(LockFile::acquire(&path).unwrap(), Locked::Ours(_)));
    }

    #[test]
    fn of_many_at_once_one_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        for _ in 0..20 {
            let start = std::sync::Barrier::new(4);
            let found: Vec<Locked> = std::thread::scope(|scope| {
                let ask = || {
                    start.wait();
                    LockFile::acquire(&path).unwrap()
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
                let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().unwrap();
                threads.into_iter().map(join).collect()
            });
            let ours = |locked: &&Locked| matches!(locked, Locked::Ours(_));
            assert_eq!(found.iter().filter(ours).count(), 1);
        }
    }

    #[test]
    fn no_lock_without_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(LockFile::acquire(&folder.path().join("none/a.lock")).is_err());
    }
}
