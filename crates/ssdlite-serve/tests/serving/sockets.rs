//! The WebSockets: a page's own frames, and those of the server's sources.

use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use ssdlite_core::ImageSize;
use ssdlite_image::{Limits, decode};
use ssdlite_media::LiveInput;
use tungstenite::{Message, WebSocket};

use crate::client::connect;
use crate::fixtures::{
    ColorDetector, GREEN, RED, Running, has_ffmpeg, model, moving_square, options, picture, png,
    two_objects,
};

fn open(server: &Running, path: &str) -> WebSocket<TcpStream> {
    let address = format!("ws://localhost{path}");
    let (socket, _) = tungstenite::client(address, connect(server.address)).unwrap();
    socket
}

fn text(message: &Message) -> Value {
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

/// A frame's note and its picture.
fn parts(message: &[u8]) -> (Value, &[u8]) {
    let (length, rest) = message.split_at(4);
    let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
    let (note, picture) = rest.split_at(length);
    (serde_json::from_slice(note).unwrap(), picture)
}

#[test]
fn frames_of_a_page_are_answered_in_turn() {
    let server = Running::colors();
    let mut socket = open(&server, "/v1/camera?model=colors");
    for width in [20_u32, 33, 47] {
        let image = picture(ImageSize::new(width, 19), &[([2, 3, width - 1, 9], RED)]);
        socket.send(Message::binary(png(&image))).unwrap();
        let answer = text(&socket.read().unwrap());
        assert_eq!(answer["width"], width);
        assert_eq!(answer["detections"][0]["box"][2], f64::from(width - 1));
    }
    socket.send(Message::binary(&b"no picture"[..])).unwrap();
    assert!(text(&socket.read().unwrap())["error"].is_string());
    socket.send(Message::binary(png(&two_objects()))).unwrap();
    let answer = text(&socket.read().unwrap());
    assert_eq!(answer["detections"].as_array().unwrap().len(), 2);
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
                let (note, picture) = parts(&message);
                assert_eq!((&note["width"], &note["height"]), (&160.into(), &90.into()));
                let found = &note["detections"][0];
                assert_eq!(found["class"], "red");
                let left = found["box"][0].as_f64().unwrap();
                assert!((8.0..110.0).contains(&left), "{left}");
                let image = decode::decode(picture, &Limits::default()).unwrap();
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

#[test]
fn green_is_found_too() {
    let server = Running::colors();
    let mut socket = open(&server, "/v1/camera");
    let image = picture(ImageSize::new(31, 17), &[([2, 3, 20, 9], GREEN)]);
    socket.send(Message::binary(png(&image))).unwrap();
    assert_eq!(
        text(&socket.read().unwrap())["detections"][0]["class"],
        "green"
    );
}
