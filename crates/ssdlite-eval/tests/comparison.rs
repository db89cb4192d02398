//! What holds for every two detectors: laws of the paired bootstrap, and of the images
//! in which they differ.

mod boxes;

use ssdlite_eval::{
    ApDifference, Better, Bootstrap, Comparison, ComparisonOptions, Evaluation, Interval,
    IouThreshold, VocMetric,
};

use boxes::{CAT, DOG, ImageData, detection, difficult, evaluation, object};

const METRICS: [VocMetric; 2] = [VocMetric::ElevenPoint, VocMetric::Area];

fn options(metric: VocMetric) -> ComparisonOptions {
    ComparisonOptions {
        metric,
        iou: IouThreshold::HALF,
        min_scores: [0.3, 0.5],
        bootstrap: Bootstrap {
            resamples: 200,
            seed: 5,
        },
    }
}

fn compare(a: &Evaluation, b: &Evaluation, metric: VocMetric) -> Comparison {
    Comparison::new(a, b, &options(metric)).unwrap()
}

/// A detector that finds a share of the objects of 31 images, and something else now
/// and then. No two scores are equal.
fn detector(skill: u32) -> Vec<ImageData> {
    let mut number = 77_u32;
    let mut below = |bound: u32| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 8) % bound
    };
    let mut drawn = 0;
    let mut score = move |middle: f32| {
        drawn += 1;
        middle + (drawn * 89 % 1009) as f32 / 4096.0
    };
    let image = |index: u32| {
        let mut objects = Vec::new();
        let mut detections = Vec::new();
        for place in 0..below(5) {
            let (x, y) = (place as f32 * 70.0, index as f32);
            let (class, corners) = (below(2), [x, y, x + 31.0, y + 43.0]);
            objects.push(match below(8) {
                0 => difficult(class, corners),
                _ => object(class, corners),
            });
            if below(100) < skill {
                detections.push(detection(class, score(0.4), corners));
            }
            if below(100) > skill {
                detections.push(detection(
                    class,
                    score(0.3),
                    [x + 25.0, y, x + 66.0, y + 43.0],
                ));
            }
        }
        (objects, detections)
    };
    (0..31).map(image).collect()
}

#[test]
fn a_detector_against_itself_differs_by_nothing() {
    let a = evaluation(&detector(70));
    for metric in METRICS {
        let mut options = options(metric);
        options.min_scores = [0.4, 0.4];
        let same = Comparison::new(&a, &a, &options).unwrap();
        let nothing = Some(Interval {
            low: 0.0,
            high: 0.0,
        });
        for ap in [same.map, same.per_class[0].ap, same.per_class[1].ap] {
            assert_eq!((ap.difference, ap.interval), (Some(0.0), nothing));
        }
        assert_eq!(same.differing, []);
        assert_eq!(same.a, same.b);
    }
}

fn mirrored(ap: ApDifference) -> ApDifference {
    ApDifference {
        a: ap.b,
        b: ap.a,
        difference: ap.difference.map(|difference| -difference),
        interval: ap.interval.map(|Interval { low, high }| Interval {
            low: -high,
            high: -low,
        }),
    }
}

#[test]
fn swapped_detectors_are_mirrored() {
    let (a, b) = (evaluation(&detector(40)), evaluation(&detector(80)));
    for metric in METRICS {
        let one_way = compare(&a, &b, metric);
        let mut options = options(metric);
        options.min_scores.reverse();
        let other_way = Comparison::new(&b, &a, &options).unwrap();
        assert_eq!(other_way.map, mirrored(one_way.map));
        for (one, other) in one_way.per_class.iter().zip(&other_way.per_class) {
            assert_eq!(other.ap, mirrored(one.ap));
            assert_eq!(other.f1, [one.f1[1], one.f1[0]]);
        }
        assert_eq!((other_way.a, other_way.b), (one_way.b, one_way.a));
        let images = |comparison: &Comparison| -> Vec<usize> {
            comparison
                .differing
                .iter()
                .map(|found| found.image)
                .collect()
        };
        assert_eq!(images(&one_way), images(&other_way));
    }
}

#[test]
fn average_precisions_are_those_of_the_evaluations() {
    let (a, b) = (evaluation(&detector(40)), evaluation(&detector(80)));
    for metric in METRICS {
        let compared = compare(&a, &b, metric);
        let [of_a, of_b] = [&a, &b].map(|found| found.voc(metric, IouThreshold::HALF));
        assert_eq!((compared.map.a, compared.map.b), (of_a.map, of_b.map));
        for (class, found) in compared.per_class.iter().enumerate() {
            assert_eq!(found.ap.a, of_a.per_class[class].ap);
            assert_eq!(found.ap.b, of_b.per_class[class].ap);
        }
        // There is no yak.
        assert_eq!(compared.per_class[2].ap.difference, None);
        assert_eq!(compared.per_class[2].ap.interval, None);
    }
}

#[test]
fn the_interval_is_the_seeds_and_holds_what_was_measured() {
    let (a, b) = (evaluation(&detector(30)), evaluation(&detector(90)));
    let compared = compare(&a, &b, VocMetric::Area);
    assert_eq!(compared, compare(&a, &b, VocMetric::Area));
    let difference = compared.map.difference.unwrap();
    let interval = compared.map.interval.unwrap();
    assert!(interval.low < difference && difference < interval.high);
    assert_eq!(compared.map.better(), Better::B);
    let mut other = options(VocMetric::Area);
    other.bootstrap.seed += 1;
    let other = Comparison::new(&a, &b, &other).unwrap();
    assert_ne!(other.map.interval, compared.map.interval);
    assert_eq!(other.map.difference, compared.map.difference);
}

/// What differs in a single image is there in 64 of 100 resamples.
#[test]
fn a_single_image_makes_no_certainty() {
    let corners = [3.0, 5.0, 40.0, 30.0];
    let image = |score| {
        (
            vec![object(CAT, corners)],
            vec![detection(CAT, score, corners)],
        )
    };
    let mut images: Vec<ImageData> = (1..30).map(|n| image(0.5 + n as f32 / 80.0)).collect();
    let better = evaluation(&images);
    images[17].1.clear();
    let worse = evaluation(&images);
    let compared = compare(&worse, &better, VocMetric::Area);
    let interval = compared.map.interval.unwrap();
    assert_eq!(interval.low, 0.0);
    assert!(interval.high > compared.map.difference.unwrap());
    assert_eq!(compared.map.better(), Better::Unknown);
    let [found] = compared.differing[..] else {
        panic!("{:?}", compared.differing);
    };
    assert_eq!((found.image, found.mistakes), (17, [1, 0]));
    assert_eq!(found.difference(), -1.0);
}

/// Copies of an image, drawn together, weigh as images of their own do.
#[test]
fn a_set_of_one_image_leaves_nothing_to_chance() {
    let image = |skill: u32| {
        detector(skill)
            .into_iter()
            .max_by_key(|image| image.0.len())
    };
    let [a, b] = [20, 95].map(|skill| evaluation(&[image(skill).unwrap()]));
    let compared = compare(&a, &b, VocMetric::Area);
    let interval = compared.map.interval.unwrap();
    assert_eq!(interval.low, interval.high);
}

#[test]
fn images_that_differ_most_come_first() {
    let corners = [3.0, 5.0, 40.0, 30.0];
    let truth = vec![object(DOG, corners)];
    let found = |score| (truth.clone(), vec![detection(DOG, score, corners)]);
    let wrong = |score| (vec![], vec![detection(DOG, score, corners)]);
    // Each finds one of two objects, and not the same.
    let other = [60.0, 5.0, 90.0, 30.0];
    let either = |place| {
        let both = vec![object(DOG, corners), object(DOG, other)];
        (both, vec![detection(DOG, 0.8, place)])
    };
    let a = [
        either(corners),
        found(0.9),
        wrong(0.75),
        found(0.9),
        (vec![], vec![]),
    ];
    let b = [
        either(other),
        found(0.6),
        wrong(0.5),
        (truth.clone(), vec![]),
        wrong(0.9),
    ];
    let compared = compare(&evaluation(&a), &evaluation(&b), VocMetric::Area);
    let order: Vec<usize> = compared.differing.iter().map(|found| found.image).collect();
    assert_eq!(order, [3, 4, 2, 0]);
    let text = compared.to_string();
    assert!(
        text.starts_with("VOC area AP at IoU 0.5, images: 5\n"),
        "{text}"
    );
    assert!(text.contains("95% interval"), "{text}");
}

#[test]
fn what_can_not_be_compared_is_refused() {
    let images = detector(50);
    let a = evaluation(&images);
    let refusal = |b: &Evaluation, change: fn(&mut ComparisonOptions)| {
        let mut options = options(VocMetric::Area);
        change(&mut options);
        Comparison::new(&a, b, &options).unwrap_err().to_string()
    };
    let fewer = refusal(&evaluation(&images[1..]), |_| {});
    assert!(fewer.contains("31 and 30"), "{fewer}");
    let mut other = images.clone();
    other[4].0.push(object(CAT, [1.0, 2.0, 3.0, 4.0]));
    let other = refusal(&evaluation(&other), |_| {});
    assert!(other.contains("image 4"), "{other}");
    let names = ssdlite_core::ClassNames::new(["cat", "dog"]).unwrap();
    let classes = refusal(&Evaluation::new(names), |_| {});
    assert!(classes.contains("classes"), "{classes}");
    let none = refusal(&a, |options| options.bootstrap.resamples = 0);
    assert!(none.contains("found 0"), "{none}");
    let many = refusal(&a, |options| options.bootstrap.resamples = usize::MAX);
    assert!(many.contains("resamples"), "{many}");
    let score = refusal(&a, |options| options.min_scores[1] = f32::NAN);
    assert!(score.contains("NaN"), "{score}");
}

#[test]
fn nothing_to_compare_gives_no_numbers() {
    let empty = evaluation(&[]);
    let compared = compare(&empty, &empty, VocMetric::ElevenPoint);
    assert_eq!(
        (compared.map.difference, compared.map.interval),
        (None, None)
    );
    assert_eq!(compared.differing, []);
    let json = serde_json::to_value(&compared).unwrap();
    assert_eq!(json["metric"], "voc07");
    assert!(json["per_class"]["yak"]["ap"]["interval"].is_null());
    assert!(json["a"]["f1"].is_null());
}
