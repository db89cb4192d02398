//! Streams over loopback, with `ffmpeg` as the server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use ssdlite_image::encode::jpeg_from_image;
use ssdlite_image::{ImageSize, RgbImage};
use ssdlite_media::{AtEnd, AtStart, LiveInput, LiveOptions, LiveSource, LiveState, Source};

use crate::fixtures::{folder, with_sound};

const PATIENCE: Duration = Duration::from_secs(30);

/// A server that sends a moving image in real time to the one who asks.
struct Server(Child);

impl Server {
    fn start(port: u16, size: &str) -> Self {
        let child = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "quiet", "-nostdin", "-re"])
            .args(["-f", "lavfi", "-i", &format!("testsrc=size={size}:rate=25")])
            .args(["-c:v", "mpeg2video", "-g", "5", "-f", "mpegts"])
            .args(["-listen", "1", &format!("http://127.0.0.1:{port}/served")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn patient() -> LiveOptions {
    LiveOptions {
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(100),
        ..LiveOptions::default()
    }
}

fn open(port: u16) -> LiveSource {
    let source = Source::parse(format!("http://127.0.0.1:{port}/served")).unwrap();
    let input = LiveInput::from_source(source).unwrap();
    LiveSource::open(&input, patient()).unwrap()
}

/// Waits for a frame of this size.
fn wait_for(source: &LiveSource, size: ImageSize) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let frame = source.next_within(PATIENCE);
        if frame.is_some_and(|frame| frame.image.size() == size) {
            return;
        }
    }
    panic!("no frame of {size}: {:?}", source.status());
}

#[test]
#[cfg(target_os = "linux")]
fn a_stream_comes_back_fifty_times_and_nothing_leaks() {
    let Some(_folder) = folder() else { return };
    const ROUNDS: u32 = 50;
    let port = free_port();
    let source = open(port);
    let mut after_first = None;
    for round in 0..ROUNDS {
        let (text, size) = if round % 2 == 0 {
            ("64x48", ImageSize::new(64, 48))
        } else {
            ("96x80", ImageSize::new(96, 80))
        };
        let server = Server::start(port, text);
        wait_for(&source, size);
        drop(server);
        if round == 1 {
            after_first = Some(open_things());
        }
    }
    assert!(source.status().losses >= u64::from(ROUNDS) - 1);
    let (files, threads, memory) = open_things();
    let (files_before, threads_before, memory_before) = after_first.unwrap();
    // Other tests run beside this one and have a few of their own.
    assert!(
        threads <= threads_before + 20,
        "{threads_before} -> {threads} threads"
    );
    assert!(
        files <= files_before + 2,
        "{files_before} -> {files} open files"
    );
    let growth = memory.saturating_sub(memory_before);
    assert!(growth < 8 << 20, "{growth} bytes more");
    drop(source);
    let address = format!("-i\0http://127.0.0.1:{port}/served");
    assert_eq!(crate::ffmpeg::processes_with(address), 0);
}

/// Open files, threads and resident bytes of this process.
#[cfg(target_os = "linux")]
fn open_things() -> (usize, usize, usize) {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let threads = std::fs::read_dir("/proc/self/task").unwrap().count();
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    (files, threads, pages * 4096)
}

#[test]
fn a_slow_reader_gets_the_latest_frame_and_skipped_ones_are_counted() {
    let Some(_folder) = folder() else { return };
    let port = free_port();
    let _server = Server::start(port, "64x48");
    let source = open(port);
    wait_for(&source, ImageSize::new(64, 48));
    let start = Instant::now();
    while source.status().skipped < 5 {
        assert!(start.elapsed() < PATIENCE, "{:?}", source.status());
        std::thread::yield_now();
    }
    let frame = source.next_within(PATIENCE).unwrap();
    let status = source.status();
    assert!(
        frame.index + 2 >= status.frames,
        "{frame:?} is old: {status:?}"
    );
    assert!(source.elapsed() - frame.time < Duration::from_secs(1));
}

#[test]
fn a_server_that_falls_silent_counts_as_stalled() {
    let Some(_folder) = folder() else { return };
    // It takes connections and says nothing.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let options = LiveOptions {
        stall: Duration::from_millis(300),
        ..patient()
    };
    let source = LiveSource::open(&LiveInput::Stream(address), options).unwrap();
    let start = Instant::now();
    while source.status().losses < 3 {
        assert!(start.elapsed() < PATIENCE, "{:?}", source.status());
        assert!(source.next_within(Duration::from_millis(10)).is_none());
    }
}

#[test]
fn a_source_that_is_not_there_is_tried_again_with_growing_pauses() {
    let Some(_folder) = folder() else { return };
    let source = open(free_port());
    let start = Instant::now();
    let mut pauses = Vec::new();
    while pauses.len() < 3 {
        assert!(start.elapsed() < PATIENCE, "{pauses:?}");
        if let LiveState::Lost { reason, retry_in } = source.status().state {
            assert!(!reason.is_empty());
            if pauses.last() != Some(&retry_in) {
                pauses.push(retry_in);
            }
        }
        assert!(source.next_within(Duration::from_millis(1)).is_none());
    }
    assert_eq!(pauses, [20, 40, 80].map(Duration::from_millis));
}

#[test]
fn a_source_that_can_not_be_opened_ends_at_once_if_asked_to() {
    let Some(_folder) = folder() else { return };
    let input = LiveInput::Stream(file_server(b"<!DOCTYPE html>".to_vec()));
    let options = LiveOptions {
        at_start: AtStart::Stop,
        ..patient()
    };
    let source = LiveSource::open(&input, options).unwrap();
    let start = Instant::now();
    let end = loop {
        assert!(start.elapsed() < PATIENCE, "{:?}", source.status());
        assert!(source.next_within(Duration::from_millis(10)).is_none());
        if let Some(end) = source.end() {
            break end;
        }
    };
    let damage = end.damage.unwrap();
    assert!(damage.starts_with("can't be opened: "), "{damage}");
    assert!(!damage.contains(&input.name()), "{damage}");
    assert_eq!(source.status().losses, 0);
}

#[test]
fn a_loss_is_told_without_the_password() {
    let Some(_folder) = folder() else { return };
    for scheme in ["http", "rtsp"] {
        let host = format!("127.0.0.1:{}", free_port());
        let address = format!("{scheme}://admin:hunter2@{host}/served");
        let source = LiveSource::open(&LiveInput::Stream(address), patient()).unwrap();
        let start = Instant::now();
        let reason = loop {
            assert!(start.elapsed() < PATIENCE, "{:?}", source.status());
            if let LiveState::Lost { reason, .. } = source.status().state {
                break reason;
            }
            assert!(source.next_within(Duration::from_millis(1)).is_none());
        };
        assert!(reason.contains(&host), "{reason}");
        for secret in ["admin", "hunter2"] {
            assert!(!reason.contains(secret), "{reason}");
        }
    }
}

/// A camera that sends an image of this brightness when it is told to, in the
/// way of network cameras.
fn camera() -> (String, Sender<u8>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let _ = stream.read(&mut [0; 4096])?;
        let kind = "multipart/x-mixed-replace;boundary=frame";
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n")?;
        for brightness in told {
            let image = RgbImage::filled(ImageSize::new(64, 48), [brightness; 3]);
            let jpeg = jpeg_from_image(&image, 90).unwrap();
            let head = format!(
                "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
                jpeg.len()
            );
            stream.write_all(&[head.as_bytes(), &jpeg, b"\r\n"].concat())?;
        }
        Ok(())
    });
    (address, tell)
}

#[test]
fn a_frame_comes_without_waiting_for_the_next() {
    let Some(_folder) = folder() else { return };
    const FEW: Duration = Duration::from_millis(300);
    let (address, tell) = camera();
    let source = LiveSource::open(&LiveInput::Stream(address), patient()).unwrap();
    let start = Instant::now();
    // The first ones go into finding out what the stream is.
    while source.status().frames == 0 {
        assert!(start.elapsed() < PATIENCE, "{:?}", source.status());
        tell.send(20).unwrap();
        source.next_within(FEW);
    }
    while source.next_within(FEW).is_some() {}
    tell.send(200).unwrap();
    let frame = source.next_within(PATIENCE).expect("the last frame");
    let [red, ..] = frame.image.pixel(9, 9).unwrap();
    assert!(red > 150, "{red}");
}

/// Serves a file again and again, in the way of a plain web server.
fn file_server(bytes: Vec<u8>) -> String {
    let length = format!("Content-Length: {}\r\n", bytes.len());
    file_server_with(length, bytes)
}

/// [`file_server`] with these lines in the head of its answers.
fn file_server_with(head: String, bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = format!("http://{}/file", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = |mut stream: std::net::TcpStream| -> std::io::Result<()> {
                let _ = stream.read(&mut [0; 4096])?;
                write!(stream, "HTTP/1.0 200 OK\r\n{head}\r\n")?;
                stream.write_all(&bytes)
            };
            // A reader that goes away is none of the server's faults.
            let _ = stream.and_then(serve);
        }
    });
    address
}

fn files_to_serve(folder: &std::path::Path) -> [(Vec<u8>, usize); 2] {
    let image = RgbImage::filled(ImageSize::new(64, 48), [90; 3]);
    let clip = folder.join("clip.ts");
    let arguments = "-f lavfi -i testsrc=size=64x48:rate=10:duration=2 -c:v mpeg2video -f mpegts";
    crate::ffmpeg::ffmpeg(arguments, &clip);
    [
        (jpeg_from_image(&image, 90).unwrap(), 1),
        (std::fs::read(clip).unwrap(), 20),
    ]
}

#[test]
fn a_file_behind_an_address_is_read_once_and_whole() {
    let Some(folder) = folder() else { return };
    let files = files_to_serve(folder.path());
    let (image, _) = files[0].clone();
    let without_length = (file_server_with(String::new(), image), 1);
    let with_length = files.map(|(bytes, count)| (file_server(bytes), count));
    for (address, count) in with_length.into_iter().chain([without_length]) {
        let input = LiveInput::Stream(address);
        let options = LiveOptions {
            at_end: AtEnd::Stop,
            ..patient()
        };
        let source = LiveSource::open(&input, options).unwrap();
        let start = Instant::now();
        let mut times = Vec::new();
        let end = loop {
            assert!(start.elapsed() < PATIENCE, "{:?}", source.status());
            if let Some(frame) = source.next_within(Duration::from_millis(50)) {
                assert_eq!(frame.index, times.len() as u64);
                times.push(frame.time);
            } else if let Some(end) = source.end() {
                break end;
            }
        };
        assert_eq!(end.damage, None);
        assert_eq!(times.len(), count);
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        assert_eq!((source.status().skipped, source.status().losses), (0, 0));
    }
}

#[test]
fn a_file_behind_an_address_is_fetched_anew() {
    let Some(folder) = folder() else { return };
    for (bytes, count) in files_to_serve(folder.path()) {
        let source = LiveSource::open(&LiveInput::Stream(file_server(bytes)), patient()).unwrap();
        let start = Instant::now();
        while source.status().frames <= 2 * count as u64 {
            assert!(start.elapsed() < PATIENCE, "{:?}", source.status());
            source.next_within(Duration::from_millis(50));
        }
        assert_eq!(source.status().losses, 0);
    }
}

#[test]
fn a_video_is_played_at_its_own_pace() {
    let Some(folder) = folder() else { return };
    let path = with_sound(folder.path());
    let source = LiveSource::open(&LiveInput::Video(path), patient()).unwrap();
    let first = source.next_within(PATIENCE).unwrap();
    let later = loop {
        let frame = source.next_within(PATIENCE).unwrap();
        if frame.index >= first.index + 40 {
            break frame;
        }
    };
    let passed = (later.time - first.time).as_secs_f64();
    assert!(passed > 0.5, "40 frames of 40 ms in {passed} s");
}
