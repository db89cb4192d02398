//! Accuracy of a classifier, from the scores that it gives to all classes.

use std::fmt;

use serde::{Serialize, Serializer};
use ssdlite_core::{ClassId, ClassNames};

use crate::confusion::ConfusionMatrix;
use crate::error::{Error, Result};
use crate::table::{Table, ratio, share};

/// How many of the best classes may hold the true one for top-5.
const TOP: usize = 5;

/// Counts a classifier's answers image by image.
#[derive(Clone, Debug)]
pub struct Classification {
    classes: ClassNames,
    matrix: ConfusionMatrix,
    images: u64,
    correct: u64,
    correct_in_top_5: u64,
}

impl Classification {
    /// A count without images.
    pub fn new(classes: ClassNames) -> Self {
        let labels = classes.iter().map(str::to_owned).collect();
        Self {
            classes,
            matrix: ConfusionMatrix::new(labels),
            images: 0,
            correct: 0,
            correct_in_top_5: 0,
        }
    }

    /// Adds an image of class `truth` with one score for each class, higher
    /// for likelier classes: probabilities or logits. Of equal scores that of
    /// the lower class id counts as the higher, so that a network that gives
    /// all classes the same score is not right about each of them.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming the image (counted from 0), for a class
    /// that is not in the list, another number of scores than of classes, or
    /// a score that is not finite. The count is then unchanged.
    pub fn add_image(&mut self, truth: ClassId, scores: &[f32]) -> Result<()> {
        if let Some(fault) = self.fault_of_image(truth, scores) {
            return Err(Error::Malformed(format!("image {}: {fault}", self.images)));
        }
        let truth = truth.index();
        let mut predicted = 0;
        let mut better = 0;
        for (class, &score) in scores.iter().enumerate() {
            if score > scores[predicted] {
                predicted = class;
            }
            if score > scores[truth] || (score == scores[truth] && class < truth) {
                better += 1;
            }
        }
        self.images += 1;
        self.correct += u64::from(better == 0);
        self.correct_in_top_5 += u64::from(better < TOP);
        self.matrix.count(truth, predicted);
        Ok(())
    }

    /// The classes that are told apart.
    pub const fn classes(&self) -> &ClassNames {
        &self.classes
    }

    /// The metrics of the images added so far.
    pub fn report(&self) -> ClassificationReport {
        let names = self.classes.iter().zip(self.matrix.rows()).enumerate();
        let per_class = names.map(|(class, (name, row))| {
            let images = row.iter().sum();
            ClassAccuracy {
                name: name.to_owned(),
                images,
                correct: row[class],
                accuracy: ratio(row[class], images),
            }
        });
        ClassificationReport {
            top1: ratio(self.correct, self.images),
            top5: ratio(self.correct_in_top_5, self.images),
            per_class: per_class.collect(),
            images: self.images,
            confusion: self.matrix.clone(),
        }
    }

    fn fault_of_image(&self, truth: ClassId, scores: &[f32]) -> Option<String> {
        let classes = self.classes.len();
        if truth.index() >= classes {
            return Some(format!(
                "expected a class below {classes}, found {}",
                truth.index()
            ));
        }
        if scores.len() != classes {
            return Some(format!("expected {classes} scores, found {}", scores.len()));
        }
        let bad = scores.iter().position(|score| !score.is_finite())?;
        Some(format!(
            "expected a finite score of class {bad}, found {}",
            scores[bad]
        ))
    }
}

/// How often a classifier is right about the images of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassAccuracy {
    /// The class.
    pub name: String,
    /// Images of the class.
    pub images: u64,
    /// Those of them for which it has the highest score.
    pub correct: u64,
    /// `correct / images`; `None` without images.
    pub accuracy: Option<f64>,
}

/// The accuracy of a classifier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassificationReport {
    /// The share of images whose class has the highest score; `None` without
    /// images.
    pub top1: Option<f64>,
    /// The share of images whose class is among the five of highest score,
    /// which is 1 where there are no more than five; `None` without images.
    pub top5: Option<f64>,
    /// All classes in the order of their ids; in JSON `{name: accuracy}`.
    #[serde(serialize_with = "serialize_by_name")]
    pub per_class: Vec<ClassAccuracy>,
    /// The number of images.
    pub images: u64,
    /// True class against the class with the highest score.
    pub confusion: ConfusionMatrix,
}

fn serialize_by_name<S: Serializer>(
    classes: &[ClassAccuracy],
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(classes.iter().map(|class| (&class.name, class.accuracy)))
}

/// Top-1, top-5 and the accuracy of each class; the confusion matrix prints
/// by itself.
impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (top1, top5) = (share(self.top1), share(self.top5));
        writeln!(f, "top-1 {top1}, top-5 {top5}, images: {}", self.images)?;
        let mut table = Table::new(["class", "images", "correct", "accuracy"]);
        for class in &self.per_class {
            table.row(vec![
                class.name.clone(),
                class.images.to_string(),
                class.correct.to_string(),
                share(class.accuracy),
            ]);
        }
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seven_classes() -> Classification {
        Classification::new(ClassNames::new(["a", "b", "c", "d", "e", "f", "g"]).unwrap())
    }

    /// Scores that put class 6 first and class 0 last.
    const RISING: [f32; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];

    #[test]
    fn top_1_and_top_5_count_ranks() {
        let mut counts = seven_classes();
        for class in 0..7 {
            counts.add_image(ClassId(class), &RISING).unwrap();
        }
        let report = counts.report();
        assert_eq!(report.top1, Some(1.0 / 7.0));
        assert_eq!(report.top5, Some(5.0 / 7.0));
        assert_eq!(report.per_class[6].accuracy, Some(1.0));
        assert_eq!(report.per_class[0].accuracy, Some(0.0));
        for truth in 0..7 {
            assert_eq!(report.confusion.get(truth, 6), Some(1));
            assert_eq!(report.confusion.get(truth, 0), Some(0));
        }
        assert_eq!(report.confusion.get(0, 7), None);
        assert_eq!(report.confusion.get(7, 0), None);
    }

    #[test]
    fn equal_scores_are_right_about_one_class_only() {
        let mut counts = seven_classes();
        for class in 0..7 {
            counts.add_image(ClassId(class), &[0.125; 7]).unwrap();
        }
        let report = counts.report();
        assert_eq!(report.top1, Some(1.0 / 7.0));
        assert_eq!(report.top5, Some(5.0 / 7.0));
        assert_eq!(report.per_class[0].correct, 1);
    }

    #[test]
    fn classes_without_images_have_no_accuracy() {
        let mut counts = seven_classes();
        let empty = counts.report();
        assert_eq!((empty.top1, empty.top5), (None, None));
        counts.add_image(ClassId(6), &RISING).unwrap();
        counts.add_image(ClassId(4), &RISING).unwrap();
        let report = counts.report();
        assert_eq!(report.top1, Some(0.5));
        assert_eq!(report.top5, Some(1.0));
        assert_eq!(report.per_class[1].accuracy, None);
        let text = report.to_string();
        assert!(text.starts_with("top-1 0.5000, top-5 1.0000, images: 2\n"));
        assert!(
            text.contains("b           0        0         -\n"),
            "{text}"
        );
        let json = serde_json::to_string(&report).unwrap();
        let start = r#"{"top1":0.5,"top5":1.0,"per_class":{"a":null,"b":null,"#;
        assert!(json.starts_with(start), "{json}");
    }

    #[test]
    fn bad_scores_are_refused_and_not_counted() {
        let mut counts = seven_classes();
        let mut nan = RISING;
        nan[5] = f32::NAN;
        for (class, scores, message) in [
            (7, &RISING[..], "image 0: expected a class below 7, found 7"),
            (0, &RISING[1..], "image 0: expected 7 scores, found 6"),
            (
                0,
                &nan,
                "image 0: expected a finite score of class 5, found NaN",
            ),
        ] {
            let error = counts.add_image(ClassId(class), scores).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        assert_eq!(counts.report().images, 0);
    }
}
