//! Average precision and recall of the COCO challenges.
//!
//! The numbers come from the crate `hotcoco`, which follows pycocotools; this
//! module brings objects and detections into its form and back. COCO's areas
//! are those of boxes here, since there are no masks.

use std::fmt;

use hotcoco::params::IouType;
use hotcoco::{Annotation, COCO, COCOeval, Category, Dataset, Image};
use serde::Serialize;
use ssdlite_core::{ClassId, PixelBox};

use crate::error::{Error, Result};
use crate::evaluation::Evaluation;
use crate::per_class::{self, ClassAp, class_aps};
use crate::table::share;

/// COCO's numbers and the average precision of every class.
///
/// Every number is 0 to 1, and `None` where there are no objects to take it
/// from. Averages are over the classes that have objects and over the IoUs
/// 0.50, 0.55, ... 0.95 unless said otherwise. At most 100 detections of a
/// class count in an image unless said otherwise, those of the highest scores.
/// A small object is below 32x32 pixels, a large one from 96x96 up, a medium
/// one in between.
///
/// Its JSON begins with `"metric": "coco"`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "metric", rename = "coco")]
pub struct CocoReport {
    /// Average precision.
    pub map: Option<f64>,
    /// All classes in the order of their ids; in JSON `{name: ap}`.
    #[serde(serialize_with = "per_class::serialize_by_name")]
    pub per_class: Vec<ClassAp>,
    /// The number of images.
    pub images: usize,
    /// The number of objects to be found, without difficult ones.
    pub objects: usize,
    /// Average precision at IoU 0.50.
    pub ap50: Option<f64>,
    /// Average precision at IoU 0.75.
    pub ap75: Option<f64>,
    /// Average precision of small objects.
    pub ap_small: Option<f64>,
    /// Average precision of medium objects.
    pub ap_medium: Option<f64>,
    /// Average precision of large objects.
    pub ap_large: Option<f64>,
    /// Average recall with one detection of a class in an image.
    pub ar1: Option<f64>,
    /// Average recall with ten detections of a class in an image.
    pub ar10: Option<f64>,
    /// Average recall.
    pub ar100: Option<f64>,
    /// Average recall of small objects.
    pub ar_small: Option<f64>,
    /// Average recall of medium objects.
    pub ar_medium: Option<f64>,
    /// Average recall of large objects.
    pub ar_large: Option<f64>,
}

impl fmt::Display for CocoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "COCO AP at IoU 0.50:0.95, images: {}", self.images)?;
        per_class::write_table(f, &self.per_class, self.map)?;
        for (name, value) in [
            ("AP50", self.ap50),
            ("AP75", self.ap75),
            ("AP small", self.ap_small),
            ("AP medium", self.ap_medium),
            ("AP large", self.ap_large),
            ("AR 1", self.ar1),
            ("AR 10", self.ar10),
            ("AR 100", self.ar100),
            ("AR small", self.ar_small),
            ("AR medium", self.ar_medium),
            ("AR large", self.ar_large),
        ] {
            writeln!(f, "{name:<9}  {}", share(value))?;
        }
        Ok(())
    }
}

impl Evaluation {
    /// COCO average precision and recall.
    ///
    /// A difficult object is taken as a crowd (`iscrowd`), which is how COCO
    /// says that it neither rewards nor punishes: any number of detections
    /// are left out on it, and each needs only that share of its own area on
    /// the object. A class without objects has no average precision and is
    /// left out of the mean.
    ///
    /// # Errors
    /// [`Error::Coco`] if the evaluator refuses its input, which the checks of
    /// [`Evaluation::add_image`] rule out.
    pub fn coco(&self) -> Result<CocoReport> {
        let refused = |error: hotcoco::Error| Error::Coco(error.to_string());
        let truth = COCO::from_dataset(self.coco_dataset());
        let found = truth
            .load_res_anns(self.coco_detections())
            .map_err(refused)?;
        let mut evaluator = COCOeval::new(truth, found, IouType::Bbox);
        evaluator.evaluate().map_err(refused)?;
        evaluator.accumulate();
        // `summarize` prints; this computes the same numbers and does not.
        evaluator.summarize_lines();
        let stats: [f64; 12] = evaluator
            .stats()
            .and_then(|stats| stats.try_into().ok())
            .ok_or_else(|| Error::Coco("expected twelve numbers".into()))?;
        // COCO writes -1 for what can't be computed.
        let stats = stats.map(|value| (value >= 0.0).then_some(value));
        let [
            map,
            ap50,
            ap75,
            ap_small,
            ap_medium,
            ap_large,
            ar1,
            ar10,
            ar100,
            ar_small,
            ar_medium,
            ar_large,
        ] = stats;
        let results = evaluator.get_results(None, true);
        let aps = self
            .classes()
            .iter()
            .map(|name| results.get(&format!("AP/{name}")).copied())
            .collect();
        Ok(CocoReport {
            map,
            per_class: class_aps(self, aps),
            images: self.image_count(),
            objects: self.object_count(),
            ap50,
            ap75,
            ap_small,
            ap_medium,
            ap_large,
            ar1,
            ar10,
            ar100,
            ar_small,
            ar_medium,
            ar_large,
        })
    }

    fn coco_dataset(&self) -> Dataset {
        let mut dataset = Dataset::default();
        for (class, name) in self.classes().ids().zip(self.classes().iter()) {
            dataset.categories.push(Category {
                id: category_id(class),
                name: name.to_owned(),
                ..Category::default()
            });
        }
        for (image, index) in self.images().zip(1..) {
            dataset.images.push(Image {
                id: index,
                ..Image::default()
            });
            for object in image.objects {
                dataset.annotations.push(Annotation {
                    id: dataset.annotations.len() as u64 + 1,
                    image_id: index,
                    category_id: category_id(object.class),
                    bbox: Some(coco_box(&object.bbox)),
                    iscrowd: object.difficult,
                    ..Annotation::default()
                });
            }
        }
        dataset
    }

    fn coco_detections(&self) -> Vec<Annotation> {
        let mut annotations = Vec::with_capacity(self.detection_count());
        for (image, index) in self.images().zip(1..) {
            for detection in image.detections {
                annotations.push(Annotation {
                    image_id: index,
                    category_id: category_id(detection.class),
                    bbox: Some(coco_box(&detection.bbox)),
                    score: Some(f64::from(detection.score)),
                    ..Annotation::default()
                });
            }
        }
        annotations
    }
}

/// COCO counts categories from 1.
fn category_id(class: ClassId) -> u64 {
    u64::from(class.0) + 1
}

/// COCO's `[x, y, width, height]`.
fn coco_box(bbox: &PixelBox) -> [f64; 4] {
    let [x1, y1, x2, y2] = bbox.to_array().map(f64::from);
    [x1, y1, x2 - x1, y2 - y1]
}
