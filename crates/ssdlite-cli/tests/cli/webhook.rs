//! The webhook of `live`, against servers that take events and others that don't.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::run;
use crate::live::{ask, host, json as parsed};
use crate::media::{GoesOn, PATIENCE, folder_with_model, wait_until};

const SECRET: &str = "s3cret";

/// A server that gives these answers one after the other, and then no more.
struct Hook {
    port: u16,
    requests: Receiver<String>,
}

impl Hook {
    fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                sender.send(request(&mut stream)).unwrap();
                let answer =
                    format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { port, requests }
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}/{SECRET}?key={SECRET}", self.port)
    }

    fn next(&self) -> String {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }
}

/// Reads one request with a body of stated length.
fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut byte = [0; 1];
    while !text.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0].into());
    }
    let lower = text.to_ascii_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    text + std::str::from_utf8(&body).unwrap()
}

fn start(folder: &tempfile::TempDir, address: &str) -> (GoesOn, String) {
    let args = [
        "live",
        "model.safetensors",
        "--port",
        "0",
        "--webhook",
        address,
    ];
    let mut live = GoesOn::start(folder.path(), &args);
    let printed = live.line();
    (live, host(&printed).to_owned())
}

/// Tells the server of a rule that fired; gives the status.
fn tell(host: &str, rule: &str) -> u16 {
    let event = json!({
        "source": "a", "rule": rule, "class": "left", "score": 0.5,
        "box": [1, 2, 3, 4], "width": 8, "height": 6,
    });
    let kind = "Content-Type: application/json\r\n";
    ask(host, "POST /v1/webhook", kind, event.to_string().as_bytes()).0
}

/// The JSON of a request to the webhook.
fn posted(request: &str) -> Value {
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let line = format!("POST /{SECRET}?key={SECRET} HTTP/1.1\r\n");
    assert!(head.starts_with(&line), "{head}");
    assert!(
        head.to_ascii_lowercase()
            .contains("content-type: application/json")
    );
    parsed(body)
}

#[test]
#[cfg(unix)]
fn events_are_posted_and_nobody_is_told_the_address() {
    let folder = folder_with_model();
    let hook = Hook::start(&["204 No Content", "200 OK"]);
    let (live, host) = start(&folder, &hook.address());
    let (_, sources) = ask(&host, "GET /v1/sources", "", b"");
    assert_eq!(parsed(&sources)["webhook"], true);
    for rule in ["first", "second"] {
        assert_eq!(tell(&host, rule), 202);
        let event = posted(&hook.next());
        assert_eq!(
            (&event["rule"], &event["model"]),
            (&json!(rule), &json!("model"))
        );
        assert_eq!(event["track"], Value::Null);
    }
    live.signal("TERM");
    let ran = live.join().exits(0);
    for said in [&sources, &ran.stdout, &ran.stderr] {
        assert!(!said.contains(SECRET), "{said}");
    }
}

#[test]
#[cfg(unix)]
fn a_failure_that_may_pass_is_tried_once_more_and_no_other() {
    let folder = folder_with_model();
    let hook = Hook::start(&[
        "500 Oh",
        "200 OK",
        "404 No",
        "302 Found",
        "503 Oh",
        "503 Oh",
        "200 OK",
    ]);
    let (live, host) = start(&folder, &hook.address());
    let rules = ["a", "b", "c", "d", "e"];
    for rule in rules {
        assert_eq!(tell(&host, rule), 202);
    }
    let expected = ["a", "a", "b", "c", "d", "d", "e"];
    for rule in expected {
        assert_eq!(posted(&hook.next())["rule"], rule);
    }
    live.signal("TERM");
    let ran = live.join().exits(0);
    // The first failure is told at once, the others at the end.
    for told in ["1 event: it answered 404", "2 events: it answered 503"] {
        let told = format!("did not take {told}");
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
    }
    assert!(!ran.stderr.contains(SECRET), "{}", ran.stderr);
}

#[test]
#[cfg(unix)]
fn a_redirect_is_not_followed() {
    let folder = folder_with_model();
    let hook = Hook::start(&["307 Elsewhere\r\nLocation: /other", "200 OK"]);
    let (live, host) = start(&folder, &hook.address());
    assert_eq!(tell(&host, "a"), 202);
    posted(&hook.next());
    wait_until("it is told", || {
        live.stderr().contains("no redirect is followed")
    });
    assert!(hook.requests.try_recv().is_err());
    live.signal("TERM");
    live.join().exits(0);
}

#[test]
#[cfg(unix)]
fn a_webhook_that_refuses_connections_is_told() {
    let folder = folder_with_model();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let (live, host) = start(
        &folder,
        &format!("http://me:{SECRET}@127.0.0.1:{port}/{SECRET}"),
    );
    assert_eq!(tell(&host, "a"), 202);
    let expected = format!("the webhook at http://127.0.0.1:{port} did not take 1 event: ");
    wait_until("it is told", || live.stderr().contains(&expected));
    assert!(!live.stderr().contains(SECRET), "{}", live.stderr());
    live.signal("TERM");
    live.join().exits(0);
}

#[test]
#[cfg(unix)]
fn a_webhook_that_hangs_holds_up_neither_the_pages_nor_the_end() {
    let folder = folder_with_model();
    // Connections are taken by the system, and nothing is ever read.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (live, host) = start(&folder, &format!("http://127.0.0.1:{port}/"));
    let statuses: Vec<u16> = (0..70).map(|_| tell(&host, "a")).collect();
    // 64 wait, and one is on its way.
    let accepted = statuses.iter().filter(|status| **status == 202).count();
    assert!((64..=65).contains(&accepted), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429));
    assert_eq!(ask(&host, "GET /v1/models", "", b"").0, 200);
    let start = Instant::now();
    live.signal("TERM");
    let ran = live.join().exits(0);
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(ran.stderr.contains("not posted"), "{}", ran.stderr);
}

#[test]
fn what_is_no_address_of_a_webhook_is_refused() {
    let folder = folder_with_model();
    for address in [
        "",
        "s3cret",
        "ftp://host/s3cret",
        "http://",
        "http:///s3cret",
    ] {
        let args = ["live", "model.safetensors", "--webhook", address];
        let ran = run(folder.path(), &args).exits(2);
        assert!(ran.stderr.contains("--webhook"), "{}", ran.stderr);
        assert!(!ran.stderr.contains(SECRET), "{}", ran.stderr);
    }
    // Only the page has rules.
    let args = ["serve", "model.safetensors", "--webhook", "http://host/"];
    run(folder.path(), &args).exits(2);
}
