//! Data folders as tools and people lay them out.

use ssdlite_data::finding::FindingKind;
use ssdlite_data::folders::{ImageFolder, ImageFolderOptions};
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::{DataFolder, DetectionFolder, DetectionFolderOptions, Error, Overwrite};

use crate::checked::{OBJECT, checked, ids, pair};
use crate::maker::{Maker, annotation, assert_faults, divide, error, fault_of, warning};

fn refused(maker: &Maker) -> String {
    let errors = [
        DataFolder::open(maker.root(), None).unwrap_err(),
        DetectionFolder::open(maker.root(), None).unwrap_err(),
        ImageFolder::open(maker.root()).unwrap_err(),
    ];
    let messages = errors.map(|error| error.to_string());
    assert_eq!(messages[0], messages[1]);
    assert_eq!(messages[0], messages[2]);
    messages[0].clone()
}

/// Why images with boxes can't be read.
fn refused_boxes(maker: &Maker) -> String {
    let message = DataFolder::open(maker.root(), None)
        .unwrap_err()
        .to_string();
    let again = DetectionFolder::open(maker.root(), None).unwrap_err();
    assert_eq!(message, again.to_string());
    message
}

#[test]
fn folders_of_any_name_hold_boxes() {
    for (annotations, images) in [
        ("Annotations", "JPEGImages"),
        ("annotations", "images"),
        ("annotations", "JPEGImages"),
        ("Annotation", "Images"),
        ("xmls", "photos"),
        ("labels", "img"),
        ("images/annotations", "images/originals"),
        ("VOC2012/Annotations", "VOC2012/JPEGImages"),
        ("set/marks", "set/shots"),
        // One folder, as labelImg leaves it unless told otherwise.
        ("shots", "shots"),
        ("a/b", "a/b"),
        (".", "."),
        ("xml", "."),
        (".", "images"),
    ] {
        let maker = Maker::new();
        for id in ["1", "2", "part/3"] {
            pair(
                &maker,
                &format!("{annotations}/{id}.xml"),
                &format!("{images}/{id}.jpg"),
            );
        }
        let places = format!("{annotations} {images}");
        assert_eq!(checked(&maker), (3, Vec::new()), "{places}");
        let folder = DetectionFolder::open(maker.root(), None).unwrap();
        assert!(folder.annotation_ids().eq(["1", "2", "part/3"]), "{places}");
        assert!(ImageFolder::open(maker.root()).is_err(), "{places}");
        let shares = SplitShares::default();
        divide(&folder, &shares, Overwrite::Refuse).unwrap();
        assert_eq!(checked(&maker), (3, Vec::new()), "{places}");
    }
}

#[test]
fn folders_for_each_split_are_its_images() {
    for [train, val, test] in [
        [
            "train/ID.xml train/ID.jpg",
            "valid/ID.xml valid/ID.jpg",
            "test/ID.xml test/ID.jpg",
        ],
        [
            "train/Annotations/ID.xml train/JPEGImages/ID.jpg",
            "val/Annotations/ID.xml val/JPEGImages/ID.jpg",
            "test/Annotations/ID.xml test/JPEGImages/ID.jpg",
        ],
        [
            "images/train/ID.xml images/train/ID.jpg",
            "images/validation/ID.xml images/validation/ID.jpg",
            "images/testing/ID.xml images/testing/ID.jpg",
        ],
        [
            "xml/Train/ID.xml img/Train/ID.jpg",
            "xml/Val/ID.xml img/Val/ID.jpg",
            "xml/Test/ID.xml img/Test/ID.jpg",
        ],
    ] {
        let maker = Maker::new();
        for (places, ids) in [(train, &["a", "b"][..]), (val, &["c"]), (test, &["d"])] {
            for id in ids {
                let (xml, image) = places.split_once(' ').unwrap();
                pair(&maker, &xml.replace("ID", id), &image.replace("ID", id));
            }
        }
        assert_eq!(checked(&maker), (4, Vec::new()), "{train}");
        let folder = DetectionFolder::open(maker.root(), None).unwrap();
        for (split, names) in [(Split::Train, "ab"), (Split::Val, "c"), (Split::Test, "d")] {
            let ids = ids(&folder, split);
            let found: String = ids.iter().filter_map(|id| id.chars().last()).collect();
            assert_eq!(found, names, "{train}");
        }
        assert_eq!(ids(&folder, Split::TrainVal).len(), 3);
        let shares = SplitShares::default();
        let again = divide(&folder, &shares, Overwrite::Refuse);
        assert!(matches!(again, Err(Error::InvalidRequest(_))), "{train}");
        divide(&folder, &shares, Overwrite::Allow).unwrap();
        let folder = DetectionFolder::open(maker.root(), None).unwrap();
        assert_eq!(ids(&folder, Split::Test).len(), 1);
    }
}

#[test]
fn images_of_a_split_without_annotation_are_counted() {
    let maker = Maker::new();
    pair(&maker, "train/a.xml", "train/a.jpg");
    pair(&maker, "valid/b.xml", "valid/b.jpg");
    maker.image("train/bare.jpg", 31, 17);
    maker.write("train/notes.doc", "x");
    let folder = DetectionFolder::open(maker.root(), None).unwrap();
    let reading = folder
        .read(Split::Train, &DetectionFolderOptions::default())
        .unwrap();
    let bare = warning("train", None, FindingKind::MissingAnnotation);
    assert_faults(&reading.findings, vec![bare]);
    let notes = warning("train", None, FindingKind::NotRead);
    assert_faults(folder.findings(), vec![notes]);
}

#[test]
fn labels_of_other_forms_are_refused_by_name() {
    let pages = [
        (
            "CreateML",
            "train/_annotations.createml.json",
            "[]",
            "train/a.jpg",
        ),
        (
            "CSV",
            "labels.csv",
            "filename,width,height,class,xmin,ymin\n",
            "photos/a.jpg",
        ),
        (
            "CSV",
            "annotations.csv",
            "photos/a.jpg,1,2,30,16,ant\n",
            "photos/a.jpg",
        ),
        (
            "CVAT",
            "annotations.xml",
            "<?xml version='1.0'?><annotations><image name='a.jpg'/></annotations>",
            "images/a.jpg",
        ),
        (
            "dlib",
            "training.xml",
            "<dataset><images><image file='a.jpg'/></images></dataset>",
            "a.jpg",
        ),
        (
            "VIA",
            "project.json",
            r#"{"a": {"regions": [{"shape_attributes": {}}]}}"#,
            "a.jpg",
        ),
        (
            "Label Studio",
            "result.json",
            r#"[{"annotations": [{"type": "rectanglelabels"}]}]"#,
            "images/a.jpg",
        ),
    ];
    for (form, labels, text, image) in pages {
        let maker = Maker::new();
        maker.write(labels, text);
        maker.image(image, 31, 17);
        let message = refused(&maker);
        let found = format!("found {form} labels (`{labels}`), which are not read");
        assert!(message.contains(&found), "{labels}: {message}");
    }
}

#[test]
fn what_has_no_labels_says_what_was_found() {
    for (files, found) in [
        (
            &["train/1.jpg", "test/2.jpg"][..],
            "without labels in `test`, `train`",
        ),
        (&["1.jpg"], "without labels, and no folder"),
        (&["images/1.jpg"], "without labels in `images`"),
        (
            &["Images/1.jpg", "masks/1.png"],
            "without labels in `Images`, `masks`",
        ),
        (
            &["train/images/1.jpg", "val/images/2.jpg"],
            "without labels in `train/images`",
        ),
        (&["a/b/c/1.jpg"], "further down, as in `a/b/c`"),
        (
            &["train/a/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"],
            "`val`, `valid`, each for",
        ),
    ] {
        let maker = Maker::new();
        for file in files {
            maker.image(file, 7, 5);
        }
        let message = refused(&maker);
        assert!(message.contains(found), "{files:?}: {message}");
    }
    let maker = Maker::new();
    maker.write("Annotations/1.xml", annotation(31, 17, &[OBJECT]));
    assert!(refused_boxes(&maker).contains("found no images"));
    let maker = Maker::new();
    for year in ["VOC2007", "VOC2012"] {
        pair(
            &maker,
            &format!("{year}/Annotations/1.xml"),
            &format!("{year}/JPEGImages/1.jpg"),
        );
        maker.write(&format!("{year}/ImageSets/Main/train.txt"), "1\n");
    }
    assert!(refused_boxes(&maker).contains("found several: `VOC2007`, `VOC2012`"));
}

#[test]
fn one_kind_of_data_is_not_taken_for_the_other() {
    let maker = Maker::new();
    maker.image("train/ant/1.jpg", 7, 5);
    let message = DetectionFolder::open(maker.root(), None)
        .unwrap_err()
        .to_string();
    let found = "found images in folders named by their class, such as `train/ant`";
    assert!(message.contains(found), "{message}");
    let maker = Maker::new();
    pair(&maker, "train/a.xml", "train/a.jpg");
    let message = ImageFolder::open(maker.root()).unwrap_err().to_string();
    let found = "`train/a.xml` is an annotation in XML";
    assert!(message.contains(found), "{message}");
}

#[test]
fn a_folder_that_is_not_there_is_said_not_to_be() {
    let maker = Maker::new();
    maker.write("file", "x");
    let missing = DataFolder::open(&maker.path("missing"), None).unwrap_err();
    assert!(matches!(missing, Error::NoSuchFolder(_)));
    assert!(
        missing
            .to_string()
            .ends_with("missing: the folder does not exist")
    );
    let file = DataFolder::open(&maker.path("file"), None)
        .unwrap_err()
        .to_string();
    assert!(
        file.contains("expected a folder of data, found a file"),
        "{file}"
    );
}

#[test]
fn what_stands_elsewhere_is_named() {
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[OBJECT]);
    maker.list("train", "a");
    // Nobody's data.
    for clutter in [
        "JPEGImages/._a.jpg",
        "JPEGImages/Thumbs.db",
        "Annotations/.ipynb_checkpoints/a-checkpoint.xml",
        "__MACOSX/JPEGImages/a.jpg",
        "desktop.ini",
    ] {
        maker.write(clutter, "x");
    }
    maker.image("SegmentationClass/a.png", 31, 17);
    maker.image("classification/train/ant/1.jpg", 7, 5);
    maker.list("a_train", "a 1");
    assert_eq!(checked(&maker), (1, Vec::new()));
    // Somebody's.
    pair(&maker, "more/b.xml", "more/b.jpg");
    maker.image("c.jpg", 31, 17);
    maker.list("holdout", "a");
    maker.list("valid", "a");
    maker.list("val", "a");
    maker.write("Annotations/a.txt", "0 0.5 0.5 0.2 0.2");
    maker.write("Annotations/b.txt", "0 0.5 0.5 0.2 0.2");
    maker.write("JPEGImages/notes", "x");
    let (_, findings) = checked(&maker);
    use FindingKind::*;
    assert_faults(
        &findings,
        vec![
            error("more", None, NotRead),
            warning(".", None, NotRead),
            warning("ImageSets/Main/holdout.txt", None, NotRead),
            error("ImageSets/Main/valid.txt", None, NotRead),
            warning("Annotations", None, NotRead),
            warning("JPEGImages", None, NotRead),
            error("ImageSets/Main/val.txt", None, Leak),
        ],
    );
    let two = findings
        .iter()
        .find(|finding| finding.file == "Annotations")
        .unwrap();
    assert!(two.message.contains("2 files that are neither"), "{two}");
}

#[test]
fn names_are_paired_whatever_their_case_and_ending() {
    let maker = Maker::voc();
    for (xml, image) in [
        ("a.XML", "a.JPG"),
        ("b.Xml", "b.jfif"),
        ("C.xml", "c.Png"),
        ("d.jpg.xml", "d.jpg"),
        ("e.v2.xml", "e.v2.jpe"),
        ("f\u{e9}.xml", "fe\u{301}.jpg"),
    ] {
        pair(
            &maker,
            &format!("Annotations/{xml}"),
            &format!("JPEGImages/{image}"),
        );
    }
    maker.list("train", "a\nb.jfif\nc\nd\ne.v2\nf\u{e9}\n");
    assert_eq!(checked(&maker), (6, Vec::new()));
    let train = ids(&maker.open(), Split::Train);
    assert_eq!(train, ["a", "b", "C", "d.jpg", "e.v2", "f\u{e9}"]);
    // Where case alone tells files apart, both are there.
    pair(&maker, "Annotations/A.xml", "JPEGImages/A.jpg");
    maker.list("train", "A\na\nC\n");
    assert_eq!(ids(&maker.open(), Split::Train), ["A", "a", "C"]);
    maker.write("Annotations/a.xml", annotation(31, 17, &[]));
    let folder = maker.open();
    let twice = error("Annotations/a.xml", None, FindingKind::AmbiguousAnnotation);
    assert_faults(folder.findings(), vec![twice]);
}

#[test]
fn what_lies_flat_is_paired_with_what_lies_in_folders() {
    for (annotations, images) in [
        ("annotations", "images/PART"),
        ("annotations/PART", "images"),
        ("annotations/xmls/PART", "images"),
    ] {
        let maker = Maker::new();
        for (part, id) in [("train", "a"), ("train", "b"), ("val", "c")] {
            let [xml, image] = [annotations, images].map(|place| place.replace("PART", part));
            pair(
                &maker,
                &format!("{xml}/{id}.xml"),
                &format!("{image}/{id}.jpg"),
            );
        }
        // Masks beside the annotations are no images of the set.
        maker.image("annotations/masks/a.png", 31, 17);
        let masks = warning("annotations/masks", None, FindingKind::NotRead);
        let (objects, findings) = checked(&maker);
        assert_eq!(objects, 3, "{annotations} {images}: {findings:#?}");
        assert_faults(&findings, vec![masks]);
        if !annotations.contains("xmls") {
            let train = maker
                .open()
                .read(Split::Train, &DetectionFolderOptions::default())
                .unwrap();
            assert_eq!(train.set.images.len(), 2, "{annotations} {images}");
        }
        maker.list("val", "b\nc.jpg\n");
        let val = maker
            .open()
            .read(Split::Val, &DetectionFolderOptions::default())
            .unwrap();
        assert_eq!(val.set.images.len(), 2, "{annotations} {images}");
    }
    // Of two images of one name none is taken for the annotation's.
    let maker = Maker::new();
    pair(&maker, "annotations/a.xml", "images/one/a.jpg");
    maker.image("images/two/a.jpg", 31, 17);
    let (objects, findings) = checked(&maker);
    assert_eq!(objects, 0);
    let missing = error("annotations/a.xml", None, FindingKind::MissingImage);
    assert!(findings.iter().any(|finding| fault_of(finding) == missing));
}

#[test]
fn splits_of_class_folders_have_any_usual_name_and_what_is_beside_them_is_named() {
    let maker = Maker::new();
    for split in ["Training", "valid", "Test", "holdout"] {
        for class in ["ant", "bee"] {
            maker.image(&format!("{split}/{class}/1.jpg"), 7, 5);
        }
    }
    maker.image("loose.jpg", 7, 5);
    maker.write("notes/readme.md", "x");
    maker.write("README.md", "x");
    let folder = ImageFolder::open(maker.root()).unwrap();
    let options = ImageFolderOptions::default();
    for (split, count) in [(Split::Train, 2), (Split::Val, 2), (Split::TrainVal, 4)] {
        let reading = folder.read(split, &options).unwrap();
        assert_eq!(
            (reading.set.images.len(), reading.findings.len()),
            (count, 0),
            "{split}"
        );
    }
    use FindingKind::NotRead;
    let beside = vec![
        error("holdout", None, NotRead),
        warning("notes", None, NotRead),
        error(".", None, NotRead),
    ];
    assert_faults(folder.findings(), beside.clone());
    assert_faults(&folder.check(&options).unwrap().findings, beside);
}
