//! Which form of labels a folder has.

use ssdlite_data::finding::{Finding, FindingKind};
use ssdlite_data::{DataFolder, DetectionFolder, DetectionFolderOptions, Error, Format};

use crate::maker::{Maker, annotation, assert_faults, error, warning};

const YOLO: &str = "0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.1 0.1\n";
const COCO: &str = r#"{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [],
    "categories": [{"id": 1, "name": "x"}]}"#;
const LABELME: &str = r#"{"version": "5.0", "shapes": [{"label": "x", "points": [[1, 1], [9, 9]],
    "shape_type": "rectangle"}], "imagePath": "a.jpg"}"#;

/// A folder with this text in one file and an image.
fn folder_with(labels: &str, text: &str, image: &str) -> Maker {
    let maker = Maker::new();
    maker.write(labels, text);
    maker.image(image, 31, 17);
    maker
}

#[test]
fn formats_are_recognised_by_their_files() {
    let xml = annotation(31, 17, &[("x", ["2", "3", "9", "9"])]);
    for (format, labels, text, image) in [
        (Format::Voc, "xml/a.xml", &*xml, "photos/a.jpg"),
        (
            Format::Yolo,
            "labels/train/a.txt",
            YOLO,
            "images/train/a.jpg",
        ),
        (
            Format::Yolo,
            "train/labels/a.txt",
            YOLO,
            "train/images/a.jpg",
        ),
        (Format::Yolo, "Labels/a.txt", YOLO, "Images/a.jpg"),
        (Format::Yolo, "train/a.txt", YOLO, "train/a.jpg"),
        (
            Format::Coco,
            "train/_annotations.coco.json",
            COCO,
            "train/a.jpg",
        ),
        (
            Format::Coco,
            "annotations/instances_train2017.json",
            COCO,
            "train2017/a.jpg",
        ),
        (Format::Coco, "annotations/mine.json", COCO, "images/a.jpg"),
        (Format::Coco, "result.json", COCO, "images/a.jpg"),
        (Format::LabelMe, "photos/a.json", LABELME, "photos/a.jpg"),
        (Format::LabelMe, "json/a.json", LABELME, "images/a.jpg"),
    ] {
        let maker = folder_with(labels, text, image);
        let DataFolder::Boxes(folder) = DataFolder::open(maker.root(), None).unwrap() else {
            panic!("expected images with boxes in {labels}");
        };
        assert_eq!(folder.format(), format, "{labels}");
        assert!(
            folder.reason().contains(&format!("`{labels}`")),
            "{}",
            folder.reason()
        );
        let asked = DetectionFolder::open(maker.root(), Some(format)).unwrap();
        assert_eq!(asked.reason(), "as was asked for");
        assert!(
            asked.annotation_ids().eq(folder.annotation_ids()),
            "{labels}"
        );
    }
}

#[test]
fn of_two_formats_the_first_is_taken_unless_another_is_asked_for() {
    let maker = folder_with("labels/a.txt", YOLO, "images/a.jpg");
    maker.write("annotations/all.json", COCO);
    let folder = maker.open();
    assert_eq!(folder.format(), Format::Yolo);
    let other = "not read beside it: `annotations/all.json` lists images";
    assert!(folder.reason().contains(other), "{}", folder.reason());
    let folder = DetectionFolder::open(maker.root(), Some(Format::Coco)).unwrap();
    assert!(folder.annotation_ids().eq(["a"]));
}

#[test]
fn a_format_that_is_not_there_is_refused() {
    let maker = folder_with("notes.md", "x", "photos/a.jpg");
    for (format, expected) in [
        (Format::Voc, "expected images with boxes"),
        (
            Format::Yolo,
            "expected label files as YOLO's tools have them",
        ),
        (Format::Coco, "expected JSON files with `images`"),
        (
            Format::LabelMe,
            "expected images with labelme's annotations",
        ),
    ] {
        let error = DetectionFolder::open(maker.root(), Some(format)).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{error}");
        let message = error.to_string();
        assert!(
            message.contains(expected) && message.contains("found no"),
            "{message}"
        );
    }
}

#[test]
fn what_only_looks_like_labels_is_not_taken_for_them() {
    // Label Studio's notes beside its labels have categories, and no images.
    let maker = folder_with("labels/a.txt", YOLO, "images/a.jpg");
    maker.write(
        "notes.json",
        r#"{"categories": [{"id": 0, "name": "x"}], "info": {}}"#,
    );
    assert_eq!(maker.open().format(), Format::Yolo);
    assert!(!maker.open().reason().contains("notes"));
    // A text beside an image of a class folder is no label file.
    let maker = folder_with("ant/1.txt", "seen at noon", "ant/1.jpg");
    assert!(matches!(
        DataFolder::open(maker.root(), None),
        Ok(DataFolder::Images(_))
    ));
    // Empty label files tell nothing, one that isn't empty does.
    let maker = folder_with("labels/a.txt", "", "images/a.jpg");
    assert!(DataFolder::open(maker.root(), None).is_err());
    for index in 0..50 {
        maker.write(&format!("labels/{index:02}.txt"), "\n");
    }
    maker.write("labels/z.txt", YOLO);
    assert_eq!(maker.open().format(), Format::Yolo);
}

fn findings(maker: &Maker) -> Vec<Finding> {
    let options = DetectionFolderOptions::default();
    maker.open().check(&options).unwrap().findings
}

#[test]
fn findings_of_a_set_whose_only_file_is_broken_have_a_place() {
    let maker = folder_with("instances_train.json", "{\"images\": [", "images/a.jpg");
    assert_faults(
        &findings(&maker),
        vec![
            error("instances_train.json", None, FindingKind::BadAnnotation),
            error(".", None, FindingKind::NoClasses),
            warning("images", None, FindingKind::NotRead),
            warning("ImageSets/Main", None, FindingKind::EmptySplit),
        ],
    );
}

#[test]
fn splits_that_nothing_tells_are_named() {
    let yolo = folder_with("labels/train/a.txt", YOLO, "images/train/a.jpg");
    yolo.write("data.yaml", "train: images/train\nnames: [x, y]\n");
    let coco = folder_with("annotations/train.json", COCO, "images/a.jpg");
    for (maker, place) in [(yolo, "data.yaml"), (coco, "annotations")] {
        let missing = (findings(&maker).into_iter())
            .filter(|finding| finding.message.starts_with("there is no"))
            .map(|finding| finding.to_string());
        let expected = ["test", "val"].map(|split| format!("{place}: there is no split {split}"));
        assert_eq!(missing.collect::<Vec<_>>(), expected);
    }
}
