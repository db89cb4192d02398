//! Who may ask.
//!
//! A token comes as `Authorization: Bearer TOKEN`, or from a browser as a
//! cookie, which `/?token=TOKEN` sets. Browsers let pages of any site send
//! requests and open WebSockets to this server: whatever comes from a page must
//! come from a page of our own, and a server that is for this machine alone
//! answers to this machine's names only, since a foreign name could be made to
//! point here.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};

use crate::options::Access;
use crate::refusal::Refusal;

/// The cookie's name.
const COOKIE: &str = "ssdlite_token";

/// Whether a request with these headers may be answered.
pub(crate) fn check(access: &Access, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = text(headers, header::HOST).unwrap_or_default();
    if *access == Access::LocalOnly && !is_local(host) {
        return Err(Refusal::Forbidden(format!(
            "expected a request to this machine by one of its own names, found `{host}`"
        )));
    }
    if let Some(origin) = text(headers, header::ORIGIN)
        && origin.split_once("://").map(|(_, site)| site) != Some(host)
    {
        return Err(Refusal::Forbidden(format!(
            "expected a page of this server to ask, found one of `{origin}`"
        )));
    }
    match access {
        Access::Token(token) if !has_token(headers, token) => Err(Refusal::Unauthorized),
        _ => Ok(()),
    }
}

/// The cookie for a page that was asked for with the right `?token=`.
pub(crate) fn cookie_for(access: &Access, uri: &Uri) -> Option<String> {
    let Access::Token(token) = access else {
        return None;
    };
    let query = uri.query()?;
    let given = query
        .split('&')
        .find_map(|part| part.strip_prefix("token="))?;
    is_equal(given, token).then(|| format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"))
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let bearer = text(headers, header::AUTHORIZATION)
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|given| is_equal(given.trim(), token));
    let cookie = || {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| name == COOKIE && is_equal(value, token))
    };
    bearer || cookie()
}

/// Takes as long for a token that is nearly right as for any other.
fn is_equal(given: &str, token: &str) -> bool {
    let differences = given
        .bytes()
        .zip(token.bytes())
        .fold(0, |found, (a, b)| found | (a ^ b));
    given.len() == token.len() && differences == 0
}

/// Whether `host`, with or without a port, is a name of this machine.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
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

    #[test]
    fn this_machine_answers_to_its_own_names() {
        for local in [
            "localhost:1",
            "LOCALHOST",
            "127.0.0.1:80",
            "127.9.9.9",
            "[::1]:80",
        ] {
            assert!(is_local(local), "{local}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example:1",
            "10.0.0.1",
            "[::2]",
        ] {
            assert!(!is_local(foreign), "{foreign}");
        }
        let rebound = headers(&[(header::HOST, "evil.example:8765")]);
        assert!(check(&Access::LocalOnly, &rebound).is_err());
        assert!(check(&Access::Open, &rebound).is_ok());
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let from = |origin| headers(&[(header::HOST, "localhost:8765"), (header::ORIGIN, origin)]);
        assert!(check(&Access::LocalOnly, &from("http://localhost:8765")).is_ok());
        for foreign in ["http://evil.example", "http://localhost:1", "null"] {
            for access in [Access::LocalOnly, Access::Open] {
                assert!(check(&access, &from(foreign)).is_err(), "{foreign}");
            }
        }
    }

    #[test]
    fn a_token_comes_as_header_or_cookie() {
        let access = Access::Token("s3cret-token".into());
        let host = (header::HOST, "example:1");
        for right in [
            (header::AUTHORIZATION, "Bearer s3cret-token"),
            (header::COOKIE, "a=b; ssdlite_token=s3cret-token"),
        ] {
            assert!(check(&access, &headers(&[host.clone(), right])).is_ok());
        }
        for wrong in [
            (header::AUTHORIZATION, "Bearer s3cret-tokem"),
            (header::AUTHORIZATION, "Bearer "),
            (header::AUTHORIZATION, "s3cret-token"),
            (header::COOKIE, "ssdlite_token=s3cret"),
            (header::COOKIE, "other=s3cret-token"),
        ] {
            let answer = check(&access, &headers(&[host.clone(), wrong]));
            assert_eq!(answer, Err(Refusal::Unauthorized));
        }
        let cookie = |uri: &str| cookie_for(&access, &uri.parse().unwrap());
        assert!(cookie("/?a=1&token=s3cret-token").is_some());
        assert!(cookie("/?token=s3cret").is_none());
        assert!(cookie("/").is_none());
    }
}
