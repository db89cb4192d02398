//! Evaluations made by hand, with images of theirs.

use std::path::{Path, PathBuf};

use ssdlite_core::{ClassId, ClassNames, Detection, GroundTruth, ImageSize, PixelBox};
use ssdlite_eval::{Bootstrap, Comparison, ComparisonOptions, Evaluation, IouThreshold, VocMetric};
use ssdlite_image::{RgbImage, encode};
use ssdlite_report::{
    ComparedPage, ComparedSide, EvaluatedPage, ReportFolder, ShownData, ShownImage, ShownModel,
};

pub(crate) const LEAST_SCORE: f32 = 0.3;

/// Wider than a page shows it.
pub(crate) const SIZE: ImageSize = ImageSize::new(1200, 800);

/// What a name could do if it were not text.
pub(crate) const HOSTILE: &str =
    "</script></style><img src=x onerror=\"hurt()\"><script>hurt()</script>'&amp;\"";

pub(crate) type ImageData = (Vec<GroundTruth>, Vec<Detection>);

pub(crate) fn corners(place: u32) -> [f32; 4] {
    let x = 40.0 + 220.0 * place as f32;
    [x, 100.0, x + 180.0, 260.0]
}

pub(crate) fn object(class: u32, place: u32) -> GroundTruth {
    let [x1, y1, x2, y2] = corners(place);
    GroundTruth {
        class: ClassId(class),
        bbox: PixelBox::new(x1, y1, x2, y2),
        difficult: false,
    }
}

pub(crate) fn detection(class: u32, score: f32, place: u32) -> Detection {
    let GroundTruth { class, bbox, .. } = object(class, place);
    Detection { class, score, bbox }
}

fn beside(found: Detection) -> Detection {
    Detection {
        bbox: found.bbox.translated(90.0, 0.0),
        ..found
    }
}

/// An image for each kind of mistake, one without any, and one with several.
pub(crate) fn images() -> Vec<ImageData> {
    vec![
        (vec![object(0, 0)], vec![detection(0, 0.9, 0)]),
        (vec![object(0, 0)], vec![]),
        (vec![], vec![detection(1, 0.95, 2)]),
        (vec![object(1, 1)], vec![detection(0, 0.8, 1)]),
        (vec![object(0, 0)], vec![beside(detection(0, 0.7, 0))]),
        (vec![object(1, 3)], vec![beside(detection(0, 0.6, 3))]),
        (
            vec![object(1, 0)],
            vec![detection(1, 0.9, 0), detection(1, 0.5, 0)],
        ),
        (
            vec![object(0, 0), object(0, 1), object(1, 2)],
            vec![detection(1, 0.85, 4), detection(0, 0.4, 1)],
        ),
    ]
}

pub(crate) fn evaluation(classes: [&str; 2], images: &[ImageData]) -> Evaluation {
    let mut evaluation = Evaluation::new(ClassNames::new(classes).unwrap());
    for (objects, detections) in images {
        evaluation.add_image(objects, detections).unwrap();
    }
    evaluation
}

/// The images' files, which lie in `folder`, under hostile names.
pub(crate) fn data(folder: &Path, count: usize) -> ShownData {
    let image = |index: usize| {
        let path = folder.join(format!("photo {index}.png"));
        let shade = (40 + 25 * index) as u8;
        encode::save(&path, &RgbImage::filled(SIZE, [shade, 90, 120])).unwrap();
        ShownImage {
            name: format!("{index} {HOSTILE}"),
            path,
            size: SIZE,
        }
    };
    ShownData {
        name: format!("data {HOSTILE}"),
        images: (0..count).map(image).collect(),
        known_from: 0.01,
    }
}

pub(crate) fn model(name: &str) -> ShownModel {
    ShownModel {
        name: format!("{name} {HOSTILE}"),
        facts: vec![
            ("input".into(), "300x300".into()),
            (HOSTILE.into(), HOSTILE.into()),
        ],
        least_score: LEAST_SCORE,
    }
}

/// Writes the report of an evaluation into a folder inside `folder`; returns the page.
pub(crate) fn write_evaluated(folder: &Path, images: &[ImageData]) -> PathBuf {
    let found = evaluation(["cat", HOSTILE], images);
    let data = data(folder, images.len());
    let page = EvaluatedPage::new(&found, model("small"), data).unwrap();
    let report = ReportFolder::create(&folder.join("report")).unwrap();
    report.write_evaluated(&page).unwrap()
}

/// The same of a comparison with a detector that finds nothing in some of the images.
pub(crate) fn write_compared(folder: &Path) -> PathBuf {
    let better = images();
    let mut worse = images();
    for (_, detections) in worse.iter_mut().step_by(3) {
        detections.clear();
    }
    let [a, b] = [&better, &worse].map(|images| evaluation(["cat", HOSTILE], images));
    let options = ComparisonOptions {
        metric: VocMetric::Area,
        iou: IouThreshold::HALF,
        min_scores: [LEAST_SCORE; 2],
        bootstrap: Bootstrap {
            resamples: 100,
            seed: 0,
        },
    };
    let comparison = Comparison::new(&a, &b, &options).unwrap();
    let side = |evaluation, name| ComparedSide {
        evaluation,
        model: model(name),
    };
    let sides = [side(&a, "large"), side(&b, "small")];
    let page = ComparedPage::new(comparison, sides, data(folder, better.len())).unwrap();
    let report = ReportFolder::create(&folder.join("report")).unwrap();
    report.write_compared(&page).unwrap()
}
