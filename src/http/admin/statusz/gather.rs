//! Puts the status together from what the parts know of themselves; only Postgres is asked.

use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_seconds;
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use super::Statusz;
use crate::ingest::{MonitorReply, SettledBatch, Watch};
use crate::metrics::Counted;
use crate::session::{Monitor, SessionState};
use crate::status::{
    Batch, Build, Cache, Following, Lag, Objectives, Pool, Postgres, Reject, Rejects, Repair,
    Replica, Session, Setting, Share, Status, WarmUp,
};
use crate::store::{Direction, KeptReject, RejectFilter};

/// How long to wait for a turn to ask Postgres.
const TURN_WITHIN: Duration = Duration::from_millis(300);

/// How long Postgres may take to say that it is there.
const PING_WITHIN: Duration = Duration::from_millis(500);

/// How long all of it may take, the rejects included.
const POSTGRES_WITHIN: Duration = Duration::from_millis(950);

/// Rejects that are shown.
const REJECTS: u32 = 5;

impl Statusz {
    pub(super) async fn gather(&self) -> Status {
        let admin = &self.admin;
        let began = Instant::now();
        let turn = timeout_at(began + TURN_WITHIN, self.turns.acquire()).await;
        // The semaphore is never closed.
        let turn = turn.ok().and_then(Result::ok);
        let postgres = self.postgres(turn.as_ref()).await;
        let newest = match postgres.answers {
            Some(true) => self.newest_rejects(began + POSTGRES_WITHIN).await,
            _ => None,
        };
        drop(turn);
        let settings = admin.settings.shown().map(|(name, value, origin)| Setting {
            name,
            value: value.to_owned(),
            origin,
        });
        Status {
            told_at: moment(SystemTime::now()),
            replica: self.replica(),
            build: Build::of_this_program(),
            session: self.session(&admin.session),
            stream: admin.settings.jetstream.url.as_ref().map(|_| self.session(&admin.stream)),
            lag: self.lag(),
            stream_lag: admin.settings.jetstream.url.as_ref().map(|_| self.stream_lag()),
            batches: admin.batches.newest_first().iter().map(batch).collect(),
            cache: self.cache(),
            postgres,
            rejects: self.rejects(newest),
            objectives: Objectives {
                lookups_answered_within_10_ms: share(admin.metrics.lookups_in_time()),
                messages_settled_within_2_s: share(admin.metrics.messages_in_time()),
                requests_failed: share(admin.metrics.requests_failed()),
            },
            log_filter: admin.log_filter.directives(),
            settings: settings.collect(),
        }
    }

    fn replica(&self) -> Replica {
        let admin = &self.admin;
        Replica {
            client_id: admin.settings.broker.client_id.clone(),
            phase: admin.health.phase().to_owned(),
            ready: admin.health.is_ready(),
            detail: admin.health.describe(),
            started_at: moment(admin.started_at),
            uptime_seconds: admin.up_since.elapsed().as_secs(),
        }
    }

    fn session(&self, watch: &Watch) -> Session {
        let state = watch.get().map(Monitor::state);
        let (state, detail) = match state {
            None => ("not_begun", None),
            Some(SessionState::Connecting) => ("connecting", None),
            Some(SessionState::Live) => ("live", None),
            Some(SessionState::Lost(why)) => ("lost", Some(why)),
            Some(SessionState::Retrying(why)) => ("retrying", Some(why)),
            Some(SessionState::Closed) => ("closed", None),
        };
        let counters = watch.get().map(Monitor::stats).unwrap_or_default();
        let depth = watch.get().map(Monitor::depth).unwrap_or_default();
        Session {
            state: state.to_owned(),
            detail,
            since: watch.since().map(moment),
            in_hand_messages: depth.in_hand as u64,
            queue_messages: depth.messages as u64,
            queue_bytes: depth.bytes as u64,
            redelivered_total: self.admin.metrics.ingest.redelivered.get(),
            duplicates_suppressed_total: counters.duplicates_suppressed,
            shed_total: counters.shed,
            rebuilds_total: counters.rebuilds,
            reconnects_total: counters.reconnects,
        }
    }

    fn lag(&self) -> Lag {
        let admin = &self.admin;
        let (monitor, lag, silence) = match admin.monitor.reply() {
            MonitorReply::NotConfigured => ("not_configured", None, None),
            MonitorReply::NotAsked => ("not_asked", None, None),
            MonitorReply::Answers(lag) => ("answers", Some(lag), None),
            MonitorReply::Silent { since, why } => ("silent", None, Some((moment(since), why))),
        };
        let (silent_since, detail) = silence.unzip();
        // Counted by this process, so true whether the monitor answers or not.
        let losses = (monitor == "answers" || monitor == "silent").then(|| admin.losses.counts());
        Lag {
            monitor: monitor.to_owned(),
            detail,
            silent_since,
            channel_last_sequence: lag.map(|lag| lag.last_sequence),
            last_sent_sequence: lag.map(|lag| lag.last_sent_sequence),
            undelivered_messages: lag.map(|lag| lag.undelivered),
            pending_messages: lag.map(|lag| lag.pending),
            lost_messages: losses.map(|(lost, _)| lost),
            perhaps_lost_messages: losses.map(|(_, perhaps)| perhaps),
            channel_reset: admin.losses.describe_reset(),
        }
    }

    fn cache(&self) -> Cache {
        let (admin, settings) = (&self.admin, &self.admin.settings.cache);
        let (size, metrics) = (admin.cache.size(), &admin.metrics.cache);
        let (hits, misses) = (metrics.hits.get(), metrics.misses.get());
        let warmed = metrics.warm_up();
        Cache {
            orders: size.entries,
            bytes: size.bytes,
            max_bytes: size.max_bytes,
            hits_total: hits,
            misses_total: misses,
            hit_ratio: Share::new(hits, hits + misses).ratio,
            warm_up: WarmUp {
                enabled: settings.warm_up,
                progress_ratio: admin.health.warm_ratio(),
                rows: warmed.map(|(rows, _)| rows),
                duration_seconds: warmed.map(|(_, took)| took.as_secs_f64()),
            },
            following: Following {
                interval_seconds: settings.follow_interval.as_secs_f64(),
                orders_total: metrics.followed.get(),
                skipped_total: metrics.follow_skipped.get(),
            },
        }
    }

    /// Asks Postgres for a sign of life, with a turn.
    async fn postgres(&self, turn: Option<&SemaphorePermit<'_>>) -> Postgres {
        let store = &self.admin.store;
        let connections = store.connections();
        let pool = Pool {
            idle_connections: connections.idle,
            in_use_connections: connections.in_use,
            max_connections: connections.max,
        };
        if turn.is_none() {
            let detail = Some("not asked: others who want the status ask right now".to_owned());
            return Postgres { answers: None, detail, ..self.primary(pool) };
        }
        let detail = match timeout(PING_WITHIN, store.ping()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {PING_WITHIN:?}")),
        };
        Postgres { answers: Some(detail.is_none()), detail, ..self.primary(pool) }
    }

    /// What is known without asking.
    fn primary(&self, pool: Pool) -> Postgres {
        let known = self.admin.primary.get();
        Postgres {
            answers: None,
            detail: None,
            pool,
            primary: known.primary.map(|primary| primary.to_string()),
            repair_pending: known.repairing,
            repair: known.repair.map(|repair| Repair {
                requested_by: repair.requested_by,
                progress: repair.progress,
                gone: repair.gone,
                finished: repair.finished,
            }),
            lost_orders: self.admin.primary.lost(),
        }
    }

    async fn newest_rejects(&self, by: Instant) -> Option<Vec<Reject>> {
        let all = RejectFilter::default();
        let newest = self.admin.store.rejects(&all, Direction::NEWEST_FIRST, REJECTS);
        let newest = timeout_at(by, newest).await.ok()?.ok()?;
        Some(newest.into_iter().map(reject).collect())
    }

    fn rejects(&self, newest: Option<Vec<Reject>>) -> Rejects {
        let usage = &self.admin.rejects;
        let measured = usage.measured();
        Rejects {
            kept_rows: measured.map(|measured| measured.rows),
            kept_bytes: measured.map(|measured| measured.bytes),
            alarm_bytes: usage.alarm_bytes(),
            newest,
        }
    }
}

fn batch(batch: &SettledBatch) -> Batch {
    let verdicts = batch.verdicts;
    Batch {
        ended_at: moment(batch.ended_at),
        duration_seconds: batch.took.as_secs_f64(),
        messages: verdicts.sum(),
        stored_messages: verdicts.stored,
        duplicate_messages: verdicts.duplicate,
        conflict_messages: verdicts.conflict,
        erased_messages: verdicts.erased,
        refused_messages: verdicts.refused,
        kept_messages: verdicts.kept,
    }
}

/// What was found in the message is left out: it may be personal.
fn reject(kept: KeptReject) -> Reject {
    let first_seen = kept.first_seen.split('.').next().unwrap_or_default();
    Reject {
        id: kept.id,
        sequence: kept.sequence,
        first_seen_at: format!("{first_seen}Z"),
        reason: kept.reason,
    }
}

fn share((count, of): Counted) -> Share {
    Share::new(count, of)
}

pub(super) fn moment(at: SystemTime) -> String {
    format_rfc3339_seconds(at).to_string()
}
