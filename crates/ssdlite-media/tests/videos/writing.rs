//! Written videos: the same times and sound as what was read.

use std::time::Duration;

use ssdlite_image::{ImageSize, RgbImage};
use ssdlite_media::{Error, VideoFrames, VideoWriter, video_info};

use crate::ffmpeg::{ffmpeg, probe};
use crate::fixtures::{folder, with_sound};

fn milliseconds(path: &std::path::Path) -> Vec<u128> {
    VideoFrames::open(path)
        .unwrap()
        .map(|frame| frame.unwrap().time.as_millis())
        .collect()
}

#[test]
fn times_rate_and_sound_are_kept() {
    let Some(folder) = folder() else { return };
    let original = with_sound(folder.path());
    let copy = folder.path().join("copy.mp4");
    let sound = video_info(&original).unwrap().sound;
    assert!(sound.is_some());
    let mut writer = VideoWriter::new(&copy, sound);
    for frame in VideoFrames::open(&original).unwrap() {
        let frame = frame.unwrap();
        writer.write(&frame.image, frame.time).unwrap();
    }
    assert!(!copy.exists());
    writer.finish().unwrap();

    assert_eq!(milliseconds(&copy), milliseconds(&original));
    let info = video_info(&copy).unwrap();
    assert_eq!(info.frames, Some(50));
    assert_eq!(info.frame_rate, Some(25.0));
    assert_eq!(info.sound.unwrap().codec, "aac");
    let durations = probe("-show_entries stream=duration", &copy);
    for duration in durations {
        let seconds: f64 = duration.parse().unwrap();
        assert!((seconds - 2.0).abs() < 0.1, "{seconds}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn colours_survive() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("red.mp4");
    let mut writer = VideoWriter::new(&path, None);
    let image = RgbImage::filled(ImageSize::new(64, 48), [200, 30, 60]);
    for index in 0..3 {
        writer
            .write(&image, Duration::from_millis(100) * index)
            .unwrap();
    }
    writer.finish().unwrap();
    for frame in VideoFrames::open(&path).unwrap() {
        let found = frame.unwrap().image.pixel(30, 20).unwrap();
        for (found, expected) in found.into_iter().zip([200, 30, 60]) {
            assert!(found.abs_diff(expected) <= 6, "{found} is not {expected}");
        }
    }
}

#[test]
fn sound_that_starts_before_the_image_stays_in_step() {
    let Some(folder) = folder() else { return };
    let original = folder.path().join("late.mkv");
    ffmpeg(
        "-f lavfi -i sine=duration=2 -itsoffset 0.5 -f lavfi -i \
         testsrc=size=64x48:rate=10:duration=0.5 -map 0 -map 1 -c:v ffv1 -c:a pcm_s16le",
        &original,
    );
    let copy = folder.path().join("copy.mp4");
    let sound = video_info(&original).unwrap().sound;
    assert_eq!(sound.as_ref().unwrap().codec, "pcm_s16le");
    let mut writer = VideoWriter::new(&copy, sound);
    for frame in VideoFrames::open(&original).unwrap() {
        let frame = frame.unwrap();
        writer.write(&frame.image, frame.time).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(milliseconds(&copy), [500, 600, 700, 800, 900]);
    assert_eq!(video_info(&copy).unwrap().sound.unwrap().codec, "aac");
}

#[test]
fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
    let Some(folder) = folder() else { return };
    let image = RgbImage::filled(ImageSize::new(64, 48), [9, 9, 9]);
    let nowhere = folder.path().join("none").join("a.mp4");
    let mut writer = VideoWriter::new(&nowhere, None);
    let written =
        (0..100).try_for_each(|index| writer.write(&image, Duration::from_millis(index * 40)));
    let error = written.and_then(|()| writer.finish()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");

    let path = folder.path().join("a.mp4");
    let empty = VideoWriter::new(&path, None).finish();
    assert!(matches!(empty, Err(Error::InvalidRequest(_))));

    let mut writer = VideoWriter::new(&path, None);
    writer.write(&image, Duration::ZERO).unwrap();
    let other = RgbImage::filled(ImageSize::new(48, 64), [9, 9, 9]);
    let error = writer.write(&other, Duration::from_millis(40)).unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_frame_that_is_not_later_is_refused() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.mp4");
    let image = RgbImage::filled(ImageSize::new(64, 48), [9, 9, 9]);
    let first = Duration::from_millis(40);
    let mut writer = VideoWriter::new(&path, None);
    writer.write(&image, first).unwrap();
    for time in [Duration::ZERO, first, first + Duration::from_micros(1)] {
        let error = writer.write(&image, time).unwrap_err();
        assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    }
    for step in 1..=9 {
        let time = first + VideoWriter::LEAST_STEP * step;
        writer.write(&image, time).unwrap();
    }
    writer.finish().unwrap();
    let times: Vec<_> = VideoFrames::open(&path)
        .unwrap()
        .map(|frame| frame.unwrap().time)
        .collect();
    assert_eq!(times.len(), 10);
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}
