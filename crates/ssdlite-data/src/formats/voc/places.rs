//! Where the objects of an annotation stand in its text, for who changes them.
//!
//! The text is one that [`super::xml::parse`] has read: its elements are
//! nested as they should be, and not deeply. The n-th object here is the n-th
//! there that is not misplaced.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::finding::escaped;
use crate::formats::voc::xml::{CORNERS, holds_objects};

/// Where an element stands, in bytes of the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place {
    /// From the `<` of its start tag to the `>` of its end tag.
    pub(super) whole: Range<usize>,
    /// What is between its tags; none of an element that is one tag, `<name/>`.
    pub(super) content: Option<Range<usize>>,
}

/// Where an object and those of its fields stand that can be changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ObjectPlaces {
    pub(super) object: Place,
    pub(super) name: Option<Place>,
    /// In the order of [`CORNERS`].
    pub(super) corners: [Option<Place>; 4],
}

/// Where an annotation and its objects stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Places {
    pub(super) annotation: Place,
    /// In the order of their start tags.
    pub(super) objects: Vec<ObjectPlaces>,
}

/// Finds the objects; the error is a message for the user.
pub(super) fn places_in(text: &str) -> Result<Places, String> {
    let mut reader = Reader::from_str(text);
    let mut finder = Finder::default();
    let position = |reader: &Reader<&[u8]>| {
        usize::try_from(reader.buffer_position()).map_or(text.len(), |at| at.min(text.len()))
    };
    loop {
        let start = position(&reader);
        let event = reader.read_event();
        let event = event.map_err(|error| escaped(&error.to_string()))?;
        let end = position(&reader);
        match event {
            Event::Start(tag) => finder.open(tag.local_name().as_ref(), start..end),
            Event::Empty(tag) => {
                finder.open(tag.local_name().as_ref(), start..end);
                finder.close(None);
            }
            Event::End(_) => finder.close(Some(start..end)),
            Event::Eof => return Ok(finder.places),
            _ => {}
        }
    }
}

/// An element that is open.
struct Open {
    /// In lower case.
    name: String,
    tag: Range<usize>,
}

#[derive(Default)]
struct Finder {
    places: Places,
    path: Vec<Open>,
    /// The number of open elements with the object that is open, which is the
    /// last one.
    depth: Option<usize>,
}

impl Finder {
    fn open(&mut self, name: &str, tag: Range<usize>) {
        let name = name.to_ascii_lowercase();
        let is_object = name == "object" && {
            let path: Vec<&str> = self.path.iter().map(|open| open.name.as_str()).collect();
            holds_objects(&path)
        };
        self.path.push(Open { name, tag });
        if is_object {
            self.depth = Some(self.path.len());
            self.places.objects.push(ObjectPlaces::default());
        }
    }

    /// Closes the innermost element by its end tag; none of an empty element.
    fn close(&mut self, end: Option<Range<usize>>) {
        let depth = self.path.len();
        let Some(Open { name, tag }) = self.path.pop() else {
            return;
        };
        let place = match end {
            Some(end) => Place {
                whole: tag.start..end.end,
                content: Some(tag.end..end.start),
            },
            None => Place {
                whole: tag,
                content: None,
            },
        };
        if self.path.is_empty() {
            self.places.annotation = place;
            return;
        }
        let (Some(object_depth), Some(object)) = (self.depth, self.places.objects.last_mut())
        else {
            return;
        };
        if depth == object_depth {
            object.object = place;
            self.depth = None;
            return;
        }
        let outer = self.path.iter().skip(object_depth);
        let outer: Vec<&str> = outer.map(|open| open.name.as_str()).collect();
        match (&outer[..], name.as_str()) {
            ([], "name") => object.name = Some(place),
            (["bndbox"], name) => {
                if let Some(index) = CORNERS.iter().position(|&known| known == name) {
                    object.corners[index] = Some(place);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_where_the_elements_are() {
        let text = "<?xml version='1.0'?>\n<!-- é --><Annotation><object/><objects><v:object a='>'>\
                    <name>caf&#233; &amp; é</name><bndbox><xmin>1</xmin><ymax/></bndbox>\
                    <part><name>x</name></part></v:object></objects>\
                    <deleted><object><name>y</name></object></deleted></Annotation>\n";
        let places = places_in(text).unwrap();
        let whole = |place: &Place| &text[place.whole.clone()];
        let content = |place: &Place| place.content.clone().map(|range| &text[range]);
        assert!(whole(&places.annotation).starts_with("<Annotation><object/>"));
        assert!(whole(&places.annotation).ends_with("</Annotation>"));
        assert_eq!(places.objects.len(), 2);
        let [first, second] = [&places.objects[0], &places.objects[1]];
        assert_eq!(whole(&first.object), "<object/>");
        assert_eq!(content(&first.object), None);
        assert_eq!(first.name, None);
        assert!(whole(&second.object).starts_with("<v:object a='>'>"));
        assert!(whole(&second.object).ends_with("</v:object>"));
        let name = second.name.as_ref().unwrap();
        assert_eq!(content(name), Some("caf&#233; &amp; é"));
        let corners = second.corners.each_ref().map(|corner| {
            let corner = corner.as_ref()?;
            Some((whole(corner), content(corner)))
        });
        assert_eq!(
            corners,
            [
                Some(("<xmin>1</xmin>", Some("1"))),
                None,
                None,
                Some(("<ymax/>", None)),
            ]
        );
    }
}
