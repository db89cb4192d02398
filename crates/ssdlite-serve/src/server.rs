//! Listening, and ending in good order.
//!
//! When the server is told to end, readiness turns false, nothing new is
//! begun, requests in flight are answered, and WebSockets are closed; what is
//! not done by the time limit is cut off. New connections are taken until
//! then, so that health checks are answered.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::feed::Feeds;
use crate::keep::Keeper;
use crate::metrics::Metrics;
use crate::options::{Access, Log, ServerOptions};
use crate::routes::router;
use crate::state::{AppState, told_to_stop};
use crate::workers::Workers;

/// How long a request's head may take to arrive, and a connection be idle.
const HEAD_TIME: Duration = Duration::from_secs(30);

/// The same for who comes while the server ends: long enough for a health check
/// of a machine nearby.
const LAST_HEAD_TIME: Duration = Duration::from_secs(1);

/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// The pause after the system refused a connection, for example because too
/// many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that is bound to its address and not running yet.
pub struct Server {
    listener: StdListener,
    address: SocketAddr,
    state: Arc<AppState>,
    connections: usize,
    drain: Duration,
}

impl Server {
    /// Binds the address and starts the workers. `log` is given lines for
    /// people, such as that a source was lost.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for options that don't fit together,
    /// [`Error::Listen`] for an address that can't be had.
    pub fn bind(options: ServerOptions, log: Log) -> Result<Self> {
        options.check()?;
        let address = options.address;
        let listen = |source| Error::Listen { address, source };
        let listener = StdListener::bind(address).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let metrics = Arc::new(Metrics::new());
        let limits = options.limits;
        let state = AppState {
            access: options.access,
            models: options.models.into_iter().map(Arc::new).collect(),
            workers: Workers::start(options.workers, limits.queue, limits.image, &metrics),
            feeds: Arc::new(Feeds::new(
                options.source,
                options.live,
                Arc::clone(&metrics),
                log,
            )),
            keeper: options.keep.map(Keeper::new),
            metrics,
            limits,
            draining: AtomicBool::new(false),
            stop: watch::Sender::new(false),
        };
        Ok(Self {
            listener,
            address,
            state: Arc::new(state),
            connections: limits.connections,
            drain: options.drain,
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's address for a browser of this machine, with the token if
    /// there is one.
    pub fn page_address(&self) -> String {
        let mut address = self.address;
        // A server on every address has none of its own.
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        match &self.state.access {
            Access::Token(token) => format!("http://{address}/?token={token}"),
            _ => format!("http://{address}/"),
        }
    }

    /// Serves until the process is told to end by SIGINT or SIGTERM, or by
    /// Ctrl-C on Windows.
    ///
    /// # Errors
    /// [`Error::System`] where threads, timers or signals are refused.
    pub fn run(self) -> Result<()> {
        self.block_on(|| async { end_signal().await })
    }

    /// Serves until `stop` is done.
    ///
    /// # Errors
    /// [`Error::System`] where threads, timers or signals are refused.
    pub fn run_until<F>(self, stop: F) -> Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.block_on(|| async {
            stop.await;
            Ok(())
        })
    }

    fn block_on<F, W>(self, stop: F) -> Result<()>
    where
        F: FnOnce() -> W,
        W: Future<Output = std::io::Result<()>>,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(NETWORK_THREADS)
            .enable_all()
            .build()
            .map_err(Error::System)?;
        let feeds = Arc::clone(&self.state.feeds);
        let served = runtime.block_on(async move { self.serve(stop()).await });
        feeds.stop();
        // Nothing is in flight any more, and what hangs has had its time.
        runtime.shutdown_background();
        served
    }

    async fn serve(self, stop: impl Future<Output = std::io::Result<()>>) -> Result<()> {
        self.listener.set_nonblocking(true).map_err(Error::System)?;
        let listener = TcpListener::from_std(self.listener).map_err(Error::System)?;
        let mut connections = Connections {
            app: router(Arc::clone(&self.state)),
            state: Arc::clone(&self.state),
            free: Arc::new(Semaphore::new(self.connections)),
            tasks: JoinSet::new(),
        };
        tokio::pin!(stop);
        let stopped = loop {
            tokio::select! {
                stopped = &mut stop => break stopped,
                accepted = listener.accept() => connections.take(accepted).await,
                Some(_) = connections.tasks.join_next() => {}
            }
        };
        self.state.draining.store(true, Relaxed);
        self.state.stop.send_replace(true);
        let drained = tokio::time::timeout(self.drain, async {
            while !connections.tasks.is_empty() {
                tokio::select! {
                    accepted = listener.accept() => connections.take(accepted).await,
                    Some(_) = connections.tasks.join_next() => {}
                }
            }
        });
        // Who is not done by now is cut off when the tasks are dropped.
        let _ = drained.await;
        stopped.map_err(Error::System)
    }
}

/// Threads that read and write; pictures have threads of their own.
const NETWORK_THREADS: usize = 2;

/// The connections of a server that runs.
struct Connections {
    app: Router,
    state: Arc<AppState>,
    free: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Connections {
    async fn take(&mut self, accepted: std::io::Result<(TcpStream, SocketAddr)>) {
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            return;
        };
        let Ok(place) = Arc::clone(&self.free).try_acquire_owned() else {
            // The stream is closed: there is no room to say why.
            return;
        };
        // Small answers are not to wait for more; without it they only come later.
        let _ = stream.set_nodelay(true);
        let app = self.app.clone();
        let stop = self.state.stop.subscribe();
        self.tasks.spawn(async move {
            connection(stream, app, stop).await;
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, app: Router, mut stop: watch::Receiver<bool>) {
    let ending = *stop.borrow_and_update();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(if ending { LAST_HEAD_TIME } else { HEAD_TIME })
        .max_buf_size(MAX_HEAD_BYTES)
        // Who comes while the server ends gets one answer.
        .keep_alive(!ending)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades();
    tokio::pin!(connection);
    if !ending {
        tokio::select! {
            // How a client goes away is its own affair.
            _ = connection.as_mut() => return,
            () = told_to_stop(&mut stop) => connection.as_mut().graceful_shutdown(),
        }
    }
    let _ = connection.await;
}

#[cfg(unix)]
async fn end_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

#[cfg(not(unix))]
async fn end_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
