//! The parts of a form, `multipart/form-data`, as clients write them.
//!
//! Sources: RFC 7578 (forms), RFC 2046 section 5.1 (multipart bodies), RFC 2183
//! and 8187 (`Content-Disposition`). Taken besides: lines that end in LF alone,
//! parameters without the quotes that they want, file names in any encoding,
//! and parts without a name.

use axum::body::Bytes;
use memchr::{memchr, memchr_iter, memmem};

/// The most bytes of a boundary. Source: RFC 2046, section 5.1.1.
const MAX_BOUNDARY_BYTES: usize = 70;

/// The most parts of a form.
const MAX_PARTS: usize = 16;

/// A part of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The field's name; empty if it has none.
    pub name: String,
    /// The file's name, as `filename*` or `filename` gives it; none if the part
    /// is not said to be a file. It is not decoded.
    pub file_name: Option<String>,
    /// The content's type, in lower case and without parameters.
    pub content_type: Option<String>,
    /// What is said of how the content is encoded, in lower case.
    pub transfer_encoding: Option<String>,
    /// The content.
    pub bytes: Bytes,
}

/// Whether a header `Content-Type` says `multipart/form-data`.
pub fn is_form(content_type: &[u8]) -> bool {
    Header::read(content_type).value == "multipart/form-data"
}

/// What stands between a form's parts, from its header `Content-Type`.
///
/// # Errors
/// What was expected and what was found.
pub fn boundary(content_type: &[u8]) -> Result<String, String> {
    let header = Header::read(content_type);
    let boundary = header.parameter("boundary").ok_or(
        "expected a boundary in `Content-Type: multipart/form-data`, found none: what writes a \
         form adds it, and an image alone needs no Content-Type",
    )?;
    if !(1..=MAX_BOUNDARY_BYTES).contains(&boundary.len()) {
        return Err(format!(
            "expected a boundary of 1 to {MAX_BOUNDARY_BYTES} bytes in Content-Type, found {}",
            boundary.len()
        ));
    }
    Ok(boundary.to_owned())
}

/// The parts of a form's body, which share its bytes.
///
/// # Errors
/// What was expected and what was found.
pub fn parts(body: &Bytes, boundary: &str) -> Result<Vec<Part>, String> {
    let mut delimiters = Delimiters {
        body,
        text: format!("--{boundary}"),
        line_end: b"\n",
    };
    let mut last = delimiters.next(0).ok_or_else(|| {
        format!("expected parts of a form after lines of `--{boundary}`, found no such line")
    })?;
    if body[..last.end].ends_with(b"\r\n") {
        delimiters.line_end = b"\r\n";
    }
    let mut parts = Vec::new();
    while !last.closes {
        let number = parts.len() + 1;
        if number > MAX_PARTS {
            return Err(format!("expected at most {MAX_PARTS} parts of a form"));
        }
        let mut part = Part::default();
        let content = read_head(&mut part, body, last.end)
            .map_err(|error| format!("part {number} of the form: {error}"))?;
        // Nothing may stand between the empty line after the head and the next line.
        let from = content.saturating_sub(delimiters.line_end.len());
        last = delimiters
            .next(from)
            .ok_or_else(|| format!("part {number} of the form is cut off"))?;
        part.bytes = body.slice(content..last.start.max(content));
        parts.push(part);
    }
    Ok(parts)
}

/// Finds the lines between parts.
struct Delimiters<'a> {
    body: &'a [u8],
    text: String,
    /// What ends the lines of this form.
    line_end: &'static [u8],
}

/// A line between parts, with the line break before it.
struct Delimiter {
    start: usize,
    end: usize,
    /// Whether no part comes after it.
    closes: bool,
}

impl Delimiters<'_> {
    /// The first that starts at `from` or later.
    fn next(&self, from: usize) -> Option<Delimiter> {
        memmem::find_iter(&self.body[from..], &self.text)
            .find_map(|place| self.line_at(from, from + place))
    }

    /// The line whose text stands at `place`, if it is one.
    fn line_at(&self, from: usize, place: usize) -> Option<Delimiter> {
        let before = &self.body[from..place];
        let start = match before.strip_suffix(self.line_end) {
            Some(before) => from + before.len(),
            None if place == 0 => 0,
            None => return None,
        };
        let after = place + self.text.len();
        let rest = &self.body[after..];
        if rest.starts_with(b"--") {
            let end = after + 2;
            return Some(Delimiter {
                start,
                end,
                closes: true,
            });
        }
        let padding = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
        let line_end = match &rest[padding..] {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => return None,
        };
        Some(Delimiter {
            start,
            end: after + padding + line_end,
            closes: false,
        })
    }
}

/// Reads a part's headers; gives the place at which its content begins.
fn read_head(part: &mut Part, body: &[u8], start: usize) -> Result<usize, String> {
    let mut place = start;
    let mut headers: Vec<Vec<u8>> = Vec::new();
    loop {
        let length = memchr(b'\n', &body[place..]).ok_or("expected headers and an empty line")?;
        let line = &body[place..place + length];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        place += length + 1;
        match (line, headers.last_mut()) {
            ([], _) => break,
            ([b' ' | b'\t', ..], Some(last)) => last.extend_from_slice(line),
            _ => headers.push(line.to_vec()),
        }
    }
    for header in headers {
        let colon = memchr(b':', &header).ok_or("expected lines of `Header: value`")?;
        let (name, value) = (&header[..colon], Header::read(&header[colon + 1..]));
        if name.eq_ignore_ascii_case(b"content-disposition") {
            part.name = value.parameter("name").unwrap_or_default().to_owned();
            part.file_name = value.file_name().map(str::to_owned);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            part.content_type = Some(value.value);
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            part.transfer_encoding = Some(value.value);
        }
    }
    Ok(place)
}

/// A header's value with its parameters.
struct Header {
    /// In lower case.
    value: String,
    /// Names, in lower case, and values.
    parameters: Vec<(String, String)>,
}

impl Header {
    fn read(text: &[u8]) -> Self {
        let (value, mut rest) = split_at(text, b';');
        let mut parameters = Vec::new();
        while let Some(text) = rest {
            let name_end = text.iter().position(|byte| b"=;".contains(byte));
            let (name, text) = text.split_at(name_end.unwrap_or(text.len()));
            let text = text.strip_prefix(b"=").unwrap_or(text).trim_ascii_start();
            let (value, after) = match text.strip_prefix(b"\"") {
                Some(quoted) => unquoted(quoted),
                None => split_at(text, b';'),
            };
            parameters.push((string(name).to_ascii_lowercase(), string(value)));
            rest = after;
        }
        Self {
            value: string(value).to_ascii_lowercase(),
            parameters,
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        let mut named = self.parameters.iter().filter(|(found, _)| found == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The value of `filename*`, of its first piece `filename*0`, or of
    /// `filename`.
    fn file_name(&self) -> Option<&str> {
        let mut extended = self.parameters.iter();
        let extended = extended.find(|(name, _)| name.starts_with("filename*"));
        extended
            .map(|(_, value)| value.as_str())
            .or_else(|| self.parameter("filename"))
    }
}

/// A string whose first quote was read, and what comes after it and a
/// semicolon. A backslash before a quote is part of a path where no other quote
/// follows.
fn unquoted(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut quotes = memchr_iter(b'"', text);
    let first = quotes.clone().next();
    let end = quotes
        .find(|&quote| quote == 0 || text[quote - 1] != b'\\')
        .or(first)
        .unwrap_or(text.len());
    (&text[..end], split_at(&text[end..], b';').1)
}

/// What comes before a byte, and what after it if it is there.
fn split_at(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr(byte, text) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.trim_ascii()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &[u8] = b"\xff\xd8 not --XX a line\r\n--X\r\n--XXY\r\n\xff\xd9\r";

    fn file_in(head: &str) -> Part {
        let body = [
            b"--XX\r\n",
            head.as_bytes(),
            b"\r\n\r\n",
            CONTENT,
            b"\r\n--XX--\r\n",
        ]
        .concat();
        let parts = parts(&body.into(), "XX").unwrap();
        let [part] = &parts[..] else {
            panic!("{parts:?}")
        };
        assert_eq!(part.bytes, CONTENT, "{head}");
        part.clone()
    }

    #[test]
    fn boundaries_are_read_as_clients_write_them() {
        for (header, expected) in [
            ("multipart/form-data; boundary=XX", "XX"),
            ("Multipart/Form-Data;BOUNDARY=XX", "XX"),
            (
                "multipart/form-data; boundary=\"X X\"; charset=utf-8",
                "X X",
            ),
            ("multipart/form-data; charset=UTF-8; boundary=XX;", "XX"),
            ("multipart/form-data; boundary = XX \t", "XX"),
            (
                "multipart/form-data; boundary=----=_Part_5_12.34",
                "----=_Part_5_12.34",
            ),
            (
                "multipart/form-data; boundary=\"===============12==\"",
                "===============12==",
            ),
        ] {
            assert!(is_form(header.as_bytes()), "{header}");
            assert_eq!(boundary(header.as_bytes()).as_deref(), Ok(expected));
        }
        assert!(!is_form(b"multipart/mixed; boundary=XX"));
        assert!(!is_form(b"image/jpeg"));
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        for header in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            &long,
        ] {
            assert!(
                boundary(header.as_bytes())
                    .unwrap_err()
                    .contains("boundary")
            );
        }
    }

    #[test]
    fn files_are_known_as_clients_write_them() {
        for (head, file_name) in [
            (
                "Content-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"",
                "a.jpg",
            ),
            (
                "Content-Disposition: form-data; name=image; filename=a b.jpg",
                "a b.jpg",
            ),
            (
                "content-disposition:form-data;name=image;filename=a.jpg",
                "a.jpg",
            ),
            (
                "CONTENT-DISPOSITION: attachment; FILENAME=\"a.jpg\"; Name=\"image\"",
                "a.jpg",
            ),
            (
                "Content-Disposition: form-data; name=\"image\"; filename*=utf-8''%E2%82%AC.jpg",
                "utf-8''%E2%82%AC.jpg",
            ),
            (
                "Content-Disposition: form-data; name=\"image\"; filename=\"_.jpg\"; \
                 filename*=UTF-8''%C3%A4.jpg",
                "UTF-8''%C3%A4.jpg",
            ),
            (
                "Content-Disposition: form-data; name=\"image\"; filename*0=\"long\"; \
                 filename*1=\".jpg\"",
                "long",
            ),
            (
                "Content-Disposition: form-data; filename=\"x;name=\\\"y\\\".jpg\"; name=\"image\"",
                "x;name=\\\"y\\\".jpg",
            ),
            (
                "Content-Disposition: form-data; name=\"image\"; filename=\"C:\\a\\\"",
                "C:\\a\\",
            ),
            (
                "Content-Type: IMAGE/JPEG; q=1\r\nContent-Disposition: form-data;\r\n\tname=\"image\";\r\n \
                 filename=\"a.jpg\"\r\nContent-Length: 5",
                "a.jpg",
            ),
        ] {
            let part = file_in(head);
            assert_eq!(part.file_name.as_deref(), Some(file_name), "{head}");
            assert_eq!(part.name, "image", "{head}");
        }
        let part = file_in("Content-Type: IMAGE/JPEG; q=1\r\nContent-Transfer-Encoding: Binary");
        assert_eq!(part.content_type.as_deref(), Some("image/jpeg"));
        assert_eq!(part.transfer_encoding.as_deref(), Some("binary"));
        assert_eq!((part.name.as_str(), part.file_name), ("", None));
    }

    #[test]
    fn what_surrounds_parts_is_passed_over() {
        let read = |body: &str| {
            let parts = parts(&body.to_owned().into(), "XX").unwrap();
            let texts: Vec<String> = parts
                .iter()
                .map(|part| String::from_utf8_lossy(&part.bytes).into_owned())
                .collect();
            texts
        };
        let head = "Content-Disposition: form-data; name=a";
        let form = format!("--XX\r\n{head}\r\n\r\none\r\n--XX \t\r\n\r\ntwo\r\n--XX--");
        assert_eq!(read(&form), ["one", "two"]);
        let padded = format!("for old --XX readers\r\n{form} \r\nthe end\r\n--XX\r\n");
        assert_eq!(read(&padded), ["one", "two"]);
        let with_lf = format!("--XX\n{head}\n\none\r\n--XX\n\n\n--XX--\n");
        assert_eq!(read(&with_lf), ["one\r", ""]);
        let empty = format!("--XX\r\n{head}\r\n\r\n--XX--\r\n");
        assert_eq!(read(&empty), [""]);
        assert!(read("--XX--").is_empty());
    }

    #[test]
    fn what_is_cut_off_is_an_error_at_every_byte() {
        let head = "Content-Disposition: form-data; name=a";
        let form = format!("--XX\r\n{head}\r\n\r\none\r\n--XX\r\n{head}\r\n\r\ntwo\r\n--XX--");
        for end in 0..form.len() {
            let cut = form.as_bytes()[..end].to_vec();
            assert!(parts(&cut.into(), "XX").is_err(), "{end}");
        }
        let many = "--XX\r\n\r\n\r\n".repeat(MAX_PARTS + 1) + "--XX--";
        assert!(parts(&many.into(), "XX").unwrap_err().contains("at most"));
        let no_headers = "--XX\r\nno header\r\n\r\n--XX--";
        assert!(parts(&no_headers.into(), "XX").is_err());
    }
}
