//! How good detections are.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use ssdlite::eval::{ClassAp, CocoReport, Evaluation, IouThreshold, VocMetric, VocReport};
use ssdlite::{ClassId, ClassNames, Detection, PixelBox};

use crate::arrays::{boxes, expect_one_each, numbers, rows_of_boxes, scores};
use crate::detections::Detections;
use crate::error::{Fault, detached};
use crate::ground_truth::GroundTruth;

/// How good detections are, judged by what each image holds.
///
/// ground_truths and detections: one an image, in the same order. Classes are compared by
/// name; detections should go down to low scores, such as those of a detector that was
/// loaded with score=0.01.
///
/// metric: 'voc07' (11 points), 'voc' (the area under the curve) or 'coco' (IoU 0.5 to
/// 0.95). iou: the least IoU of a hit, 0.5 unless given; COCO has its own.
///
/// Returns the report that `ssdlite eval --json` prints: metric, map, per_class, images,
/// objects and what else the metric has. Where there is nothing to take a number from it
/// is None.
#[pyfunction]
#[pyo3(signature = (ground_truths, detections, *, metric="voc07", iou=None))]
pub(crate) fn evaluate<'py>(
    py: Python<'py>,
    ground_truths: Vec<Bound<'py, GroundTruth>>,
    detections: Vec<Bound<'py, Detections>>,
    metric: &str,
    iou: Option<f32>,
) -> PyResult<Bound<'py, PyDict>> {
    let metric = Metric::new(metric, iou)?;
    let images = Images::new(&ground_truths, &detections)?;
    match detached(py, || metric.report(images))? {
        Report::Voc(report) => dict_from_voc(py, &report),
        Report::Coco(report) => dict_from_coco(py, &report),
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Metric {
    Voc(VocMetric, IouThreshold),
    Coco,
}

enum Report {
    Voc(VocReport),
    Coco(CocoReport),
}

impl Metric {
    fn new(name: &str, iou: Option<f32>) -> Result<Self, Fault> {
        let [eleven, area] = [VocMetric::ElevenPoint, VocMetric::Area];
        let voc = match name {
            "coco" if iou.is_some() => {
                return Err(Fault::Argument(
                    "iou: this would have no effect: COCO's are 0.5 to 0.95".into(),
                ));
            }
            "coco" => return Ok(Self::Coco),
            _ if name == eleven.name() => eleven,
            _ if name == area.name() => area,
            _ => {
                return Err(Fault::Argument(format!(
                    "metric: expected 'voc07', 'voc' or 'coco', found {name:?}"
                )));
            }
        };
        let iou = iou.map_or(Ok(IouThreshold::HALF), IouThreshold::new);
        Ok(Self::Voc(voc, iou.map_err(refused)?))
    }

    fn report(self, images: Images) -> Result<Report, Fault> {
        let evaluation = images.evaluation()?;
        Ok(match self {
            Self::Voc(metric, iou) => Report::Voc(evaluation.voc(metric, iou)),
            Self::Coco => Report::Coco(evaluation.coco().map_err(refused)?),
        })
    }
}

fn refused(error: ssdlite::eval::Error) -> Fault {
    Fault::Argument(error.to_string())
}

/// The objects and detections of all images, with classes numbered as their names
/// come.
#[derive(Default)]
struct Images {
    names: Names,
    images: Vec<(Vec<ssdlite::GroundTruth>, Vec<Detection>)>,
}

impl Images {
    fn new(
        ground_truths: &[Bound<'_, GroundTruth>],
        detections: &[Bound<'_, Detections>],
    ) -> PyResult<Self> {
        if ground_truths.len() != detections.len() {
            return Err(Fault::Argument(format!(
                "expected the detections of as many images as have ground truths, {}, found \
                 those of {}",
                ground_truths.len(),
                detections.len()
            ))
            .into());
        }
        let mut images = Self::default();
        for (truth, found) in ground_truths.iter().zip(detections) {
            let truth = images.names.objects(truth)?;
            let found = images.names.found(found)?;
            images.images.push((truth, found));
        }
        Ok(images)
    }

    fn evaluation(self) -> Result<Evaluation, Fault> {
        if self.names.classes.is_empty() {
            return Err(Fault::Argument(
                "expected objects or detections, found none in any image".into(),
            ));
        }
        let classes = ClassNames::new(self.names.classes);
        let classes = classes.map_err(|error| Fault::Argument(error.to_string()))?;
        let mut evaluation = Evaluation::new(classes);
        for (objects, detections) in &self.images {
            let added = evaluation.add_image(objects, detections);
            added.map_err(refused)?;
        }
        Ok(evaluation)
    }
}

/// The names of classes and their numbers. A name may come in several ways of writing,
/// which [`ClassNames`] takes for one.
#[derive(Default)]
struct Names {
    classes: Vec<String>,
    ids: HashMap<String, ClassId>,
}

impl Names {
    fn objects(&mut self, truth: &Bound<'_, GroundTruth>) -> PyResult<Vec<ssdlite::GroundTruth>> {
        let (py, truth) = (truth.py(), truth.get());
        // Arrays and lists may have been changed since they were checked.
        let boxes = rows_of_boxes(&boxes(truth.boxes.bind(py))?)?;
        let ids = self.ids_of(truth.names.bind(py).extract()?)?;
        let difficult: Vec<bool> = truth.difficult.bind(py).extract()?;
        let lists = [("names", ids.len()), ("difficult", difficult.len())];
        expect_one_each(boxes.len(), &lists)?;
        let objects = boxes.into_iter().zip(ids).zip(difficult);
        let objects = objects.map(|((bbox, class), difficult)| ssdlite::GroundTruth {
            class,
            bbox: box_from_corners(bbox),
            difficult,
        });
        Ok(objects.collect())
    }

    fn found(&mut self, found: &Bound<'_, Detections>) -> PyResult<Vec<Detection>> {
        let (py, found) = (found.py(), found.get());
        let boxes = rows_of_boxes(&boxes(found.boxes.bind(py))?)?;
        let scores = numbers(&scores(found.scores.bind(py))?)?;
        let ids = self.ids_of(found.names.bind(py).extract()?)?;
        let lists = [("scores", scores.len()), ("names", ids.len())];
        expect_one_each(boxes.len(), &lists)?;
        let detections = boxes.into_iter().zip(ids).zip(scores);
        let detections = detections.map(|((bbox, class), score)| Detection {
            class,
            score,
            bbox: box_from_corners(bbox),
        });
        Ok(detections.collect())
    }

    fn ids_of(&mut self, names: Vec<String>) -> Result<Vec<ClassId>, Fault> {
        names.into_iter().map(|name| self.id_of(name)).collect()
    }

    fn id_of(&mut self, name: String) -> Result<ClassId, Fault> {
        if let Some(&id) = self.ids.get(&name) {
            return Ok(id);
        }
        let refused = |fault: String| Fault::Argument(format!("class name {name:?}: {fault}"));
        if let Some(fault) = ClassNames::fault_of(name.trim()) {
            return Err(refused(fault));
        }
        let class = ClassNames::new([&name]).map_err(|error| refused(error.to_string()))?;
        let written = class.iter().collect::<String>();
        let id = match self.ids.get(&written) {
            Some(&id) => id,
            None => {
                let id = ClassId::from_index(self.classes.len());
                self.classes.push(written.clone());
                self.ids.insert(written, id);
                id
            }
        };
        self.ids.insert(name, id);
        Ok(id)
    }
}

fn box_from_corners([x1, y1, x2, y2]: [f32; 4]) -> PixelBox {
    PixelBox::new(x1, y1, x2, y2)
}

fn dict_from_voc<'py>(py: Python<'py>, report: &VocReport) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("metric", report.metric.name())?;
    dict.set_item("iou", report.iou.get())?;
    dict.set_item("map", report.map)?;
    dict.set_item("per_class", dict_from_classes(py, &report.per_class)?)?;
    dict.set_item("images", report.images)?;
    dict.set_item("objects", report.objects)?;
    Ok(dict)
}

fn dict_from_coco<'py>(py: Python<'py>, report: &CocoReport) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("metric", "coco")?;
    dict.set_item("map", report.map)?;
    dict.set_item("per_class", dict_from_classes(py, &report.per_class)?)?;
    dict.set_item("images", report.images)?;
    dict.set_item("objects", report.objects)?;
    for (name, number) in [
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
        dict.set_item(name, number)?;
    }
    Ok(dict)
}

/// Average precision by class name.
fn dict_from_classes<'py>(py: Python<'py>, classes: &[ClassAp]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for class in classes {
        dict.set_item(&class.name, class.ap)?;
    }
    Ok(dict)
}
