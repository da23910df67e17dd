//! What a replica leans on: the broker and Postgres.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The session with the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `not_begun`, `connecting`, `live`, `lost`, `retrying` or `closed`.
    pub state: String,
    /// Why it is not live, if that is known.
    pub detail: Option<String>,
    /// Since when it is in that state.
    pub since: Option<String>,
    /// Messages taken and not settled yet, those in the queue included.
    pub in_hand_messages: u64,
    /// Messages waiting for a writer.
    pub queue_messages: u64,
    /// Payload waiting for a writer.
    pub queue_bytes: u64,
    /// Messages that the broker had sent before.
    pub redelivered_total: u64,
    /// Redeliveries of messages that were still in hand, dropped.
    pub duplicates_suppressed_total: u64,
    /// Messages dropped unacknowledged over `ingest.queue_max_bytes`; they come again.
    pub shed_total: u64,
    /// Registrations built anew after a loss.
    pub rebuilds_total: u64,
    /// Times the link came back.
    pub reconnects_total: u64,
}

/// How far the group is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// `not_configured`, `not_asked`, `answers` or `silent`. The numbers below are those of the
    /// last look, and `null` while there is no answer.
    pub monitor: String,
    /// Why there is no answer.
    pub detail: Option<String>,
    /// Since when there is none.
    pub silent_since: Option<String>,
    /// Number of the channel's newest message.
    pub channel_last_sequence: Option<u64>,
    /// Number of the newest message that was sent to the group.
    pub last_sent_sequence: Option<u64>,
    /// Messages not sent to the group yet.
    pub undelivered_messages: Option<u64>,
    /// Messages sent to the group and not acknowledged.
    pub pending_messages: Option<u64>,
    /// Messages that the broker deleted before the group got them, since the start of the
    /// process; `null` without a monitor.
    pub lost_messages: Option<u64>,
    /// Messages deleted between two looks, of which nobody can tell whether the group got them.
    pub perhaps_lost_messages: Option<u64>,
    /// How and when the channel began anew, if that was seen.
    pub channel_reset: Option<String>,
}

/// How the stream and the group that reads it are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamLag {
    /// `not_asked`, `answers` or `silent`. The numbers below are those of the last look, and `null`
    /// while there is no answer, or no such stream or consumer.
    pub jetstream: String,
    /// Why there is no answer.
    pub detail: Option<String>,
    /// Since when there is none.
    pub silent_since: Option<String>,
    /// Number of the stream's oldest message.
    pub first_sequence: Option<u64>,
    /// Number of the stream's newest message.
    pub last_sequence: Option<u64>,
    /// Number of the newest message that was delivered to the group.
    pub delivered_sequence: Option<u64>,
    /// All messages up to this one are acknowledged.
    pub ack_floor_sequence: Option<u64>,
    /// Messages not delivered to the group yet.
    pub undelivered_messages: Option<u64>,
    /// Messages delivered to the group and not acknowledged.
    pub pending_messages: Option<u64>,
    /// Of those, the ones that were delivered more than once.
    pub redelivered_messages: Option<u64>,
    /// Servers that store the stream.
    pub replicas: Option<u64>,
    /// Of those, the leader and those that have caught up with it.
    pub current_replicas: Option<u64>,
    /// Of those, the ones that are away.
    pub offline_replicas: Option<u64>,
    /// Bytes stored; `null` too where nothing limits them, or the limit is not known.
    pub store_bytes: Option<u64>,
    /// Bytes that may be stored.
    pub store_limit_bytes: Option<u64>,
    /// Messages that were deleted before the group got them, since the start of the process.
    pub lost_messages: u64,
    /// Messages that were deleted before they were known to be acknowledged.
    pub perhaps_lost_messages: u64,
    /// How the stream began anew, if that was seen.
    pub stream_reset: Option<String>,
}

/// Whether Postgres answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postgres {
    /// Whether it answered within half a second; `null` when it was not asked, because others
    /// who want the status ask right now.
    pub answers: Option<bool>,
    /// Why not.
    pub detail: Option<String>,
    /// The connections to it.
    pub pool: Pool,
    /// Which primary it is, such as `timeline 2 of system 7…`; `null` until one was asked.
    #[serde(default)]
    pub primary: Option<String>,
    /// Whether what the primary may lack is being put back; until then nobody is told that an
    /// order does not exist.
    #[serde(default)]
    pub repair_pending: bool,
    /// The repair that was asked for last, if there was any.
    #[serde(default)]
    pub repair: Option<Repair>,
    /// Ids of orders that this replica has served, and that were lost with a primary before: the
    /// first thousand.
    #[serde(default)]
    pub lost_orders: Vec<String>,
}

/// What is done about what the primary may lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// The replica that noticed another primary.
    pub requested_by: String,
    /// By source, the first sequence that is not compared yet.
    pub progress: BTreeMap<String, u64>,
    /// By source, the sequences that it has no more, such as `3, 5–7`: what was in them cannot be
    /// put back.
    pub gone: BTreeMap<String, String>,
    /// Whether it is done.
    pub finished: bool,
}

/// The connections to Postgres.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Open and waiting for work.
    pub idle_connections: u32,
    /// Lent to somebody who asks or writes.
    pub in_use_connections: u32,
    /// How many there may be (`database.max_connections`).
    pub max_connections: u32,
}

/// What could not become an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejects {
    /// How many are kept, as last measured within the last minute; many are an estimate.
    pub kept_rows: Option<u64>,
    /// Sum of their payloads.
    pub kept_bytes: Option<u64>,
    /// Over which the alarm is raised (`rejects.alarm_bytes`).
    pub alarm_bytes: u64,
    /// The newest first, five at the most; `null` if Postgres did not tell in time.
    pub newest: Option<Vec<Reject>>,
}

/// A reject, without its payload and what was found in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Its name in commands and pages.
    pub id: i64,
    /// Its sequence in its channel.
    pub sequence: u64,
    /// Why, from the closed list.
    pub reason: String,
    /// When it was first refused.
    pub first_seen_at: String,
}
