//! Files and folders that appear whole under their names, or not at all.
//!
//! What is new is made under a temporary name in the same folder, reaches the
//! disk, and is renamed, so that a reader sees the old one or the new one and
//! nothing between, after a loss of power too. [`write_atomically`] does all of
//! it for bytes in memory, [`NewFile`] for what is written piece by piece or by
//! another program, [`NewFolder`] for many files that belong together.
//!
//! What is read is a plain file of a bearable size: [`open_plain`], [`read_bounded`].
//! What is none of a reader's business has such a name: [`is_clutter`].
//!
//! A [`LockFile`] keeps two processes from the same work.

mod clutter;
mod leftovers;
mod lock;
mod words;

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

pub use clutter::is_clutter;
pub use leftovers::{remove_leftovers, remove_leftovers_of, target_from_temporary};
pub use lock::{LockFile, Locked};
pub use words::{counted, words_of};

/// Makes the temporary names of one process differ; it means nothing else.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Writes a file, or replaces the one that is there.
///
/// # Errors
/// What the operating system said; nothing is left behind then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Opens a plain file for reading.
///
/// # Errors
/// What the operating system said, and [`io::ErrorKind::Unsupported`] for a folder,
/// pipe, socket or device, which could keep the reader waiting or never end.
pub fn open_plain(path: &Path) -> io::Result<File> {
    // Opening a pipe waits for a writer, so its kind is asked before.
    expect_plain(&fs::metadata(path)?)?;
    let file = File::open(path)?;
    expect_plain(&file.metadata()?)?;
    Ok(file)
}

fn expect_plain(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let found = if metadata.is_dir() {
        "a folder"
    } else {
        "a pipe or device"
    };
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("expected a plain file, found {found}"),
    ))
}

/// Reads a plain file of at most `max_bytes`; of a larger one nothing is read.
///
/// # Errors
/// As [`open_plain`], and [`io::ErrorKind::FileTooLarge`].
pub fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open_plain(path)?;
    let too_large = |found: u64| {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("expected at most {max_bytes} bytes, found {found}"),
        )
    };
    let length = file.metadata()?.len();
    if length > max_bytes {
        return Err(too_large(length));
    }
    let mut bytes = Vec::new();
    // The file may grow meanwhile, and some of the kernel's tell no length.
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Renames a file or folder whose content has reached the disk, and lets the
/// new name reach it too.
///
/// # Errors
/// What the operating system said.
fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(folder_of(to))
}

/// A file that gets its name when it is whole; dropped before, it is removed.
///
/// Writing to it is not buffered.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    temporary: Temporary,
}

impl NewFile {
    /// A file that will be `target`, and ends in `.tmp` until then.
    ///
    /// # Errors
    /// What the operating system said, and [`io::ErrorKind::InvalidInput`] for
    /// a path that ends in no name.
    pub fn create(target: &Path) -> io::Result<Self> {
        Self::named(target, ".tmp".as_ref())
    }

    /// A file that will be `target`, and has its ending already, for programs
    /// that take a file's format from it. What dead processes left of the
    /// same file is removed, as it may be large.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn with_ending_of(target: &Path) -> io::Result<Self> {
        remove_leftovers_of(target);
        let mut ending = OsString::from(".part");
        if let Some(extension) = target.extension() {
            ending.push(".");
            ending.push(extension);
        }
        Self::named(target, &ending)
    }

    fn named(target: &Path, ending: &OsStr) -> io::Result<Self> {
        let create = |path: &Path| File::options().write(true).create_new(true).open(path);
        loop {
            let (file, temporary) = Temporary::make(target, ending, create)?;
            if temporary.is_held_by(&file) {
                return Ok(Self { file, temporary });
            }
        }
    }

    /// Where the file is until [`Self::commit`].
    pub fn path(&self) -> &Path {
        &self.temporary.path
    }

    /// Lets the content reach the disk and gives the file its name.
    ///
    /// # Errors
    /// What the operating system said; the file is removed then.
    pub fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        // Windows renames no file that is open; elsewhere it stays locked until
        // it has its name.
        let _held = (!cfg!(windows)).then_some(self.file);
        self.temporary.commit()
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A folder that gets its name when all is in it; dropped before, it is removed
/// with what it holds.
#[derive(Debug)]
pub struct NewFolder {
    temporary: Temporary,
    /// Locked as long as it is open; not all systems open folders.
    _held: Option<File>,
}

impl NewFolder {
    /// An empty folder that will be `target`. What dead processes left of the
    /// same folder is removed.
    ///
    /// # Errors
    /// As [`NewFile::create`].
    pub fn create(target: &Path) -> io::Result<Self> {
        remove_leftovers_of(target);
        let create = |path: &Path| fs::create_dir(path);
        loop {
            let ((), temporary) = Temporary::make(target, ".tmp".as_ref(), create)?;
            let held = File::open(&temporary.path).ok();
            if held
                .as_ref()
                .is_none_or(|folder| temporary.is_held_by(folder))
            {
                return Ok(Self {
                    temporary,
                    _held: held,
                });
            }
        }
    }

    /// Where the folder is until [`Self::commit`].
    pub fn path(&self) -> &Path {
        &self.temporary.path
    }

    /// Gives the folder its name, which must be free or an empty folder's.
    /// Whether its files have reached the disk is the writer's concern.
    ///
    /// # Errors
    /// What the operating system said; the folder is removed then.
    pub fn commit(self) -> io::Result<()> {
        self.temporary.commit()
    }
}

/// A name beside a target's, and what lies there.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    target: PathBuf,
}

impl Temporary {
    fn make<T>(
        target: &Path,
        ending: &OsStr,
        create: impl Fn(&Path) -> io::Result<T>,
    ) -> io::Result<(T, Self)> {
        let name = target.file_name().ok_or_else(|| {
            let fault = format!("expected a path with a name, found {}", target.display());
            io::Error::new(io::ErrorKind::InvalidInput, fault)
        })?;
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let mut numbers = OsString::from(format!(".{}-{number}", std::process::id()));
            numbers.push(ending);
            let mut name = shortened(name, LONGEST_NAME.saturating_sub(numbers.len()));
            name.push(numbers);
            let path = target.with_file_name(name);
            match create(&path) {
                Ok(made) => {
                    let target = target.to_owned();
                    return Ok((made, Self { path, target }));
                }
                // Left by a process of the same number, or made by one that
                // another machine or container numbers alike.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Marks what lies there as a living process's for as long as `file` is
    /// open. False if it was taken for a dead one's before.
    fn is_held_by(&self, file: &File) -> bool {
        // Locks of Windows would keep other programs from writing to the file.
        if cfg!(windows) {
            return true;
        }
        match file.try_lock() {
            Ok(()) => lock::is_named(file, &self.path),
            Err(fs::TryLockError::WouldBlock) => false,
            // Without locks nothing is taken for a dead process's.
            Err(fs::TryLockError::Error(_)) => true,
        }
    }

    fn commit(mut self) -> io::Result<()> {
        put_in_place(&self.path, &self.target)?;
        // It has its name, and `drop` nothing to remove.
        self.path = PathBuf::new();
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // Best effort: the error that matters is the one already found.
            let _ = fs::remove_file(&self.path).or_else(|_| fs::remove_dir_all(&self.path));
        }
    }
}

/// The longest name that common file systems take, in bytes.
const LONGEST_NAME: usize = 255;

/// The start of a name that is longer than `bytes`.
fn shortened(name: &OsStr, bytes: usize) -> OsString {
    if name.len() <= bytes {
        return name.to_owned();
    }
    let name = name.to_string_lossy();
    name[..name.floor_char_boundary(bytes)].into()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Lets the names in a folder reach the disk, where a folder can be opened and
/// its file system knows how.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => {
            Ok(())
        }
        result => result,
    }
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_written_file_replaces_the_old_one_and_leaves_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        for text in ["one", "two"] {
            write_atomically(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["a.toml"]);
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write_atomically(&folder.path().join("none/a"), b"x").is_err());
        let error = write_atomically(&folder.path().join(".."), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        // A folder with something in it can't be replaced.
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("inner")).unwrap();
        assert!(write_atomically(&taken, b"x").is_err());
        assert!(NewFolder::create(&taken).unwrap().commit().is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    fn a_file_is_there_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("video.mp4");
        let mut file = NewFile::with_ending_of(&path).unwrap();
        assert_eq!(file.path().extension(), path.extension());
        assert_eq!(file.path().parent(), path.parent());
        file.write_all(b"frames").unwrap();
        assert!(!path.exists());
        // As another program does that is told the name.
        fs::write(file.path(), b"other frames").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"other frames");
        drop(NewFile::create(&path).unwrap());
        assert_eq!(names(folder.path()), ["video.mp4"]);
    }

    #[test]
    fn the_longest_names_are_written() {
        let folder = tempfile::tempdir().unwrap();
        for letter in ["n", "\u{e4}"] {
            let stem = letter.repeat((LONGEST_NAME - ".jpg".len()) / letter.len());
            let path = folder.path().join(stem + ".jpg");
            write_atomically(&path, b"x").unwrap();
            let file = NewFile::with_ending_of(&path).unwrap();
            assert_eq!(file.path().extension(), path.extension());
            file.commit().unwrap();
        }
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn a_folder_is_there_when_it_is_whole() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let dropped = NewFolder::create(&path).unwrap();
        fs::create_dir(dropped.path().join("inner")).unwrap();
        drop(dropped);
        assert_eq!(names(parent.path()), Vec::<String>::new());
        let folder = NewFolder::create(&path).unwrap();
        fs::write(folder.path().join("a"), b"x").unwrap();
        assert!(!path.exists());
        folder.commit().unwrap();
        assert_eq!(names(&path), ["a"]);
        assert_eq!(names(parent.path()), ["data"]);
    }

    #[test]
    fn temporary_names_tell_their_targets() {
        for (name, target) in [
            ("a.toml.12-0.tmp", Some("a.toml")),
            ("a.b.mp4.12-345.part.mp4", Some("a.b.mp4")),
            ("list.1-2.part", Some("list")),
            ("a.part.1-2.tmp", Some("a.part")),
            ("a.toml", None),
            ("a.tmp", None),
            ("a.12.tmp", None),
            ("a.12-.tmp", None),
            ("a.-1.tmp", None),
            ("a.1x-2.tmp", None),
            ("a.1-2.part.tar.gz", None),
            ("a.1-2.partial", None),
            (".1-2.tmp", None),
        ] {
            assert_eq!(target_from_temporary(name), target, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_dead_processes_left_goes_and_what_lives_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // As processes leave it that are killed: nobody holds it.
        for name in [
            "video.mp4.7-0.part.mp4",
            "video.mp4.1-2.tmp",
            "other.mp4.7-0.part.mp4",
            "video.mp4.mine.tmp",
        ] {
            fs::write(path(name), b"half").unwrap();
        }
        fs::create_dir_all(path("set.7-1.tmp/inner")).unwrap();
        let first = NewFile::with_ending_of(&path("video.mp4")).unwrap();
        let second = NewFile::with_ending_of(&path("video.mp4")).unwrap();
        let set = NewFolder::create(&path("set")).unwrap();
        let other_set = NewFolder::create(&path("set")).unwrap();
        for living in [first.path(), second.path(), set.path(), other_set.path()] {
            assert!(living.exists(), "{}", living.display());
        }
        first.commit().unwrap();
        set.commit().unwrap();
        drop((second, other_set));
        let expected = [
            "other.mp4.7-0.part.mp4",
            "set",
            "video.mp4",
            "video.mp4.mine.tmp",
        ];
        assert_eq!(names(folder.path()), expected);
        remove_leftovers(folder.path(), |target| target == "other.mp4");
        assert_eq!(names(folder.path()), expected[1..]);
    }

    #[test]
    fn many_writers_of_one_file_leave_one_of_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let path = &path;
                scope.spawn(move || write_atomically(path, &[writer; 5000]).unwrap());
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes, [bytes[0]; 5000]);
        assert_eq!(names(folder.path()), ["list.txt"]);
    }

    #[test]
    fn what_is_read_is_a_plain_file_of_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_bounded(&path, 5).unwrap(), b"12345");
        let kind = |path: &Path, max| read_bounded(path, max).unwrap_err().kind();
        assert_eq!(kind(&path, 4), io::ErrorKind::FileTooLarge);
        assert_eq!(kind(folder.path(), 4), io::ErrorKind::Unsupported);
        assert_eq!(kind(&folder.path().join("b"), 4), io::ErrorKind::NotFound);
        #[cfg(unix)]
        {
            let unlike = std::os::unix::net::UnixListener::bind(folder.path().join("s"));
            drop(unlike.unwrap());
            assert_eq!(
                kind(&folder.path().join("s"), 4),
                io::ErrorKind::Unsupported
            );
            assert_eq!(kind(Path::new("/dev/zero"), 4), io::ErrorKind::Unsupported);
        }
    }
}
