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
//! answers each with its detections, whose objects it follows from frame to frame.
//!
//! Both are closed when another model has taken the place of theirs: who connects
//! again is served by that.
//!
//! A WebSocket holds the place of the connection that it came from, and may have
//! to give way as other connections. It is pinged, and dropped when nothing comes
//! for too long. Memory for a frame is taken as its bytes come.

use std::future::poll_fn;
use std::mem::replace;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

use crate::accept::Form;
use crate::answer::Milliseconds;
use crate::body::STEP_BYTES;
use crate::connections::Place;
use crate::extract::{Asked, Upgrade};
use crate::feed::Shown;
use crate::follow::{FollowedDetection, Follower};
use crate::model::Model;
use crate::refusal::Refusal;
use crate::share::{Claim, Shared};
use crate::state::{AppState, told_to_stop};
use crate::workers::{Found, Wanted};

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

/// The most bytes of a frame that a page sends.
const MAX_FRAME_BYTES: usize = 4 << 20;

/// Bytes of a message that a page sends to `/v1/live`.
const MAX_NOTE_BYTES: usize = 1024;

/// Bytes that a WebSocket reads at once, for which each has memory.
const READ_BYTES: usize = 16 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiveQuery {
    source: String,
    model: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
    Ok(accept(
        upgrade,
        MAX_NOTE_BYTES,
        state,
        place,
        async move |peer| send_frames(peer, &model, shown, stop).await,
    ))
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
    let stop = state.stop.subscribe();
    Ok(accept(upgrade, most, state, place, async move |peer| {
        answer_frames(peer, &model, stop).await
    }))
}

/// Answers a request for a WebSocket, and has its page served until that is
/// done or it has to give way.
fn accept<F>(
    upgrade: WebSocketUpgrade,
    most: usize,
    state: Arc<AppState>,
    place: Place,
    serve: impl FnOnce(Peer) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = Result<(), Gone>> + Send,
{
    upgrade
        .max_message_size(most)
        .max_frame_size(most)
        .read_buffer_size(READ_BYTES)
        .on_upgrade(async move |socket| {
            let claim = Arc::clone(&place.claim);
            let Ok(peer) = Peer::new(socket, state, place) else {
                return;
            };
            tokio::select! {
                // A page that went away is no news.
                _ = serve(peer) => {}
                () = claim.lost() => {}
            }
        })
}

/// The page went away, takes too long, or says nothing.
struct Gone;

/// A page that is connected.
struct Peer {
    line: Line,
    state: Arc<AppState>,
    pings: Interval,
    /// Pings since the page was heard of.
    unheard: u32,
}

/// What comes from a page and goes to it.
struct Line {
    socket: WebSocket,
    place: Place,
    memory: Arc<Shared>,
    /// What the message takes of it that is on its way.
    room: Claim,
    /// The bytes of the connection up to that message.
    heard: u64,
}

impl Line {
    /// The page's next message, and what it takes of the memory. Nothing is lost
    /// by letting go of the future.
    async fn next(&mut self) -> Result<(Message, Claim), Gone> {
        let Self {
            socket,
            place,
            room,
            heard,
            ..
        } = self;
        let mut next = pin!(socket.recv());
        let arriving = poll_fn(|context| {
            let polled = next.as_mut().poll(context);
            let came = (place.bytes_read() - *heard) as usize;
            // What a socket reads at once it has memory for.
            if polled.is_pending() && came > READ_BYTES && !room.grow_to(steps(came)) {
                return Poll::Ready(None);
            }
            polled
        });
        let message = tokio::select! {
            message = arriving => message,
            () = room.lost() => None,
        };
        let Some(Ok(message)) = message else {
            return Err(Gone);
        };
        self.heard = self.place.bytes_read();
        let free = self.memory.claim(self.place.claim.client, 0).ok_or(Gone)?;
        Ok((message, replace(&mut self.room, free)))
    }
}

/// Bytes, rounded up to steps of memory.
fn steps(bytes: usize) -> usize {
    bytes.next_multiple_of(STEP_BYTES)
}

impl Peer {
    fn new(socket: WebSocket, state: Arc<AppState>, place: Place) -> Result<Self, Gone> {
        let memory = Arc::clone(&state.memory);
        let room = memory.claim(place.claim.client, 0).ok_or(Gone)?;
        state.metrics.viewers.fetch_add(1, Relaxed);
        let pause = state.limits.silence / (UNHEARD_PINGS + 1);
        let pause = pause.max(LEAST_PAUSE);
        let mut pings = interval_at(Instant::now() + pause, pause);
        // While a frame is worked on nobody listens.
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let heard = place.bytes_read();
        Ok(Self {
            line: Line {
                socket,
                place,
                memory,
                room,
                heard,
            },
            state,
            pings,
            unheard: 0,
        })
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(SEND_TIME, self.line.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    /// The page's next message, and what it takes of the memory. Nothing is lost
    /// by letting go of the future.
    async fn receive(&mut self) -> Result<(Message, Claim), Gone> {
        loop {
            tokio::select! {
                message = self.line.next() => {
                    let (message, room) = message?;
                    self.unheard = 0;
                    match message {
                        Message::Close(_) => return Err(Gone),
                        Message::Text(_) | Message::Binary(_) => {
                            self.line.place.claim.used();
                            return Ok((message, room));
                        }
                        Message::Ping(_) | Message::Pong(_) => {}
                    }
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
            while let Some(Ok(_)) = self.line.socket.recv().await {}
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
    model: &Arc<Model>,
    mut shown: watch::Receiver<Shown>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Gone> {
    let models = peer.state.models.clone();
    let mut replaced = pin!(models.gone(model));
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
            () = &mut replaced => return peer.close().await,
            message = peer.receive() => if let (Message::Text(_), _) = message? {
                under_way = under_way.saturating_sub(1);
            },
        }
    }
}

/// Detections in a frame of a page's own.
#[derive(Serialize)]
struct FrameAnswer<'a> {
    model: &'a str,
    width: u32,
    height: u32,
    detections: Vec<FollowedDetection<'a>>,
    milliseconds: Milliseconds,
}

async fn answer_frames(
    mut peer: Peer,
    model: &Arc<Model>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Gone> {
    let mut follower = Follower::new(model.score_threshold);
    let start = Instant::now();
    let models = peer.state.models.clone();
    let mut replaced = pin!(models.gone(model));
    loop {
        let (message, room) = tokio::select! {
            () = told_to_stop(&mut stop) => return peer.close().await,
            () = &mut replaced => return peer.close().await,
            message = peer.receive() => message?,
        };
        if let Message::Binary(bytes) = message {
            let claim = Arc::clone(&peer.line.place.claim);
            claim.work();
            let came = start.elapsed();
            let found = found_in_frame(&peer.state, model, bytes, room).await;
            claim.used();
            let answer = match &found {
                Ok(found) => serde_json::to_string(&FrameAnswer {
                    model: &model.name,
                    width: found.size.width,
                    height: found.size.height,
                    detections: follower.follow(&found.detections, model.classes(), came),
                    milliseconds: (&found.times).into(),
                }),
                Err(refusal) => serde_json::to_string(&json!({ "error": refusal.shown() })),
            };
            peer.send(Message::text(answer.unwrap_or_default())).await?;
        }
    }
}

async fn found_in_frame(
    state: &AppState,
    model: &Arc<Model>,
    bytes: Bytes,
    room: Claim,
) -> Result<Found, Refusal> {
    if !room.grow_to(bytes.len()) {
        return Err(Refusal::Full);
    }
    room.work();
    let wanted = Wanted::of(model, Form::Json);
    let found = state.detect_in_all(model, vec![bytes], Arc::new(room), wanted);
    found.await?.remove(0)
}
