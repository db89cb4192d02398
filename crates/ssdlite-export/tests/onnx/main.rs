//! Exported graphs are sound, and compute what the inference engine computes.

mod engine;
mod files;
mod models;
mod operators;
mod refused;
mod tensor;

use ssdlite_core::{Detection, Scores, Task};
use ssdlite_export::{Batch, InputNumbers, Layout, OnnxOptions, onnx_from_model};
use ssdlite_infer::{Classifier, Detector, DetectorOptions, RunOptions};

use engine::Engine;
use models::{Case, MANY, classifier, detectors, images, input};
use tensor::Tensor;

/// Largest difference of a score.
const SCORE_TOLERANCE: f32 = 1e-4;

/// Largest difference of a box, in pixels of the input.
const BOX_TOLERANCE: f32 = 0.1;

/// What a file gives for images.
fn run(case: &Case, options: OnnxOptions, pixels: &Tensor) -> Vec<Tensor> {
    let onnx = onnx_from_model(&case.model, &options).expect("a sound model");
    let engine = Engine::new(&onnx.bytes);
    let mut outputs = engine.run(onnx.input.name, pixels);
    let named = onnx.outputs.iter().map(|port| {
        let output = outputs.remove(port.name);
        output.unwrap_or_else(|| panic!("expected the output {}", port.name))
    });
    let named = named.collect();
    assert!(outputs.is_empty(), "{outputs:?}");
    named
}

fn detector(case: &Case) -> Detector {
    let options = DetectorOptions {
        run: RunOptions::threads(std::num::NonZeroUsize::MIN),
        post_processing: Some(MANY),
        ..DetectorOptions::default()
    };
    Detector::new(&case.model, &options).expect("a sound model")
}

/// Boxes, corners as fractions, and scores of each default box, by the library.
fn boxes_and_scores(case: &Case, detector: &Detector, image: usize) -> [Vec<f32>; 2] {
    let info = case.model.info();
    let Task::Detect(settings) = &info.task else {
        panic!("expected a detector");
    };
    let outputs = detector.outputs(&images(info)[image]).expect("outputs");
    let defaults = detector.default_boxes().centers().iter();
    let numbers = outputs.regressions.as_chunks::<4>().0;
    let boxes = defaults.zip(numbers).flat_map(|(default, &numbers)| {
        let decoded = settings.box_coder.decode(numbers, default);
        decoded.clipped().to_array()
    });
    let boxes: Vec<f32> = boxes.collect();
    let width = settings.scores.logits(info.classes.len());
    let rows = outputs
        .logits
        .chunks_exact(width)
        .zip(boxes.as_chunks::<4>().0);
    let scores = rows.flat_map(|(row, corners)| {
        let inside = corners[2] > corners[0] && corners[3] > corners[1];
        let scores: Vec<f32> = match settings.scores {
            Scores::Softmax => {
                let sum: f32 = row.iter().map(|logit| logit.exp()).sum();
                row[1..].iter().map(|logit| logit.exp() / sum).collect()
            }
            Scores::Sigmoid => row
                .iter()
                .map(|logit| 1.0 / (1.0 + (-logit).exp()))
                .collect(),
        };
        scores
            .into_iter()
            .map(move |score| if inside { score } else { 0.0 })
    });
    let scores = scores.collect();
    [boxes, scores]
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        assert!(difference < tolerance, "{index}: {found}, not {expected}");
    }
}

/// Tolerance of corners as fractions.
fn fraction_tolerance(case: &Case) -> f32 {
    let size = case.model.info().preprocessing.size;
    BOX_TOLERANCE / size.width.max(size.height) as f32
}

#[test]
fn raw_boxes_and_scores_are_the_librarys() {
    for case in detectors() {
        let (info, detector) = (case.model.info(), detector(&case));
        for batch in [Batch::Fixed(2), Batch::Dynamic] {
            let options = OnnxOptions {
                batch,
                ..OnnxOptions::default()
            };
            let [boxes, scores] = run(&case, options, &input(info, 2, 1.0, 0.0))
                .try_into()
                .expect("boxes and scores");
            for image in 0..2 {
                let expected = boxes_and_scores(&case, &detector, image);
                let of_image = |tensor: &Tensor| {
                    let all = tensor.floats();
                    let part = all.len() / 2;
                    all[image * part..][..part].to_vec()
                };
                let tolerance = fraction_tolerance(&case);
                assert_close(&of_image(&boxes), &expected[0], tolerance);
                assert_close(&of_image(&scores), &expected[1], SCORE_TOLERANCE);
            }
        }
    }
}

#[test]
fn bytes_mean_what_fractions_mean() {
    for case in detectors() {
        let info = case.model.info();
        let floats = run(&case, OnnxOptions::default(), &input(info, 1, 1.0, 0.0));
        let options = OnnxOptions {
            input: InputNumbers::Bytes,
            ..OnnxOptions::default()
        };
        let bytes = run(&case, options, &models::bytes(info));
        for (floats, bytes) in floats.iter().zip(&bytes) {
            assert_close(&bytes.floats(), &floats.floats(), SCORE_TOLERANCE);
        }
    }
}

#[test]
fn a_yolo_is_boxes_by_their_centres_with_scores() {
    for case in detectors() {
        let info = case.model.info();
        let options = OnnxOptions {
            layout: Layout::Yolo,
            ..OnnxOptions::default()
        };
        let [output] = run(&case, options, &input(info, 1, 1.0, 0.0))
            .try_into()
            .expect("one output");
        let [boxes, scores] = boxes_and_scores(&case, &detector(&case), 0);
        let [count, classes] = [boxes.len() / 4, info.classes.len()];
        assert_eq!(output.shape, [1, 4 + classes, count]);
        let numbers = output.floats();
        let size = info.preprocessing.size;
        let (width, height) = (size.width as f32, size.height as f32);
        for (index, corners) in boxes.as_chunks::<4>().0.iter().enumerate() {
            let number = |row: usize| numbers[row * count + index];
            let found = [0, 1, 2, 3].map(number);
            let expected = [
                (corners[0] + corners[2]) / 2.0 * width,
                (corners[1] + corners[3]) / 2.0 * height,
                (corners[2] - corners[0]) * width,
                (corners[3] - corners[1]) * height,
            ];
            assert_close(&found, &expected, BOX_TOLERANCE);
            let found: Vec<f32> = (0..classes).map(|class| number(4 + class)).collect();
            let expected = &scores[index * classes..][..classes];
            assert_close(&found, expected, SCORE_TOLERANCE);
        }
    }
}

#[test]
fn a_jetsons_input_is_signed_and_its_background_comes_first() {
    for case in detectors() {
        let info = case.model.info();
        let options = OnnxOptions {
            layout: Layout::Jetson,
            ..OnnxOptions::default()
        };
        let [scores, boxes] = run(&case, options, &input(info, 1, 2.0, -1.0))
            .try_into()
            .expect("two outputs");
        let onnx = onnx_from_model(&case.model, &options).expect("a sound model");
        assert_eq!(Engine::new(&onnx.bytes).count("HardSwish"), 0);
        assert_eq!(onnx.input.name, "input_0");
        let [expected_boxes, expected_scores] = boxes_and_scores(&case, &detector(&case), 0);
        let classes = info.classes.len();
        assert_close(&boxes.floats(), &expected_boxes, fraction_tolerance(&case));
        let scores = scores.floats();
        let rows = scores.chunks_exact(1 + classes);
        let of_classes: Vec<f32> = rows.clone().flat_map(|row| row[1..].to_vec()).collect();
        assert_close(&of_classes, &expected_scores, SCORE_TOLERANCE);
        assert!(rows.clone().all(|row| (0.0..=1.0).contains(&row[0])));
    }
}

/// A detection as a file gives it.
struct Row {
    class: usize,
    score: f32,
    /// In pixels of the input.
    corners: [f32; 4],
}

/// Every detection of the library's is among the rows, and no other; those apart whose
/// score is at the least that was kept.
fn assert_same(rows: &[Row], detections: &[Detection]) {
    let least = match detections {
        [.., last] if detections.len() == MANY.max_detections => last.score + SCORE_TOLERANCE,
        _ => MANY.score_threshold + SCORE_TOLERANCE,
    };
    let mut left: Vec<&Row> = rows.iter().collect();
    let mut matched = 0;
    for detection in detections {
        let is_same = |row: &&Row| {
            let corners = detection.bbox.to_array();
            let mut sides = corners.iter().zip(row.corners);
            row.class == detection.class.index()
                && (row.score - detection.score).abs() < SCORE_TOLERANCE
                && sides.all(|(one, two)| (one - two).abs() < BOX_TOLERANCE)
        };
        match left.iter().position(is_same) {
            Some(place) => {
                left.remove(place);
                matched += 1;
            }
            None => assert!(detection.score < least, "not found: {detection:?}"),
        }
    }
    assert!(matched > 0);
    for row in left {
        assert!(
            row.score < least,
            "{} {} {:?}",
            row.class,
            row.score,
            row.corners
        );
    }
    assert!(rows.is_sorted_by(|one, two| one.score >= two.score));
}

#[test]
fn suppression_inside_a_file_leaves_what_the_library_finds() {
    for case in detectors() {
        let (info, detector) = (case.model.info(), detector(&case));
        for batch in [Batch::Fixed(2), Batch::Dynamic] {
            let options = OnnxOptions {
                layout: Layout::Nms,
                batch,
                post_processing: Some(MANY),
                ..OnnxOptions::default()
            };
            let [output] = run(&case, options, &input(info, 2, 1.0, 0.0))
                .try_into()
                .expect("one output");
            assert_eq!(output.shape, [2, MANY.max_detections, 6]);
            let numbers = output.floats();
            let of_images = numbers.chunks_exact(numbers.len() / 2);
            for (image, numbers) in images(info).iter().zip(of_images) {
                let all = numbers.as_chunks::<6>().0;
                let found = all.iter().filter(|row| row[4] > 0.0);
                let rows: Vec<Row> = found
                    .map(|&[x1, y1, x2, y2, score, class]| Row {
                        class: class as usize,
                        score,
                        corners: [x1, y1, x2, y2],
                    })
                    .collect();
                assert!(all[rows.len()..].iter().all(|row| *row == [0.0; 6]));
                assert_same(&rows, &detector.detect(image).expect("detections"));
            }
        }
    }
}

#[test]
fn openvinos_rows_count_the_background_and_end_with_image_minus_one() {
    for case in detectors() {
        let info = case.model.info();
        let options = OnnxOptions {
            layout: Layout::Ssd7,
            post_processing: Some(MANY),
            ..OnnxOptions::default()
        };
        let [output] = run(&case, options, &input(info, 1, 1.0, 0.0))
            .try_into()
            .expect("one output");
        assert_eq!(output.shape, [1, 1, MANY.max_detections, 7]);
        let size = info.preprocessing.size;
        let (width, height) = (size.width as f32, size.height as f32);
        let numbers = output.floats();
        let all = numbers.as_chunks::<7>().0;
        let found = all.iter().filter(|row| row[0] == 0.0);
        let rows: Vec<Row> = found
            .map(|&[_, class, score, x1, y1, x2, y2]| Row {
                class: class as usize - 1,
                score,
                corners: [x1 * width, y1 * height, x2 * width, y2 * height],
            })
            .collect();
        let nothing = [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert!(all[rows.len()..].iter().all(|row| *row == nothing));
        let [image, _] = images(info);
        assert_same(&rows, &detector(&case).detect(&image).expect("detections"));
    }
}

#[test]
fn nothing_found_is_rows_of_nothing() {
    let [case, ..] = detectors();
    let options = OnnxOptions {
        layout: Layout::Nms,
        post_processing: Some(ssdlite_core::PostProcessing {
            score_threshold: 1.0,
            ..MANY
        }),
        ..OnnxOptions::default()
    };
    let [output] = run(&case, options, &input(case.model.info(), 1, 1.0, 0.0))
        .try_into()
        .expect("one output");
    assert!(output.numbers.iter().all(|&number| number == 0.0));
}

#[test]
fn a_classifiers_probabilities_are_the_librarys() {
    for case in [
        classifier(ssdlite_core::Variant::Small),
        classifier(ssdlite_core::Variant::Large),
    ] {
        let info = case.model.info();
        let run_options = RunOptions::threads(std::num::NonZeroUsize::MIN);
        let library = Classifier::new(&case.model, &run_options).expect("a sound model");
        let expected = images(info).map(|image| library.classify(&image).expect("scores"));
        for batch in [Batch::Fixed(2), Batch::Dynamic] {
            let options = OnnxOptions {
                batch,
                ..OnnxOptions::default()
            };
            let [output] = run(&case, options, &input(info, 2, 1.0, 0.0))
                .try_into()
                .expect("one output");
            assert_close(&output.floats(), &expected.concat(), SCORE_TOLERANCE);
        }
        let options = OnnxOptions {
            input: InputNumbers::Bytes,
            ..OnnxOptions::default()
        };
        let [output] = run(&case, options, &models::bytes(info))
            .try_into()
            .expect("one output");
        assert_close(&output.floats(), &expected[0], SCORE_TOLERANCE);
    }
}
