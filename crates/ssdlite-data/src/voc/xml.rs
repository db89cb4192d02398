//! The bytes of an annotation file as its text fields, nothing interpreted.
//!
//! Only elements at their own place count, so the `name` and `bndbox` of a
//! `part` inside an `object` are not taken for the object's. Their order does
//! not matter, and what is not known is passed over. A DOCTYPE is refused, so
//! there are no entities to expand; elements may be nested [`MAX_DEPTH`] deep.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use crate::finding::quoted;

/// How deep elements may be nested; VOC's own files need five levels.
const MAX_DEPTH: usize = 32;

/// The names of the four corners, in the order of [`RawObject::corners`].
pub(super) const CORNERS: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

/// The fields of an annotation file as written, trimmed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RawAnnotation {
    pub(super) filename: Option<String>,
    pub(super) width: Option<String>,
    pub(super) height: Option<String>,
    pub(super) objects: Vec<RawObject>,
}

/// The fields of one object as written, trimmed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RawObject {
    pub(super) name: Option<String>,
    pub(super) difficult: Option<String>,
    pub(super) corners: [Option<String>; 4],
    /// A field that stands twice.
    pub(super) repeated: Option<&'static str>,
}

impl RawAnnotation {
    /// Takes the text of the element at `path`, which has just been closed.
    fn take(&mut self, path: &[String], text: &str) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path[..] {
            ["annotation", "filename"] => self.filename = Some(text.to_owned()),
            ["annotation", "size", "width"] => self.width = Some(text.to_owned()),
            ["annotation", "size", "height"] => self.height = Some(text.to_owned()),
            ["annotation", "object", ref inner @ ..] => {
                if let Some(object) = self.objects.last_mut() {
                    object.take(inner, text);
                }
            }
            _ => {}
        }
    }
}

impl RawObject {
    fn take(&mut self, path: &[&str], text: &str) {
        let (field, name) = match *path {
            ["name"] => (&mut self.name, "name"),
            ["difficult"] => (&mut self.difficult, "difficult"),
            ["bndbox", corner] => match CORNERS.iter().position(|&known| known == corner) {
                Some(index) => (&mut self.corners[index], CORNERS[index]),
                None => return,
            },
            _ => return,
        };
        if field.is_some() {
            self.repeated = Some(name);
        }
        *field = Some(text.to_owned());
    }
}

/// Reads an annotation file; the error is a message for the user.
pub(super) fn parse(bytes: &[u8]) -> Result<RawAnnotation, String> {
    let text = text_from_bytes(bytes)?;
    let mut reader = Reader::from_str(&text);
    reader.config_mut().expand_empty_elements = true;
    let mut annotation = RawAnnotation::default();
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut root_closed = false;
    loop {
        let event = reader
            .read_event()
            .map_err(|error| at_line(&text, reader.error_position(), &error.to_string()))?;
        let here = |message: &str| at_line(&text, reader.buffer_position(), message);
        match event {
            Event::Start(start) => {
                let name = start.name().into_inner().to_owned();
                if path.is_empty() && (root_closed || name != "annotation") {
                    return Err(here(&format!(
                        "expected one <annotation> and nothing beside it, found <{}>",
                        quoted(&name)
                    )));
                }
                if path.len() == MAX_DEPTH {
                    return Err(here(&format!(
                        "elements are nested more than {MAX_DEPTH} deep"
                    )));
                }
                path.push(name);
                if path.len() == 2 && path[1] == "object" {
                    annotation.objects.push(RawObject::default());
                }
                content.clear();
            }
            Event::End(_) => {
                annotation.take(&path, content.trim());
                path.pop();
                root_closed = path.is_empty();
                content.clear();
            }
            Event::Text(piece) => content.push_str(&piece.xml10_content()),
            Event::CData(piece) => content.push_str(&piece.xml10_content()),
            Event::GeneralRef(reference) => {
                content.push(char_from_reference(&reference).map_err(|fault| here(&fault))?);
            }
            Event::DocType(_) => {
                return Err(here("found a DOCTYPE, which an annotation must not have"));
            }
            // `expand_empty_elements` turns `Empty` into a start and an end.
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Empty(_) => {}
            Event::Eof => break,
        }
    }
    match path.last() {
        Some(open) => Err(format!("the file ends inside of <{open}>")),
        None if root_closed => Ok(annotation),
        None => Err("expected <annotation>, found no element".into()),
    }
}

fn char_from_reference(reference: &BytesRef<'_>) -> Result<char, String> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => return Ok(character),
        Ok(None) => {}
        Err(error) => return Err(error.to_string()),
    }
    match &reference[..] {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "apos" => Ok('\''),
        "quot" => Ok('"'),
        other => Err(format!("found the unknown entity {}", quoted(other))),
    }
}

fn at_line(text: &str, position: u64, message: &str) -> String {
    let end = usize::try_from(position).map_or(text.len(), |end| end.min(text.len()));
    let breaks = text.as_bytes()[..end]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count();
    format!("line {}: {message}", breaks + 1)
}

/// Decodes UTF-8, with or without a byte order mark, and Latin-1 where the
/// file declares it.
pub(super) fn text_from_bytes(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    if let [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] = bytes {
        return Err("found UTF-16, expected UTF-8; save it anew".into());
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let declared = declared_encoding(bytes).map(|name| name.to_ascii_lowercase());
    match declared.as_deref() {
        None | Some("utf-8" | "utf8") => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => Err(format!(
                "expected UTF-8, found the byte {:#04x} at position {}; save it anew as UTF-8",
                bytes.get(error.valid_up_to()).copied().unwrap_or_default(),
                error.valid_up_to()
            )),
        },
        Some("iso-8859-1" | "latin1" | "latin-1") => {
            Ok(Cow::Owned(bytes.iter().copied().map(char::from).collect()))
        }
        Some(other) => match std::str::from_utf8(bytes) {
            // Every encoding that begins with a readable declaration agrees
            // with ASCII on these bytes.
            Ok(text) if text.is_ascii() => Ok(Cow::Borrowed(text)),
            _ => Err(format!(
                "expected UTF-8 or ISO-8859-1, found the encoding {}; save it anew as UTF-8",
                quoted(other)
            )),
        },
    }
}

/// The `encoding` of the declaration `<?xml ... ?>` that a file starts with.
fn declared_encoding(bytes: &[u8]) -> Option<&str> {
    /// More than any sensible declaration has.
    const DECLARATION_BYTES: usize = 256;
    let start = &bytes[..bytes.len().min(DECLARATION_BYTES)];
    let length = start.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&start[..length]).ok()?;
    let (_, rest) = declaration.strip_prefix("<?xml")?.split_once("encoding")?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    rest[1..].split_once(quote).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<RawAnnotation, String> {
        parse(text.as_bytes())
    }

    fn fault(text: &str) -> String {
        parse_text(text).unwrap_err()
    }

    #[test]
    fn children_stand_in_any_order_and_parts_are_passed_over() {
        let annotation = parse_text(
            "<?xml version='1.0'?>\n<!-- by hand -->\n<annotation><object>
                <bndbox><ymax> 4.5 </ymax><xmin>1</xmin><xmax>3</xmax><ymin>2</ymin></bndbox>
                <part><name>head</name><bndbox><xmin>9</xmin><xmax>9</xmax></bndbox></part>
                <name>a &amp; <![CDATA[<b>]]>&#99;</name>
                <difficult/>
            </object><size><height>20</height><width>10</width></size>
            <filename>x.jpg</filename><object/></annotation>\n",
        )
        .unwrap();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(annotation.filename, some("x.jpg"));
        assert_eq!(annotation.width, some("10"));
        assert_eq!(annotation.height, some("20"));
        let expected = RawObject {
            name: some("a & <b>c"),
            difficult: some(""),
            corners: ["1", "2", "3", "4.5"].map(some),
            repeated: None,
        };
        assert_eq!(annotation.objects, [expected, RawObject::default()]);
    }

    #[test]
    fn a_second_box_is_noticed() {
        let bndbox = "<bndbox><xmin>1</xmin></bndbox>";
        let annotation = parse_text(&format!(
            "<annotation><object>{bndbox}{bndbox}</object></annotation>"
        ))
        .unwrap();
        assert_eq!(annotation.objects[0].repeated, Some("xmin"));
    }

    #[test]
    fn hostile_files_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY x 'y'>]><annotation>&x;</annotation>";
        assert!(fault(bomb).contains("DOCTYPE"));
        assert!(fault("<annotation>&x;</annotation>").contains("unknown entity `x`"));
        let deep = format!("<annotation>{}", "<a>".repeat(1_000_000));
        assert!(fault(&deep).contains("nested more than 32 deep"));
    }

    #[test]
    fn broken_files_are_refused_with_the_line() {
        assert!(fault("").contains("no element"));
        assert!(fault("<html/>").contains("found <`html`>"));
        assert!(fault("<annotation/>\n<annotation/>").starts_with("line 2: expected one"));
        assert!(fault("<annotation>\n<object>").contains("ends inside of <object>"));
        assert!(fault("<annotation>\n\n<object></annotation>").starts_with("line 3: "));
        assert!(fault("<annotation>\n<obj").starts_with("line 2: "));
        assert!(fault("</annotation>").starts_with("line 1: "));
        assert!(fault("<annotation>&#x110000;</annotation>").starts_with("line 1: "));
    }

    #[test]
    fn encodings_are_decoded_or_named() {
        let file = |start: &[u8], name: &[u8]| {
            let parts: [&[u8]; 4] = [
                start,
                b"<annotation><filename>",
                name,
                b"</filename></annotation>",
            ];
            parse(&parts.concat()).map(|annotation| annotation.filename.unwrap_or_default())
        };
        assert_eq!(file(b"\xEF\xBB\xBF", "é".as_bytes()).unwrap(), "é");
        let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-1' ?>";
        assert_eq!(file(latin, b"\xE9").unwrap(), "é");
        let undeclared = file(b"", b"\xE9").unwrap_err();
        assert!(undeclared.contains("0xe9 at position 22"), "{undeclared}");
        let chinese = b"<?xml version=\"1.0\" encoding=\"GBK\"?>";
        assert_eq!(file(chinese, b"a").unwrap(), "a");
        assert!(file(chinese, b"\xB0\xA1").unwrap_err().contains("`gbk`"));
        assert!(parse(b"\xFF\xFE<\0").unwrap_err().contains("UTF-16"));
    }
}
