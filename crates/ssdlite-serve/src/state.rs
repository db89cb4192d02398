//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError};

use axum::body::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::access::Gate;
use crate::decoder::Decoder;
use crate::feed::{Feeds, ListedSource};
use crate::keep::Keeper;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::models::ServedModels;
use crate::options::{FetchImages, Limits, Log};
use crate::refusal::Refusal;
use crate::rule_event::RuleEvent;
use crate::share::{Claim, Shared};
use crate::workers::{Found, Wanted, Workers};

/// What all requests share.
pub(crate) struct AppState {
    pub(crate) gate: Gate,
    pub(crate) models: ServedModels,
    pub(crate) decoder: Arc<Decoder>,
    pub(crate) workers: Workers,
    pub(crate) feeds: Arc<Feeds>,
    pub(crate) keeper: Option<Keeper>,
    /// The frames that may be kept at once: each is decoded.
    pub(crate) keeping: Arc<Semaphore>,
    /// The requests that may look at kept frames at once.
    pub(crate) looking: Arc<Semaphore>,
    pub(crate) webhook: Option<SyncSender<RuleEvent>>,
    pub(crate) fetch: Option<Arc<dyn FetchImages>>,
    /// The requests of Label Studio whose tasks are worked on at once.
    pub(crate) predicting: Arc<Semaphore>,
    /// Takes lines for people.
    pub(crate) log: Log,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// The bytes that bodies, and frames of pages, may take.
    pub(crate) memory: Arc<Shared>,
    /// Set when the server is told to end: nothing new is begun.
    pub(crate) draining: AtomicBool,
    /// Set at the same time, for those who wait. Each connection and each
    /// WebSocket has a receiver for as long as it is open.
    pub(crate) stop: watch::Sender<bool>,
}

impl AppState {
    /// The model of this name, or the first.
    pub(crate) fn model(&self, name: Option<&str>) -> Result<Arc<Model>, Refusal> {
        self.models.named(name)
    }

    /// The source of this id.
    pub(crate) async fn source(&self, id: &str) -> Result<ListedSource, Refusal> {
        let sources = self.sources().await?;
        sources
            .into_iter()
            .find(|source| source.id == id)
            .ok_or_else(|| Refusal::Unknown(format!("there is no source `{id}`")))
    }

    /// The sources that a page may choose.
    pub(crate) async fn sources(&self) -> Result<Vec<ListedSource>, Refusal> {
        let feeds = Arc::clone(&self.feeds);
        tokio::task::spawn_blocking(move || feeds.sources())
            .await
            .map_err(|error| Refusal::Broken(error.to_string()))
    }

    /// Finds the objects in image files, for which there is room in memory: what
    /// came of each, in their order. Refused if there is no place for all.
    pub(crate) async fn detect_in_all(
        &self,
        model: &Arc<Model>,
        images: Vec<Bytes>,
        room: Arc<Claim>,
        wanted: Wanted,
    ) -> Result<Vec<Result<Found, Refusal>>, Refusal> {
        let end = Instant::now() + self.limits.answer_time;
        let waiting = self.workers.submit(model, images, &room, wanted)?;
        let mut all = Vec::with_capacity(waiting.len());
        for answer in waiting {
            all.push(match timeout_at(end, answer).await {
                Ok(Ok(found)) => found,
                Ok(Err(_)) => Err(Refusal::ending()),
                Err(_) => Err(Refusal::Unavailable(format!(
                    "no answer within {} s",
                    self.limits.answer_time.as_secs_f32()
                ))),
            });
        }
        Ok(all)
    }

    /// What keeps frames.
    pub(crate) fn keeper(&self) -> Result<&Keeper, Refusal> {
        self.keeper.as_ref().ok_or_else(|| {
            Refusal::Unknown("this server was started without a folder to keep frames in".into())
        })
    }

    /// Hands an event on to the webhook, which there has to be.
    pub(crate) fn call_webhook(&self, event: RuleEvent) -> Result<(), Refusal> {
        let webhook = self.webhook()?;
        webhook.try_send(event).map_err(|error| match error {
            TrySendError::Full(_) => Refusal::Full,
            TrySendError::Disconnected(_) => {
                Refusal::Unavailable("the webhook is no longer called".into())
            }
        })
    }

    /// What takes the webhook's events.
    pub(crate) fn webhook(&self) -> Result<&SyncSender<RuleEvent>, Refusal> {
        self.webhook.as_ref().ok_or_else(|| {
            Refusal::Unknown("this server was started without a webhook to call".into())
        })
    }

    /// Refuses what comes after the server was told to end. What came before is
    /// answered, so this is asked when a request begins and not again.
    pub(crate) fn check_open(&self) -> Result<(), Refusal> {
        if self.is_draining() {
            return Err(Refusal::ending());
        }
        Ok(())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }
}

/// Waits until the server is told to end, or is gone.
pub(crate) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An error says that the server is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}
