//! One argument form for everything that frames come from.
//!
//! | argument | source |
//! |---|---|
//! | a file | an image or a video, told apart by content, then by extension |
//! | a folder | the images and videos directly in it, sorted by name |
//! | a pattern with `*`, `?` or `[...]` | the images and videos that match, sorted; `**` goes into folders, into each once |
//! | `0`, `/dev/video0`, `camera:NAME`, `video=NAME` | a camera |
//! | `rtsp://`, `rtsps://`, `http://`, `https://` | a stream |
//!
//! A file or folder that exists under exactly that name is always taken as
//! such. Patterns are expanded here because the shells of Windows don't.
//!
//! Images in formats that are not read count as images: whoever opens them says
//! what they are. Hidden files, such as the `._a.jpg` that macOS writes beside
//! `a.jpg`, are passed over in folders and patterns; whatever else stands there
//! and is not used is told ([`FoundFiles::passed_over`]).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use ssdlite_image::format::{format_from_content, format_from_name};

use crate::address;
use crate::camera::Camera;
use crate::error::{Error, Result};
use crate::pattern;

const VIDEO_EXTENSIONS: [&str; 36] = [
    "mp4", "m4v", "mov", "qt", "mkv", "webm", "avi", "divx", "ts", "m2ts", "mts", "mpg", "mpeg",
    "mpe", "m2v", "vob", "wmv", "asf", "flv", "f4v", "3gp", "3g2", "ogv", "gif", "h264", "264",
    "h265", "265", "hevc", "obu", "ivf", "mxf", "dv", "y4m", "nut", "rm",
];
/// Endings of motion JPEG: JPEG images one behind the other, of which the first
/// bytes tell nothing.
const MOTION_JPEG_EXTENSIONS: [&str; 2] = ["mjpeg", "mjpg"];
const STREAM_SCHEMES: [&str; 4] = ["rtsp", "rtsps", "http", "https"];

/// Endings of files that stand beside images and hold none: annotations, lists
/// and notes.
const COMPANION_EXTENSIONS: [&str; 12] = [
    "xml", "txt", "json", "jsonl", "csv", "tsv", "yaml", "yml", "toml", "md", "html", "srt",
];

/// The names that a message lists.
const LISTED_NAMES: usize = 3;

/// The bytes from a file's start that tell its format.
const SIGNATURE_BYTES: u64 = 16;

/// Where frames come from.
#[derive(Debug)]
pub enum Source {
    /// Images and videos, at least one.
    Files(FoundFiles),
    /// A camera of this machine.
    Camera(Camera),
    /// The address of a stream.
    Stream(String),
}

/// The files that an argument names.
#[derive(Debug, Default)]
pub struct FoundFiles {
    /// Images and videos, in the order in which they are read.
    pub files: Vec<MediaFile>,
    /// What stands there and is not used, a message for people each.
    pub passed_over: Vec<String>,
    /// What is meant to be used and can't be: folders that can't be looked into,
    /// pipes, links that lead nowhere.
    pub errors: Vec<Error>,
}

/// A file that holds images.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MediaFile {
    /// The file.
    pub path: PathBuf,
    /// How it is read.
    pub kind: MediaKind,
}

/// How a file that holds images is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MediaKind {
    /// One image.
    Image,
    /// Frames, by way of `ffmpeg`.
    Video,
}

impl Source {
    /// Reads an argument, looking at the files that it names.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a name that no file has, a pattern that is
    /// broken, and a folder or pattern without images and videos;
    /// [`Error::Unsupported`] for other schemes of addresses; [`Error::Io`].
    pub fn parse(argument: impl AsRef<OsStr>) -> Result<Self> {
        let argument = argument.as_ref();
        // A camera's name, an address and a pattern are text.
        let text = argument.to_str().unwrap_or_default();
        if let Some((scheme, _)) = text.split_once("://") {
            let scheme = scheme.to_ascii_lowercase();
            if STREAM_SCHEMES.contains(&scheme.as_str()) {
                return Ok(Self::Stream(text.to_owned()));
            }
            return Err(Error::Unsupported(format!(
                "{}: expected an address with one of the schemes {}",
                address::shown(text),
                STREAM_SCHEMES.join(", ")
            )));
        }
        let path = Path::new(argument);
        if let Some(camera) = Camera::from_device_path(path) {
            return Ok(Self::Camera(camera));
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return files_in_folder(path).map(Self::Files),
            Ok(metadata) if metadata.is_file() => {
                let kind = kind_of_file(path)?.unwrap_or(MediaKind::Video);
                let path = path.to_owned();
                return Ok(Self::Files(FoundFiles {
                    files: vec![MediaFile { path, kind }],
                    ..FoundFiles::default()
                }));
            }
            Ok(_) => return Err(no_file(path)),
            Err(source) if source.kind() == ErrorKind::PermissionDenied => {
                return Err(Error::io(path, source));
            }
            Err(_) => {}
        }
        if let Some(camera) = Camera::from_name(text) {
            return Ok(Self::Camera(camera));
        }
        if text.contains(['*', '?', '[']) {
            return files_that_match(text).map(Self::Files);
        }
        Err(Error::InvalidRequest(format!(
            "{}: there is no such file or folder; expected a file, a folder, a pattern, a camera \
             or a stream",
            path.display()
        )))
    }
}

/// To read from a pipe is to wait for whoever writes into it.
fn no_file(path: &Path) -> Error {
    Error::Unsupported(format!(
        "{}: expected a file or a folder, found a pipe, a socket or a device",
        path.display()
    ))
}

fn files_in_folder(folder: &Path) -> Result<FoundFiles> {
    let entries = fs::read_dir(folder).map_err(|source| Error::io(folder, source))?;
    let paths = entries
        .map(|entry| Ok(entry.map_err(|source| Error::io(folder, source))?.path()))
        .filter(|path| !path.as_ref().is_ok_and(|path| pattern::is_clutter(path)))
        .collect::<Result<Vec<_>>>()?;
    let place = folder.display();
    let mut among = Among::new(paths);
    if let Some(folders) = among.folders() {
        let all = folder.join("**").join("*");
        let all = all.display();
        (among.found.passed_over).push(format!("{place}: not looked into {folders}; {all} is"));
    }
    among.into_found(&place.to_string(), "a folder with images or videos")
}

fn files_that_match(text: &str) -> Result<FoundFiles> {
    let matches = pattern::expand(text)?;
    let mut among = Among::new(matches.paths);
    among.found.errors = matches.errors;
    if !text.contains("**")
        && let Some(folders) = among.folders()
    {
        (among.found.passed_over).push(format!("{text}: not looked into {folders}"));
    }
    among.into_found(text, "a pattern that images or videos match")
}

/// Paths, sorted by what they are.
#[derive(Default)]
struct Among {
    found: FoundFiles,
    /// The names of folders.
    folders: Vec<String>,
    /// The names of files that are neither images nor videos, nor belong to
    /// any.
    others: Vec<String>,
}

impl Among {
    fn new(paths: Vec<PathBuf>) -> Self {
        let mut among = Self::default();
        for path in paths {
            let name = path.file_name().unwrap_or(path.as_os_str());
            let name = name.to_string_lossy().into_owned();
            let kind = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    among.folders.push(name);
                    continue;
                }
                // Of what can't be read, the name tells what it is meant to be.
                Ok(metadata) if metadata.is_file() => {
                    kind_of_file(&path).unwrap_or(kind_from_name(&path))
                }
                other => {
                    if kind_from_name(&path).is_some() {
                        let error =
                            other.map_or_else(|error| Error::io(&path, error), |_| no_file(&path));
                        among.found.errors.push(error);
                    }
                    continue;
                }
            };
            match kind {
                Some(kind) => among.found.files.push(MediaFile { path, kind }),
                None if is_companion(&path) => {}
                None => among.others.push(name),
            }
        }
        among.found.files.sort_unstable();
        among
    }

    fn folders(&mut self) -> Option<String> {
        let folders = std::mem::take(&mut self.folders);
        (!folders.is_empty()).then(|| counted(folders, "folder"))
    }

    fn into_found(mut self, place: &str, expected: &str) -> Result<FoundFiles> {
        let found = &mut self.found;
        if !self.others.is_empty() {
            let others = counted(self.others, "file");
            let told = format!("{place}: passed over {others}: neither images nor videos");
            found.passed_over.push(told);
        }
        if found.files.is_empty() && found.errors.is_empty() {
            let mut told = format!("{place}: expected {expected}, found none");
            for passed_over in &found.passed_over {
                let passed_over = passed_over.strip_prefix(place).unwrap_or(passed_over);
                told.push(';');
                told.push_str(passed_over.strip_prefix(':').unwrap_or(passed_over));
            }
            return Err(Error::InvalidRequest(told));
        }
        Ok(self.found)
    }
}

/// `3 files (a, b, c)`; `5 files (a, b, c and 2 more)`.
fn counted(mut names: Vec<String>, noun: &str) -> String {
    names.sort_unstable();
    let count = names.len();
    let listed = names[..count.min(LISTED_NAMES)].join(", ");
    let more = match count.saturating_sub(LISTED_NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending} ({listed}{more})")
}

/// Tells by the content whether a file is an image, and else by its name what
/// it is meant to be.
fn kind_of_file(path: &Path) -> Result<Option<MediaKind>> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SIGNATURE_BYTES).read_to_end(&mut start))
        .map_err(|source| Error::io(path, source))?;
    let format = format_from_content(&start);
    if format.is_ok() && !has_extension(path, &MOTION_JPEG_EXTENSIONS) {
        return Ok(Some(MediaKind::Image));
    }
    // The marks of MP4 and GIF, which are read as videos.
    let is_video = start.get(4..8) == Some(b"ftyp") || start.starts_with(b"GIF8");
    let is_unread_image = matches!(format, Err(ssdlite_image::Error::Unsupported(_))) && !is_video;
    Ok(kind_from_name(path).or(is_unread_image.then_some(MediaKind::Image)))
}

fn kind_from_name(path: &Path) -> Option<MediaKind> {
    // GIF is an image format that is read as a video.
    if has_extension(path, &VIDEO_EXTENSIONS) || has_extension(path, &MOTION_JPEG_EXTENSIONS) {
        return Some(MediaKind::Video);
    }
    format_from_name(path).map(|_| MediaKind::Image)
}

fn is_companion(path: &Path) -> bool {
    has_extension(path, &COMPANION_EXTENSIONS)
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| known.iter().any(|one| one.eq_ignore_ascii_case(extension)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(width: u16, height: u16) -> Vec<u8> {
        let mut bytes = Vec::new();
        jpeg_encoder::Encoder::new(&mut bytes, 80)
            .encode(
                &vec![90; usize::from(width) * usize::from(height) * 3],
                width,
                height,
                jpeg_encoder::ColorType::Rgb,
            )
            .unwrap();
        bytes
    }

    fn parsed(path: &Path) -> Result<Source> {
        Source::parse(path)
    }

    fn found(source: Source) -> FoundFiles {
        let Source::Files(found) = source else {
            panic!("expected files, found {source:?}");
        };
        found
    }

    fn files(source: Source) -> Vec<(String, MediaKind)> {
        found(source)
            .files
            .iter()
            .map(|file| {
                let name = file.path.file_name().unwrap().to_str().unwrap();
                (name.to_owned(), file.kind)
            })
            .collect()
    }

    #[test]
    fn a_folder_is_read_by_content_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("b.jpg", &jpeg(5, 3));
        write("a", &jpeg(7, 3));
        write("c.PNG", b"no image");
        write("d.mp4", b"no video");
        write("e.xml", b"<annotation/>");
        fs::create_dir(folder.path().join("f.jpg")).unwrap();
        let expected = [
            ("a".to_owned(), MediaKind::Image),
            ("b.jpg".to_owned(), MediaKind::Image),
            ("c.PNG".to_owned(), MediaKind::Image),
            ("d.mp4".to_owned(), MediaKind::Video),
        ];
        assert_eq!(files(parsed(folder.path()).unwrap()), expected);
    }

    #[test]
    fn patterns_are_expanded_and_may_match_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x2.jpg", "x1.jpg", "y.jpg"] {
            fs::write(folder.path().join(name), jpeg(3, 2)).unwrap();
        }
        let found = files(parsed(&folder.path().join("x*.jpg")).unwrap());
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x1.jpg", "x2.jpg"]);
        for nothing in ["z*.jpg", "*.txt", "a**b"] {
            let error = parsed(&folder.path().join(nothing)).unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
        }
    }

    #[test]
    fn what_is_not_used_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("a.jpg", &jpeg(5, 3));
        for name in [
            "._a.jpg",
            ".hidden.jpg",
            "a.xml",
            "Thumbs.db",
            "desktop.ini",
        ] {
            write(name, b"none of our business");
        }
        for name in ["one.dat", "two", "three.bin", "four.part"] {
            write(name, b"what is this?");
        }
        for name in ["more", "__MACOSX", ".ipynb_checkpoints"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let told = found(parsed(folder.path()).unwrap());
        assert_eq!(told.files.len(), 1);
        let place = folder.path().display();
        let expected = [
            format!("{place}: not looked into 1 folder (more); {place}/**/* is"),
            format!(
                "{place}: passed over 4 files (four.part, one.dat, three.bin and 1 more): neither \
                 images nor videos"
            ),
        ];
        assert_eq!(told.passed_over, expected);
        let hidden = found(parsed(&folder.path().join("._a.jpg")).unwrap());
        assert_eq!(hidden.files.len(), 1, "a file that is named is tried");
    }

    #[test]
    fn images_that_are_not_read_are_images() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let names = ["a.ppm", "b.TGA", "c.jp2", "d.heic", "e"];
        for name in names {
            write(name, b"P6\n1 1\n255\nabc");
        }
        write("f.gif", b"GIF89a");
        let found = files(parsed(folder.path()).unwrap());
        let images = names.map(|name| (name.to_owned(), MediaKind::Image));
        assert_eq!(found[..5], images);
        assert_eq!(found[5..], [("f.gif".to_owned(), MediaKind::Video)]);
        let alone = files(parsed(&folder.path().join("e")).unwrap());
        assert_eq!(alone[0].1, MediaKind::Image);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn names_that_are_no_text_are_files() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(OsStr::from_bytes(b"b\xe4um.jpg"));
        fs::write(&path, jpeg(3, 2)).unwrap();
        for argument in [&path, folder.path()] {
            let found = found(parsed(argument).unwrap());
            assert_eq!(found.files[0].path, path);
        }
        fs::remove_file(&path).unwrap();
        let error = parsed(&path).unwrap_err().to_string();
        assert!(error.contains("there is no such file"), "{error}");
    }

    #[test]
    fn a_name_with_brackets_is_a_file_where_it_exists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a[1]*.jpg");
        fs::write(&path, jpeg(3, 2)).unwrap();
        assert_eq!(files(parsed(&path).unwrap())[0].0, "a[1]*.jpg");
    }

    #[test]
    fn cameras_and_streams_are_told_by_their_form() {
        for camera in ["0", "12", "/dev/video3", "camera:Front", "video=USB Camera"] {
            assert!(matches!(Source::parse(camera).unwrap(), Source::Camera(_)));
        }
        for stream in ["rtsp://127.0.0.1/a", "HTTP://127.0.0.1:1/x"] {
            assert!(matches!(Source::parse(stream).unwrap(), Source::Stream(_)));
        }
        let error = Source::parse("gopher://127.0.0.1/").unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)));
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("a.mp4");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        assert!(matches!(parsed(&pipe), Err(Error::Unsupported(_))));
    }

    #[test]
    fn empty_folders_and_missing_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            parsed(folder.path()),
            Err(Error::InvalidRequest(_))
        ));
        assert!(matches!(
            parsed(&folder.path().join("none.jpg")),
            Err(Error::InvalidRequest(_))
        ));
    }
}
