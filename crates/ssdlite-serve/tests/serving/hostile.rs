//! Bad requests: each is refused with its reason, and harms no other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::sync::mpsc::Sender;
use std::time::Duration;

use ssdlite_core::ImageSize;
use ssdlite_image::RgbImage;

use crate::client::{
    Answer, begin, connect, get, post, receive, request, send, try_begin, wait_until,
};
use crate::fixtures::{ColorDetector, Running, WaitingDetector, model, options, png, two_objects};

fn assert_works(server: &Running) {
    let answer = post(server.address, "/v1/detect", &png(&two_objects()));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn reason(answer: &Answer) -> String {
    answer.json()["error"].as_str().unwrap().to_owned()
}

fn with_limits(change: impl FnOnce(&mut ssdlite_serve::Limits)) -> Running {
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    change(&mut options.limits);
    Running::start(options)
}

#[test]
fn a_body_that_is_too_long_is_refused_before_and_while_it_comes() {
    let server = with_limits(|limits| limits.body_bytes = 10_000);
    let stated = post(server.address, "/v1/detect", &vec![0; 10_001]);
    assert_eq!(stated.status, 413);
    assert!(reason(&stated).contains("10000"));

    let mut stream = connect(server.address);
    let head = "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..11 {
        // The server closes as soon as it has seen enough.
        let _ = stream.write_all(format!("3e8\r\n{}\r\n", "x".repeat(1000)).as_bytes());
    }
    assert_eq!(receive(&mut stream).status, 413);
    assert_works(&server);
}

#[test]
fn a_small_file_of_a_huge_image_is_refused_by_its_header() {
    let server = Running::colors();
    let mut bomb = png(&RgbImage::filled(ImageSize::new(8, 8), [0; 3]));
    // Width and height in the header chunk; its checksum is made right again.
    bomb[16..20].copy_from_slice(&30_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&30_000_u32.to_be_bytes());
    let sum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    let answer = post(server.address, "/v1/detect", &bomb);
    assert_eq!(answer.status, 422);
    assert!(
        reason(&answer).contains("30000x30000"),
        "{}",
        reason(&answer)
    );
    assert_works(&server);
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}

#[test]
fn a_slow_sender_is_given_up() {
    let server = with_limits(|limits| limits.body_time = Duration::from_millis(200));
    let mut stream = connect(server.address);
    let whole = request("POST /v1/detect", &[], &png(&two_objects()));
    stream.write_all(&whole[..whole.len() - 1]).unwrap();
    let answer = receive(&mut stream);
    assert_eq!(answer.status, 408);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_works(&server);
}

#[test]
fn connections_that_are_cut_leave_nothing() {
    let server = Running::colors();
    let whole = request("POST /v1/detect", &[], &png(&two_objects()));
    for end in (1..whole.len()).step_by(whole.len() / 20) {
        connect(server.address).write_all(&whole[..end]).unwrap();
    }
    assert_works(&server);
}

#[test]
fn a_thousand_garbage_bodies_are_all_refused() {
    let server = Running::colors();
    let image = png(&two_objects());
    let mut state = 1_u32;
    let mut random = || {
        // Xorshift: any bytes do, and the same each time.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut stream = connect(server.address);
    for round in 0..1000 {
        let mut body: Vec<u8> = (0..random() % 300).map(|_| random() as u8).collect();
        if round % 2 == 0 {
            // The start of an image, then garbage.
            body.splice(
                0..0,
                image[..(random() as usize % (image.len() / 2))]
                    .iter()
                    .copied(),
            );
        }
        stream
            .write_all(&request("POST /v1/detect", &[], &body))
            .unwrap();
        let answer = receive(&mut stream);
        assert_eq!(answer.status, 422, "{round}: {}", answer.text());
        assert!(!reason(&answer).is_empty());
    }
    assert_works(&server);
}

#[test]
fn what_is_no_http_is_refused() {
    let server = Running::colors();
    let long_head = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(200_000));
    for garbage in ["\0\0\0\r\n\r\n", "GET /\r\n\r\n", &long_head] {
        let mut stream = connect(server.address);
        // The server may hang up before it has read all.
        let _ = stream.write_all(garbage.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_works(&server);
}

/// A server whose one worker has an image that it doesn't finish, and whose
/// queue, of one place, has another.
struct FullQueue {
    server: Running,
    first: TcpStream,
    second: TcpStream,
    /// Lets the worker finish an image for each message, and all when dropped.
    let_go: Sender<()>,
}

impl FullQueue {
    fn new() -> Self {
        let (detector, begun, let_go) = WaitingDetector::new();
        let mut options = options(vec![model("waiting", detector)]);
        options.workers = NonZeroUsize::MIN;
        options.limits.queue = 1;
        let server = Running::start(options);
        let body = request("POST /v1/detect", &[], &png(&two_objects()));
        let mut first = connect(server.address);
        first.write_all(&body).unwrap();
        begun.recv().unwrap();
        let mut second = connect(server.address);
        second.write_all(&body).unwrap();
        wait_for_queue(&server, 1);
        Self {
            server,
            first,
            second,
            let_go,
        }
    }
}

#[test]
fn a_full_queue_answers_at_once() {
    let FullQueue {
        server,
        mut first,
        mut second,
        let_go,
    } = FullQueue::new();

    let third = post(server.address, "/v1/detect", &png(&two_objects()));
    assert_eq!(third.status, 429);
    assert_eq!(third.header("retry-after"), Some("1"));
    let_go.send(()).unwrap();
    let_go.send(()).unwrap();
    assert_eq!(receive(&mut first).status, 200);
    assert_eq!(receive(&mut second).status, 200);
}

#[test]
fn who_goes_away_makes_room() {
    let FullQueue {
        server,
        mut first,
        second,
        let_go,
    } = FullQueue::new();
    drop(second);

    let body = png(&two_objects());
    let mut third = None;
    wait_until("the server notices that the second is gone", || {
        third = try_begin(server.address, "POST /v1/detect", body.len());
        third.is_some()
    });
    drop(let_go);
    let mut third = third.unwrap();
    third.write_all(&body).unwrap();
    assert_eq!(receive(&mut third).status, 200);
    assert_eq!(receive(&mut first).status, 200);
}

#[test]
fn a_full_queue_answers_before_the_body_comes_and_also_after_a_long_one() {
    let FullQueue {
        server,
        first: _first,
        second: _second,
        let_go,
    } = FullQueue::new();

    let mut third = connect(server.address);
    let head = "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n";
    third.write_all(head.as_bytes()).unwrap();
    assert_eq!(receive(&mut third).status, 429);
    // A client that looks for its answer only after it has sent everything.
    let long = request("POST /v1/detect", &[], &vec![0; 15 << 20]);
    let mut fourth = connect(server.address);
    fourth.write_all(&long).unwrap();
    assert_eq!(receive(&mut fourth).status, 429);
    // The connection goes on after that.
    fourth
        .write_all(&request("GET /v1/models", &[], b""))
        .unwrap();
    assert_eq!(receive(&mut fourth).status, 200);
    drop(let_go);
}

#[test]
fn bodies_for_which_there_is_no_memory_are_refused_before_they_come() {
    let server = with_limits(|limits| limits.memory_bytes = 25 << 10);
    let body = png(&two_objects());
    assert!(body.len() < 5 << 10);
    let slow = [10 << 10, 10 << 10].map(|length| begin(server.address, "POST /v1/detect", length));
    let mut third = connect(server.address);
    let head = "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n";
    third.write_all(head.as_bytes()).unwrap();
    let answer = receive(&mut third);
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("1"));
    // There is room for a small one.
    assert_works(&server);
    drop(slow);
    wait_until("the room comes back", || {
        let answer = post(server.address, "/v1/detect", &vec![0; 20 << 10]);
        answer.status == 422
    });
}

#[test]
fn every_refusal_is_json() {
    let server = Running::colors();
    for (line, status) in [
        ("GET /nothing", 404),
        ("GET /page/nothing", 404),
        ("GET /v1/detect", 405),
        ("DELETE /v2/health/live", 405),
        ("POST /v1/detect?score=x", 400),
        ("GET /v1/live", 400),
        ("GET /v1/live?source=given", 400),
        ("GET /v1/camera", 400),
        ("GET /v2/models/%FF", 400),
        ("GET /v2/models/none", 404),
        ("POST /v1/keep", 404),
    ] {
        let answer = send(server.address, line, &[], b"");
        assert_eq!(answer.status, status, "{line}");
        assert!(!reason(&answer).is_empty(), "{line}");
    }
    let answer = get(server.address, "/v1/detect");
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[test]
fn an_answer_that_takes_too_long_is_given_up() {
    let (detector, _begun, let_go) = WaitingDetector::new();
    let mut options = options(vec![model("waiting", detector)]);
    options.limits.answer_time = Duration::from_millis(100);
    let server = Running::start(options);
    let answer = post(server.address, "/v1/detect", &png(&two_objects()));
    assert_eq!(answer.status, 503);
    drop(let_go);
}

fn wait_for_queue(server: &Running, length: usize) {
    let expected = format!("ssdlite_queue_length {length}");
    wait_until(&expected, || {
        get(server.address, "/metrics").text().contains(&expected)
    });
}

#[test]
fn more_connections_than_allowed_are_closed() {
    let server = with_limits(|limits| limits.connections = 2);
    let mut held = [connect(server.address), connect(server.address)];
    for stream in &mut held {
        stream
            .write_all(&request("GET /v2/health/live", &[], b""))
            .unwrap();
        assert_eq!(receive(stream).status, 200);
    }
    let mut third = connect(server.address);
    let mut nothing = Vec::new();
    // Closed, or reset.
    let _ = third.write_all(&request("GET /v2/health/live", &[], b""));
    let _ = third.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    drop(held);
    wait_until("the server notices that there is room again", || {
        let mut stream = connect(server.address);
        let _ = stream.write_all(&request(
            "GET /v2/health/live",
            &[("Connection", "close")],
            b"",
        ));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer.starts_with(b"HTTP/1.1 200")
    });
    let _ = send(server.address, "GET /", &[], b"");
}
