//! Published weights, fetched from a server of the test's own.
//!
//! No file of the test's can have a published file's digest, so that success is
//! tested beside the code.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::{self, JoinHandle};

use crate::harness::{Ran, command, files_below};
use crate::shared::{TINY, detection_data, text};

const SMALL: &str = "mobilenet_v3_small-047dcff4.pth";

/// What the server does with a connection.
#[derive(Clone, Copy)]
enum Reply {
    /// Sends so many bytes of the file at most.
    Bytes(usize),
    /// Sends a status and no body.
    Status(u16),
}

/// A server that answers once and then is gone.
struct Server {
    url: String,
    thread: JoinHandle<String>,
}

impl Server {
    fn new(body: &[u8], reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/models/", listener.local_addr().unwrap());
        let body = body.to_owned();
        let thread = thread::spawn(move || answer(listener.accept().unwrap().0, &body, reply));
        Self { url, thread }
    }

    /// The path that was asked for.
    fn path(self) -> String {
        self.thread.join().unwrap()
    }
}

fn answer(mut stream: TcpStream, body: &[u8], reply: Reply) -> String {
    let lines = BufReader::new(&stream).lines().map(Result::unwrap);
    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let (status, length, sent) = match reply {
        Reply::Status(status) => (status, 0, &body[..0]),
        Reply::Bytes(count) => (200, body.len(), &body[..body.len().min(count)]),
    };
    write!(
        stream,
        "HTTP/1.1 {status} Answer\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    stream.write_all(sent).unwrap();
    lines[0].split(' ').nth(1).unwrap().to_owned()
}

/// Trains with `--weights imagenet` from `url`.
fn train(folder: &Path, url: &str, weights: &str) -> Ran {
    let data = text(detection_data());
    let args = ["train", &data, "--weights", weights];
    let output = command(folder, &[&args[..], &TINY].concat())
        .env("SSDLITE_WEIGHTS_URL", url)
        .env("SSDLITE_CACHE", folder.join("cache"))
        .env_remove("http_proxy")
        .env_remove("HTTP_PROXY")
        .env_remove("all_proxy")
        .env_remove("ALL_PROXY")
        .output()
        .unwrap();
    Ran::from(output)
}

/// Asserts that the error says how to do without a network.
#[track_caller]
fn assert_tells_how_to_go_on(ran: &Ran, folder: &Path) {
    let place = text(&folder.join("cache").join(SMALL));
    for words in [SMALL, &place, "--weights none"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert!(!folder.join("runs").exists());
    assert!(!folder.join("cache").join(SMALL).exists());
}

#[test]
fn a_file_with_another_digest_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(b"a login page", Reply::Bytes(usize::MAX));
    let ran = train(folder.path(), &server.url, "imagenet").exits(1);
    assert!(
        ran.stderr.contains("SHA-256 that begins with 047dcff4"),
        "{}",
        ran.stderr
    );
    assert_tells_how_to_go_on(&ran, folder.path());
    assert!(files_below(folder.path()).is_empty());
    assert_eq!(server.path(), format!("/models/{SMALL}"));
}

#[test]
fn of_a_download_that_breaks_off_nothing_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let body: Vec<u8> = (0..=255).cycle().take(100_003).collect();
    let server = Server::new(&body, Reply::Bytes(40_009));
    let ran = train(folder.path(), &server.url, "imagenet").exits(1);
    assert!(!ran.stderr.contains("SHA-256"), "{}", ran.stderr);
    assert_tells_how_to_go_on(&ran, folder.path());
    assert!(files_below(folder.path()).is_empty());
}

#[test]
fn a_missing_file_and_a_missing_network_say_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(b"", Reply::Status(404));
    let ran = train(folder.path(), &server.url, "imagenet").exits(1);
    assert!(ran.stderr.contains("404"), "{}", ran.stderr);
    assert_tells_how_to_go_on(&ran, folder.path());

    // The server is gone, and nothing listens at its port.
    let ran = train(folder.path(), &server.url, "imagenet").exits(1);
    assert_tells_how_to_go_on(&ran, folder.path());
}

#[test]
fn a_damaged_file_in_the_cache_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache").join(SMALL);
    fs::create_dir(folder.path().join("cache")).unwrap();
    fs::write(&path, "half a file").unwrap();
    let ran = train(folder.path(), "http://127.0.0.1:9/", "imagenet").exits(1);
    assert!(ran.stderr.contains(&text(&path)), "{}", ran.stderr);
    assert!(ran.stderr.contains("delete it"), "{}", ran.stderr);
    assert_eq!(fs::read(&path).unwrap(), b"half a file");
}

#[test]
fn weights_that_nobody_published_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ran = train(folder.path(), "http://127.0.0.1:9/", "coco").exits(1);
    assert!(ran.stderr.contains("small"), "{}", ran.stderr);
    assert!(files_below(folder.path()).is_empty());
}
