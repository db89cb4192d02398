//! Bad requests: each is refused with its reason, and harms no other.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use ssdlite_core::ImageSize;
use ssdlite_image::RgbImage;
use ssdlite_serve::Server;

use crate::client::{
    Answer, begin, connect, get, post, receive, request, send, try_begin, wait_until,
};
use crate::fixtures::{ColorDetector, Running, WaitingDetector, model, options, png, two_objects};
use crate::sockets::open;

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
    assert!(reason(&answer).contains("120 million pixels"));
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

/// A connection from another address of this machine.
#[cfg(target_os = "linux")]
fn connect_from(source: [u8; 4], server: &Running) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        let stream = socket.connect(server.address).await.unwrap();
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream
    })
}

#[test]
#[cfg(target_os = "linux")]
fn who_has_most_images_in_a_full_queue_makes_room_for_another() {
    let (detector, begun, let_go) = WaitingDetector::new();
    let mut options = options(vec![model("waiting", detector)]);
    options.workers = NonZeroUsize::MIN;
    options.limits.queue = 3;
    let server = Running::start(options);
    let body = request("POST /v1/detect", &[], &png(&two_objects()));
    let mut working = connect(server.address);
    working.write_all(&body).unwrap();
    begun.recv().unwrap();
    let mut greedy: Vec<TcpStream> = Vec::new();
    for length in 1..=3 {
        let mut stream = connect(server.address);
        stream.write_all(&body).unwrap();
        greedy.push(stream);
        wait_for_queue(&server, length);
    }
    let mut modest = connect_from([127, 0, 0, 2], &server);
    modest.write_all(&body).unwrap();
    assert_eq!(receive(&mut greedy[2]).status, 429);
    // Two to one is as even as it gets.
    let mut second = connect_from([127, 0, 0, 2], &server);
    second.write_all(&body).unwrap();
    assert_eq!(receive(&mut second).status, 429);
    let more = post(server.address, "/v1/detect", &png(&two_objects()));
    assert_eq!(more.status, 429);
    drop(let_go);
    for stream in [&mut working, &mut modest]
        .into_iter()
        .chain(&mut greedy[..2])
    {
        assert_eq!(receive(stream).status, 200);
    }
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

/// The head of a chunked request, and a chunk of so many bytes without the line
/// break after it.
fn unfinished_chunk(length: usize) -> Vec<u8> {
    let head = "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut bytes = format!("{head}{length:x}\r\n").into_bytes();
    bytes.resize(bytes.len() + length, 7);
    bytes
}

#[test]
fn bodies_that_stall_and_idle_sockets_take_nothing_from_others() {
    let server = Running::colors();
    let mut held = Vec::new();
    for _ in 0..40 {
        let mut body = connect(server.address);
        body.write_all(&unfinished_chunk(1)).unwrap();
        held.push(body);
        held.push(begin(server.address, "POST /v1/detect", 20 << 20));
        assert_works(&server);
    }
    let sockets: Vec<_> = (0..140).map(|_| open(&server, "/v1/camera")).collect();
    assert_works(&server);
    drop((held, sockets));
}

#[test]
fn the_body_that_stalls_longest_gives_way_to_a_good_one() {
    let (length, step) = (150 << 10, 64 << 10);
    let server = with_limits(|limits| limits.memory_bytes = 2 * length + step);
    // Two that have come but for a byte, and take nearly all.
    let mut stalled = [0, 1].map(|_| {
        let mut stream = begin(server.address, "POST /v1/detect", length);
        stream.write_all(&vec![7; length - 1]).unwrap();
        stream
    });
    let mut good = begin(server.address, "POST /v1/detect", length);
    good.write_all(&vec![7; length]).unwrap();
    assert_eq!(receive(&mut good).status, 422);
    let answers = stalled.each_mut().map(|stream| {
        let _ = stream.write_all(&[7]);
        receive(stream).status
    });
    // One had to go; which of them stalled longer is not known here.
    let mut answers = answers.to_vec();
    answers.sort_unstable();
    assert_eq!(answers, [408, 422]);
    for _ in 0..10 {
        assert_works(&server);
    }
}

#[test]
fn bodies_that_wait_for_a_worker_do_not_give_way() {
    let (detector, begun, let_go) = WaitingDetector::new();
    let image = noise();
    let mut options = options(vec![model("waiting", detector)]);
    options.workers = NonZeroUsize::MIN;
    options.limits.memory_bytes = image.len() + (64 << 10);
    let server = Running::start(options);
    let mut first = connect(server.address);
    first
        .write_all(&request("POST /v1/detect", &[], &image))
        .unwrap();
    begun.recv().unwrap();
    let second = post(server.address, "/v1/detect", &image);
    assert_eq!(second.status, 429);
    assert_eq!(second.header("retry-after"), Some("1"));
    // There is room for a small one.
    let mut small = connect(server.address);
    small
        .write_all(&request("POST /v1/detect", &[], &png(&two_objects())))
        .unwrap();
    drop(let_go);
    assert_eq!(receive(&mut small).status, 200);
    assert_eq!(receive(&mut first).status, 200);
}

/// An image that no format makes smaller, of more than 100 KiB.
fn noise() -> Vec<u8> {
    let mut image = RgbImage::filled(ImageSize::new(211, 199), [0; 3]);
    let mut state = 1_u32;
    for value in image.pixels_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = (state >> 24) as u8;
    }
    let file = png(&image);
    assert!(file.len() > 100 << 10);
    file
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
        ("POST /v1/detect?score=0.1&score=0.9", 400),
        ("POST /v1/detect?scores=0.1", 400),
        ("POST /v1/detect?score=", 400),
        ("POST /v1/detect?nms=2", 400),
        ("POST /v1/detect?max_detections=-1", 400),
        ("POST /v1/keep?score=0.5", 400),
        ("GET /v1/models?model=colors", 400),
        ("GET /v1/sources?a=1", 400),
        ("GET /v1/camera?source=given", 400),
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
fn an_idle_connection_gives_way_to_a_new_one() {
    let server = with_limits(|limits| limits.connections = 3);
    let asked = |stream: &mut TcpStream| {
        stream
            .write_all(&request("GET /v2/health/live", &[], b""))
            .unwrap();
        assert_eq!(receive(stream).status, 200);
    };
    let (mut oldest, mut used) = (connect(server.address), connect(server.address));
    asked(&mut oldest);
    asked(&mut used);
    // One that trickles a head, and never ends it.
    let mut silent = connect(server.address);
    silent.write_all(b"GET / HTTP/1.1\r\nA: b").unwrap();
    asked(&mut used);
    asked(&mut connect(server.address));
    let mut nothing = Vec::new();
    // Closed, or reset.
    let _ = oldest.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    asked(&mut used);
    let many: Vec<_> = (0..20).map(|_| connect(server.address)).collect();
    for _ in 0..20 {
        assert_works(&server);
    }
    drop(many);
}

#[test]
fn connections_with_work_do_not_give_way() {
    let (detector, begun, let_go) = WaitingDetector::new();
    let mut options = options(vec![model("waiting", detector)]);
    options.limits.connections = 2;
    let server = Running::start(options);
    let body = request("POST /v1/detect", &[], &png(&two_objects()));
    let mut working = [connect(server.address), connect(server.address)];
    for stream in &mut working {
        stream.write_all(&body).unwrap();
        begun.recv().unwrap();
    }
    let mut third = connect(server.address);
    let mut nothing = Vec::new();
    // Closed, or reset.
    let _ = third.write_all(&request("GET /v2/health/live", &[], b""));
    let _ = third.read_to_end(&mut nothing);
    assert!(nothing.is_empty());
    drop(let_go);
    for stream in &mut working {
        assert_eq!(receive(stream).status, 200);
    }
}

#[test]
fn bodies_that_are_encoded_are_refused_by_name() {
    let server = Running::colors();
    let image = png(&two_objects());
    let ask = |headers: &[(&str, &str)], body: &[u8]| {
        send(server.address, "POST /v1/detect", headers, body)
    };
    for (coding, named) in [("gzip", "gzip"), ("BR", "BR"), ("identity, zstd", "zstd")] {
        let answer = ask(&[("Content-Encoding", coding)], &image);
        assert_eq!(answer.status, 415, "{coding}");
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
        let reason = reason(&answer);
        assert!(reason.contains(&format!("`{named}`")), "{reason}");
    }
    assert_eq!(ask(&[("Content-Encoding", "Identity")], &image).status, 200);
    let mut stream = connect(server.address);
    let head = "POST /v1/detect HTTP/1.1\r\nHost: localhost\r\n\
                Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = receive(&mut stream);
    assert_eq!(answer.status, 501);
    assert!(reason(&answer).contains("`gzip`"));
    assert_works(&server);
}

#[test]
fn a_reason_never_has_control_characters() {
    let server = Running::colors();
    for (path, status) in [
        ("/v1/detect?model=a%1B[2Jb%C2%9B31m%7F", 404),
        ("/v1/detect?a%1B[2Jb%C2%9B31m%7F=1", 400),
    ] {
        let answer = post(server.address, path, b"");
        assert_eq!(answer.status, status);
        let reason = reason(&answer);
        assert!(reason.contains("\\u{1b}[2Jb\\u{9b}31m\\u{7f}"), "{reason}");
        assert!(!reason.chars().any(char::is_control));
    }
}

#[test]
fn more_threads_than_256_are_refused() {
    for threads in [257, 40_000, usize::MAX] {
        let mut options = options(vec![model("colors", ColorDetector::new())]);
        options.workers = NonZeroUsize::new(threads).unwrap();
        let error = Server::bind(options, Arc::new(|_| {})).err().unwrap();
        let expected = format!("expected at most 256 threads, found {threads}");
        assert_eq!(error.to_string(), expected);
    }
}
