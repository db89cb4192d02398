//! The paths and what answers them. `page/openapi.json` describes them to
//! programs.
//!
//! Source of `/v2`: the Open Inference Protocol, version 2, whose health and
//! metadata paths are served.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Entry;
use crate::answer::{KeptFrame, ListedModels};
use crate::body::{Received, linger};
use crate::connections::Place;
use crate::detect::detect;
use crate::extract::{Asked, Named, Nothing};
use crate::form::Part;
use crate::keep::Kept;
use crate::kept;
use crate::label_studio;
use crate::page::{self, Asking};
use crate::refusal::Refusal;
use crate::rule_event::{self, ToldEvent};
use crate::sockets;
use crate::state::AppState;
use crate::vision;

/// The label of paths that do not exist, so that clients can't fill the
/// metrics with names of their own.
const OTHER_PATH: &str = "other";

type Answered<T> = Result<T, Refusal>;
type Shared = State<Arc<AppState>>;

/// All paths.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    // The page's files are the same everywhere: the form that asks for the token
    // wants some of them.
    let open = Router::new()
        .route(
            "/v2/health/live",
            get(async || Json(json!({ "live": true }))),
        )
        .route("/v2/health/ready", get(ready))
        .route("/page/{file}", get(page::asset))
        .method_not_allowed_fallback(async || Refusal::WrongMethod);
    Router::new()
        .route("/", get(page::index))
        .route("/label", get(page::label))
        .route("/docs", get(page::docs))
        .route("/openapi.json", get(page::openapi))
        .route("/metrics", get(metrics))
        .route("/v1/models", get(models))
        .route("/v1/sources", get(sources))
        .route("/v1/detect", post(detect))
        .route("/v1/keep", post(keep))
        .route("/v1/kept", get(kept::list))
        .route("/v1/kept/{id}", get(kept::annotation).patch(kept::correct))
        .route("/v1/kept/{id}/image", get(kept::image))
        .route("/v1/webhook", post(webhook))
        .route("/v1/vision/detection", post(vision::detection))
        .route("/v1/vision/custom/{name}", post(vision::custom))
        .route("/health", get(label_studio::health))
        .route("/setup", post(label_studio::setup))
        .route("/predict", post(label_studio::predict))
        .route("/webhook", post(label_studio::webhook))
        .route("/v1/live", get(sockets::live))
        .route("/v1/camera", get(sockets::camera))
        .route("/v2", get(server_metadata))
        .route("/v2/models/{name}", get(model_metadata))
        .route("/v2/models/{name}/ready", get(model_ready))
        .fallback(async || Refusal::Unknown("there is nothing under this path".into()))
        .method_not_allowed_fallback(async || Refusal::WrongMethod)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard))
        .merge(open)
        .layer(middleware::from_fn_with_state(Arc::clone(&state), count))
        .layer(middleware::map_request(linger))
        .with_state(state)
}

/// The paths that people open: without a token they are asked for it.
const PAGES: [&str; 3] = ["/", "/label", "/docs"];

/// The most bytes of the form with the token.
const MAX_TOKEN_BYTES: usize = 4 << 10;

/// Lets those in who may ask.
async fn guard(State(state): Shared, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if !PAGES.contains(&path.as_str()) || state.gate.token().is_none() {
        return match state.gate.check(request.headers()) {
            Ok(()) => next.run(request).await,
            Err(Refusal::Unauthorized) if path.starts_with(vision::PREFIX) => {
                request.extensions_mut().insert(vision::Unproven);
                next.run(request).await
            }
            Err(refusal) => refusal.into_response(),
        };
    }
    let checked = state.gate.check(request.headers());
    if let Err(refusal @ Refusal::Forbidden(_)) = checked {
        return refusal.into_response();
    }
    let is_form = request.method() == Method::POST;
    let has_cookie = state.gate.has_cookie(request.headers());
    let (entry, request) = if is_form {
        let (parts, body) = request.into_parts();
        let body = tokio::time::timeout(state.limits.body_time, to_bytes(body, MAX_TOKEN_BYTES));
        // What is no form gives no token.
        let body = body.await.ok().and_then(Result::ok).unwrap_or_default();
        let entry = state.gate.entry(&String::from_utf8_lossy(&body));
        (entry, Request::from_parts(parts, Body::empty()))
    } else {
        let query = request.uri().query().unwrap_or_default();
        (state.gate.entry(query), request)
    };
    match entry {
        Entry::Right(cookie) => {
            let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, path)];
            (StatusCode::SEE_OTHER, headers).into_response()
        }
        Entry::Wrong if is_form || checked.is_err() => page::token_form(Asking::Wrong),
        _ if checked.is_ok() => next.run(request).await,
        // The browser is to forget what the server no longer takes.
        _ if has_cookie => {
            let headers = [(header::SET_COOKIE, state.gate.no_cookie())];
            (headers, page::token_form(Asking::Outdated)).into_response()
        }
        _ => page::token_form(Asking::Needed),
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
#[serde(deny_unknown_fields)]
struct ModelQuery {
    model: Option<String>,
}

/// Takes a multipart body of `image`, an image, and `frame`, its boxes.
async fn keep(
    State(state): Shared,
    Asked(query): Asked<ModelQuery>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Answered<Json<Value>> {
    state.check_open()?;
    state.keeper()?;
    let model = state.model(query.model.as_deref())?;
    let body = Received::receive(&state, &place, request).await?;
    let room = body.room.clone();
    let [image, frame] = only_parts(body.into_parts()?, ["image", "frame"])?;
    let frame: KeptFrame = serde_json::from_slice(&frame)
        .map_err(|error| Refusal::Malformed(format!("the part `frame`: {error}")))?;
    let place = Arc::clone(&state.keeping).try_acquire_owned();
    let place = place.map_err(|_| Refusal::Full)?;
    let shared = Arc::clone(&state);
    let written = tokio::task::spawn_blocking(move || {
        // Also when the client goes away the work is done to its end.
        let _held = (place, room);
        let keeper = shared.keeper.as_ref()?;
        let kept = keeper.keep(&image, &frame, model.classes(), &shared.decoder);
        Some((kept, keeper.folder()))
    });
    match written.await {
        Ok(Some((kept, folder))) => {
            let Kept { id, is_listed } = kept?;
            state.metrics.kept.fetch_add(1, Relaxed);
            Ok(Json(
                json!({ "id": id, "folder": folder, "listed": is_listed }),
            ))
        }
        _ => Err(Refusal::Broken("the frame could not be kept".into())),
    }
}

/// Takes a rule that fired in a page, as JSON, and hands it on.
async fn webhook(
    State(state): Shared,
    Asked(query): Asked<ModelQuery>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Answered<Response> {
    state.check_open()?;
    state.webhook()?;
    let model = state.model(query.model.as_deref())?;
    let body = Received::receive_at_most(rule_event::MAX_BYTES, &state, &place, request).await?;
    let told: ToldEvent = body.into_json()?;
    state.call_webhook(told.into_event(&model, SystemTime::now())?)?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "accepted": true }))).into_response())
}

/// The contents of a form's parts of these names; each has to be there once,
/// and no other.
fn only_parts<const N: usize>(parts: Vec<Part>, names: [&str; N]) -> Answered<[Bytes; N]> {
    let mut found = [const { None }; N];
    for part in parts {
        let place = names.iter().position(|name| *name == part.name);
        let Some(place) = place.filter(|&place| found[place].is_none()) else {
            return Err(Refusal::Malformed(format!(
                "expected one part each of the names {}, found `{}` besides",
                names.join(", "),
                part.name
            )));
        };
        found[place] = Some(part.bytes);
    }
    if let Some(missing) = found.iter().position(Option::is_none) {
        let name = names[missing];
        return Err(Refusal::Malformed(format!(
            "expected a part named `{name}`"
        )));
    }
    Ok(found.map(Option::unwrap_or_default))
}

async fn models(State(state): Shared, _: Asked<Nothing>) -> Response {
    let models = state.models.all();
    let models: Vec<_> = models.iter().map(|model| model.listed()).collect();
    Json(ListedModels { models }).into_response()
}

async fn sources(State(state): Shared, _: Asked<Nothing>) -> Answered<Json<Value>> {
    let sources = state.sources().await?;
    let keep = state.keeper.as_ref().map(|keeper| keeper.folder());
    let webhook = state.webhook.is_some();
    Ok(Json(
        json!({ "sources": sources, "keep": keep, "webhook": webhook }),
    ))
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

async fn model_metadata(State(state): Shared, Named(name): Named) -> Answered<Json<Value>> {
    let model = state.model(Some(&name))?;
    Ok(Json(json!({
        "name": model.name,
        "versions": [model.version],
        "platform": "ssdlite",
        "inputs": [{ "name": "image", "datatype": "BYTES", "shape": [1] }],
        "outputs": [
            { "name": "class", "datatype": "BYTES", "shape": [-1] },
            { "name": "score", "datatype": "FP32", "shape": [-1] },
            { "name": "box", "datatype": "FP32", "shape": [-1, 4] },
        ],
    })))
}

async fn model_ready(State(state): Shared, Named(name): Named) -> Answered<Response> {
    state.model(Some(&name))?;
    Ok(ready(State(state)).await)
}
