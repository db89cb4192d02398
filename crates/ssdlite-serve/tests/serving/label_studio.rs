//! Label Studio's interface for models, spoken as it does.
//!
//! Source: Label Studio's `label_studio/ml/api_connector.py` and
//! `label_studio/ml/models.py`.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use ssdlite_core::ImageSize;
use ssdlite_image::RgbImage;
use ssdlite_serve::{Access, FetchImages, Server};

use crate::client::{Answer, get, send};
use crate::fixtures::{ColorDetector, Running, model, options, png, two_objects};

const CONFIG: &str = r#"<View>
  <Image name="image" value="$photo"/>
  <RectangleLabels name="label" toName="image">
    <Label value="Red" background="red"/>
    <Label value="Grass" predicted_values="green"/>
  </RectangleLabels>
</View>"#;

/// Images under two paths.
struct Studio(Mutex<Vec<String>>);

impl FetchImages for Studio {
    fn fetch(&self, address: &str, most: usize) -> Result<Vec<u8>, String> {
        assert!(most > 1 << 20);
        self.0.lock().unwrap().push(address.to_owned());
        match address {
            "/data/upload/1/a.png" => Ok(png(&two_objects())),
            "/data/upload/1/b.png" => Ok(b"no image".to_vec()),
            _ => Err("there is no such image".into()),
        }
    }
}

fn studio() -> (Running, Arc<Studio>) {
    let studio = Arc::new(Studio(Mutex::default()));
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.fetch = Some(Arc::clone(&studio) as Arc<dyn FetchImages>);
    (Running::start(options), studio)
}

/// Posts as the package `requests` does with `json=`.
fn ask(server: &Running, path: &str, request: &Value, headers: &[(&str, &str)]) -> Answer {
    let all = [
        ("User-Agent", "heartex/1.20.0"),
        ("Content-Type", "application/json"),
    ];
    let all: Vec<_> = all.iter().chain(headers).copied().collect();
    let line = format!("POST /{path}");
    send(server.address, &line, &all, request.to_string().as_bytes())
}

fn setup_request(schema: &str) -> Value {
    json!({
        "project": "7.1764300000",
        "schema": schema,
        "hostname": "http://localhost:8080",
        "access_token": "0123456789abcdef",
        "extra_params": null,
    })
}

fn predict_request(images: &[Value]) -> Value {
    let tasks = images.iter().enumerate().map(|(id, image)| {
        json!({
            "id": id + 1,
            "data": { "photo": image, "meta": { "a": [1, 2, { "b": null }] } },
            "annotations": [],
            "is_labeled": false,
        })
    });
    json!({
        "tasks": tasks.collect::<Vec<_>>(),
        "model_version": "colors 1",
        "project": "7.1764300000",
        "label_config": CONFIG,
        "params": { "login": null, "password": null, "context": null },
    })
}

fn predict(server: &Running, images: &[Value]) -> Answer {
    ask(server, "predict", &predict_request(images), &[])
}

#[test]
fn a_project_is_connected() {
    let (server, _) = studio();
    let health = get(server.address, "/health");
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &json!("UP"))
    );
    let setup = ask(&server, "setup", &setup_request(CONFIG), &[]);
    assert_eq!(setup.json(), json!({ "model_version": "colors 1" }));
    for (schema, expected) in [
        ("<View/>", "RectangleLabels"),
        ("<View>", "RectangleLabels"),
        (
            &CONFIG.replace("Red", "Blue").replace("green", "blue"),
            "red, green",
        ),
    ] {
        let refused = ask(&server, "setup", &setup_request(schema), &[]);
        assert_eq!(refused.status, 422);
        assert!(refused.text().contains(expected), "{}", refused.text());
    }
    assert_eq!(ask(&server, "setup", &json!("schema"), &[]).status, 400);
}

#[test]
fn tasks_are_labelled_beforehand() {
    let (server, studio) = studio();
    let answer = predict(&server, &[json!("/data/upload/1/a.png")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["model_version"], "colors 1");
    assert!((results[0]["score"].as_f64().unwrap() - 0.65).abs() < 1e-6);
    let regions = results[0]["result"].as_array().unwrap();
    for (region, (label, score, [x1, y1, x2, y2])) in regions.iter().zip([
        ("Red", 0.9, [8.0, 16.0, 40.0, 32.0]),
        ("Grass", 0.4, [48.0, 40.0, 80.0, 56.0]),
    ]) {
        for (key, expected) in [
            ("from_name", json!("label")),
            ("to_name", json!("image")),
            ("type", json!("rectanglelabels")),
            ("original_width", json!(97)),
            ("original_height", json!(61)),
            ("score", json!(score)),
        ] {
            assert_eq!(region[key], expected, "{key}");
        }
        let value = &region["value"];
        assert_eq!(value["rectanglelabels"], json!([label]));
        assert_eq!(value["rotation"], json!(0.0));
        for (key, expected) in [
            ("x", x1 / 97.0),
            ("y", y1 / 61.0),
            ("width", (x2 - x1) / 97.0),
            ("height", (y2 - y1) / 61.0),
        ] {
            let found = value[key].as_f64().unwrap();
            assert!((found - 100.0 * expected).abs() < 1e-3, "{key}: {found}");
        }
    }
    assert_eq!(*studio.0.lock().unwrap(), ["/data/upload/1/a.png"]);
}

#[test]
fn an_image_without_objects_has_an_empty_prediction() {
    let (server, _) = studio();
    // A blue pixel as a PNG.
    let image = RgbImage::filled(ImageSize::new(1, 1), [0, 0, 255]);
    let held = format!("data:image/png;base64,{}", STANDARD.encode(png(&image)));
    let answer = predict(&server, &[json!(held)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(
        answer.text().contains("\"score\":0.0,"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.json()["results"][0]["result"], json!([]));
}

#[test]
fn a_bad_task_is_told_and_does_not_stop_the_others() {
    let (server, _) = studio();
    let images = [
        json!("/data/upload/1/b.png"),
        json!("/data/upload/1/a.png"),
        json!("/elsewhere.png"),
        json!(null),
        json!(5),
    ];
    let answer = predict(&server, &images);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), images.len());
    for (index, result) in results.iter().enumerate() {
        let regions = result["result"].as_array().unwrap().len();
        let is_told = result["error"].is_string();
        assert_eq!(
            (regions, is_told),
            if index == 1 { (2, false) } else { (0, true) }
        );
    }
    // Where nothing was done, that is no success.
    let refused = predict(&server, &images[2..3]);
    assert_eq!(refused.status, 422);
    assert!(
        refused.text().contains("no such image"),
        "{}",
        refused.text()
    );
    assert_eq!(predict(&server, &[]).status, 422);
    let many = vec![json!("/data/upload/1/a.png"); 1001];
    assert_eq!(predict(&server, &many).status, 422);
}

#[test]
fn nothing_is_fetched_unless_that_is_allowed_but_tasks_may_hold_images() {
    let server = Running::colors();
    for address in [
        "/data/upload/1/a.png",
        "http://127.0.0.1:1/a.png",
        "file:///etc/passwd",
    ] {
        let refused = predict(&server, &[json!(address)]);
        assert_eq!(refused.status, 422);
        assert!(
            refused.text().contains("--label-studio"),
            "{}",
            refused.text()
        );
    }
    // A red pixel as a PNG.
    let held = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGN4Ji\
                ICAALyAQ91Qg2iAAAAAElFTkSuQmCC";
    let answer = predict(&server, &[json!(held)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    let region = &answer["results"][0]["result"][0];
    assert_eq!(region["value"]["rectanglelabels"], json!(["Red"]));
    assert_eq!(region["value"]["width"], json!(100.0));
    let refused = predict(&server, &[json!("data:image/png;base64,!")]);
    assert_eq!(refused.status, 422);
}

#[test]
fn events_of_a_project_are_heard_and_training_is_refused() {
    let (server, _) = studio();
    for action in ["ANNOTATION_CREATED", "PROJECT_UPDATED", "SOMETHING_NEW"] {
        let event = json!({
            "action": action, "project": { "id": 7, "label_config": CONFIG }, "task": {},
        });
        let heard = ask(&server, "webhook", &event, &[]);
        assert_eq!((heard.status, &heard.json()["status"]), (200, &json!("ok")));
    }
    let event = json!({ "action": "START_TRAINING", "project": { "id": 7 } });
    let refused = ask(&server, "webhook", &event, &[]);
    assert_eq!(refused.status, 422);
    assert!(
        refused.text().contains("ssdlite train"),
        "{}",
        refused.text()
    );
    assert_eq!(ask(&server, "webhook", &json!({}), &[]).status, 400);
}

#[test]
fn the_token_is_the_password_of_basic_authentication() {
    let mut with_token = options(vec![model("colors", ColorDetector::new())]);
    with_token.access = Access::Token("a-long-token".into());
    let server = Running::start(with_token);
    let setup = setup_request(CONFIG);
    for (pair, status) in [
        // `any:a-long-token`, `:a-long-token`, `any:wrong`, `a-long-token`, no base64.
        ("Basic YW55OmEtbG9uZy10b2tlbg==", 200),
        ("basic OmEtbG9uZy10b2tlbg==", 200),
        ("Bearer a-long-token", 200),
        ("Basic YW55Ondyb25n", 401),
        ("Basic YS1sb25nLXRva2Vu", 401),
        ("Basic !", 401),
        ("Digest a-long-token", 401),
    ] {
        let answer = ask(&server, "setup", &setup, &[("Authorization", pair)]);
        assert_eq!(answer.status, status, "{pair}");
    }
    for path in ["health", "setup", "predict", "webhook"] {
        let method = if path == "health" { "GET" } else { "POST" };
        let answer = send(server.address, &format!("{method} /{path}"), &[], b"");
        assert_eq!(answer.status, 401, "{path}");
    }
}

#[test]
fn what_goes_wrong_is_told_to_who_runs_the_server() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let options = options(vec![model("colors", ColorDetector::new())]);
    let server = Server::bind(
        options,
        Arc::new(move |line: &str| log.lock().unwrap().push(line.to_owned())),
    );
    let server = Running::of(server.unwrap());
    ask(&server, "setup", &setup_request("<View/>"), &[]);
    predict(&server, &[json!("/a.png")]);
    let training = json!({ "action": "START_TRAINING", "project": { "id": 7 } });
    ask(&server, "webhook", &training, &[]);
    let told = told.lock().unwrap();
    let expected = ["RectangleLabels", "task 1: ", "ssdlite train"];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (line, expected) in told.iter().zip(expected) {
        assert!(line.contains(expected), "{line}");
    }
}
