//! The page's files, which are part of the program.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::extract::Named;
use crate::refusal::Refusal;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// What the page may load: its own files, and images that it made itself.
const POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; \
                      connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'; \
                      form-action 'self'";

/// The files under `/page/`, with their types.
const ASSETS: &[(&str, &str, &str)] = &[
    ("style.css", CSS, include_str!("../page/style.css")),
    ("text.css", CSS, include_str!("../page/text.css")),
    ("docs.js", SCRIPT, include_str!("../page/docs.js")),
    ("icon.svg", SVG, include_str!("../page/icon.svg")),
    ("label.css", CSS, include_str!("../page/label.css")),
    ("api.js", SCRIPT, include_str!("../page/api.js")),
    ("board.js", SCRIPT, include_str!("../page/board.js")),
    ("boxes.js", SCRIPT, include_str!("../page/boxes.js")),
    (
        "corrections.js",
        SCRIPT,
        include_str!("../page/corrections.js"),
    ),
    ("counting.js", SCRIPT, include_str!("../page/counting.js")),
    ("crossing.js", SCRIPT, include_str!("../page/crossing.js")),
    ("drawing.js", SCRIPT, include_str!("../page/drawing.js")),
    ("eventlist.js", SCRIPT, include_str!("../page/eventlist.js")),
    ("eventlog.js", SCRIPT, include_str!("../page/eventlog.js")),
    ("events.js", SCRIPT, include_str!("../page/events.js")),
    ("frames.js", SCRIPT, include_str!("../page/frames.js")),
    ("freshness.js", SCRIPT, include_str!("../page/freshness.js")),
    (
        "fullscreen.js",
        SCRIPT,
        include_str!("../page/fullscreen.js"),
    ),
    ("kept.js", SCRIPT, include_str!("../page/kept.js")),
    ("keys.js", SCRIPT, include_str!("../page/keys.js")),
    ("label.js", SCRIPT, include_str!("../page/label.js")),
    ("line.js", SCRIPT, include_str!("../page/line.js")),
    ("main.js", SCRIPT, include_str!("../page/main.js")),
    ("panel.js", SCRIPT, include_str!("../page/panel.js")),
    ("player.js", SCRIPT, include_str!("../page/player.js")),
    ("queue.js", SCRIPT, include_str!("../page/queue.js")),
    ("rulelist.js", SCRIPT, include_str!("../page/rulelist.js")),
    ("rules.js", SCRIPT, include_str!("../page/rules.js")),
    ("saving.js", SCRIPT, include_str!("../page/saving.js")),
    ("settings.js", SCRIPT, include_str!("../page/settings.js")),
    ("shapes.js", SCRIPT, include_str!("../page/shapes.js")),
    ("sound.js", SCRIPT, include_str!("../page/sound.js")),
    ("sources.js", SCRIPT, include_str!("../page/sources.js")),
    ("stats.js", SCRIPT, include_str!("../page/stats.js")),
    ("status.js", SCRIPT, include_str!("../page/status.js")),
    ("view.js", SCRIPT, include_str!("../page/view.js")),
];

pub(crate) async fn index() -> Response {
    file(HTML, include_str!("../page/index.html"))
}

pub(crate) async fn label() -> Response {
    file(HTML, include_str!("../page/label.html"))
}

pub(crate) async fn asset(Named(name): Named) -> Result<Response, Refusal> {
    ASSETS
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|(_, kind, text)| file(kind, *text))
        .ok_or_else(|| Refusal::Unknown(format!("the page has no file `{name}`")))
}

pub(crate) async fn openapi() -> Response {
    file("application/json", include_str!("../page/openapi.json"))
}

pub(crate) async fn docs() -> Response {
    file(HTML, include_str!("../page/docs.html"))
}

/// Why a person is asked for the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// None was given.
    Needed,
    /// The one that was given is wrong.
    Wrong,
    /// The one that the browser remembers is not the server's any more.
    Outdated,
}

/// Asks a person for the token.
pub(crate) fn token_form(asking: Asking) -> Response {
    let (kind, words) = match asking {
        Asking::Needed => ("needed", "This server lets in who has its token."),
        Asking::Wrong => (
            "wrong",
            "That is not this server’s token. Mind capital and small letters, and copy all of it.",
        ),
        Asking::Outdated => (
            "outdated",
            "The token that this browser had is not this server’s any more: it was started with \
             another one.",
        ),
    };
    let text = include_str!("../page/token.html");
    let text = text.replace("{kind}", kind).replace("{words}", words);
    let mut response = file(HTML, text);
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    // Without a referrer a form says that it comes from nowhere.
    let own = HeaderValue::from_static("same-origin");
    headers.insert(header::REFERRER_POLICY, own);
    let challenge = HeaderValue::from_static("Bearer");
    headers.insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn file(kind: &'static str, text: impl IntoResponse) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // A newer program has newer files under the same names.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}
