//! How a server is run.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use ssdlite_image::Limits as ImageLimits;
use ssdlite_infer::{MOST_THREADS, all_cores};
use ssdlite_media::{LiveInput, LiveOptions};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::rule_event::RuleEvent;

/// The port unless another is asked for.
pub const DEFAULT_PORT: u16 = 8765;

/// The bytes of a body that have to come in a second once its time is over: a
/// photo of 25 MB needs 20 Mbit/s to come within 15 s, and a phone may have less.
pub const LEAST_BODY_RATE: u32 = 256 << 10;

/// Brings image files that tasks of Label Studio name by their address.
pub trait FetchImages: Send + Sync {
    /// The bytes of the file at an address, or at a path of the one origin that
    /// files are fetched from; of at most `most` bytes. It may take a while, and is to
    /// end in any case.
    ///
    /// # Errors
    /// A message for the client, without secrets.
    fn fetch(&self, address: &str, most: usize) -> std::result::Result<Vec<u8>, String>;
}

/// Asked at each SIGHUP whether the server goes on; [`ControlFlow::Break`] ends it as
/// SIGTERM does. It is to come back at once.
pub type OnHangup = Box<dyn FnMut() -> ControlFlow<()> + Send>;

/// Takes lines for people.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// Who may use a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Programs and people of this machine; the address must be a loopback.
    LocalOnly,
    /// Whoever has this token.
    Token(String),
    /// Everybody who reaches the address by an IP address, as `localhost` or by
    /// this machine's name; on a loopback address the same as `LocalOnly`.
    Open,
}

impl Access {
    /// Whoever has this token.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a token that is too short, or that an address
    /// can't hold.
    pub fn from_token(token: &str) -> Result<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if token.len() >= MIN_TOKEN_BYTES && token.bytes().all(fits) {
            return Ok(Self::Token(token.to_owned()));
        }
        Err(Error::InvalidRequest(format!(
            "expected a token of at least {MIN_TOKEN_BYTES} letters, digits or `-._~`"
        )))
    }
}

/// What a server refuses to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a request's body.
    pub body_bytes: usize,
    /// The most bytes of bodies, and of frames that pages send, that are held
    /// at once. Of those that still come the slowest gives way when there are
    /// no more.
    pub memory_bytes: usize,
    /// The largest image.
    pub image: ImageLimits,
    /// The most images that wait for a worker.
    pub queue: usize,
    /// The most connections at once, WebSockets among them. One on which
    /// nothing happens gives way to a new one.
    pub connections: usize,
    /// How long a request's body may take to arrive, and a second more for each
    /// [`LEAST_BODY_RATE`] bytes of it that came.
    pub body_time: Duration,
    /// How long an image may take from its arrival to its answer.
    pub answer_time: Duration,
    /// How long a page may say nothing at all, not even to a ping.
    pub silence: Duration,
}

impl Default for Limits {
    /// 96 MiB a body and 192 MiB for all, so that two of the longest fit; images
    /// as large as everywhere else; 128 images waiting, 512 connections; 15 s to
    /// send a body, 30 s to an answer, 30 s of silence.
    fn default() -> Self {
        Self {
            body_bytes: 96 << 20,
            memory_bytes: 192 << 20,
            image: ImageLimits::default(),
            queue: 128,
            // Many systems let a process have 1024 files open, and it needs others.
            connections: 512,
            body_time: Duration::from_secs(15),
            answer_time: Duration::from_secs(30),
            silence: Duration::from_secs(30),
        }
    }
}

/// How a server is run.
pub struct ServerOptions {
    /// Where it listens; port 0 picks a free one.
    pub address: SocketAddr,
    /// Who may use it.
    pub access: Access,
    /// The detectors, at least one, each under a name of its own; the first
    /// answers where a request names none.
    pub models: Vec<Model>,
    /// A source for the page besides this machine's cameras.
    pub source: Option<LiveInput>,
    /// How patient it is with sources.
    pub live: LiveOptions,
    /// The folder in which frames are kept as VOC data; without one the page
    /// can't keep frames.
    pub keep: Option<PathBuf>,
    /// Takes the rules that fire in pages, as a webhook's caller; without one
    /// pages can have none called. When the channel is full they are told to try
    /// again.
    pub webhook: Option<SyncSender<RuleEvent>>,
    /// Fetches the images of Label Studio's tasks. A server fetches whatever clients
    /// name by this alone, so it has to know from where it may; without it nothing is
    /// fetched.
    pub fetch: Option<Arc<dyn FetchImages>>,
    /// What it refuses to take.
    pub limits: Limits,
    /// Threads that decode and detect for requests, 256 at most.
    pub workers: NonZeroUsize,
    /// How long work in flight may take to end after the server is told to.
    pub drain: Duration,
    /// What is done at SIGHUP, which ends the process without it.
    pub on_hangup: Option<OnHangup>,
}

impl ServerOptions {
    /// A server of these models for this machine alone, on
    /// [`DEFAULT_PORT`], without a source, with as many workers as the machine
    /// runs threads and 10 s to end.
    pub fn new(models: Vec<Model>) -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT),
            access: Access::LocalOnly,
            models,
            source: None,
            live: LiveOptions::default(),
            keep: None,
            webhook: None,
            fetch: None,
            limits: Limits::default(),
            workers: all_cores(),
            drain: Duration::from_secs(10),
            on_hangup: None,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::InvalidRequest(message));
        if self.access == Access::LocalOnly && !self.address.ip().is_loopback() {
            return refuse(format!(
                "{} lets other machines in: give a token that they must show, or say that no \
                 token is wanted",
                self.address
            ));
        }
        if let Access::Token(token) = &self.access {
            Access::from_token(token)?;
        }
        if self.workers > MOST_THREADS {
            return refuse(format!(
                "expected at most {MOST_THREADS} threads, found {}",
                self.workers
            ));
        }
        if self.models.is_empty() {
            return refuse("expected at least one model".into());
        }
        for (index, model) in self.models.iter().enumerate() {
            if self.models[..index]
                .iter()
                .any(|other| other.name == model.name)
            {
                return refuse(format!(
                    "two models are called `{}`; give one of them another name",
                    model.name
                ));
            }
        }
        Ok(())
    }
}

/// Shorter tokens are guessed.
const MIN_TOKEN_BYTES: usize = 8;
