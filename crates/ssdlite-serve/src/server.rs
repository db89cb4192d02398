//! Listening, and ending in good order.
//!
//! When the server is told to end, readiness turns false, nothing new is
//! begun, what is in flight is answered, on WebSockets too, which are then
//! closed, and so are the sources. What is not done by the time limit is cut
//! off, and so is everything when the server is told a second time. New
//! connections are taken until then, so that health checks are answered.

use std::future::{Future, pending};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout_at;

use crate::access::Gate;
use crate::connections::Connections;
use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::feed::Feeds;
use crate::keep::Keeper;
use crate::metrics::Metrics;
use crate::models::ServedModels;
use crate::options::{Log, OnHangup, ServerOptions};
use crate::routes::router;
use crate::share::Shared;
use crate::state::AppState;
use crate::workers::Workers;

/// Frames that are written as training data at once. More people than that
/// rarely press the button together, and each takes a whole image in memory.
const KEPT_AT_ONCE: usize = 2;

/// Requests that look at kept frames. Each may read a whole image file.
const LOOKED_AT_AT_ONCE: usize = 4;

/// Requests of Label Studio. Each may hold many images, which are looked at one by
/// one.
const PREDICTED_AT_ONCE: usize = 2;

/// A server that is bound to its address and not running yet.
pub struct Server {
    listener: StdListener,
    address: SocketAddr,
    state: Arc<AppState>,
    connections: usize,
    drain: Duration,
    on_hangup: Option<OnHangup>,
}

impl Server {
    /// Binds the address and starts the workers. `log` is given lines for
    /// people, such as that a source was lost.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for options that don't fit together,
    /// [`Error::Keep`] for a folder in which no frames can be kept,
    /// [`Error::Listen`] for an address that can't be had, [`Error::Threads`]
    /// where the system refuses them.
    pub fn bind(options: ServerOptions, log: Log) -> Result<Self> {
        options.check()?;
        let address = options.address;
        let listen = |source| Error::Listen { address, source };
        let listener = StdListener::bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        // It makes the folder, which is nobody's where there is no server.
        let keeper = options.keep.map(Keeper::new).transpose()?;
        let metrics = Arc::new(Metrics::new());
        let limits = options.limits;
        let decoder = Arc::new(Decoder::new(limits.image));
        let state = AppState {
            gate: Gate::new(options.access, address),
            models: ServedModels::new(options.models),
            workers: Workers::start(options.workers, limits.queue, &decoder, &metrics)?,
            decoder,
            feeds: Arc::new(Feeds::new(
                options.source,
                options.live,
                Arc::clone(&metrics),
                Arc::clone(&log),
            )),
            keeper,
            keeping: Arc::new(Semaphore::new(KEPT_AT_ONCE)),
            looking: Arc::new(Semaphore::new(LOOKED_AT_AT_ONCE)),
            webhook: options.webhook,
            fetch: options.fetch,
            predicting: Arc::new(Semaphore::new(PREDICTED_AT_ONCE)),
            log,
            metrics,
            limits,
            memory: Shared::new(limits.memory_bytes),
            draining: AtomicBool::new(false),
            stop: watch::Sender::new(false),
        };
        Ok(Self {
            listener,
            address,
            state: Arc::new(state),
            connections: limits.connections,
            drain: options.drain,
            on_hangup: options.on_hangup,
        })
    }

    /// Its models, to put others in their places.
    pub fn models(&self) -> ServedModels {
        self.state.models.clone()
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's address for a browser of this machine, with the token if
    /// there is one.
    pub fn page_address(&self) -> String {
        self.link(self.page_ip(), "/")
    }

    /// The address of [`Self::page_address`].
    pub fn page_ip(&self) -> IpAddr {
        // A server on every address has none of its own.
        match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        }
    }

    /// The link to one of the server's pages, `/`, `/label` or `/docs`, under an
    /// address of this machine, with the token if there is one.
    pub fn link(&self, ip: IpAddr, page: &str) -> String {
        let address = SocketAddr::new(ip, self.address.port());
        match self.state.gate.token() {
            Some(token) => format!("http://{address}{page}?token={token}"),
            None => format!("http://{address}{page}"),
        }
    }

    /// Serves until the process is told to end by SIGINT or SIGTERM, or by
    /// Ctrl-C on Windows. A second signal cuts off what is in flight. SIGHUP is one
    /// of them as [`ServerOptions::on_hangup`] says.
    ///
    /// # Errors
    /// [`Error::System`] where threads, timers or signals are refused.
    pub fn run(mut self) -> Result<()> {
        let Some(mut on_hangup) = self.on_hangup.take() else {
            return self.block_on(end_signal);
        };
        self.block_on(async move || {
            tokio::select! {
                ended = end_signal() => ended,
                ended = ending_hangup(&mut on_hangup) => ended,
            }
        })
    }

    /// Serves until `stop` is done.
    ///
    /// # Errors
    /// [`Error::System`] where threads, timers or signals are refused.
    pub fn run_until<F>(self, stop: F) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut stop = Some(stop);
        self.block_on(async move || {
            match stop.take() {
                Some(stop) => stop.await,
                None => pending().await,
            }
            Ok(())
        })
    }

    /// Serves until `told` is done for the first time, and ends at once when it
    /// is done for the second.
    fn block_on(self, told: impl AsyncFnMut() -> io::Result<()>) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(NETWORK_THREADS)
            .enable_all()
            .build()
            .map_err(Error::System)?;
        let feeds = Arc::clone(&self.state.feeds);
        let served = runtime.block_on(self.serve(told));
        if let Ok(deadline) = &served {
            feeds.wait(deadline.saturating_duration_since(Instant::now()));
        }
        // Nothing is in flight any more, and what hangs has had its time.
        runtime.shutdown_background();
        served.map(drop)
    }

    /// Gives the time at which everything has to be over.
    async fn serve(self, mut told: impl AsyncFnMut() -> io::Result<()>) -> Result<Instant> {
        self.listener.set_nonblocking(true).map_err(Error::System)?;
        let listener = TcpListener::from_std(self.listener).map_err(Error::System)?;
        let app = router(Arc::clone(&self.state));
        let mut connections = Connections::new(app, Arc::clone(&self.state), self.connections);
        connections.serve(&listener, told()).await?;

        let deadline = Instant::now() + self.drain;
        self.state.draining.store(true, Relaxed);
        self.state.feeds.stop();
        self.state.stop.send_replace(true);
        // Who is not done by then is cut off when the tasks are dropped.
        tokio::select! {
            _ = timeout_at(deadline.into(), connections.drain(&listener)) => Ok(deadline),
            _ = told() => Ok(Instant::now()),
        }
    }
}

/// Threads that read and write; images have threads of their own.
const NETWORK_THREADS: usize = 2;

#[cfg(unix)]
async fn end_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

/// Waits for a SIGHUP at which the server is to end.
#[cfg(unix)]
async fn ending_hangup(on_hangup: &mut OnHangup) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        hangup.recv().await;
        if on_hangup().is_break() {
            return Ok(());
        }
    }
}

#[cfg(not(unix))]
async fn ending_hangup(_: &mut OnHangup) -> io::Result<()> {
    pending().await
}

#[cfg(not(unix))]
async fn end_signal() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
