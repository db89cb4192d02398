//! What a data set is made of, in numbers: how many objects of each class, how
//! large, and which of them the default boxes can match.

use std::fmt;

use serde::Serialize;
use ssdlite_core::default_boxes::DefaultBoxes;
use ssdlite_core::matcher::MATCH_IOU;
use ssdlite_core::{ClassId, FractionBox, GroundTruth, ImageSize, PixelBox};

use crate::dataset::{ClassificationSet, DetectionSet};
use crate::split::Split;

/// The least, the middle and the greatest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub min: f32,
    /// The middle one; of an even number the mean of the middle two.
    pub median: f32,
    /// The greatest.
    pub max: f32,
}

impl Spread {
    /// The spread of some numbers, if there is any.
    pub fn of(values: impl IntoIterator<Item = f32>) -> Option<Self> {
        let mut values: Vec<f32> = values.into_iter().collect();
        values.sort_unstable_by(f32::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        };
        Some(Self { min, median, max })
    }
}

/// The numbers of one split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitStats {
    /// Which split.
    pub split: Split,
    /// Its images.
    pub images: usize,
    /// Those without any object.
    pub images_without_objects: usize,
    /// Its objects, difficult ones included.
    pub objects: usize,
    /// The difficult ones.
    pub difficult: usize,
    /// Objects in an image.
    pub objects_per_image: Option<Spread>,
}

/// The numbers of one class over all splits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassStats {
    /// The class's name.
    pub class: String,
    /// Its objects in each split, in the order of
    /// [`splits`](DetectionStats::splits).
    pub objects: Vec<usize>,
    /// Widths of its boxes in pixels of their images.
    pub width: Option<Spread>,
    /// Heights of its boxes in pixels of their images.
    pub height: Option<Spread>,
    /// Square roots of the share of their image that its boxes cover: the
    /// number that the scales of default boxes compare with.
    pub relative_side: Option<Spread>,
    /// The shares of its objects that default boxes cover, in the order of the boxes
    /// that were compared.
    pub covered: Vec<CoveredBy>,
}

/// How many of a class's objects some default boxes cover.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CoveredBy {
    /// What the boxes are called.
    pub boxes: String,
    /// The share of objects that one of them overlaps with an IoU of at least
    /// [`MATCH_IOU`], 0 to 1; none without objects.
    pub share: Option<f32>,
}

/// Default boxes under a name.
#[derive(Clone, Debug)]
pub struct NamedBoxes {
    /// What they are called in tables.
    pub name: String,
    /// The boxes.
    pub boxes: DefaultBoxes,
}

/// The numbers of a detection data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectionStats {
    /// The numbers of each split.
    pub splits: Vec<SplitStats>,
    /// The numbers of each class, in the order of the ids.
    pub classes: Vec<ClassStats>,
}

/// A box with the image that it is in.
struct Placed {
    class: ClassId,
    bbox: PixelBox,
    fractions: FractionBox,
}

impl Placed {
    fn relative_side(&self) -> f32 {
        self.fractions.area().sqrt()
    }

    /// Whether some default box overlaps it with an IoU of at least [`MATCH_IOU`].
    fn is_matchable(&self, default_boxes: &DefaultBoxes) -> bool {
        default_boxes.best_iou(&self.fractions) >= MATCH_IOU
    }
}

impl DetectionStats {
    /// Counts splits that were read with the same classes.
    ///
    /// An image that stands in several splits counts several times in each
    /// class's box sizes.
    pub fn new(sets: &[(Split, &DetectionSet)], compared: &[NamedBoxes]) -> Self {
        let placed: Vec<Vec<Placed>> = sets.iter().map(|(_, set)| placed_boxes(set)).collect();
        let names = sets.first().map(|(_, set)| &set.classes);
        let classes = names.map_or_else(Vec::new, |names| {
            (names.ids().zip(names.iter()))
                .map(|(class, name)| class_stats(class, name, &placed, compared))
                .collect()
        });
        Self {
            splits: sets
                .iter()
                .map(|(split, set)| split_stats(*split, set))
                .collect(),
            classes,
        }
    }
}

impl ClassStats {
    /// The numbers of a class in one set.
    pub fn of(set: &DetectionSet, class: ClassId) -> Self {
        let name = set.classes.get(class).unwrap_or_default();
        class_stats(class, name, &[placed_boxes(set)], &[])
    }
}

fn placed_boxes(set: &DetectionSet) -> Vec<Placed> {
    let of_image = |size: ImageSize| {
        move |object: &GroundTruth| Placed {
            class: object.class,
            bbox: object.bbox,
            fractions: object.bbox.to_fractions(size),
        }
    };
    set.images
        .iter()
        .flat_map(|image| image.objects.iter().map(of_image(image.size)))
        .collect()
}

fn split_stats(split: Split, set: &DetectionSet) -> SplitStats {
    let counts = || set.images.iter().map(|image| image.objects.len());
    SplitStats {
        split,
        images: set.images.len(),
        images_without_objects: counts().filter(|&count| count == 0).count(),
        objects: set.object_count(),
        difficult: (set.images.iter())
            .flat_map(|image| &image.objects)
            .filter(|object| object.difficult)
            .count(),
        objects_per_image: Spread::of(counts().map(|count| count as f32)),
    }
}

fn class_stats(
    class: ClassId,
    name: &str,
    placed: &[Vec<Placed>],
    compared: &[NamedBoxes],
) -> ClassStats {
    let of_class = |boxes: &Vec<Placed>| boxes.iter().filter(|b| b.class == class).count();
    let all: Vec<&Placed> = (placed.iter().flatten())
        .filter(|placed| placed.class == class)
        .collect();
    let covered = |NamedBoxes { name, boxes }: &NamedBoxes| {
        let covered = all.iter().filter(|placed| placed.is_matchable(boxes));
        let covered = covered.count();
        CoveredBy {
            boxes: name.clone(),
            share: (!all.is_empty()).then(|| covered as f32 / all.len() as f32),
        }
    };
    ClassStats {
        class: name.to_owned(),
        objects: placed.iter().map(of_class).collect(),
        width: Spread::of(all.iter().map(|placed| placed.bbox.width())),
        height: Spread::of(all.iter().map(|placed| placed.bbox.height())),
        relative_side: Spread::of(all.iter().map(|placed| placed.relative_side())),
        covered: compared.iter().map(covered).collect(),
    }
}

impl fmt::Display for DetectionStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = vec![text_row(&[
            "split",
            "images",
            "empty",
            "objects",
            "difficult",
            "objects an image",
        ])];
        table.extend(self.splits.iter().map(|split| {
            vec![
                split.split.to_string(),
                split.images.to_string(),
                split.images_without_objects.to_string(),
                split.objects.to_string(),
                split.difficult.to_string(),
                spread_text(split.objects_per_image, 0),
            ]
        }));
        write_table(f, &table)?;
        writeln!(f)?;
        let mut header = text_row(&["class"]);
        header.extend(self.splits.iter().map(|split| split.split.to_string()));
        header.extend(text_row(&["width px", "height px", "relative side"]));
        let compared = self.classes.first().map_or(&[][..], |class| &class.covered);
        header.extend(compared.iter().map(|covered| covered.boxes.clone()));
        let mut table = vec![header];
        table.extend(self.classes.iter().map(|class| {
            let mut row = vec![class.class.clone()];
            row.extend(class.objects.iter().map(usize::to_string));
            row.extend([
                spread_text(class.width, 0),
                spread_text(class.height, 0),
                spread_text(class.relative_side, 2),
            ]);
            row.extend(
                class
                    .covered
                    .iter()
                    .map(|covered| percent_text(covered.share)),
            );
            row
        }));
        write_table(f, &table)?;
        writeln!(
            f,
            "\nSizes are min / median / max. Last come, for default boxes of several kinds, the \
             objects that one of them\noverlaps with an IoU of {MATCH_IOU} or more: those can be \
             learnt well."
        )
    }
}

/// The numbers of a classification data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassificationStats {
    /// The splits that were counted.
    pub splits: Vec<Split>,
    /// Each class's name and its images in each split, in the order of the
    /// ids.
    pub classes: Vec<(String, Vec<usize>)>,
}

impl ClassificationStats {
    /// Counts splits that were read with the same classes.
    pub fn new(sets: &[(Split, &ClassificationSet)]) -> Self {
        let count = |set: &ClassificationSet, class| {
            (set.images.iter())
                .filter(|image| image.class == class)
                .count()
        };
        let names = sets.first().map(|(_, set)| &set.classes);
        let classes = names.map_or_else(Vec::new, |names| {
            (names.ids().zip(names.iter()))
                .map(|(class, name)| {
                    let counts = sets.iter().map(|(_, set)| count(set, class)).collect();
                    (name.to_owned(), counts)
                })
                .collect()
        });
        Self {
            splits: sets.iter().map(|&(split, _)| split).collect(),
            classes,
        }
    }
}

impl fmt::Display for ClassificationStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut header = text_row(&["class"]);
        header.extend(self.splits.iter().map(Split::to_string));
        let mut table = vec![header];
        let mut sums = vec![0; self.splits.len()];
        for (name, counts) in &self.classes {
            let mut row = vec![name.clone()];
            row.extend(counts.iter().map(usize::to_string));
            table.push(row);
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        let mut last = text_row(&["all"]);
        last.extend(sums.iter().map(usize::to_string));
        table.push(last);
        write_table(f, &table)
    }
}

fn text_row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|&cell| cell.to_owned()).collect()
}

fn spread_text(spread: Option<Spread>, digits: usize) -> String {
    match spread {
        None => "-".into(),
        Some(Spread { min, median, max }) => {
            format!("{min:.digits$} / {median:.digits$} / {max:.digits$}")
        }
    }
}

fn percent_text(share: Option<f32>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.1} %", share * 100.0))
}

/// Writes rows in columns: the first to the left, the others to the right.
fn write_table(f: &mut fmt::Formatter<'_>, rows: &[Vec<String>]) -> fmt::Result {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => write!(f, "{cell:<width$}")?,
                _ => write!(f, "  {cell:>width$}")?,
            }
        }
        writeln!(f)?;
    }
    Ok(())
}
