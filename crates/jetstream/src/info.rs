//! What the server tells of streams and consumers.

use serde::Deserialize;

/// A stream, as its leader has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamInfo {
    /// When it was made, as the server writes it (RFC 3339): another one is another stream, whose
    /// sequence numbers mean other messages.
    pub created: String,
    /// Subjects whose messages it stores.
    pub subjects: Vec<String>,
    /// Sequence of its first message, or of the next one to come if it has none.
    pub first_sequence: u64,
    /// Sequence of its last message, be it deleted or not; 0 if there was none.
    pub last_sequence: u64,
    /// Messages that it holds.
    pub messages: u64,
    /// Bytes that those take.
    pub bytes: u64,
    /// Messages between the first and the last that were deleted.
    pub deleted: u64,
    /// Bytes that it may hold; none without a limit of its own.
    pub max_bytes: Option<u64>,
    /// Who stores it; none if the server tells nothing of it.
    pub cluster: Option<Cluster>,
}

/// The servers that store a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Cluster {
    /// The one that leads it.
    pub leader: Option<String>,
    /// The others.
    pub replicas: Vec<Replica>,
}

/// One of the servers that follow the leader of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Replica {
    /// The name of the server.
    pub name: String,
    /// Whether it is there and has caught up with the leader.
    pub current: bool,
    /// Whether the leader takes it for gone.
    pub offline: bool,
    /// Operations of the stream that it is behind the leader.
    pub lag: u64,
}

/// A consumer, as its leader has it. Sequences are those of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// When it was made, as the server writes it (RFC 3339).
    pub created: String,
    /// The last message that was delivered, whatever became of it; 0 if none was.
    pub delivered: u64,
    /// All messages up to this one are acknowledged.
    pub ack_floor: u64,
    /// Messages that were not delivered yet; one that was just confirmed to its publisher may not
    /// be counted yet.
    pub num_pending: u64,
    /// Messages delivered and not acknowledged.
    pub num_ack_pending: u64,
    /// Messages of those that are, or are to be, delivered again.
    pub num_redelivered: u64,
    /// Pulls that wait for messages, of all members.
    pub num_waiting: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StreamAnswer {
    pub(crate) created: String,
    pub(crate) config: StreamConfig,
    #[serde(default)]
    state: StreamState,
    cluster: Option<Cluster>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamState {
    messages: u64,
    bytes: u64,
    first_seq: u64,
    last_seq: u64,
    num_deleted: u64,
}

/// The settings that decide whether a stream keeps what it is given.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StreamConfig {
    #[serde(default)]
    pub(crate) subjects: Vec<String>,
    pub(crate) retention: String,
    pub(crate) storage: String,
    pub(crate) discard: String,
    pub(crate) max_msgs: i64,
    pub(crate) max_bytes: i64,
    /// In nanoseconds; 0 is none.
    pub(crate) max_age: i64,
    #[serde(default = "unlimited")]
    pub(crate) max_msgs_per_subject: i64,
    #[serde(default)]
    pub(crate) deny_purge: bool,
}

fn unlimited() -> i64 {
    -1
}

#[derive(Debug, Deserialize)]
pub(crate) struct ConsumerAnswer {
    pub(crate) created: String,
    pub(crate) config: ConsumerConfig,
    delivered: SequencePair,
    ack_floor: SequencePair,
    #[serde(default)]
    num_pending: u64,
    #[serde(default)]
    num_ack_pending: u64,
    #[serde(default)]
    num_redelivered: u64,
    #[serde(default)]
    num_waiting: u64,
    cluster: Option<Cluster>,
}

#[derive(Debug, Deserialize)]
struct SequencePair {
    stream_seq: u64,
}

/// The settings that decide whether a consumer delivers everything until it is acknowledged, and
/// how much may be pulled at once.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConsumerConfig {
    pub(crate) ack_policy: String,
    pub(crate) max_deliver: i64,
    pub(crate) deliver_subject: String,
    pub(crate) deliver_group: String,
    pub(crate) filter_subject: String,
    pub(crate) filter_subjects: Vec<String>,
    pub(crate) headers_only: bool,
    /// Messages that one pull may ask for; 0 is no limit.
    pub(crate) max_batch: usize,
    /// Bytes that one pull may ask for; 0 is no limit.
    pub(crate) max_bytes: usize,
    /// How long one pull may last, in nanoseconds; 0 is no limit.
    pub(crate) max_expires: u64,
}

/// A limit in bytes, as the server writes it: no number above 0 is none.
pub(crate) fn limit(bytes: i64) -> Option<u64> {
    u64::try_from(bytes).ok().filter(|bytes| *bytes > 0)
}

/// What is said of itself by a stream or a consumer.
pub(crate) trait Led {
    /// The servers that have it.
    fn cluster(&self) -> Option<&Cluster>;
}

impl Led for StreamAnswer {
    fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }
}

impl Led for ConsumerAnswer {
    fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }
}

impl From<StreamAnswer> for StreamInfo {
    fn from(answer: StreamAnswer) -> Self {
        let StreamAnswer { created, config, state, cluster } = answer;
        Self {
            created,
            subjects: config.subjects,
            first_sequence: state.first_seq,
            last_sequence: state.last_seq,
            messages: state.messages,
            bytes: state.bytes,
            deleted: state.num_deleted,
            max_bytes: limit(config.max_bytes),
            cluster,
        }
    }
}

impl From<ConsumerAnswer> for ConsumerInfo {
    fn from(answer: ConsumerAnswer) -> Self {
        Self {
            created: answer.created,
            delivered: answer.delivered.stream_seq,
            ack_floor: answer.ack_floor.stream_seq,
            num_pending: answer.num_pending,
            num_ack_pending: answer.num_ack_pending,
            num_redelivered: answer.num_redelivered,
            num_waiting: answer.num_waiting,
        }
    }
}
