//! Published weights: which there are, where they are kept, how they get there.

mod download;
mod published;

pub(crate) use published::{Published, TrainedOn, published_for};

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use etcetera::BaseStrategy;

use crate::console;
use download::{Request, check_digest, download};

/// Another place to fetch published weights from, for mirrors and tests.
const BASE_URL_VARIABLE: &str = "SSDLITE_WEIGHTS_URL";

/// Another folder to keep published weights in.
const CACHE_VARIABLE: &str = "SSDLITE_CACHE";

/// Where torchvision publishes its weights.
const BASE_URL: &str = "https://download.pytorch.org/models/";

/// Where published weights come from, and where they are kept.
pub(crate) struct Store {
    /// Ends without a slash.
    base_url: String,
    folder: PathBuf,
}

impl Store {
    /// torchvision's place and the user's cache, unless the environment names
    /// others.
    pub(crate) fn from_environment() -> Result<Self> {
        let base = std::env::var(BASE_URL_VARIABLE).unwrap_or_else(|_| BASE_URL.to_owned());
        Ok(Self {
            base_url: base.trim_end_matches('/').to_owned(),
            folder: cache_folder()?,
        })
    }

    /// The file of published weights, fetched if it is not there yet.
    pub(crate) fn fetch(&self, weights: &Published) -> Result<PathBuf> {
        let folder = &self.folder;
        let path = folder.join(weights.file);
        console::detail(&format!("published weights: {}", path.display()));
        if path.is_file() {
            let bytes =
                std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
            check_digest(&bytes, weights.sha256_prefix).with_context(|| {
                format!(
                    "{} is damaged: delete it, and it is fetched again",
                    path.display()
                )
            })?;
            return Ok(path);
        }
        let url = format!("{}/{}", self.base_url, weights.file);
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
        let request = Request {
            url: &url,
            to: &path,
            sha256_prefix: weights.sha256_prefix,
        };
        if let Err(error) = download(&request) {
            bail!("{error:#}\n{}", by_hand(weights, &url, &path));
        }
        Ok(path)
    }
}

fn by_hand(weights: &Published, url: &str, path: &Path) -> String {
    format!(
        "The weights {} could not be fetched. Without a network, either copy {url}\nto {}\n\
         or start from random weights with `--weights none`.",
        weights.file,
        path.display()
    )
}

fn cache_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(CACHE_VARIABLE) {
        return Ok(folder.into());
    }
    let strategy = etcetera::choose_base_strategy().with_context(|| {
        format!("there is no home folder to keep weights in: set {CACHE_VARIABLE}")
    })?;
    Ok(strategy.cache_dir().join("ssdlite"))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_file_is_fetched_once() {
        let folder = tempfile::tempdir().unwrap();
        // The SHA-256 of "abc" in FIPS 180-2, appendix B.1.
        let weights = Published {
            file: "abc-ba7816bf.pth",
            sha256_prefix: "ba7816bf",
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let store = Store {
            base_url: format!("http://{}/models", listener.local_addr().unwrap()),
            folder: folder.path().join("not/yet/there"),
        };
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let head = BufReader::new(&stream).lines().map(Result::unwrap);
            let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";
            stream.write_all(answer.as_bytes()).unwrap();
            head[0].clone()
        });
        let path = store.fetch(&weights).unwrap();
        assert_eq!(
            server.join().unwrap(),
            "GET /models/abc-ba7816bf.pth HTTP/1.1"
        );
        assert_eq!(path, store.folder.join(weights.file));
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(&store.folder).unwrap().count(), 1);
        // The server is gone.
        assert_eq!(store.fetch(&weights).unwrap(), path);
    }
}
