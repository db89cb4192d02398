//! DeepStack's interface for detection, as Frigate, Home Assistant and other
//! clients speak it: `/v1/vision/detection` and `/v1/vision/custom/NAME`.
//!
//! Sources: DeepStack's `server/server.go`, `server/middlewares/middlewares.go` and
//! `server/response/response.go`; its clients, Frigate's
//! `frigate/detectors/plugins/deepstack.py` and the package `deepstack-python` of
//! the integration for Home Assistant.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use ssdlite_core::NamedDetection;

use crate::accept::Form;
use crate::answer::Answer;
use crate::body::Received;
use crate::connections::Place;
use crate::detect::{DetectQuery, fraction};
use crate::extract::{Asked, Named};
use crate::form::Part;
use crate::refusal::Refusal;
use crate::state::AppState;

/// What the paths of this interface begin with. Its clients have no header for a
/// token: it is a field of the form.
pub(crate) const PREFIX: &str = "/v1/vision/";

/// A mark on a request that let no token be seen in its headers.
#[derive(Clone, Copy)]
pub(crate) struct Unproven;

/// The most bytes of a body whose token is in it.
const MAX_UNPROVEN_BYTES: usize = 16 << 20;

/// What may stand behind the `?`, besides the fields of the form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VisionQuery {
    nms: Option<String>,
    max_detections: Option<String>,
}

#[derive(Serialize)]
struct Predictions<'a> {
    success: bool,
    predictions: Vec<Prediction<'a>>,
    /// Seconds.
    duration: f64,
}

/// An object in pixels, which clients read as whole numbers.
#[derive(Serialize)]
struct Prediction<'a> {
    confidence: f32,
    label: &'a str,
    y_min: i64,
    x_min: i64,
    y_max: i64,
    x_max: i64,
}

#[derive(Serialize)]
struct Failure {
    success: bool,
    error: String,
    duration: f64,
}

/// Finds objects with the first model.
pub(crate) async fn detection(
    State(state): State<Arc<AppState>>,
    Asked(query): Asked<VisionQuery>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Response {
    let answered = predictions(&state, None, query, &place, request).await;
    answered.unwrap_or_else(failure)
}

/// Finds objects with the model of this name.
pub(crate) async fn custom(
    State(state): State<Arc<AppState>>,
    Named(name): Named,
    Asked(query): Asked<VisionQuery>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Response {
    let answered = predictions(&state, Some(&name), query, &place, request).await;
    answered.unwrap_or_else(failure)
}

async fn predictions(
    state: &AppState,
    model: Option<&str>,
    query: VisionQuery,
    place: &Place,
    request: Request,
) -> Result<Response, Refusal> {
    state.check_open()?;
    state.workers.check_place(place.claim.client)?;
    let start = Instant::now();
    let is_unproven = request.extensions().get::<Unproven>().is_some();
    let most = match is_unproven {
        true => MAX_UNPROVEN_BYTES.min(state.limits.body_bytes),
        false => state.limits.body_bytes,
    };
    let body = Received::receive_at_most(most, state, place, request).await?;
    let room = body.room.clone();
    let fields = Fields::read(body.into_parts()?)?;
    let key = fields.api_key.as_deref().unwrap_or_default();
    if is_unproven && !state.gate.is_token(key) {
        return Err(Refusal::Unauthorized);
    }
    // Who has no token is not to learn which models there are.
    let model = state.model(model)?;
    let query = DetectQuery {
        nms: query.nms,
        max_detections: query.max_detections,
        ..DetectQuery::default()
    };
    let mut wanted = query.wanted(&model, Form::Json)?;
    if let Some(text) = &fields.min_confidence {
        wanted.least_score = fraction("min_confidence", "a score", text)?;
    }
    let found = state.detect_in_all(&model, vec![fields.image], room, wanted);
    let found = found.await?.remove(0)?;
    let answer = Answer::new(&model, &found, wanted.least_score);
    let predictions = answer.detections.iter().map(prediction).collect();
    let answer = Predictions {
        success: true,
        predictions,
        duration: start.elapsed().as_secs_f64(),
    };
    Ok(Json(answer).into_response())
}

fn prediction<'a>(detection: &NamedDetection<'a>) -> Prediction<'a> {
    let [x_min, y_min, x_max, y_max] = detection.bbox.map(|edge| edge.round() as i64);
    Prediction {
        confidence: detection.score,
        label: detection.class,
        y_min,
        x_min,
        y_max,
        x_max,
    }
}

/// The fields of a form that mean something. Others are passed over, as DeepStack
/// does: clients send fields that other servers of this interface know.
struct Fields {
    image: Bytes,
    min_confidence: Option<String>,
    api_key: Option<String>,
}

impl Fields {
    fn read(parts: Vec<Part>) -> Result<Self, Refusal> {
        let (mut image, mut min_confidence, mut api_key) = (None, None, None);
        for part in parts {
            let field = match part.name.as_str() {
                "image" => &mut image,
                "min_confidence" => &mut min_confidence,
                "api_key" => &mut api_key,
                _ => continue,
            };
            if field.replace(part.bytes).is_some() {
                return Err(Refusal::Malformed(format!(
                    "expected one field `{}`, found two",
                    part.name
                )));
            }
        }
        let text = |bytes: Bytes| {
            let text = String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
            (!text.is_empty()).then_some(text)
        };
        Ok(Self {
            image: image.ok_or_else(|| {
                Refusal::Malformed("expected a form with the file `image`, found none".into())
            })?,
            min_confidence: min_confidence.and_then(text),
            api_key: api_key.and_then(text),
        })
    }
}

/// A refusal as clients of this interface read it.
fn failure(refusal: Refusal) -> Response {
    let failure = Failure {
        success: false,
        error: refusal.shown(),
        duration: 0.0,
    };
    let (mut parts, _) = refusal.into_response().into_parts();
    // DeepStack's own status for an image that can't be used, which its clients know.
    if parts.status == StatusCode::UNPROCESSABLE_ENTITY {
        parts.status = StatusCode::BAD_REQUEST;
    }
    let body = serde_json::to_vec(&failure).unwrap_or_default();
    Response::from_parts(parts, Body::from(body))
}
