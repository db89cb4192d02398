//! The detection-rate table: how many objects of each class are found.

use std::fmt;

use serde::Serialize;

use crate::confusion::ConfusionMatrix;
use crate::error::Result;
use crate::evaluation::{Evaluation, IouThreshold};
use crate::table::{Table, ratio, share};

/// What a detector does with the objects of one class, or of all classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// The class, or "all".
    pub name: String,
    /// Objects to be found, without difficult ones.
    pub objects: u64,
    /// Detections of the class that hit an object of the class.
    pub correct: u64,
    /// Detections of the class that hit an object of another class, or none.
    pub wrong: u64,
    /// Objects of the class without a correct detection: not hit at all, or
    /// taken for another class. `correct + missed = objects`.
    pub missed: u64,
    /// `correct / objects`, the detection rate; `None` without objects.
    pub correct_rate: Option<f64>,
    /// `wrong / (correct + wrong)`; `None` without detections.
    pub wrong_rate: Option<f64>,
    /// `missed / objects`; `None` without objects.
    pub missed_rate: Option<f64>,
}

impl Rates {
    fn new(name: &str, objects: u64, correct: u64, wrong: u64) -> Self {
        let missed = objects - correct;
        Self {
            name: name.to_owned(),
            objects,
            correct,
            wrong,
            missed,
            correct_rate: ratio(correct, objects),
            wrong_rate: ratio(wrong, correct + wrong),
            missed_rate: ratio(missed, objects),
        }
    }
}

/// The detection rates of all classes at a score threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectionRates {
    /// The least score of a detection.
    pub min_score: f32,
    /// The least IoU of a hit.
    pub iou: IouThreshold,
    /// All classes in the order of their ids.
    pub per_class: Vec<Rates>,
    /// The sums over all classes, and the rates of the sums.
    pub all: Rates,
}

impl fmt::Display for DetectionRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (score, iou) = (self.min_score, self.iou.get());
        writeln!(f, "Detections from score {score} at IoU {iou}")?;
        let mut table = Table::new([
            "class",
            "objects",
            "correct",
            "wrong",
            "missed",
            "correct rate",
            "wrong rate",
            "missed rate",
        ]);
        for rates in self.per_class.iter().chain([&self.all]) {
            table.row(vec![
                rates.name.clone(),
                rates.objects.to_string(),
                rates.correct.to_string(),
                rates.wrong.to_string(),
                rates.missed.to_string(),
                share(rates.correct_rate),
                share(rates.wrong_rate),
                share(rates.missed_rate),
            ]);
        }
        table.fmt(f)
    }
}

impl Evaluation {
    /// The detection rates of the detections that score at least `min_score`:
    /// sums over [`Evaluation::confusion`], whose matching they share.
    ///
    /// # Errors
    /// [`Error::Malformed`](crate::Error::Malformed) for a score that is not
    /// from 0 to 1.
    pub fn detection_rates(&self, min_score: f32, iou: IouThreshold) -> Result<DetectionRates> {
        let matrix = self.confusion(min_score, iou)?;
        let per_class = rates_from_confusion(&matrix, self.classes().len());
        let sum = |field: fn(&Rates) -> u64| per_class.iter().map(field).sum();
        let objects = sum(|rates| rates.objects);
        let correct = sum(|rates| rates.correct);
        let wrong = sum(|rates| rates.wrong);
        Ok(DetectionRates {
            min_score,
            iou,
            all: Rates::new("all", objects, correct, wrong),
            per_class,
        })
    }
}

fn rates_from_confusion(matrix: &ConfusionMatrix, classes: usize) -> Vec<Rates> {
    let mut correct = vec![0; classes];
    let mut objects = vec![0; classes];
    let mut detections = vec![0; classes];
    for (truth, row) in matrix.rows().enumerate() {
        for (class, &count) in row[..classes].iter().enumerate() {
            detections[class] += count;
        }
        if truth < classes {
            correct[truth] = row[truth];
            objects[truth] = row.iter().sum();
        }
    }
    let names = matrix.labels()[..classes].iter().enumerate();
    names
        .map(|(class, name)| {
            let wrong = detections[class] - correct[class];
            Rates::new(name, objects[class], correct[class], wrong)
        })
        .collect()
}
