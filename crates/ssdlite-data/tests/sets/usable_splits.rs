//! Sets divided into splits: each part can be learnt from or counted on.

use ssdlite_data::finding::{Finding, FindingKind};
use ssdlite_data::split::{Split, SplitShares};
use ssdlite_data::{DetectionFolderOptions, Overwrite};

use crate::checked::{OBJECT, checked, ids};
use crate::maker::{Maker, Object, annotation, assert_faults, divide, error, warning};

#[test]
fn splits_that_no_one_can_learn_from_or_count_on_are_errors() {
    let maker = Maker::voc();
    maker.labelled("a", 31, 17, &[OBJECT]);
    maker.labelled("b", 31, 17, &[]);
    let other = annotation(31, 17, &[("y", OBJECT.1)]);
    maker.image("JPEGImages/c.jpg", 31, 17);
    let difficult = "</name><difficult>True</difficult>";
    maker.annotation("c", &other.replace("</name>", difficult));
    let faults = |train: &str, val: &str, test: &str| {
        for (split, text) in [("train", train), ("val", val), ("test", test)] {
            maker.list(split, text);
        }
        let report = maker
            .open()
            .check(&DetectionFolderOptions::default())
            .unwrap();
        let told = report.findings.into_iter();
        told.filter(|finding| !finding.message.contains("there is no such list"))
            .collect::<Vec<Finding>>()
    };
    let list = |split: &str| format!("ImageSets/Main/{split}.txt");
    use FindingKind::*;
    assert_faults(
        &faults("a", "b", "c"),
        vec![
            error("Annotations/c.xml", 1, UnknownClass),
            error(&list("test"), None, EmptySplit),
            error(&list("val"), None, EmptySplit),
        ],
    );
    // Difficult objects can be learnt, but not counted.
    let unlearnt = warning(&list("train"), None, EmptyClass);
    let uncounted = error(&list("val"), None, EmptySplit);
    let leak = error(&list("test"), None, Leak);
    let unlisted = warning("Annotations/b.xml", None, Unlisted);
    let expected = vec![unlearnt, uncounted, leak.clone(), unlisted];
    assert_faults(&faults("a", "c", "a"), expected);
    let empty = error(&list("train"), None, EmptySplit);
    assert_faults(&faults("b", "a\nc", "a"), vec![empty, leak]);
}

#[test]
fn small_sets_are_divided_so_that_every_part_can_be_used() {
    for count in 1..8 {
        let maker = Maker::voc();
        for index in 0..count {
            maker.labelled(&index.to_string(), 31, 17, &[OBJECT]);
        }
        let shares = SplitShares::default();
        let divided = divide(&maker.open(), &shares, Overwrite::Refuse);
        if count < 3 {
            let message = divided.unwrap_err().to_string();
            let expected = format!(
                "expected at least 3 images, one each for train, val and test; \
                                    found {count}"
            );
            assert!(message.contains(&expected), "{message}");
            assert!(!maker.path("ImageSets/Main/train.txt").exists());
            continue;
        }
        let counts = divided.unwrap();
        assert_eq!(counts.train + counts.val + counts.test, count);
        let folder = maker.open();
        for split in Split::ALL {
            assert!(!ids(&folder, split).is_empty(), "{count} {split}");
        }
        assert_eq!(checked(&maker), (count, Vec::new()));
    }
}

#[test]
fn every_part_of_a_division_gets_an_object_or_none_is_made() {
    let maker = Maker::voc();
    for index in 0..30 {
        let objects: &[Object<'_>] = if index % 10 == 0 { &[OBJECT] } else { &[] };
        maker.labelled(&format!("{index:02}"), 31, 17, objects);
    }
    maker.image("JPEGImages/bare.jpg", 31, 17);
    for seed in 0..5 {
        let shares = SplitShares {
            seed,
            ..SplitShares::default()
        };
        let counts = divide(&maker.open(), &shares, Overwrite::Allow).unwrap();
        assert_eq!((counts.train, counts.val, counts.test), (24, 3, 3));
        assert_eq!(counts.unannotated, 1);
        for split in [Split::Train, Split::Val, Split::Test] {
            let set = maker
                .open()
                .read(split, &DetectionFolderOptions::default())
                .unwrap()
                .set;
            assert_eq!(set.object_count(), 1, "{seed} {split}");
        }
    }
    maker.labelled("00", 31, 17, &[]);
    let refused = divide(&maker.open(), &SplitShares::default(), Overwrite::Allow);
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("found 2 of 30 images"), "{message}");
}

#[test]
fn a_class_of_few_images_is_not_in_test_alone() {
    let maker = Maker::voc();
    for index in 0..10 {
        let class = if index == 4 { "rare" } else { "x" };
        let objects = [(class, ["2", "3", "9", "9"])];
        maker.labelled(&index.to_string(), 31, 17, &objects);
    }
    for seed in 0..20 {
        let shares = SplitShares {
            trainval: 0.5,
            seed,
            ..SplitShares::default()
        };
        let folder = maker.open();
        divide(&folder, &shares, Overwrite::Allow).unwrap();
        let (objects, mut findings) = checked(&maker);
        // It may be in `val` alone.
        findings.retain(|finding| finding.kind != FindingKind::EmptyClass);
        assert_eq!((objects, findings), (10, Vec::new()), "{seed}");
    }
}
