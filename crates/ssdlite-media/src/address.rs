//! The addresses of streams as they may be shown.
//!
//! Passwords stand before the `@` of an address, in its query, or among the
//! parameters that some cameras take in their path. Users also
//! write passwords that hold characters of an address unescaped; where it is
//! not clear what belongs to one, nothing is shown.
//!
//! Source: RFC 3986, 3.

/// What stands in place of what is not shown.
const HIDDEN: &str = "...";

/// The shortest secret that is looked for in texts: shorter ones stand in many
/// words.
const LEAST_SECRET: usize = 3;

/// An address as it may be shown: `rtsp://user:secret@host/a?key=b` as
/// `rtsp://host/a?...`. What is no address is shown as it is.
pub(crate) fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    format!("{scheme}://{}", shown_rest(rest))
}

fn shown_rest(rest: &str) -> String {
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, beyond) = rest.split_at(authority_end);
    let (path, query) = beyond.split_at(beyond.find(['?', '#']).unwrap_or(beyond.len()));
    let host = match authority.rsplit_once('@') {
        // Part of the password may follow.
        Some(_) if beyond.contains('@') => return HIDDEN.to_owned(),
        Some((_, host)) => host,
        // `name:what/follows@host`
        None if authority.contains(':') && path.contains('@') => {
            return match rest.rsplit_once('@') {
                Some((before, after)) if !before.contains(['?', '#', '@']) => shown_rest(after),
                _ => HIDDEN.to_owned(),
            };
        }
        None => authority,
    };
    if !has_port_or_none(host) {
        return HIDDEN.to_owned();
    }
    // `/user=me&password=secret&channel=1`
    if let Some(parameter) = path.find('=') {
        let segment = path[..parameter].rfind('/').map_or(0, |slash| slash + 1);
        return format!("{host}{}{HIDDEN}", &path[..segment]);
    }
    match query.chars().next() {
        Some(sign) => format!("{host}{path}{sign}{HIDDEN}"),
        None => format!("{host}{path}"),
    }
}

/// Whether what stands behind the host can be a port: else it may be a
/// password.
fn has_port_or_none(host: &str) -> bool {
    let behind = host.rfind(']').map_or(host, |end| &host[end + 1..]);
    let port = behind.split_once(':').map_or("", |(_, port)| port);
    port.bytes().all(|byte| byte.is_ascii_digit())
}

/// A text that was made by a program that knew an address, as it may be shown:
/// without the secrets of that or any address in it.
pub(crate) fn without_secrets(text: &str, address: &str) -> String {
    // It may hold spaces.
    let mut text = text.replace(address, &shown(address));
    for secret in secrets(address) {
        text = text.replace(&secret, HIDDEN);
    }
    let words = text.split_inclusive(char::is_whitespace);
    let shown_word = |word: &str| {
        let is_behind = |c: char| c.is_whitespace() || matches!(c, ':' | ',' | ';' | '\'');
        let address = word.trim_end_matches(is_behind);
        shown(address) + &word[address.len()..]
    };
    words.map(shown_word).collect()
}

/// What an address holds that is not shown, in each spelling, the longest
/// first.
fn secrets(address: &str) -> Vec<String> {
    let Some((_, rest)) = address.split_once("://") else {
        return Vec::new();
    };
    let mut parts: Vec<&str> = Vec::new();
    if let Some((before, _)) = rest.rsplit_once('@') {
        parts.push(before);
        parts.extend(before.split_once(':').map(|(_, password)| password));
    }
    let (path, query) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    let of_path = path
        .split(['/', '&', ';'])
        .filter_map(|pair| pair.split_once('='));
    parts.extend(of_path.map(|(_, value)| value));
    parts.push(query);
    for pair in query.split(['&', ';', '#', '?']) {
        parts.push(pair.split_once('=').map_or(pair, |(_, value)| value));
    }
    let mut secrets: Vec<String> = Vec::new();
    for part in parts {
        let plain = percent_decoded(part);
        secrets.extend([part.to_owned(), percent_encoded(&plain), plain]);
    }
    secrets.retain(|secret| secret.len() >= LEAST_SECRET);
    secrets.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    secrets.dedup();
    secrets
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let coded = text.get(index + 1..index + 3);
        let coded = coded.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[index], coded) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                index += 3;
            }
            (byte, _) => {
                plain.push(byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn percent_encoded(text: &str) -> String {
    let mut coded = String::new();
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => coded.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => coded.push(byte.into()),
            _ => coded.push_str(&format!("%{byte:02X}")),
        }
    }
    coded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (address, is_shown) in [
            ("http://host/x", "http://host/x"),
            ("http://host:80/x", "http://host:80/x"),
            ("http://[::1]:80/x", "http://[::1]:80/x"),
            ("http://host/a@b", "http://host/a@b"),
            ("http://me@host", "http://host"),
            ("rtsp://me:secret@host:554/a", "rtsp://host:554/a"),
            ("rtsp://me:s@cret@host:554/a", "rtsp://host:554/a"),
            ("rtsp://me:se/cret@host/a", "rtsp://host/a"),
            ("rtsp://me:12/34@host/a?b=c", "rtsp://host/a?..."),
            ("http://host/a?user=me&pwd=secret", "http://host/a?..."),
            ("http://host?pwd=secret", "http://host?..."),
            (
                "rtsp://host/cam/user=me&password=secret&channel=1/live?a=b",
                "rtsp://host/cam/...",
            ),
            ("rtsp://host:554/a;pwd=secret", "rtsp://host:554/..."),
            ("http://host/a#secret", "http://host/a#..."),
            ("http://me:p@host/a?pwd=secret#x", "http://host/a?..."),
            (
                "http://host:80/a?mail=a@b&pwd=secret",
                "http://host:80/a?...",
            ),
            ("http://me:p@host/a?mail=a@b&pwd=secret", "http://..."),
            ("rtsp://me:se@c/ret@host/a", "rtsp://..."),
            ("rtsp://me:se?cret@host/a", "rtsp://..."),
            ("rtsp://me:se#cret@host/a", "rtsp://..."),
            ("rtsp://me:secret/a", "rtsp://..."),
            ("no address", "no address"),
        ] {
            assert_eq!(shown(address), is_shown, "{address}");
        }
    }

    #[test]
    fn a_text_is_shown_without_passwords() {
        for (address, text, is_shown) in [
            (
                "rtsp://me:s cret@host/a",
                "rtsp://me:s cret@host/a: Connection refused; gave up",
                "rtsp://host/a: Connection refused; gave up",
            ),
            (
                "rtsp://me:secret@host/a",
                "Redirected to 'http://you:other@else.where/b', which failed",
                "Redirected to 'http://else.where/b', which failed",
            ),
            (
                "http://host/a?pwd=secret",
                "http://host/a?pwd=secret: tcp://host:80?pwd=other, then tcp://host:80 failed",
                "http://host/a?...: tcp://host:80?..., then tcp://host:80 failed",
            ),
            ("rtsp://me:secret@host/a", "mail me@host", "mail me@host"),
            (
                "rtsp://host/user=me&password=secret",
                "DESCRIBE rtsp://host/user=me&password=secret and secret failed",
                "DESCRIBE rtsp://host/... and ... failed",
            ),
            (
                "http://host/a?user=admin&pwd=s%20cret",
                "GET /a?user=admin&pwd=s%20cret failed: s cret",
                "GET /a?... failed: ...",
            ),
            (
                "http://me:p%2Fq%40r@host/a",
                "p/q@r and p%2Fq%40r are refused",
                "... and ... are refused",
            ),
        ] {
            assert_eq!(without_secrets(text, address), is_shown, "{address}");
        }
    }
}
