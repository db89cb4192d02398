//! `/v1/detect`: images in, their objects out.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use ssdlite_core::post_processing::MOST_BOXES;
use ssdlite_core::{PostProcessing, Suppression};

use crate::accept::{Accepted, Form};
use crate::answer::Answer;
use crate::body::Received;
use crate::connections::Place;
use crate::extract::Asked;
use crate::model::Model;
use crate::refusal::Refusal;
use crate::state::AppState;
use crate::workers::{Found, Wanted};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DetectQuery {
    pub(crate) model: Option<String>,
    pub(crate) score: Option<String>,
    pub(crate) nms: Option<String>,
    pub(crate) max_detections: Option<String>,
}

pub(crate) async fn detect(
    State(state): State<Arc<AppState>>,
    Asked(query): Asked<DetectQuery>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Result<Response, Refusal> {
    state.check_open()?;
    // Nobody is to send an image for which there is no place.
    state.workers.check_place(place.claim.client)?;
    let model = state.model(query.model.as_deref())?;
    let accepted = Accepted::read(request.headers())?;
    let mut wanted = query.wanted(&model, accepted.form())?;
    let body = Received::receive(&state, &place, request).await?;
    let room = body.room.clone();
    let images = body.into_images()?;
    if images.len() > 1 {
        if !accepted.takes_json() {
            return Err(Refusal::NotAcceptable(format!(
                "expected one image a request with `Accept: image/jpeg`, found {}; several are \
                 answered as application/json",
                images.len()
            )));
        }
        wanted.form = Form::Json;
    }
    let mut found = state.detect_in_all(&model, images, room, wanted).await?;
    let mut response = match found.len() {
        1 => answer_to_one(&model, found.remove(0)?, &wanted),
        _ => answer_to_several(&model, &found, &wanted),
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    Ok(response)
}

impl DetectQuery {
    /// What is wanted of a model's detections in this form.
    pub(crate) fn wanted(&self, model: &Model, form: Form) -> Result<Wanted, Refusal> {
        let mut wanted = Wanted::of(model, form);
        if let Some(text) = &self.score {
            wanted.least_score = fraction("score", "a score", text)?;
        }
        let PostProcessing {
            suppression,
            max_detections,
            ..
        } = &mut wanted.post_processing;
        if let Some(text) = &self.nms {
            let max_iou = fraction("nms", "an IoU", text)?;
            *suppression = Suppression::Hard { max_iou };
        }
        if let Some(text) = &self.max_detections {
            let most = text.parse().ok();
            let most = most.filter(|most| (1..=MOST_BOXES).contains(most));
            *max_detections = most.ok_or_else(|| {
                Refusal::Malformed(format!(
                    "max_detections: expected a whole number of 1 to {MOST_BOXES}, found `{text}`"
                ))
            })?;
        }
        Ok(wanted)
    }
}

/// The value of a parameter that is a number of 0 to 1.
pub(crate) fn fraction(parameter: &str, what: &str, text: &str) -> Result<f32, Refusal> {
    let number = text.parse().ok();
    let number = number.filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| {
        Refusal::Malformed(format!(
            "{parameter}: expected {what} of 0 to 1, found `{text}`"
        ))
    })
}

fn answer_to_one(model: &Model, found: Found, wanted: &Wanted) -> Response {
    match wanted.form {
        Form::Json => Json(Answer::new(model, &found, wanted.least_score)).into_response(),
        Form::Picture => {
            let kind = [(header::CONTENT_TYPE, "image/jpeg")];
            (kind, found.picture).into_response()
        }
    }
}

/// What came of one of several images.
#[derive(Serialize)]
#[serde(untagged)]
enum Each<'a> {
    Found(Answer<'a>),
    Refused { error: String, status: u16 },
}

fn answer_to_several(model: &Model, found: &[Result<Found, Refusal>], wanted: &Wanted) -> Response {
    let each = found.iter().map(|found| match found {
        Ok(found) => Each::Found(Answer::new(model, found, wanted.least_score)),
        Err(refusal) => Each::Refused {
            error: refusal.shown(),
            status: refusal.status().as_u16(),
        },
    });
    Json(each.collect::<Vec<_>>()).into_response()
}
