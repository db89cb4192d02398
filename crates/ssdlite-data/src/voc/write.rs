//! Annotation files in labelImg's style.

use std::fmt::Write;

use ssdlite_core::{ImageSize, PixelBox};

use crate::voc::layout::IMAGES;

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
    /// The box, inside of the image; edges are rounded to whole pixels.
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
            let [x1, y1, x2, y2] = object.bbox.to_array().map(f32::round);
            write!(
                xml,
                "\t<object>\n\t\t<name>{}</name>\n\t\t<pose>Unspecified</pose>\n\
                 \t\t<truncated>{}</truncated>\n\t\t<difficult>{}</difficult>\n\t\t<bndbox>\n\
                 \t\t\t<xmin>{}</xmin>\n\t\t\t<ymin>{}</ymin>\n\t\t\t<xmax>{x2}</xmax>\n\
                 \t\t\t<ymax>{y2}</ymax>\n\t\t</bndbox>\n\t</object>\n",
                escaped(object.name),
                u8::from(object.truncated),
                u8::from(object.difficult),
                x1 + 1.0,
                y1 + 1.0,
            )
            .expect("writing to a string can't fail");
        }
        xml.push_str("</annotation>\n");
        xml
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voc::xml;

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
}
