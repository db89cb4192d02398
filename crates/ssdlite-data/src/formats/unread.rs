//! Labels in forms that are not read: known, so that they are named and their
//! images are not taken for something else.

use crate::files::read_start;
use crate::finding::quoted;
use crate::tree::{Tree, TreeFile};

/// What the labels of a folder are and where, if they have a known form.
pub(crate) fn unread_labels(tree: &Tree) -> Option<String> {
    let form = |file: &TreeFile| match file.ending().as_str() {
        "xml" => form_of_xml(file),
        "json" => form_of_json(file),
        "csv" => is_table_of_boxes(file).then_some("CSV"),
        "tfrecord" | "record" => Some("TFRecord"),
        _ => None,
    };
    /// Of thousands of files the first of each kind tell what all are.
    const ASKED: usize = 20;
    ["xml", "json", "csv", "tfrecord", "record"]
        .into_iter()
        .find_map(|ending| {
            let of_ending = (tree.files.iter()).filter(|file| file.ending() == ending);
            let mut asked = of_ending.take(ASKED);
            asked
                .find_map(|file| Some(format!("{} labels ({})", form(file)?, quoted(&file.file()))))
        })
}

/// The form of an XML file that is none of VOC's.
fn form_of_xml(file: &TreeFile) -> Option<&'static str> {
    let start = String::from_utf8_lossy(&read_start(&file.path)).into_owned();
    let has = |element: &str| start.contains(&format!("<{element}"));
    if has("annotations") && (has("image") || has("track") || has("meta")) {
        return Some("CVAT");
    }
    (has("dataset") && has("images")).then_some("dlib")
}

fn form_of_json(file: &TreeFile) -> Option<&'static str> {
    if file.name.to_lowercase().contains("createml") {
        return Some("CreateML");
    }
    let start = String::from_utf8_lossy(&read_start(&file.path)).into_owned();
    let has = |key: &str| start.contains(&format!("\"{key}\""));
    if has("regions") && has("shape_attributes") {
        return Some("VIA");
    }
    if has("image") && has("coordinates") {
        return Some("CreateML");
    }
    has("rectanglelabels").then_some("Label Studio")
}

/// Whether the heading of a table names the corners of boxes, or its first row has a
/// file, four numbers and a class.
fn is_table_of_boxes(file: &TreeFile) -> bool {
    let start = read_start(&file.path);
    let text = String::from_utf8_lossy(&start);
    let heading = text.lines().next().unwrap_or_default().to_lowercase();
    let columns: Vec<&str> = heading.split(',').collect();
    let corners = columns.get(1..5).filter(|_| columns.len() == 6);
    ["xmin", "x_min", "x1", "bbox"]
        .iter()
        .any(|corner| heading.contains(corner))
        || corners.is_some_and(|corners| {
            corners
                .iter()
                .all(|text| text.trim().parse::<f64>().is_ok())
        })
}
