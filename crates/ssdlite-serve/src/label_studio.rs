//! Label Studio's interface for a model that labels beforehand: `/health`,
//! `/setup`, `/predict` and `/webhook`. The first model answers.
//!
//! Nothing is remembered between requests: each says how its project is labelled.
//! Images that tasks name by their address are fetched as
//! [`ServerOptions::fetch`](crate::ServerOptions::fetch) allows, and those that tasks
//! hold are read.
//!
//! Sources: label-studio-ml-backend's `label_studio_ml/api.py`; Label Studio's own
//! `label_studio/ml/api_connector.py` and `label_studio/ml/models.py`, which ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ssdlite_core::{ImageSize, PixelBox};
use tokio::time::timeout;

use crate::accept::Form;
use crate::body::Received;
use crate::connections::Place;
use crate::extract::{Asked, Nothing};
use crate::label_config::{LabelConfig, LabelsOfClasses};
use crate::model::Model;
use crate::refusal::Refusal;
use crate::scalar::Scalar;
use crate::state::AppState;
use crate::workers::{Found, Wanted};

type Answered<T> = Result<T, Refusal>;
type Shared = State<Arc<AppState>>;

/// The most bytes of a request, in which tasks may hold images.
const MAX_BYTES: usize = 16 << 20;

/// The most bytes of an image that is fetched.
const MAX_FETCHED_BYTES: usize = 32 << 20;

/// The most tasks of a request; Label Studio sends some hundred.
const MAX_TASKS: usize = 1000;

/// The event at which a backend is to train.
const START_TRAINING: &str = "START_TRAINING";

#[derive(Deserialize)]
struct SetupRequest {
    /// The labelling configuration; empty before the project has one.
    #[serde(default)]
    schema: String,
}

#[derive(Deserialize)]
struct PredictRequest {
    tasks: Vec<Task>,
    label_config: String,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    id: Scalar,
    data: BTreeMap<String, Scalar>,
}

#[derive(Deserialize)]
struct Event {
    action: String,
}

#[derive(Serialize)]
struct Predictions<'a> {
    results: Vec<Prediction<'a>>,
    model_version: &'a str,
}

/// What is predicted for a task.
#[derive(Serialize)]
struct Prediction<'a> {
    result: Vec<Region<'a>>,
    /// The mean of the regions' scores, 0 without one.
    score: f32,
    model_version: &'a str,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A box with its label.
#[derive(Serialize)]
struct Region<'a> {
    from_name: &'a str,
    to_name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    original_width: u32,
    original_height: u32,
    image_rotation: u32,
    value: RegionValue<'a>,
    score: f32,
}

/// Where a box is, in percent of the image from its top left.
#[derive(Serialize)]
struct RegionValue<'a> {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
    rotation: f32,
    rectanglelabels: [&'a str; 1],
}

/// Says that the server is there.
pub(crate) async fn health(_: Asked<Nothing>) -> Json<Value> {
    Json(json!({ "status": "UP", "model_class": "ssdlite" }))
}

/// Tells the model's version, if it can label a project with this configuration.
pub(crate) async fn setup(
    State(state): Shared,
    _: Asked<Nothing>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Answered<Json<Value>> {
    state.check_open()?;
    let body = Received::receive_at_most(MAX_BYTES, &state, &place, request).await?;
    let asked: SetupRequest = body.into_json()?;
    let model = state.model(None)?;
    if let Err(refusal) = labelled(&asked.schema, &model) {
        // Label Studio shows the status alone.
        (state.log)(&format!("Label Studio’s project: {}", refusal.shown()));
        return Err(refusal);
    }
    Ok(Json(json!({ "model_version": version_of(&model) })))
}

/// Finds objects in the images of tasks.
pub(crate) async fn predict(
    State(state): Shared,
    _: Asked<Nothing>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Answered<Response> {
    state.check_open()?;
    // Requests of many annotators wait before their bodies take memory.
    let predicting = Arc::clone(&state.predicting).acquire_owned();
    let predicting = timeout(state.limits.answer_time, predicting).await;
    let Ok(Ok(_predicting)) = predicting else {
        return Err(Refusal::Full);
    };
    let body = Received::receive_at_most(MAX_BYTES, &state, &place, request).await?;
    let _room = body.room.clone();
    let asked: PredictRequest = body.into_json()?;
    let tasks = asked.tasks.len();
    if !(1..=MAX_TASKS).contains(&tasks) {
        return Err(Refusal::Unusable(format!(
            "expected 1 to {MAX_TASKS} tasks, found {tasks}"
        )));
    }
    let model = state.model(None)?;
    let (config, labels) = labelled(&asked.label_config, &model)?;
    let version = version_of(&model);
    let mut predictions = Vec::with_capacity(tasks);
    let mut first_refusal = None;
    for task in &asked.tasks {
        let found = found_in(&state, &place, &model, &config, task).await;
        let prediction = match found {
            Ok(found) => Prediction::new(&found, &model, &config, &labels, &version),
            Err(refusal) => {
                let error = refusal.shown();
                (state.log)(&format!("Label Studio’s task {}: {error}", task.id));
                first_refusal.get_or_insert(refusal);
                Prediction::none(&version, error)
            }
        };
        predictions.push(prediction);
    }
    let is_failed = predictions.iter().all(|made| made.error.is_some());
    match first_refusal {
        // Nothing was done of what was asked for.
        Some(refusal) if is_failed => Err(refusal),
        _ => Ok(Json(Predictions {
            results: predictions,
            model_version: &version,
        })
        .into_response()),
    }
}

/// Takes note of what happens in a project, of which nothing follows here.
pub(crate) async fn webhook(
    State(state): Shared,
    _: Asked<Nothing>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Answered<Json<Value>> {
    state.check_open()?;
    let body = Received::receive_at_most(MAX_BYTES, &state, &place, request).await?;
    let event: Event = body.into_json()?;
    if event.action == START_TRAINING {
        let refusal = Refusal::Unusable(
            "this server does not train: export the labels, run `ssdlite train`, and `ssdlite \
             serve --watch` takes up the new model"
                .into(),
        );
        (state.log)(&format!("Label Studio: {}", refusal.shown()));
        return Err(refusal);
    }
    Ok(Json(json!({ "status": "ok", "result": "nothing to do" })))
}

/// A configuration and the labels of the model's classes in it.
fn labelled(config: &str, model: &Model) -> Answered<(LabelConfig, LabelsOfClasses)> {
    let config = LabelConfig::read(config).map_err(Refusal::Unusable)?;
    let labels = config.labels_of(model.classes());
    Ok((config, labels.map_err(Refusal::Unusable)?))
}

/// What Label Studio tells predictions of different models apart by.
fn version_of(model: &Model) -> String {
    format!("{} {}", model.name, model.version)
}

async fn found_in(
    state: &AppState,
    place: &Place,
    model: &Arc<Model>,
    config: &LabelConfig,
    task: &Task,
) -> Answered<Found> {
    let image = task.data.get(&config.key).and_then(Scalar::text);
    let image = image.ok_or_else(|| {
        Refusal::Unusable(format!(
            "expected an image under `{}` in the task's data, found none",
            config.key
        ))
    })?;
    let bytes = match image.strip_prefix("data:") {
        Some(data) => bytes_of_data(data).map_err(Refusal::Unusable)?,
        None => fetched(state, image).await?,
    };
    let room = state.memory.claim(place.claim.client, 0);
    let room = room.filter(|room| room.grow_to(bytes.len()));
    let room = room.ok_or(Refusal::Full)?;
    room.work();
    let wanted = Wanted::of(model, Form::Json);
    let found = state.detect_in_all(model, vec![bytes], Arc::new(room), wanted);
    found.await?.remove(0)
}

/// The bytes that an address of the scheme `data` holds, without that.
///
/// Source: RFC 2397.
fn bytes_of_data(data: &str) -> Result<Bytes, String> {
    let (kind, data) = data
        .split_once(',')
        .ok_or("expected `data:` with a comma before an image")?;
    if !kind.ends_with(";base64") {
        return Err("expected an image in base64 after `data:`".into());
    }
    let bytes = STANDARD.decode(data);
    let bytes = bytes.map_err(|error| format!("the base64 of an image: {error}"))?;
    Ok(bytes.into())
}

/// The bytes of the image file at an address, if it may be fetched.
async fn fetched(state: &AppState, address: &str) -> Answered<Bytes> {
    let fetch = state.fetch.clone().ok_or_else(|| {
        Refusal::Unusable(
            "this server fetches no images: it does from the one address that it is started with \
             as --label-studio"
                .into(),
        )
    })?;
    let address = address.to_owned();
    let fetching = move || fetch.fetch(&address, MAX_FETCHED_BYTES);
    let fetched = tokio::task::spawn_blocking(fetching).await;
    let fetched = fetched.map_err(|_| Refusal::Broken("an image could not be fetched".into()))?;
    fetched.map(Bytes::from).map_err(Refusal::Unusable)
}

impl<'a> Prediction<'a> {
    fn new(
        found: &Found,
        model: &Model,
        config: &'a LabelConfig,
        labels: &'a LabelsOfClasses,
        model_version: &'a str,
    ) -> Self {
        let shown = found.detections.iter();
        let shown = shown.filter(|detection| detection.score >= model.score_threshold);
        let regions = shown.filter_map(|detection| {
            let label = labels.get(detection.class)?;
            Some(Region {
                from_name: &config.from_name,
                to_name: &config.to_name,
                kind: "rectanglelabels",
                original_width: found.size.width,
                original_height: found.size.height,
                image_rotation: 0,
                value: RegionValue::new(detection.bbox, found.size, label),
                score: detection.score,
            })
        });
        let result: Vec<_> = regions.collect();
        // The sum of nothing is -0 otherwise.
        let scores = result.iter().map(|region| region.score);
        let sum = scores.fold(0.0, |sum, score| sum + score);
        Self {
            score: sum / result.len().max(1) as f32,
            result,
            model_version,
            error: None,
        }
    }

    fn none(model_version: &'a str, error: String) -> Self {
        Self {
            result: Vec::new(),
            score: 0.0,
            model_version,
            error: Some(error),
        }
    }
}

impl<'a> RegionValue<'a> {
    fn new(bbox: PixelBox, size: ImageSize, label: &'a str) -> Self {
        let part = bbox.to_fractions(size);
        Self {
            x: 100.0 * part.x1,
            y: 100.0 * part.y1,
            width: 100.0 * part.width(),
            height: 100.0 * part.height(),
            rotation: 0.0,
            rectanglelabels: [label],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_in_tasks_are_base64() {
        assert_eq!(bytes_of_data("image/png;base64,aGk=").unwrap(), "hi");
        assert_eq!(bytes_of_data(";base64,").unwrap(), "");
        for (data, expected) in [
            ("image/png;base64", "comma"),
            ("image/png,hi", "base64 after"),
            ("image/png;base64,a", "the base64"),
            ("image/png;base64,aGk=\n", "the base64"),
        ] {
            let error = bytes_of_data(data).unwrap_err();
            assert!(error.contains(expected), "{data}: {error}");
        }
    }
}
