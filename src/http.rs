//! Answers lookups: the page for people, the API for programs, and the admin port.
//!
//! A request passes `accept` (connections and their limits) and `hot_path` (orders in memory);
//! what is left goes to the routes below.

mod accept;
pub mod admin;
pub mod assets;
mod body;
mod conditional;
mod deadline;
mod hot_path;
pub mod page;
pub mod problem;
mod rejects;
mod routes;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread;

use http::HeaderValue;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use body::Body;
pub use page::Pages;

use crate::config;
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use accept::Shared;
use deadline::Limits;
use hot_path::HotPath;

/// What the handlers of the site share. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Site {
    /// Answers from memory or asks Postgres.
    pub lookup: Lookup,
    /// Counts answers by route and status.
    pub metrics: Metrics,
    /// The value of `Cache-Control` in answers with an order (`http.cache_control`).
    pub cache_control: HeaderValue,
    /// What the path of every request may begin with: empty, or a path without a slash at its
    /// end.
    pub base_path: Arc<str>,
    /// Renders the pages, with links below the base path.
    pub pages: Pages,
}

/// A port that is bound, with nobody answering yet.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
}

impl Bound {
    /// Binds one listener for each worker.
    ///
    /// # Errors
    /// An address that is in use or not ours.
    pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Self> {
        let listeners = accept::bind(address, workers)?;
        let address = match listeners.first() {
            Some(listener) => listener.local_addr()?,
            None => address,
        };
        Ok(Self { listeners, address })
    }

    /// Where it listens, with the port the system chose if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the page and the API, a thread and a runtime for each listener, so that work for
    /// Postgres and the broker never stands in front of a hit. Ends when `stop` is cancelled
    /// and the connections are done, or when a thread ends early.
    pub async fn serve_site(self, site: Site, settings: config::Http, stop: CancellationToken) {
        let shared = shared(&settings, &site.metrics);
        let hot_path = HotPath::new(
            site.lookup.clone(),
            site.metrics.clone(),
            site.cache_control.clone(),
            Arc::clone(&site.base_path),
            routes::router(site),
        );
        let mut ends = Vec::new();
        for (index, listener) in self.listeners.into_iter().enumerate() {
            let (hot_path, shared, stop) = (hot_path.clone(), shared.clone(), stop.clone());
            let (ended, end) = oneshot::channel::<()>();
            let started = thread::Builder::new().name(format!("http-{index}")).spawn(move || {
                // Dropped with the thread, also when it panics.
                let _ended = ended;
                serve_on_this_thread(listener, hot_path, shared, stop);
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

    /// Serves the admin port on the current runtime until `stop`.
    pub async fn serve_admin(
        mut self,
        admin: admin::Admin,
        settings: config::Http,
        stop: CancellationToken,
    ) {
        let shared = shared(&settings, &admin.metrics);
        let Some(listener) = self.listeners.pop() else { return };
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                accept::serve(listener, admin::Routed::new(admin), shared, stop).await;
            }
            Err(error) => tracing::error!(%error, "The admin port cannot be served"),
        }
    }
}

fn shared(settings: &config::Http, metrics: &Metrics) -> Shared {
    Shared {
        limits: Limits { head: settings.header_timeout, idle: settings.idle_timeout },
        max_connections: settings.max_connections,
        connections: Arc::new(AtomicUsize::new(0)),
        metrics: metrics.clone(),
    }
}

fn serve_on_this_thread(
    listener: TcpListener,
    hot_path: HotPath,
    shared: Shared,
    stop: CancellationToken,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            accept::serve(listener, hot_path, shared, stop).await;
            Ok(())
        })
    });
    if let Err(error) = served {
        tracing::error!(%error, "An HTTP thread cannot serve");
    }
}
