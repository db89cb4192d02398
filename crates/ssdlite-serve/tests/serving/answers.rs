//! Answers to several images, with boxes drawn, and by settings of the request.

use std::io::Write;
use std::num::NonZeroUsize;

use serde_json::{Value, json};
use ssdlite_core::ImageSize;
use ssdlite_image::decode::decode;
use ssdlite_image::{LabelledBox, Limits, RgbImage, draw_boxes};

use crate::client::{Answer, connect, get, multipart, post, receive, request, send, wait_until};
use crate::fixtures::{
    ColorDetector, GREEN, RED, Running, SmallDetector, TellingDetector, WaitingDetector, image,
    jpeg, model, options, png, two_objects,
};

/// Sends a form of files, with these headers besides its own.
fn send_files(server: &Running, headers: &[(&str, &str)], files: &[&[u8]]) -> Answer {
    let parts: Vec<_> = files
        .iter()
        .map(|file| ("file", Some("a.png"), *file))
        .collect();
    let (kind, body) = multipart(&parts);
    let kind = [("Content-Type", kind.as_str())];
    let headers = [&kind, headers].concat();
    send(server.address, "POST /v1/detect", &headers, &body)
}

/// An answer without what differs from one to the next.
fn timeless(mut answer: Value) -> Value {
    answer["milliseconds"].take();
    answer
}

#[test]
fn several_images_are_answered_in_order_and_a_broken_one_in_its_place() {
    let server = Running::colors();
    let size = ImageSize::new(83, 59);
    let other = png(&image(size, &[([5, 7, 30, 40], GREEN)]));
    let files = [&png(&two_objects())[..], b"no image", &other];
    let answer = send_files(&server, &[], &files);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answers = answer.json();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    for place in [0, 2] {
        let alone = post(server.address, "/v1/detect", files[place]).json();
        assert_eq!(timeless(answers[place].clone()), timeless(alone));
    }
    let alone = post(server.address, "/v1/detect", files[1]);
    assert_eq!(answers[1]["error"], alone.json()["error"]);
    assert_eq!(answers[1]["status"], json!(alone.status));
    // A form of one file is answered as the file alone.
    let one = send_files(&server, &[], &files[..1]);
    assert_eq!(timeless(one.json()), timeless(answers[0].clone()));
    let broken = send_files(&server, &[], &files[1..2]);
    assert_eq!(broken.status, 422);
}

#[test]
fn at_most_sixteen_images_come_at_once() {
    let server = Running::colors();
    let file = png(&two_objects());
    let answer = send_files(&server, &[], &[&file[..]; 16]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json().as_array().unwrap().len(), 16);
    let answer = send_files(&server, &[], &[&file[..]; 17]);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("at most 16"), "{}", answer.text());
}

/// A server whose one worker is busy, with so many places before it.
fn busy_server(places: usize) -> (Running, std::net::TcpStream, std::sync::mpsc::Sender<()>) {
    let (detector, begun, let_go) = WaitingDetector::new();
    let mut options = options(vec![model("waiting", detector)]);
    options.workers = NonZeroUsize::MIN;
    options.limits.queue = places;
    let server = Running::start(options);
    let mut first = connect(server.address);
    let body = png(&two_objects());
    first
        .write_all(&request("POST /v1/detect", &[], &body))
        .unwrap();
    begun.recv().unwrap();
    (server, first, let_go)
}

#[test]
fn each_image_of_a_request_takes_a_place_in_the_queue() {
    let (server, mut first, let_go) = busy_server(3);
    let file = png(&two_objects());
    let (kind, body) = multipart(&[("a", Some("a"), &file), ("b", Some("b"), &file)]);
    let kind = [("Content-Type", kind.as_str())];
    let mut two = connect(server.address);
    two.write_all(&request("POST /v1/detect", &kind, &body))
        .unwrap();
    wait_until("two images wait", || {
        get(server.address, "/metrics")
            .text()
            .contains("ssdlite_queue_length 2")
    });
    // One place is left: two images have no place, and one has.
    let refused = send_files(&server, &[], &[&file, &file]);
    assert_eq!(refused.status, 429);
    let mut one = connect(server.address);
    one.write_all(&request("POST /v1/detect", &[], &file))
        .unwrap();
    wait_until("three images wait", || {
        get(server.address, "/metrics")
            .text()
            .contains("ssdlite_queue_length 3")
    });
    drop(let_go);
    for stream in [&mut first, &mut two, &mut one] {
        assert_eq!(receive(stream).status, 200);
    }
}

#[test]
fn an_accepted_jpeg_is_the_image_with_its_boxes() {
    let server = Running::colors();
    let original = two_objects();
    let asked = |score: &str| {
        let line = format!("POST /v1/detect?score={score}");
        let headers = [("Accept", "image/jpeg")];
        let answer = send(server.address, &line, &headers, &png(&original));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("image/jpeg"));
        assert_eq!(answer.header("vary"), Some("accept"));
        decode(&answer.body, &Limits::default()).unwrap()
    };
    let told = post(server.address, "/v1/detect?score=0.3", &png(&original)).json();
    for (score, boxes) in [("0.3", 2), ("0.5", 1), ("1", 0)] {
        let mut expected = original.clone();
        let drawn = |place: usize| {
            let found = &told["detections"][place];
            let corners: Vec<f32> = serde_json::from_value(found["box"].clone()).unwrap();
            let [x1, y1, x2, y2] = corners[..] else {
                panic!("{corners:?}")
            };
            LabelledBox {
                bbox: ssdlite_core::PixelBox::new(x1, y1, x2, y2),
                class: ssdlite_core::ClassId(place as u32),
                label: format!(
                    "{} {:.2}",
                    found["class"].as_str().unwrap(),
                    found["score"].as_f64().unwrap()
                ),
            }
        };
        let boxes: Vec<_> = (0..boxes).rev().map(drawn).collect();
        draw_boxes(&mut expected, &boxes);
        let expected = ssdlite_image::encode::jpeg_from_image(&expected, 90).unwrap();
        let expected = decode(&expected, &Limits::default()).unwrap();
        assert!(asked(score) == expected, "{score}");
    }
}

#[test]
fn forms_of_answers_are_negotiated() {
    let server = Running::colors();
    let file = png(&two_objects());
    let ask = |accept: &str, file: &[u8]| {
        let headers = [("Accept", accept)];
        send(server.address, "POST /v1/detect", &headers, file)
    };
    for accept in ["*/*", "application/json", "image/jpeg;q=0.5, */*"] {
        let answer = ask(accept, &file);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("vary"), Some("accept"));
    }
    // What went wrong is told as JSON in any case.
    let broken = ask("image/jpeg", b"no image");
    assert_eq!(broken.status, 422);
    assert!(broken.json()["error"].is_string());
    let other = ask("image/png", &file);
    assert_eq!(other.status, 406);
    assert!(other.text().contains("`image/png`"), "{}", other.text());
    // Who takes JSON too gets it where there is no one picture.
    let accept = [("Accept", "image/*, */*;q=0.8")];
    let several = send_files(&server, &accept, &[&file, &file]);
    assert_eq!(several.header("vary"), Some("accept"));
    let listed = several.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    let several = send_files(&server, &[("Accept", "image/jpeg")], &[&file, &file]);
    assert_eq!(several.status, 406);
    assert!(several.text().contains("one image"), "{}", several.text());
}

#[test]
fn overlap_and_number_are_chosen_by_the_client() {
    let server = Running::start(options(vec![model("telling", TellingDetector::new())]));
    let file = png(&two_objects());
    for (query, max_iou, most) in [
        ("", 0.45, 300.0),
        ("?nms=0.625", 0.625, 300.0),
        ("?max_detections=7&nms=0", 0.0, 7.0),
        ("?nms=1&score=0.5&max_detections=10000", 1.0, 10_000.0),
    ] {
        let answer = post(server.address, &format!("/v1/detect{query}"), &file);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = &answer.json()["detections"][0]["box"];
        let told: Vec<f32> = serde_json::from_value(told.clone()).unwrap();
        assert_eq!(told, [0.0, 0.0, max_iou, most], "{query}");
    }
    let colors = Running::colors();
    let one = post(colors.address, "/v1/detect?max_detections=1", &file).json();
    let found = one["detections"].as_array().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["class"], "red");
}

#[test]
fn an_image_is_decoded_no_larger_than_the_detector_needs_and_drawn_whole() {
    let server = Running::start(options(vec![model("small", SmallDetector::new())]));
    let photo = jpeg(&RgbImage::filled(ImageSize::new(801, 640), [40; 3]));
    let told = post(server.address, "/v1/detect", &photo).json();
    assert_eq!(
        (&told["width"], &told["height"]),
        (&json!(801), &json!(640))
    );
    // A quarter, as an eighth would be too small.
    assert_eq!(
        told["detections"][0]["box"],
        json!([0.0, 0.0, 201.0, 160.0])
    );
    let picture = [("Accept", "image/jpeg")];
    let drawn = send(server.address, "POST /v1/detect", &picture, &photo);
    let drawn = decode(&drawn.body, &Limits::default()).unwrap();
    assert_eq!(drawn.size(), ImageSize::new(801, 640));
}

#[test]
fn a_photo_of_48_megapixels_is_taken_and_a_larger_one_where_that_is_allowed() {
    let size = ImageSize::new(8000, 6000);
    let mut photo = RgbImage::filled(size, [40, 40, 40]);
    for y in 1600..3200 {
        let row = y * 8000 * 3;
        for pixel in photo.pixels_mut()[row + 800 * 3..row + 4000 * 3].chunks_exact_mut(3) {
            pixel.copy_from_slice(&RED);
        }
    }
    let photo = jpeg(&photo);
    let server = Running::colors();
    let answer = post(server.address, "/v1/detect", &photo);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["width"], 8000);
    assert_eq!(answer.json()["detections"][0]["class"], "red");
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.limits.image = Limits::with_megapixels(47);
    let answer = post(Running::start(options).address, "/v1/detect", &photo);
    assert_eq!(answer.status, 422);
    for expected in ["47 million pixels", "8000x6000", "48.0", "--max-megapixels"] {
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
}
