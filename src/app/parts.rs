//! The parts of a replica, made of the settings and of what several of them share.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use stan::Messages;
use tokio::time::Instant;

use crate::access::Access;
use crate::audit::{self, Audit, AuditWriter};
use crate::broker;
use crate::cache::{Cache, CacheSync, ColdStart};
use crate::config::{Secret, Settings};
use crate::health::Health;
use crate::http::Auditor;
use crate::http::admin::Admin;
use crate::http::site::{Pages, Site};
use crate::ingest::{
    Consumer, LagWatch, Limits, LossTracker, MonitorState, RecentBatches, RefusalLog, StreamWatch,
    Watch, WriteFailures, Writer,
};
use crate::lookup::Lookup;
use crate::metrics::{Metrics, StreamLag};
use crate::primary::{PrimaryState, PrimaryWatch};
use crate::rejects::{RejectRetention, RejectUsage};
use crate::repair::Repairer;
use crate::session::Subscription;
use crate::source::Source;
use crate::store::Store;
use crate::telemetry::LogFilter;

/// What several parts share; each method makes one part.
pub(super) struct Parts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) metrics: Metrics,
    pub(super) health: Health,
    pub(super) store: Store,
    audit: Option<Audit>,
    /// The URL that `store` began with.
    pub(super) url: Secret,
    cache: Cache,
    pub(super) primary: PrimaryState,
    session: Watch,
    stream: Watch,
    losses: LossTracker,
    monitor: MonitorState,
    stream_losses: LossTracker,
    stream_monitor: MonitorState<StreamLag>,
    rejects: RejectUsage,
    batches: RecentBatches,
    log_filter: LogFilter,
    started_at: SystemTime,
    up_since: Instant,
    pub(super) access: Option<Access>,
}

impl<'a> Parts<'a> {
    /// The parts, and the task that writes the audit log, if there is one.
    ///
    /// # Errors
    /// A database URL, an audit log, or a file of tokens or keys, that cannot be used.
    pub(super) fn new(
        settings: &'a Settings,
        metrics: Metrics,
        log_filter: LogFilter,
    ) -> anyhow::Result<(Self, Option<AuditWriter>)> {
        let access = Access::new(&settings.access, &metrics)?;
        let database = &settings.database;
        let url = database.url()?;
        let store = Store::new(url.expose(), database.max_connections, database.connect_timeout)
            .context("`database.url`")?;
        let acquire = metrics.acquire.clone();
        let store = store.on_acquire(move |took| acquire.observe(took.as_secs_f64()));
        let (audit, audit_writer) = audit::open(&settings.audit, &store, &metrics)?.unzip();
        let parts = Self {
            audit,
            settings,
            metrics,
            health: Health::default(),
            store,
            url,
            cache: Cache::with_max_staleness(
                settings.cache.max_bytes.bytes() as u64,
                settings.erasure.max_staleness,
            ),
            primary: PrimaryState::default(),
            session: Watch::default(),
            stream: Watch::default(),
            losses: LossTracker::default(),
            monitor: MonitorState::default(),
            stream_losses: LossTracker::default(),
            stream_monitor: MonitorState::default(),
            rejects: RejectUsage::new(&settings.rejects),
            batches: RecentBatches::default(),
            log_filter,
            started_at: SystemTime::now(),
            up_since: Instant::now(),
            access,
        };
        Ok((parts, audit_writer))
    }

    /// What records requests, where anything is recorded.
    fn auditor(&self) -> Option<Auditor> {
        Some(Auditor {
            audit: self.audit.clone()?,
            access: self.access.clone(),
            trusted_proxies: self.settings.audit.trusted_proxies.as_slice().into(),
        })
    }

    pub(super) fn site(&self) -> Site {
        let http = &self.settings.http;
        let lookup = Lookup::new(
            self.cache.clone(),
            self.store.clone(),
            self.primary.clone(),
            self.metrics.clone(),
            self.settings.cache.miss_concurrency,
            self.settings.cache.miss_timeout,
        );
        Site {
            lookup,
            metrics: self.metrics.clone(),
            cache_control: http.cache_control.clone(),
            base_path: http.base_path.as_str().into(),
            pages: Pages::new(&http.base_path, http.amounts),
            auditor: self.auditor(),
            access: self.access.clone(),
        }
    }

    pub(super) fn admin(&self) -> Admin {
        Admin {
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            store: self.store.clone(),
            cache: self.cache.clone(),
            primary: self.primary.clone(),
            session: self.session.clone(),
            stream: self.stream.clone(),
            rejects: self.rejects.clone(),
            monitor: self.monitor.clone(),
            losses: self.losses.clone(),
            stream_monitor: self.stream_monitor.clone(),
            stream_losses: self.stream_losses.clone(),
            batches: self.batches.clone(),
            log_filter: self.log_filter.clone(),
            settings: Arc::new(self.settings.clone()),
            started_at: self.started_at,
            up_since: self.up_since,
            auditor: self.auditor(),
            access: self.access.clone(),
        }
    }

    pub(super) fn retention(&self) -> RejectRetention {
        RejectRetention {
            store: self.store.clone(),
            usage: self.rejects.clone(),
            metrics: self.metrics.clone(),
            keep_for: self.settings.rejects.keep_for,
        }
    }

    pub(super) fn cache_sync(&self) -> CacheSync {
        CacheSync {
            cache: self.cache.clone(),
            store: self.store.clone(),
            primary: self.primary.clone(),
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            warm_up: self.settings.cache.warm_up,
            follow_interval: self.settings.cache.follow_interval,
        }
    }

    pub(super) fn primary_watch(&self) -> PrimaryWatch {
        PrimaryWatch {
            store: self.store.clone(),
            state: self.primary.clone(),
            metrics: self.metrics.clone(),
            replica: self.settings.broker.client_id.clone(),
            auto_repair: self.repairs(),
        }
    }

    /// None where this replica repairs nothing.
    pub(super) fn repairer(&self) -> Option<Repairer> {
        self.repairs().then(|| Repairer {
            settings: self.settings.clone(),
            store: self.store.clone(),
            state: self.primary.clone(),
            metrics: self.metrics.clone(),
        })
    }

    fn repairs(&self) -> bool {
        self.settings.database.auto_repair && self.settings.ingest.enabled
    }

    pub(super) fn cold_start(&self) -> ColdStart {
        ColdStart {
            store: self.store.clone(),
            health: self.health.clone(),
            after: self.settings.cache.cold_start_after,
        }
    }

    /// Nothing when no monitor is configured.
    pub(super) fn lag_watch(&self) -> Option<LagWatch> {
        if !self.settings.broker.enabled {
            return None;
        }
        LagWatch::new(
            &self.settings.broker,
            self.store.clone(),
            self.monitor.clone(),
            self.losses.clone(),
            self.metrics.clone(),
        )
    }

    /// Nothing when no stream is read.
    ///
    /// # Errors
    /// As [`Parts::consumers`].
    pub(super) fn stream_watch(&self) -> anyhow::Result<Option<StreamWatch>> {
        StreamWatch::new(
            &self.settings.jetstream,
            &self.settings.broker.client_id,
            self.store.clone(),
            self.stream_monitor.clone(),
            self.stream_losses.clone(),
            self.metrics.clone(),
        )
    }

    /// # Errors
    /// A broker setting that only shows itself to be wrong when it is used.
    pub(super) fn consumers(
        &self,
    ) -> anyhow::Result<Vec<Consumer<impl FnOnce(Messages) -> Writer + Send + 'static>>> {
        let (broker, ingest) = (&self.settings.broker, &self.settings.ingest);
        let queue_max_bytes = ingest.queue_max_bytes.bytes();
        let mut consumers = Vec::new();
        let mut add = |subscription, source, watch: &Watch| {
            let (writer, watch) = (self.writer(source), watch.clone());
            consumers.push(Consumer { subscription, writers: ingest.writers, writer, watch });
        };
        if broker.enabled {
            let options = broker::options(broker, &broker.client_id)?;
            let group = broker::queue_group(broker, queue_max_bytes);
            let source = Source::channel(&broker.channel);
            add(Subscription::Stan(options, group), source, &self.session);
        }
        let jetstream = &self.settings.jetstream;
        let stream = broker::stream(jetstream, &broker.client_id, queue_max_bytes)?;
        if let Some((options, consumer)) = stream {
            let source = Source::stream(&consumer.stream);
            add(Subscription::JetStream(options, consumer), source, &self.stream);
        }
        Ok(consumers)
    }

    /// Makes the writers' pattern once the session's messages are there.
    fn writer(&self, source: Source) -> impl FnOnce(Messages) -> Writer + Send + use<> {
        let limits = Limits::new(&self.settings.ingest);
        let (store, cache) = (self.store.clone(), self.cache.clone());
        let (metrics, recent) = (self.metrics.clone(), self.batches.clone());
        let (failures, refusals) = (WriteFailures::default(), RefusalLog::default());
        move |messages| Writer {
            messages,
            source,
            store,
            cache,
            metrics,
            limits,
            failures,
            refusals,
            recent,
        }
    }
}
