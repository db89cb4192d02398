//! Request bodies, received within their limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};
use hyper::body::{Frame, SizeHint};

use crate::memory::Room;
use crate::refusal::Refusal;
use crate::state::AppState;

/// How long a body that nobody wants is read on.
const LINGER: Duration = Duration::from_secs(5);

/// How often a multipart body is held at once: its parts are copies.
const MULTIPART_COPIES: usize = 2;

/// The most parts of a body.
const MAX_PARTS: usize = 16;

/// A body that came whole.
pub(crate) struct Received {
    headers: HeaderMap,
    bytes: Bytes,
    /// What it takes of the memory for bodies.
    pub(crate) room: Room,
}

/// A part of a multipart body.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) is_file: bool,
    pub(crate) bytes: Bytes,
}

impl Received {
    /// Reads a request's body within the limits of size, time and memory. One
    /// that there is no room for is refused before it is read.
    pub(crate) async fn receive(state: &AppState, request: Request) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let limit = state.limits.body_bytes;
        let too_long = || Refusal::TooLong(format!("expected a body of at most {limit} bytes"));
        let stated = body.size_hint();
        if stated.lower() > limit as u64 {
            return Err(too_long());
        }
        // One that does not say how long it is may become as long as any.
        let most = stated.exact().map_or(limit, |bytes| bytes as usize);
        let copies = if is_multipart(&parts.headers) {
            MULTIPART_COPIES
        } else {
            1
        };
        let room = state.memory.take(most.saturating_mul(copies))?;
        let bytes = read(body, Vec::with_capacity(most), limit);
        match tokio::time::timeout(state.limits.body_time, bytes).await {
            Ok(Ok(bytes)) => Ok(Self {
                headers: parts.headers,
                bytes,
                room,
            }),
            Ok(Err(Unread::TooLong)) => Err(too_long()),
            Ok(Err(Unread::Cut(reason))) => Err(Refusal::Malformed(reason)),
            Err(_) => Err(Refusal::TooSlow(format!(
                "the body did not arrive within {} s",
                state.limits.body_time.as_secs_f32()
            ))),
        }
    }

    /// The image: the body, or the first file of a multipart body.
    pub(crate) async fn into_image(self) -> Result<Bytes, Refusal> {
        if !is_multipart(&self.headers) {
            return Ok(self.bytes);
        }
        let parts = self.into_parts().await?;
        parts
            .into_iter()
            .find(|part| part.is_file || part.name == "image")
            .map(|part| part.bytes)
            .ok_or_else(|| Refusal::Malformed("expected a part with a file".into()))
    }

    /// The parts of a multipart body.
    pub(crate) async fn into_parts(self) -> Result<Vec<Part>, Refusal> {
        let mut request = Request::new(Body::from(self.bytes));
        *request.headers_mut() = self.headers;
        // The body's length was checked when it was received.
        axum::extract::DefaultBodyLimit::disable().apply(&mut request);
        let malformed = |reason: String| Refusal::Malformed(reason);
        let mut multipart = Multipart::from_request(request, &())
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

enum Unread {
    TooLong,
    Cut(String),
}

async fn read(mut body: Body, mut bytes: Vec<u8>, limit: usize) -> Result<Bytes, Unread> {
    while let Some(frame) = next_frame(&mut body).await {
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
