//! An annotation whose objects are corrected, and that stays as it is otherwise.
//!
//! A correction replaces the text of names and corners, and no other: what else
//! the file holds, known here or not, stays to the byte, in the objects that are
//! changed too. Objects that are read elsewhere than others are, or that tell their
//! outline otherwise than by an upright box, can be deleted alone. The file that
//! comes of it is in UTF-8.

use std::ops::Range;

use ssdlite_core::{ClassNames, ImageSize, PixelBox};
use ssdlite_image::Header;

use crate::detection::annotation::{Corners, ObjectFields, Unit};
use crate::detection::frame::Frame;
use crate::error::{Error, Result};
use crate::formats::text::{declared_as_utf8, text_from_xml};
use crate::formats::voc::annotation::labels_of;
use crate::formats::voc::places::{ObjectPlaces, Place, Places, places_in};
use crate::formats::voc::write::{corners_from_box, escaped};
use crate::formats::voc::xml::{self, RawAnnotation};
use crate::formats::voc::{Coordinates, MAX_ANNOTATION_BYTES, VocObject};

/// An annotation file that is being corrected.
#[derive(Clone, Debug)]
pub struct VocEditor {
    /// The file's text, whose places `places` has.
    text: String,
    places: Places,
    size: ImageSize,
    objects: Vec<FiledObject>,
}

/// An object that stands in an annotation file.
#[derive(Clone, Debug, PartialEq)]
pub struct FiledObject {
    /// Its class's name as written, if it has one.
    pub name: Option<String>,
    /// Its box in pixels of the image as shown, or why it has none that can be
    /// corrected.
    pub bbox: std::result::Result<PixelBox, String>,
    /// Whether it is hard to make out.
    pub difficult: bool,
}

/// What is corrected in an annotation file. Objects of the file are named by their
/// index in [`VocEditor::objects`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Corrections {
    /// Objects that get another name, another box or both.
    pub changed: Vec<ChangedObject>,
    /// Objects that the file gets, after those that it has.
    pub added: Vec<AddedObject>,
    /// Objects that go.
    pub deleted: Vec<usize>,
}

/// An object of an annotation file that is changed.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangedObject {
    /// Its index.
    pub index: usize,
    /// Its class's name, if it gets another.
    pub name: Option<String>,
    /// Its box in pixels of the image as shown, if it gets another. It is clipped to
    /// the image; edges are rounded to whole pixels.
    pub bbox: Option<PixelBox>,
}

/// An object that an annotation file gets.
#[derive(Clone, Debug, PartialEq)]
pub struct AddedObject {
    /// Its class's name.
    pub name: String,
    /// Its box, as [`ChangedObject::bbox`].
    pub bbox: PixelBox,
}

impl VocEditor {
    /// Reads an annotation file's bytes, with 1-based boxes, and what the header of
    /// its image says.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what is no annotation, or of another image by its
    /// size; [`Error::Unsupported`] for boxes that count the pixels of the image as
    /// stored, where it is shown turned.
    pub fn new(bytes: &[u8], image: &Header) -> Result<Self> {
        let raw = xml::parse(bytes).map_err(Error::Malformed)?;
        let decoded = text_from_xml(bytes).map_err(Error::Malformed)?;
        let text = declared_as_utf8(decoded.text);
        let places = places_in(&text).map_err(Error::Malformed)?;
        let objects = objects_of(raw, image)?;
        if objects.len() != places.objects.len() {
            return Err(Error::Malformed(format!(
                "expected {} objects in the text, found {}",
                objects.len(),
                places.objects.len()
            )));
        }
        Ok(Self {
            text,
            places,
            size: image.displayed,
            objects,
        })
    }

    /// The file's objects in their order, but for those that stand where none is
    /// read.
    pub fn objects(&self) -> &[FiledObject] {
        &self.objects
    }

    /// The image's size as shown.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// The text of the file with these corrections, in UTF-8. Objects that stay keep
    /// their order.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for an index that no object has or that is named
    /// twice, an object that can't be changed, a name that no class may have, a box
    /// of less than a pixel; [`Error::OverLimit`] if the file would be too large.
    pub fn corrected(&self, corrections: &Corrections) -> Result<String> {
        let mut pieces = Vec::new();
        let mut named = vec![false; self.objects.len()];
        let indices = corrections.changed.iter().map(|object| object.index);
        for index in indices.chain(corrections.deleted.iter().copied()) {
            let Some(is_named) = named.get_mut(index) else {
                return refuse(format!(
                    "object {index}: expected an index below {}",
                    self.objects.len()
                ));
            };
            if std::mem::replace(is_named, true) {
                return refuse(format!("object {index}: is corrected twice"));
            }
        }
        for changed in &corrections.changed {
            self.change(changed, &mut pieces)?;
        }
        for &index in &corrections.deleted {
            let object = &self.places.objects[index].object;
            pieces.push((self.with_line(&object.whole), String::new()));
        }
        if let Some(added) = self.added(&corrections.added)? {
            pieces.push(added);
        }
        let text = self.replaced(pieces);
        let stays = self.objects.len() - corrections.deleted.len();
        let expected = stays + corrections.added.len();
        // Whatever is wrong here, no file is to be damaged by it.
        let found = places_in(&text).map_err(Error::Malformed)?.objects.len();
        if found != expected {
            return Err(Error::Malformed(format!(
                "expected {expected} objects in the corrected text, found {found}"
            )));
        }
        if text.len() as u64 > MAX_ANNOTATION_BYTES {
            return Err(Error::OverLimit(format!(
                "expected an annotation of at most {MAX_ANNOTATION_BYTES} bytes, it would have {}",
                text.len()
            )));
        }
        Ok(text)
    }

    /// Adds what an object's change replaces in the text.
    fn change(&self, changed: &ChangedObject, pieces: &mut Vec<Piece>) -> Result<()> {
        let ChangedObject { index, name, bbox } = changed;
        let fault = |fault: String| Error::InvalidRequest(format!("object {index}: {fault}"));
        if let Err(reason) = &self.objects[*index].bbox {
            return Err(fault(format!("can't be changed: {reason}")));
        }
        let ObjectPlaces {
            name: its_name,
            corners,
            ..
        } = &self.places.objects[*index];
        if let Some(name) = name {
            let name = class_name(name).map_err(fault)?;
            let place = its_name.as_ref();
            let place = place.ok_or_else(|| fault("found no <name>".into()))?;
            pieces.push(self.with_content(place, &escaped(&name)));
        }
        if let Some(bbox) = bbox {
            let bbox = whole_box(*bbox, self.size).map_err(fault)?;
            for (place, edge) in corners.iter().zip(corners_from_box(bbox)) {
                let place = place.as_ref();
                let place = place.ok_or_else(|| fault("found no <bndbox>".into()))?;
                pieces.push(self.with_content(place, &edge.to_string()));
            }
        }
        Ok(())
    }

    /// The objects that are added, and where.
    fn added(&self, added: &[AddedObject]) -> Result<Option<Piece>> {
        let mut xml = String::new();
        for (number, AddedObject { name, bbox }) in added.iter().enumerate() {
            let fault =
                |fault: String| Error::InvalidRequest(format!("added object {number}: {fault}"));
            let name = class_name(name).map_err(fault)?;
            let bbox = whole_box(*bbox, self.size).map_err(fault)?;
            let object = VocObject {
                name: &name,
                bbox,
                truncated: is_at_edge(bbox, self.size),
                difficult: false,
            };
            object.write_xml(&mut xml);
        }
        if xml.is_empty() {
            return Ok(None);
        }
        let xml = format!("\n{}", xml.trim_end());
        let Place { whole, content } = &self.places.annotation;
        let last = self.places.objects.last();
        Ok(Some(match (last, content) {
            (Some(last), _) => {
                let end = last.object.whole.end;
                (end..end, xml)
            }
            (None, Some(content)) => {
                let text = &self.text[content.clone()];
                let end = content.start + text.trim_end().len();
                (end..end, xml)
            }
            (None, None) => self.with_content(
                &Place {
                    whole: whole.clone(),
                    content: None,
                },
                &format!("{xml}\n"),
            ),
        }))
    }

    /// An element with other content.
    fn with_content(&self, place: &Place, content: &str) -> Piece {
        if let Some(range) = &place.content {
            return (range.clone(), content.to_owned());
        }
        // One tag, `<name a="b"/>`, becomes two.
        let tag = &self.text[place.whole.clone()];
        let inner = tag.trim_start_matches('<').trim_end_matches('>');
        let inner = inner.strip_suffix('/').unwrap_or(inner).trim_end();
        let name = inner.split_ascii_whitespace().next().unwrap_or_default();
        (place.whole.clone(), format!("<{inner}>{content}</{name}>"))
    }

    /// An element with the blanks before it, and its line's start if it begins one.
    fn with_line(&self, element: &Range<usize>) -> Range<usize> {
        let before = &self.text[..element.start];
        let line = before.trim_end_matches([' ', '\t']);
        let Some(line) = line.strip_suffix('\n') else {
            return element.clone();
        };
        line.strip_suffix('\r').unwrap_or(line).len()..element.end
    }

    /// The text with pieces of it replaced, which don't overlap.
    fn replaced(&self, mut pieces: Vec<Piece>) -> String {
        // What is added after an object comes after it, though that is deleted.
        pieces.sort_by_key(|(range, _)| (range.start, range.end));
        let mut text = String::with_capacity(self.text.len());
        let mut done = 0;
        for (range, new) in pieces {
            text.push_str(&self.text[done..range.start]);
            text.push_str(&new);
            done = range.end;
        }
        text.push_str(&self.text[done..]);
        text
    }
}

/// What stands in a range of the text, and what will.
type Piece = (Range<usize>, String);

fn refuse<T>(fault: String) -> Result<T> {
    Err(Error::InvalidRequest(fault))
}

/// The objects that are not misplaced.
fn objects_of(raw: RawAnnotation, image: &Header) -> Result<Vec<FiledObject>> {
    let outlines: Vec<_> = raw.objects.iter().map(|object| object.outline).collect();
    let labels = labels_of(raw);
    let (frame, contradiction) = Frame::new(&labels, image, Coordinates::OneBased);
    let Some(frame) = frame else {
        let finding = contradiction.map(|contradiction| contradiction.about("").message);
        return Err(Error::Malformed(finding.unwrap_or_default()));
    };
    if !frame.is_as_shown() && image.is_turned() {
        return Err(Error::Unsupported(
            "its boxes count the pixels of the image as stored, which is shown turned by its \
             Exif orientation"
                .into(),
        ));
    }
    let objects = labels.objects.iter().zip(outlines);
    let placed = objects.filter_map(|(object, outline)| {
        let fields = object.fields.as_ref().ok()?;
        Some(filed(fields, outline, &frame))
    });
    Ok(placed.collect())
}

fn filed(fields: &ObjectFields, outline: Option<&str>, frame: &Frame<'_>) -> FiledObject {
    let corners = fields.corners.as_ref().map_err(|(_, fault)| fault.clone());
    let bbox = corners.and_then(|corners| correctable_box(corners, frame));
    let name = fields.class.as_deref().ok();
    FiledObject {
        name: name.map(str::to_owned),
        bbox: match (name, outline) {
            (None, _) => Err("found no <name>".into()),
            (_, Some(outline)) if bbox.is_ok() => Err(format!("found a <{outline}> too")),
            _ => bbox,
        },
        difficult: fields.difficult == Ok(true),
    }
}

/// The box in the image that is shown, where other corners could be written in its
/// place. The error is a message for the user.
fn correctable_box(corners: &Corners, frame: &Frame<'_>) -> std::result::Result<PixelBox, String> {
    if let Some(rotation) = &corners.rotated {
        return Err(rotation.clone());
    }
    if corners.unit != Unit::Numbers {
        return Err("has a <robndbox> alone".into());
    }
    frame.displayed_box(corners).map_err(|(_, fault)| fault)
}

/// A name as classes have it, of characters that XML has; the error is a message for
/// the user.
///
/// Source: XML 1.0, section 2.2; what else XML lacks are control characters, which no
/// name of a class may hold.
fn class_name(name: &str) -> std::result::Result<String, String> {
    if let Some(found) = name.chars().find(|c| matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err(format!(
            "expected a name of characters that XML has, found {}",
            found.escape_unicode()
        ));
    }
    let names = ClassNames::new([name]).map_err(|error| error.to_string())?;
    Ok(Vec::from(names).remove(0))
}

/// A box in whole pixels, clipped to the image; the error is a message for the user.
fn whole_box(bbox: PixelBox, size: ImageSize) -> std::result::Result<PixelBox, String> {
    let [x1, y1, x2, y2] = bbox.to_array().map(f32::round);
    let inside = PixelBox::new(x1, y1, x2, y2).clipped(size);
    if !inside.is_valid() {
        return Err(format!(
            "expected a box of a pixel at least in the image of {size}, found {bbox}"
        ));
    }
    Ok(inside)
}

/// Whether an object ends at the image's edge, and so probably goes on beyond it.
///
/// Source: labelImg's `libs/pascal_voc_io.py`, which calls such objects truncated.
fn is_at_edge(bbox: PixelBox, size: ImageSize) -> bool {
    let (right, bottom) = (size.width as f32, size.height as f32);
    bbox.x1 == 0.0 || bbox.y1 == 0.0 || bbox.x2 == right || bbox.y2 == bottom
}

#[cfg(test)]
mod tests;
