//! What a replica tells of itself: `/statusz` for people, `/statusz.json` for programs.
//!
//! The names are stable: new ones may come, but none changes its meaning or its unit. Units stand
//! in the names, and a name that ends in `_total` counts since the start of the process. What is
//! not known is `null`. Moments are RFC 3339 in UTC, to the second.

mod dependencies;
mod facts;
mod ingest;
mod objectives;
mod stream_facts;
mod tables;
mod words;

use serde::{Deserialize, Serialize};

pub use dependencies::{Lag, Pool, Postgres, Reject, Rejects, Repair, Session, StreamLag};
pub use facts::{Fact, Section};
pub use ingest::{Batch, Cache, Following, WarmUp};
pub use objectives::{Objectives, Share};
pub use tables::Table;

/// A replica at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When this was told.
    pub told_at: String,
    /// Which replica this is, and whether it wants lookups.
    pub replica: Replica,
    /// What the program was built from.
    pub build: Build,
    /// The session with the broker.
    pub session: Session,
    /// The session with the servers of the stream; `null` where no stream is read.
    pub stream: Option<Session>,
    /// How far the group is behind, as the broker's monitor tells it.
    pub lag: Lag,
    /// How the stream and the group that reads it are; `null` where no stream is read.
    pub stream_lag: Option<StreamLag>,
    /// The last batches of messages, the newest first; ten at the most.
    pub batches: Vec<Batch>,
    /// Orders in memory.
    pub cache: Cache,
    /// Whether Postgres answers, and the connections to it.
    pub postgres: Postgres,
    /// What could not become an order.
    pub rejects: Rejects,
    /// How well the objectives were met since the start of the process.
    pub objectives: Objectives,
    /// The filter of the log in force, in the notation of `telemetry.log_filter`.
    pub log_filter: String,
    /// The settings in force, with every secret masked.
    pub settings: Vec<Setting>,
}

/// Which replica this is, and whether it wants lookups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Its name at the broker (`broker.client_id`).
    pub client_id: String,
    /// `preparing`, `warming`, `ready` or `draining`.
    pub phase: String,
    /// Whether lookups are welcome: what `/readyz` answers.
    pub ready: bool,
    /// The phase in words, with what it waits for.
    pub detail: String,
    /// When the process started.
    pub started_at: String,
    /// How long ago that was.
    pub uptime_seconds: u64,
}

/// What the program was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The version of waybill.
    pub version: String,
    /// The commit it was built from; `null` if that is not known, and of a build for development.
    pub commit: Option<String>,
    /// The profile of cargo: `release`, or `debug`, which is slow.
    pub profile: Option<String>,
    /// The compiler, such as `rustc 1.94.0 (…)`.
    pub rustc: Option<String>,
}

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name, such as `broker.url`.
    pub name: String,
    /// Its value as text; a password in it is `***`.
    pub value: String,
    /// Where the value came from; `null` for the built-in default.
    pub origin: Option<String>,
}

impl Build {
    /// The build of this very program.
    #[must_use]
    pub fn of_this_program() -> Self {
        let is_known = |text: &&str| !["", "unknown", "dev"].contains(text);
        let known = |text| Some(text).filter(is_known).map(str::to_owned);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: known(env!("WAYBILL_COMMIT")),
            profile: known(env!("WAYBILL_PROFILE")),
            rustc: known(env!("WAYBILL_RUSTC")),
        }
    }
}
