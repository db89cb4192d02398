//! What can't be exported is refused, and why is said.

use ssdlite_core::{DetectorSettings, PostProcessing, Suppression, Variant};
use ssdlite_export::{
    Batch, Error, InputNumbers, Layout, MOST_IMAGES, OnnxOptions, onnx_from_model,
};

use crate::models::{Case, MANY, classifier, detector, detectors};

#[track_caller]
fn refusal(case: &Case, options: OnnxOptions) -> Error {
    onnx_from_model(&case.model, &options).expect_err("options that don't fit")
}

#[test]
fn a_classifier_has_no_layout_of_boxes() {
    for layout in [Layout::Nms, Layout::Yolo, Layout::Ssd7, Layout::Jetson] {
        let options = OnnxOptions {
            layout,
            ..OnnxOptions::default()
        };
        let error = refusal(&classifier(Variant::Small), options);
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
        for words in [layout.name(), "classifier"] {
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

#[test]
fn options_that_a_consumer_does_not_know_are_refused() {
    let [case, ..] = detectors();
    let usual = OnnxOptions::default();
    for (options, words) in [
        (
            OnnxOptions {
                layout: Layout::Ssd7,
                batch: Batch::Fixed(2),
                ..usual
            },
            "ssd7",
        ),
        (
            OnnxOptions {
                layout: Layout::Ssd7,
                batch: Batch::Dynamic,
                ..usual
            },
            "found batch",
        ),
        (
            OnnxOptions {
                layout: Layout::Jetson,
                input: InputNumbers::Bytes,
                ..usual
            },
            "found bytes",
        ),
    ] {
        let error = refusal(&case, options);
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    for images in [0, MOST_IMAGES + 1, usize::MAX] {
        let batch = Batch::Fixed(images);
        let error = refusal(&case, OnnxOptions { batch, ..usual });
        assert!(matches!(error, Error::OverLimit(_)), "{error}");
        assert!(error.to_string().contains(&images.to_string()), "{error}");
    }
}

#[test]
fn settings_that_no_file_follows_are_refused() {
    let [case, ..] = detectors();
    for layout in [Layout::Nms, Layout::Ssd7] {
        let with = |post_processing| OnnxOptions {
            layout,
            post_processing: Some(post_processing),
            ..OnnxOptions::default()
        };
        let unsound = PostProcessing {
            score_threshold: f32::NAN,
            ..MANY
        };
        let error = refusal(&case, with(unsound));
        assert!(matches!(error, Error::Malformed(_)), "{error}");
        let soft = PostProcessing {
            suppression: Suppression::Soft { sigma: 0.5 },
            ..MANY
        };
        let error = refusal(&case, with(soft));
        assert!(error.to_string().contains("soft NMS"), "{error}");
        // So it is with what the model says; where nothing is suppressed it may.
        let settings = DetectorSettings {
            post_processing: soft,
            ..DetectorSettings::default()
        };
        let case = detector(Variant::Small, settings);
        let error = refusal(
            &case,
            OnnxOptions {
                layout,
                ..OnnxOptions::default()
            },
        );
        assert!(matches!(error, Error::Unsupported(_)), "{error}");
        assert!(onnx_from_model(&case.model, &OnnxOptions::default()).is_ok());
    }
}
