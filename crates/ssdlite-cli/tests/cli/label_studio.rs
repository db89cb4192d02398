//! `serve --label-studio`: images are fetched from Label Studio and from nowhere else.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use serde_json::{Value, json};

use crate::harness::run;
use crate::live::{ask, host, json as json_from};
use crate::media::{GoesOn, folder_with_model, write_image};

const CONFIG: &str = "<View><Image name='image' value='$image'/>
    <RectangleLabels name='label' toName='image'><Label value='left'/><Label value='Right'/>
    </RectangleLabels></View>";

/// Answers requests as Label Studio does, one after the other: an image to who has the
/// key, which is `a-key`, or an access token for `a.b.c` that is good for one image.
/// Tells the address and the heads of what it was asked.
fn studio(image: Vec<u8>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut tokens = 0;
        let mut is_used = false;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let lines = reader.by_ref().lines();
            let lines = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty());
            let head = lines.collect::<Vec<_>>().join("\n").to_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            let mut sent = vec![0; length];
            reader.read_exact(&mut sent).unwrap();
            let access = format!("access{tokens}");
            let has_access = head.contains(&format!("authorization: bearer {access}"));
            let has_key = head.contains("authorization: token a-key") || has_access && !is_used;
            is_used |= has_access;
            let is_exchange = head.starts_with("post /api/token/refresh/ ");
            let refreshed = format!("{{\"access\": \"access{}\"}}", tokens + 1);
            let (status, body) = match head.split(' ').nth(1) {
                _ if is_exchange && sent == b"{\"refresh\":\"a.b.c\"}" => {
                    (tokens, is_used) = (tokens + 1, false);
                    ("200 OK", refreshed.as_bytes())
                }
                _ if !has_key => ("401 Unauthorized", &[][..]),
                Some("/data/upload/1/a%20b.png") => ("200 OK", &image[..]),
                Some("/moved") => ("302 Found\r\nLocation: /data/upload/1/a%20b.png", &[][..]),
                _ => ("404 Not Found", &b"secret"[..]),
            };
            let _ = tell.send(head);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(&[head.as_bytes(), body].concat());
        }
    });
    (address, told)
}

fn predict(host: &str, image: &str) -> (u16, Value) {
    let request = json!({
        "tasks": [{ "id": 1, "data": { "image": image } }],
        "label_config": CONFIG,
        "project": "1.1",
    });
    let kind = "Content-Type: application/json\r\n";
    let (status, answer) = ask(host, "POST /predict", kind, request.to_string().as_bytes());
    (status, json_from(&answer))
}

#[test]
fn images_are_fetched_from_label_studio_alone() {
    let folder = folder_with_model();
    let path = folder.path().join("a.png");
    write_image(&path);
    let (address, told) = studio(std::fs::read(&path).unwrap());
    let args = [
        "serve",
        "model.safetensors",
        "--port",
        "0",
        "--label-studio",
        &address,
    ];
    let key = [("LABEL_STUDIO_API_KEY", "a-key")];
    let mut server = GoesOn::start_with(folder.path(), &args, &key);
    let printed = server.line();
    let host = host(&printed);
    let detect = ["detect", "model.safetensors", "a.png", "--json"];
    let expected = &run(folder.path(), &detect).exits(0).json()[0];
    let expected = expected["detections"].as_array().unwrap();
    for image in [
        "/data/upload/1/a b.png",
        &format!("{address}/data/upload/1/a%20b.png"),
    ] {
        let (status, answer) = predict(host, image);
        assert_eq!(status, 200, "{answer}");
        let regions = answer["results"][0]["result"].as_array().unwrap();
        assert_eq!(regions.len(), expected.len());
        for (region, detection) in regions.iter().zip(expected) {
            assert_eq!(region["score"], detection["score"]);
            let x = region["value"]["x"].as_f64().unwrap() * 131.0 / 100.0;
            assert!((x - detection["box"][0].as_f64().unwrap()).abs() < 1e-3);
        }
        assert!(
            told.recv()
                .unwrap()
                .starts_with("get /data/upload/1/a%20b.png ")
        );
    }
    for (image, expected) in [("/moved", "302, and no redirect"), ("/absent", "404")] {
        let (status, answer) = predict(host, image);
        assert_eq!(status, 422);
        let error = answer["error"].as_str().unwrap();
        assert!(
            error.contains(expected) && !error.contains("secret"),
            "{error}"
        );
        told.recv().unwrap();
    }
    for image in [
        "http://127.0.0.1:1/a.png",
        "//127.0.0.1/a.png",
        "file:///etc/passwd",
    ] {
        let (status, answer) = predict(host, image);
        assert_eq!(status, 422);
        assert!(
            answer["error"].as_str().unwrap().contains(&address),
            "{answer}"
        );
    }
    assert!(told.try_recv().is_err());
    server.signal("TERM");
    let ran = server.join().exits(0);
    assert!(!ran.stderr.contains("a-key"), "{}", ran.stderr);
    assert!(ran.stderr.contains("task 1: "), "{}", ran.stderr);
}

#[test]
fn a_personal_access_token_is_exchanged_and_again_when_that_is_outdated() {
    let folder = folder_with_model();
    let path = folder.path().join("a.png");
    write_image(&path);
    let (address, told) = studio(std::fs::read(&path).unwrap());
    let model = "model.safetensors";
    let args = ["serve", model, "--port", "0", "--label-studio", &address];
    for (key, expected) in [
        ("a.b.c", &["post", "get", "get", "post", "get"][..]),
        ("a.b.x", &["post", "post"]),
    ] {
        let key = [("LABEL_STUDIO_API_KEY", key)];
        let mut server = GoesOn::start_with(folder.path(), &args, &key);
        let printed = server.line();
        for _ in 0..2 {
            let (status, answer) = predict(host(&printed), "/data/upload/1/a b.png");
            let is_right = expected.contains(&"get");
            assert_eq!(status, if is_right { 200 } else { 422 }, "{answer}");
            let told_key = answer.to_string().contains("401 to the key in LABEL");
            assert_eq!(told_key, !is_right, "{answer}");
        }
        let asked: Vec<String> = told.try_iter().collect();
        let methods = asked.iter().filter_map(|head| head.split(' ').next());
        assert_eq!(methods.collect::<Vec<_>>(), expected);
        server.signal("TERM");
        let ran = server.join().exits(0);
        assert!(!ran.stderr.contains("a.b."), "{}", ran.stderr);
    }
}

#[test]
fn what_is_no_origin_is_wrong_usage() {
    let folder = folder_with_model();
    for address in ["localhost:8080", "ftp://a", "http://", "http://u:p@a"] {
        let args = ["serve", "model.safetensors", "--label-studio", address];
        let ran = run(folder.path(), &args).exits(2);
        assert!(ran.stderr.contains("--label-studio"), "{}", ran.stderr);
    }
}
