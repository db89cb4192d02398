//! The cameras of this machine, as `ffmpeg` names them on each platform:
//! Video4Linux devices, AVFoundation's list on macOS, DirectShow's on Windows.

use std::path::Path;

use crate::error::{Error, Result};
use crate::ffmpeg::Ffmpeg;

/// A camera of this machine, by its number, device file or name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Camera {
    id: CameraId,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum CameraId {
    Number(u32),
    Name(String),
}

/// A camera with the name that the platform shows for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedCamera {
    /// The camera.
    pub camera: Camera,
    /// Its name for people.
    pub title: String,
}

/// The interface by which `ffmpeg` reaches cameras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interface {
    Video4Linux,
    AvFoundation,
    DirectShow,
}

const INTERFACE: Interface = if cfg!(target_os = "macos") {
    Interface::AvFoundation
} else if cfg!(windows) {
    Interface::DirectShow
} else {
    Interface::Video4Linux
};

impl Camera {
    /// The camera with this number, as in `/dev/video0`.
    pub const fn numbered(number: u32) -> Self {
        Self {
            id: CameraId::Number(number),
        }
    }

    /// A Video4Linux device file, whether it exists or not.
    pub(crate) fn from_device_path(path: &Path) -> Option<Self> {
        let text = path.to_str()?;
        let name = text.strip_prefix("/dev/")?;
        if let Some(number) = name.strip_prefix("video").and_then(|n| n.parse().ok()) {
            return Some(Self::numbered(number));
        }
        let is_camera = name.starts_with("video") || name.starts_with("v4l/");
        is_camera.then(|| Self {
            id: CameraId::Name(text.to_owned()),
        })
    }

    /// A number, `camera:NAME` or `video=NAME`.
    pub(crate) fn from_name(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self::numbered(number));
        }
        let name = text
            .strip_prefix("camera:")
            .or_else(|| text.strip_prefix("video="))?;
        (!name.is_empty()).then(|| match name.parse() {
            Ok(number) => Self::numbered(number),
            Err(_) => Self {
                id: CameraId::Name(name.to_owned()),
            },
        })
    }

    /// The text that [`Source::parse`](crate::Source::parse) reads as this
    /// camera.
    pub fn argument(&self) -> String {
        match &self.id {
            CameraId::Number(number) => number.to_string(),
            CameraId::Name(name) if name.starts_with("/dev/") => name.clone(),
            CameraId::Name(name) => format!("camera:{name}"),
        }
    }

    /// The arguments by which `ffmpeg` opens the camera.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a number that no camera has, on Windows,
    /// where `ffmpeg` knows names alone.
    pub(crate) fn input_arguments(&self, ffmpeg: &Ffmpeg) -> Result<Vec<String>> {
        let titles = || {
            let listed = listed_by_ffmpeg(ffmpeg, INTERFACE);
            listed.into_iter().map(|camera| camera.title).collect()
        };
        self.arguments_for(INTERFACE, titles)
    }

    fn arguments_for(
        &self,
        interface: Interface,
        titles: impl Fn() -> Vec<String>,
    ) -> Result<Vec<String>> {
        let (format, device) = match (interface, &self.id) {
            (Interface::Video4Linux, CameraId::Number(number)) => {
                ("v4l2", format!("/dev/video{number}"))
            }
            (Interface::Video4Linux, CameraId::Name(name)) => ("v4l2", name.clone()),
            // "none" is for the sound.
            (Interface::AvFoundation, CameraId::Number(number)) => {
                ("avfoundation", format!("{number}:none"))
            }
            (Interface::AvFoundation, CameraId::Name(name)) => {
                ("avfoundation", format!("{name}:none"))
            }
            (Interface::DirectShow, CameraId::Number(number)) => {
                let titles = titles();
                let title = titles.get(*number as usize).ok_or_else(|| {
                    Error::InvalidRequest(format!(
                        "expected the number of one of {} cameras, found {number}",
                        titles.len()
                    ))
                })?;
                ("dshow", format!("video={title}"))
            }
            (Interface::DirectShow, CameraId::Name(name)) => ("dshow", format!("video={name}")),
        };
        let mut arguments = vec!["-f".to_owned(), format.to_owned()];
        if interface == Interface::AvFoundation {
            // Its default of 29.97 is refused by most of Apple's cameras.
            arguments.extend(["-framerate", "30"].map(str::to_owned));
        }
        arguments.extend(["-i".to_owned(), device]);
        Ok(arguments)
    }
}

/// The cameras of this machine; none where `ffmpeg`, which lists them on macOS
/// and Windows, is missing.
pub fn cameras() -> Vec<ListedCamera> {
    if INTERFACE == Interface::Video4Linux {
        return video4linux_cameras(Path::new("/sys/class/video4linux"));
    }
    Ffmpeg::find().map_or_else(
        |_| Vec::new(),
        |ffmpeg| listed_by_ffmpeg(&ffmpeg, INTERFACE),
    )
}

/// Reads the kernel's list. A camera has several devices, of which the first
/// gives images and the others descriptions of them.
fn video4linux_cameras(folder: &Path) -> Vec<ListedCamera> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut numbered: Vec<(u32, String)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.strip_prefix("video")?;
            let number = number.parse().ok()?;
            let text = |name: &str| std::fs::read_to_string(path.join(name)).ok();
            if text("index").is_some_and(|index| index.trim() != "0") {
                return None;
            }
            let title = text("name").map(|name| name.trim().to_owned());
            Some((number, title.unwrap_or_else(|| format!("Camera {number}"))))
        })
        .collect();
    numbered.sort_unstable();
    numbered
        .into_iter()
        .map(|(number, title)| ListedCamera {
            camera: Camera::numbered(number),
            title,
        })
        .collect()
}

fn listed_by_ffmpeg(ffmpeg: &Ffmpeg, interface: Interface) -> Vec<ListedCamera> {
    let (format, device) = match interface {
        Interface::DirectShow => ("dshow", "dummy"),
        Interface::AvFoundation => ("avfoundation", ""),
        Interface::Video4Linux => return Vec::new(),
    };
    let arguments = ["-hide_banner", "-f", format, "-list_devices", "true"];
    let output = ffmpeg
        .command()
        .args(arguments)
        .args(["-i", device])
        .output();
    let Ok(output) = output else {
        return Vec::new();
    };
    let log = String::from_utf8_lossy(&output.stderr);
    let titles = match interface {
        Interface::DirectShow => directshow_titles(&log),
        _ => avfoundation_titles(&log),
    };
    (0..)
        .zip(titles)
        .map(|(number, title)| ListedCamera {
            camera: Camera::numbered(number),
            title,
        })
        .collect()
}

/// Lines such as `[dshow @ 0000] "USB Camera" (video)`.
fn directshow_titles(log: &str) -> Vec<String> {
    log.lines()
        .filter(|line| line.ends_with("(video)"))
        .filter_map(|line| Some(line.split_once('"')?.1.rsplit_once('"')?.0.to_owned()))
        .collect()
}

/// Lines such as `[AVFoundation indev @ 0x1] [0] FaceTime HD Camera`, before
/// those of the microphones.
fn avfoundation_titles(log: &str) -> Vec<String> {
    log.lines()
        .skip_while(|line| !line.ends_with("video devices:"))
        .skip(1)
        .take_while(|line| !line.ends_with("audio devices:"))
        .filter_map(|line| {
            let (number, title) = line.split_once("] [")?.1.split_once("] ")?;
            number.parse::<u32>().is_ok().then(|| title.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str, interface: Interface) -> Vec<String> {
        let titles = || vec!["First".to_owned(), "Second cam".to_owned()];
        let camera = Camera::from_name(text).unwrap();
        camera.arguments_for(interface, titles).unwrap()
    }

    #[test]
    fn every_platform_has_its_own_arguments() {
        let linux = arguments("3", Interface::Video4Linux);
        assert_eq!(linux, ["-f", "v4l2", "-i", "/dev/video3"]);
        let mac = arguments("camera:FaceTime HD", Interface::AvFoundation);
        assert_eq!(mac.last().unwrap(), "FaceTime HD:none");
        let windows = arguments("1", Interface::DirectShow);
        assert_eq!(windows, ["-f", "dshow", "-i", "video=Second cam"]);
        let by_name = arguments("video=USB", Interface::DirectShow);
        assert_eq!(by_name.last().unwrap(), "video=USB");
    }

    #[test]
    fn a_number_that_no_camera_has_is_refused_on_windows() {
        let camera = Camera::numbered(7);
        let error = camera.arguments_for(Interface::DirectShow, Vec::new);
        assert!(matches!(error, Err(Error::InvalidRequest(_))));
    }

    #[test]
    fn an_argument_comes_back() {
        for text in ["4", "camera:Front door"] {
            let camera = Camera::from_name(text).unwrap();
            assert_eq!(camera.argument(), text);
        }
        let device = Camera::from_device_path(Path::new("/dev/v4l/by-id/x")).unwrap();
        assert_eq!(device.argument(), "/dev/v4l/by-id/x");
    }

    #[test]
    fn a_camera_is_the_same_by_number_and_by_device() {
        let device = Camera::from_device_path(Path::new("/dev/video3"));
        assert_eq!(device, Some(Camera::numbered(3)));
    }

    #[test]
    fn lists_of_the_platforms_are_read() {
        let windows = "[dshow @ 01] \"USB \"HD\" Camera\" (video)\n\
                       [dshow @ 01]   Alternative name \"@device\"\n\
                       [dshow @ 01] \"Microphone\" (audio)\n";
        assert_eq!(directshow_titles(windows), ["USB \"HD\" Camera"]);
        let mac = "[AVFoundation indev @ 0x1] AVFoundation video devices:\n\
                   [AVFoundation indev @ 0x1] [0] FaceTime HD Camera\n\
                   [AVFoundation indev @ 0x1] [1] Capture screen 0\n\
                   [AVFoundation indev @ 0x1] AVFoundation audio devices:\n\
                   [AVFoundation indev @ 0x1] [0] Microphone\n";
        assert_eq!(
            avfoundation_titles(mac),
            ["FaceTime HD Camera", "Capture screen 0"]
        );
    }

    #[test]
    fn the_kernels_list_leaves_out_what_gives_no_images() {
        let folder = tempfile::tempdir().unwrap();
        for (device, index, name) in [
            ("video10", "0", "B"),
            ("video2", "0", "A"),
            ("video3", "1", "A"),
        ] {
            let path = folder.path().join(device);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("index"), format!("{index}\n")).unwrap();
            std::fs::write(path.join("name"), format!("{name}\n")).unwrap();
        }
        let found = video4linux_cameras(folder.path());
        let found: Vec<_> = found
            .iter()
            .map(|listed| (listed.camera.argument(), listed.title.as_str()))
            .collect();
        assert_eq!(found, [("2".into(), "A"), ("10".into(), "B")]);
    }
}
