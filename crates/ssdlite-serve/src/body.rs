//! Request bodies, received within their limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, header};
use hyper::body::{Frame, SizeHint};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::connections::Place;
use crate::form::{self, Part};
use crate::options::{LEAST_BODY_RATE, Limits};
use crate::refusal::Refusal;
use crate::share::Claim;
use crate::state::AppState;

/// How long a body that nobody wants is read on.
const LINGER: Duration = Duration::from_secs(5);

/// Memory is taken in such steps at least, and a body that has come so much
/// further is not one that stalls.
pub(crate) const STEP_BYTES: usize = 64 << 10;

/// The encodings of a form's parts that leave the bytes as they are.
const PLAIN_ENCODINGS: [&str; 3] = ["binary", "8bit", "7bit"];

/// A body that came whole.
pub(crate) struct Received {
    headers: HeaderMap,
    bytes: Bytes,
    /// What it takes of the memory for bodies.
    pub(crate) room: Arc<Claim>,
}

impl Received {
    /// Reads a request's body within the limits of size, time and memory, which
    /// it takes as the bytes come. While it comes it may have to give way to
    /// others.
    pub(crate) async fn receive(
        state: &AppState,
        place: &Place,
        request: Request,
    ) -> Result<Self, Refusal> {
        Self::receive_at_most(state.limits.body_bytes, state, place, request).await
    }

    /// The same, of a body that has at most so many bytes.
    pub(crate) async fn receive_at_most(
        limit: usize,
        state: &AppState,
        place: &Place,
        request: Request,
    ) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        check_encodings(&parts.headers)?;
        let room = state
            .memory
            .claim(place.claim.client, 0)
            .ok_or(Refusal::Full)?;
        let limits = Limits {
            body_bytes: limit,
            ..state.limits
        };
        let bytes = tokio::select! {
            biased;
            () = room.lost() => Err(Refusal::TooSlow(
                "others need the memory that this body took, and it came more slowly".into(),
            )),
            read = read(body, &limits, &room, place) => read,
        }?;
        place.claim.work();
        room.work();
        Ok(Self {
            headers: parts.headers,
            bytes,
            room: Arc::new(room),
        })
    }

    /// The images, at least one: the body, or the files of a form in their order.
    pub(crate) fn into_images(self) -> Result<Vec<Bytes>, Refusal> {
        match self.content_type() {
            Some(kind) if kind.starts_with("multipart/") => images_of(self.into_parts()?),
            _ => Ok(vec![self.bytes]),
        }
    }

    /// The value that JSON stands for.
    pub(crate) fn into_json<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        let kind = self.content_type().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim_end();
        if kind != "application/json" {
            return Err(Refusal::Unread(
                header::ACCEPT,
                "application/json",
                format!("expected application/json, found the Content-Type `{kind}`"),
            ));
        }
        serde_json::from_slice(&self.bytes)
            .map_err(|error| Refusal::Malformed(format!("the body: {error}")))
    }

    /// The parts of a form. A field without a name and content that a browser
    /// sends for a file that nobody chose is none.
    pub(crate) fn into_parts(self) -> Result<Vec<Part>, Refusal> {
        let kind = self.headers.get(header::CONTENT_TYPE);
        let kind = kind.map_or(&b""[..], |kind| kind.as_bytes());
        if !form::is_form(kind) {
            return Err(Refusal::Unread(
                header::ACCEPT,
                "multipart/form-data",
                format!(
                    "expected a form, multipart/form-data, found the Content-Type `{}`",
                    String::from_utf8_lossy(kind)
                ),
            ));
        }
        let boundary = form::boundary(kind).map_err(Refusal::Malformed)?;
        let mut parts = form::parts(&self.bytes, &boundary).map_err(Refusal::Malformed)?;
        parts.retain(|part| part.file_name.as_deref() != Some("") || !part.bytes.is_empty());
        for part in &parts {
            if let Some(encoding) = &part.transfer_encoding
                && !PLAIN_ENCODINGS.contains(&encoding.as_str())
            {
                return Err(Refusal::Malformed(format!(
                    "expected the part `{}` as it is, found it encoded as {encoding}",
                    part.name
                )));
            }
        }
        Ok(parts)
    }

    /// In lower case, if it is text.
    fn content_type(&self) -> Option<String> {
        let kind = self.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        Some(kind.trim_start().to_ascii_lowercase())
    }
}

/// Refuses a body that is compressed or otherwise encoded.
fn check_encodings(headers: &HeaderMap) -> Result<(), Refusal> {
    if let Some(coding) = other_coding(headers, header::CONTENT_ENCODING, "identity") {
        return Err(Refusal::Unread(
            header::ACCEPT_ENCODING,
            "identity",
            format!("expected a body without Content-Encoding, found `{coding}`"),
        ));
    }
    if let Some(coding) = other_coding(headers, header::TRANSFER_ENCODING, "chunked") {
        return Err(Refusal::UnknownCoding(format!(
            "expected no Transfer-Encoding but `chunked`, found `{coding}`"
        )));
    }
    Ok(())
}

/// The first coding in a header that is not the one that is read.
fn other_coding(headers: &HeaderMap, name: HeaderName, read: &str) -> Option<String> {
    let values = headers.get_all(name);
    let values = values
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    values
        .flat_map(|value| {
            value
                .split(',')
                .map(|coding| coding.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(read))
}

/// The files of a form that has nothing else.
fn images_of(parts: Vec<Part>) -> Result<Vec<Bytes>, Refusal> {
    let mut images = Vec::new();
    for part in parts {
        let is_binary =
            |kind: &String| kind.starts_with("image/") || kind == "application/octet-stream";
        let is_image = part.file_name.is_some()
            || part.name == "image"
            || part.content_type.as_ref().is_some_and(is_binary);
        if !is_image {
            return Err(Refusal::Malformed(format!(
                "expected a form of image files, found the field `{}` too; `model`, `score`, \
                 `nms` and `max_detections` stand behind the `?` of the address",
                part.name
            )));
        }
        images.push(part.bytes);
    }
    if images.is_empty() {
        return Err(Refusal::Malformed(
            "expected a form with a file, found none".into(),
        ));
    }
    Ok(images)
}

/// Reads a body to its end. Memory for it is taken in growing steps, at most up
/// to the length that is stated or allowed.
async fn read(
    mut body: Body,
    limits: &Limits,
    room: &Claim,
    place: &Place,
) -> Result<Bytes, Refusal> {
    let limit = limits.body_bytes;
    let too_long = || {
        Refusal::TooLong(format!(
            "expected a body of at most {limit} bytes, all files of a form together"
        ))
    };
    let stated = body.size_hint();
    if stated.lower() > limit as u64 {
        return Err(too_long());
    }
    let most = stated.exact().map_or(limit, |bytes| bytes as usize);
    let mut bytes = Vec::new();
    let mut reserved = 0;
    let mut reserve = |bytes: &mut Vec<u8>, needed: usize| {
        if needed <= reserved {
            return Ok(());
        }
        let next = needed.max(2 * reserved).max(STEP_BYTES).min(most);
        if !room.grow_to(next) {
            return Err(Refusal::Full);
        }
        reserved = next;
        bytes.reserve_exact(reserved - bytes.len());
        Ok(())
    };
    // Who can't have the first step is not to send any of it.
    reserve(&mut bytes, most.min(1))?;
    let mut used_at = 0;
    let end = Instant::now() + limits.body_time;
    while let Some(frame) = timely_frame(&mut body, end, bytes.len(), limits).await? {
        let frame = frame.map_err(|error| {
            Refusal::Malformed(format!("the body can't be read to its end: {error}"))
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > most - bytes.len() {
            return Err(too_long());
        }
        let needed = bytes.len() + data.len();
        reserve(&mut bytes, needed)?;
        bytes.extend_from_slice(&data);
        if bytes.len() - used_at >= STEP_BYTES {
            used_at = bytes.len();
            room.used();
            place.claim.used();
        }
    }
    Ok(bytes.into())
}

/// What comes next of a body of which so much has come, if it comes in time.
async fn timely_frame(
    body: &mut Body,
    end: Instant,
    came: usize,
    limits: &Limits,
) -> Result<Option<Result<Frame<Bytes>, axum::Error>>, Refusal> {
    let more = Duration::from_secs_f64(came as f64 / f64::from(LEAST_BODY_RATE));
    let frame = tokio::time::timeout_at(end + more, next_frame(body));
    frame.await.map_err(|_| {
        Refusal::TooSlow(format!(
            "the body did not arrive within {} s, and a second more for each {} KiB of it",
            limits.body_time.as_secs_f32(),
            LEAST_BODY_RATE >> 10
        ))
    })
}

async fn next_frame(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Wraps a request's body so that what nobody reads of it is read and dropped:
/// a client may look for its answer only after it has sent everything, and a
/// connection that is closed on unread bytes takes the answer with it.
pub(crate) async fn linger(request: Request) -> Request {
    // Who asks before sending a body is answered, not told to send it.
    if request.headers().contains_key(header::EXPECT) {
        return request;
    }
    request.map(|body| {
        Body::new(Lingering {
            body,
            has_ended: false,
        })
    })
}

struct Lingering {
    body: Body,
    has_ended: bool,
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.has_ended |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let mut body = std::mem::take(&mut self.body);
        if self.has_ended || body.is_end_stream() {
            return;
        }
        // Without a runtime the server has ended, and the connection with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(LINGER, async move {
                while let Some(Ok(_)) = next_frame(&mut body).await {}
            }));
        }
    }
}
