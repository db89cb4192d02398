//! Who may ask.
//!
//! A token comes as `Authorization: Bearer TOKEN` or as the password of `Basic`, or
//! from a browser as a cookie, which `/?token=TOKEN` sets, and so does the form that
//! asks a person for it. Browsers let pages of any site send requests and open
//! WebSockets to this server: whatever comes from a page must come from a page of our
//! own. A site can also make its own name point here,
//! and ask as if it were ours; a server without a token therefore answers only
//! to what no site can be called: addresses, `localhost` and this machine's
//! name.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use axum::extract::Query;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::options::Access;
use crate::refusal::Refusal;

/// The cookie's name before the port: browsers give a machine's servers each
/// other's cookies. Other sites' links to the page bring it along (`SameSite=Lax`),
/// so that who follows one is let in; their forms and scripts don't.
const COOKIE: &str = "ssdlite_token_";

/// Decides who is let in.
pub(crate) struct Gate {
    access: Access,
    /// This machine's name, where it is answered to.
    host_name: Option<String>,
    /// The cookie's name.
    cookie: String,
}

impl Gate {
    /// The gate of a server that listens on this address.
    pub(crate) fn new(access: Access, address: SocketAddr) -> Self {
        let (access, host_name) = match access {
            Access::Open if !address.ip().is_loopback() => (access, host_name()),
            Access::Open => (Access::LocalOnly, None),
            Access::LocalOnly | Access::Token(_) => (access, None),
        };
        Self {
            access,
            host_name,
            cookie: format!("{COOKIE}{}", address.port()),
        }
    }

    /// The token that is wanted, if one is.
    pub(crate) fn token(&self) -> Option<&str> {
        match &self.access {
            Access::Token(token) => Some(token),
            Access::LocalOnly | Access::Open => None,
        }
    }

    /// Whether a request with these headers may be answered.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text(headers, header::HOST).unwrap_or_default();
        if !self.answers_to(host) {
            return Err(Refusal::Forbidden(format!(
                "expected a request to this machine by its address or its own name, found \
                 `{host}`; under another name it needs a token"
            )));
        }
        if let Some(origin) = text(headers, header::ORIGIN)
            && origin.split_once("://").map(|(_, site)| site) != Some(host)
        {
            return Err(Refusal::Forbidden(format!(
                "expected a page of this server to ask, found one of `{origin}`"
            )));
        }
        match self.token() {
            Some(token) if !self.has_token(headers, token) => Err(Refusal::Unauthorized),
            _ => Ok(()),
        }
    }

    /// Whether `host`, with or without a port, may be this server's.
    fn answers_to(&self, host: &str) -> bool {
        let name = name_of(host);
        let address = name.parse::<IpAddr>();
        let is_localhost = name.eq_ignore_ascii_case("localhost");
        match self.access {
            // A site that got a browser here still lacks the token.
            Access::Token(_) => true,
            Access::LocalOnly => is_localhost || address.is_ok_and(|address| address.is_loopback()),
            Access::Open => is_localhost || address.is_ok() || self.is_host_name(name),
        }
    }

    /// Whether this is the machine's name, as it is or in the domain of
    /// multicast DNS.
    fn is_host_name(&self, name: &str) -> bool {
        let name = name.strip_suffix(".local").unwrap_or(name);
        self.host_name
            .as_ref()
            .is_some_and(|own| own.eq_ignore_ascii_case(name))
    }

    /// What a browser gave as `token=`, in an address or a form.
    pub(crate) fn entry(&self, query: &str) -> Entry {
        let given = format!("/?{query}").parse().ok().and_then(|uri| {
            let Query(given) = Query::<Given>::try_from_uri(&uri).ok()?;
            given.token
        });
        match (self.token(), given) {
            // Who pastes a word may have the spaces around it too.
            (Some(token), Some(given)) if is_equal(given.trim(), token) => {
                Entry::Right(format!("{}={token}; {ATTRIBUTES}", self.cookie))
            }
            (Some(_), Some(_)) => Entry::Wrong,
            _ => Entry::None,
        }
    }

    /// The cookie that has a browser forget the token.
    pub(crate) fn no_cookie(&self) -> String {
        format!("{}=; {ATTRIBUTES}; Max-Age=0", self.cookie)
    }

    /// Whether a browser remembers a token, right or wrong.
    pub(crate) fn has_cookie(&self, headers: &HeaderMap) -> bool {
        self.cookies(headers).next().is_some()
    }

    /// The tokens that a browser remembers.
    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter_map(|(name, value)| (name == self.cookie).then_some(value))
    }

    /// Whether this is the token that is wanted; so is anything where none is.
    pub(crate) fn is_token(&self, given: &str) -> bool {
        self.token().is_none_or(|token| is_equal(given, token))
    }

    fn has_token(&self, headers: &HeaderMap, token: &str) -> bool {
        let given = text(headers, header::AUTHORIZATION).and_then(given_token);
        given.is_some_and(|given| is_equal(&given, token))
            || self.cookies(headers).any(|value| is_equal(value, token))
    }
}

/// The token in a header `Authorization`: `Bearer TOKEN`, or the password of `Basic`,
/// which is all that some clients have.
///
/// Source: RFC 7617.
fn given_token(value: &str) -> Option<String> {
    let (scheme, given) = value.split_once(' ')?;
    let given = given.trim();
    if scheme.eq_ignore_ascii_case("Bearer") {
        return Some(given.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(given).ok()?).ok()?;
    let (_, password) = pair.split_once(':')?;
    Some(password.to_owned())
}

/// What stands in an address or a form.
#[derive(Deserialize)]
struct Given {
    token: Option<String>,
}

/// What a browser gave to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    None,
    Wrong,
    /// The token, for which it gets this cookie.
    Right(String),
}

/// What is said of the cookie.
const ATTRIBUTES: &str = "HttpOnly; SameSite=Lax; Path=/";

/// What this machine calls itself, where it says so.
fn host_name() -> Option<String> {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| {
        let output = Command::new("hostname").output()?;
        std::io::Result::Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let name = told.ok()?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}

/// Takes as long for a token that is nearly right as for any other.
fn is_equal(given: &str, token: &str) -> bool {
    let differences = given
        .bytes()
        .zip(token.bytes())
        .fold(0, |found, (a, b)| found | (a ^ b));
    given.len() == token.len() && differences == 0
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    fn gate(access: Access) -> Gate {
        Gate {
            access,
            host_name: Some("Camera-Box".into()),
            cookie: "ssdlite_token_1".into(),
        }
    }

    #[test]
    fn this_machine_answers_to_its_own_names() {
        let local = gate(Access::LocalOnly);
        let open = gate(Access::Open);
        let token = gate(Access::Token("s3cret-token".into()));
        for name in [
            "localhost:1",
            "LOCALHOST",
            "127.0.0.1:80",
            "127.9.9.9",
            "[::1]:80",
        ] {
            assert!(local.answers_to(name) && open.answers_to(name), "{name}");
        }
        for name in ["10.0.0.1:8765", "[::2]", "camera-box:1", "CAMERA-BOX.local"] {
            assert!(!local.answers_to(name) && open.answers_to(name), "{name}");
        }
        for name in [
            "",
            "evil.example:8765",
            "localhost.evil.example:1",
            "camera-box.evil.example",
        ] {
            assert!(!local.answers_to(name) && !open.answers_to(name), "{name}");
            assert!(token.answers_to(name), "{name}");
        }
        let rebound = headers(&[
            (header::HOST, "evil.example:8765"),
            (header::ORIGIN, "http://evil.example:8765"),
        ]);
        for gate in [local, open] {
            assert!(gate.check(&rebound).is_err());
        }
    }

    #[test]
    fn a_loopback_address_is_for_this_machine_alone() {
        let loopback = Gate::new(Access::Open, ([127, 0, 0, 1], 80).into());
        assert!(!loopback.answers_to("10.0.0.1"));
        let all = Gate::new(Access::Open, ([0, 0, 0, 0], 80).into());
        assert!(all.answers_to("10.0.0.1"));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let from = |origin| headers(&[(header::HOST, "localhost:8765"), (header::ORIGIN, origin)]);
        let local = gate(Access::LocalOnly);
        assert!(local.check(&from("http://localhost:8765")).is_ok());
        for foreign in ["http://evil.example", "http://localhost:1", "null"] {
            for gate in [gate(Access::LocalOnly), gate(Access::Open)] {
                assert!(gate.check(&from(foreign)).is_err(), "{foreign}");
            }
        }
    }

    #[test]
    fn a_token_comes_as_header_or_cookie() {
        let gate = gate(Access::Token("s3cret-token".into()));
        let host = (header::HOST, "example:1");
        for right in [
            (header::AUTHORIZATION, "Bearer s3cret-token"),
            (header::AUTHORIZATION, "bearer s3cret-token"),
            (header::COOKIE, "a=b; ssdlite_token_1=s3cret-token"),
        ] {
            assert!(gate.check(&headers(&[host.clone(), right])).is_ok());
        }
        for wrong in [
            (header::AUTHORIZATION, "Bearer s3cret-tokem"),
            (header::AUTHORIZATION, "Bearer "),
            (header::AUTHORIZATION, "Basic s3cret-token"),
            (header::AUTHORIZATION, "s3cret-token"),
            (header::COOKIE, "ssdlite_token_1=s3cret"),
            (header::COOKIE, "ssdlite_token_2=s3cret-token"),
            (header::COOKIE, "other=s3cret-token"),
        ] {
            let answer = gate.check(&headers(&[host.clone(), wrong]));
            assert_eq!(answer, Err(Refusal::Unauthorized));
        }
        for right in ["a=1&token=s3cret-token", "token=+s3cret-token+"] {
            assert!(matches!(gate.entry(right), Entry::Right(_)), "{right}");
        }
        // A browser writes `~` of a form as its byte.
        let tilde = self::gate(Access::Token("s3cret~token".into()));
        for right in ["token=s3cret~token", "token=%20s3cret%7Etoken%09"] {
            assert!(matches!(tilde.entry(right), Entry::Right(_)), "{right}");
        }
        assert_eq!(gate.entry("token=s3cret"), Entry::Wrong);
        assert_eq!(gate.entry("token="), Entry::Wrong);
        assert_eq!(gate.entry("a=1"), Entry::None);
    }
}
