//! The WebSockets: a page's own frames, and those of the server's sources.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use ssdlite_core::ImageSize;
use ssdlite_image::{Limits, decode};
use ssdlite_media::LiveInput;
use tungstenite::{Message, WebSocket};

use crate::client::{connect, get, post, receive, request, wait_until};
use crate::ffmpeg::has_ffmpeg;
use crate::fixtures::{
    ColorDetector, GREEN, PanickingDetector, RED, Running, image, model, moving_square, options,
    png, two_objects,
};

pub(crate) fn open(server: &Running, path: &str) -> WebSocket<TcpStream> {
    let address = format!("ws://localhost{path}");
    let (socket, _) = tungstenite::client(address, connect(server.address)).unwrap();
    socket
}

pub(crate) fn text(message: &Message) -> Value {
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

/// A frame's note and its image.
fn parts(message: &[u8]) -> (Value, &[u8]) {
    let (length, rest) = message.split_at(4);
    let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
    let (note, image) = rest.split_at(length);
    (serde_json::from_slice(note).unwrap(), image)
}

#[test]
fn frames_of_a_page_are_answered_in_turn() {
    let server = Running::colors();
    let mut socket = open(&server, "/v1/camera?model=colors");
    for width in [20_u32, 33, 47] {
        let image = image(ImageSize::new(width, 19), &[([2, 3, width - 1, 9], RED)]);
        socket.send(Message::binary(png(&image))).unwrap();
        let answer = text(&socket.read().unwrap());
        assert_eq!(answer["width"], width);
        assert_eq!(answer["detections"][0]["box"][2], f64::from(width - 1));
    }
    socket.send(Message::binary(&b"no image"[..])).unwrap();
    assert!(text(&socket.read().unwrap())["error"].is_string());
    socket.send(Message::binary(png(&two_objects()))).unwrap();
    let answer = text(&socket.read().unwrap());
    assert_eq!(answer["detections"].as_array().unwrap().len(), 2);
}

#[test]
fn objects_of_a_page_keep_their_numbers_from_frame_to_frame() {
    let server = Running::colors();
    let mut socket = open(&server, "/v1/camera");
    let mut ask = |red: u32, has_green: bool| {
        let mut colored = vec![([red, 3, red + 30, 40], RED)];
        if has_green {
            colored.push(([60, 3, 90, 40], GREEN));
        }
        let image = image(ImageSize::new(97, 61), &colored);
        socket.send(Message::binary(png(&image))).unwrap();
        let answer = text(&socket.read().unwrap());
        let found = answer["detections"].as_array().unwrap();
        let tracks = found.iter().map(|found| found["track"].as_u64());
        tracks.collect::<Vec<_>>()
    };
    // Those of the first frame are known at once, others when found again.
    assert_eq!(ask(1, false), [Some(1)]);
    assert_eq!(ask(4, true), [Some(1), None]);
    assert_eq!(ask(7, true), [Some(1), Some(2)]);
    assert_eq!(ask(10, true), [Some(1), Some(2)]);
    // Another page's objects are others.
    let mut other = open(&server, "/v1/camera");
    other.send(Message::binary(png(&two_objects()))).unwrap();
    let answer = text(&other.read().unwrap());
    assert_eq!(answer["detections"][1]["track"], 2);
    // A single image has none.
    let single = post(server.address, "/v1/detect", &png(&two_objects())).json();
    assert!(single["detections"][0].get("track").is_none());
}

#[test]
fn frames_that_are_too_long_end_the_connection_and_no_other() {
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.limits.body_bytes = 1000;
    let server = Running::start(options);
    let mut other = open(&server, "/v1/camera");
    let mut socket = open(&server, "/v1/camera");
    let _ = socket.send(Message::binary(vec![0; 2000]));
    while let Ok(message) = socket.read() {
        assert!(message.is_close());
    }
    other.send(Message::binary(&b"short"[..])).unwrap();
    assert!(text(&other.read().unwrap())["error"].is_string());
}

/// Whether that many pages are connected.
fn are_connected(server: &Running, pages: usize) -> bool {
    let expected = format!("ssdlite_viewers {pages}\n");
    get(server.address, "/metrics").text().contains(&expected)
}

#[test]
fn sockets_are_connections_and_the_one_that_sends_nothing_gives_way() {
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.limits.connections = 3;
    let server = Running::start(options);
    let mut asking = connect(server.address);
    let mut ask = |path: &str| {
        asking
            .write_all(&request(&format!("GET {path}"), &[], b""))
            .unwrap();
        receive(&mut asking)
    };
    let mut idle = open(&server, "/v1/camera");
    let mut sending = open(&server, "/v1/camera");
    wait_until("both are connected", || {
        ask("/metrics").text().contains("ssdlite_viewers 2\n")
    });
    sending.send(Message::binary(png(&two_objects()))).unwrap();
    assert_eq!(text(&sending.read().unwrap())["width"], 97);
    ask("/metrics");
    assert_eq!(get(server.address, "/v2/health/live").status, 200);
    assert!(idle.read().is_err());
    sending.send(Message::binary(png(&two_objects()))).unwrap();
    assert_eq!(text(&sending.read().unwrap())["width"], 97);
    assert_eq!(ask("/v2/health/live").status, 200);
}

#[test]
fn a_page_that_says_nothing_is_dropped_and_one_that_listens_stays() {
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.limits.silence = Duration::from_millis(300);
    let server = Running::start(options);
    let mut listening = open(&server, "/v1/camera");
    let mut half_sent = open(&server, "/v1/camera");
    // The head of a frame of 126 bytes, and no more.
    half_sent
        .get_mut()
        .write_all(&[0x82, 0x80 | 126, 0, 126])
        .unwrap();
    wait_until("both are connected", || are_connected(&server, 2));
    // Each ping is answered as it is read. The silent one is given up by the
    // third.
    for _ in 0..4 {
        assert!(listening.read().unwrap().is_ping());
    }
    listening.flush().unwrap();
    wait_until("the silent one is dropped", || are_connected(&server, 1));
    listening.send(Message::binary(&b"no image"[..])).unwrap();
    loop {
        let message = listening.read().unwrap();
        if !message.is_ping() {
            assert!(text(&message)["error"].is_string());
            break;
        }
    }
}

#[test]
fn memory_for_a_frame_is_taken_as_it_comes_and_given_up_when_it_stalls() {
    let step = 64_usize << 10;
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.limits.memory_bytes = 4 * step;
    let server = Running::start(options);
    // One half of a frame that takes all of the memory, and silence after it.
    let mut stalled = open(&server, "/v1/camera");
    let length = 4 * step as u64;
    let mut half = vec![0x82, 0x80 | 127];
    half.extend(length.to_be_bytes());
    half.extend([0; 4]);
    half.resize(half.len() + 4 * step - 1, 0);
    stalled.get_mut().write_all(&half).unwrap();
    let mut page = open(&server, "/v1/camera");
    // It does not matter whether this comes before or after that is read.
    for _ in 0..3 {
        page.send(Message::binary(png(&two_objects()))).unwrap();
        assert_eq!(text(&page.read().unwrap())["width"], 97);
    }
    // As large as all of the memory: it is read, and answered.
    page.send(Message::binary(vec![7; 4 * step])).unwrap();
    assert!(text(&page.read().unwrap())["error"].is_string());
    assert!(stalled.read().is_err());
}

#[test]
fn pages_of_other_sites_get_no_socket() {
    let server = Running::colors();
    let request = tungstenite::http::Request::builder()
        .uri("ws://localhost/v1/camera")
        .header("Host", "localhost")
        .header("Origin", "http://elsewhere.example")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
        .body(())
        .unwrap();
    let refused = tungstenite::client(request, connect(server.address));
    assert!(refused.is_err());
}

#[test]
fn frames_of_a_source_come_with_their_boxes_and_no_more_than_two_ahead() {
    let folder = tempfile::tempdir().unwrap();
    if !has_ffmpeg() {
        return;
    }
    let input = LiveInput::Video(moving_square(folder.path(), "moving.mp4"));
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.source = Some(input);
    let server = Running::start(options);
    let mut socket = open(&server, "/v1/live?source=given");
    let mut states = Vec::new();
    let mut numbers = Vec::new();
    while numbers.len() < 12 {
        match socket.read().unwrap() {
            Message::Text(message) => {
                let status: Value = serde_json::from_str(message.as_str()).unwrap();
                states.push(status["state"].as_str().unwrap().to_owned());
            }
            Message::Binary(message) => {
                let (note, image) = parts(&message);
                assert_eq!((&note["width"], &note["height"]), (&160.into(), &90.into()));
                let found = &note["detections"][0];
                assert_eq!(found["class"], "red");
                assert!(found["track"].as_u64().is_some() || numbers.is_empty());
                let left = found["box"][0].as_f64().unwrap();
                assert!((8.0..110.0).contains(&left), "{left}");
                let image = decode::decode(image, &Limits::default()).unwrap();
                assert_eq!(image.size(), ImageSize::new(160, 90));
                numbers.push(note["id"].as_u64().unwrap());
                // The first two come unasked, each other for an answer.
                if numbers.len() >= 2 {
                    socket.send(Message::text("drawn")).unwrap();
                }
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(states.contains(&"playing".to_owned()), "{states:?}");

    // With two frames under way nothing more comes.
    let stream = socket.get_ref();
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut unasked = 0;
    while let Ok(message) = socket.read() {
        unasked += usize::from(message.is_binary());
    }
    assert!(unasked <= 2, "{unasked}");
}

#[test]
fn a_source_that_fails_is_told_and_others_are_unknown() {
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.source = Some(LiveInput::Video("/no/such/video.mp4".into()));
    let server = Running::start(options);
    let mut socket = open(&server, "/v1/live?source=given");
    loop {
        let status = text(&socket.read().unwrap());
        let state = status["state"].as_str().unwrap();
        if state != "opening" {
            assert!(["lost", "failed"].contains(&state), "{status}");
            assert!(!status["reason"].as_str().unwrap().is_empty());
            break;
        }
    }
    let unknown = tungstenite::client(
        "ws://localhost/v1/live?source=none",
        connect(server.address),
    );
    assert!(unknown.is_err());
}

/// Reads to the socket's end and gives the last state that was told.
fn last_state(mut socket: WebSocket<TcpStream>) -> Value {
    let mut last = Value::Null;
    while let Ok(message) = socket.read() {
        if message.is_text() {
            last = text(&message);
        }
    }
    last
}

#[test]
fn a_detector_that_panics_is_told_and_the_source_can_be_opened_again() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let models = vec![
        model("broken", PanickingDetector::new()),
        model("colors", ColorDetector::new()),
    ];
    let mut options = options(models);
    options.source = Some(LiveInput::Video(moving_square(folder.path(), "a.mp4")));
    let server = Running::start(options);
    for _ in 0..2 {
        let state = last_state(open(&server, "/v1/live?source=given"));
        assert_eq!(state["state"], "failed", "{state}");
    }
    let mut sound = open(&server, "/v1/live?source=given&model=colors");
    while !sound.read().unwrap().is_binary() {}
}

#[test]
fn two_models_share_a_source() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let video = moving_square(folder.path(), "shared.mp4");
    let models = vec![
        model("one", ColorDetector::new()),
        model("two", ColorDetector::new()),
    ];
    let mut options = options(models);
    options.source = Some(LiveInput::Video(video.clone()));
    let server = Running::start(options);
    let mut pages =
        ["one", "two"].map(|name| open(&server, &format!("/v1/live?source=given&model={name}")));
    for page in &mut pages {
        while !page.read().unwrap().is_binary() {}
    }
    #[cfg(target_os = "linux")]
    assert_eq!(crate::ffmpeg::processes_with(&video), 1);
}

#[test]
fn green_is_found_too() {
    let server = Running::colors();
    let mut socket = open(&server, "/v1/camera");
    let image = image(ImageSize::new(31, 17), &[([2, 3, 20, 9], GREEN)]);
    socket.send(Message::binary(png(&image))).unwrap();
    assert_eq!(
        text(&socket.read().unwrap())["detections"][0]["class"],
        "green"
    );
}
