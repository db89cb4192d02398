//! What holds for every detector and every set of images.

use ssdlite_core::{ClassId, ClassNames, Detection, GroundTruth, PixelBox};
use ssdlite_eval::{
    ConfusionMatrix, Evaluation, IouThreshold, PrCurve, VocMetric, VocReport, mean_precision_recall,
};

const METRICS: [VocMetric; 2] = [VocMetric::ElevenPoint, VocMetric::Area];
const NAMES: [&str; 3] = ["cat", "dog", "yak"];

type ImageData = (Vec<GroundTruth>, Vec<Detection>);

fn object(class: u32, corners: [f32; 4]) -> GroundTruth {
    let [x1, y1, x2, y2] = corners;
    GroundTruth {
        class: ClassId(class),
        bbox: PixelBox::new(x1, y1, x2, y2),
        difficult: false,
    }
}

fn difficult(class: u32, corners: [f32; 4]) -> GroundTruth {
    GroundTruth {
        difficult: true,
        ..object(class, corners)
    }
}

fn detection(class: u32, score: f32, corners: [f32; 4]) -> Detection {
    let GroundTruth { class, bbox, .. } = object(class, corners);
    Detection { class, score, bbox }
}

/// A detection that is exactly right.
fn perfect(object: &GroundTruth, score: f32) -> Detection {
    Detection {
        class: object.class,
        score,
        bbox: object.bbox,
    }
}

fn evaluation(images: &[ImageData]) -> Evaluation {
    let mut evaluation = Evaluation::new(ClassNames::new(NAMES).unwrap());
    for (objects, detections) in images {
        evaluation.add_image(objects, detections).unwrap();
    }
    evaluation
}

fn one_image(objects: &[GroundTruth], detections: &[Detection]) -> Evaluation {
    evaluation(&[(objects.to_vec(), detections.to_vec())])
}

fn ap_of_cats(objects: &[GroundTruth], detections: &[Detection]) -> f64 {
    let report = one_image(objects, detections).voc(VocMetric::Area, IouThreshold::HALF);
    report.per_class[0].ap.unwrap()
}

/// Seventeen images with objects of two classes, none of the third, and
/// detections near them: right, wrong, doubled and missing. No two scores
/// are equal.
fn mixed_images() -> Vec<ImageData> {
    let mut number = 0_u32;
    let mut score = move || {
        number += 1;
        (number * 97 % 211) as f32 / 256.0 + 0.125
    };
    let mut images = Vec::new();
    for image in 0..17_u32 {
        let mut objects = Vec::new();
        let mut detections = Vec::new();
        for place in 0..image % 4 {
            let (x, y) = (place as f32 * 90.0 + 3.0, (image * 13 % 50) as f32);
            let (w, h) = (20.0 + (image * 5 % 31) as f32, 30.0 + place as f32 * 9.0);
            let corners = [x, y, x + w, y + h];
            let class = (image + place) % 2;
            objects.push(if (image + place) % 7 == 3 {
                difficult(class, corners)
            } else {
                object(class, corners)
            });
            for shift in 0..(image * 3 + place) % 4 {
                let shifted = [x + shift as f32 * 5.0, y, x + w, y + h + 2.0];
                let guess = if shift == 2 { 1 - class } else { class };
                detections.push(detection(guess, score(), shifted));
            }
        }
        if image % 3 == 0 {
            detections.push(detection(image % 2, score(), [300.0, 1.0, 340.0, 57.0]));
        }
        images.push((objects, detections));
    }
    images
}

fn assert_same(a: Option<f64>, b: Option<f64>) {
    match (a, b) {
        (Some(a), Some(b)) => assert!((a - b).abs() < 1e-12, "{a} and {b}"),
        (a, b) => assert_eq!(a, b),
    }
}

#[test]
fn perfect_detections_score_one() {
    let mut images = mixed_images();
    let mut score = 1.0;
    for (objects, detections) in &mut images {
        detections.clear();
        for object in objects {
            score *= 0.95;
            detections.push(perfect(object, score));
        }
    }
    let evaluation = evaluation(&images);
    for metric in METRICS {
        let report = evaluation.voc(metric, IouThreshold::new(1.0).unwrap());
        let aps: Vec<_> = report.per_class.iter().map(|class| class.ap).collect();
        assert_eq!(aps, [Some(1.0), Some(1.0), None]);
        assert_eq!(report.map, Some(1.0));
    }
    let coco = evaluation.coco().unwrap();
    assert_same(coco.map, Some(1.0));
    assert_same(coco.ar100, Some(1.0));
    assert_eq!(coco.per_class[2].ap, None);
    let rates = evaluation.detection_rates(0.0, IouThreshold::HALF).unwrap();
    assert_eq!(rates.all.objects, evaluation.object_count() as u64);
    assert_eq!(rates.all.correct, rates.all.objects);
    assert_eq!((rates.all.wrong, rates.all.missed), (0, 0));
}

#[test]
fn false_positives_of_lower_score_never_raise_ap() {
    let mut images = mixed_images();
    let mut last = evaluation(&images);
    for round in 1..6 {
        let score = 0.1 / round as f32;
        for (_, detections) in images.iter_mut().step_by(round) {
            detections.push(detection(0, score, [500.0, 1.0, 540.0, 57.0]));
            detections.push(detection(1, score, [500.0, 1.0, 540.0, 57.0]));
        }
        let next = evaluation(&images);
        for metric in METRICS {
            let before = last.voc(metric, IouThreshold::HALF);
            let after = next.voc(metric, IouThreshold::HALF);
            for (a, b) in before.per_class.iter().zip(&after.per_class) {
                assert!(b.ap <= a.ap, "{metric}: {:?} to {:?}", a.ap, b.ap);
            }
        }
        let (before, after) = (last.coco().unwrap().map, next.coco().unwrap().map);
        assert!(after.unwrap() <= before.unwrap() + 1e-12);
        last = next;
    }
}

#[test]
fn false_positives_of_higher_score_lower_ap() {
    let cat = object(0, [3.0, 5.0, 40.0, 30.0]);
    let elsewhere = [100.0, 5.0, 140.0, 30.0];
    let found = perfect(&cat, 0.5);
    assert_eq!(ap_of_cats(&[cat], &[found]), 1.0);
    let with = |score| ap_of_cats(&[cat], &[detection(0, score, elsewhere), found]);
    assert_eq!(with(0.75), 0.5);
    assert_eq!(with(0.25), 1.0);
}

#[test]
fn the_order_of_images_and_of_their_entries_does_not_matter() {
    let images = mixed_images();
    let mut reversed: Vec<_> = images.iter().rev().cloned().collect();
    for (objects, detections) in &mut reversed {
        objects.reverse();
        detections.reverse();
    }
    let (a, b) = (evaluation(&images), evaluation(&reversed));
    let iou = IouThreshold::HALF;
    for metric in METRICS {
        assert_eq!(a.voc(metric, iou), b.voc(metric, iou));
        assert!(a.voc(metric, iou).map.unwrap() > 0.1);
        assert!(a.voc(metric, iou).map.unwrap() < 0.9);
    }
    assert_eq!(a.precision_recall(iou), b.precision_recall(iou));
    assert_eq!(
        a.confusion(0.3, iou).unwrap(),
        b.confusion(0.3, iou).unwrap()
    );
    assert_same(a.coco().unwrap().map, b.coco().unwrap().map);
}

#[test]
fn area_ap_is_the_area_under_the_raised_curve() {
    let evaluation = evaluation(&mixed_images());
    let curves = evaluation.precision_recall(IouThreshold::HALF);
    let report = evaluation.voc(VocMetric::Area, IouThreshold::HALF);
    for (curve, class) in curves.iter().zip(&report.per_class) {
        assert_eq!(curve.name, class.name);
        assert_eq!(curve.objects, class.objects);
        let falls = curve
            .points
            .windows(2)
            .any(|pair| pair[1].score > pair[0].score || pair[1].recall < pair[0].recall);
        assert!(!falls);
        assert_same(class.ap, area_under(curve));
    }
    assert!(curves[2].points.is_empty());
}

fn area_under(curve: &PrCurve) -> Option<f64> {
    let mut area = 0.0;
    let mut recall = 0.0;
    for (index, point) in curve.points.iter().enumerate() {
        let rest = curve.points[index..].iter().map(|point| point.precision);
        area += (point.recall - recall) * rest.fold(0.0, f64::max);
        recall = point.recall;
    }
    (curve.objects > 0).then_some(area)
}

#[test]
fn recalls_of_3_6_and_7_of_10_reach_their_thresholds() {
    let objects: Vec<_> = (0..10)
        .map(|place| {
            object(
                0,
                [place as f32 * 20.0, 1.0, place as f32 * 20.0 + 11.0, 24.0],
            )
        })
        .collect();
    for hits in [3, 6, 7] {
        let found: Vec<_> = objects[..hits].iter().map(|o| perfect(o, 0.5)).collect();
        let report = one_image(&objects, &found).voc(VocMetric::ElevenPoint, IouThreshold::HALF);
        assert_same(report.map, Some((hits + 1) as f64 / 11.0));
    }
}

#[test]
fn a_second_detection_of_an_object_is_a_false_positive() {
    let left = object(0, [0.0, 0.0, 20.0, 30.0]);
    let right = object(0, [4.0, 0.0, 24.0, 30.0]);
    let found = [
        perfect(&left, 0.9),
        perfect(&left, 0.8),
        perfect(&right, 0.7),
    ];
    // The second one would hit the right object too, but overlaps the left
    // one more.
    assert!(found[1].bbox.iou(&right.bbox) > 0.5);
    let ap = ap_of_cats(&[left, right], &found);
    assert_same(Some(ap), Some((1.0 + 2.0 / 3.0) / 2.0));
}

#[test]
fn difficult_objects_neither_reward_nor_punish() {
    let easy = object(0, [3.0, 5.0, 40.0, 30.0]);
    let hard = difficult(0, [60.0, 5.0, 90.0, 47.0]);
    let twice_on_hard = [perfect(&hard, 0.9), perfect(&hard, 0.8)];
    let found = perfect(&easy, 0.5);
    let without = one_image(&[easy], &[found]);
    let missed = one_image(&[easy, hard], &[found]);
    let hit = one_image(&[easy, hard], &[twice_on_hard[0], twice_on_hard[1], found]);
    let iou = IouThreshold::HALF;
    for evaluation in [&without, &missed, &hit] {
        assert_eq!(evaluation.object_count(), 1);
        for metric in METRICS {
            let report = evaluation.voc(metric, iou);
            assert_eq!(report.per_class[0].objects, 1);
            assert_eq!(report.map, Some(1.0));
        }
        assert_eq!(evaluation.precision_recall(iou)[0].points.len(), 1);
        assert_same(evaluation.coco().unwrap().map, Some(1.0));
        let matrix = evaluation.confusion(0.3, iou).unwrap();
        assert_eq!(matrix, without.confusion(0.3, iou).unwrap());
    }
    let only_hard = one_image(&[hard], &twice_on_hard);
    assert_eq!(only_hard.voc(VocMetric::Area, iou).map, None);
    assert_eq!(only_hard.coco().unwrap().map, None);
}

#[test]
fn inclusive_pixels_are_read_as_exclusive_boxes() {
    // The devkit's IoU of columns 10..=19 and 15..=24 over the same rows is
    // 5 / 15; that of the bare differences of coordinates would be 4 / 14.
    let inclusive = |xmin: f32, xmax: f32| [xmin - 1.0, 2.0, xmax, 40.0];
    let cat = object(0, inclusive(10.0, 19.0));
    let found = detection(0, 0.5, inclusive(15.0, 24.0));
    let ap = |iou| {
        let iou = IouThreshold::new(iou).unwrap();
        one_image(&[cat], &[found]).voc(VocMetric::Area, iou).map
    };
    assert_eq!(ap(0.3), Some(1.0));
    assert_eq!(ap(1.0 / 3.0), Some(1.0));
    assert_eq!(ap(0.34), Some(0.0));
}

/// A matrix of so many classes, from detections of class `a + a mod 3` in the places of
/// objects of class `a`, as often as `a`; nothing is found of class 0.
fn matrix_of(classes: u32) -> ConfusionMatrix {
    let names = (0..classes).map(|class| format!("a class with the long name {class}"));
    let mut evaluation = Evaluation::new(ClassNames::new(names).unwrap());
    for class in 0..classes {
        let place = [0.0, 0.0, 20.0, 30.0];
        let found = detection((class + class % 3) % classes, 0.9, place);
        let found = if class == 0 { vec![] } else { vec![found] };
        for _ in 0..=class {
            evaluation
                .add_image(&[object(class, place)], &found)
                .unwrap();
        }
    }
    evaluation.confusion(0.3, IouThreshold::HALF).unwrap()
}

#[test]
fn a_matrix_of_the_most_confused_keeps_all_counts_and_the_shares_of_its_rows() {
    for classes in [1, 5, 6, 40] {
        let matrix = matrix_of(classes);
        let small = matrix.of_most_confused(5);
        let sum = |matrix: &ConfusionMatrix| matrix.rows().flatten().sum::<u64>();
        assert_eq!(sum(&small), sum(&matrix));
        assert_eq!(small.labels().last().unwrap(), "background");
        if classes <= 6 {
            assert_eq!(small, matrix);
            continue;
        }
        assert_eq!(small.labels().len(), 7);
        assert_eq!(small.labels()[5], "35 other classes");
        let kept = &small.labels()[..5];
        let place = |label: &String| matrix.labels().iter().position(|known| known == label);
        let places: Vec<usize> = kept.iter().filter_map(place).collect();
        assert!(places.len() == 5 && places.is_sorted());
        for (row, &truth) in places.iter().enumerate() {
            assert_eq!(small.share(row, row), matrix.share(truth, truth));
            for (column, &predicted) in places.iter().enumerate() {
                assert_eq!(small.get(row, column), matrix.get(truth, predicted));
            }
        }
        let mistakes = |label: usize| -> u64 {
            let all = matrix.confusions().into_iter();
            let of_label = all.filter(|one| one.truth == label || one.predicted == label);
            of_label.map(|one| one.count).sum()
        };
        let others = (0..classes as usize).filter(|class| !places.contains(class));
        let least = places.iter().map(|&class| mistakes(class)).min();
        assert!(least >= others.map(mistakes).max());
    }
}

#[test]
fn a_small_matrix_prints_names_and_shares_on_both_sides() {
    let text = matrix_of(3).to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("Rows: what there was."), "{text}");
    assert!(lines[1].starts_with("true \\ predicted"), "{text}");
    for column in ["0 a class with…", "1 a class with…", "3 background"] {
        assert!(lines[1].contains(column), "{text}");
    }
    assert!(
        lines[2].starts_with("0 a class with the long name 0 "),
        "{text}"
    );
    assert!(lines[2].ends_with("1 100%"), "{text}");
    assert_eq!(lines.len(), 6);
    let lengths: Vec<usize> = lines[1..].iter().map(|line| line.chars().count()).collect();
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{text}");
}

#[test]
fn a_large_matrix_prints_what_was_confused_most() {
    let matrix = matrix_of(100);
    let confusions = matrix.confusions();
    assert!(confusions.is_sorted_by_key(|one| std::cmp::Reverse(one.count)));
    let text = matrix.to_string();
    let lines: Vec<&str> = text.lines().collect();
    let all = confusions.len();
    assert!(lines[0].contains(&format!("The 20 most frequent of {all} confusions")));
    assert_eq!(lines.len(), 22);
    assert!(lines[2].contains("long name 98"), "{text}");
    assert!(lines[2].ends_with("99   100%"), "{text}");
}

#[test]
fn the_mean_curve_falls_and_is_the_curve_of_a_single_class() {
    let found = [
        detection(0, 0.9, [0.0, 0.0, 20.0, 30.0]),
        detection(0, 0.8, [500.0, 0.0, 520.0, 30.0]),
        detection(0, 0.7, [50.0, 0.0, 70.0, 30.0]),
    ];
    let cats = [
        object(0, [0.0, 0.0, 20.0, 30.0]),
        object(0, [50.0, 0.0, 70.0, 30.0]),
        object(0, [90.0, 0.0, 110.0, 30.0]),
    ];
    let mean = |objects: &[GroundTruth]| {
        let curves = one_image(objects, &found).precision_recall(IouThreshold::HALF);
        mean_precision_recall(&curves)
    };
    let one = mean(&cats);
    assert_eq!((one.len(), one[0], one[100]), (101, (0.0, 1.0), (1.0, 0.0)));
    assert!(one.is_sorted_by(|(_, a), (_, b)| a >= b));
    assert_eq!((one[33].1, one[34].1, one[67].1), (1.0, 2.0 / 3.0, 0.0));
    // A second class of which nothing is found halves it; one without objects
    // doesn't count.
    let dog = object(1, [300.0, 0.0, 320.0, 30.0]);
    let both = mean(&[&cats[..], &[dog]].concat());
    assert!(both.iter().zip(&one).all(|(two, one)| two.1 == one.1 / 2.0));
    assert!(mean(&[]).is_empty());
}

#[test]
fn the_confusion_matrix_pairs_by_overlap_then_score() {
    let cat = object(0, [0.0, 0.0, 20.0, 30.0]);
    let dog = object(1, [50.0, 0.0, 70.0, 30.0]);
    let lost = object(1, [90.0, 0.0, 110.0, 30.0]);
    let found = [
        // Overlaps the cat less than the next, so nothing is left for it.
        detection(0, 0.9, [4.0, 0.0, 20.0, 30.0]),
        detection(0, 0.4, [1.0, 0.0, 20.0, 30.0]),
        // Both overlap the dog alike: the higher score takes it.
        detection(1, 0.5, [50.0, 0.0, 70.0, 27.0]),
        detection(2, 0.6, [50.0, 3.0, 70.0, 30.0]),
        // Below the score.
        detection(1, 0.2, [90.0, 0.0, 110.0, 30.0]),
    ];
    let evaluation = one_image(&[cat, dog, lost], &found);
    let matrix = evaluation.confusion(0.3, IouThreshold::HALF).unwrap();
    assert_eq!(matrix.labels(), ["cat", "dog", "yak", "background"]);
    let rows: Vec<_> = matrix.rows().collect();
    assert_eq!(rows[0], [1, 0, 0, 0]);
    assert_eq!(rows[1], [0, 0, 1, 1]);
    assert_eq!(rows[2], [0, 0, 0, 0]);
    assert_eq!(rows[3], [1, 1, 0, 0]);

    let rates = evaluation.detection_rates(0.3, IouThreshold::HALF).unwrap();
    let [cats, dogs, yaks] = rates.per_class.as_slice() else {
        panic!("expected three classes");
    };
    assert_eq!((cats.objects, cats.correct, cats.wrong), (1, 1, 1));
    assert_eq!((dogs.objects, dogs.correct, dogs.wrong), (2, 0, 1));
    assert_eq!((yaks.objects, yaks.correct, yaks.wrong), (0, 0, 1));
    assert_eq!((yaks.correct_rate, yaks.wrong_rate), (None, Some(1.0)));
    assert_eq!((rates.all.objects, rates.all.missed), (3, 2));
    assert_eq!(rates.all.missed_rate, Some(2.0 / 3.0));
    assert_eq!(rates.all.wrong_rate, Some(0.75));
}

#[test]
fn rates_add_up_on_mixed_images() {
    let evaluation = evaluation(&mixed_images());
    for score in [0.0, 0.3, 0.7, 1.0] {
        let rates = evaluation
            .detection_rates(score, IouThreshold::HALF)
            .unwrap();
        for class in rates.per_class.iter().chain([&rates.all]) {
            assert_eq!(class.correct + class.missed, class.objects);
        }
        assert_eq!(rates.all.objects, evaluation.object_count() as u64);
    }
    for bad in [-0.1, 1.1, f32::NAN] {
        assert!(evaluation.confusion(bad, IouThreshold::HALF).is_err());
        assert!(evaluation.detection_rates(bad, IouThreshold::HALF).is_err());
    }
}

#[test]
fn empty_sets_have_no_numbers() {
    let iou = IouThreshold::HALF;
    let stray = detection(1, 0.9, [1.0, 2.0, 30.0, 40.0]);
    for (evaluation, wrong) in [
        (evaluation(&[]), 0),
        (one_image(&[], &[]), 0),
        (one_image(&[], &[stray]), 1),
    ] {
        let voc = evaluation.voc(VocMetric::ElevenPoint, iou);
        assert_eq!(voc.map, None);
        assert!(voc.per_class.iter().all(|class| class.ap.is_none()));
        let coco = evaluation.coco().unwrap();
        assert_eq!((coco.map, coco.ar100), (None, None));
        let rates = evaluation.detection_rates(0.3, iou).unwrap();
        assert_eq!((rates.all.correct_rate, rates.all.wrong), (None, wrong));
    }
    let cat = object(0, [3.0, 5.0, 40.0, 30.0]);
    let nothing_found = one_image(&[cat], &[]);
    assert_eq!(nothing_found.voc(VocMetric::Area, iou).map, Some(0.0));
    assert_eq!(nothing_found.coco().unwrap().map, Some(0.0));
}

#[test]
fn json_keeps_the_contract_and_the_order_of_classes() {
    let yak = object(2, [3.0, 5.0, 40.0, 30.0]);
    let cat = object(0, [60.0, 5.0, 90.0, 47.0]);
    let evaluation = one_image(&[yak, cat], &[perfect(&yak, 0.5)]);
    let voc: VocReport = evaluation.voc(VocMetric::ElevenPoint, IouThreshold::HALF);
    assert_eq!(
        serde_json::to_string(&voc).unwrap(),
        concat!(
            r#"{"metric":"voc07","iou":0.5,"map":0.5,"#,
            r#""per_class":{"cat":0.0,"dog":null,"yak":1.0},"images":1,"objects":2}"#
        )
    );
    let coco = serde_json::to_string(&evaluation.coco().unwrap()).unwrap();
    assert!(coco.starts_with(r#"{"metric":"coco","map":0."#), "{coco}");
    assert!(coco.contains(r#""images":1,"objects":2,"ap50":"#), "{coco}");
    let matrix = evaluation.confusion(0.3, IouThreshold::HALF).unwrap();
    assert_eq!(
        serde_json::to_string(&matrix).unwrap(),
        concat!(
            r#"{"labels":["cat","dog","yak","background"],"#,
            r#""counts":[[0,0,0,1],[0,0,0,0],[0,0,1,0],[0,0,0,0]]}"#
        )
    );
    assert_eq!(
        voc.to_string(),
        concat!(
            "VOC07 11-point AP at IoU 0.5, images: 1\n",
            "class  objects  detections      AP\n",
            "cat          1           0  0.0000\n",
            "dog          0           0       -\n",
            "yak          1           1  1.0000\n",
            "mean         2           1  0.5000\n",
        )
    );
}
