//! Confusion matrices: what there was against what was predicted.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::error::Result;
use crate::evaluation::{Evaluation, Image, IouThreshold, expect_least_score};
use crate::table::{Table, cut, percent, ratio};

/// The label of the row and column that stand for no object. No class has it.
const BACKGROUND: &str = "background";

/// More labels than this make a table that no terminal shows.
const MOST_PRINTED_LABELS: usize = 13;

/// Confusions that are printed where the table is too large.
const MOST_PRINTED_CONFUSIONS: usize = 20;

/// Characters of a label above a column.
const COLUMN_LENGTH: usize = 14;

/// Characters of a label before a row.
const ROW_LENGTH: usize = 32;

/// How often each label was predicted where each label was true.
///
/// Prints as a table, with the share of its row behind each count, and beyond
/// 13 labels as a list of the most frequent confusions; its JSON is
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

    /// The share of all predictions where `truth` was that said `predicted`, 0 to 1;
    /// `None` outside the matrix and where `truth` never was.
    pub fn share(&self, truth: usize, predicted: usize) -> Option<f64> {
        let total = self.row(truth)?.iter().sum();
        ratio(self.get(truth, predicted)?, total)
    }

    /// The same in percent, for people.
    pub fn percent(&self, truth: usize, predicted: usize) -> String {
        let total = self.row(truth).unwrap_or_default().iter().sum();
        percent(self.get(truth, predicted).unwrap_or_default(), total)
    }

    /// What was predicted where something else was, the most frequent first, and of
    /// equally frequent ones in the order of labels.
    pub fn confusions(&self) -> Vec<Confusion> {
        let rows = self.rows().enumerate();
        let cells = rows.flat_map(|(truth, row)| {
            let cells = row.iter().enumerate();
            cells.map(move |(predicted, &count)| Confusion {
                truth,
                predicted,
                count,
            })
        });
        let is_confused = |cell: &Confusion| cell.truth != cell.predicted && cell.count > 0;
        let mut confusions: Vec<Confusion> = cells.filter(is_confused).collect();
        confusions.sort_by_key(|confusion| std::cmp::Reverse(confusion.count));
        confusions
    }

    /// The matrix of the `most` classes with the most mistakes, as what there was or
    /// as what was predicted, in which all others are one label, "N other classes",
    /// before the background. No row's sum changes but that of the others'. The
    /// same matrix if there are no more classes, or only one more.
    #[must_use]
    pub fn of_most_confused(&self, most: usize) -> Self {
        let is_background = |label: &String| label == BACKGROUND;
        let classes = self.labels.iter().take_while(|label| !is_background(label));
        let classes = classes.count();
        if classes <= most.saturating_add(1) {
            return self.clone();
        }
        let mut mistakes = vec![0; self.labels.len()];
        for confusion in self.confusions() {
            mistakes[confusion.truth] += confusion.count;
            mistakes[confusion.predicted] += confusion.count;
        }
        let mut by_mistakes: Vec<usize> = (0..classes).collect();
        by_mistakes.sort_by_key(|&class| std::cmp::Reverse(mistakes[class]));
        let mut kept = by_mistakes[..most].to_vec();
        kept.sort_unstable();

        let mut place = vec![most; classes];
        for (index, &class) in kept.iter().enumerate() {
            place[class] = index;
        }
        let mut labels: Vec<String> = kept
            .iter()
            .map(|&class| self.labels[class].clone())
            .collect();
        labels.push(format!("{} other classes", classes - most));
        for label in &self.labels[classes..] {
            place.push(labels.len());
            labels.push(label.clone());
        }
        let mut small = Self::new(labels);
        for (truth, row) in self.rows().enumerate() {
            for (predicted, count) in row.iter().enumerate() {
                let index = place[truth] * small.labels.len() + place[predicted];
                small.counts[index] += count;
            }
        }
        small
    }

    /// All rows in the order of labels.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.counts.chunks_exact(self.labels.len())
    }
}

/// A label that was predicted where another one was true, both as indices of
/// [`ConfusionMatrix::labels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confusion {
    /// What there was.
    pub truth: usize,
    /// What was predicted.
    pub predicted: usize,
    /// How often.
    pub count: u64,
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
        if self.labels.len() > MOST_PRINTED_LABELS {
            return self.write_confusions(f);
        }
        writeln!(
            f,
            "Rows: what there was. Columns: what was predicted, with its share of the row."
        )?;
        let name = |(index, label): (usize, &String), length| {
            let label = cut(label, length);
            format!("{index} {label}")
        };
        let columns = self.labels.iter().enumerate();
        let columns = columns.map(|label| name(label, COLUMN_LENGTH));
        let corner = "true \\ predicted".to_owned();
        let mut table = Table::new(std::iter::once(corner).chain(columns));
        for (label, row) in self.labels.iter().enumerate().zip(self.rows()) {
            let truth = label.0;
            let mut cells = vec![name(label, ROW_LENGTH)];
            cells.extend(
                row.iter()
                    .enumerate()
                    .map(|(predicted, count)| match count {
                        0 => "0".to_owned(),
                        _ => format!("{count} {}", self.percent(truth, predicted)),
                    }),
            );
            table.row(cells);
        }
        table.fmt(f)
    }
}

impl ConfusionMatrix {
    fn write_confusions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let confusions = self.confusions();
        let shown = &confusions[..confusions.len().min(MOST_PRINTED_CONFUSIONS)];
        match confusions.len() {
            0 => return writeln!(f, "Nothing was confused."),
            all if all > shown.len() => writeln!(
                f,
                "The {} most frequent of {all} confusions, with their share of what there was:",
                shown.len()
            )?,
            _ => writeln!(f, "What was confused, with its share of what there was:")?,
        }
        let mut table = Table::new(["true", "predicted", "count", "share"]);
        for confusion in shown {
            table.row(vec![
                cut(&self.labels[confusion.truth], ROW_LENGTH),
                cut(&self.labels[confusion.predicted], ROW_LENGTH),
                confusion.count.to_string(),
                self.percent(confusion.truth, confusion.predicted),
            ]);
        }
        write!(f, "{table}")
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
    /// [`Error::Malformed`](crate::Error::Malformed) for a score that is not from 0 to 1.
    pub fn confusion(&self, min_score: f32, iou: IouThreshold) -> Result<ConfusionMatrix> {
        expect_least_score(min_score)?;
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
