//! One argument form for everything that frames come from.
//!
//! | argument | source |
//! |---|---|
//! | a file | an image or a video, told apart by content, then by extension |
//! | a folder | the images and videos directly in it, sorted by name |
//! | a pattern with `*`, `?` or `[...]` | the images and videos that match, sorted; `**` goes into folders |
//! | `0`, `/dev/video0`, `camera:NAME`, `video=NAME` | a camera |
//! | `rtsp://`, `rtsps://`, `http://`, `https://` | a stream |
//!
//! A file or folder that exists under exactly that name is always taken as
//! such. Patterns are expanded here because the shells of Windows don't.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use ssdlite_image::format::format_from_content;

use crate::camera::Camera;
use crate::error::{Error, Result};

const IMAGE_EXTENSIONS: [&str; 10] = [
    "jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "heic", "heif", "avif",
];
const VIDEO_EXTENSIONS: [&str; 16] = [
    "mp4", "m4v", "mov", "mkv", "webm", "avi", "ts", "m2ts", "mts", "mpg", "mpeg", "wmv", "flv",
    "3gp", "ogv", "gif",
];
const STREAM_SCHEMES: [&str; 4] = ["rtsp", "rtsps", "http", "https"];

/// The bytes from a file's start that tell its format.
const SIGNATURE_BYTES: u64 = 16;

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Images and videos, at least one, in the order in which they are read.
    Files(Vec<MediaFile>),
    /// A camera of this machine.
    Camera(Camera),
    /// The address of a stream.
    Stream(String),
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
    pub fn parse(argument: &str) -> Result<Self> {
        if let Some((scheme, _)) = argument.split_once("://") {
            let scheme = scheme.to_ascii_lowercase();
            if STREAM_SCHEMES.contains(&scheme.as_str()) {
                return Ok(Self::Stream(argument.to_owned()));
            }
            return Err(Error::Unsupported(format!(
                "{argument}: expected an address with one of the schemes {}",
                STREAM_SCHEMES.join(", ")
            )));
        }
        let path = Path::new(argument);
        if let Some(camera) = Camera::from_device_path(path) {
            return Ok(Self::Camera(camera));
        }
        if path.is_dir() {
            return files_in_folder(path).map(Self::Files);
        }
        if path.is_file() {
            let kind = kind_of_file(path)?.unwrap_or(MediaKind::Video);
            let path = path.to_owned();
            return Ok(Self::Files(vec![MediaFile { path, kind }]));
        }
        if path.exists() {
            // To read from a pipe is to wait for whoever writes into it.
            return Err(Error::Unsupported(format!(
                "{argument}: expected a file or a folder, found a pipe, a socket or a device"
            )));
        }
        if let Some(camera) = Camera::from_name(argument) {
            return Ok(Self::Camera(camera));
        }
        if argument.contains(['*', '?', '[']) {
            return files_that_match(argument).map(Self::Files);
        }
        Err(Error::InvalidRequest(format!(
            "{argument}: expected a file, a folder, a pattern, a camera or a stream; \
             there is no such file"
        )))
    }
}

fn files_in_folder(folder: &Path) -> Result<Vec<MediaFile>> {
    let entries = fs::read_dir(folder).map_err(|source| Error::io(folder, source))?;
    let paths = entries
        .map(|entry| Ok(entry.map_err(|source| Error::io(folder, source))?.path()))
        .collect::<Result<Vec<_>>>()?;
    media_among(paths, || {
        format!(
            "{}: expected a folder with images or videos, found none",
            folder.display()
        )
    })
}

fn files_that_match(pattern: &str) -> Result<Vec<MediaFile>> {
    let matches = glob::glob(pattern)
        .map_err(|error| Error::InvalidRequest(format!("{pattern}: {error}")))?;
    let paths = matches
        .map(|path| {
            path.map_err(|error| Error::Io {
                path: error.path().to_owned(),
                source: error.into(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    media_among(paths, || {
        format!("{pattern}: expected a pattern that images or videos match, found none")
    })
}

/// The plain files among `paths` that hold images, sorted by name.
fn media_among(paths: Vec<PathBuf>, none: impl Fn() -> String) -> Result<Vec<MediaFile>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_file() {
            continue;
        }
        if let Some(kind) = kind_of_file(&path).unwrap_or(kind_from_extension(&path)) {
            files.push(MediaFile { path, kind });
        }
    }
    files.sort_unstable();
    if files.is_empty() {
        return Err(Error::InvalidRequest(none()));
    }
    Ok(files)
}

/// Tells by the content whether a file is an image, and else by its extension
/// what it is meant to be.
fn kind_of_file(path: &Path) -> Result<Option<MediaKind>> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SIGNATURE_BYTES).read_to_end(&mut start))
        .map_err(|source| Error::io(path, source))?;
    if format_from_content(&start).is_ok() {
        return Ok(Some(MediaKind::Image));
    }
    Ok(kind_from_extension(path))
}

fn kind_from_extension(path: &Path) -> Option<MediaKind> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    let is_in = |known: &[&str]| known.contains(&extension.as_str());
    if is_in(&IMAGE_EXTENSIONS) {
        Some(MediaKind::Image)
    } else if is_in(&VIDEO_EXTENSIONS) {
        Some(MediaKind::Video)
    } else {
        None
    }
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
        Source::parse(path.to_str().unwrap())
    }

    fn files(source: Source) -> Vec<(String, MediaKind)> {
        let Source::Files(files) = source else {
            panic!("expected files, found {source:?}");
        };
        files
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
