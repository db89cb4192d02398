//! The connections of a server that runs, and how they end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
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
    _permit: Arc<OwnedSemaphorePermit>,
}

/// The connections of a server that runs.
pub(crate) struct Connections {
    app: Router,
    state: Arc<AppState>,
    free: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

impl Connections {
    /// None yet; as many as `most` at once may come, and `app` answers them.
    pub(crate) fn new(app: Router, state: Arc<AppState>, most: usize) -> Self {
        Self {
            app,
            state,
            free: Arc::new(Semaphore::new(most)),
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
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            return;
        };
        let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() else {
            // The stream is closed: there is no room to say why.
            return;
        };
        let place = Place {
            _permit: Arc::new(permit),
        };
        // Small answers are not to wait for more; without it they only come later.
        let _ = stream.set_nodelay(true);
        let app = self.app.clone();
        let stop = self.state.stop.subscribe();
        self.tasks.spawn(connection(stream, app, place, stop));
    }
}

async fn connection(stream: TcpStream, app: Router, place: Place, mut stop: watch::Receiver<bool>) {
    let app = TowerToHyperService::new(app);
    let app = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(place.clone());
        app.call(request)
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
