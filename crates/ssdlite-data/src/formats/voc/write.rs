//! Annotation files in labelImg's style.

use std::fmt::Write;

use ssdlite_core::{ImageSize, PixelBox};

use crate::formats::voc::layout::IMAGES;

/// An image's annotation, to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct VocAnnotation<'a> {
    /// The image's file name, without a folder.
    pub filename: &'a str,
    /// The image's size as shown.
    pub size: ImageSize,
    /// What it shows.
    pub objects: Vec<VocObject<'a>>,
}

/// An object of a [`VocAnnotation`].
#[derive(Clone, Debug, PartialEq)]
pub struct VocObject<'a> {
    /// The class's name.
    pub name: &'a str,
    /// The box, inside of the image; edges are rounded to whole pixels, and a box of
    /// less than two is one of two, as readers take one pixel for none.
    pub bbox: PixelBox,
    /// Whether the object is cut off by the image's edge.
    pub truncated: bool,
    /// Whether the object is hard to make out.
    pub difficult: bool,
}

impl VocAnnotation<'_> {
    /// The text of the annotation file. Boxes are 1-based and inclusive.
    pub fn to_xml(&self) -> String {
        let mut xml = format!(
            "<annotation>\n\t<folder>{IMAGES}</folder>\n\t<filename>{}</filename>\n\t<source>\n\
             \t\t<database>Unknown</database>\n\t</source>\n\t<size>\n\t\t<width>{}</width>\n\
             \t\t<height>{}</height>\n\t\t<depth>3</depth>\n\t</size>\n\
             \t<segmented>0</segmented>\n",
            escaped(self.filename),
            self.size.width,
            self.size.height
        );
        for object in &self.objects {
            object.write_xml(&mut xml);
        }
        xml.push_str("</annotation>\n");
        xml
    }
}

impl VocObject<'_> {
    /// Adds the object's element in lines of its own, one tab deep.
    pub(super) fn write_xml(&self, xml: &mut String) {
        let [xmin, ymin, xmax, ymax] = corners_from_box(self.bbox);
        write!(
            xml,
            "\t<object>\n\t\t<name>{}</name>\n\t\t<pose>Unspecified</pose>\n\
             \t\t<truncated>{}</truncated>\n\t\t<difficult>{}</difficult>\n\t\t<bndbox>\n\
             \t\t\t<xmin>{xmin}</xmin>\n\t\t\t<ymin>{ymin}</ymin>\n\
             \t\t\t<xmax>{xmax}</xmax>\n\t\t\t<ymax>{ymax}</ymax>\n\
             \t\t</bndbox>\n\t</object>\n",
            escaped(self.name),
            u8::from(self.truncated),
            u8::from(self.difficult),
        )
        .expect("writing to a string can't fail");
    }
}

/// How long a box's sides are at least. The corners of a box of one pixel are at one
/// place, which readers, this project's among them, take for a slip of the mouse.
const LEAST_PIXELS: f32 = 2.0;

/// A box as it is written: edges are rounded to whole pixels, and its sides have two
/// pixels at least.
pub(super) fn written_box(bbox: PixelBox) -> PixelBox {
    let [x1, y1, x2, y2] = bbox.to_array();
    let [(x1, x2), (y1, y2)] = [(x1, x2), (y1, y2)].map(|(low, high)| {
        let (least, most) = (low.round(), high.round());
        if most - least >= LEAST_PIXELS {
            return (least, most);
        }
        let least = low.floor().min(high.ceil() - LEAST_PIXELS).max(0.0);
        (least, least + LEAST_PIXELS)
    });
    PixelBox::new(x1, y1, x2, y2)
}

/// `xmin`, `ymin`, `xmax`, `ymax` of a box as it is written: 1-based and inclusive.
pub(super) fn corners_from_box(bbox: PixelBox) -> [f32; 4] {
    let [x1, y1, x2, y2] = written_box(bbox).to_array();
    [x1 + 1.0, y1 + 1.0, x2, y2]
}

/// A text as the content of an element.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::voc::xml;

    #[test]
    fn what_is_written_is_read_back() {
        let annotation = VocAnnotation {
            filename: "a<&>.jpg",
            size: ImageSize::new(31, 17),
            objects: vec![VocObject {
                name: "b & c",
                bbox: PixelBox::new(0.0, 3.0, 31.0, 17.0),
                truncated: true,
                difficult: true,
            }],
        };
        let raw = xml::parse(annotation.to_xml().as_bytes()).unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(raw.filename, text("a<&>.jpg"));
        assert_eq!((raw.width, raw.height), (text("31"), text("17")));
        let object = &raw.objects[0];
        assert_eq!(object.name, text("b & c"));
        assert_eq!(object.difficult, text("1"));
        assert_eq!(object.corners, ["1", "4", "31", "17"].map(text));
    }

    #[test]
    fn a_box_never_loses_all_its_pixels() {
        for (written, [xmin, xmax]) in [
            ([3.0, 9.0], ["4", "9"]),
            ([3.4, 8.6], ["4", "9"]),
            ([3.0, 5.0], ["4", "5"]),
            ([3.0, 4.0], ["3", "4"]),
            ([3.2, 3.4], ["3", "4"]),
            ([3.6, 4.4], ["4", "5"]),
            ([3.2, 4.4], ["4", "5"]),
            ([0.0, 1.0], ["1", "2"]),
            ([0.2, 0.3], ["1", "2"]),
            ([30.6, 31.0], ["30", "31"]),
        ] {
            let annotation = VocAnnotation {
                filename: "a.jpg",
                size: ImageSize::new(31, 17),
                objects: vec![VocObject {
                    name: "b",
                    bbox: PixelBox::new(written[0], 3.0, written[1], 17.0),
                    truncated: false,
                    difficult: false,
                }],
            };
            let raw = xml::parse(annotation.to_xml().as_bytes()).unwrap();
            let corners = &raw.objects[0].corners;
            let found = [&corners[0], &corners[2]].map(|corner| corner.as_deref().unwrap());
            assert_eq!(found, [xmin, xmax], "{written:?}");
        }
    }
}
