//! YOLO's label files as tools write them, and broken ones.

use ssdlite_core::{ClassNames, ImageSize};
use ssdlite_data::dataset::DetectionSet;
use ssdlite_data::finding::{Finding, FindingKind, Losses, Reading};
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::{DetectionFolderOptions, Error, Format, Overwrite};

use crate::maker::{
    Maker, assert_faults, boxes, divide, error, fault_of, ids, jpeg_that_claims, turned_jpeg,
    warning,
};

/// A box of 10x10 in the middle of an image of 40x20.
const MIDDLE: &str = "0 0.5 0.5 0.25 0.5\n";

fn read(maker: &Maker, split: Split) -> Reading<DetectionSet> {
    maker.read_as(Format::Yolo, split)
}

/// The findings but those about splits that are missing.
fn checked(maker: &Maker) -> (usize, Vec<Finding>) {
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    let told = report.findings.into_iter();
    let told = told.filter(|finding| finding.kind != FindingKind::EmptySplit);
    (report.objects, told.collect())
}

/// One image of 40x20, in train, with these rows; the classes are x and y.
fn with_rows(rows: impl AsRef<[u8]>) -> Maker {
    let maker = Maker::new();
    maker.write("data.yaml", "train: images/train\nnames: [x, y]\n");
    maker.image("images/train/a.jpg", 40, 20);
    maker.write("labels/train/a.txt", rows);
    maker
}

#[test]
fn labels_are_found_wherever_tools_put_them() {
    for (labels, images, id) in [
        ("labels/train/a.txt", "images/train/a.jpg", "train/a"),
        ("train/labels/a.txt", "train/images/a.jpg", "train/a"),
        ("train/a.txt", "train/a.jpg", "train/a"),
        ("train/images/a.txt", "train/images/a.jpg", "train/images/a"),
        ("labels/a.txt", "images/a.jpg", "a"),
        ("Labels/a.TXT", "IMAGES/A.JPG", "a"),
        ("labels/a.txt", "photos/a.jpg", "a"),
        (
            "set/labels/train/a.txt",
            "set/images/train/a.jpg",
            "train/a",
        ),
        (
            "obj_train_data/a.txt",
            "obj_train_data/a.jpg",
            "obj_train_data/a",
        ),
        ("a.txt", "a.jpg", "a"),
    ] {
        let maker = Maker::new();
        maker.write(labels, MIDDLE);
        maker.image(images, 40, 20);
        maker.write("classes.txt", "x\n");
        let folder = maker.open();
        assert!(folder.annotation_ids().eq([id]), "{labels}");
        assert_eq!(checked(&maker), (1, Vec::new()), "{labels}");
        if id.starts_with("train/") {
            let reading = read(&maker, Split::Train);
            assert_eq!(boxes(&reading), [[15.0, 5.0, 25.0, 15.0]], "{labels}");
        }
    }
}

#[test]
fn splits_are_what_the_description_says() {
    for (train, val) in [
        ("images/train", "images/val"),
        ("../images/train/", "../images/val/"),
        (
            "/home/me/sets/mine/images/train",
            "/home/me/sets/mine/images/val",
        ),
        (r"C:\sets\mine\images\train", r"C:\sets\mine\images\val"),
        ("[images/train]", "- images/val"),
        ("train.txt", "lists/val.txt"),
        ("images/train # of a description elsewhere", "images/val"),
    ] {
        let maker = Maker::new();
        let yaml = format!("path: ../datasets/mine\ntrain: {train}\nval:\n  {val}\nnames: [x]\n");
        let place = match train.contains("elsewhere") {
            true => "config/mine.yml",
            false => "data.yaml",
        };
        maker.write(place, yaml);
        for id in ["train/a", "train/b", "val/c"] {
            maker.image(&format!("images/{id}.jpg"), 40, 20);
            maker.write(&format!("labels/{id}.txt"), MIDDLE);
        }
        maker.write("train.txt", "./images/train/a.jpg\n./images/train/b.jpg\n");
        maker.write("lists/val.txt", "/x/images/val/c.jpg\n");
        let (train_ids, val_ids) = (read(&maker, Split::Train), read(&maker, Split::Val));
        assert_eq!(ids(&train_ids), ["train/a", "train/b"], "{train}");
        assert_eq!(ids(&val_ids), ["val/c"], "{val}");
        assert_eq!(read(&maker, Split::TrainVal).set.images.len(), 3);
        assert!(
            maker
                .open()
                .read(Split::Test, &DetectionFolderOptions::default())
                .is_err()
        );
    }
}

#[test]
fn several_folders_and_what_is_missing_are_told_apart() {
    let maker = Maker::new();
    maker.write(
        "data.yaml",
        "train: [images/one, images/two]\nval: images/none\ntest: # later\nnames: {0: x, 3: y}\n",
    );
    for id in ["one/a", "two/b", "three/c"] {
        maker.image(&format!("images/{id}.jpg"), 40, 20);
        maker.write(
            &format!("labels/{id}.txt"),
            MIDDLE.replace("0 0.5", "3 0.5"),
        );
    }
    let reading = read(&maker, Split::Train);
    assert_eq!(ids(&reading), ["one/a", "two/b"]);
    assert_eq!(reading.set.classes, ClassNames::new(["x", "y"]).unwrap());
    let folder = maker.open();
    assert!(!folder.has_split(Split::Val) && !folder.has_split(Split::Test));
    let missing = warning("data.yaml", None, FindingKind::EmptySplit);
    assert_faults(folder.findings(), vec![missing]);
    let (_, findings) = checked(&maker);
    let unlisted = warning("labels/three/c.txt", None, FindingKind::Unlisted);
    assert!(
        findings.iter().any(|finding| fault_of(finding) == unlisted),
        "{findings:#?}"
    );
}

#[test]
fn lists_that_were_made_win_over_the_description() {
    let maker = Maker::new();
    maker.write("data.yaml", "train: images\nval: images\nnames: [x]\n");
    for id in ["a", "b", "c", "d"] {
        maker.image(&format!("images/{id}.jpg"), 40, 20);
        maker.write(&format!("labels/{id}.txt"), MIDDLE);
    }
    let (_, findings) = checked(&maker);
    assert_eq!(
        findings
            .iter()
            .filter(|finding| finding.kind == FindingKind::Leak)
            .count(),
        4
    );
    let folder = maker.open();
    let shares = SplitShares::default();
    let refused = divide(&folder, &shares, Overwrite::Refuse);
    assert!(matches!(refused, Err(Error::InvalidRequest(_))));
    divide(&folder, &shares, Overwrite::Allow).unwrap();
    assert_eq!(checked(&maker), (4, Vec::new()));
    assert_eq!(read(&maker, Split::Test).set.images.len(), 1);
}

#[test]
fn images_without_labels_show_no_object() {
    let maker = with_rows(MIDDLE);
    maker.image("images/train/b.jpg", 40, 20);
    maker.image("images/train/c.jpg", 40, 20);
    maker.write("labels/train/c.txt", "\n");
    let reading = read(&maker, Split::Train);
    assert_eq!(ids(&reading), ["train/a", "train/b", "train/c"]);
    assert_eq!(reading.set.object_count(), 1);
    assert_faults(&reading.findings, Vec::new());
    let unlabelled = warning("images/train", None, FindingKind::Unlabelled);
    assert_faults(maker.open().findings(), vec![unlabelled]);
    // A label file without its image is a loss.
    maker.write("labels/train/d.txt", MIDDLE);
    let (_, findings) = checked(&maker);
    let missing = error("labels/train/d.txt", None, FindingKind::MissingImage);
    assert!(
        findings.iter().any(|finding| fault_of(finding) == missing),
        "{findings:#?}"
    );
}

#[test]
fn outlines_are_taken_as_boxes() {
    let maker = with_rows("0 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75\n1 0.5 0.5 0.25 0.5\n");
    let reading = read(&maker, Split::Train);
    assert_eq!(
        boxes(&reading),
        [[10.0, 5.0, 30.0, 15.0], [15.0, 5.0, 25.0, 15.0]]
    );
    let outline = warning("data.yaml", None, FindingKind::Outline);
    assert_faults(&reading.findings, vec![outline]);
    assert!(reading.findings[0].message.starts_with("1 object is"));
    // Where objects have key points these follow the box.
    let maker = with_rows("0 0.5 0.5 0.25 0.5 0.4 0.4 2 0.6 0.6 2\n");
    maker.write(
        "data.yaml",
        "train: images/train\nnames: [x]\nkpt_shape: [2, 3]\n",
    );
    let reading = read(&maker, Split::Train);
    assert_eq!(boxes(&reading), [[15.0, 5.0, 25.0, 15.0]]);
    assert_faults(&reading.findings, Vec::new());
}

#[test]
fn shares_are_as_exact_as_their_digits_tell() {
    // 13 to 29 of 40, 3 to 20 of 20, rounded to six digits and beyond the image.
    let maker = with_rows("0 0.525 0.575 0.4 0.850001\n1 0.8750001 0.5 0.25 1.0000001\n");
    let reading = read(&maker, Split::Train);
    assert_eq!(
        boxes(&reading),
        [[13.0, 3.0, 29.0, 20.0], [30.0, 0.0, 40.0, 20.0]]
    );
    assert_faults(&reading.findings, Vec::new());
    assert_eq!(reading.set.images[0].size, ImageSize::new(40, 20));
    // The same with five digits of an image of 1920x1080: 1 to 1919, 541 to 1080.
    let maker = with_rows("0 0.50000 0.75046 0.99896 0.49907\n");
    maker.image("images/train/a.jpg", 1920, 1080);
    let reading = read(&maker, Split::Train);
    assert_eq!(boxes(&reading), [[1.0, 541.0, 1919.0, 1080.0]]);
    assert_faults(&reading.findings, Vec::new());
    // A box of a few thousandths of a pixel stays one.
    let maker = with_rows("0 0.5 0.5 0.0001 0.0001\n");
    let reading = read(&maker, Split::Train);
    assert_eq!(reading.set.object_count(), 1);
    assert!(boxes(&reading)[0][0] < boxes(&reading)[0][2]);
}

#[test]
fn broken_rows_are_skipped_or_clipped() {
    let maker = with_rows(
        "0 0.5 0.5 0.25 0.5\n\
         2 0.5 0.5 0.25 0.5\n\
         -1 0.5 0.5 0.25 0.5\n\
         0.0 0.5 0.5 0.25 0.5\n\
         0.5 0.5 0.5 0.25 0.5\n\
         x 0.5 0.5 0.25 0.5\n\
         0 nan 0.5 0.25 0.5\n\
         0 0.5 inf 0.25 0.5\n\
         0 0.5 0.5 -0.25 0.5\n\
         0 0.5 0.5 0.25 0\n\
         0 1.5 0.5 0.25 0.5\n\
         0 1.0 0.5 0.5 0.5\n\
         0 1.0 0.5 0.05 0.5\n\
         0 0.5 0.5 0.25\n\
         0 0.5 0.5 0.25 0.5 0.9\n\
         0 20 10 8 6\n\
         0 1e400 0.5 0.25 0.5\n\
         4294967296 0.5 0.5 0.25 0.5\n\
         0,0.5,0.5,0.25,0.5\n",
    );
    let reading = read(&maker, Split::Train);
    let file = "labels/train/a.txt";
    use FindingKind::*;
    assert_faults(
        &reading.findings,
        vec![
            error(file, 2, UnknownClass),
            error(file, 3, BadNumber),
            error(file, 5, BadNumber),
            error(file, 6, BadNumber),
            error(file, 7, BadNumber),
            error(file, 8, BadNumber),
            error(file, 9, DegenerateBox),
            error(file, 10, DegenerateBox),
            error(file, 11, OutsideBox),
            error(file, 12, ClippedBox),
            warning(file, 13, ClippedBox),
            error(file, 14, MalformedObject),
            error(file, 15, MalformedObject),
            error(file, 16, PixelBox),
            error(file, 17, BadNumber),
            error(file, 18, BadNumber),
            error(file, 19, BadNumber),
            error(file, 19, MalformedObject),
        ],
    );
    let expected = Losses {
        images_skipped: 0,
        objects_skipped: 15,
        objects_clipped: 2,
    };
    assert_eq!(reading.losses, expected);
    assert_eq!(reading.set.object_count(), 4);
}

#[test]
fn boxes_in_pixels_are_told_and_their_image_is_skipped() {
    let maker = with_rows("0 20 10 8 6\n1 30 12 8 6\n");
    let error_text = maker
        .open()
        .read(Split::Train, &DetectionFolderOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error_text.contains("as if they counted pixels"),
        "{error_text}"
    );
}

#[test]
fn broken_files_cost_themselves_alone() {
    let maker = with_rows(MIDDLE);
    for (id, labels) in [
        ("huge", " ".repeat(9 << 20).into_bytes()),
        ("latin", b"0 0.5 \xE9\n".to_vec()),
        (
            "wide",
            "\u{feff}0 0.5 0.5 0.25 0.5\r\n"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        ("claims", MIDDLE.as_bytes().to_vec()),
    ] {
        maker.image(&format!("images/train/{id}.jpg"), 40, 20);
        maker.write(&format!("labels/train/{id}.txt"), labels);
    }
    maker.write("images/train/claims.jpg", jpeg_that_claims(60_000, 60_000));
    maker.image("images/train/twice.jpg", 40, 20);
    maker.image("images/train/twice.png", 40, 20);
    maker.write("labels/train/twice.txt", MIDDLE);
    maker.write("labels/train.cache", "x");
    maker.write("labels/train/notes.doc", "x");
    let (objects, findings) = checked(&maker);
    assert_eq!(objects, 3, "{findings:#?}");
    use FindingKind::*;
    assert_faults(
        &findings,
        vec![
            error("labels/train/huge.txt", None, BadAnnotation),
            error("labels/train/latin.txt", None, BadAnnotation),
            error("images/train/claims.jpg", None, BadImage),
            warning("images/train/twice.jpg", None, AmbiguousImage),
            warning("labels/train", None, NotRead),
            // None has an object of y.
            warning("images/train", None, EmptyClass),
        ],
    );
}

#[test]
fn descriptions_that_cannot_be_read_are_errors() {
    for (yaml, words) in [
        ("names: [a\ntrain: x\n", "data.yaml: line"),
        ("train: x\nnc: &n 3\nnames: [*n]\n", "alias"),
        (
            "train: x\nnames: {a: 0}\n",
            "expected the number of a class",
        ),
        ("train: {a: b}\nnames: [a]\n", "train: expected a folder"),
        ("train: x\nnc: -3\n", "nc: expected a number"),
        ("train: x\nnc: 99999999\n", "nc: expected a number"),
        ("train: x\ntrain: y\nnames: [a]\n", "`train` twice"),
    ] {
        let maker = with_rows(MIDDLE);
        maker.write("data.yaml", yaml);
        let error = maker_error(&maker);
        assert!(
            error.contains("data.yaml: ") && error.contains(words),
            "{yaml}: {error}"
        );
    }
    let maker = with_rows(MIDDLE);
    let many: String = (0..10_001).map(|number| format!("- c{number}\n")).collect();
    maker.write("data.yaml", format!("train: images/train\nnames:\n{many}"));
    assert!(
        maker_error(&maker).contains("10000 classes"),
        "{}",
        maker_error(&maker)
    );
}

fn maker_error(maker: &Maker) -> String {
    let opened = ssdlite_data::DetectionFolder::open(maker.root(), None);
    opened.unwrap_err().to_string()
}

#[test]
fn names_of_classes_come_from_wherever_they_are() {
    let classes = |files: &[(&str, &str)]| {
        let maker = Maker::new();
        maker.image("images/train/a.jpg", 40, 20);
        maker.write(
            "labels/train/a.txt",
            "1 0.5 0.5 0.25 0.5\n10 0.5 0.5 0.25 0.5\n",
        );
        for (file, text) in files {
            maker.write(file, text);
        }
        let folder = maker.open();
        let kinds: Vec<FindingKind> = folder.findings().iter().map(|found| found.kind).collect();
        (folder.classes().unwrap().to_string(), kinds)
    };
    let numbered = "a\nb\n\nc\nd\ne\nf\ng\nh\ni\nj\n";
    assert_eq!(classes(&[("labels/train/classes.txt", numbered)]).1, []);
    assert_eq!(
        classes(&[("obj.names", numbered)]).0,
        classes(&[("classes.txt", numbered)]).0
    );
    use FindingKind::*;
    let (names, kinds) = classes(&[]);
    assert!(
        names.contains("class_1") && names.contains("class_10"),
        "{names}"
    );
    assert_eq!(kinds, [BadDescription]);
    let two = [("classes.txt", numbered), ("labels/classes.txt", "other\n")];
    assert_eq!(classes(&two).1, [BadDescription]);
    let yaml = |text: &str| classes(&[("data.yaml", text)]).1;
    assert_eq!(
        yaml("train: images/train\nnc: 3\nnames: [a, b]\n"),
        [BadDescription]
    );
    assert_eq!(
        yaml("train: images/train\nnames: [a, b, a]\n"),
        [SimilarClasses]
    );
    assert_eq!(
        yaml("train: images/train\nnames: [a, background, '']\n"),
        [InvalidClass; 2]
    );
    assert_eq!(yaml("train: images/train\nnc: 3\n"), []);
}

#[test]
fn turned_images_are_taken_as_shown() {
    let maker = with_rows(MIDDLE);
    // Stored 40x20, shown 20x40.
    maker.write("images/train/a.jpg", turned_jpeg(40, 20, 6));
    let reading = read(&maker, Split::Train);
    assert_eq!(reading.set.images[0].size, ImageSize::new(20, 40));
    assert_eq!(boxes(&reading), [[7.5, 10.0, 12.5, 30.0]]);
    let unclear = warning("labels/train/a.txt", None, FindingKind::UnclearOrientation);
    assert_faults(&reading.findings, vec![unclear]);
}

#[test]
fn difficult_objects_are_named_in_a_list() {
    let maker = with_rows("0 0.5 0.5 0.25 0.5\n1 0.5 0.5 0.25 0.5\n");
    maker.write(
        "difficult.txt",
        "labels/train/a.txt 2\n\nlabels/train/b.txt 1\nlabels/train/a.txt\n",
    );
    let reading = read(&maker, Split::Train);
    let difficult: Vec<bool> = (reading.set.images[0].objects.iter())
        .map(|object| object.difficult)
        .collect();
    assert_eq!(difficult, [false, true]);
    let bad = error("difficult.txt", None, FindingKind::BadList);
    assert_faults(maker.open().findings(), vec![bad.clone(), bad]);
}
