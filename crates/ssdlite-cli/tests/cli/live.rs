//! `live` and `serve`: the servers, from their start to their end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ffmpeg::{ffmpeg, has_ffmpeg};
use crate::harness::run;
use crate::media::{
    GoesOn, PATIENCE, folder_with_model, is_decoder_running, wait_until, write_image, write_model,
};

/// `HOST:PORT` of the address that was printed.
pub(crate) fn host(address: &str) -> &str {
    address
        .strip_prefix("http://")
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_else(|| panic!("no address: {address}"))
}

fn connect(host: &str) -> TcpStream {
    let stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends one request; gives status and body.
pub(crate) fn ask(host: &str, line: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut stream = connect(host);
    let head = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Whether the server says that it is about to end. A connection that is made
/// just before may be closed without an answer.
fn is_ending(host: &str) -> bool {
    let mut stream = connect(host);
    let request =
        format!("GET /v2/health/ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer.starts_with(b"HTTP/1.1 503")
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
#[cfg(unix)]
fn served_answers_are_those_of_detect_until_sigterm() {
    let folder = folder_with_model();
    write_model(&folder.path().join("second.safetensors"));
    let image = folder.path().join("a.png");
    write_image(&image);
    let detect = ["detect", "model.safetensors", "a.png", "--json"];
    let expected = &run(folder.path(), &detect).exits(0).json()[0];
    assert!(!expected["detections"].as_array().unwrap().is_empty());

    let serve = [
        "serve",
        "model.safetensors",
        "second.safetensors",
        "third=model.safetensors",
        "--port",
        "0",
    ];
    let mut server = GoesOn::start(folder.path(), &serve);
    let address = server.line();
    let host = host(&address);
    let body = std::fs::read(&image).unwrap();
    for model in ["model", "second", "third"] {
        let line = format!("POST /v1/detect?model={model}");
        let (status, answer) = ask(host, &line, "", &body);
        assert_eq!(status, 200, "{answer}");
        let answer = json(&answer);
        assert_eq!(answer["model"], model);
        for key in ["width", "height", "detections"] {
            assert_eq!(answer[key], expected[key], "{key}");
        }
    }
    // Settings of a request are those of the options.
    let detect = [
        "detect",
        "model.safetensors",
        "a.png",
        "--json",
        "--score",
        "0.1",
        "--nms",
        "0.9",
        "--max-detections",
        "3",
    ];
    let expected = &run(folder.path(), &detect).exits(0).json()[0];
    let line = "POST /v1/detect?score=0.1&nms=0.9&max_detections=3";
    let (_, answer) = ask(host, line, "", &body);
    assert_eq!(json(&answer)["detections"], expected["detections"]);
    assert_eq!(ask(host, "GET /v2/health/ready", "", b"").0, 200);
    server.signal("TERM");
    let ran = server.join().exits(0);
    assert_eq!(ran.stdout, format!("{address}\n"));
    assert!(
        ran.stderr.contains(&format!("{address}docs")),
        "{}",
        ran.stderr
    );
    assert!(TcpStream::connect(host).is_err());
}

#[test]
#[cfg(unix)]
fn a_second_signal_ends_it_at_once() {
    let folder = folder_with_model();
    let serve = ["serve", "model.safetensors", "--port", "0"];
    let mut server = GoesOn::start(folder.path(), &serve);
    let address = server.line();
    let host = host(&address);
    // A request whose body does not come, so that the server would wait.
    let mut stuck = connect(host);
    let head = format!(
        "POST /v1/detect HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    stuck.write_all(head.as_bytes()).unwrap();
    let mut told = [0; 25];
    stuck.read_exact(&mut told).unwrap();
    assert!(told.starts_with(b"HTTP/1.1 100"));
    server.signal("TERM");
    wait_until("it is told to end", || is_ending(host));
    let start = Instant::now();
    server.signal("TERM");
    server.join().exits(0);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
#[cfg(unix)]
fn a_token_lets_in_and_frames_are_kept_where_told() {
    let folder = folder_with_model();
    let serve = [
        "serve",
        "model.safetensors",
        "--host",
        "0.0.0.0",
        "--port",
        "0",
        "--token",
        "a-long-token",
        "--keep",
        "kept",
    ];
    let mut server = GoesOn::start(folder.path(), &serve);
    let address = server.line();
    assert!(address.ends_with("/?token=a-long-token"), "{address}");
    let host = host(&address);
    assert_eq!(ask(host, "GET /v1/sources", "", b"").0, 401);
    let token = "Authorization: Bearer a-long-token\r\n";
    let (status, sources) = ask(host, "GET /v1/sources", token, b"");
    assert_eq!(status, 200);
    assert_eq!(json(&sources)["keep"], "kept");
    server.signal("INT");
    let ran = server.join().exits(0);
    let port = host.rsplit_once(':').unwrap().1;
    let link = format!(":{port}/?token=a-long-token");
    // A machine without a network has no other address.
    let is_reachable = ran.stderr.contains("from other machines: http://");
    assert_eq!(is_reachable, ran.stderr.contains(&link), "{}", ran.stderr);
    assert!(is_reachable || ran.stderr.contains("found no address"));
    // A code is for a terminal alone.
    assert!(
        !ran.stderr.contains(['\u{2588}', '\u{1b}']),
        "{}",
        ran.stderr
    );
}

#[test]
#[cfg(unix)]
fn a_model_whose_name_is_not_utf_8_is_served() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;
    let folder = folder_with_model();
    let odd = OsStr::from_bytes(b"b\xe4.safetensors");
    write_model(&folder.path().join(odd));
    for command in ["serve", "live"] {
        let args = [command.into(), odd.to_owned(), "--port".into(), "0".into()];
        let args: [OsString; 4] = args;
        let mut server = GoesOn::start(folder.path(), &args);
        let address = server.line();
        let (status, models) = ask(host(&address), "GET /v1/models", "", b"");
        assert_eq!(status, 200);
        assert_eq!(json(&models)["models"][0]["name"], "b\u{fffd}");
        server.signal("TERM");
        server.join().exits(0);
    }
}

#[test]
fn servers_that_would_let_anybody_in_are_refused() {
    let folder = folder_with_model();
    let refused: [&[&str]; 10] = [
        &["serve", "model.safetensors", "--host", "0.0.0.0"],
        &["live", "model.safetensors", "--host", "::"],
        &["serve", "model.safetensors", "--token", "short"],
        &[
            "serve",
            "model.safetensors",
            "--token",
            "a-long-token",
            "--no-auth",
        ],
        &["serve", "model.safetensors", "./model.safetensors"],
        &["serve", "a=model.safetensors", "a=model.safetensors"],
        &["serve", "=model.safetensors"],
        &["serve", "model.safetensors", "--stall", "0"],
        &["live", "model.safetensors", "--stall", "3601"],
        &["serve"],
    ];
    for args in refused {
        let ran = run(folder.path(), args).exits(2);
        assert_eq!(ran.stdout, "", "{args:?}");
        assert!(!ran.stderr.is_empty(), "{args:?}");
    }
    let ran = run(folder.path(), refused[0]);
    assert!(ran.stderr.contains("--token"), "{}", ran.stderr);
}

#[test]
fn a_folder_in_which_nothing_can_be_kept_is_refused_at_the_start() {
    let folder = folder_with_model();
    for command in ["serve", "live"] {
        let keep = "model.safetensors/kept";
        let args = [command, "model.safetensors", "--port", "0", "--keep", keep];
        let ran = run(folder.path(), &args).exits(2);
        assert_eq!(ran.stdout, "");
        assert!(
            ran.stderr.contains("--keep model.safetensors/kept: "),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn larger_images_are_taken_where_the_option_allows_them() {
    let folder = folder_with_model();
    let size = ssdlite_core::ImageSize::new(1009, 1013);
    let image = ssdlite_image::RgbImage::filled(size, [9, 9, 9]);
    ssdlite_image::encode::save(&folder.path().join("large.png"), &image).unwrap();
    let detect = |most: &'static str| {
        let args = [
            "detect",
            "model.safetensors",
            "large.png",
            "--max-megapixels",
            most,
        ];
        run(folder.path(), &args)
    };
    let ran = detect("1").exits(1);
    for expected in [
        "large.png",
        "1 million pixels",
        "1009x1013",
        "--max-megapixels",
    ] {
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
    detect("2").exits(0);
    for wrong in ["0", "1001", "x"] {
        let ran = detect(wrong).exits(2);
        assert!(ran.stderr.contains("--max-megapixels"), "{}", ran.stderr);
    }
}

#[test]
fn numbers_out_of_bounds_are_refused_with_the_bounds() {
    let folder = folder_with_model();
    for (option, expected) in [
        ("--threads", "1 to 256"),
        ("--port", "0 to 65535"),
        ("--stall", "up to 3600"),
    ] {
        for number in ["-1", "65536", "4294967296", "18446744073709551615"] {
            let ran = run(
                folder.path(),
                &["serve", "model.safetensors", option, number],
            );
            let ran = ran.exits(2);
            assert!(ran.stderr.contains(expected), "{number}: {}", ran.stderr);
        }
    }
    for threads in ["0", "257", "40000"] {
        let args = ["live", "model.safetensors", "--threads", threads];
        let ran = run(folder.path(), &args).exits(2);
        assert!(ran.stderr.contains("1 to 256"), "{}", ran.stderr);
    }
}

#[test]
fn what_is_no_live_source_is_refused() {
    let folder = folder_with_model();
    write_image(&folder.path().join("a.png"));
    for source in ["a.png", "absent.mp4"] {
        let ran = run(folder.path(), &["live", "model.safetensors", source]).exits(1);
        assert!(ran.stderr.contains("expected"), "{}", ran.stderr);
    }
    let ran = run(folder.path(), &["live", "absent.safetensors"]).exits(1);
    assert!(ran.stderr.contains("absent"), "{}", ran.stderr);
}

#[test]
#[cfg(unix)]
fn the_passwords_of_a_source_are_not_shown() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    for (address, shown) in [
        (
            "http://127.0.0.1:9/video.cgi?user=admin&pwd=hunter2",
            "http://127.0.0.1:9/video.cgi?...",
        ),
        (
            "rtsp://admin:hun/ter2@127.0.0.1:9/x",
            "rtsp://127.0.0.1:9/x",
        ),
    ] {
        let args = ["live", "model.safetensors", address, "--port", "0"];
        let mut server = GoesOn::start(folder.path(), &args);
        let printed = server.line();
        let (_, sources) = ask(host(&printed), "GET /v1/sources", "", b"");
        assert_eq!(json(&sources)["sources"][0]["title"], shown);
        server.signal("INT");
        let ran = server.join().exits(0);
        for said in [&sources, &ran.stdout, &ran.stderr] {
            assert!(!said.contains("ter2"), "{said}");
        }
    }
}

/// Asks for a source's WebSocket and reads until frames with boxes came.
fn watch(host: &str) -> TcpStream {
    let mut stream = connect(host);
    let request = format!(
        "GET /v1/live?source=given HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    for expected in [&b" 101 "[..], b"\"playing\"", b"\"detections\":"] {
        while !read.windows(expected.len()).any(|part| part == expected) {
            // A signal, as other tests send, does not disturb it.
            let bytes = match stream.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.unwrap(),
            };
            assert!(bytes > 0, "{}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&chunk[..bytes]);
        }
    }
    stream
}

#[test]
#[cfg(target_os = "linux")]
fn a_live_page_shows_a_video_and_ctrl_c_ends_all() {
    if !has_ffmpeg() {
        return;
    }
    let folder = folder_with_model();
    let video = folder.path().join("a.mp4");
    ffmpeg(
        "-f lavfi -i testsrc=size=96x64:rate=25:duration=2 -pix_fmt yuv420p",
        &video,
    );
    let args = [
        "live",
        "model.safetensors",
        video.to_str().unwrap(),
        "--port",
        "0",
    ];
    let mut server = GoesOn::start(folder.path(), &args);
    let address = server.line();
    let host = host(&address);
    let (status, page) = ask(host, "GET /", "", b"");
    assert_eq!(status, 200);
    assert!(page.contains("<canvas"));
    let (_, sources) = ask(host, "GET /v1/sources", "", b"");
    assert_eq!(json(&sources)["sources"][0]["id"], "given");
    let _watching = watch(host);
    assert!(is_decoder_running(video.to_str().unwrap()));
    server.signal("INT");
    server.join().exits(0);
    assert!(!is_decoder_running(video.to_str().unwrap()));
}
