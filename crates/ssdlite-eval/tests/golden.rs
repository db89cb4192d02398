//! VOC and COCO average precision, and score thresholds, against golden numbers,
//! which `reference/average_precision.py` and `reference/score_thresholds.py` make
//! from the same formula.

use serde_json::Value;
use ssdlite_core::{ClassId, ClassNames, Detection, GroundTruth, PixelBox};
use ssdlite_eval::{Evaluation, IouThreshold, ScoreCurve, VocMetric};

const GOLDEN: &str = include_str!("golden/average_precision.json");
const THRESHOLDS: &str = include_str!("golden/score_thresholds.json");

const CLASSES: u32 = 5;
const WITHOUT_OBJECTS: u32 = 3;
const ONLY_DIFFICULT: u32 = 4;
const IMAGES: usize = 23;

/// The linear congruential generator of Numerical Recipes.
struct Numbers(u32);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) % bound
    }

    fn object(&mut self) -> GroundTruth {
        let mut class = self.below(CLASSES - 1);
        if class == WITHOUT_OBJECTS {
            class = ONLY_DIFFICULT;
        }
        let (x, y) = (self.below(400), self.below(300));
        let largest = [24, 80, 240][self.below(3) as usize];
        let x2 = x + 8 + self.below(largest);
        let y2 = y + 8 + self.below(largest);
        let difficult = self.below(6) == 0 || class == ONLY_DIFFICULT;
        GroundTruth {
            class: ClassId(class),
            bbox: PixelBox::new(x as f32, y as f32, x2 as f32, y2 as f32),
            difficult,
        }
    }

    /// A box near that of an object, of the same class four times out of five.
    fn near(&mut self, object: &GroundTruth) -> Detection {
        let side = 1 + object.bbox.width() as u32 / 4;
        let corners = object.bbox.to_array();
        let [x1, y1, x2, y2] =
            corners.map(|c| c + (self.below(side * 4) as f32 - (side * 2) as f32) / 4.0);
        let other = self.below(5) == 0;
        Detection {
            class: if other {
                ClassId(self.below(CLASSES))
            } else {
                object.class
            },
            score: 0.0,
            bbox: PixelBox::new(x1, y1, x2.max(x1), y2.max(y1)),
        }
    }

    fn anywhere(&mut self) -> Detection {
        let (x, y) = (self.below(400), self.below(300));
        let (x2, y2) = (x + self.below(90), y + self.below(90));
        Detection {
            class: ClassId(self.below(CLASSES)),
            score: 0.0,
            bbox: PixelBox::new(x as f32, y as f32, x2 as f32, y2 as f32),
        }
    }
}

fn evaluation(seed: u32) -> Evaluation {
    let mut numbers = Numbers(seed);
    let names = (0..CLASSES).map(|class| class.to_string());
    let mut evaluation = Evaluation::new(ClassNames::new(names).unwrap());
    for _ in 0..IMAGES {
        let mut objects = Vec::new();
        let mut detections = Vec::new();
        for _ in 0..numbers.below(7) {
            let object = numbers.object();
            for _ in 0..numbers.below(4) {
                detections.push(numbers.near(&object));
            }
            objects.push(object);
        }
        for _ in 0..numbers.below(6) {
            detections.push(numbers.anywhere());
        }
        for detection in &mut detections {
            detection.score = numbers.below(65) as f32 / 64.0;
        }
        evaluation.add_image(&objects, &detections).unwrap();
    }
    evaluation
}

fn cases(golden: &str) -> Vec<(Evaluation, Value)> {
    let cases: Vec<Value> = serde_json::from_str(golden).unwrap();
    assert!(!cases.is_empty());
    let seed = |case: &Value| u32::try_from(case["seed"].as_u64().unwrap()).unwrap();
    cases
        .into_iter()
        .map(|case| (evaluation(seed(&case)), case))
        .collect()
}

fn assert_close(found: Option<f64>, golden: &Value, what: &str) {
    match (found, golden.as_f64()) {
        (None, None) => assert!(golden.is_null(), "{what}: no golden number"),
        (Some(found), Some(golden)) => {
            assert!((found - golden).abs() < 1e-9, "{what}: {found}, {golden}");
        }
        (found, golden) => panic!("{what}: {found:?}, {golden:?}"),
    }
}

#[test]
fn voc_agrees_with_the_devkit() {
    for (evaluation, case) in cases(GOLDEN) {
        for metric in [VocMetric::ElevenPoint, VocMetric::Area] {
            for iou in [0.5, 0.3] {
                let report = evaluation.voc(metric, IouThreshold::new(iou).unwrap());
                let golden = &case[format!("{}@{iou}", metric.name())];
                for (class, found) in report.per_class.iter().enumerate() {
                    let what = format!("seed {} {metric} {iou} {class}", case["seed"]);
                    assert_close(found.ap, &golden[class], &what);
                }
            }
        }
    }
}

#[test]
fn coco_agrees_with_pycocotools() {
    for (evaluation, case) in cases(GOLDEN) {
        let report = evaluation.coco().unwrap();
        let golden = &case["coco"];
        for (class, found) in report.per_class.iter().enumerate() {
            let what = format!("seed {} coco class {class}", case["seed"]);
            assert_close(found.ap, &golden["per_class"][class], &what);
        }
        for (key, found) in [
            ("map", report.map),
            ("ap50", report.ap50),
            ("ap75", report.ap75),
            ("ap_small", report.ap_small),
            ("ap_medium", report.ap_medium),
            ("ap_large", report.ap_large),
            ("ar1", report.ar1),
            ("ar10", report.ar10),
            ("ar100", report.ar100),
            ("ar_small", report.ar_small),
            ("ar_medium", report.ar_medium),
            ("ar_large", report.ar_large),
        ] {
            assert_close(found, &golden[key], &format!("seed {} {key}", case["seed"]));
        }
    }
}

#[test]
fn thresholds_agree_with_the_rule_written_down_again() {
    for (evaluation, case) in cases(THRESHOLDS) {
        let curves = evaluation.score_curves(IouThreshold::HALF, 0.0);
        assert_eq!(case["objects"], curves.all.objects);
        let tenths: Vec<[usize; 2]> = curves
            .all
            .tenths()
            .map(|point| [point.detections, point.correct])
            .collect();
        assert_eq!(case["tenths"], serde_json::json!(tenths));
        let golden = case["per_class"].as_array().unwrap();
        assert_eq!(golden.len(), curves.per_class.len());
        let classes = curves.per_class.iter().zip(golden);
        for (curve, golden) in classes.chain([(&curves.all, &case["all"])]) {
            let what = format!("seed {} {}", case["seed"], curve.name);
            assert_threshold(curve, golden, &what);
        }
    }
}

fn assert_threshold(curve: &ScoreCurve, golden: &Value, what: &str) {
    let found = curve.suggestion().map(|suggestion| suggestion.point);
    let Some(found) = found else {
        assert!(golden.is_null(), "{what}: {golden}");
        return;
    };
    let score = golden[0].as_f64().unwrap_or(f64::NAN);
    let apart = (f64::from(found.score) - score).abs();
    assert!(apart < 1e-6, "{what}: {found:?}, {golden}");
    assert_eq!(golden[1], found.detections, "{what}");
    assert_eq!(golden[2], found.correct, "{what}");
}
