//! The page's WebSockets.
//!
//! `/v1/live` sends the frames of one of the server's sources: a text message
//! with the source's state whenever that changes, and binary messages, each a
//! note with the detections and a JPEG. The page answers each frame with a
//! text message once it is drawn, and at most two frames are under way, so the
//! picture never falls behind on a slow network.
//!
//! `/v1/camera` takes frames of the page's own, each a binary message, and
//! answers each with its detections.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use crate::answer::Answer;
use crate::feed::Shown;
use crate::model::{LEAST_SCORE, Model};
use crate::refusal::Refusal;
use crate::state::{AppState, told_to_stop};

/// Frames that are sent and not yet drawn.
const UNDER_WAY: usize = 2;

/// How long a page may take to receive a message.
const SEND_TIME: Duration = Duration::from_secs(10);

/// Bytes of a message that a page sends to `/v1/live`.
const MAX_NOTE_BYTES: usize = 1024;

#[derive(Deserialize)]
pub(crate) struct LiveQuery {
    source: String,
    model: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct CameraQuery {
    model: Option<String>,
}

pub(crate) async fn live(
    State(state): State<Arc<AppState>>,
    Query(query): Query<LiveQuery>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let model = state.model(query.model.as_deref())?;
    let source = state.source(&query.source).await?;
    let upgrade = upgrade.max_message_size(MAX_NOTE_BYTES);
    Ok(upgrade.on_upgrade(async move |socket| {
        if let Some(shown) = state.feeds.watch(&source, &model) {
            let _viewer = Viewer::new(&state);
            // A page that went away is no news.
            let _ = send_frames(socket, shown, state.stop.subscribe()).await;
        }
    }))
}

pub(crate) async fn camera(
    State(state): State<Arc<AppState>>,
    Query(query): Query<CameraQuery>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let model = state.model(query.model.as_deref())?;
    let most = state.limits.body_bytes;
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    Ok(upgrade.on_upgrade(async move |socket| {
        let _viewer = Viewer::new(&state);
        // A page that went away is no news.
        let _ = answer_frames(socket, &state, &model).await;
    }))
}

/// A page that is connected, as counted in the metrics.
struct Viewer(Arc<AppState>);

impl Viewer {
    fn new(state: &Arc<AppState>) -> Self {
        state.metrics.viewers.fetch_add(1, Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.metrics.viewers.fetch_sub(1, Relaxed);
    }
}

/// The page went away, or takes too long.
struct Gone;

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), Gone> {
    match tokio::time::timeout(SEND_TIME, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Gone),
    }
}

async fn send_frames(
    mut socket: WebSocket,
    mut shown: watch::Receiver<Shown>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Gone> {
    let mut status: Arc<str> = Arc::default();
    let (mut sent, mut under_way) = (0, 0_usize);
    let mut ended = false;
    loop {
        let (new_status, frame) = {
            let shown = shown.borrow_and_update();
            (Arc::clone(&shown.status), shown.frame.clone())
        };
        if new_status != status {
            status = new_status;
            send(&mut socket, Message::text(status.to_string())).await?;
        }
        if let Some((number, message)) = frame
            && number > sent
            && under_way < UNDER_WAY
        {
            send(&mut socket, Message::Binary(message)).await?;
            sent = number;
            under_way += 1;
        }
        tokio::select! {
            changed = shown.changed(), if !ended => ended = changed.is_err(),
            () = told_to_stop(&mut stop) => return send(&mut socket, Message::Close(None)).await,
            message = socket.recv() => match message {
                Some(Ok(Message::Text(_))) => under_way = under_way.saturating_sub(1),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                Some(Ok(_)) => {}
            },
        }
    }
}

async fn answer_frames(
    mut socket: WebSocket,
    state: &AppState,
    model: &Arc<Model>,
) -> Result<(), Gone> {
    let mut stop = state.stop.subscribe();
    loop {
        let message = tokio::select! {
            () = told_to_stop(&mut stop) => return send(&mut socket, Message::Close(None)).await,
            message = socket.recv() => message,
        };
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                let answer = answer_frame(state, model, bytes).await;
                send(&mut socket, Message::text(answer)).await?;
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
            Some(Ok(_)) => {}
        }
    }
}

async fn answer_frame(state: &AppState, model: &Arc<Model>, bytes: Bytes) -> String {
    let answer = match state.detect(model, bytes).await {
        Ok(found) => serde_json::to_string(&Answer::new(model, &found, LEAST_SCORE)),
        Err(refusal) => serde_json::to_string(&json!({ "error": refusal.message() })),
    };
    answer.unwrap_or_default()
}
