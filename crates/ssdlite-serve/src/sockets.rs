//! The page's WebSockets.
//!
//! `/v1/live` sends the frames of one of the server's sources: a text message
//! with the source's state whenever that changes, and binary messages, each a
//! note with the detections and a JPEG. The page answers each frame with a
//! text message once it is drawn, and at most two frames are under way, so the
//! image never falls behind on a slow network. It is closed when the source
//! has failed: who connects again has it opened again.
//!
//! `/v1/camera` takes frames of the page's own, each a binary message, and
//! answers each with its detections.
//!
//! A WebSocket holds the place of the connection that it came from. It is
//! pinged, and dropped when nothing comes for too long.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use crate::answer::Answer;
use crate::connections::Place;
use crate::extract::{Asked, Upgrade};
use crate::feed::Shown;
use crate::memory::Room;
use crate::model::{LEAST_SCORE, Model};
use crate::refusal::Refusal;
use crate::state::{AppState, told_to_stop};

/// Frames that are sent and not yet drawn.
const UNDER_WAY: usize = 2;

/// How long a page may take to receive a message.
const SEND_TIME: Duration = Duration::from_secs(10);

/// How long a page may take to agree to an end.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// Pings that a page may leave without a sign of life before the next is due.
const UNHEARD_PINGS: u32 = 2;

/// An interval of no time is none.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// The most bytes of a frame that a page sends. Each page has that much of the
/// memory for bodies, whether it sends or not.
const MAX_FRAME_BYTES: usize = 4 << 20;

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
    Asked(query): Asked<LiveQuery>,
    Extension(place): Extension<Place>,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, Refusal> {
    state.check_open()?;
    let model = state.model(query.model.as_deref())?;
    let source = state.source(&query.source).await?;
    let shown = state.feeds.watch(&source, &model)?;
    let stop = state.stop.subscribe();
    let upgrade = upgrade
        .max_message_size(MAX_NOTE_BYTES)
        .max_frame_size(MAX_NOTE_BYTES);
    Ok(upgrade.on_upgrade(async move |socket| {
        let peer = Peer::new(socket, state, place);
        // A page that went away is no news.
        let _ = send_frames(peer, shown, stop).await;
    }))
}

pub(crate) async fn camera(
    State(state): State<Arc<AppState>>,
    Asked(query): Asked<CameraQuery>,
    Extension(place): Extension<Place>,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, Refusal> {
    state.check_open()?;
    let model = state.model(query.model.as_deref())?;
    let most = state.limits.body_bytes.min(MAX_FRAME_BYTES);
    let room = state.memory.take(most)?;
    let stop = state.stop.subscribe();
    let upgrade = upgrade.max_message_size(most).max_frame_size(most);
    Ok(upgrade.on_upgrade(async move |socket| {
        let peer = Peer::new(socket, state, place);
        // A page that went away is no news.
        let _ = answer_frames(peer, &model, &room, stop).await;
    }))
}

/// The page went away, takes too long, or says nothing.
struct Gone;

/// A page that is connected.
struct Peer {
    socket: WebSocket,
    state: Arc<AppState>,
    pings: Interval,
    /// Pings since the page was heard of.
    unheard: u32,
    _place: Place,
}

impl Peer {
    fn new(socket: WebSocket, state: Arc<AppState>, place: Place) -> Self {
        state.metrics.viewers.fetch_add(1, Relaxed);
        let pause = state.limits.silence / (UNHEARD_PINGS + 1);
        let pause = pause.max(LEAST_PAUSE);
        let mut pings = interval_at(Instant::now() + pause, pause);
        // While a frame is worked on nobody listens.
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            socket,
            state,
            pings,
            unheard: 0,
            _place: place,
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(SEND_TIME, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    /// The page's next message. Nothing is lost by letting go of the future.
    async fn receive(&mut self) -> Result<Message, Gone> {
        loop {
            tokio::select! {
                message = self.socket.recv() => {
                    self.unheard = 0;
                    return match message {
                        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Gone),
                        Some(Ok(message)) => Ok(message),
                    };
                }
                _ = self.pings.tick() => {
                    if self.unheard == UNHEARD_PINGS {
                        return Err(Gone);
                    }
                    self.unheard += 1;
                    self.send(Message::Ping(Bytes::new())).await?;
                }
            }
        }
    }

    /// Says that this is the end. What the page has sent meanwhile is read, or
    /// it would take the last messages with it.
    async fn close(mut self) -> Result<(), Gone> {
        self.send(Message::Close(None)).await?;
        let _ = timeout(CLOSE_TIME, async {
            while let Some(Ok(_)) = self.socket.recv().await {}
        })
        .await;
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.state.metrics.viewers.fetch_sub(1, Relaxed);
    }
}

async fn send_frames(
    mut peer: Peer,
    mut shown: watch::Receiver<Shown>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Gone> {
    let mut status: Arc<str> = Arc::default();
    let (mut sent, mut under_way) = (0, 0_usize);
    let mut has_failed = false;
    loop {
        let (new_status, frame) = {
            let shown = shown.borrow_and_update();
            (Arc::clone(&shown.status), shown.frame.clone())
        };
        if new_status != status {
            status = new_status;
            peer.send(Message::text(status.to_string())).await?;
        }
        if has_failed {
            return peer.close().await;
        }
        if let Some((number, message)) = frame
            && number > sent
            && under_way < UNDER_WAY
        {
            peer.send(Message::Binary(message)).await?;
            sent = number;
            under_way += 1;
        }
        tokio::select! {
            // The last status, which says why, is still to be sent.
            changed = shown.changed() => has_failed = changed.is_err(),
            () = told_to_stop(&mut stop) => return peer.close().await,
            message = peer.receive() => if let Message::Text(_) = message? {
                under_way = under_way.saturating_sub(1);
            },
        }
    }
}

async fn answer_frames(
    mut peer: Peer,
    model: &Arc<Model>,
    room: &Room,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Gone> {
    loop {
        let message = tokio::select! {
            () = told_to_stop(&mut stop) => return peer.close().await,
            message = peer.receive() => message?,
        };
        if let Message::Binary(bytes) = message {
            let answer = answer_frame(&peer.state, model, bytes, room.clone()).await;
            peer.send(Message::text(answer)).await?;
        }
    }
}

async fn answer_frame(state: &AppState, model: &Arc<Model>, bytes: Bytes, room: Room) -> String {
    let answer = match state.detect(model, bytes, room).await {
        Ok(found) => serde_json::to_string(&Answer::new(model, &found, LEAST_SCORE)),
        Err(refusal) => serde_json::to_string(&json!({ "error": refusal.message() })),
    };
    answer.unwrap_or_default()
}
