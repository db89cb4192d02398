//! What a well-meant request is answered.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::client::{get, multipart, post, send};
use crate::fixtures::{
    ColorDetector, PanickingDetector, Running, jpeg, model, options, png, two_objects,
};
use crate::keeping::keeping;

fn classes(answer: &Value) -> Vec<&str> {
    let detections = answer["detections"].as_array().unwrap();
    detections
        .iter()
        .map(|found| found["class"].as_str().unwrap())
        .collect()
}

#[test]
fn objects_are_told_in_pixels_of_the_image() {
    let server = Running::colors();
    let answer = post(server.address, "/v1/detect", &png(&two_objects()));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["model"], "colors");
    assert_eq!((&json["width"], &json["height"]), (&json!(97), &json!(61)));
    assert_eq!(classes(&json), ["red", "green"]);
    let red = &json["detections"][0];
    assert_eq!(red["box"], json!([8.0, 16.0, 40.0, 32.0]));
    assert!((red["score"].as_f64().unwrap() - 0.9).abs() < 1e-6);
    assert!(json["milliseconds"]["detect"].as_f64().is_some());
}

#[test]
fn formats_are_told_by_content_and_multipart_is_read() {
    let server = Running::colors();
    let image = two_objects();
    for body in [png(&image), jpeg(&image)] {
        let answer = send(
            server.address,
            "POST /v1/detect",
            &[("Content-Type", "application/octet-stream")],
            &body,
        );
        assert_eq!(classes(&answer.json()).len(), 2);
    }
    for parts in [
        ("upload", Some("a.png"), &png(&image)[..]),
        ("image", None, &jpeg(&image)[..]),
    ] {
        let (kind, body) = multipart(&[parts]);
        let kind = [("Content-Type", kind.as_str())];
        let answer = send(server.address, "POST /v1/detect", &kind, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(classes(&answer.json()).len(), 2);
    }
}

#[test]
fn uploads_are_taken_as_clients_write_them() {
    let server = Running::colors();
    let image = png(&two_objects());
    let form = |head: &str, boundary: &str| {
        let open = format!("--{boundary}\r\n{head}\r\n\r\n");
        let close = format!("\r\n--{boundary}--\r\n");
        [open.as_bytes(), &image, close.as_bytes()].concat()
    };
    let disposition = "Content-Disposition: form-data; name=\"file\"";
    for (kind, body) in [
        // Python's requests before urllib3 1.25.
        (
            "multipart/form-data; boundary=X",
            form(
                &format!("{disposition}; filename*=utf-8''%E2%82%AC.png"),
                "X",
            ),
        ),
        // JavaMail's boundary; Apache's headers.
        (
            "multipart/form-data; charset=UTF-8; boundary=----=_Part_1_23.45",
            form(
                &format!(
                    "{disposition}; filename=\"a.png\"\r\nContent-Type: image/png\r\n\
                     Content-Transfer-Encoding: binary"
                ),
                "----=_Part_1_23.45",
            ),
        ),
        (
            "Multipart/Form-Data; Boundary=\"X\" ",
            form("content-disposition: attachment; FILENAME=a.png", "X"),
        ),
        (
            "multipart/form-data;boundary=X",
            form(
                &format!("Content-Type: application/octet-stream\r\n{disposition}"),
                "X",
            ),
        ),
        ("application/x-www-form-urlencoded", image.clone()),
        ("application/octet-stream", image.clone()),
        ("image/jpeg", image.clone()),
        ("text/plain;charset=UTF-8", image.clone()),
    ] {
        let answer = send(
            server.address,
            "POST /v1/detect",
            &[("Content-Type", kind)],
            &body,
        );
        assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
        assert_eq!(classes(&answer.json()).len(), 2);
    }
    // What a browser sends for a second input in which no file was chosen.
    let (kind, body) = multipart(&[("a", Some("a.png"), &image), ("b", Some(""), b"")]);
    let kind = [("Content-Type", kind.as_str())];
    let answer = send(server.address, "POST /v1/detect", &kind, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn what_would_be_left_out_is_refused_by_name() {
    let server = Running::colors();
    let image = &png(&two_objects())[..];
    let ask = |kind: &str, body: &[u8]| {
        let kind = [("Content-Type", kind)];
        let answer = send(server.address, "POST /v1/detect", &kind, body);
        let reason = answer.json()["error"].as_str().unwrap().to_owned();
        (answer.status, reason)
    };
    for (parts, found) in [
        (
            vec![("score", None, &b"0.5"[..]), ("a", Some("a.png"), image)],
            "field `score`",
        ),
        (vec![("note", None, &b"no image"[..])], "field `note`"),
        (vec![("a", Some(""), &b""[..])], "found none"),
        (vec![], "found none"),
    ] {
        let (kind, body) = multipart(&parts);
        let (status, reason) = ask(&kind, &body);
        assert_eq!(status, 400, "{reason}");
        assert!(reason.contains(found), "{reason}");
    }
    for (kind, body, status, found) in [
        ("multipart/form-data", image, 400, "boundary"),
        ("multipart/form-data; boundary=X", image, 400, "`--X`"),
        ("multipart/mixed; boundary=X", image, 415, "multipart/mixed"),
        ("", b"", 422, "no bytes"),
        (
            "text/plain",
            b"data:image/png;base64,iVB",
            422,
            "\"data:image/png;",
        ),
        ("image/png", b"--X\r\nContent-Disposition:", 422, "\"--X"),
    ] {
        let (found_status, reason) = ask(kind, body);
        assert_eq!(found_status, status, "{kind}: {reason}");
        assert!(reason.contains(found), "{reason}");
    }
    let encoded = b"--X\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a.png\"\r\n\
                    Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--X--";
    let (status, reason) = ask("multipart/form-data; boundary=X", encoded);
    assert_eq!(status, 400);
    assert!(reason.contains("base64"), "{reason}");
    for (query, expected) in [
        (
            "scores=0.5",
            "unknown field `scores`, expected one of `model`, `score`, `nms`, `max_detections`",
        ),
        ("score=0.1&score=0.9", "duplicate field `score`"),
        ("score=0,5", "expected a score of 0 to 1, found `0,5`"),
        ("score=", "expected a score of 0 to 1, found ``"),
        (
            "score=NaN",
            "score: expected a score of 0 to 1, found `NaN`",
        ),
        ("nms=-0.1", "nms: expected an IoU of 0 to 1, found `-0.1`"),
        ("nms=", "nms: expected an IoU of 0 to 1, found ``"),
        (
            "max_detections=0",
            "max_detections: expected a whole number of 1 to 10000, found `0`",
        ),
        (
            "max_detections=10001",
            "max_detections: expected a whole number of 1 to 10000",
        ),
        (
            "max_detections=2.5",
            "max_detections: expected a whole number of 1 to 10000",
        ),
    ] {
        let answer = post(server.address, &format!("/v1/detect?{query}"), image);
        assert_eq!(answer.status, 400);
        let reason = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn score_and_model_are_chosen_by_the_client() {
    let models = vec![
        model("colors", ColorDetector::new()),
        model("other", ColorDetector::new()),
    ];
    let server = Running::start(options(models));
    let body = png(&two_objects());
    let answer = post(server.address, "/v1/detect?score=0.5&model=other", &body);
    assert_eq!(answer.json()["model"], "other");
    assert_eq!(classes(&answer.json()), ["red"]);
    let none = post(server.address, "/v1/detect?score=1", &body);
    assert!(classes(&none.json()).is_empty());
    for (query, status) in [
        ("score=1.5", 400),
        ("score=NaN", 400),
        ("score=x", 400),
        ("model=none", 404),
    ] {
        let answer = post(server.address, &format!("/v1/detect?{query}"), &body);
        assert_eq!(answer.status, status, "{query}");
    }
}

#[test]
fn models_describe_themselves_also_by_the_open_inference_protocol() {
    let server = Running::colors();
    let json = |path| {
        let answer = get(server.address, path);
        assert_eq!(answer.status, 200, "{path}");
        answer.json()
    };
    let models = json("/v1/models");
    assert_eq!(models["models"][0]["classes"], json!(["red", "green"]));
    assert_eq!(models["models"][0]["backbone"], "MobileNetV3-Small");
    assert_eq!(models["models"][0]["score"], json!(0.3));
    assert_eq!(
        models["models"][0]["input"],
        json!({ "width": 320, "height": 320 })
    );
    assert_eq!(
        models["models"][0]["colors"][1],
        json!({ "box": "#f58214", "label": "#000000" })
    );
    assert_eq!(json("/v2/health/live")["live"], true);
    assert_eq!(json("/v2/health/ready")["ready"], true);
    assert_eq!(json("/v2")["name"], "ssdlite");
    assert_eq!(json("/v2/models/colors")["name"], "colors");
    assert_eq!(json("/v2/models/colors/ready")["ready"], true);
    assert_eq!(get(server.address, "/v2/models/none").status, 404);
    assert_eq!(get(server.address, "/v2/models/none/ready").status, 404);
}

#[test]
fn requests_are_counted_by_path_and_status() {
    let server = Running::colors();
    post(server.address, "/v1/detect", &png(&two_objects()));
    post(server.address, "/v1/detect", b"no image");
    get(server.address, "/no/such/path");
    let text = get(server.address, "/metrics").text();
    for expected in [
        "ssdlite_requests_total{path=\"/v1/detect\",status=\"200\"} 1",
        "ssdlite_requests_total{path=\"/v1/detect\",status=\"422\"} 1",
        "ssdlite_requests_total{path=\"other\",status=\"404\"} 1",
        "ssdlite_detect_seconds_count 1",
    ] {
        assert!(
            text.lines().any(|line| line == expected),
            "{expected}\n{text}"
        );
    }
}

#[test]
fn the_description_knows_every_path_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = keeping(folder.path());
    let document = get(server.address, "/openapi.json").json();
    let described: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let source = include_str!("../../src/routes.rs");
    let served: BTreeSet<&str> = source
        .split(".route(")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1))
        .filter(|path| !["/", "/label", "/docs"].contains(path) && !path.starts_with("/page/"))
        .collect();
    assert_eq!(described, served);
    for path in described.iter().filter(|path| !path.contains('{')) {
        assert_ne!(get(server.address, path).status, 404, "{path}");
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, described) in item.as_object().unwrap() {
            let is_open = described["security"] == json!([]);
            for status in ["401", "403"] {
                let is_told = described["responses"][status].is_object();
                assert_eq!(is_told, !is_open, "{method} {path}: {status}");
            }
        }
    }
    let references = document.to_string();
    for name in references.split("\"#/components/").skip(1) {
        let pointer = format!("/components/{}", name.split('"').next().unwrap());
        assert!(document.pointer(&pointer).is_some(), "{pointer}");
    }
}

/// A described path, of the model that there is and of a frame.
fn path_of(described: &str) -> String {
    described.replace("{name}", "colors").replace("{id}", "a")
}

#[test]
fn what_is_described_of_a_path_is_what_it_does() {
    let server = Running::colors();
    let document = get(server.address, "/openapi.json").json();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post"] {
            let path = path_of(path);
            let ask = |query: &str| {
                let line = format!("{} {path}{query}", method.to_uppercase());
                send(server.address, &line, &[], b"")
            };
            let described = &item[method];
            if described.is_null() {
                assert_eq!(ask("").status, 405, "{method} {path}");
                continue;
            }
            let told = |answer: crate::client::Answer| {
                let status = answer.status.to_string();
                let is_told = described["responses"][&status].is_object();
                assert!(is_told, "{method} {path}: {status}");
                answer
            };
            told(ask(""));
            let is_unknown = |query: &str| told(ask(query)).text().contains("unknown field");
            let refuses_others = described["responses"]["400"].is_object();
            assert_eq!(is_unknown("?other=1"), refuses_others, "{method} {path}");
            let parameters = described["parameters"].as_array();
            for parameter in parameters.into_iter().flatten() {
                let reference = parameter["$ref"].as_str();
                let parameter = reference.map_or(parameter, |reference| {
                    document.pointer(reference.trim_start_matches('#')).unwrap()
                });
                if parameter["in"] == json!("query") {
                    let name = parameter["name"].as_str().unwrap();
                    assert!(!is_unknown(&format!("?{name}=1")), "{path}: {name}");
                }
            }
        }
    }
}

#[test]
fn the_page_finds_all_its_files() {
    let server = Running::colors();
    let page = get(server.address, "/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").is_some());
    let mut texts = vec![
        page.text(),
        get(server.address, "/label").text(),
        get(server.address, "/docs").text(),
    ];
    while let Some(text) = texts.pop() {
        for quoted in text.split('"') {
            let path = match quoted.strip_prefix("./") {
                Some(module) => format!("/page/{module}"),
                None if quoted.starts_with("/page/") => quoted.to_owned(),
                None => continue,
            };
            let file = get(server.address, &path);
            assert_eq!(file.status, 200, "{path}");
            if ["/page/main.js", "/page/label.js", "/page/frames.js"].contains(&path.as_str()) {
                texts.push(file.text());
            }
        }
    }
    assert_eq!(get(server.address, "/page/../Cargo.toml").status, 404);
}

#[test]
fn a_detector_that_panics_harms_its_own_request_alone() {
    let models = vec![
        model("colors", ColorDetector::new()),
        model("broken", PanickingDetector::new()),
    ];
    let server = Running::start(options(models));
    let body = png(&two_objects());
    for _ in 0..5 {
        assert_eq!(
            post(server.address, "/v1/detect?model=broken", &body).status,
            500
        );
    }
    assert_eq!(post(server.address, "/v1/detect", &body).status, 200);
}
