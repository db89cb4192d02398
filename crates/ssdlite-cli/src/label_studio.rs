//! Images of Label Studio's tasks, fetched from the one origin that the server was
//! started with.
//!
//! Whoever may ask the server can have it fetch addresses, so all but that origin
//! are refused, redirects are not followed, and what is fetched is told to nobody
//! but the detector. Label Studio wants a key for its images, which goes there alone.
//!
//! Source of the two kinds of keys: Label Studio's `label_studio/jwt_auth`, and
//! `tokens/client_ext.py` of label-studio-sdk, which asks.

use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;
use serde_json::json;
use ssdlite_serve::FetchImages;
use ureq::Body;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::http::{Response, StatusCode, Uri};

use crate::http;
use crate::outcome::UsageError;

/// The variable of the environment that holds Label Studio's key, as
/// label-studio-ml-backend has it. On a command line others of the machine see it.
const KEY_VARIABLE: &str = "LABEL_STUDIO_API_KEY";

/// How long an image may take from its connection to its last byte.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where a personal access token is exchanged.
const REFRESH_PATH: &str = "/api/token/refresh/";

/// The most bytes of the answer to that.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// Label Studio as the place that images come from.
pub(crate) struct LabelStudio {
    origin: Origin,
    key: Option<Key>,
    agent: ureq::Agent,
}

/// What opens Label Studio's images.
enum Key {
    /// A token of the older kind, which is shown as it is.
    Legacy(String),
    /// A personal access token, a JSON Web Token, in exchange for which Label Studio
    /// gives another that is shown for some minutes.
    Personal {
        token: String,
        /// The last that was given.
        access: Mutex<Option<String>>,
    },
}

/// What Label Studio gives for a personal access token.
#[derive(Deserialize)]
struct Refreshed {
    access: String,
}

/// Whether a token that was given before will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Any,
    New,
}

/// A scheme, a host in lower case and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl LabelStudio {
    /// Label Studio at this origin, with the key of the environment, if there is one.
    ///
    /// # Errors
    /// [`UsageError`] for what is no origin; an error where TLS can't run.
    pub(crate) fn from_address(address: &str) -> Result<Self> {
        let origin = origin_from(address).ok_or_else(|| {
            UsageError(
                "--label-studio: expected an address such as http://localhost:8080, found \
                 another"
                    .into(),
            )
        })?;
        if origin.scheme == "https" {
            http::check_tls()?;
        }
        let agent = http::config()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        let key = std::env::var(KEY_VARIABLE).unwrap_or_default();
        let key = key.trim();
        Ok(Self {
            origin,
            key: (!key.is_empty()).then(|| Key::from_text(key.to_owned())),
            agent,
        })
    }

    /// Asks for an image, with what opens it.
    fn get(&self, uri: &Uri, access: Access) -> std::result::Result<Response<Body>, String> {
        let mut request = self.agent.get(uri);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, self.authorization(key, access)?);
        }
        request.call().map_err(|error| no_image(&error.to_string()))
    }

    /// The header with which a key is shown.
    fn authorization(&self, key: &Key, wanted: Access) -> std::result::Result<String, String> {
        let (token, access) = match key {
            Key::Legacy(key) => return Ok(format!("Token {key}")),
            Key::Personal { token, access } => (token, access),
        };
        // Others wait for the one that is being given.
        let mut access = access.lock().unwrap_or_else(PoisonError::into_inner);
        let given = access.take().filter(|_| wanted == Access::Any);
        let given = given.map_or_else(|| self.refreshed(token), Ok)?;
        let header = format!("Bearer {given}");
        *access = Some(given);
        Ok(header)
    }

    /// What Label Studio gives for a personal access token.
    fn refreshed(&self, token: &str) -> std::result::Result<String, String> {
        let uri = self.origin.uri_of(REFRESH_PATH)?;
        let request = self.agent.post(&uri);
        let request = request.header(CONTENT_TYPE, "application/json");
        let answered = request.send(json!({ "refresh": token }).to_string());
        let mut response = answered.map_err(|error| no_image(&error.to_string()))?;
        if response.status() != StatusCode::OK {
            return Err(no_image(&format!(
                "it answered {} to the key in {KEY_VARIABLE}",
                response.status().as_u16()
            )));
        }
        let body = response.body_mut().with_config().limit(MAX_TOKEN_BYTES);
        let body = body.read_to_vec();
        let body = body.map_err(|error| no_image(&error.to_string()))?;
        // What it holds is told to nobody.
        let refreshed: Refreshed = serde_json::from_slice(&body)
            .map_err(|_| no_image("its answer to the key holds no access token"))?;
        Ok(refreshed.access)
    }
}

impl Key {
    fn from_text(key: String) -> Self {
        let parts: Vec<_> = key.split('.').collect();
        let is_part = |part: &&str| {
            let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            !part.is_empty() && part.bytes().all(is_digit)
        };
        if parts.len() == 3 && parts.iter().all(is_part) {
            return Self::Personal {
                token: key,
                access: Mutex::default(),
            };
        }
        Self::Legacy(key)
    }
}

fn no_image(reason: &str) -> String {
    format!("Label Studio gives no image: {reason}")
}

impl FetchImages for LabelStudio {
    fn fetch(&self, address: &str, most: usize) -> std::result::Result<Vec<u8>, String> {
        let uri = self.origin.uri_of(address)?;
        let mut response = self.get(&uri, Access::Any)?;
        let is_closed = matches!(response.status().as_u16(), 401 | 403);
        if is_closed && matches!(self.key, Some(Key::Personal { .. })) {
            // What was given before is good for some minutes.
            response = self.get(&uri, Access::New)?;
        }
        let status = response.status();
        if status != StatusCode::OK {
            let hint = match status.as_u16() {
                401 | 403 => format!("; it wants its key in {KEY_VARIABLE}"),
                300..=399 => ", and no redirect is followed".to_owned(),
                _ => String::new(),
            };
            return Err(no_image(&format!("it answered {}{hint}", status.as_u16())));
        }
        let limit = u64::try_from(most).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let mut body = response.body_mut().with_config().limit(limit).reader();
        let read = body.read_to_end(&mut bytes);
        read.map_err(|error| {
            format!("expected an image of at most {most} bytes from Label Studio: {error}")
        })?;
        Ok(bytes)
    }
}

impl Origin {
    /// The address here that a path or an address stands for. The error is a message
    /// for the client.
    fn uri_of(&self, address: &str) -> std::result::Result<Uri, String> {
        let refuse = |found: &str| {
            let Self { scheme, host, port } = self;
            Err(format!(
                "expected an image of {scheme}://{host}:{port}, the one address that this server \
                 fetches from, found {found}"
            ))
        };
        let is_path = address.starts_with('/') && !address.starts_with("//");
        let path = match is_path {
            true => address,
            false => match address
                .split_once("://")
                .and_then(|(_, rest)| rest.find('/'))
            {
                _ if origin_from(address).as_ref() != Some(self) => {
                    return refuse("one of elsewhere");
                }
                Some(place) => {
                    let start = address.find("://").unwrap_or(0) + "://".len();
                    &address[start + place..]
                }
                None => return refuse("no path"),
            },
        };
        let Self { scheme, host, port } = self;
        let uri = format!("{scheme}://{host}:{port}{}", encoded(path));
        uri.parse::<Uri>()
            .or_else(|_| refuse("a path that is none"))
    }
}

/// The origin of an address whose host and port alone stand before its path.
fn origin_from(address: &str) -> Option<Origin> {
    let (scheme, rest) = address.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let known_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    // What stands before an `@` is no host.
    if authority.contains('@') {
        return None;
    }
    let uri: Uri = format!("{scheme}://{authority}/").parse().ok()?;
    let host = uri.host()?.to_ascii_lowercase();
    let after = authority.get(host.len()..)?;
    let port = match after.strip_prefix(':') {
        Some(port) if port.bytes().all(|digit| digit.is_ascii_digit()) => port.parse().ok()?,
        None if after.is_empty() => known_port,
        _ => return None,
    };
    (!host.is_empty()).then_some(Origin { scheme, host, port })
}

/// A path and query whose bytes an address can hold; what is encoded stays so.
fn encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        origin_from("http://localhost:8080").unwrap()
    }

    #[test]
    fn a_key_of_three_parts_is_a_personal_access_token() {
        for (key, is_personal) in [
            ("eyJh.eyJ0_b2-tl.c2lnbm", true),
            ("0123456789abcdef", false),
            ("a.b", false),
            ("a..c", false),
            ("a.b.c d", false),
        ] {
            let found = matches!(Key::from_text(key.into()), Key::Personal { .. });
            assert_eq!(found, is_personal, "{key}");
        }
    }

    #[test]
    fn images_of_the_origin_are_asked_for_there() {
        for (address, expected) in [
            ("/data/upload/1/a.jpg", "/data/upload/1/a.jpg"),
            ("/data/a b\u{e9}.jpg", "/data/a%20b%C3%A9.jpg"),
            (
                "/data/local-files/?d=a%2Fb.jpg",
                "/data/local-files/?d=a%2Fb.jpg",
            ),
            ("http://localhost:8080/a.jpg?b=c", "/a.jpg?b=c"),
            ("HTTP://LocalHost:8080/a.jpg", "/a.jpg"),
        ] {
            let uri = origin().uri_of(address).unwrap();
            assert_eq!(uri.to_string(), format!("http://localhost:8080{expected}"));
        }
        let plain = origin_from("https://studio.example/").unwrap();
        assert_eq!(plain.port, 443);
        let uri = plain.uri_of("https://studio.example:443/a").unwrap();
        assert_eq!(uri.to_string(), "https://studio.example:443/a");
    }

    #[test]
    fn nothing_else_is_asked_for() {
        for address in [
            "",
            "a.jpg",
            "//evil.example/a.jpg",
            "http://localhost/a.jpg",
            "http://localhost:8081/a.jpg",
            "https://localhost:8080/a.jpg",
            "http://localhost:8080@evil.example/a.jpg",
            "http://localhost:8080:80/a.jpg",
            "http://localhost:8080.evil.example/a.jpg",
            "http://localhost.:8080/a.jpg",
            "http://127.0.0.1:8080/a.jpg",
            "http://evil.example\\@localhost:8080/a.jpg",
            "http://evil.example#@localhost:8080/a.jpg",
            "http://localhost:8080",
            "http://localhost:+8080/a.jpg",
            "file:///etc/passwd",
            "gopher://localhost:8080/a",
            "s3://bucket/a.jpg",
        ] {
            let error = origin().uri_of(address).unwrap_err();
            assert!(
                error.contains("http://localhost:8080"),
                "{address}: {error}"
            );
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for address in [
            "",
            "localhost:8080",
            "ftp://a",
            "http://",
            "http://a:b",
            "http://u@a",
        ] {
            let error = LabelStudio::from_address(address).err().unwrap();
            assert!(error.is::<UsageError>(), "{address}");
        }
    }
}
