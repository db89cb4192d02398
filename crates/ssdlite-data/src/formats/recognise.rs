//! Which form the labels of a folder have, told by its files.

use crate::files::read_start;
use crate::finding::quoted;
use crate::formats::Format;
use crate::layout::named;
use crate::tree::{Tree, TreeFile};
use crate::voc::layout::{ANNOTATIONS, IMAGES};

/// Of thousands of files the first ones tell what all are.
const ASKED: usize = 20;

/// Label files that are looked into for one that isn't empty.
const ASKED_FOR_TEXT: usize = 1000;

/// The format that a folder is read as, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) format: Format,
    /// Such as: `` `a.xml` is an annotation in XML ``.
    pub(crate) reason: String,
}

impl Taken {
    pub(crate) fn as_asked(format: Format) -> Self {
        Self {
            format,
            reason: "as was asked for".into(),
        }
    }
}

/// The format of which a folder has labels, the first of several.
pub(crate) fn taken_for(tree: &Tree) -> Option<Taken> {
    let found = |format| Some((format, evidence(format, tree)?));
    let mut found = Format::ALL.into_iter().filter_map(found);
    let (format, reason) = found.next()?;
    let others: Vec<String> = found.map(|(_, reason)| reason).collect();
    let reason = match others.is_empty() {
        true => reason,
        false => format!("{reason}; not read beside it: {}", others.join("; ")),
    };
    Some(Taken { format, reason })
}

/// VOC's folders, where no file tells a format.
pub(crate) fn vocs_folders(tree: &Tree) -> Option<Taken> {
    let children = tree.children("");
    let are_there = (named(&children, &[ANNOTATIONS]).is_some()
        && named(&children, &["images"]).is_some())
        || named(&children, &[IMAGES]).is_some()
        || children.contains(&ANNOTATIONS);
    are_there.then(|| Taken {
        format: Format::Voc,
        reason: "its folders are called as VOC's are".into(),
    })
}

fn evidence(format: Format, tree: &Tree) -> Option<String> {
    let (file, what) = match format {
        Format::Voc => (voc_evidence(tree)?, "is an annotation in XML"),
        Format::Yolo => yolo_evidence(tree)?,
        Format::Coco => {
            let file = of_endings(tree, &["json"])
                .take(ASKED)
                .find(|file| is_coco(file))?;
            (file, "lists images and boxes as COCO does")
        }
        Format::LabelMe => {
            let file = of_endings(tree, &["json"])
                .take(ASKED)
                .find(|file| is_labelme(file))?;
            (file, "holds shapes of labelme")
        }
    };
    Some(format!("{} {what}", quoted(&file.file())))
}

fn of_endings<'a>(
    tree: &'a Tree,
    endings: &'static [&'static str],
) -> impl Iterator<Item = &'a TreeFile> {
    let is_of = move |file: &&TreeFile| endings.contains(&file.ending().as_str());
    tree.files.iter().filter(is_of)
}

/// An XML file beside an image of its name, or one of VOC's form.
fn voc_evidence(tree: &Tree) -> Option<&TreeFile> {
    let images = tree.image_stems();
    let annotations = || of_endings(tree, &["xml"]);
    let is_beside = |file: &&TreeFile| images.contains(&(file.folder.as_str(), file.stem()));
    let has_root = |file: &&TreeFile| {
        // Of UTF-16 every other byte is zero.
        let mut start = read_start(&file.path);
        start.retain(|&byte| byte != 0);
        let root = b"<annotation";
        let windows = start.windows(root.len() + 1);
        let mut starting = windows.filter(|window| window.starts_with(root));
        // CVAT's own form has `<annotations>`.
        starting.any(|window| !window[root.len()].is_ascii_alphanumeric())
    };
    let beside = annotations().find(is_beside);
    beside.or_else(|| annotations().take(ASKED).find(has_root))
}

/// A file that describes a set, or labels in a folder of that name or beside an image.
fn yolo_evidence(tree: &Tree) -> Option<(&TreeFile, &'static str)> {
    let mut descriptions = of_endings(tree, &["yaml", "yml"]).take(ASKED);
    if let Some(file) = descriptions.find(|file| is_yolo_description(file)) {
        return Some((file, "describes a set as YOLO's tools expect it"));
    }
    let images = tree.image_stems();
    let may_be = |file: &&TreeFile| {
        let is_beside = images.contains(&(file.folder.as_str(), file.stem()));
        is_beside
            || file
                .folder
                .split('/')
                .any(|name| name.eq_ignore_ascii_case("labels"))
    };
    let candidates = of_endings(tree, &["txt"]).filter(may_be);
    let starts = candidates
        .take(ASKED_FOR_TEXT)
        .map(|file| (file, read_start(&file.path)));
    let with_text = starts.filter(|(_, start)| !start.trim_ascii().is_empty());
    let (file, _) = with_text
        .take(ASKED)
        .find(|(_, start)| are_yolo_labels(start))?;
    Some((file, "holds boxes as YOLO's tools write them"))
}

/// Whether a YAML file describes a set as YOLO's tools expect it.
pub(crate) fn is_yolo_description(file: &TreeFile) -> bool {
    let start = read_start(&file.path);
    let text = String::from_utf8_lossy(&start);
    let has = |key: &str| {
        let mut lines = text
            .lines()
            .map(|line| line.trim_start_matches(['\u{feff}', ' ', '\t']));
        lines.any(|line| {
            let bare = line.trim_start_matches(['"', '\'']);
            let rest = bare.strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        })
    };
    has("names") && (has("train") || has("val") || has("test") || has("nc"))
        || has("nc") && has("train")
}

/// Whether the first line is a class's number and the numbers of a box or outline.
pub(crate) fn are_yolo_labels(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start);
    let line = text.lines().find(|line| !line.trim().is_empty());
    let mut columns = line.unwrap_or_default().split_whitespace();
    let class = columns.next().and_then(|class| class.parse::<u32>().ok());
    let numbers: Option<Vec<f64>> = columns.map(|number| number.parse().ok()).collect();
    class.is_some() && numbers.is_some_and(|numbers| numbers.len() >= 4)
}

/// Whether a JSON file has COCO's keys, or a name that such files have.
pub(crate) fn is_coco(file: &TreeFile) -> bool {
    let name = file.name.to_lowercase();
    if name.contains("coco") || name.starts_with("instances") {
        return true;
    }
    let start = String::from_utf8_lossy(&read_start(&file.path)).into_owned();
    let has = |key: &str| start.contains(&format!("\"{key}\""));
    let images = has("images") && (has("annotations") || has("categories") || has("file_name"));
    images || has("annotations") && has("image_id") && has("bbox")
}

/// Whether a JSON file has labelme's keys.
fn is_labelme(file: &TreeFile) -> bool {
    let start = String::from_utf8_lossy(&read_start(&file.path)).into_owned();
    let has = |key: &str| start.contains(&format!("\"{key}\""));
    has("shapes") && (has("points") || has("imagePath") || has("imageData"))
}
