//! The bytes of an annotation file as its text fields, nothing interpreted.
//!
//! Objects are read where they stand in `annotation`, or in an `objects` there.
//! Any other element called `object`, and a box outside of every object, is
//! kept as [misplaced](RawObject::misplaced). Fields count at their own place
//! alone, so the `name` and `bndbox` of a `part` inside an `object` are not
//! taken for the object's. Names of elements count in any case and without
//! their prefix, the order of elements does not matter, and what is not known is
//! passed over. A DOCTYPE is refused, so there are no entities to expand;
//! elements may be nested [`MAX_DEPTH`] deep.

use quick_xml::Reader;
use quick_xml::errors::IllFormedError;
use quick_xml::events::{BytesRef, Event};

use crate::finding::{escaped, quoted};
use crate::formats::text::text_from_xml;

/// How deep elements may be nested; VOC's own files need five levels.
const MAX_DEPTH: usize = 32;

/// The most objects of an annotation: more than the largest file that is read
/// holds with names and boxes.
const MAX_OBJECTS: usize = 1 << 16;

/// The names of the four corners, in the order of [`RawObject::corners`].
pub(super) const CORNERS: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

/// The fields of roLabelImg's `robndbox`, in the order of
/// [`Rotation::robndbox`].
pub(super) const ROTATED_BOX: [&str; 5] = ["cx", "cy", "w", "h", "angle"];

/// Elements of an object that tell its outline otherwise than a box does.
const OUTLINES: [&str; 8] = [
    "polygon",
    "segm",
    "points",
    "pts",
    "polyline",
    "ellipse",
    "mask",
    "keypoints",
];

/// The fields of an annotation file as written, trimmed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RawAnnotation {
    pub(super) filename: Option<String>,
    pub(super) width: Option<String>,
    pub(super) height: Option<String>,
    /// A field of the image that stands twice.
    pub(super) repeated: Option<&'static str>,
    /// In the order of their first tags, misplaced ones among them.
    pub(super) objects: Vec<RawObject>,
    /// How many `part`s the objects have.
    pub(super) parts: usize,
    /// Why the file's encoding may be another, as a message for the user.
    pub(super) doubtful_encoding: Option<String>,
}

/// The fields of one object as written, trimmed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RawObject {
    pub(super) name: Option<String>,
    pub(super) difficult: Option<String>,
    pub(super) corners: [Option<String>; 4],
    /// The name of something else that the `bndbox` holds.
    pub(super) other_edge: Option<String>,
    pub(super) rotation: Option<Box<Rotation>>,
    /// Whether there is a `bndbox`.
    pub(super) has_box: bool,
    /// An outline of another kind than a box.
    pub(super) outline: Option<&'static str>,
    /// A field that stands twice.
    pub(super) repeated: Option<&'static str>,
    /// Where the object stands if that is no place for one, such as
    /// `<object> in annotation/deleted`. Its fields are not read.
    pub(super) misplaced: Option<String>,
}

/// What an object's fields say of its rotation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rotation {
    /// CVAT's attribute `rotation`.
    pub(super) attribute: Option<String>,
    /// An element `rotation` or `angle`.
    pub(super) element: Option<String>,
    /// The fields of roLabelImg's `robndbox`.
    pub(super) robndbox: [Option<String>; 5],
}

impl RawObject {
    fn rotation(&mut self) -> &mut Rotation {
        self.rotation.get_or_insert_default()
    }

    fn start_field(&mut self, name: &str) {
        if name == "bndbox" && std::mem::replace(&mut self.has_box, true) {
            self.repeated = Some("bndbox");
        }
        let outline = OUTLINES.into_iter().find(|&outline| outline == name);
        self.outline = outline.or(self.outline);
    }

    /// Takes the text of the element at `path` inside of the object.
    fn take(&mut self, path: &[&str], text: &str) {
        let (field, name) = match *path {
            ["name"] => (&mut self.name, "name"),
            ["difficult"] => (&mut self.difficult, "difficult"),
            ["rotation" | "angle"] | ["bndbox", "rotation" | "angle"] => {
                (&mut self.rotation().element, "rotation")
            }
            ["attributes", "rotation"] => (&mut self.rotation().attribute, "rotation"),
            ["bndbox", field] => match CORNERS.iter().position(|&known| known == field) {
                Some(index) => (&mut self.corners[index], CORNERS[index]),
                None => {
                    self.other_edge.get_or_insert_with(|| field.to_owned());
                    return;
                }
            },
            ["robndbox", field] => match ROTATED_BOX.iter().position(|&known| known == field) {
                Some(index) => (&mut self.rotation().robndbox[index], ROTATED_BOX[index]),
                None => return,
            },
            _ => return,
        };
        if field.replace(text.to_owned()).is_some() {
            self.repeated.get_or_insert(name);
        }
    }
}

/// Whether objects are read that stand in the innermost of these open elements.
pub(super) fn holds_objects(path: &[&str]) -> bool {
    matches!(path, ["annotation"] | ["annotation", "objects"])
}

/// Reads an annotation file; the error is a message for the user.
pub(super) fn parse(bytes: &[u8]) -> Result<RawAnnotation, String> {
    let decoded = text_from_xml(bytes)?;
    let text = &*decoded.text;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut parser = Parser::default();
    loop {
        let event = reader.read_event().map_err(|error| {
            let fault = match &error {
                quick_xml::Error::IllFormed(IllFormedError::UnclosedReference) => {
                    "found a lone `&`, which XML writes as `&amp;`".to_owned()
                }
                error => escaped(&error.to_string()),
            };
            at_line(text, reader.error_position(), &fault)
        })?;
        let step = match event {
            Event::Start(start) => parser.start(start.local_name().as_ref()),
            Event::End(_) => {
                parser.end();
                Ok(())
            }
            Event::Text(piece) => {
                parser.content.push_str(&piece.xml10_content());
                Ok(())
            }
            Event::CData(piece) => {
                parser.content.push_str(&piece.xml10_content());
                Ok(())
            }
            Event::GeneralRef(reference) => {
                char_from_reference(&reference).map(|character| parser.content.push(character))
            }
            Event::DocType(_) => Err("found a DOCTYPE, which an annotation must not have".into()),
            // `expand_empty_elements` turns `Empty` into a start and an end.
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Empty(_) => Ok(()),
            Event::Eof => break,
        };
        step.map_err(|fault| at_line(text, reader.buffer_position(), &fault))?;
    }
    let annotation = parser.finish()?;
    Ok(RawAnnotation {
        doubtful_encoding: decoded.doubt,
        ..annotation
    })
}

/// An annotation that is being read.
#[derive(Default)]
struct Parser {
    annotation: RawAnnotation,
    /// The names of the open elements, in lower case.
    path: Vec<String>,
    /// The text of the innermost open element so far.
    content: String,
    /// The object whose fields are being read, by its index, and how many
    /// elements are open outside of its fields.
    object: Option<(usize, usize)>,
    /// The name of the attribute that is being read, and its value.
    attribute: (Option<String>, Option<String>),
    has_root: bool,
}

impl Parser {
    fn start(&mut self, name: &str) -> Result<(), String> {
        if self.path.is_empty() && (self.has_root || !name.eq_ignore_ascii_case("annotation")) {
            return Err(format!(
                "expected one <annotation> and nothing beside it, found <{}>",
                quoted(name)
            ));
        }
        if self.path.len() == MAX_DEPTH {
            return Err(format!("elements are nested more than {MAX_DEPTH} deep"));
        }
        self.has_root = true;
        self.content.clear();
        let name = name.to_ascii_lowercase();
        if let Some((index, depth)) = self.object {
            match &self.path[depth..] {
                [] => self.annotation.objects[index].start_field(&name),
                [field] if ["name", "difficult"].contains(&field.as_str()) => {
                    return Err(format!(
                        "expected text in <{field}>, found <{}>",
                        escaped(&name)
                    ));
                }
                _ => {}
            }
        }
        match name.as_str() {
            "object" => self.start_object()?,
            "bndbox" | "robndbox" | "xmin" if !self.is_inside(&["object", "bndbox"]) => {
                self.misplace(&name)?;
            }
            "part" if self.object.is_some() => self.annotation.parts += 1,
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    /// Whether one of the open elements has one of these names.
    fn is_inside(&self, names: &[&str]) -> bool {
        (self.path.iter()).any(|open| names.contains(&open.as_str()))
    }

    fn start_object(&mut self) -> Result<(), String> {
        let place: Vec<&str> = self.path.iter().map(String::as_str).collect();
        if !holds_objects(&place) {
            return self.misplace("object");
        }
        self.add_object(RawObject::default())?;
        self.object = Some((self.annotation.objects.len() - 1, self.path.len() + 1));
        Ok(())
    }

    /// Keeps an element that is not read where it stands.
    fn misplace(&mut self, name: &str) -> Result<(), String> {
        let place = escaped(&self.path.join("/"));
        self.add_object(RawObject {
            misplaced: Some(format!("<{name}> in {place}")),
            ..RawObject::default()
        })
    }

    fn add_object(&mut self, object: RawObject) -> Result<(), String> {
        if self.annotation.objects.len() == MAX_OBJECTS {
            return Err(format!(
                "expected at most {MAX_OBJECTS} objects, found more"
            ));
        }
        self.annotation.objects.push(object);
        Ok(())
    }

    /// Takes what the innermost open element holds.
    fn end(&mut self) {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let text = self.content.trim();
        let annotation = &mut self.annotation;
        if let Some((index, depth)) = self.object {
            let object = &mut annotation.objects[index];
            match path[depth..] {
                [] => self.object = None,
                ["attributes", "attribute", "name"] => self.attribute.0 = Some(text.to_owned()),
                ["attributes", "attribute", "value"] => self.attribute.1 = Some(text.to_owned()),
                ["attributes", "attribute"] => {
                    let (name, value) = std::mem::take(&mut self.attribute);
                    if let (Some(name), Some(value)) = (name, value)
                        && name.eq_ignore_ascii_case("rotation")
                    {
                        object.take(&["attributes", "rotation"], &value);
                    }
                }
                ref inner => object.take(inner, text),
            }
        } else {
            let field = match path[..] {
                ["annotation", "filename"] => Some((&mut annotation.filename, "filename")),
                ["annotation", "size", "width"] => Some((&mut annotation.width, "width")),
                ["annotation", "size", "height"] => Some((&mut annotation.height, "height")),
                _ => None,
            };
            if let Some((field, name)) = field
                && field
                    .replace(text.to_owned())
                    .is_some_and(|first| first != text)
            {
                annotation.repeated = Some(name);
            }
        }
        self.path.pop();
        self.content.clear();
    }

    fn finish(self) -> Result<RawAnnotation, String> {
        match self.path.last() {
            Some(open) => Err(format!("the file ends inside of <{}>", escaped(open))),
            None if self.has_root => Ok(self.annotation),
            None => Err("expected <annotation>, found no element".into()),
        }
    }
}

fn char_from_reference(reference: &BytesRef<'_>) -> Result<char, String> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => return Ok(character),
        Ok(None) => {}
        Err(error) => return Err(escaped(&error.to_string())),
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
            has_box: true,
            ..RawObject::default()
        };
        assert_eq!(annotation.objects, [expected, RawObject::default()]);
        assert_eq!(annotation.parts, 1);
    }

    #[test]
    fn names_of_elements_count_in_any_case_and_without_prefix() {
        let plain = "<annotation><size><width>9</width></size><object><name>x</name>
            <bndbox><xmin>1</xmin></bndbox></object></annotation>";
        let annotation = parse_text(plain).unwrap();
        assert_eq!(annotation.objects[0].corners[0].as_deref(), Some("1"));
        assert_eq!(
            parse_text(&plain.to_uppercase().replace('X', "x"))
                .unwrap()
                .objects
                .len(),
            1
        );
        let prefixed = plain
            .replace("</", "</v:")
            .replace('<', "<v:")
            .replace("<v:/v:", "</v:");
        assert_eq!(parse_text(&prefixed).unwrap(), annotation);
    }

    #[test]
    fn objects_and_boxes_elsewhere_are_kept_as_misplaced() {
        let bndbox = "<bndbox><xmin>1</xmin></bndbox>";
        let object = format!("<object><name>x</name>{bndbox}</object>");
        let annotation = parse_text(&format!(
            "<annotation><objects>{object}</objects><deleted>{object}</deleted>
             <object>{object}<name>y</name><part>{bndbox}</part></object>{bndbox}
             <item><xmin>1</xmin></item></annotation>"
        ))
        .unwrap();
        let places: Vec<Option<&str>> = (annotation.objects.iter())
            .map(|object| object.misplaced.as_deref())
            .collect();
        let expected = [
            None,
            Some("<object> in annotation/deleted"),
            None,
            Some("<object> in annotation/object"),
            Some("<bndbox> in annotation"),
            Some("<xmin> in annotation/item"),
        ];
        assert_eq!(places, expected);
        assert_eq!(annotation.objects[2].name.as_deref(), Some("y"));
    }

    #[test]
    fn rotation_is_kept_however_it_is_written() {
        let object = |inner: &str| {
            let xml = format!("<annotation><object>{inner}</object></annotation>");
            parse_text(&xml).unwrap().objects.remove(0)
        };
        let attribute = |inner: &str| object(inner).rotation.unwrap().attribute.unwrap();
        for pair in [
            "<name>rotation</name><value>30.5</value>",
            "<value>30.5</value><name>Rotation</name>",
        ] {
            let other = "<attribute><name>occluded</name><value>1</value></attribute>";
            let inner = format!("<attributes>{other}<attribute>{pair}</attribute></attributes>");
            assert_eq!(attribute(&inner), "30.5");
        }
        assert_eq!(
            attribute("<attributes><rotation>9</rotation></attributes>"),
            "9"
        );
        for element in [
            "<rotation>1</rotation>",
            "<bndbox><angle>1</angle></bndbox>",
        ] {
            assert_eq!(
                object(element).rotation.unwrap().element.as_deref(),
                Some("1")
            );
        }
        let rotated = object("<robndbox><cx>1</cx><angle>.5</angle></robndbox>");
        let fields = rotated.rotation.unwrap().robndbox;
        assert_eq!(
            fields.each_ref().map(Option::as_deref),
            [Some("1"), None, None, None, Some(".5")]
        );
        assert_eq!(object("<polygon/>").outline, Some("polygon"));
    }

    #[test]
    fn a_second_box_is_noticed() {
        let bndbox = "<bndbox><xmin>1</xmin></bndbox>";
        let annotation = parse_text(&format!(
            "<annotation><object>{bndbox}{bndbox}</object></annotation>"
        ))
        .unwrap();
        assert_eq!(annotation.objects[0].repeated, Some("bndbox"));
    }

    #[test]
    fn hostile_files_are_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY x 'y'>]><annotation>&x;</annotation>";
        assert!(fault(bomb).contains("DOCTYPE"));
        assert!(fault("<annotation>&x;</annotation>").contains("unknown entity `x`"));
        let deep = format!("<annotation>{}", "<a>".repeat(1_000_000));
        assert!(fault(&deep).contains("nested more than 32 deep"));
        let many = format!(
            "<annotation>{}</annotation>",
            "<object/>".repeat(MAX_OBJECTS + 1)
        );
        assert!(fault(&many).contains("at most 65536 objects"));
        let text = fault("<annotation><object><name>ca<b/>t</name></object></annotation>");
        assert!(
            text.contains("expected text in <name>, found <b>"),
            "{text}"
        );
    }

    #[test]
    fn text_of_the_file_is_escaped_and_cut_in_messages() {
        let long = "a\u{1b}\u{202e}".repeat(1000);
        for xml in [
            format!("<{long}/>"),
            format!("<annotation><{long}>"),
            format!("<annotation><{long}></annotation>"),
            format!("<annotation>&{long};</annotation>"),
            format!("<annotation></{long}>"),
            format!("<annotation>&#{long};</annotation>"),
            format!("<annotation><object><name><{long}>"),
        ] {
            let fault = fault(&xml);
            assert!(fault.chars().count() < 2000, "{fault}");
            assert!(!fault.contains(['\u{1b}', '\u{202e}']), "{fault:?}");
        }
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
}
