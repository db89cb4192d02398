//! The text of annotations and lists, in whatever encoding they were saved.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::finding::quoted;

/// Names of encodings that Python writes into declarations and the Encoding
/// Standard does not list, each with one that it does.
const PYTHON_NAMES: [(&str, &str); 5] = [
    ("latin-1", "latin1"),
    ("cp932", "shift_jis"),
    ("cp936", "gbk"),
    ("cp949", "euc-kr"),
    ("cp950", "big5"),
];

/// The text of an XML file.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    /// Why the encoding may be another, as a message for the user.
    pub(super) doubt: Option<String>,
}

/// Decodes text that says nothing of its encoding: UTF-16 by its byte order
/// mark, else UTF-8.
///
/// # Errors
/// A message for the user where the bytes are none of both.
pub fn text_from_bytes(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    let (encoding, bytes) = marked(bytes)?.unwrap_or((UTF_8, bytes));
    decode(bytes, encoding)
}

/// Decodes an XML file by its byte order mark, else as it declares, else as
/// UTF-8. The error is a message for the user.
///
/// Two declarations are known to be wrong at times: one of UTF-16 that can be
/// read byte by byte, and one of an encoding of single bytes where all bytes
/// together are UTF-8. Both files are UTF-8.
///
/// Source: "Extensible Markup Language (XML) 1.0", appendix F; names as in the
/// Encoding Standard.
pub(super) fn text_from_xml(bytes: &[u8]) -> Result<Decoded<'_>, String> {
    let certain = |text| Decoded { text, doubt: None };
    if let Some((encoding, bytes)) = marked(bytes)?.or_else(|| unmarked_utf16(bytes)) {
        return decode(bytes, encoding).map(certain);
    }
    let Some(label) = declared_encoding(bytes) else {
        return decode(bytes, UTF_8).map(certain);
    };
    let utf8 = std::str::from_utf8(bytes).ok();
    let Some(encoding) = encoding_of(label) else {
        // Whatever begins with a readable declaration agrees with ASCII, but
        // for those that switch by an escape character.
        return match utf8.filter(|text| text.is_ascii() && !text.contains('\x1B')) {
            Some(text) => Ok(certain(Cow::Borrowed(text))),
            None => Err(format!(
                "declares the encoding {}, which is not known; save it as UTF-8",
                quoted(label)
            )),
        };
    };
    let is_wrong = match utf8 {
        _ if [UTF_16LE, UTF_16BE].contains(&encoding) => true,
        Some(text) => encoding.is_single_byte() && !text.is_ascii(),
        None => false,
    };
    if !is_wrong {
        return decode(bytes, encoding).map(certain);
    }
    let text = decode(bytes, UTF_8)?;
    let doubt = (!text.is_ascii()).then(|| {
        format!(
            "declares the encoding {}, but its bytes are UTF-8; read as UTF-8",
            quoted(label)
        )
    });
    Ok(Decoded { text, doubt })
}

/// A decoded XML file, with a declaration that tells of no encoding but UTF-8, as
/// which it can be written.
pub(super) fn declared_as_utf8(text: Cow<'_, str>) -> String {
    const UTF8: &str = "UTF-8";
    let Some(label) = declared_encoding(text.as_bytes()) else {
        return text.into_owned();
    };
    let found = text.split_once("encoding").and_then(|(start, rest)| {
        let (between, rest) = rest.split_once(label)?;
        Some(format!("{start}encoding{between}{UTF8}{rest}"))
    });
    match found {
        Some(declared) if !label.eq_ignore_ascii_case(UTF8) => declared,
        _ => text.into_owned(),
    }
}

/// The encoding that a byte order mark tells, and the bytes after the mark.
fn marked(bytes: &[u8]) -> Result<Option<(&'static Encoding, &[u8])>, String> {
    if let [0, 0, 0xFE, 0xFF, ..] | [0xFF, 0xFE, 0, 0, ..] = bytes {
        return Err("found UTF-32; save it as UTF-8".into());
    }
    Ok(Encoding::for_bom(bytes).map(|(encoding, mark)| (encoding, &bytes[mark..])))
}

fn unmarked_utf16(bytes: &[u8]) -> Option<(&'static Encoding, &[u8])> {
    match bytes {
        [b'<', 0, ..] => Some((UTF_16LE, bytes)),
        [0, b'<', ..] => Some((UTF_16BE, bytes)),
        _ => None,
    }
}

fn encoding_of(label: &str) -> Option<&'static Encoding> {
    let python = PYTHON_NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(label.trim()));
    Encoding::for_label(python.map_or(label, |(_, name)| name).as_bytes())
}

fn decode<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> Result<Cow<'a, str>, String> {
    if encoding == UTF_8 {
        return std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|error| {
                let (sound, rest) = bytes.split_at(error.valid_up_to());
                let line = sound.iter().filter(|&&byte| byte == b'\n').count() + 1;
                format!(
                    "line {line}: expected UTF-8, found the byte {:#04x}; save it as UTF-8",
                    rest.first().copied().unwrap_or_default()
                )
            });
    }
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    text.ok_or_else(|| {
        format!(
            "expected {}, found bytes that are none; save it as UTF-8",
            encoding.name()
        )
    })
}

/// The `encoding` of the declaration `<?xml ... ?>` that a file starts with.
fn declared_encoding(bytes: &[u8]) -> Option<&str> {
    /// More than any sensible declaration has.
    const DECLARATION_BYTES: usize = 256;
    let start = &bytes[..bytes.len().min(DECLARATION_BYTES)];
    let length = start.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&start[..length]).ok()?.trim_start();
    let (_, rest) = declaration.strip_prefix("<?xml")?.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest[1..].split_once(quote).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "Käfer";

    fn declaring(label: &str, text: &[u8]) -> Vec<u8> {
        let declaration = format!("<?xml version=\"1.0\" encoding='{label}' ?>");
        [declaration.as_bytes(), text].concat()
    }

    fn utf16(text: &str, bytes_of: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes_of).collect()
    }

    /// The decoded text behind the declaration, and whether it is in doubt.
    fn behind(bytes: &[u8]) -> (String, bool) {
        let decoded = text_from_xml(bytes).unwrap();
        let text = decoded.text.rsplit('>').next().unwrap().to_owned();
        (text, decoded.doubt.is_some())
    }

    #[test]
    fn declared_encodings_are_read() {
        for (label, text, expected) in [
            ("UTF-8", "Käfer".as_bytes(), NAME),
            ("ISO-8859-1", b"K\xE4fer", NAME),
            ("latin-1", b"K\xE4fer", NAME),
            ("Windows-1252", b"K\xE4fer", NAME),
            ("windows-1251", b"\xEA\xEE\xF2", "кот"),
            ("GBK", b"\xC3\xA8", "猫"),
            ("cp936", b"\xC3\xA8", "猫"),
            ("Shift_JIS", b"\x94\x4C", "猫"),
            ("iso-2022-jp", b"\x1B$BG-\x1B(B", "猫"),
            ("us-ascii", b"cat", "cat"),
            ("utf-16", b"cat", "cat"),
            ("klingon", b"cat", "cat"),
        ] {
            let bytes = declaring(label, text);
            assert_eq!(behind(&bytes), (expected.to_owned(), false), "{label}");
        }
    }

    #[test]
    fn byte_order_marks_and_utf16_tell_themselves() {
        let xml = format!("<?xml version='1.0' encoding='iso-8859-1'?>{NAME}");
        let expected = (NAME.to_owned(), false);
        let with_mark = format!("\u{feff}{xml}");
        assert_eq!(behind(with_mark.as_bytes()), expected);
        for bytes_of in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(behind(&utf16(&with_mark, bytes_of)), expected);
            assert_eq!(behind(&utf16(&xml, bytes_of)), expected);
            let list = text_from_bytes(&utf16("\u{feff}a\nä", bytes_of))
                .unwrap()
                .into_owned();
            assert_eq!(list, "a\nä");
        }
    }

    #[test]
    fn wrong_declarations_are_told() {
        for label in ["ISO-8859-1", "us-ascii", "utf-16"] {
            let bytes = declaring(label, NAME.as_bytes());
            assert_eq!(behind(&bytes), (NAME.to_owned(), true), "{label}");
        }
        let fault = |bytes: &[u8]| text_from_xml(bytes).unwrap_err();
        assert!(fault(b"K\xE4fer").contains("line 1: expected UTF-8, found the byte 0xe4"));
        assert!(fault(&declaring("utf-8", b"K\xE4fer")).contains("found the byte 0xe4"));
        assert!(fault(&declaring("utf-16", b"K\xE4fer")).contains("found the byte 0xe4"));
        assert!(fault(&declaring("gbk", b"\xC3")).contains("expected GBK"));
        assert!(fault(&declaring("klingon\x1B", b"\xE4")).contains(r"`klingon\u{1b}`"));
        assert!(fault(b"\xFF\xFE\0\0<\0\0\0").contains("UTF-32"));
    }
}
