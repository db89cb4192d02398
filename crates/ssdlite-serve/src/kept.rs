//! `/v1/kept`: the frames that were kept, their images, and their annotations,
//! which people correct.
//!
//! An annotation comes with an `ETag`, and a correction names in `If-Match` the one
//! that it is about: of two pages that correct the same frame the second is told
//! that it has changed, and nothing is lost.
//!
//! Source: RFC 9110, sections 8.8.3 and 13.1.1 (`ETag`, `If-Match`); RFC 6585,
//! section 3 (428).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use ssdlite_core::PixelBox;
use ssdlite_data::voc::{AddedObject, ChangedObject, Corrections, FiledObject};
use ssdlite_image::Format;

use crate::body::Received;
use crate::connections::Place;
use crate::extract::{Asked, Named, Nothing};
use crate::file_body::body_of_file;
use crate::keep::{Annotated, Keeper};
use crate::refusal::Refusal;
use crate::state::AppState;

type Answered<T> = Result<T, Refusal>;
type Shared = State<Arc<AppState>>;

/// The most bytes of a correction: some ten thousand objects.
const MAX_BYTES: usize = 1 << 20;

/// The most frames that are listed.
const MAX_LISTED: usize = 10_000;

/// The frames that were kept.
#[derive(Serialize)]
struct Listed {
    folder: String,
    /// How many there are.
    total: usize,
    /// The files and folders among them that are no images.
    left_out: usize,
    /// The ids of the last by name, at most [`MAX_LISTED`], in order.
    frames: Vec<String>,
}

/// A frame and what its annotation has of objects.
#[derive(Serialize)]
struct Told<'a> {
    id: &'a str,
    width: u32,
    height: u32,
    /// Whether there is an annotation.
    annotated: bool,
    objects: Vec<ToldObject<'a>>,
}

/// An object of an annotation.
#[derive(Serialize)]
struct ToldObject<'a> {
    class: Option<&'a str>,
    /// None where it can't be corrected.
    #[serde(rename = "box")]
    bbox: Option<[f32; 4]>,
    difficult: bool,
    /// Why it can't be corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<&'a str>,
}

/// What is to be corrected.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    changed: Vec<WantedChange>,
    #[serde(default)]
    added: Vec<WantedObject>,
    /// Indices.
    #[serde(default)]
    deleted: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedChange {
    index: usize,
    class: Option<String>,
    /// In double precision, as a number that is too large for another is a fault of
    /// the box and not of the JSON.
    #[serde(rename = "box")]
    bbox: Option<[f64; 4]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedObject {
    class: String,
    #[serde(rename = "box")]
    bbox: [f64; 4],
}

fn pixel_box(sides: [f64; 4]) -> PixelBox {
    let [x1, y1, x2, y2] = sides.map(|side| side as f32);
    PixelBox::new(x1, y1, x2, y2)
}

impl From<Wanted> for Corrections {
    fn from(wanted: Wanted) -> Self {
        let changed = wanted.changed.into_iter().map(|object| ChangedObject {
            index: object.index,
            name: object.class,
            bbox: object.bbox.map(pixel_box),
        });
        let added = wanted.added.into_iter().map(|object| AddedObject {
            name: object.class,
            bbox: pixel_box(object.bbox),
        });
        Self {
            changed: changed.collect(),
            added: added.collect(),
            deleted: wanted.deleted,
        }
    }
}

/// Lists the frames.
pub(crate) async fn list(State(state): Shared, _: Asked<Nothing>) -> Answered<Response> {
    let listed = with_keeper(&state, |keeper| {
        let mut list = keeper.list()?;
        let total = list.ids.len();
        Ok(Listed {
            folder: keeper.folder(),
            total,
            left_out: list.left_out,
            frames: list.ids.split_off(total.saturating_sub(MAX_LISTED)),
        })
    });
    Ok(Json(listed.await?).into_response())
}

/// Tells a frame's annotation.
pub(crate) async fn annotation(
    State(state): Shared,
    Named(id): Named,
    _: Asked<Nothing>,
) -> Answered<Response> {
    let limits = state.limits.image;
    with_keeper(&state, move |keeper| {
        told(&id, &keeper.annotated(&id, &limits)?)
    })
    .await
}

/// Corrects a frame's annotation, if it still is what was read.
pub(crate) async fn correct(
    State(state): Shared,
    Named(id): Named,
    _: Asked<Nothing>,
    Extension(place): Extension<Place>,
    request: Request,
) -> Answered<Response> {
    state.check_open()?;
    state.keeper()?;
    let revision = revision_in(request.headers())?;
    let body = Received::receive_at_most(MAX_BYTES, &state, &place, request).await?;
    let corrections = Corrections::from(body.into_json::<Wanted>()?);
    let limits = state.limits.image;
    with_keeper(&state, move |keeper| {
        let corrected = keeper.correct(&id, &revision, &corrections, &limits)?;
        told(&id, &corrected)
    })
    .await
}

/// Sends a frame's image file.
pub(crate) async fn image(
    State(state): Shared,
    Named(id): Named,
    _: Asked<Nothing>,
) -> Answered<Response> {
    let limits = state.limits.image;
    let (path, format) = with_keeper(&state, move |keeper| {
        let (path, header) = keeper.image(&id, &limits)?;
        Ok((path, header.format))
    })
    .await?;
    let body = body_of_file(path.clone()).await;
    let body = body.map_err(|error| Refusal::Broken(format!("{}: {error}", path.display())))?;
    let headers = [
        (header::CONTENT_TYPE, media_type(format)),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, body).into_response())
}

/// What `work` makes of the folder of kept frames, on a thread that may wait for a
/// disk. Only a few do so at once: some image files are read as a whole.
async fn with_keeper<T: Send + 'static>(
    state: &Arc<AppState>,
    work: impl FnOnce(&Keeper) -> Answered<T> + Send + 'static,
) -> Answered<T> {
    state.keeper()?;
    let looking = Arc::clone(&state.looking).acquire_owned().await;
    let looking = looking.map_err(|_| Refusal::ending())?;
    let shared = Arc::clone(state);
    let worked = tokio::task::spawn_blocking(move || {
        let _held = looking;
        work(shared.keeper()?)
    });
    let broken = |_| Refusal::Broken("the kept frames could not be looked at".into());
    worked.await.map_err(broken)?
}

fn told(id: &str, annotated: &Annotated) -> Answered<Response> {
    let size = annotated.editor.size();
    let told = Told {
        id,
        width: size.width,
        height: size.height,
        annotated: annotated.is_annotated,
        objects: annotated.editor.objects().iter().map(told_object).collect(),
    };
    let revision = HeaderValue::from_str(&annotated.revision);
    let revision = revision.map_err(|error| Refusal::Broken(error.to_string()))?;
    Ok(([(header::ETAG, revision)], Json(told)).into_response())
}

fn told_object(object: &FiledObject) -> ToldObject<'_> {
    let FiledObject {
        name,
        bbox,
        difficult,
    } = object;
    ToldObject {
        class: name.as_deref(),
        bbox: bbox.as_ref().ok().map(|bbox| bbox.to_array()),
        difficult: *difficult,
        fixed: bbox.as_ref().err().map(String::as_str),
    }
}

/// The revision that a request is about.
fn revision_in(headers: &HeaderMap) -> Answered<String> {
    let value = headers.get(header::IF_MATCH);
    let value = value.and_then(|value| value.to_str().ok()).map(str::trim);
    match value {
        // A proxy that compresses an answer calls its tag weak, though the file is the same.
        Some(value) if value != "*" => Ok(value.trim_start_matches("W/").to_owned()),
        _ => Err(Refusal::Unconditional),
    }
}

const fn media_type(format: Format) -> &'static str {
    match format {
        Format::Jpeg => "image/jpeg",
        Format::Png => "image/png",
        Format::WebP => "image/webp",
        Format::Bmp => "image/bmp",
    }
}
