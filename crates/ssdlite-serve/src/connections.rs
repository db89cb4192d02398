//! The connections of a server that runs, and how they end.
//!
//! When as many are open as may be, or as the system lets be, one on which
//! nothing happens gives way to a new one; see the module `share`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::share::{Claim, Shared};
use crate::state::{AppState, told_to_stop};

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

/// A place among the connections that are allowed. Its WebSocket holds it on
/// when a connection ends in one.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) claim: Arc<Claim>,
    /// The bytes that were read from the connection.
    read: Arc<AtomicU64>,
}

impl Place {
    /// The bytes that were read from the connection so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read.load(Relaxed)
    }
}

/// The connections of a server that runs.
pub(crate) struct Connections {
    app: Router,
    state: Arc<AppState>,
    places: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Connections {
    /// None yet; as many as `most` at once may come, and `app` answers them.
    pub(crate) fn new(app: Router, state: Arc<AppState>, most: usize) -> Self {
        Self {
            app,
            state,
            places: Shared::new(most),
            tasks: JoinSet::new(),
        }
    }

    /// Takes connections until `told` is done.
    pub(crate) async fn serve(
        &mut self,
        listener: &TcpListener,
        told: impl Future<Output = io::Result<()>>,
    ) -> Result<()> {
        tokio::pin!(told);
        loop {
            tokio::select! {
                told = &mut told => return told.map_err(Error::System),
                accepted = listener.accept() => self.take(accepted).await,
                Some(_) = self.tasks.join_next() => {}
            }
        }
    }

    /// Waits until all connections and WebSockets have ended.
    pub(crate) async fn drain(&mut self, listener: &TcpListener) {
        let state = Arc::clone(&self.state);
        loop {
            tokio::select! {
                () = state.stop.closed() => return,
                accepted = listener.accept() => self.take(accepted).await,
                Some(_) = self.tasks.join_next() => {}
            }
        }
    }

    async fn take(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_a_client(&error) => return,
            Err(_) => {
                self.places.make_way();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                return;
            }
        };
        let Some(claim) = self.places.claim(address.into(), 1) else {
            // The stream is closed: there is no room to say why.
            return;
        };
        let place = Place {
            claim: Arc::new(claim),
            read: Arc::default(),
        };
        // Small answers are not to wait for more; without it they only come later.
        let _ = stream.set_nodelay(true);
        let app = self.app.clone();
        let stop = self.state.stop.subscribe();
        self.tasks.spawn(async move {
            tokio::select! {
                () = connection(stream, app, &place, stop) => {}
                () = place.claim.lost() => {}
            }
        });
    }
}

/// Whether a connection that was refused went away before it was taken.
fn is_of_a_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    [ConnectionAborted, ConnectionRefused, ConnectionReset].contains(&error.kind())
}

async fn connection(
    stream: TcpStream,
    app: Router,
    place: &Place,
    mut stop: watch::Receiver<bool>,
) {
    let stream = CountedStream {
        stream,
        read: Arc::clone(&place.read),
    };
    let app = TowerToHyperService::new(app);
    let app = service_fn(move |mut request: Request<Incoming>| {
        let place = place.clone();
        if request.body().is_end_stream() {
            place.claim.work();
        } else {
            place.claim.used();
        }
        request.extensions_mut().insert(place.clone());
        let answer = app.call(request);
        async move {
            let answer = answer.await;
            place.claim.used();
            answer
        }
    });
    let ending = *stop.borrow_and_update();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(if ending { LAST_HEAD_TIME } else { HEAD_TIME })
        .max_buf_size(MAX_HEAD_BYTES)
        // Who comes while the server ends gets one answer.
        .keep_alive(!ending)
        .serve_connection(TokioIo::new(stream), app)
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

/// A connection whose bytes are counted as they are read.
struct CountedStream {
    stream: TcpStream,
    read: Arc<AtomicU64>,
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len() - before;
        self.read.fetch_add(read as u64, Relaxed);
        polled
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
