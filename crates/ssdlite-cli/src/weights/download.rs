//! Fetching a file over HTTP: resumed where it broke off, checked, and only
//! then put in place.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use ssdlite_files::put_in_place;

/// The published files have 10 to 22 MB.
const MAX_BYTES: u64 = 256 << 20;

/// A server that does not answer for this long is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection is taken up anew after this long, so that one that hangs is
/// noticed; what it brought is kept.
const BODY_TIMEOUT: Duration = Duration::from_secs(90);

/// How many connections in a row may bring nothing.
const ATTEMPTS: u32 = 4;

const BUFFER_BYTES: usize = 64 << 10;

/// What to fetch.
pub(crate) struct Request<'a> {
    pub(crate) url: &'a str,
    pub(crate) to: &'a Path,
    pub(crate) sha256_prefix: &'a str,
}

/// Fetches a file. What has arrived is kept beside it as `.part`, from where a
/// later call goes on; a file with another digest is deleted.
pub(crate) fn download(request: &Request<'_>) -> Result<()> {
    let part = part_of(request.to);
    fetch(request.url, &part).with_context(|| format!("can't fetch {}", request.url))?;
    if let Err(error) = check_digest(&part, request.sha256_prefix) {
        std::fs::remove_file(&part).ok();
        return Err(error.context(format!("{} is not the published file", request.url)));
    }
    put_in_place(&part, request.to).with_context(|| {
        format!(
            "can't rename {} to {}",
            part.display(),
            request.to.display()
        )
    })
}

/// Fetches the whole file into `part`, in as many connections as it takes.
fn fetch(url: &str, part: &Path) -> Result<()> {
    if url.starts_with("https:") && !tls_runs_here() {
        bail!("this processor lacks instructions that the TLS library needs");
    }
    let agent = agent();
    let mut fruitless = 0;
    loop {
        let before = length_of(part);
        match fetch_rest(&agent, url, part) {
            Err(error) if error.is::<BrokeOff>() && fruitless < ATTEMPTS => {
                let grew = length_of(part) > before;
                fruitless = if grew { 0 } else { fruitless + 1 };
            }
            other => return other,
        }
    }
}

fn length_of(part: &Path) -> u64 {
    std::fs::metadata(part).map_or(0, |metadata| metadata.len())
}

/// Whether the processor has what the crate `graviola` lists as required.
fn tls_runs_here() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("pclmulqdq")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("adx")
            && is_x86_feature_detected!("bmi2")
    }
    #[cfg(target_arch = "aarch64")]
    {
        use std::arch::is_aarch64_feature_detected;
        is_aarch64_feature_detected!("aes")
            && is_aarch64_feature_detected!("sha2")
            && is_aarch64_feature_detected!("pmull")
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        false
    }
}

/// Whether the SHA-256 of a file begins with these digits.
pub(crate) fn check_digest(path: &Path, sha256_prefix: &str) -> Result<()> {
    let mut file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    let digest: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if digest.starts_with(sha256_prefix) {
        Ok(())
    } else {
        bail!("expected a SHA-256 that begins with {sha256_prefix}, found {digest}")
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn agent() -> ureq::Agent {
    let tls = ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls_graviola::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(ANSWER_TIMEOUT))
        .timeout_recv_response(Some(ANSWER_TIMEOUT))
        .timeout_recv_body(Some(BODY_TIMEOUT))
        .http_status_as_error(false)
        .build()
        .into()
}

/// Why a try ended before the file was whole.
#[derive(Debug, thiserror::Error)]
#[error("the connection broke off after {bytes} bytes: {reason}")]
struct BrokeOff {
    bytes: u64,
    reason: String,
}

/// Appends to `part` what of the file is still missing.
fn fetch_rest(agent: &ureq::Agent, url: &str, part: &Path) -> Result<()> {
    let have = length_of(part);
    let mut call = agent.get(url);
    if have > 0 {
        call = call.header("Range", format!("bytes={have}-"));
    }
    let mut response = call.call()?;
    let start = match response.status().as_u16() {
        206 if starts_at(&response, have) => have,
        200 => 0,
        // The part is as long as the whole file, or is not a part of it.
        206 | 416 if have > 0 => {
            std::fs::remove_file(part)?;
            return Err(BrokeOff {
                bytes: 0,
                reason: "the server would not go on where it broke off".into(),
            }
            .into());
        }
        status => bail!("the server answered {status}"),
    };
    let length = response.body().content_length();
    let total = length.map(|length| start.saturating_add(length));
    if total.is_some_and(|total| total > MAX_BYTES) {
        bail!("expected at most {MAX_BYTES} bytes, the server announced {total:?}");
    }
    let mut options = OpenOptions::new();
    options.create(true).write(true).append(start > 0);
    let mut file = options
        .truncate(start == 0)
        .open(part)
        .with_context(|| format!("can't write {}", part.display()))?;
    let bar = progress_bar(url, start, total);
    let have = copy(&mut response.body_mut().as_reader(), &mut file, start, &bar)?;
    file.sync_all()?;
    bar.finish_and_clear();
    match total {
        Some(total) if have < total => Err(BrokeOff {
            bytes: have,
            reason: format!("{total} bytes were announced"),
        }
        .into()),
        _ => Ok(()),
    }
}

fn starts_at(response: &ureq::http::Response<ureq::Body>, start: u64) -> bool {
    let range = response.headers().get("content-range");
    range
        .and_then(|range| range.to_str().ok())
        .is_some_and(|range| range.trim().starts_with(&format!("bytes {start}-")))
}

/// Copies the body behind the first `have` bytes; returns the new length.
fn copy(body: &mut impl Read, file: &mut File, mut have: u64, bar: &ProgressBar) -> Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => return Ok(have),
            Ok(read) => read,
            Err(error) => {
                let reason = error.to_string();
                return Err(BrokeOff {
                    bytes: have,
                    reason,
                }
                .into());
            }
        };
        have += read as u64;
        if have > MAX_BYTES {
            bail!("expected at most {MAX_BYTES} bytes, the server sent more");
        }
        file.write_all(&buffer[..read]).context("can't write")?;
        bar.set_position(have);
    }
}

fn progress_bar(url: &str, start: u64, total: Option<u64>) -> ProgressBar {
    let name = url.rsplit('/').next().unwrap_or(url);
    let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let bar = match total {
        Some(total) => ProgressBar::new(total),
        None => ProgressBar::no_length(),
    };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_message(name.to_owned());
    bar.set_position(start);
    bar
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;
    use std::thread::JoinHandle;

    use super::*;

    /// What the server does with each connection, in order.
    #[derive(Clone, Copy)]
    pub(crate) enum Reply {
        /// The whole file, or what the range asks for.
        Sound,
        /// The same, broken off after this many bytes of body.
        Cut(usize),
        /// The whole file, whatever the range.
        IgnoreRange,
        /// A status and nothing else.
        Status(u16),
    }

    /// A server that gives so many replies and then is gone.
    pub(crate) struct Server {
        pub(crate) url: String,
        requests: Arc<Mutex<Vec<String>>>,
        thread: Option<JoinHandle<()>>,
    }

    impl Server {
        pub(crate) fn new(body: Vec<u8>, replies: Vec<Reply>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/weights.pth", listener.local_addr().unwrap());
            let requests = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&requests);
            let thread = std::thread::spawn(move || {
                for reply in replies {
                    let (stream, _) = listener.accept().unwrap();
                    answer(stream, &body, reply, &seen);
                }
            });
            Self {
                url,
                requests,
                thread: Some(thread),
            }
        }

        /// Waits for the last reply; the ranges that were asked for.
        pub(crate) fn ranges(mut self) -> Vec<String> {
            self.thread.take().unwrap().join().unwrap();
            let requests = self.requests.lock().unwrap();
            let range_of = |request: &String| {
                let line = request
                    .lines()
                    .find(|line| line.to_lowercase().starts_with("range:"));
                line.map_or(String::new(), |line| line[6..].trim().to_owned())
            };
            requests.iter().map(range_of).collect()
        }
    }

    fn answer(mut stream: TcpStream, body: &[u8], reply: Reply, seen: &Mutex<Vec<String>>) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut request = String::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            request.push_str(&line);
        }
        let start = request
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("range: bytes=")
                    .map(str::to_owned)
            })
            .and_then(|range| range.trim_end_matches('-').parse::<usize>().ok());
        seen.lock().unwrap().push(request);
        let (start, cut) = match reply {
            Reply::Sound => (start, usize::MAX),
            Reply::Cut(bytes) => (start, bytes),
            Reply::IgnoreRange => (None, usize::MAX),
            Reply::Status(status) => {
                let head = format!(
                    "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).unwrap();
                return;
            }
        };
        let rest = &body[start.unwrap_or(0)..];
        let status = match start {
            Some(start) => format!(
                "206 Partial Content\r\nContent-Range: bytes {start}-{}/{}",
                body.len() - 1,
                body.len()
            ),
            None => "200 OK".to_owned(),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            rest.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&rest[..rest.len().min(cut)]).unwrap();
    }

    fn body() -> Vec<u8> {
        (0..200_000_u32)
            .map(|i| (i.wrapping_mul(2654435761) >> 24) as u8)
            .collect()
    }

    fn prefix_of(bytes: &[u8]) -> String {
        let digest = Sha256::digest(bytes);
        digest[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn run(server: &Server, to: &Path, sha256_prefix: &str) -> Result<()> {
        download(&Request {
            url: &server.url,
            to,
            sha256_prefix,
        })
    }

    #[test]
    fn a_sound_file_arrives_and_no_part_stays() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("weights.pth");
        let server = Server::new(body(), vec![Reply::Sound]);
        run(&server, &to, &prefix_of(&body())).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), body());
        assert!(!part_of(&to).exists());
        assert_eq!(server.ranges(), [""]);
    }

    #[test]
    fn a_connection_that_breaks_off_is_taken_up_where_it_broke() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("weights.pth");
        let server = Server::new(
            body(),
            vec![Reply::Cut(70_000), Reply::Cut(50_000), Reply::Sound],
        );
        run(&server, &to, &prefix_of(&body())).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), body());
        let ranges = server.ranges();
        assert_eq!(ranges[0], "");
        assert_eq!(ranges.len(), 3);
        assert!(ranges[2].starts_with("bytes="), "{ranges:?}");
    }

    #[test]
    fn an_earlier_part_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("weights.pth");
        std::fs::write(part_of(&to), &body()[..123_456]).unwrap();
        let server = Server::new(body(), vec![Reply::Sound]);
        run(&server, &to, &prefix_of(&body())).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), body());
        assert_eq!(server.ranges(), ["bytes=123456-"]);
    }

    #[test]
    fn a_server_without_ranges_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("weights.pth");
        std::fs::write(part_of(&to), b"something else").unwrap();
        let server = Server::new(body(), vec![Reply::IgnoreRange]);
        run(&server, &to, &prefix_of(&body())).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), body());
    }

    #[test]
    fn a_whole_part_that_the_server_refuses_is_fetched_anew() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("weights.pth");
        std::fs::write(part_of(&to), body()).unwrap();
        let server = Server::new(body(), vec![Reply::Status(416), Reply::Sound]);
        run(&server, &to, &prefix_of(&body())).unwrap();
        assert_eq!(server.ranges(), ["bytes=200000-", ""]);
    }

    #[test]
    fn another_digest_is_an_error_and_nothing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("weights.pth");
        let server = Server::new(body(), vec![Reply::Sound]);
        let error = run(&server, &to, "00000000").unwrap_err();
        assert!(
            format!("{error:#}").contains("expected a SHA-256"),
            "{error:#}"
        );
        assert!(!to.exists() && !part_of(&to).exists());
    }

    #[test]
    fn a_missing_file_and_a_missing_server_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("weights.pth");
        let server = Server::new(body(), vec![Reply::Status(404)]);
        let error = run(&server, &to, "00000000").unwrap_err();
        assert!(format!("{error:#}").contains("404"), "{error:#}");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/weights.pth", listener.local_addr().unwrap());
        drop(listener);
        let request = Request {
            url: &url,
            to: &to,
            sha256_prefix: "00000000",
        };
        assert!(download(&request).is_err());
        assert!(!to.exists());
    }

    #[test]
    fn a_connection_that_always_breaks_off_keeps_its_part() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("weights.pth");
        let mut replies = vec![Reply::Cut(40_000)];
        replies.extend([Reply::Cut(0); ATTEMPTS as usize + 1]);
        let server = Server::new(body(), replies);
        assert!(run(&server, &to, &prefix_of(&body())).is_err());
        assert!(part_of(&to).exists());
        assert!(!to.exists());
    }
}
