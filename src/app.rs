//! Puts the pieces together and runs them, from the first log line to the last.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::future::OptionFuture;
use stan::Messages;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::broker;
use crate::cache::{Cache, CacheSync, ColdStart};
use crate::config::{self, Settings};
use crate::credentials;
use crate::health::{Health, Phase};
use crate::http::admin::Admin;
use crate::http::{Bound, Pages, Site};
use crate::ingest::{Consumer, LagWatch, Limits, LossTracker, MonitorState, Watch, Writer};
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use crate::rejects::{RejectRetention, RejectUsage};
use crate::schema;
use crate::shutdown::{Lifecycle, Reason};
use crate::signals::Signals;
use crate::store::Store;

/// Runs the service until one of `signals` asks it to stop.
///
/// # Errors
/// A port that cannot be bound, a wrong setting found out later, or a task that ended on its own.
pub async fn serve(settings: &Settings, signals: Signals) -> anyhow::Result<()> {
    let lifecycle = Lifecycle::new(signals);
    let (http, database) = (&settings.http, &settings.database);
    let site_port = Bound::bind(http.listen, http.workers)
        .with_context(|| format!("`http.listen` {} cannot be bound", http.listen))?;
    let admin_port = Bound::bind(settings.admin.listen, 1)
        .with_context(|| format!("`admin.listen` {} cannot be bound", settings.admin.listen))?;
    tracing::info!(
        http = %site_port.address(),
        admin = %admin_port.address(),
        "waybill {} is starting",
        env!("CARGO_PKG_VERSION")
    );

    let metrics = Metrics::new();
    let health = Health::default();
    let (session, losses) = (Watch::default(), LossTracker::default());
    let monitor = MonitorState::default();
    let cache = Cache::new(settings.cache.max_bytes.bytes() as u64);
    let url = database.url()?;
    let store = Store::new(url.expose(), database.max_connections, database.connect_timeout)
        .context("`database.url`")?;
    let lookup = Lookup::new(
        cache.clone(),
        store.clone(),
        metrics.clone(),
        settings.cache.miss_concurrency,
        settings.cache.miss_timeout,
    );
    let site = site(http, lookup, metrics.clone());
    let rejects = RejectUsage::new(&settings.rejects);
    let admin = Admin {
        health: health.clone(),
        metrics: metrics.clone(),
        store: store.clone(),
        cache: cache.clone(),
        session: session.clone(),
        rejects: rejects.clone(),
        monitor: monitor.clone(),
        losses: losses.clone(),
    };
    let retention = RejectRetention {
        store: store.clone(),
        usage: rejects,
        metrics: metrics.clone(),
        keep_for: settings.rejects.keep_for,
    };
    let cache_sync = CacheSync {
        cache: cache.clone(),
        store: store.clone(),
        health: health.clone(),
        metrics: metrics.clone(),
        warm_up: settings.cache.warm_up,
        follow_interval: settings.cache.follow_interval,
    };
    let cold_after = settings.cache.cold_start_after;
    let cold_start = ColdStart { store: store.clone(), health: health.clone(), after: cold_after };
    let consumer = Consumer {
        options: broker::options(&settings.broker, &settings.broker.client_id)?,
        group: broker::queue_group(&settings.broker, settings.ingest.queue_max_bytes.bytes()),
        writers: settings.ingest.writers,
        watch: session,
        writer: writer(settings, store.clone(), cache, metrics.clone()),
    };

    let (schema_is_there, schema) = watch::channel(false);
    let (serving, ingest) = (&lifecycle.serving, &lifecycle.ingest);
    serving.spawn("http", site_port.serve_site(site, http.clone(), serving.token()));
    serving.spawn("admin", admin_port.serve_admin(admin, http.clone(), serving.token()));
    serving.spawn("cache", when(schema.clone(), serving.token(), move |stop| cache_sync.run(stop)));
    serving.spawn("cold start", cold_start.run(serving.token()));
    if database.url_file.is_some() {
        let follow = credentials::follow(database.clone(), url, store.clone(), serving.token());
        serving.spawn("credentials", follow);
    }
    serving
        .spawn("rejects", when(schema.clone(), serving.token(), move |stop| retention.run(stop)));
    let lag = LagWatch::new(&settings.broker, store.clone(), monitor, losses, metrics);
    let first_look = OptionFuture::from(lag.as_ref().map(LagWatch::first_look));
    if let Some(lag) = lag {
        serving.spawn("lag", lag.run(serving.token()));
    }
    if settings.ingest.enabled {
        let consume = async move |stop: CancellationToken| {
            if stop.run_until_cancelled(first_look).await.is_some() {
                consumer.run(stop).await;
            }
        };
        ingest.spawn("ingest", when(schema, ingest.token(), consume));
    }

    let bring_up_schema = async {
        schema::until_usable(settings, &store, &health).await?;
        schema_is_there.send_replace(true);
        std::future::pending::<anyhow::Result<Infallible>>().await
    };
    let end = tokio::select! {
        reason = lifecycle.stop_requested() => Ok(reason),
        Err(error) = bring_up_schema => Err(error),
    };
    stop(&lifecycle, settings, &health, &store, end).await
}

/// Stops in the order that loses nothing: unready, then ingest, then those who serve.
async fn stop(
    lifecycle: &Lifecycle,
    settings: &Settings,
    health: &Health,
    store: &Store,
    end: anyhow::Result<Reason>,
) -> anyhow::Result<()> {
    match &end {
        Ok(Reason::Signal) => tracing::info!("Stopping, as asked"),
        Ok(reason) => tracing::error!(%reason, "Stopping"),
        Err(error) => tracing::error!(error = format!("{error:#}"), "Stopping"),
    }
    let stopped = lifecycle
        .stop_within(settings.shutdown.timeout, async {
            health.enter(Phase::Draining);
            if matches!(end, Ok(Reason::Signal)) {
                sleep(settings.shutdown.grace_before_drain).await;
            }
            lifecycle.ingest.stop_and_wait().await;
            lifecycle.serving.stop_and_wait().await;
            store.close().await;
        })
        .await;
    end?;
    stopped?;
    tracing::info!("Stopped");
    Ok(())
}

fn site(http: &config::Http, lookup: Lookup, metrics: Metrics) -> Site {
    Site {
        lookup,
        metrics,
        cache_control: http.cache_control.clone(),
        base_path: http.base_path.as_str().into(),
        pages: Pages::new(&http.base_path),
    }
}

/// Makes the writers' pattern once the session's messages are there.
fn writer(
    settings: &Settings,
    store: Store,
    cache: Cache,
    metrics: Metrics,
) -> impl FnOnce(Messages) -> Writer + Send + 'static {
    let channel = Arc::from(settings.broker.channel.as_str());
    let limits = Limits {
        batch_max_rows: settings.ingest.batch_max_rows,
        batch_max_bytes: settings.ingest.batch_max_bytes.bytes(),
        max_message_bytes: settings.ingest.max_message_bytes.bytes(),
    };
    move |messages| Writer { messages, channel, store, cache, metrics, limits }
}

/// Runs `task` when the schema is there, unless `stop` comes first; the task sees `stop` too.
async fn when<F: Future<Output = ()>>(
    mut schema: watch::Receiver<bool>,
    stop: CancellationToken,
    task: impl FnOnce(CancellationToken) -> F,
) {
    // An error means that the sender is gone, which it is only while stopping.
    let waiting = async { schema.wait_for(|there| *there).await.is_ok() };
    if stop.run_until_cancelled(waiting).await == Some(true) {
        task(stop).await;
    }
}
