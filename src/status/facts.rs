//! The status as facts, for the page and for a terminal.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};

use super::words::{
    UNKNOWN, grouped, messages, or_unknown, percent, share, text, times, took, yes_or_no,
};
use super::{Objectives, Session, Status, StreamLag};

/// Facts about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What they are about.
    pub title: &'static str,
    /// The facts, the most important first.
    pub facts: Vec<Fact>,
}

/// A fact in words; harmless on a terminal, and not escaped for HTML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is about.
    pub name: &'static str,
    /// The fact.
    pub value: String,
    /// Whether somebody should look into it.
    pub is_bad: bool,
}

impl Status {
    /// The facts, by what they are about.
    #[must_use]
    pub fn sections(&self) -> Vec<Section> {
        let section = |title, facts| Section { title, facts };
        let stream = self.stream.as_ref().map(session_facts);
        let stream = stream.map(|facts| section("Session with JetStream", facts));
        let mut sections = vec![
            section("Replica", self.replica_facts()),
            section("Session with the broker", session_facts(&self.session)),
            section("Lag", self.lag_facts()),
        ];
        sections.extend(stream);
        let stream_lag = self.stream_lag.as_ref().map(StreamLag::facts);
        sections.extend(stream_lag.map(|facts| section("Stream", facts)));
        sections.extend([
            section("Postgres", self.postgres_facts()),
            section("Cache", self.cache_facts()),
            section("Objectives, since the start", objectives(&self.objectives)),
        ]);
        sections
    }

    fn replica_facts(&self) -> Vec<Fact> {
        let (replica, build) = (&self.replica, &self.build);
        let uptime = humantime::format_duration(Duration::from_secs(replica.uptime_seconds));
        vec![
            fact("Name", text(&replica.client_id)),
            judged("Ready", yes_or_no(replica.ready), !replica.ready),
            fact("Phase", text(&replica.detail)),
            fact("Started", text(&replica.started_at)),
            fact("Up for", uptime.to_string()),
            fact("Version", text(&build.version)),
            fact("Commit", or_unknown(build.commit.as_deref(), text)),
            fact("Profile", or_unknown(build.profile.as_deref(), text)),
            fact("Compiler", or_unknown(build.rustc.as_deref(), text)),
            fact("Log filter", text(&self.log_filter)),
        ]
    }

    fn lag_facts(&self) -> Vec<Fact> {
        let lag = &self.lag;
        let monitor = match (lag.monitor.as_str(), &lag.silent_since, &lag.detail) {
            ("not_configured", ..) => "not configured (broker.monitor_url)".to_owned(),
            (_, Some(since), Some(why)) => format!("does not answer since {since}: {why}"),
            (state, ..) => state.replace('_', " "),
        };
        let known = |count: Option<u64>| or_unknown(count, messages);
        let lost = |count: Option<u64>| count.is_some_and(|count| count > 0);
        let mut facts = vec![
            judged("Broker's monitor", text(&monitor), lag.monitor == "silent"),
            fact("Not delivered yet", known(lag.undelivered_messages)),
            fact("Not acknowledged yet", known(lag.pending_messages)),
            fact("Newest sequence", or_unknown(lag.channel_last_sequence, grouped)),
            fact("Newest sequence sent", or_unknown(lag.last_sent_sequence, grouped)),
            judged("Lost to retention", known(lag.lost_messages), lost(lag.lost_messages)),
            judged(
                "Perhaps lost to retention",
                known(lag.perhaps_lost_messages),
                lost(lag.perhaps_lost_messages),
            ),
        ];
        if let Some(reset) = &lag.channel_reset {
            facts.push(judged("The channel began anew", text(reset), true));
        }
        facts
    }

    fn postgres_facts(&self) -> Vec<Fact> {
        let (postgres, pool) = (&self.postgres, &self.postgres.pool);
        let answers = postgres.answers.map_or(UNKNOWN.to_owned(), yes_or_no);
        let answers = match &postgres.detail {
            Some(detail) => format!("{answers}: {detail}"),
            None => answers,
        };
        let rejects = &self.rejects;
        let is_over = rejects.kept_bytes.is_some_and(|bytes| bytes > rejects.alarm_bytes);
        let kept = match (rejects.kept_rows, rejects.kept_bytes) {
            (Some(rows), Some(bytes)) => format!("{}, {}", HumanCount(rows), HumanBytes(bytes)),
            _ => UNKNOWN.to_owned(),
        };
        let alarm = if is_over {
            format!("{kept}, over rejects.alarm_bytes of {}", HumanBytes(rejects.alarm_bytes))
        } else {
            kept
        };
        vec![
            judged("Answers", text(&answers), postgres.answers == Some(false)),
            fact("Primary", or_unknown(postgres.primary.as_deref(), text)),
            judged("Repaired", yes_or_no(!postgres.repair_pending), postgres.repair_pending),
            judged(
                "Lost orders",
                grouped(postgres.lost_orders.len() as u64),
                !postgres.lost_orders.is_empty(),
            ),
            fact(
                "Connections",
                format!(
                    "{} in use, {} idle, {} at most",
                    pool.in_use_connections, pool.idle_connections, pool.max_connections
                ),
            ),
            judged("Rejects kept", alarm, is_over),
        ]
    }

    fn cache_facts(&self) -> Vec<Fact> {
        let (cache, warm_up) = (&self.cache, &self.cache.warm_up);
        let warmed = match (warm_up.rows, warm_up.duration_seconds) {
            _ if !warm_up.enabled => "off (cache.warm_up)".to_owned(),
            (Some(rows), Some(seconds)) => {
                format!("{} orders in {}", HumanCount(rows), took(seconds))
            }
            _ => format!("{} read", percent(warm_up.progress_ratio)),
        };
        let following = if cache.following.interval_seconds > 0.0 {
            let orders = HumanCount(cache.following.orders_total);
            let every = took(cache.following.interval_seconds);
            format!("every {every}: {orders} orders of other replicas read")
        } else {
            "off (cache.follow_interval)".to_owned()
        };
        vec![
            fact("Orders", grouped(cache.orders)),
            fact(
                "Memory",
                format!("{} of {}", HumanBytes(cache.bytes), HumanBytes(cache.max_bytes)),
            ),
            fact("Hit ratio", or_unknown(cache.hit_ratio, percent)),
            fact("Hits", grouped(cache.hits_total)),
            fact("Misses", grouped(cache.misses_total)),
            fact("Warm-up", warmed),
            fact("Following", following),
            fact("Looks that left orders out", grouped(cache.following.skipped_total)),
        ]
    }
}

fn session_facts(session: &Session) -> Vec<Fact> {
    let state = session.state.replace('_', " ");
    let state = match &session.detail {
        Some(detail) => format!("{state}: {detail}"),
        None => state,
    };
    let is_bad = ["lost", "retrying"].contains(&session.state.as_str());
    vec![
        judged("State", text(&state), is_bad),
        fact("Since", or_unknown(session.since.as_deref(), text)),
        fact("In hand", messages(session.in_hand_messages)),
        fact(
            "Queue",
            format!("{}, {}", messages(session.queue_messages), HumanBytes(session.queue_bytes)),
        ),
        fact("Redelivered", messages(session.redelivered_total)),
        fact("Redelivered while in hand", messages(session.duplicates_suppressed_total)),
        fact("Shed", messages(session.shed_total)),
        fact("Rebuilt", times(session.rebuilds_total)),
        fact("Link came back", times(session.reconnects_total)),
    ]
}

fn objectives(objectives: &Objectives) -> Vec<Fact> {
    vec![
        fact("Lookups answered within 10 ms", share(&objectives.lookups_answered_within_10_ms)),
        fact("Messages settled within 2 s", share(&objectives.messages_settled_within_2_s)),
        fact("Requests for orders that failed", share(&objectives.requests_failed)),
    ]
}

pub(super) fn fact(name: &'static str, value: String) -> Fact {
    Fact { name, value, is_bad: false }
}

pub(super) fn judged(name: &'static str, value: String, is_bad: bool) -> Fact {
    Fact { name, value, is_bad }
}
