//! Puts the parts together and runs them, from the first log line to the last.

mod parts;

use std::convert::Infallible;

use anyhow::Context as _;
use futures_util::future::{self, BoxFuture, FutureExt as _, Shared};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::credentials;
use crate::health::Phase;
use crate::http::server::Bound;
use crate::ingest::StreamWatch;
use crate::metrics::Metrics;
use crate::schema;
use crate::session::Subscription;
use crate::shutdown::{Lifecycle, Reason};
use crate::signals::Signals;
use crate::telemetry::LogFilter;
use crate::tls;
use parts::Parts;

/// Runs the service until one of `signals` asks it to stop. `log_filter` can be changed on the
/// admin port.
///
/// # Errors
/// A port that cannot be bound, a wrong setting found out later, or a task that ended on its own.
pub async fn serve(
    settings: &Settings,
    log_filter: LogFilter,
    signals: Signals,
) -> anyhow::Result<()> {
    let lifecycle = Lifecycle::new(signals);
    let metrics = Metrics::new();
    metrics.runtime.watch_main();
    let tls = tls::Ports::load(settings)?;
    let (site_port, admin_port) = bind(settings, &tls, &metrics)?;
    let (parts, audit_writer) = Parts::new(settings, metrics, log_filter)?;
    // Nothing is started when a part cannot be made.
    let (consumers, stream_watch) = (parts.consumers()?, parts.stream_watch()?);
    let (schema_is_there, schema) = watch::channel(false);

    let serving = &lifecycle.serving;
    let (site, admin) = (parts.site().into_responder(), parts.admin().into_responder());
    serving.spawn("http", site_port.serve_on_threads(site, serving.token()));
    serving.spawn("admin", admin_port.serve(admin, serving.token()));
    if let Some(writer) = audit_writer {
        lifecycle.audit.spawn("audit", writer.run(lifecycle.audit.token()));
    }
    let (schema_is_usable, usable) = watch::channel(false);
    let primary = parts.primary_watch();
    serving.spawn("primary", when(usable, serving.token(), |stop| primary.run(stop)));
    spawn_followers(&lifecycle, &parts, &schema);
    if tls.any() {
        serving.spawn("certificates", tls.follow(parts.metrics.clone(), serving.token()));
    }
    let first_looks = spawn_watches(&lifecycle, &parts, stream_watch);
    if settings.ingest.enabled {
        let ingest = &lifecycle.ingest;
        for consumer in consumers {
            let first_look = match consumer.subscription {
                Subscription::Stan(..) => first_looks.channel.clone(),
                Subscription::JetStream(..) => first_looks.stream.clone(),
            };
            let consume = async move |stop: CancellationToken| {
                if stop.run_until_cancelled(first_look).await.is_some() {
                    consumer.run(stop).await;
                }
            };
            ingest.spawn("ingest", when(schema.clone(), ingest.token(), consume));
        }
    }

    let bring_up_schema = async {
        schema::until_usable(settings, &parts.store, &parts.health).await?;
        schema_is_usable.send_replace(true);
        parts.primary.looked().await;
        schema_is_there.send_replace(true);
        std::future::pending::<anyhow::Result<Infallible>>().await
    };
    let end = tokio::select! {
        reason = lifecycle.stop_requested() => Ok(reason),
        Err(error) = bring_up_schema => Err(error),
    };
    stop(&lifecycle, settings, &parts, end).await
}

/// Binds the ports of the site and of the administrator, and says where they are.
fn bind(
    settings: &Settings,
    tls: &tls::Ports,
    metrics: &Metrics,
) -> anyhow::Result<(Bound, Bound)> {
    let bind = |name: &str, address, workers| {
        Bound::bind(address, workers, &settings.http, metrics)
            .with_context(|| format!("`{name}` {address} cannot be bound"))
    };
    let site = bind("http.listen", settings.http.listen, settings.http.workers)?;
    let site = site.with_tls(tls.http.clone());
    let admin = bind("admin.listen", settings.admin.listen, 1)?.with_tls(tls.admin.clone());
    tracing::info!(
        http = %site.address(),
        admin = %admin.address(),
        "waybill {} is starting",
        env!("CARGO_PKG_VERSION")
    );
    Ok((site, admin))
}

/// Starts what keeps up with Postgres (the cache, the rejects and the credentials), and with those
/// who give out tokens.
fn spawn_followers(lifecycle: &Lifecycle, parts: &Parts<'_>, schema: &watch::Receiver<bool>) {
    let (serving, database) = (&lifecycle.serving, &parts.settings.database);
    let (cache_sync, retention) = (parts.cache_sync(), parts.retention());
    serving.spawn("cache", when(schema.clone(), serving.token(), |stop| cache_sync.run(stop)));
    if let Some(repairer) = parts.repairer() {
        serving.spawn("repair", when(schema.clone(), serving.token(), |stop| repairer.run(stop)));
    }
    serving.spawn("rejects", when(schema.clone(), serving.token(), |stop| retention.run(stop)));
    if let Some(access) = parts.access.clone() {
        serving.spawn("access", access.follow(serving.token()));
    }
    serving.spawn("cold start", parts.cold_start().run(serving.token()));
    if database.url_file.is_some() {
        let (url, store) = (parts.url.clone(), parts.store.clone());
        let follow = credentials::follow(database.clone(), url, store, serving.token());
        serving.spawn("credentials", follow);
    }
}

/// Each resolves when the first look at where messages come from is over; at once where nobody
/// looks.
struct FirstLooks {
    channel: Shared<BoxFuture<'static, ()>>,
    stream: Shared<BoxFuture<'static, ()>>,
}

/// Starts those who look how far the group is behind.
fn spawn_watches(
    lifecycle: &Lifecycle,
    parts: &Parts<'_>,
    stream: Option<StreamWatch>,
) -> FirstLooks {
    let (serving, channel) = (&lifecycle.serving, parts.lag_watch());
    let over = || future::ready(()).boxed();
    let first_looks = FirstLooks {
        channel: channel.as_ref().map_or_else(over, |it| it.first_look().boxed()).shared(),
        stream: stream.as_ref().map_or_else(over, |it| it.first_look().boxed()).shared(),
    };
    if let Some(channel) = channel {
        serving.spawn("lag", channel.run(serving.token()));
    }
    if let Some(stream) = stream {
        serving.spawn("stream lag", stream.run(serving.token()));
    }
    first_looks
}

/// Stops in the order that loses nothing: unready, then ingest, then those who serve.
async fn stop(
    lifecycle: &Lifecycle,
    settings: &Settings,
    parts: &Parts<'_>,
    end: anyhow::Result<Reason>,
) -> anyhow::Result<()> {
    match &end {
        Ok(Reason::Signal) => tracing::info!("Stopping, as asked"),
        Ok(reason) => tracing::error!(%reason, "Stopping"),
        Err(error) => tracing::error!(error = format!("{error:#}"), "Stopping"),
    }
    let stopped = lifecycle
        .stop_within(settings.shutdown.timeout, async {
            parts.health.enter(Phase::Draining);
            if matches!(end, Ok(Reason::Signal)) {
                sleep(settings.shutdown.grace_before_drain).await;
            }
            lifecycle.ingest.stop_and_wait().await;
            lifecycle.serving.stop_and_wait().await;
            lifecycle.audit.stop_and_wait().await;
            parts.store.close().await;
        })
        .await;
    end?;
    stopped?;
    tracing::info!("Stopped");
    Ok(())
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
