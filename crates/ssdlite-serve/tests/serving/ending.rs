//! A server that is told to end.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssdlite_serve::Server;
use tungstenite::Message;

use crate::client::{begin, connect, get, post, receive, request, wait_until};
use crate::fixtures::{ColorDetector, Running, WaitingDetector, model, options, png, two_objects};
use crate::sockets::{open, text};

#[test]
fn work_in_flight_ends_and_nothing_new_begins() {
    let (detector, begun, let_go) = WaitingDetector::new();
    let mut server = Running::start(options(vec![model("waiting", detector)]));
    let mut in_flight = connect(server.address);
    let body = request("POST /v1/detect", &[], &png(&two_objects()));
    in_flight.write_all(&body).unwrap();
    begun.recv().unwrap();
    assert_eq!(get(server.address, "/v2/health/ready").status, 200);

    server.tell_to_end();
    wait_for_the_end(&server);
    assert_eq!(get(server.address, "/v2/health/live").status, 200);
    assert_eq!(
        post(server.address, "/v1/detect", &png(&two_objects())).status,
        503
    );

    let_go.send(()).unwrap();
    assert_eq!(receive(&mut in_flight).status, 200);
    server.join();
}

/// Whether the server says that it is not ready. A connection that is made
/// just before it is told to end may be closed without an answer.
fn is_told_not_ready(address: SocketAddr) -> bool {
    let mut stream = connect(address);
    let headers = [("Connection", "close")];
    let _ = stream.write_all(&request("GET /v2/health/ready", &headers, b""));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer.starts_with(b"HTTP/1.1 503")
}

fn wait_for_the_end(server: &Running) {
    wait_until("the server says that it ends", || {
        is_told_not_ready(server.address)
    });
}

#[test]
fn a_request_whose_body_is_under_way_is_answered() {
    let mut server = Running::colors();
    let body = png(&two_objects());
    let mut stream = begin(server.address, "POST /v1/detect", body.len());
    server.tell_to_end();
    wait_for_the_end(&server);
    stream.write_all(&body).unwrap();
    assert_eq!(receive(&mut stream).status, 200);
    server.join();
}

#[test]
fn a_frame_in_flight_is_answered_before_the_socket_is_closed() {
    let (detector, begun, let_go) = WaitingDetector::new();
    let mut server = Running::start(options(vec![model("waiting", detector)]));
    let mut socket = open(&server, "/v1/camera");
    socket.send(Message::binary(png(&two_objects()))).unwrap();
    begun.recv().unwrap();
    server.tell_to_end();
    wait_for_the_end(&server);
    let refused = tungstenite::client("ws://localhost/v1/camera", connect(server.address));
    assert!(refused.is_err());
    let_go.send(()).unwrap();
    assert_eq!(text(&socket.read().unwrap())["width"], 97);
    assert!(socket.read().unwrap().is_close());
    drop(socket);
    server.join();
}

#[test]
fn idle_sockets_do_not_hold_it_up() {
    let server = Running::colors();
    let _silent = open(&server, "/v1/camera");
    let start = Instant::now();
    server.join();
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn idle_connections_do_not_hold_it_up() {
    let server = Running::colors();
    let mut idle = connect(server.address);
    idle.write_all(&request("GET /v2/health/live", &[], b""))
        .unwrap();
    assert_eq!(receive(&mut idle).status, 200);
    let _silent = connect(server.address);
    let start = Instant::now();
    server.join();
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_does_not_end_is_cut_off() {
    let (detector, begun, let_go) = WaitingDetector::new();
    let mut options = options(vec![model("waiting", detector)]);
    options.drain = Duration::from_millis(100);
    let mut server = Running::start(options);
    let mut stuck = connect(server.address);
    let body = request("POST /v1/detect", &[], &png(&two_objects()));
    stuck.write_all(&body).unwrap();
    begun.recv().unwrap();
    server.tell_to_end();
    // The connection ends without an answer, before the detector is let go.
    let mut answer = Vec::new();
    let _ = stuck.read_to_end(&mut answer);
    assert!(answer.is_empty());
    let_go.send(()).unwrap();
    server.join();
}

#[test]
#[cfg(unix)]
fn a_signal_ends_it() {
    let options = options(vec![model("colors", ColorDetector::new())]);
    let server = Server::bind(options, Arc::new(|_| {})).unwrap();
    let address = server.address();
    let thread = std::thread::spawn(move || server.run());
    // From the first answer on the server waits for the signal too.
    assert_eq!(get(address, "/v2/health/ready").status, 200);
    let own_id = std::process::id().to_string();
    let sent = Command::new("kill")
        .args(["-TERM", &own_id])
        .status()
        .unwrap();
    assert!(sent.success());
    thread.join().unwrap().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
}
