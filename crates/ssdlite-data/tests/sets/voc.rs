//! VOC folders as people have them.

use std::fs;

use ssdlite_core::default_boxes::{DefaultBoxSizes, DefaultBoxes};
use ssdlite_core::unit::MapSize;
use ssdlite_core::{ClassId, ClassNames, ImageSize, PixelBox};
use ssdlite_data::finding::FindingKind;
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::stats::{DetectionStats, NamedBoxes};
use ssdlite_data::voc::Coordinates;
use ssdlite_data::{DetectionFolder, DetectionFolderOptions, Error, Overwrite};

use crate::maker::{Maker, annotation, assert_faults, divide, error, turned_jpeg, warning};

#[test]
fn all_ways_to_name_a_image_are_read_in_the_lists_order() {
    let maker = Maker::voc();
    for file in ["a.jpg", "b.JPG", "c.jpeg", "d.png", "e 1.PNG"] {
        maker.image(&format!("JPEGImages/{file}"), 31, 17);
        let id = file.rsplit_once('.').unwrap().0;
        maker.annotation(id, &annotation(31, 17, &[("x", ["2", "3", "30", "16"])]));
    }
    maker.list("train", "e 1\r\nc  \r\n\r\n\td\r\n");
    maker.list("val", "b\na");
    maker.list("x_train", "a 1\nb -1\n");
    let reading = maker
        .open()
        .read(Split::TrainVal, &DetectionFolderOptions::default())
        .unwrap();
    assert!(reading.findings.is_empty() && reading.losses.is_none());
    let ids: Vec<&str> = reading
        .set
        .images
        .iter()
        .map(|image| image.id.as_str())
        .collect();
    assert_eq!(ids, ["e 1", "c", "d", "b", "a"]);
    let first = &reading.set.images[0];
    assert_eq!(first.path, maker.path("JPEGImages/e 1.PNG"));
    assert_eq!(first.size, ImageSize::new(31, 17));
    assert_eq!(first.objects[0].bbox, PixelBox::new(1.0, 2.0, 30.0, 16.0));
}

#[test]
fn coordinates_are_read_as_they_are_meant() {
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[("x", ["2.5", "3", "1e1", "16"])]);
    maker.list("train", "a");
    let bbox = |coordinates| {
        let options = DetectionFolderOptions {
            coordinates,
            classes: Some(ClassNames::new(["w", "x"]).unwrap()),
        };
        let set = maker.open().read(Split::Train, &options).unwrap().set;
        assert_eq!(set.images[0].objects[0].class, ClassId(1));
        set.images[0].objects[0].bbox.to_array()
    };
    assert_eq!(bbox(Coordinates::OneBased), [1.5, 2.0, 10.0, 16.0]);
    assert_eq!(bbox(Coordinates::ZeroBased), [2.5, 3.0, 10.0, 16.0]);
}

#[test]
fn images_without_objects_count_and_classes_come_from_trainval() {
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[("zebra", ["2", "3", "9", "9"])]);
    maker.labelled("b", 31, 17, &[]);
    maker.labelled("c", 31, 17, &[("Ant", ["2", "3", "9", "9"])]);
    maker.list("train", "a\nb");
    maker.list("val", "c");
    let folder = maker.open();
    let train = folder
        .read(Split::Train, &DetectionFolderOptions::default())
        .unwrap()
        .set;
    assert_eq!(train.classes, ClassNames::new(["Ant", "zebra"]).unwrap());
    assert_eq!(train.images.len(), 2);
    assert!(train.images[1].objects.is_empty());
    assert_eq!(train.images[0].objects[0].class, ClassId(1));
    assert!(!train.images[0].objects[0].difficult);
}

#[test]
fn any_of_the_lists_alone_is_enough() {
    for alone in ["train", "val", "test"] {
        let maker = Maker::voc();
        maker.labelled("1", 31, 17, &[("a", ["2", "3", "9", "9"])]);
        maker.list(alone, "1");
        let folder = maker.open();
        let classes = ClassNames::new(["a"]).unwrap();
        assert_eq!(folder.classes().unwrap(), classes, "{alone}");
        let split: Split = alone.parse().unwrap();
        let options = DetectionFolderOptions::default();
        assert_eq!(folder.read(split, &options).unwrap().set.images.len(), 1);
        let joined = folder.read(Split::TrainVal, &options);
        assert_eq!(joined.is_ok(), split != Split::Test, "{alone}");
        let report = folder.check(&options).unwrap();
        assert_eq!((report.images, report.has_errors()), (1, false), "{alone}");
    }
}

#[test]
fn boxes_of_turned_images_follow_the_size_in_the_annotation() {
    let maker = Maker::voc();
    // Stored 40x20, shown 20x40 after a quarter turn clockwise.
    for id in ["shown", "stored"] {
        maker.write(&format!("JPEGImages/{id}.jpg"), turned_jpeg(40, 20, 6));
    }
    maker.write("JPEGImages/square.jpg", turned_jpeg(20, 20, 6));
    maker.annotation(
        "shown",
        &annotation(20, 40, &[("x", ["3", "5", "9", "30"])]),
    );
    maker.annotation(
        "stored",
        &annotation(40, 20, &[("x", ["3", "5", "30", "9"])]),
    );
    maker.annotation(
        "square",
        &annotation(20, 20, &[("x", ["3", "5", "9", "9"])]),
    );
    maker.list("train", "shown\nstored\nsquare");
    let reading = maker.open().read(
        Split::Train,
        &DetectionFolderOptions {
            classes: Some(ClassNames::new(["x"]).unwrap()),
            ..DetectionFolderOptions::default()
        },
    );
    let reading = reading.unwrap();
    let boxes: Vec<_> = (reading.set.images.iter())
        .map(|image| image.objects[0].bbox.to_array())
        .collect();
    assert_eq!(boxes[0], [2.0, 4.0, 9.0, 30.0]);
    // The stored box [2, 4, 30, 9) of 40x20: x becomes y, and y counts from
    // the other side.
    assert_eq!(boxes[1], [11.0, 2.0, 16.0, 30.0]);
    assert_eq!(reading.set.images[1].size, ImageSize::new(20, 40));
    let unclear = warning(
        "Annotations/square.xml",
        None,
        FindingKind::UnclearOrientation,
    );
    assert_faults(&reading.findings, vec![unclear]);
    assert!(reading.losses.is_none());
}

#[test]
fn sets_that_cannot_be_used_are_errors() {
    let empty = Maker::new();
    assert!(matches!(
        DetectionFolder::open(empty.root(), None),
        Err(Error::Malformed(_))
    ));
    let maker = Maker::voc();
    let fault = |maker: &Maker| {
        let options = DetectionFolderOptions::default();
        maker
            .open()
            .read(Split::Test, &options)
            .unwrap_err()
            .to_string()
    };
    assert!(fault(&maker).contains("ImageSets/Main/test.txt"));
    maker.list("test", "a");
    maker.labelled("b", 31, 17, &[]);
    maker.list("trainval", "b");
    assert!(fault(&maker).contains("expected objects in the 1 image "));
    maker.labelled("b", 31, 17, &[("x", ["2", "3", "9", "9"])]);
    let message = fault(&maker);
    let first = "none that can be used: ImageSets/Main/test.txt: line 1: expected the id of an \
                 image, found `a`";
    assert!(message.contains(first), "{message}");
    maker.write("ImageSets/Main/test.txt", b"b\n\xE9\n");
    let message = fault(&maker);
    assert!(
        message.contains("test.txt: line 2: expected UTF-8"),
        "{message}"
    );
}

#[test]
fn splits_are_written_once_whole_and_repeatably() {
    let maker = Maker::voc();
    for index in 0..20 {
        maker.labelled(
            &format!("{index:02}"),
            31,
            17,
            &[("x", ["2", "3", "9", "9"])],
        );
    }
    maker.annotation("without image", &annotation(31, 17, &[]));
    let lists = || -> Vec<String> {
        ["train", "val", "trainval", "test"]
            .map(|split| fs::read_to_string(maker.path(&format!("ImageSets/Main/{split}.txt"))))
            .map(Result::unwrap)
            .to_vec()
    };
    let shares = SplitShares {
        trainval: 0.8,
        train: 0.75,
        seed: 3,
    };
    let counts = divide(&maker.open(), &shares, Overwrite::Refuse).unwrap();
    assert_eq!(
        (counts.train, counts.val, counts.test, counts.left_out),
        (12, 4, 4, 1)
    );
    let first = lists();
    let mut train_and_val: Vec<&str> = first[0].lines().chain(first[1].lines()).collect();
    train_and_val.sort_unstable();
    assert_eq!(train_and_val, first[2].lines().collect::<Vec<_>>());
    let refused = divide(
        &maker.open(),
        &SplitShares { seed: 4, ..shares },
        Overwrite::Refuse,
    );
    assert!(matches!(refused, Err(Error::InvalidRequest(_))));
    assert_eq!(lists(), first);
    divide(
        &maker.open(),
        &SplitShares { seed: 4, ..shares },
        Overwrite::Allow,
    )
    .unwrap();
    assert_ne!(lists(), first);
    // A process that was killed left it.
    let left = maker.path("ImageSets/Main/train.txt.7-0.tmp");
    fs::write(left, "half a").unwrap();
    divide(&maker.open(), &shares, Overwrite::Allow).unwrap();
    assert_eq!(lists(), first);
    assert_eq!(
        fs::read_dir(maker.path("ImageSets/Main")).unwrap().count(),
        4
    );
    let report = maker
        .open()
        .check(&DetectionFolderOptions::default())
        .unwrap();
    let left_out = "Annotations/without image.xml";
    assert_faults(
        &report.findings,
        vec![
            warning(left_out, None, FindingKind::Unlisted),
            error(left_out, None, FindingKind::MissingImage),
        ],
    );
}

#[test]
fn statistics_count_sizes_and_what_default_boxes_match() {
    let maker = Maker::voc();
    // As large as a default box of the first map, at its very place; and tiny.
    let large = ("big", ["35", "15", "64", "34"]);
    let tiny = ("tiny", ["1", "1", "2", "2"]);
    maker.labelled("a", 100, 100, &[large, tiny]);
    maker.labelled("b", 100, 100, &[]);
    maker.labelled("c", 100, 100, &[large]);
    maker.list("train", "a\nb");
    maker.list("val", "c");
    let folder = maker.open();
    let options = DetectionFolderOptions::default();
    let train = folder.read(Split::Train, &options).unwrap().set;
    let val = folder.read(Split::Val, &options).unwrap().set;
    let maps = [19, 10, 5, 3, 2, 1].map(|side| MapSize::new(side, side));
    let default_boxes = DefaultBoxes::new(&DefaultBoxSizes::default(), &maps);
    let sets = [(Split::Train, &train), (Split::Val, &val)];
    let compared = [NamedBoxes {
        name: "some boxes".into(),
        boxes: default_boxes,
    }];
    let stats = DetectionStats::new(&sets, &compared);
    let split = &stats.splits[0];
    assert_eq!(
        (split.images, split.images_without_objects, split.objects),
        (2, 1, 2)
    );
    assert_eq!(split.objects_per_image.unwrap().median, 1.0);
    let [big, tiny] = &stats.classes[..] else {
        panic!("expected two classes");
    };
    assert_eq!(big.objects, [1, 1]);
    assert_eq!(big.width.unwrap().max, 30.0);
    assert_eq!(big.height.unwrap().min, 20.0);
    assert!((big.relative_side.unwrap().median - 0.06_f32.sqrt()).abs() < 1e-6);
    let shares = [big, tiny].map(|class| class.covered[0].share);
    assert_eq!(shares, [Some(1.0), Some(0.0)]);
    let text = stats.to_string();
    assert!(
        text.contains("30 / 30 / 30") && text.contains("100.0 %") && text.contains("some boxes"),
        "{text}"
    );
}

#[test]
fn an_annotation_is_read_once_however_much_is_asked() {
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[("x", ["2", "3", "9", "9"])]);
    maker.labelled("b", 31, 17, &[("y", ["2", "3", "9", "9"])]);
    maker.labelled("bad", 31, 17, &[]);
    maker.annotation("bad", "<annotation>");
    maker.list("train", "a");
    maker.list("val", "b\nbad");
    let options = DetectionFolderOptions::default();
    let folder = maker.open();
    let classes = folder.classes().unwrap();
    // Whoever reads one of them again finds nothing.
    for id in ["a", "b", "bad"] {
        fs::remove_file(maker.path(&format!("Annotations/{id}.xml"))).unwrap();
    }
    let fault = error("Annotations/bad.xml", None, FindingKind::BadAnnotation);
    for (split, images, faults) in [
        (Split::Train, 1, vec![]),
        (Split::Val, 1, vec![fault.clone()]),
        (Split::TrainVal, 2, vec![fault]),
    ] {
        let reading = folder.read(split, &options).unwrap();
        assert_eq!(reading.set.classes, classes);
        assert_eq!(reading.set.images.len(), images, "{split}");
        assert_faults(&reading.findings, faults);
    }
    let report = folder.check(&options).unwrap();
    assert_eq!((report.images, report.objects), (2, 2));
}
