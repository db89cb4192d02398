//! Confusion matrices: what there was against what was predicted.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::evaluation::{Evaluation, Image, IouThreshold};
use crate::table::Table;

/// The label of the row and column that stand for no object.
const BACKGROUND: &str = "background";

/// How often each label was predicted where each label was true.
///
/// Prints as a table whose columns are numbered as its rows; its JSON is
/// `{"labels": [...], "counts": [[...], ...]}` with a list for each true label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    labels: Vec<String>,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    pub(crate) fn new(labels: Vec<String>) -> Self {
        let counts = vec![0; labels.len() * labels.len()];
        Self { labels, counts }
    }

    pub(crate) fn count(&mut self, truth: usize, predicted: usize) {
        let index = truth * self.labels.len() + predicted;
        self.counts[index] += 1;
    }

    /// The labels of rows and columns: the classes in the order of their ids,
    /// and for detections "background" last.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// How often `predicted` was said where `truth` was, both as indices of
    /// [`Self::labels`]; `None` outside the matrix.
    pub fn get(&self, truth: usize, predicted: usize) -> Option<u64> {
        self.row(truth)?.get(predicted).copied()
    }

    /// The counts of all predictions where `truth` was, in the order of
    /// labels; `None` outside the matrix.
    pub fn row(&self, truth: usize) -> Option<&[u64]> {
        self.counts.chunks_exact(self.labels.len()).nth(truth)
    }

    /// All rows in the order of labels.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.counts.chunks_exact(self.labels.len())
    }
}

impl Serialize for ConfusionMatrix {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let rows: Vec<&[u64]> = self.rows().collect();
        let mut object = serializer.serialize_struct("ConfusionMatrix", 2)?;
        object.serialize_field("labels", &self.labels)?;
        object.serialize_field("counts", &rows)?;
        object.end()
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Rows: what there was. Columns: what was predicted.")?;
        let numbers = (0..self.labels.len()).map(|index| index.to_string());
        let mut table = Table::new(std::iter::once("class".to_owned()).chain(numbers));
        for (index, (label, row)) in self.labels.iter().zip(self.rows()).enumerate() {
            let mut cells = vec![format!("{index} {label}")];
            cells.extend(row.iter().map(u64::to_string));
            table.row(cells);
        }
        table.fmt(f)
    }
}

impl Evaluation {
    /// The confusion matrix of the detections that score at least `min_score`,
    /// with a last row and column for the background.
    ///
    /// In each image, whatever their classes, the object and the detection
    /// that overlap most are paired, of equal overlaps that with the higher
    /// score, and so on among the rest down to an IoU of `iou`. A pair counts
    /// at its two classes, an object left over as background predicted, a
    /// detection left over as background in truth. Difficult objects are not
    /// counted, and neither is a detection left over that reaches `iou` with
    /// one of them.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a score that is not from 0 to 1.
    pub fn confusion(&self, min_score: f32, iou: IouThreshold) -> Result<ConfusionMatrix> {
        if !(0.0..=1.0).contains(&min_score) {
            return Err(Error::Malformed(format!(
                "expected a least score from 0 to 1, found {min_score}"
            )));
        }
        let names = self.classes().iter().chain(std::iter::once(BACKGROUND));
        let mut matrix = ConfusionMatrix::new(names.map(str::to_owned).collect());
        for image in self.images() {
            count_image(&mut matrix, image, min_score, iou);
        }
        Ok(matrix)
    }
}

struct Pair {
    object: usize,
    detection: usize,
    overlap: f32,
    score: f32,
}

fn count_image(matrix: &mut ConfusionMatrix, image: Image<'_>, min_score: f32, iou: IouThreshold) {
    let background = matrix.labels.len() - 1;
    let mut found = vec![false; image.objects.len()];
    let mut used = vec![false; image.detections.len()];
    for pair in pairs_by_overlap(image, min_score, iou) {
        if !found[pair.object] && !used[pair.detection] {
            found[pair.object] = true;
            used[pair.detection] = true;
            let truth = image.objects[pair.object].class.index();
            let predicted = image.detections[pair.detection].class.index();
            matrix.count(truth, predicted);
        }
    }
    for (object, found) in image.objects.iter().zip(found) {
        if !found && !object.difficult {
            matrix.count(object.class.index(), background);
        }
    }
    for (detection, used) in image.detections.iter().zip(used) {
        let on_difficult = || {
            let mut difficult = image.objects.iter().filter(|object| object.difficult);
            difficult.any(|object| iou.reached_by(object.bbox.iou(&detection.bbox)))
        };
        if !used && detection.score >= min_score && !on_difficult() {
            matrix.count(background, detection.class.index());
        }
    }
}

/// All pairs of an object that counts and a detection that hit each other,
/// the best first.
fn pairs_by_overlap(image: Image<'_>, min_score: f32, iou: IouThreshold) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (detection, found) in image.detections.iter().enumerate() {
        if found.score < min_score {
            continue;
        }
        for (object, truth) in image.objects.iter().enumerate() {
            let overlap = truth.bbox.iou(&found.bbox);
            if !truth.difficult && iou.reached_by(overlap) {
                pairs.push(Pair {
                    object,
                    detection,
                    overlap,
                    score: found.score,
                });
            }
        }
    }
    pairs.sort_by(|a, b| {
        let by_overlap = b.overlap.total_cmp(&a.overlap);
        by_overlap.then(b.score.total_cmp(&a.score))
    });
    pairs
}
