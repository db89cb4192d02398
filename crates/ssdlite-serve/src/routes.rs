//! The paths and what answers them. `page/openapi.json` describes them to
//! programs.
//!
//! Source of `/v2`: the Open Inference Protocol, version 2, whose health and
//! metadata paths are served.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, MatchedPath, Multipart, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, KeptFrame};
use crate::model::Model;
use crate::page;
use crate::refusal::Refusal;
use crate::state::AppState;
use crate::{access, sockets};

/// The label of paths that do not exist, so that clients can't fill the
/// metrics with names of their own.
const OTHER_PATH: &str = "other";

type Answered<T> = Result<T, Refusal>;
type Shared = State<Arc<AppState>>;

/// All paths.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    let open = Router::new()
        .route(
            "/v2/health/live",
            get(async || Json(json!({ "live": true }))),
        )
        .route("/v2/health/ready", get(ready));
    Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::asset))
        .route("/openapi.json", get(page::openapi))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/v1/sources", get(sources))
        .route("/v1/detect", post(detect))
        .route("/v1/keep", post(keep))
        .route("/v1/live", get(sockets::live))
        .route("/v1/camera", get(sockets::camera))
        .route("/v2", get(server_metadata))
        .route("/v2/models/{name}", get(model_metadata))
        .route("/v2/models/{name}/ready", get(model_ready))
        .fallback(async || Refusal::Unknown("there is nothing under this path".into()))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard))
        .merge(open)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), count))
        .with_state(state)
}

/// Lets those in who may ask.
async fn guard(State(state): Shared, request: Request, next: Next) -> Response {
    let is_page = request.uri().path() == "/";
    if is_page && let Some(cookie) = access::cookie_for(&state.access, request.uri()) {
        let headers = [
            (header::SET_COOKIE, cookie),
            (header::LOCATION, "/".to_owned()),
        ];
        return (StatusCode::SEE_OTHER, headers).into_response();
    }
    match access::check(&state.access, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(Refusal::Unauthorized) if is_page => page::token_form().into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn count(State(state): Shared, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let path = path.as_ref().map_or(OTHER_PATH, MatchedPath::as_str);
    let status = response.status().as_u16();
    state.metrics.count_request(path, status, start.elapsed());
    response
}

async fn metrics(State(state): Shared) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, state.metrics.text(state.workers.waiting()))
}

#[derive(Deserialize)]
struct DetectQuery {
    model: Option<String>,
    score: Option<f32>,
}

async fn detect(
    State(state): Shared,
    Query(query): Query<DetectQuery>,
    request: Request,
) -> Answered<Response> {
    let model = state.model(query.model.as_deref())?;
    let score = query.score.unwrap_or(model.score_threshold);
    if !(0.0..=1.0).contains(&score) {
        return Err(Refusal::Malformed(format!(
            "expected a score of 0 to 1, found {score}"
        )));
    }
    let (headers, bytes) = received(&state, request).await?;
    let picture = if is_multipart(&headers) {
        let mut parts = parts_of(&state, headers, bytes).await?;
        let first = parts
            .drain(..)
            .find(|part| part.is_file || part.name == "image");
        first
            .ok_or_else(|| Refusal::Malformed("expected a part with a file".into()))?
            .bytes
    } else {
        bytes
    };
    let found = state.detect(&model, picture).await?;
    Ok(Json(Answer::new(&model, &found, score)).into_response())
}

#[derive(Deserialize)]
struct KeepQuery {
    model: Option<String>,
}

/// Takes a multipart body of `image`, a picture, and `frame`, its boxes.
async fn keep(
    State(state): Shared,
    Query(query): Query<KeepQuery>,
    request: Request,
) -> Answered<Json<Value>> {
    if state.keeper.is_none() {
        return Err(Refusal::Unknown(
            "this server was started without a folder to keep frames in".into(),
        ));
    }
    let model = state.model(query.model.as_deref())?;
    let (headers, bytes) = received(&state, request).await?;
    let parts = parts_of(&state, headers, bytes).await?;
    let part = |name: &str| {
        parts
            .iter()
            .find(|part| part.name == name)
            .map(|part| part.bytes.clone())
            .ok_or_else(|| Refusal::Malformed(format!("expected a part named `{name}`")))
    };
    let (picture, frame) = (part("image")?, part("frame")?);
    let frame: KeptFrame = serde_json::from_slice(&frame)
        .map_err(|error| Refusal::Malformed(format!("the part `frame`: {error}")))?;
    let (shared, limits) = (Arc::clone(&state), state.limits.image);
    let written = tokio::task::spawn_blocking(move || {
        let keeper = shared.keeper.as_ref()?;
        Some((
            keeper.keep(&picture, &frame, model.classes(), &limits),
            keeper.folder(),
        ))
    });
    match written.await {
        Ok(Some((id, folder))) => {
            let id = id?;
            state.metrics.kept.fetch_add(1, Relaxed);
            Ok(Json(json!({ "id": id, "folder": folder })))
        }
        _ => Err(Refusal::Broken("the frame could not be kept".into())),
    }
}

async fn models(State(state): Shared) -> Json<Value> {
    let described = |model: &Arc<Model>| {
        let classes: Vec<&str> = model.classes().iter().collect();
        json!({
            "name": model.name,
            "classes": classes,
            "score": model.score_threshold,
            "input": { "width": model.input().width, "height": model.input().height },
        })
    };
    let models: Vec<Value> = state.models.iter().map(described).collect();
    Json(json!({ "models": models }))
}

async fn sources(State(state): Shared) -> Answered<Json<Value>> {
    let sources = state.sources().await?;
    let keep = state.keeper.as_ref().map(|keeper| keeper.folder());
    Ok(Json(json!({ "sources": sources, "keep": keep })))
}

async fn ready(State(state): Shared) -> Response {
    let ready = !state.is_draining();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(json!({ "ready": ready }))).into_response()
}

async fn server_metadata() -> Json<Value> {
    Json(json!({
        "name": "ssdlite",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": [],
    }))
}

async fn model_metadata(State(state): Shared, Path(name): Path<String>) -> Answered<Json<Value>> {
    let model = state.model(Some(&name))?;
    Ok(Json(json!({
        "name": model.name,
        "versions": ["1"],
        "platform": "ssdlite",
        "inputs": [{ "name": "image", "datatype": "BYTES", "shape": [1] }],
        "outputs": [
            { "name": "class", "datatype": "BYTES", "shape": [-1] },
            { "name": "score", "datatype": "FP32", "shape": [-1] },
            { "name": "box", "datatype": "FP32", "shape": [-1, 4] },
        ],
    })))
}

async fn model_ready(State(state): Shared, Path(name): Path<String>) -> Answered<Response> {
    state.model(Some(&name))?;
    Ok(ready(State(state)).await)
}

/// A request's whole body, within the limits of size and time.
async fn received(state: &AppState, request: Request) -> Answered<(HeaderMap, Bytes)> {
    let (parts, body) = request.into_parts();
    let limit = state.limits.body_bytes;
    let too_long = || Refusal::TooLong(format!("expected a body of at most {limit} bytes"));
    if body.size_hint().lower() > limit as u64 {
        return Err(too_long());
    }
    match tokio::time::timeout(state.limits.body_time, read(body, limit)).await {
        Ok(Ok(bytes)) => Ok((parts.headers, bytes)),
        Ok(Err(Unread::TooLong)) => Err(too_long()),
        Ok(Err(Unread::Cut(reason))) => Err(Refusal::Malformed(reason)),
        Err(_) => Err(Refusal::TooSlow(format!(
            "the body did not arrive within {} s",
            state.limits.body_time.as_secs_f32()
        ))),
    }
}

enum Unread {
    TooLong,
    Cut(String),
}

async fn read(mut body: Body, limit: usize) -> Result<Bytes, Unread> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| Unread::Cut(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > limit - bytes.len() {
            return Err(Unread::TooLong);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

fn is_multipart(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| {
            kind.trim_start()
                .to_ascii_lowercase()
                .starts_with("multipart/form-data")
        })
}

/// A part of a multipart body.
struct Part {
    name: String,
    is_file: bool,
    bytes: Bytes,
}

/// The most parts of a body.
const MAX_PARTS: usize = 16;

async fn parts_of(state: &Arc<AppState>, headers: HeaderMap, body: Bytes) -> Answered<Vec<Part>> {
    let mut request = Request::new(Body::from(body));
    *request.headers_mut() = headers;
    // The body's length was checked when it was received.
    axum::extract::DefaultBodyLimit::disable().apply(&mut request);
    let malformed = |reason: String| Refusal::Malformed(reason);
    let mut multipart = Multipart::from_request(request, state)
        .await
        .map_err(|error| malformed(error.body_text()))?;
    let mut parts = Vec::new();
    while let Some(field) = multipart
        .next_field()
        .await
        .map_err(|error| malformed(error.body_text()))?
    {
        if parts.len() == MAX_PARTS {
            return Err(malformed(format!("expected at most {MAX_PARTS} parts")));
        }
        parts.push(Part {
            name: field.name().unwrap_or_default().to_owned(),
            is_file: field.file_name().is_some(),
            bytes: field
                .bytes()
                .await
                .map_err(|error| malformed(error.body_text()))?,
        });
    }
    Ok(parts)
}
