//! Label files: a row an object, the number of its class and shares of the image.
//!
//! A row has centre, width and height; or the points of an outline, three or more, of
//! which the upright box around it is taken; or, where the description says that
//! objects have key points, a box and those.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::detection::annotation::{
    Corners, Fault, ImageLabels, LabelledObject, ObjectFields, Parsed, Unit,
};
use crate::finding::{FindingKind, quoted};
use crate::formats::contents::AnnotationReader;
use crate::formats::text::text_from_bytes;
use crate::formats::yolo::names::Names;

/// The largest label file that is read: a hundred thousand boxes, or thousands of long
/// outlines.
const MAX_LABEL_BYTES: u64 = 8 << 20;

/// The columns of a box: its class, centre, width and height.
const BOX_COLUMNS: usize = 5;

/// The least columns of an outline: a class and three points.
const LEAST_OUTLINE_COLUMNS: usize = 7;

/// Reads label files.
#[derive(Debug)]
pub(super) struct RowReader {
    pub(super) names: Names,
    /// Whether objects have key points behind their boxes.
    pub(super) has_keypoints: bool,
    /// The numbers of the difficult objects, by the label file.
    pub(super) difficult: HashMap<String, HashSet<usize>>,
}

impl AnnotationReader for RowReader {
    fn max_bytes(&self) -> u64 {
        MAX_LABEL_BYTES
    }

    fn parse(&self, file: &str, bytes: &[u8]) -> Parsed {
        let text = text_from_bytes(bytes)?;
        // Old tools end lines by a carriage return alone.
        let rows = text.split(['\n', '\r']).map(str::trim);
        let rows = rows.filter(|row| !row.is_empty());
        let difficult = self.difficult.get(file);
        let objects = rows.enumerate().map(|(index, row)| {
            let number = index + 1;
            let is_difficult = difficult.is_some_and(|numbers| numbers.contains(&number));
            LabelledObject {
                number,
                fields: Ok(self.fields_of(row, is_difficult)),
            }
        });
        Ok(ImageLabels {
            objects: objects.collect(),
            ..ImageLabels::default()
        })
    }
}

impl RowReader {
    fn fields_of(&self, row: &str, is_difficult: bool) -> ObjectFields {
        let mut columns = row.split_whitespace();
        let class = self.class_of(columns.next().unwrap_or_default());
        let numbers: Result<Vec<f64>, Fault> = columns.map(number).collect();
        let corners = numbers.and_then(|numbers| self.corners_of(&numbers));
        ObjectFields {
            class,
            is_outline: matches!(corners, Ok((_, true))),
            corners: corners.map(|(corners, _)| corners),
            difficult: Ok(is_difficult),
        }
    }

    /// The class that a number stands for. Some tools write it with a fraction of 0.
    fn class_of(&self, text: &str) -> Result<Arc<str>, Fault> {
        let value: Option<f64> = text.parse().ok();
        let is_number =
            |value: &f64| value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(value);
        let Some(value) = value.filter(is_number) else {
            let message = format!("expected the number of a class, found {}", quoted(text));
            return Err((FindingKind::BadNumber, message));
        };
        self.names.get(value as u32).ok_or_else(|| {
            let message = format!(
                "the class {value} is none of the {} that have names",
                self.names.len()
            );
            (FindingKind::UnknownClass, message)
        })
    }

    /// The box of a row's numbers, and whether it is the one around an outline.
    fn corners_of(&self, numbers: &[f64]) -> Result<(Corners, bool), Fault> {
        let columns = numbers.len() + 1;
        match *numbers {
            [x, y, width, height, ..] if columns == BOX_COLUMNS || self.has_keypoints => {
                let edges = [
                    x - width / 2.0,
                    y - height / 2.0,
                    x + width / 2.0,
                    y + height / 2.0,
                ];
                Ok((Corners::new(edges, Unit::Shares), false))
            }
            _ if columns >= LEAST_OUTLINE_COLUMNS && columns % 2 == 1 => {
                let points = numbers.chunks_exact(2).map(|point| [point[0], point[1]]);
                let around = Corners::around(points, Unit::Shares);
                let none = || (FindingKind::MalformedObject, "found no point".to_owned());
                Ok((around.ok_or_else(none)?, true))
            }
            _ => {
                let message = format!(
                    "expected a class and 4 numbers, or an outline of 3 points or more; found \
                     {columns} columns"
                );
                Err((FindingKind::MalformedObject, message))
            }
        }
    }
}

fn number(text: &str) -> Result<f64, Fault> {
    let value: Option<f64> = text.parse().ok();
    value.filter(|value| value.is_finite()).ok_or_else(|| {
        let message = format!("expected a number, found {}", quoted(text));
        (FindingKind::BadNumber, message)
    })
}
