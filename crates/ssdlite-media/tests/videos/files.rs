//! Video files: every frame, its time, and clear words for broken ones.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ssdlite_image::ImageSize;
use ssdlite_media::{Error, Frame, MediaKind, Source, VideoFrames, video_info};

use crate::ffmpeg::{ffmpeg, probe};
use crate::fixtures::{folder, with_sound};

fn frames(path: &Path) -> Vec<Frame> {
    VideoFrames::open(path)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn milliseconds(frames: &[Frame]) -> Vec<u128> {
    frames.iter().map(|frame| frame.time.as_millis()).collect()
}

#[test]
fn every_frame_comes_in_order_with_its_time() {
    let Some(folder) = folder() else { return };
    let path = with_sound(folder.path());
    let found = frames(&path);
    assert_eq!(found.len(), 50);
    for (index, frame) in (0..).zip(&found) {
        assert_eq!(frame.index, index);
        assert_eq!(frame.time, Duration::from_millis(40) * index as u32);
        assert_eq!(frame.image.size(), ImageSize::new(97, 61));
    }
    let info = video_info(&path).unwrap();
    assert_eq!(info.stored, ImageSize::new(97, 61));
    assert_eq!(info.frame_rate, Some(25.0));
    assert_eq!(info.sound.unwrap().codec, "aac");
    assert!(
        info.frames
            .is_some_and(|frames| (49..=51).contains(&frames))
    );
}

#[test]
fn images_are_the_encoded_ones() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("colors.mkv");
    // A new colour each frame, without loss.
    ffmpeg(
        "-f lavfi -i color=red:size=32x18:rate=10:duration=0.1 -f lavfi -i \
         color=lime:size=32x18:rate=10:duration=0.1 -filter_complex [0][1]concat,format=gbrp \
         -c:v ffv1",
        &path,
    );
    let colors: Vec<_> = frames(&path)
        .iter()
        .map(|frame| frame.image.pixel(31, 17).unwrap())
        .collect();
    assert_eq!(colors.len(), 2);
    for (found, expected) in colors.iter().zip([[255, 0, 0], [0, 255, 0]]) {
        // The source's own conversion rounds.
        let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2);
        assert!(near, "{found:?} is not {expected:?}");
    }
}

#[test]
fn uneven_times_are_kept() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("uneven.mkv");
    // Frame n is shown at n^2 / 25 s.
    ffmpeg(
        "-f lavfi -i testsrc=size=64x48:rate=25:duration=0.2 -vf setpts=N*N/25/TB \
         -fps_mode passthrough -c:v ffv1",
        &path,
    );
    assert_eq!(milliseconds(&frames(&path)), [0, 40, 160, 360, 640]);
}

#[test]
fn a_late_start_is_kept() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("late.mkv");
    ffmpeg(
        "-f lavfi -i sine=duration=2 -itsoffset 0.5 -f lavfi -i \
         testsrc=size=64x48:rate=10:duration=0.3 -map 0 -map 1 -c:v ffv1 -c:a pcm_s16le",
        &path,
    );
    assert_eq!(milliseconds(&frames(&path)), [500, 600, 700]);
}

#[test]
fn sound_that_starts_before_zero_does_not_delay_the_image() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("early.mkv");
    // Opus begins 7 ms early, and the format moves the image by as much.
    ffmpeg(
        "-f lavfi -i testsrc=size=64x48:rate=10:duration=0.3 -f lavfi -i sine=duration=2 \
         -c:v ffv1 -c:a libopus",
        &path,
    );
    let start = probe("-show_entries format=start_time", &path);
    assert_eq!(start, ["-0.007000"]);
    assert_eq!(milliseconds(&frames(&path)), [7, 107, 207]);
}

#[test]
fn a_rotation_is_applied() {
    let Some(folder) = folder() else { return };
    let straight = folder.path().join("straight.mp4");
    ffmpeg(
        "-f lavfi -i color=blue:size=64x48:rate=10:duration=0.3 -pix_fmt yuv420p",
        &straight,
    );
    let mut bytes = fs::read(&straight).unwrap();
    // ISO/IEC 14496-12, 8.3.2: the matrix of the track header, for a quarter
    // turn clockwise.
    let header = bytes.windows(4).position(|part| part == b"tkhd").unwrap();
    let matrix: [i32; 5] = [0, 1 << 16, 0, -1 << 16, 0];
    for (value, place) in matrix.iter().zip(bytes[header + 44..].chunks_exact_mut(4)) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    let turned = folder.path().join("turned.mp4");
    fs::write(&turned, bytes).unwrap();
    let found = frames(&turned);
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].image.size(), ImageSize::new(48, 64));
    assert_eq!(video_info(&turned).unwrap().stored, ImageSize::new(64, 48));
}

#[test]
fn a_size_that_changes_within_the_file_is_followed() {
    let Some(folder) = folder() else { return };
    let parts = [
        ("red", ImageSize::new(96, 64), [255, 0, 0]),
        ("lime", ImageSize::new(64, 80), [0, 255, 0]),
        ("blue", ImageSize::new(160, 48), [0, 0, 255]),
    ];
    for (codec, format) in [("libx264", "h264"), ("mjpeg", "mjpeg")] {
        let path = folder.path().join(format!("all.{format}"));
        let mut bytes = Vec::new();
        for (name, size, _) in parts {
            let part = folder.path().join("part");
            let source = format!("color={name}:size={size}:rate=10:duration=0.5");
            ffmpeg(
                &format!("-f lavfi -i {source} -pix_fmt yuvj420p -c:v {codec} -f {format}"),
                &part,
            );
            bytes.extend(fs::read(part).unwrap());
        }
        fs::write(&path, bytes).unwrap();
        let found = frames(&path);
        assert_eq!(found.len(), 15, "{codec}");
        for (index, frame) in found.iter().enumerate() {
            let (_, size, color) = parts[index / 5];
            assert_eq!(frame.image.size(), size, "{codec}, frame {index}");
            for pixel in frame.image.pixels().as_chunks::<3>().0 {
                let near = pixel.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 20);
                assert!(near, "{codec}, frame {index}: {pixel:?} is not {color:?}");
            }
        }
    }
}

#[test]
fn a_title_that_poses_as_a_log_changes_nothing() {
    let Some(folder) = folder() else { return };
    let plain = folder.path().join("plain.mkv");
    ffmpeg(
        "-f lavfi -i testsrc=size=64x48:rate=10:duration=0.5 -c:v ffv1",
        &plain,
    );
    let line = "[Parsed_showinfo_1 @ 0x5] [info] n: 0 pts: 0 s:8x8 i:P\n\
                [h264 @ 0x5] [error] Invalid data found\n[fatal] Conversion failed!\n";
    for padding in [0, 900, 1003, 1900, 1979, 2000] {
        let titled = folder.path().join("titled.mkv");
        let title = format!("title={}\n{}", "x".repeat(padding), line.repeat(3));
        let made = std::process::Command::new("ffmpeg")
            .args(["-loglevel", "error", "-nostdin", "-y", "-i"])
            .arg(&plain)
            .args(["-metadata", &title, "-metadata:s:v:0", &title])
            .args(["-c", "copy"])
            .arg(&titled)
            .status();
        assert!(made.unwrap().success());
        let (found, expected) = (frames(&titled), frames(&plain));
        assert_eq!(found.len(), 5);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.image, expected.image);
            assert_eq!(found.time, expected.time);
        }
    }
}

#[test]
fn frames_of_equal_times_are_sound() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("equal.mkv");
    // The format keeps milliseconds, so that four frames fall on each.
    ffmpeg(
        "-f lavfi -i testsrc=size=64x48:rate=25:duration=0.4 -vf setpts=N/4000/TB \
         -fps_mode passthrough -enc_time_base 1:4000 -c:v ffv1",
        &path,
    );
    let times = milliseconds(&frames(&path));
    assert_eq!(times.len(), 10);
    assert!(times.is_sorted(), "{times:?}");
    let distinct: std::collections::BTreeSet<_> = times.iter().collect();
    assert!(distinct.len() < 5, "{times:?}");
}

/// A recording of 40 frames with a key frame each 20, without its first bytes.
fn started_late(folder: &Path) -> std::path::PathBuf {
    let whole = folder.join("whole.ts");
    ffmpeg(
        "-f lavfi -i testsrc=size=96x64:rate=25:duration=1.6 -pix_fmt yuv420p -g 20 \
         -x264-params scenecut=0 -f mpegts",
        &whole,
    );
    let bytes = fs::read(whole).unwrap();
    // Packets of a transport stream have 188 bytes; the first hold what the
    // stream is.
    let packets: Vec<_> = bytes.chunks(188).collect();
    let (description, images) = packets.split_at(3);
    let late = folder.join("late.ts");
    fs::write(
        &late,
        [description, &images[images.len() / 4..]].concat().concat(),
    )
    .unwrap();
    late
}

#[test]
fn a_recording_that_starts_between_key_frames_is_sound() {
    let Some(folder) = folder() else { return };
    let path = started_late(folder.path());
    let mut reader = VideoFrames::open(&path).unwrap();
    let found: Vec<_> = reader.by_ref().collect::<Result<_, _>>().unwrap();
    assert_eq!(found.len(), 20);
    assert!((1..20).contains(&reader.lost()), "{}", reader.lost());
    let mut whole = VideoFrames::open(&folder.path().join("whole.ts")).unwrap();
    assert_eq!(whole.by_ref().count(), 40);
    assert_eq!(whole.lost(), 0);
}

#[test]
fn a_recording_without_times_that_starts_between_key_frames_is_sound() {
    let Some(folder) = folder() else { return };
    let whole = folder.path().join("whole.h264");
    ffmpeg(
        "-f lavfi -i testsrc=size=96x64:rate=25:duration=2 -pix_fmt yuv420p -c:v libx264 -g 10",
        &whole,
    );
    let bytes = fs::read(&whole).unwrap();
    let is_other_frame = |unit: &[u8]| unit[..3] == [0, 0, 1] && unit[3] & 31 == 1;
    let mut starts = (0..bytes.len() - 4).filter(|&at| is_other_frame(&bytes[at..]));
    let path = folder.path().join("late.h264");
    fs::write(&path, &bytes[starts.nth(3).unwrap()..]).unwrap();
    let mut reader = VideoFrames::open(&path).unwrap();
    let found: Vec<_> = reader.by_ref().collect::<Result<_, _>>().unwrap();
    assert_eq!((found.len(), reader.lost()), (40, 6));
    let mut whole = VideoFrames::open(&whole).unwrap();
    assert_eq!((whole.by_ref().count(), whole.lost()), (50, 0));
}

#[test]
fn motion_jpeg_is_read_to_its_end() {
    let Some(folder) = folder() else { return };
    for name in ["a.mjpeg", "b.MJPG"] {
        let path = folder.path().join(name);
        ffmpeg(
            "-f lavfi -i testsrc=size=64x48:rate=10:duration=1 -c:v mjpeg -f mjpeg",
            &path,
        );
        let Ok(Source::Files(found)) = Source::parse(&path) else {
            panic!("expected a file");
        };
        assert_eq!(found.files[0].kind, MediaKind::Video);
        assert_eq!(frames(&path).len(), 10, "{name}");
    }
}

#[test]
fn broken_files_are_told_apart() {
    let Some(folder) = folder() else { return };
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let whole = folder.path().join("whole.mp4");
    ffmpeg(
        "-f lavfi -i testsrc=size=96x64:rate=25:duration=2 -pix_fmt yuv420p -g 5",
        &whole,
    );
    let bytes = fs::read(&whole).unwrap();

    let empty = write("empty.mp4", b"");
    let text = write(
        "text.mp4",
        b"this is no video, it only has the name of one\n",
    );
    let headless = write("headless.mp4", &bytes[..bytes.len() / 2]);
    let playlist = write(
        "list.mp4",
        b"#EXTM3U\n#EXTINF:1,\nwhole.mp4\n#EXT-X-ENDLIST\n",
    );
    let sound = folder.path().join("sound.mp4");
    ffmpeg("-f lavfi -i sine=duration=1 -c:a aac", &sound);
    for path in [&empty, &text, &headless, &playlist, &sound] {
        let name = path.file_name().unwrap().to_str().unwrap();
        let error = match VideoFrames::open(path) {
            Err(error) => error,
            Ok(mut frames) => {
                let error = frames.next().unwrap().unwrap_err();
                assert!(frames.next().is_none(), "{name}");
                error
            }
        };
        assert!(matches!(error, Error::Malformed(_)), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    for path in [&empty, &text, &headless, &playlist, &sound] {
        assert!(matches!(video_info(path), Err(Error::Malformed(_))));
    }
    assert!(matches!(
        VideoFrames::open(&folder.path().join("none.mp4")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn what_a_cut_file_still_holds_is_read_and_the_damage_told() {
    let Some(folder) = folder() else { return };
    let whole = folder.path().join("whole.mp4");
    ffmpeg(
        "-f lavfi -i testsrc=size=96x64:rate=25:duration=2 -pix_fmt yuv420p -g 5 \
         -movflags +faststart",
        &whole,
    );
    let bytes = fs::read(&whole).unwrap();
    let cut = folder.path().join("cut.mp4");
    fs::write(&cut, &bytes[..bytes.len() * 3 / 4]).unwrap();
    let found: Vec<_> = VideoFrames::open(&cut).unwrap().collect();
    let (last, good) = found.split_last().unwrap();
    assert!((10..50).contains(&good.len()), "{}", good.len());
    assert!(good.iter().all(Result::is_ok));
    let error = last.as_ref().unwrap_err();
    for said in ["damaged", "cut off"] {
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_name_that_looks_like_an_option_or_an_address_is_a_file() {
    let Some(folder) = folder() else { return };
    for name in ["-i.mkv", "a b%03d.mkv", "pipe:1.mkv"] {
        let made = folder.path().join("made.mkv");
        ffmpeg(
            "-f lavfi -i testsrc=size=64x48:rate=10:duration=0.2 -c:v ffv1",
            &made,
        );
        let path = folder.path().join(name);
        fs::rename(&made, &path).unwrap();
        assert_eq!(frames(&path).len(), 2, "{name}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_reader_that_stops_early_leaves_no_process() {
    let Some(folder) = folder() else { return };
    let path = with_sound(folder.path());
    let mut reader = VideoFrames::open(&path).unwrap();
    assert!(reader.next().unwrap().is_ok());
    assert_eq!(crate::ffmpeg::processes_with(&path), 1);
    drop(reader);
    assert_eq!(crate::ffmpeg::processes_with(&path), 0);
}
