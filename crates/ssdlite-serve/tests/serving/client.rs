//! A plain HTTP client: what is sent and received is seen byte by byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No answer takes this long, unless something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that comes of itself.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads one answer whose length is stated or which ends the connection.
pub(crate) fn receive(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break end;
        }
        let read = read(stream, &mut chunk);
        assert!(read > 0, "no answer: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&chunk[..read]);
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer {
        status,
        head,
        body: bytes.split_off(head_end + 4),
    };
    let length = answer
        .header("content-length")
        .and_then(|text| text.parse().ok());
    while length.is_none_or(|length: usize| answer.body.len() < length) {
        let read = read(stream, &mut chunk);
        if read == 0 {
            break;
        }
        answer.body.extend_from_slice(&chunk[..read]);
    }
    if let Some(length) = length {
        assert_eq!(answer.body.len(), length);
    }
    answer
}

/// Reads some bytes; a signal, as one test sends to the process, does not
/// disturb it.
fn read(stream: &mut TcpStream, chunk: &mut [u8]) -> usize {
    loop {
        match stream.read(chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read.unwrap(),
        }
    }
}

/// The bytes of a request with a body of stated length.
pub(crate) fn request(line: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        text.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    [text.as_bytes(), body].concat()
}

/// Sends a request over a connection of its own.
pub(crate) fn send(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = connect(address);
    // The server may refuse before it has read all of the body.
    let _ = stream.write_all(&request(line, headers, body));
    receive(&mut stream)
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, &format!("GET {path}"), &[], b"")
}

pub(crate) fn post(address: SocketAddr, path: &str, body: &[u8]) -> Answer {
    send(address, &format!("POST {path}"), &[], body)
}

/// A multipart body and its type; each part has a name, a file name or none,
/// and its bytes.
pub(crate) fn multipart(parts: &[(&str, Option<&str>, &[u8])]) -> (String, Vec<u8>) {
    const BOUNDARY: &str = "a-line-between";
    let mut body = Vec::new();
    for (name, file, bytes) in parts {
        let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={BOUNDARY}"), body)
}

/// Sends a request without its body, and waits until the server asks for that.
pub(crate) fn begin(address: SocketAddr, line: &str, length: usize) -> TcpStream {
    try_begin(address, line, length).expect("the server asks for the body")
}

/// The same; none if the server answers without asking for the body.
pub(crate) fn try_begin(address: SocketAddr, line: &str, length: usize) -> Option<TcpStream> {
    let mut stream = connect(address);
    let head = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut told).unwrap();
    told.starts_with(b"HTTP/1.1 100").then_some(stream)
}
