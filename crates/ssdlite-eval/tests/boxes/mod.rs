//! Objects, detections and evaluations, written short.

use ssdlite_core::{ClassId, ClassNames, Detection, GroundTruth, PixelBox};
use ssdlite_eval::Evaluation;

pub(crate) const CAT: u32 = 0;
pub(crate) const DOG: u32 = 1;

pub(crate) type ImageData = (Vec<GroundTruth>, Vec<Detection>);

pub(crate) fn object(class: u32, corners: [f32; 4]) -> GroundTruth {
    let [x1, y1, x2, y2] = corners;
    GroundTruth {
        class: ClassId(class),
        bbox: PixelBox::new(x1, y1, x2, y2),
        difficult: false,
    }
}

pub(crate) fn difficult(class: u32, corners: [f32; 4]) -> GroundTruth {
    GroundTruth {
        difficult: true,
        ..object(class, corners)
    }
}

pub(crate) fn detection(class: u32, score: f32, corners: [f32; 4]) -> Detection {
    let GroundTruth { class, bbox, .. } = object(class, corners);
    Detection { class, score, bbox }
}

/// An evaluation of cats, dogs and yaks, of which there are none.
pub(crate) fn evaluation(images: &[ImageData]) -> Evaluation {
    let mut evaluation = Evaluation::new(ClassNames::new(["cat", "dog", "yak"]).unwrap());
    for (objects, detections) in images {
        evaluation.add_image(objects, detections).unwrap();
    }
    evaluation
}
