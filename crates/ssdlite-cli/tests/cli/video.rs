//! `detect` on videos and streams.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::ffmpeg::{ffmpeg, has_ffmpeg, probe};
use crate::harness::{command, run};
use crate::media::{
    GoesOn, count_frames, folder_with_model, free_port, is_decoder_running, names_in, wait_until,
    write_image, write_striped_image,
};

/// 50 frames in 2 s with a tone.
const WITH_SOUND: &str = "-f lavfi -i testsrc=size=97x61:rate=25:duration=2 -f lavfi -i \
                          sine=duration=2 -c:v libx264 -pix_fmt yuv444p -c:a aac";

fn lines_of(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn every_frame_is_told_and_drawn_and_the_sound_kept() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    ffmpeg(WITH_SOUND, &folder.path().join("a.mp4"));
    let args = [
        "detect",
        "model.safetensors",
        "a.mp4",
        "--save",
        "out",
        "--json",
    ];
    let ran = run(folder.path(), &args).exits(0);
    assert!(ran.stderr.contains("50 frames"), "{}", ran.stderr);
    let lines = ran.json();
    assert_eq!(lines.len(), 50);
    let mut objects = 0;
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["image"], "a.mp4");
        assert_eq!(line["frame"], index);
        let time = line["time"].as_f64().unwrap();
        assert!((time - 0.04 * index as f64).abs() < 1e-3, "{line}");
        assert_eq!((&line["width"], &line["height"]), (&97.into(), &61.into()));
        objects += line["detections"].as_array().unwrap().len();
    }
    assert!(objects > 0);

    let out = folder.path().join("out");
    assert_eq!(names_in(&out), ["a.jsonl", "a.mp4"]);
    assert_eq!(lines_of(&out.join("a.jsonl")), lines);
    let saved = out.join("a.mp4");
    assert_eq!(count_frames(&saved), 50);
    let streams = probe("-show_entries stream=codec_type", &saved);
    assert_eq!(streams, ["video", "audio"]);
    let rate = probe(
        "-select_streams v:0 -show_entries stream=avg_frame_rate",
        &saved,
    );
    assert_eq!(rate, ["25/1"]);
}

#[test]
fn objects_that_stay_keep_their_numbers() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let image = folder.path().join("a.png");
    write_image(&image);
    let still = format!(
        "-loop 1 -framerate 10 -t 1 -i {} -c:v ffv1",
        image.display()
    );
    ffmpeg(&still, &folder.path().join("still.mkv"));
    let args = ["detect", "model.safetensors", "still.mkv", "--json"];
    let without = run(folder.path(), &args).exits(0).json();
    let tracked = [&args[..], &["--track"]].concat();
    let lines = run(folder.path(), &tracked).exits(0).json();
    let tracks = |line: &Value| -> Vec<Value> {
        let found = line["detections"].as_array().unwrap();
        found.iter().map(|object| object["track"].clone()).collect()
    };
    assert!(tracks(&without[0]).iter().all(Value::is_null));
    let first = tracks(&lines[0]);
    assert!(first.contains(&1.into()), "{first:?}");
    assert_eq!(lines.len(), 10);
    for line in &lines {
        assert_eq!(tracks(line), first);
    }
}

#[test]
fn an_object_that_is_unsure_for_a_while_keeps_its_number() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let path = |name| folder.path().join(name);
    write_striped_image(&path("sure.png"), 200);
    write_striped_image(&path("unsure.png"), 0);
    let found_in = |image| -> Vec<Value> {
        let args = [
            "detect",
            "model.safetensors",
            image,
            "--score=0.1",
            "--json",
        ];
        let line = run(folder.path(), &args).exits(0).json().remove(0);
        line["detections"].as_array().unwrap().clone()
    };
    // Of what is in both images, that of which the model, whose scores are
    // arbitrary, is surer by most in the first.
    let unsure = found_in("unsure.png");
    let (fall, object) = found_in("sure.png")
        .into_iter()
        .filter_map(|sure| {
            let same = unsure.iter().find(|other| is_same_object(&sure, other))?;
            Some((score_of(&sure) - score_of(same), sure))
        })
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .expect("an object in both images");
    assert!(fall > 1e-5, "{fall}");
    let least_score = score_of(&object) - fall / 2.0;

    // It is unsure for longer than an object that is not found is waited for.
    let part = |seconds, name| {
        let image = path(name);
        format!("-loop 1 -framerate 10 -t {seconds} -i {} ", image.display())
    };
    let parts = [
        part(0.5, "sure.png"),
        part(2.0, "unsure.png"),
        part(0.5, "sure.png"),
    ];
    let joined = "-filter_complex [0][1][2]concat=n=3 -c:v ffv1";
    ffmpeg(&(parts.concat() + joined), &path("video.mkv"));
    let score = format!("--score={least_score}");
    let args = [
        "detect",
        "model.safetensors",
        "video.mkv",
        "--track",
        "--json",
        &score,
    ];
    let lines = run(folder.path(), &args).exits(0).json();
    assert_eq!(lines.len(), 30);
    let tracks: Vec<_> = lines
        .iter()
        .map(|line| {
            let found = line["detections"].as_array().unwrap();
            assert!(
                found
                    .iter()
                    .all(|found| found["score"].as_f64().unwrap() >= least_score)
            );
            let shown = found.iter().find(|found| is_same_object(&object, found))?;
            shown["track"].as_u64()
        })
        .collect();
    let number = tracks[0];
    assert!(number.is_some());
    let expected = [vec![number; 5], vec![None; 20], vec![number; 5]].concat();
    assert_eq!(tracks, expected);
}

fn score_of(found: &Value) -> f64 {
    found["score"].as_f64().unwrap()
}

fn is_same_object(one: &Value, other: &Value) -> bool {
    let near = |side: usize| {
        let [a, b] = [one, other].map(|found| found["box"][side].as_f64().unwrap());
        (a - b).abs() < 3.0
    };
    one["class"] == other["class"] && (0..4).all(near)
}

#[test]
fn what_is_no_video_is_told_and_the_rest_goes_on() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("text.mp4", b"This is no video.");
    write("empty.mp4", b"");
    ffmpeg(
        "-f lavfi -i sine=duration=1 -c:a aac",
        &folder.path().join("sound.mp4"),
    );
    write_image(&folder.path().join("a.png"));
    let args = [
        "detect",
        "model.safetensors",
        "text.mp4",
        "empty.mp4",
        "sound.mp4",
        "a.png",
        "--save",
        "out",
        "--json",
    ];
    let ran = run(folder.path(), &args).exits(1);
    for name in ["text.mp4", "empty.mp4", "sound.mp4"] {
        let told = ran.stderr.lines().any(|line| {
            line.starts_with("error: ") && line.contains(name) && line.contains("expected")
        });
        assert!(told, "{name}: {}", ran.stderr);
    }
    let lines = ran.json();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["image"], "a.png");
    assert_eq!(names_in(&folder.path().join("out")), ["a.jpg"]);
}

#[test]
fn frames_lost_before_the_first_key_frame_are_told() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let whole = folder.path().join("whole.ts");
    ffmpeg(
        "-f lavfi -i testsrc=size=96x64:rate=25:duration=1.6 -pix_fmt yuv420p -g 20 \
         -x264-params scenecut=0 -f mpegts",
        &whole,
    );
    let bytes = fs::read(whole).unwrap();
    // Packets have 188 bytes; the first three hold what the stream is.
    let (description, images) = bytes.split_at(3 * 188);
    let cut = images.len() / 4 / 188 * 188;
    let late = [description, &images[cut..]].concat();
    fs::write(folder.path().join("late.ts"), late).unwrap();
    let ran = run(
        folder.path(),
        &["detect", "model.safetensors", "late.ts", "--json"],
    )
    .exits(0);
    assert_eq!(ran.json().len(), 20);
    let told = ran
        .stderr
        .lines()
        .find(|line| line.contains("between key frames"));
    let told = told.unwrap_or_else(|| panic!("{}", ran.stderr));
    assert!(
        told.starts_with("late.ts: ") && told.contains(" frames"),
        "{told}"
    );
}

/// Serves a file to each who asks, in the way of a plain web server.
fn file_server(bytes: Vec<u8>) -> String {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = |mut stream: std::net::TcpStream| -> std::io::Result<()> {
                let _ = stream.read(&mut [0; 4096])?;
                let length = bytes.len();
                write!(
                    stream,
                    "HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n"
                )?;
                stream.write_all(&bytes)
            };
            // A reader that goes away is none of the server's faults.
            let _ = stream.and_then(serve);
        }
    });
    address
}

#[test]
fn a_file_behind_an_address_is_read_once_and_its_query_kept_secret() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let clip = folder.path().join("clip.ts");
    ffmpeg(
        "-f lavfi -i testsrc=size=64x48:rate=10:duration=1.2 -c:v mpeg2video -f mpegts",
        &clip,
    );
    write_image(&folder.path().join("a.png"));
    for (file, frames) in [("a.png", 1), ("clip.ts", 12)] {
        let host = file_server(fs::read(folder.path().join(file)).unwrap());
        let address = format!("{host}/{file}?user=admin&pwd=hunter2");
        let args = [
            "detect",
            "model.safetensors",
            &address,
            "--json",
            "--save",
            "out",
        ];
        let ran = run(folder.path(), &args).exits(0);
        let lines = ran.json();
        assert_eq!(lines.len(), frames, "{file}");
        for line in &lines {
            assert_eq!(line["image"], format!("{host}/{file}?..."));
        }
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    let saved = names_in(&folder.path().join("out")).concat();
    assert!(!saved.contains("hunter2"), "{saved}");
}

#[test]
fn of_a_cut_video_is_kept_what_could_be_read() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let whole = folder.path().join("whole.mp4");
    ffmpeg(
        "-f lavfi -i testsrc=size=96x64:rate=25:duration=2 -pix_fmt yuv420p -g 5 \
         -movflags +faststart",
        &whole,
    );
    let bytes = fs::read(&whole).unwrap();
    fs::write(folder.path().join("cut.mp4"), &bytes[..bytes.len() * 3 / 4]).unwrap();
    let args = ["detect", "model.safetensors", "cut.mp4", "--save", "out"];
    let ran = run(folder.path(), &args).exits(1);
    assert!(ran.stderr.contains("cut.mp4"), "{}", ran.stderr);
    let out = folder.path().join("out");
    let frames = count_frames(&out.join("cut.mp4"));
    assert!((10..50).contains(&frames), "{frames}");
    assert_eq!(lines_of(&out.join("cut.jsonl")).len(), frames);
}

#[test]
fn an_input_is_not_replaced_by_its_copy() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let video = folder.path().join("a.mp4");
    ffmpeg(WITH_SOUND, &video);
    let before = fs::read(&video).unwrap();
    let args = ["detect", "model.safetensors", "a.mp4", "--save", "."];
    let ran = run(folder.path(), &args).exits(1);
    assert!(ran.stderr.contains("--save"), "{}", ran.stderr);
    assert_eq!(fs::read(&video).unwrap(), before);
}

/// A video that is detected in for longer than a test takes.
#[cfg(target_os = "linux")]
fn long_video(folder: &Path) -> PathBuf {
    let video = folder.join("long.mp4");
    ffmpeg(
        "-f lavfi -i testsrc=size=96x64:rate=25:duration=400 -pix_fmt yuv420p -preset ultrafast",
        &video,
    );
    video
}

#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_leaves_a_playable_video() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let video = long_video(folder.path());
    let args = [
        "detect",
        "model.safetensors",
        video.to_str().unwrap(),
        "--save",
        "out",
        "--json",
    ];
    let mut call = GoesOn::start(folder.path(), &args);
    for _ in 0..3 {
        call.line();
    }
    call.signal("INT");
    let ran = call.join().exits(1);
    assert!(ran.stderr.contains("stopped after"), "{}", ran.stderr);
    let out = folder.path().join("out");
    assert_eq!(names_in(&out), ["long.jsonl", "long.mp4"]);
    let frames = count_frames(&out.join("long.mp4"));
    assert!((3..10_000).contains(&frames), "{frames}");
    assert_eq!(lines_of(&out.join("long.jsonl")).len(), frames);
    assert!(!is_decoder_running(video.to_str().unwrap()));
}

/// Sends a moving image to the one who asks for it.
struct StreamServer(Child);

impl StreamServer {
    fn start(port: u16, size: &str) -> Self {
        let child = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "quiet", "-nostdin", "-re"])
            .args(["-f", "lavfi", "-i", &format!("testsrc=size={size}:rate=25")])
            .args(["-c:v", "mpeg2video", "-g", "5", "-f", "mpegts"])
            .args(["-listen", "1", &format!("http://127.0.0.1:{port}/live")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for StreamServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[cfg(unix)]
fn a_stream_is_followed_over_a_loss_until_ctrl_c() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let port = free_port();
    let server = StreamServer::start(port, "64x48");
    let address = format!("http://127.0.0.1:{port}/live");
    let args = [
        "detect",
        "model.safetensors",
        &address,
        "--save",
        "out",
        "--json",
        // The server may not listen yet.
        "--retry",
    ];
    let mut call = GoesOn::start(folder.path(), &args);
    let read_until = |call: &mut GoesOn, width: u32| {
        loop {
            let line: Value = serde_json::from_str(&call.line()).unwrap();
            assert!(line["skipped"].is_u64(), "{line}");
            if line["width"] == width {
                return;
            }
        }
    };
    read_until(&mut call, 64);
    drop(server);
    // Else a new server could be there before the loss is noticed.
    wait_until("the loss is told", || {
        call.stderr().contains("trying again in")
    });
    let _server = StreamServer::start(port, "96x80");
    read_until(&mut call, 96);
    call.signal("INT");
    let ran = call.join().exits(0);
    for told in ["frames of 64x48", "trying again in", "frames of 96x80"] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    let lines = ran.json();
    let times: Vec<_> = lines.iter().map(|line| line["time"].as_f64()).collect();
    assert_eq!(times[0], Some(0.0));
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");

    let out = folder.path().join("out");
    let name = format!("http-127-0-0-1-{port}-live");
    let video = out.join(format!("{name}.mp4"));
    assert_eq!(count_frames(&video), lines.len());
    let size = probe("-show_entries stream=width,height", &video);
    assert_eq!(size, ["64,48"]);
    assert_eq!(lines_of(&out.join(format!("{name}.jsonl"))), lines);
}

#[test]
#[cfg(target_os = "linux")]
fn a_kill_leaves_no_decoder_of_a_video() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let video = long_video(folder.path());
    let video = video.to_str().unwrap();
    let args = ["detect", "model.safetensors", video, "--json"];
    let mut call = GoesOn::start(folder.path(), &args);
    call.line();
    assert!(is_decoder_running(video));
    call.signal("KILL");
    wait_until("its next frame ends the decoder", || {
        !is_decoder_running(video)
    });
}

/// Whether the system ties a child to its parent, as `util-linux` does. In CI
/// it has to.
#[cfg(target_os = "linux")]
fn has_setpriv() -> bool {
    let tried = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "true"])
        .status();
    let is_there = tried.is_ok_and(|status| status.success());
    if !is_there {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must not skip this test"
        );
        eprintln!("skipped: setpriv is not installed");
    }
    is_there
}

#[test]
#[cfg(target_os = "linux")]
fn a_kill_leaves_no_decoder_of_a_stream_that_is_silent() {
    if !has_ffmpeg() || !has_setpriv() {
        return;
    }
    let folder = folder_with_model();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}/live", silent.local_addr().unwrap());
    let args = ["detect", "model.safetensors", &address, "--stall", "3600"];
    let call = GoesOn::start(folder.path(), &args);
    wait_until("the decoder starts", || is_decoder_running(&address));
    call.signal("KILL");
    wait_until("it ends with its owner", || !is_decoder_running(&address));
}

#[test]
fn without_ffmpeg_images_work_and_videos_say_what_is_missing() {
    let folder = folder_with_model();
    write_image(&folder.path().join("a.png"));
    fs::write(folder.path().join("b.mp4"), b"some bytes").unwrap();
    let args = [
        "detect",
        "model.safetensors",
        "b.mp4",
        "http://127.0.0.1:9/",
        "a.png",
        "--json",
    ];
    let output = command(folder.path(), &args)
        .env("PATH", folder.path())
        .output()
        .unwrap();
    let ran = crate::harness::Ran::from(output).exits(1);
    assert_eq!(
        ran.stderr
            .matches("which was not found; install it")
            .count(),
        2,
        "{}",
        ran.stderr
    );
    let lines = ran.json();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["image"], "a.png");
}

#[test]
fn wrong_options_are_refused() {
    let folder = folder_with_model();
    for stall in ["0", "-1", "NaN", "1e40", "3601"] {
        let stall = format!("--stall={stall}");
        let args = ["detect", "model.safetensors", "a.mp4", &stall];
        let ran = run(folder.path(), &args).exits(2);
        assert!(ran.stderr.contains("--stall"), "{}", ran.stderr);
    }
}
