//! Kinds of mistakes and doubtful labels, on images made by hand.

mod boxes;

use ssdlite_core::{Detection, GroundTruth};
use ssdlite_eval::mistakes::BACKGROUND_IOU;
use ssdlite_eval::{
    Doubt, Evaluation, Hit, IouThreshold, JudgedImage, Mistake, MistakeKind, count_mistakes,
};

use boxes::{CAT, DOG, detection, difficult, evaluation, object};

/// A box of 100 by 20 pixels. Moved right by `s` it overlaps itself by an IoU of
/// `(100 - s) / (100 + s)`.
const PLACE: [f32; 4] = [10.0, 30.0, 110.0, 50.0];

fn moved(s: f32) -> [f32; 4] {
    let [x1, y1, x2, y2] = PLACE;
    [x1 + s, y1, x2 + s, y2]
}

/// IoU 0.6: a hit.
const NEAR: f32 = 25.0;
/// IoU 0.33: more than the background, less than a hit.
const BESIDE: f32 = 50.0;
/// IoU 0.05: the background.
const AWAY: f32 = 90.0;

fn judge(objects: &[GroundTruth], detections: &[Detection]) -> JudgedImage {
    let evaluation = evaluation(&[(objects.to_vec(), detections.to_vec())]);
    let judged = evaluation.judged_images(0.3, IouThreshold::HALF).unwrap();
    let [image] = judged.try_into().unwrap();
    image
}

fn mistakes(objects: &[GroundTruth], detections: &[Detection]) -> Vec<Mistake> {
    judge(objects, detections).mistakes
}

#[test]
fn each_kind_by_itself() {
    let cat = object(CAT, PLACE);
    let missed = Mistake::Missed { object: 0 };
    assert_eq!(mistakes(&[cat], &[]), [missed]);
    assert_eq!(
        mistakes(&[], &[detection(CAT, 0.9, PLACE)]),
        [Mistake::Background { detection: 0 }]
    );
    assert_eq!(
        mistakes(&[cat], &[detection(DOG, 0.9, moved(NEAR))]),
        [Mistake::WrongClass {
            detection: 0,
            object: 0
        }]
    );
    assert_eq!(
        mistakes(&[cat], &[detection(CAT, 0.9, moved(BESIDE))]),
        [Mistake::BadlyPlaced {
            detection: 0,
            object: 0
        }]
    );
    // The object could be found by neither a class nor a place: it is missed too.
    assert_eq!(
        mistakes(&[cat], &[detection(DOG, 0.9, moved(BESIDE))]),
        [
            Mistake::WrongClassAndPlace {
                detection: 0,
                object: 0
            },
            missed
        ]
    );
    let twice = [detection(CAT, 0.5, moved(NEAR)), detection(CAT, 0.9, PLACE)];
    let judged = judge(&[cat], &twice);
    assert_eq!(
        judged.mistakes,
        [Mistake::Double {
            detection: 1,
            object: 0
        }]
    );
    let hit = Hit {
        object: 0,
        detection: 0,
    };
    assert_eq!(judged.hits, [hit]);
    assert_eq!(judged.detections[0].score, 0.9);
    assert_eq!(
        mistakes(&[cat], &[detection(CAT, 0.9, moved(AWAY))]),
        [Mistake::Background { detection: 0 }, missed]
    );
}

#[test]
fn the_first_kind_that_fits_is_taken() {
    // Badly placed for its own class before of a wrong class, as in TIDE's code.
    let objects = [object(CAT, PLACE), object(DOG, moved(BESIDE))];
    assert_eq!(
        mistakes(&objects, &[detection(CAT, 0.9, moved(BESIDE))]),
        [
            Mistake::BadlyPlaced {
                detection: 0,
                object: 0
            },
            Mistake::Missed { object: 1 }
        ]
    );
    // Of a wrong class before double.
    let objects = [object(CAT, PLACE), object(DOG, PLACE)];
    let detections = [detection(CAT, 0.9, PLACE), detection(CAT, 0.8, PLACE)];
    assert_eq!(
        mistakes(&objects, &detections),
        [Mistake::WrongClass {
            detection: 1,
            object: 1
        }]
    );
}

#[test]
fn thresholds_are_where_the_paper_has_them() {
    let cat = object(CAT, [0.0, 0.0, 100.0, 10.0]);
    // Within the object, so that IoU is the share of its width.
    let share = |class, share: f32| detection(class, 0.9, [0.0, 0.0, 100.0 * share, 10.0]);
    let kind = |found: Detection| {
        let judged = judge(&[cat], &[found]);
        let first = judged.mistakes.first().map(|mistake| mistake.kind());
        first.filter(|kind| *kind != MistakeKind::Missed)
    };
    assert_eq!(kind(share(CAT, 0.5)), None);
    assert_eq!(kind(share(CAT, 0.49)), Some(MistakeKind::BadlyPlaced));
    assert_eq!(kind(share(CAT, 0.11)), Some(MistakeKind::BadlyPlaced));
    assert_eq!(kind(share(CAT, 0.09)), Some(MistakeKind::Background));
    assert_eq!(kind(share(DOG, 0.5)), Some(MistakeKind::WrongClass));
    assert_eq!(
        kind(share(DOG, 0.49)),
        Some(MistakeKind::WrongClassAndPlace)
    );
    assert_eq!(kind(share(DOG, 0.09)), Some(MistakeKind::Background));
    assert!((0.09..0.11).contains(&BACKGROUND_IOU));
}

#[test]
fn a_found_object_can_be_mistaken_too() {
    let detections = [
        detection(CAT, 0.9, PLACE),
        detection(DOG, 0.8, PLACE),
        detection(CAT, 0.7, moved(BESIDE)),
    ];
    let judged = judge(&[object(CAT, PLACE)], &detections);
    let kinds = judged.mistakes.iter().map(|mistake| mistake.kind());
    let kinds: Vec<MistakeKind> = kinds.collect();
    assert_eq!(kinds, [MistakeKind::WrongClass, MistakeKind::BadlyPlaced]);
    assert!(judged.is_found(0));
    assert!((judged.cost() - 1.5).abs() < 1e-6);
}

#[test]
fn difficult_objects_are_neither_missed_nor_found() {
    let objects = [difficult(CAT, PLACE)];
    let judged = judge(&objects, &[detection(CAT, 0.9, PLACE)]);
    assert_eq!((judged.hits, judged.mistakes), (vec![], vec![]));
    assert_eq!(mistakes(&objects, &[]), []);
    // By VOC's rule another class on it is a false positive.
    assert_eq!(
        mistakes(&objects, &[detection(DOG, 0.9, PLACE)]),
        [Mistake::Background { detection: 0 }]
    );
}

#[test]
fn detections_below_the_least_score_are_not_judged() {
    let judged = judge(&[object(CAT, PLACE)], &[detection(CAT, 0.29, PLACE)]);
    assert_eq!(judged.detections, []);
    assert_eq!(judged.mistakes, [Mistake::Missed { object: 0 }]);
    assert_eq!(judged.cost(), 1.0);
    for bad in [-0.1, 1.1, f32::NAN] {
        let none = evaluation(&[]);
        let error = none.judged_images(bad, IouThreshold::HALF).unwrap_err();
        assert!(error.to_string().contains(&bad.to_string()), "{error}");
    }
}

#[test]
fn mistakes_are_counted_at_the_class_that_was_said_or_missed() {
    let images = [
        judge(&[object(DOG, PLACE)], &[detection(CAT, 0.9, PLACE)]),
        judge(&[object(DOG, PLACE)], &[]),
        judge(&[], &[]),
    ];
    let counts = count_mistakes(&images, 3);
    let mut expected = vec![[0; 6]; 3];
    expected[CAT as usize][MistakeKind::WrongClass.index()] = 1;
    expected[DOG as usize][MistakeKind::Missed.index()] = 1;
    assert_eq!(counts, expected);
    for (index, kind) in MistakeKind::ALL.into_iter().enumerate() {
        assert_eq!(kind.index(), index);
    }
}

/// What is judged adds up to what average precision counts.
#[test]
fn every_detection_and_object_is_accounted_for() {
    let mut number = 11_u32;
    let mut below = |bound: u32| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 8) % bound
    };
    let mut corners = || {
        let (x, y) = (below(50) as f32, below(30) as f32);
        let (w, h) = (1 + below(40), 1 + below(30));
        (below(2), [x, y, x + w as f32, y + h as f32], below(100))
    };
    for _ in 0..200 {
        let objects: Vec<GroundTruth> = (0..5)
            .map(|index| match (index, corners()) {
                (0, (class, corners, _)) => difficult(class, corners),
                (_, (class, corners, _)) => object(class, corners),
            })
            .collect();
        let detections: Vec<Detection> = (0..9)
            .map(|_| corners())
            .map(|(class, corners, score)| detection(class, score as f32 / 100.0, corners))
            .collect();
        let judged = judge(&objects, &detections);
        let mut told = vec![0; judged.detections.len()];
        let wrong = judged.mistakes.iter().filter_map(|m| m.detection());
        for detection in wrong.chain(judged.hits.iter().map(|hit| hit.detection)) {
            told[detection] += 1;
        }
        assert!(told.iter().all(|&times| times <= 1), "{judged:?}");

        let curves = evaluation(&[(objects.clone(), detections)]);
        let all = curves.score_curves(IouThreshold::HALF, 0.0).all.at(0.3);
        assert_eq!(all.correct, judged.hits.len());
        assert_eq!(all.detections, told.iter().sum::<usize>());
        for (index, object) in judged.objects.iter().enumerate() {
            let mut mistakes = judged.mistakes.iter();
            let is_about = mistakes.any(|mistake| mistake.object() == Some(index));
            let is_told = judged.is_found(index) || is_about;
            assert_eq!(is_told, !object.difficult, "{judged:?}");
        }
    }
}

fn doubts(images: &[boxes::ImageData]) -> Vec<(usize, Doubt)> {
    let evaluation: Evaluation = evaluation(images);
    let doubts = evaluation.doubtful_labels(0.3, IouThreshold::HALF);
    let doubts = doubts.unwrap().into_iter();
    doubts.map(|label| (label.image, label.doubt)).collect()
}

#[test]
fn labels_are_doubted_where_a_detector_is_surer_than_of_half_its_hits() {
    let hit = |score| (vec![object(CAT, PLACE)], vec![detection(CAT, score, PLACE)]);
    let alone = |score| (vec![], vec![detection(CAT, score, PLACE)]);
    let images = [
        hit(0.9),
        hit(0.7),
        hit(0.5),
        alone(0.6),
        alone(0.7),
        alone(0.8),
    ];
    let doubt = Doubt::NoLabel {
        detection: detection(CAT, 0.8, PLACE),
    };
    assert_eq!(doubts(&images), [(5, doubt)]);
    // Of dogs nothing is known.
    let dog = (vec![], vec![detection(DOG, 0.99, PLACE)]);
    assert_eq!(doubts(&[hit(0.5), dog]), []);
    // A difficult object is a label.
    let on_difficult = (
        vec![difficult(DOG, PLACE)],
        vec![detection(CAT, 0.9, moved(BESIDE))],
    );
    assert_eq!(doubts(&[hit(0.5), on_difficult]), []);
}

#[test]
fn a_label_of_another_class_is_doubted() {
    let hit = (
        vec![object(CAT, PLACE)],
        vec![detection(CAT, 0.6, PLACE), detection(DOG, 0.1, PLACE)],
    );
    let other = (vec![object(DOG, PLACE)], vec![detection(CAT, 0.9, PLACE)]);
    let doubt = Doubt::OtherClass {
        detection: detection(CAT, 0.9, PLACE),
        object: object(DOG, PLACE),
    };
    assert_eq!(doubts(&[hit.clone(), other]), [(1, doubt)]);
    // One that is found as what it says is not.
    let both = (
        vec![object(DOG, PLACE)],
        vec![detection(CAT, 0.9, PLACE), detection(DOG, 0.4, PLACE)],
    );
    assert_eq!(doubts(&[hit, both]), []);
}

#[test]
fn labels_that_nothing_comes_near_come_last_and_the_largest_first() {
    let small = object(CAT, [200.0, 0.0, 210.0, 10.0]);
    let large = object(DOG, [200.0, 100.0, 290.0, 190.0]);
    let images = [
        (vec![small], vec![]),
        (
            vec![
                large,
                object(CAT, PLACE),
                difficult(CAT, [0.0, 90.0, 9.0, 99.0]),
            ],
            // IoU 0.33 of another class and of low score is near.
            vec![detection(DOG, 0.02, moved(BESIDE))],
        ),
        (vec![object(CAT, PLACE)], vec![detection(CAT, 0.4, PLACE)]),
        (vec![], vec![detection(CAT, 0.9, PLACE)]),
    ];
    let expected = [
        (
            3,
            Doubt::NoLabel {
                detection: detection(CAT, 0.9, PLACE),
            },
        ),
        (1, Doubt::NothingNear { object: large }),
        (0, Doubt::NothingNear { object: small }),
    ];
    assert_eq!(doubts(&images), expected);
}
