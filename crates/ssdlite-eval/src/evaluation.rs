//! What the detection metrics are computed from: every image's objects and
//! detections, checked as they come in.

use serde::Serialize;
use ssdlite_core::{ClassId, ClassNames, Detection, GroundTruth, PixelBox};

use crate::error::{Error, Result};

/// The least overlap (IoU) at which a detection hits an object.
///
/// IoU counts boxes as areas with exclusive right and lower edges, without
/// the "+1 pixel" of the VOC devkit. A box that the devkit writes as the
/// inclusive pixels `xmin..=xmax` is `[xmin-1, xmax)` here, and then both IoUs
/// are equal.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct IouThreshold(f32);

impl IouThreshold {
    /// The threshold of VOC, 0.5, and the default.
    pub const HALF: Self = Self(0.5);

    /// A threshold above 0 and up to 1.
    ///
    /// # Errors
    /// [`Error::Malformed`] for any other number.
    pub fn new(threshold: f32) -> Result<Self> {
        if threshold > 0.0 && threshold <= 1.0 {
            Ok(Self(threshold))
        } else {
            Err(Error::Malformed(format!(
                "expected an IoU threshold above 0 and up to 1, found {threshold}"
            )))
        }
    }

    /// The threshold as a number.
    pub const fn get(self) -> f32 {
        self.0
    }

    /// Whether boxes that overlap by `iou` hit each other: an equal IoU does.
    pub(crate) fn reached_by(self, iou: f32) -> bool {
        iou >= self.0
    }
}

impl Default for IouThreshold {
    fn default() -> Self {
        Self::HALF
    }
}

/// The objects and detections of a set of images.
///
/// ```
/// use ssdlite_core::{ClassId, ClassNames, Detection, GroundTruth, PixelBox};
/// use ssdlite_eval::{Evaluation, IouThreshold, VocMetric};
///
/// let bbox = PixelBox::new(3.0, 5.0, 40.0, 30.0);
/// let object = GroundTruth { class: ClassId(0), bbox, difficult: false };
/// let found = Detection { class: ClassId(0), score: 0.9, bbox };
///
/// let mut evaluation = Evaluation::new(ClassNames::new(["cat", "dog"])?);
/// evaluation.add_image(&[object], &[found])?;
/// let report = evaluation.voc(VocMetric::ElevenPoint, IouThreshold::HALF);
/// assert_eq!(report.map, Some(1.0));
/// assert_eq!(report.per_class[1].ap, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Evaluation {
    classes: ClassNames,
    objects: Vec<GroundTruth>,
    detections: Vec<Detection>,
    ends: Vec<ImageEnd>,
}

/// Where an image's objects and detections end in the lists of all images.
#[derive(Clone, Copy, Debug, Default)]
struct ImageEnd {
    objects: usize,
    detections: usize,
}

/// One image of an evaluation.
#[derive(Clone, Copy)]
pub(crate) struct Image<'a> {
    pub(crate) objects: &'a [GroundTruth],
    pub(crate) detections: &'a [Detection],
}

impl Evaluation {
    /// An evaluation without images.
    pub fn new(classes: ClassNames) -> Self {
        Self {
            classes,
            objects: Vec::new(),
            detections: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Adds an image. Both lists may be empty and in any order; boxes are in
    /// pixels of that image.
    ///
    /// Where detections have equal scores, those added earlier rank higher.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming the image (counted from 0) and the entry,
    /// for a class that is not in the list, an object's box that is not finite
    /// or has no area, a detection's box that is not finite or has swapped
    /// corners (it may be empty: such a detection hits nothing), or a score
    /// that is not a number from 0 to 1. The evaluation is then unchanged.
    pub fn add_image(&mut self, objects: &[GroundTruth], detections: &[Detection]) -> Result<()> {
        let image = self.ends.len();
        for (index, object) in objects.iter().enumerate() {
            if let Some(fault) = self.fault_of_object(object) {
                return Err(Error::Malformed(format!(
                    "image {image}, object {index}: {fault}"
                )));
            }
        }
        for (index, detection) in detections.iter().enumerate() {
            if let Some(fault) = self.fault_of_detection(detection) {
                return Err(Error::Malformed(format!(
                    "image {image}, detection {index}: {fault}"
                )));
            }
        }
        self.objects.extend_from_slice(objects);
        self.detections.extend_from_slice(detections);
        self.ends.push(ImageEnd {
            objects: self.objects.len(),
            detections: self.detections.len(),
        });
        Ok(())
    }

    /// The classes that are told apart.
    pub const fn classes(&self) -> &ClassNames {
        &self.classes
    }

    /// The number of images added.
    pub const fn image_count(&self) -> usize {
        self.ends.len()
    }

    /// The number of objects to be found: difficult ones are not counted.
    pub fn object_count(&self) -> usize {
        let counted = self.objects.iter().filter(|object| !object.difficult);
        counted.count()
    }

    /// The number of detections added, at any score.
    pub const fn detection_count(&self) -> usize {
        self.detections.len()
    }

    /// The images in the order in which they were added.
    pub(crate) fn images(&self) -> impl ExactSizeIterator<Item = Image<'_>> {
        let mut start = ImageEnd::default();
        self.ends.iter().map(move |&end| {
            let image = Image {
                objects: &self.objects[start.objects..end.objects],
                detections: &self.detections[start.detections..end.detections],
            };
            start = end;
            image
        })
    }

    fn fault_of_object(&self, object: &GroundTruth) -> Option<String> {
        if !object.bbox.is_valid() {
            return Some(format!(
                "expected a box x1, y1, x2, y2 with an area, found {:?}",
                object.bbox.to_array()
            ));
        }
        self.fault_of_class(object.class)
    }

    fn fault_of_detection(&self, detection: &Detection) -> Option<String> {
        if !is_ordered(&detection.bbox) {
            return Some(format!(
                "expected a box x1, y1, x2, y2 with x2 >= x1 and y2 >= y1, found {:?}",
                detection.bbox.to_array()
            ));
        }
        if !(0.0..=1.0).contains(&detection.score) {
            return Some(format!(
                "expected a score from 0 to 1, found {}",
                detection.score
            ));
        }
        self.fault_of_class(detection.class)
    }

    fn fault_of_class(&self, class: ClassId) -> Option<String> {
        (class.index() >= self.classes.len()).then(|| {
            format!(
                "expected a class below {}, found {}",
                self.classes.len(),
                class.index()
            )
        })
    }
}

/// Refuses a least score of detections that is not from 0 to 1.
pub(crate) fn expect_least_score(min_score: f32) -> Result<()> {
    if (0.0..=1.0).contains(&min_score) {
        return Ok(());
    }
    Err(Error::Malformed(format!(
        "expected a least score from 0 to 1, found {min_score}"
    )))
}

fn is_ordered(bbox: &PixelBox) -> bool {
    let finite = bbox.to_array().iter().all(|value| value.is_finite());
    finite && bbox.x2 >= bbox.x1 && bbox.y2 >= bbox.y1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(class: u32, corners: [f32; 4]) -> GroundTruth {
        let [x1, y1, x2, y2] = corners;
        GroundTruth {
            class: ClassId(class),
            bbox: PixelBox::new(x1, y1, x2, y2),
            difficult: false,
        }
    }

    fn detection(class: u32, score: f32, corners: [f32; 4]) -> Detection {
        let object = object(class, corners);
        Detection {
            class: object.class,
            score,
            bbox: object.bbox,
        }
    }

    #[test]
    fn bad_input_is_named_and_not_added() {
        const BOX: [f32; 4] = [1.0, 2.0, 30.0, 40.0];
        let mut evaluation = Evaluation::new(ClassNames::new(["a", "b"]).unwrap());
        evaluation.add_image(&[], &[]).unwrap();
        let good = detection(0, 0.5, BOX);
        for (bad, message) in [
            (detection(2, 0.5, BOX), "class below 2, found 2"),
            (detection(0, f32::NAN, BOX), "found NaN"),
            (detection(0, 1.5, BOX), "score from 0 to 1, found 1.5"),
            (detection(0, 0.5, [1.0, 2.0, f32::INFINITY, 4.0]), "inf"),
            (detection(0, 0.5, [5.0, 2.0, 4.0, 4.0]), "x2 >= x1"),
        ] {
            let error = evaluation.add_image(&[], &[good, bad]).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("image 1, detection 1: "), "{text}");
            assert!(text.contains(message), "{text}");
        }
        for bad in [
            object(2, BOX),
            object(0, [1.0, 2.0, 1.0, 4.0]),
            object(0, [1.0, f32::NAN, 3.0, 4.0]),
        ] {
            let error = evaluation.add_image(&[object(1, BOX), bad], &[good]);
            let text = error.unwrap_err().to_string();
            assert!(text.starts_with("image 1, object 1: "), "{text}");
        }
        assert_eq!(evaluation.image_count(), 1);
        assert_eq!(evaluation.detection_count(), 0);
        assert_eq!(evaluation.object_count(), 0);
    }

    #[test]
    fn iou_thresholds_are_above_0_and_up_to_1() {
        for bad in [0.0, -0.5, 1.01, f32::NAN, f32::INFINITY] {
            assert!(IouThreshold::new(bad).is_err());
        }
        assert_eq!(IouThreshold::new(1.0).unwrap().get(), 1.0);
        // Three tenths of a box reach 0.3.
        let a = PixelBox::new(0.0, 0.0, 10.0, 7.0);
        let b = PixelBox::new(0.0, 0.0, 3.0, 7.0);
        assert!(IouThreshold::new(0.3).unwrap().reached_by(a.iou(&b)));
    }
}
