//! A port: bound first, served later, with limits on connections and on time.

mod accept;
mod deadline;
mod handshake;
mod refuse;
mod request_body;
mod span;
mod timed_io;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use accept::Respond;
pub use request_body::RequestBody;
pub use span::{ServerSpan, matched};

use crate::config;
use crate::metrics::Metrics;
use crate::tls::ServerTls;
use accept::Shared;
use deadline::Limits;

/// A port that is bound, with nobody answering yet.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    shared: Shared,
}

impl Bound {
    /// Binds one listener for each worker; the connections of all share the limits.
    ///
    /// # Errors
    /// An address that is in use or not ours.
    pub fn bind(
        address: SocketAddr,
        workers: usize,
        settings: &config::Http,
        metrics: &Metrics,
    ) -> io::Result<Self> {
        let listeners = accept::bind(address, workers)?;
        let address = match listeners.first() {
            Some(listener) => listener.local_addr()?,
            None => address,
        };
        let shared = Shared {
            limits: Limits { head: settings.header_timeout, idle: settings.idle_timeout },
            max_connections: settings.max_connections,
            connections: Arc::new(AtomicUsize::new(0)),
            metrics: metrics.clone(),
            tls: None,
        };
        Ok(Self { listeners, address, shared })
    }

    /// The same, speaking HTTPS if there is a certificate.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<ServerTls>) -> Self {
        self.shared.tls = tls;
        self
    }

    /// Where it listens, with the port the system chose if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves on a thread and a runtime for each listener, so that work for Postgres and the
    /// broker never stands in front of a hit. Ends when `stop` is cancelled and the connections
    /// are done, or when a thread ends early.
    pub async fn serve_on_threads(self, respond: impl Respond, stop: CancellationToken) {
        let mut ends = Vec::new();
        for (index, listener) in self.listeners.into_iter().enumerate() {
            let (respond, shared, stop) = (respond.clone(), self.shared.clone(), stop.clone());
            let (ended, end) = oneshot::channel::<()>();
            let started = thread::Builder::new().name(format!("http-{index}")).spawn(move || {
                // Dropped with the thread, also when it panics.
                let _ended = ended;
                serve_on_this_thread(listener, respond, shared, stop);
            });
            match started {
                Ok(_) => ends.push(end),
                Err(error) => tracing::error!(%error, "An HTTP thread could not be started"),
            }
        }
        if stop.is_cancelled() || ends.is_empty() {
            return;
        }
        // While serving, the first end is one too many; while stopping, all have to end.
        let mut ends = futures_util::future::select_all(ends).await.2;
        if stop.is_cancelled() {
            for end in &mut ends {
                let _ = end.await;
            }
        }
    }

    /// Serves the one listener on the current runtime until `stop`.
    pub async fn serve(mut self, respond: impl Respond, stop: CancellationToken) {
        let Some(listener) = self.listeners.pop() else { return };
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => accept::serve(listener, respond, self.shared, stop).await,
            Err(error) => tracing::error!(%error, "The port cannot be served"),
        }
    }
}

fn serve_on_this_thread(
    listener: TcpListener,
    respond: impl Respond,
    shared: Shared,
    stop: CancellationToken,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            shared.metrics.runtime.watch_http();
            accept::serve(listener, respond, shared, stop).await;
            Ok(())
        })
    });
    if let Err(error) = served {
        tracing::error!(%error, "An HTTP thread cannot serve");
    }
}
