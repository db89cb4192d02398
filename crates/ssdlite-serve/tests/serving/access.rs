//! Who is let in.

use std::net::SocketAddr;

use ssdlite_serve::{Access, Error, Server};

use crate::client::{get, post, send};
use crate::fixtures::{ColorDetector, Running, model, options, png, two_objects};

const TOKEN: &str = "a-long-enough-token";

fn with_token() -> Running {
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.access = Access::Token(TOKEN.into());
    Running::start(options)
}

#[test]
fn without_the_token_nothing_but_health_is_told() {
    let server = with_token();
    for path in [
        "/v1/models",
        "/v1/sources",
        "/v1/kept",
        "/v1/kept/a/image",
        "/label",
        "/health",
        "/metrics",
        "/openapi.json",
        "/v2",
        "/none",
        "/",
    ] {
        assert_eq!(get(server.address, path).status, 401, "{path}");
    }
    assert_eq!(
        post(server.address, "/v1/detect", &png(&two_objects())).status,
        401
    );
    for path in ["/v2/health/live", "/v2/health/ready"] {
        assert_eq!(get(server.address, path).status, 200);
    }
}

#[test]
fn the_token_opens_and_a_wrong_one_does_not() {
    let server = with_token();
    let body = png(&two_objects());
    for (token, status) in [(TOKEN, 200), ("a-long-enough-tokem", 401), ("", 401)] {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        let answer = send(server.address, "POST /v1/detect", &headers, &body);
        assert_eq!(answer.status, status, "{token}");
    }
}

#[test]
fn a_browser_gets_a_cookie_for_the_token() {
    let server = with_token();
    let answer = get(server.address, &format!("/?token={TOKEN}"));
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("/"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"));
    let cookie = cookie.split(';').next().unwrap();
    let page = send(server.address, "GET /", &[("Cookie", cookie)], b"");
    assert_eq!(page.status, 200);
}

/// The reason for which a form asks for the token.
fn asked_for(answer: &crate::client::Answer) -> String {
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let text = answer.text();
    let (_, rest) = text.split_once("data-kind=\"").unwrap();
    let reason = rest.split('"').next().unwrap().to_owned();
    // An old token doesn't stay in the browser; one that it keeps to itself does.
    let removed = answer
        .header("set-cookie")
        .map(|cookie| cookie.ends_with("Max-Age=0"));
    assert_eq!(removed, (reason == "outdated").then_some(true));
    reason
}

#[test]
fn the_form_says_why_it_asks_for_the_token() {
    let server = with_token();
    for page in ["/", "/docs"] {
        let asked = |headers: &[(&str, &str)], address: &str| {
            asked_for(&send(
                server.address,
                &format!("GET {address}"),
                headers,
                b"",
            ))
        };
        assert_eq!(asked(&[], page), "needed");
        assert_eq!(asked(&[], &format!("{page}?token=wrong-token")), "wrong");
        let port = server.address.port();
        let old = format!("ssdlite_token_{port}=of-yesterday");
        assert_eq!(asked(&[("Cookie", &old)], page), "outdated");
        // Of another server of this machine.
        let cookie = [("Cookie", "ssdlite_token_1=of-another")];
        assert_eq!(asked(&cookie, page), "needed");

        let line = format!("POST {page}");
        for body in ["token=wrong-token", "token="] {
            let answer = send(server.address, &line, &[], body.as_bytes());
            assert_eq!(asked_for(&answer), "wrong", "{body}");
            assert!(!answer.text().contains("wrong-token"));
        }
        let endless = vec![b'a'; 100_000];
        assert_eq!(
            asked_for(&send(server.address, &line, &[], &endless)),
            "needed"
        );
        let body = format!("token=+{TOKEN}+");
        let right = send(server.address, &line, &[], body.as_bytes());
        assert_eq!((right.status, right.header("location")), (303, Some(page)));
        let cookie = right.header("set-cookie").unwrap();
        let cookie = cookie.split(';').next().unwrap();
        // A link with a wrong token shuts out nobody who is in.
        for address in [page.to_owned(), format!("{page}?token=wrong-token")] {
            let line = format!("GET {address}");
            let opened = send(server.address, &line, &[("Cookie", cookie)], b"");
            assert_eq!(opened.status, 200, "{address}");
        }
        let foreign = [("Origin", "http://elsewhere.example")];
        assert_eq!(
            send(server.address, &line, &foreign, body.as_bytes()).status,
            403
        );
    }
    for file in ["style.css", "text.css", "icon.svg"] {
        let path = format!("/page/{file}");
        assert_eq!(get(server.address, &path).status, 200, "{file}");
    }
    let open = Running::colors();
    assert_eq!(post(open.address, "/", b"token=any").status, 405);
    assert_eq!(get(open.address, "/docs").status, 200);
}

#[test]
fn pages_of_other_sites_and_other_names_are_refused() {
    let server = Running::colors();
    let body = png(&two_objects());
    for headers in [
        [
            ("Host", "localhost"),
            ("Origin", "http://elsewhere.example"),
        ],
        [("Host", "elsewhere.example"), ("Accept", "*/*")],
    ] {
        let answer = send(server.address, "POST /v1/detect", &headers, &body);
        assert_eq!(answer.status, 403);
    }
}

#[test]
fn a_server_without_a_token_has_no_other_name() {
    let mut options = options(vec![model("colors", ColorDetector::new())]);
    options.access = Access::Open;
    let server = Running::start(options);
    for (host, status) in [("localhost", 200), ("elsewhere.example", 403)] {
        let origin = format!("http://{host}");
        let headers = [("Host", host), ("Origin", origin.as_str())];
        let answer = send(server.address, "GET /v1/models", &headers, b"");
        assert_eq!(answer.status, status, "{host}");
    }
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let refusal = |change: &dyn Fn(&mut ssdlite_serve::ServerOptions)| {
        let mut options = options(vec![model("colors", ColorDetector::new())]);
        change(&mut options);
        let server = Server::bind(options, std::sync::Arc::new(|_| {}));
        match server.err() {
            Some(Error::InvalidRequest(message)) => message,
            other => panic!("expected a refusal, found {other:?}"),
        }
    };
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let message = refusal(&|options| options.address = everywhere);
    assert!(message.contains("token"), "{message}");
    refusal(&|options| options.access = Access::Token("short".into()));
    refusal(&|options| options.access = Access::Token("with a space in it".into()));
    refusal(&|options| options.models.clear());
    refusal(&|options| options.models.push(model("colors", ColorDetector::new())));

    let mut open = options(vec![model("colors", ColorDetector::new())]);
    open.address = everywhere;
    open.access = Access::Open;
    assert!(Server::bind(open, std::sync::Arc::new(|_| {})).is_ok());
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let server = Running::colors();
    let mut second = options(vec![model("colors", ColorDetector::new())]);
    second.address = server.address;
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("kept");
    second.keep = Some(keep.clone());
    let error = Server::bind(second, std::sync::Arc::new(|_| {}))
        .err()
        .unwrap();
    assert!(matches!(error, Error::Listen { .. }), "{error}");
    assert!(!keep.exists());
}
