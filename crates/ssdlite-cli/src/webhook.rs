//! The webhook of `live`: what rules tell is posted to one address.
//!
//! One thread posts, from a queue of bounded length. Addresses of webhooks hold
//! secrets in any of their parts, so only the host is shown.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ssdlite_serve::RuleEvent;
use ureq::http::{StatusCode, Uri};

use crate::outcome::UsageError;
use crate::{console, http};

/// Events that wait to be posted.
const QUEUE: usize = 64;

/// How long a post may take from its connection to its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long it is waited before a post that failed is tried once more.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Failures are told as often as this.
const TELL_PAUSE: Duration = Duration::from_secs(60);

/// How long the program's end waits for events that are still to be posted.
const FINISH_TIME: Duration = Duration::from_secs(3);

/// Where events are posted to.
#[derive(Debug)]
pub(crate) struct Webhook {
    address: Uri,
    /// The address as it may be shown.
    shown: String,
}

/// The thread that posts.
pub(crate) struct Caller {
    /// Closed when everything is posted.
    done: Receiver<()>,
}

/// Why an event was not taken.
struct Failure {
    reason: String,
    /// Whether it may be taken another time.
    is_passing: bool,
}

impl Webhook {
    /// Takes an address, whose messages don't show it.
    pub(crate) fn from_address(address: &str) -> Result<Self> {
        let refuse = |found: &str| {
            UsageError(format!(
                "--webhook: expected an address such as https://example.org/path, found {found}"
            ))
        };
        let address: Uri = address.parse().map_err(|_| refuse("no address"))?;
        let host = address.host().unwrap_or_default();
        if host.is_empty() {
            return Err(refuse("no host").into());
        }
        let scheme = address.scheme_str().unwrap_or_default();
        match scheme {
            "http" => {}
            "https" => http::check_tls()?,
            _ => return Err(refuse("neither http:// nor https://").into()),
        }
        let port = address.port().map(|port| format!(":{port}"));
        let ends_in_host = address
            .authority()
            .is_some_and(|authority| authority.as_str().ends_with(host));
        // A port that is no number of 16 bits is passed over in silence.
        if port.is_none() && !ends_in_host {
            return Err(refuse("a port that is none").into());
        }
        let shown = format!("{scheme}://{host}{}", port.unwrap_or_default());
        Ok(Self { address, shown })
    }

    /// Starts to post what comes from the channel.
    pub(crate) fn start(self) -> Result<(SyncSender<RuleEvent>, Caller)> {
        let (events, received) = sync_channel(QUEUE);
        let (is_done, done) = sync_channel(0);
        thread::Builder::new()
            .spawn(move || {
                self.post_all(&received);
                drop(is_done);
            })
            .context("no thread for the webhook")?;
        Ok((events, Caller { done }))
    }

    fn post_all(&self, events: &Receiver<RuleEvent>) {
        let agent = http::config()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        let mut losses = Losses::default();
        for event in events {
            if let Err(Failure { reason, .. }) = self.post_twice(&agent, &event) {
                losses.add(reason);
                losses.tell_now_and_then(&self.shown);
            }
        }
        losses.tell(&self.shown);
    }

    /// Posts an event, and once more if the first time fails for a reason that
    /// may pass.
    fn post_twice(&self, agent: &ureq::Agent, event: &RuleEvent) -> Result<(), Failure> {
        match self.post(agent, event) {
            Err(failure) if failure.is_passing => {
                thread::sleep(RETRY_PAUSE);
                self.post(agent, event)
            }
            answered => answered,
        }
    }

    fn post(&self, agent: &ureq::Agent, event: &RuleEvent) -> Result<(), Failure> {
        let body = serde_json::to_vec(event).map_err(|error| Failure {
            reason: error.to_string(),
            is_passing: false,
        })?;
        let request = agent
            .post(&self.address)
            .header("content-type", "application/json")
            .header("user-agent", "ssdlite");
        let answer = request.send(&body).map_err(|error| Failure {
            reason: words_of(&error),
            is_passing: true,
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let mut reason = format!("it answered {}", status.as_u16());
        if status.is_redirection() {
            reason.push_str(", and no redirect is followed");
        }
        Err(Failure {
            reason,
            is_passing: status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
        })
    }
}

/// An error's words; those of some would hold the address.
fn words_of(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "its address can't be used".into(),
        other => other.to_string(),
    }
}

/// Events that were not taken and of which nobody was told.
#[derive(Default)]
struct Losses {
    count: u64,
    reason: String,
    told: Option<Instant>,
}

impl Losses {
    fn add(&mut self, reason: String) {
        self.count += 1;
        self.reason = reason;
    }

    fn tell_now_and_then(&mut self, address: &str) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_PAUSE) {
            self.tell(address);
        }
    }

    fn tell(&mut self, address: &str) {
        if self.count == 0 {
            return;
        }
        let lost = console::counted(self.count, "event");
        let reason = &self.reason;
        console::warning(&format!(
            "the webhook at {address} did not take {lost}: {reason}"
        ));
        self.count = 0;
        self.told = Some(Instant::now());
    }
}

impl Caller {
    /// Waits until all events are posted, of which no more can come, but not for
    /// long.
    pub(crate) fn finish(&self) {
        // Nothing is ever sent: the thread has ended, or the time is over.
        if self.done.recv_timeout(FINISH_TIME) == Err(RecvTimeoutError::Timeout) {
            console::warning("the last events were not posted to the webhook in time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_by_their_host_alone() {
        for (address, shown) in [
            ("https://hooks.example/T0/s3cret", "https://hooks.example"),
            ("http://[::1]:80/?key=s3cret", "http://[::1]:80"),
            ("http://me:s3cret@host:81/", "http://host:81"),
            ("http://me:s3@cret@host/s3cret", "http://host"),
        ] {
            assert_eq!(Webhook::from_address(address).unwrap().shown, shown);
        }
    }

    #[test]
    fn what_is_no_address_of_a_webhook_is_refused_without_showing_it() {
        for address in [
            "",
            "s3cret",
            "/s3cret",
            "ftp://host/s3cret",
            "http:///s3cret",
            "http://host:99999/s3cret",
            "http://host/a s3cret",
        ] {
            let error = Webhook::from_address(address).unwrap_err();
            assert!(error.is::<UsageError>(), "{address}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
