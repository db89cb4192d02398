//! DeepStack's interface, spoken as its clients do.
//!
//! Sources: Frigate's `frigate/detectors/plugins/deepstack.py`; `deepstack/core.py` of
//! the package `deepstack-python`, which Home Assistant's integration uses. Both send
//! a form by the package `requests`: the fields first, then the file `image` under the
//! name of its field.

use serde_json::{Value, json};
use ssdlite_core::ImageSize;
use ssdlite_serve::Access;

use crate::client::{Answer, multipart, post, send};
use crate::fixtures::{
    ColorDetector, GREEN, PanickingDetector, RED, Running, TellingDetector, image, jpeg, model,
    options, png, two_objects,
};

fn ask(server: &Running, path: &str, fields: &[(&str, &str)], image: &[u8]) -> Answer {
    let fields = fields
        .iter()
        .map(|(name, text)| (*name, None, text.as_bytes()));
    let parts: Vec<_> = fields.chain([("image", Some("image"), image)]).collect();
    let (kind, body) = multipart(&parts);
    let headers = [
        ("User-Agent", "python-requests/2.32.3"),
        ("Accept", "*/*"),
        ("Content-Type", kind.as_str()),
    ];
    send(server.address, &format!("POST {path}"), &headers, &body)
}

/// What Frigate makes of an answer: rows of class, score, and the box's sides as shares
/// of the image, y before x. It stops at the first score below 0.4 and at the first label
/// that it doesn't know.
fn rows_of_frigate(answer: &Value, labels: &[&str], size: ImageSize) -> Vec<(usize, [f64; 5])> {
    let mut rows = Vec::new();
    for detection in answer["predictions"].as_array().unwrap() {
        let score = detection["confidence"].as_f64().unwrap();
        let label = detection["label"].as_str().unwrap().to_lowercase();
        let class = labels.iter().position(|known| *known == label);
        let (true, Some(class)) = (score >= 0.4, class) else {
            break;
        };
        let side = |name: &str, whole: u32| {
            // Other clients read nothing but whole numbers.
            detection[name].as_i64().unwrap() as f64 / f64::from(whole)
        };
        let (width, height) = (size.width, size.height);
        rows.push((
            class,
            [
                score,
                side("y_min", height),
                side("x_min", width),
                side("y_max", height),
                side("x_max", width),
            ],
        ));
    }
    rows
}

#[test]
fn frigate_finds_objects_in_its_crops() {
    let server = Running::colors();
    let size = ImageSize::new(320, 320);
    let crop = image(size, &[([8, 16, 40, 32], RED), ([48, 40, 80, 56], GREEN)]);
    let path = "/v1/vision/detection";
    let answer = ask(&server, path, &[("api_key", "")], &jpeg(&crop));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let rows = rows_of_frigate(&answer.json(), &["green", "red"], size);
    assert_eq!(
        rows.iter().map(|(class, _)| *class).collect::<Vec<_>>(),
        [1, 0]
    );
    for ((_, row), expected) in rows
        .iter()
        .zip([[0.9, 16.0, 8.0, 32.0, 40.0], [0.4, 40.0, 48.0, 56.0, 80.0]])
    {
        assert!((row[0] - expected[0]).abs() < 1e-6);
        for (side, expected) in row[1..].iter().zip(&expected[1..]) {
            // JPEG moves edges a little.
            assert!((side * 320.0 - expected).abs() <= 2.0, "{rows:?}");
        }
    }
}

#[test]
fn home_assistant_finds_objects_with_a_custom_model() {
    let models = vec![
        model("telling", TellingDetector::new()),
        model("colors", ColorDetector::new()),
    ];
    let server = Running::start(options(models));
    let image = png(&two_objects());
    let answer = ask(
        &server,
        "/v1/vision/custom/colors",
        &[("api_key", "")],
        &image,
    );
    let answer = answer.json();
    assert_eq!(answer["success"], true);
    let red = json!({
        "confidence": 0.9, "label": "red", "y_min": 16, "x_min": 8, "y_max": 32, "x_max": 40,
    });
    let green = json!({
        "confidence": 0.4, "label": "green", "y_min": 40, "x_min": 48, "y_max": 56, "x_max": 80,
    });
    assert_eq!(answer["predictions"], json!([red, green]));
    assert!(answer["duration"].as_f64().unwrap() > 0.0);

    let surer = [("min_confidence", "0.5"), ("api_key", "")];
    let answer = ask(&server, "/v1/vision/custom/colors", &surer, &image);
    assert_eq!(answer.json()["predictions"].as_array().unwrap().len(), 1);
    // The first model answers where none is named.
    let path = "/v1/vision/detection?max_detections=7&nms=0.25";
    let answer = ask(&server, path, &[], &image);
    assert_eq!(answer.json()["predictions"][0]["y_max"], 7);
    // deepstack-python tells 404 from all else.
    let answer = ask(&server, "/v1/vision/custom/none", &[], &image);
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["success"], false);
}

#[test]
fn failures_are_told_as_deepstack_tells_them() {
    let models = vec![
        model("colors", ColorDetector::new()),
        model("broken", PanickingDetector::new()),
    ];
    let server = Running::start(options(models));
    let path = "/v1/vision/detection";
    let image = png(&two_objects());
    for (answer, status, expected) in [
        (ask(&server, path, &[], b"no image"), 400, "expected"),
        (
            ask(&server, path, &[("min_confidence", "2")], &image),
            400,
            "min_confidence",
        ),
        (
            ask(&server, path, &[("min_confidence", "x")], &image),
            400,
            "min_confidence",
        ),
        (
            ask(&server, path, &[("image", "x")], &image),
            400,
            "found two",
        ),
        (
            ask(&server, "/v1/vision/custom/broken", &[], &image),
            500,
            "failed",
        ),
        (
            post(server.address, path, &image),
            415,
            "multipart/form-data",
        ),
    ] {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.json()["success"], false);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(expected), "{error}");
    }
    let (kind, body) = multipart(&[("other", None, b"x")]);
    let headers = [("Content-Type", kind.as_str())];
    let answer = send(server.address, &format!("POST {path}"), &headers, &body);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("`image`"), "{}", answer.text());
    // Empty fields are as none, and others are nobody's fault.
    let fields = [("min_confidence", ""), ("admin_key", "x")];
    assert_eq!(ask(&server, path, &fields, &image).status, 200);
}

#[test]
fn the_token_is_the_api_key() {
    let mut with_token = options(vec![model("colors", ColorDetector::new())]);
    with_token.access = Access::Token("a-long-token".into());
    let server = Running::start(with_token);
    let image = png(&two_objects());
    let path = "/v1/vision/detection";
    for (fields, status) in [
        (&[("api_key", "a-long-token")][..], 200),
        (&[("api_key", "a-wrong-token")], 401),
        (&[("api_key", "")], 401),
        (&[], 401),
    ] {
        let answer = ask(&server, path, fields, &image);
        assert_eq!(answer.status, status, "{fields:?}");
        assert_eq!(answer.json()["success"], status == 200);
    }
    // Who has no token learns nothing of the models.
    let answer = ask(&server, "/v1/vision/custom/none", &[], &image);
    assert_eq!(answer.status, 401);
    // The key of a form is worth nothing elsewhere.
    let answer = ask(
        &server,
        "/v1/detect",
        &[("api_key", "a-long-token")],
        &image,
    );
    assert_eq!(answer.status, 401);
    let large = vec![0; 17 << 20];
    let fields = [("api_key", "a-long-token")];
    assert_eq!(ask(&server, path, &fields, &large).status, 413);
}
