//! Objects: what an image holds, and what a detector says it holds.

use std::fmt;

use serde::Serialize;

use crate::classes::{ClassId, ClassNames};
use crate::geometry::PixelBox;

/// An object that a detector found in an image.
///
/// Prints as `class 3 0.91 at 12.5, 80.1, 96.0, 171.4`, and [with its class by
/// name](Self::named) as `cat 0.91 at 12.5, 80.1, 96.0, 171.4`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Its class.
    pub class: ClassId,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Where it is, in pixels of the original image.
    pub bbox: PixelBox,
}

impl Detection {
    /// The same with its class by name; `?` for a class that has none.
    pub fn named<'a>(&self, classes: &'a ClassNames) -> NamedDetection<'a> {
        NamedDetection {
            class: classes.get(self.class).unwrap_or("?"),
            score: self.score,
            bbox: self.bbox.to_array(),
        }
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = self.class.index();
        write!(f, "class {class} {:.2} at {}", self.score, self.bbox)
    }
}

/// A detection with its class by name.
///
/// Prints as `cat 0.91 at 12.5, 80.1, 96.0, 171.4`; its JSON, on the command line and
/// over HTTP, is `{"class": name, "score": p, "box": [x1, y1, x2, y2]}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct NamedDetection<'a> {
    /// The name of its class.
    pub class: &'a str,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Where it is, in pixels of the original image, from the top left, `x2` and
    /// `y2` exclusive.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
}

impl fmt::Display for NamedDetection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x1, y1, x2, y2] = self.bbox;
        let bbox = PixelBox::new(x1, y1, x2, y2);
        write!(f, "{} {:.2} at {bbox}", self.class, self.score)
    }
}

/// An object that an annotator marked in an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroundTruth {
    /// Its class.
    pub class: ClassId,
    /// Where it is, in pixels of the original image.
    pub bbox: PixelBox,
    /// Whether it is hard to make out: by VOC's rule a difficult object
    /// neither rewards nor punishes a detector.
    pub difficult: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detection_prints_its_class_its_score_and_its_box() {
        let classes = ClassNames::new(["dog", "cat"]).unwrap();
        let detection = Detection {
            class: ClassId::from_index(1),
            score: 0.914,
            bbox: PixelBox::new(12.5, 80.1, 96.0, 171.4),
        };
        assert_eq!(
            detection.named(&classes).to_string(),
            "cat 0.91 at 12.5, 80.1, 96.0, 171.4"
        );
        assert_eq!(
            detection.to_string(),
            "class 1 0.91 at 12.5, 80.1, 96.0, 171.4"
        );
    }

    #[test]
    fn json_has_the_names_and_the_order_that_programs_rely_on() {
        let classes = ClassNames::new(["cup", "mug"]).unwrap();
        let json = |index| {
            let detection = Detection {
                class: ClassId::from_index(index),
                score: 0.7,
                bbox: PixelBox::new(1.5, 2.0, 30.0, 40.1),
            };
            serde_json::to_string(&detection.named(&classes)).unwrap()
        };
        let mug = r#"{"class":"mug","score":0.7,"box":[1.5,2.0,30.0,40.1]}"#;
        assert_eq!(json(1), mug);
        assert_eq!(json(2), mug.replace("mug", "?"));
    }
}
