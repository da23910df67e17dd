//! Everything the service asks of Postgres: all SQL is here and in `migrations/`.

mod bisect;
mod compare;
mod copy_binary;
mod error;
mod follow;
mod lease;
mod lookup;
mod migrate;
mod orders;
mod rejects;
mod replication;
mod warm_up;
mod warnings;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use tokio::sync::Notify;

pub use compare::{Claim, Standing};
pub use error::{Class, Error, classify};
pub use follow::{Cursor, Followed};
pub use lookup::Found;
pub use migrate::{MIGRATOR, migrate};
pub use orders::{NewOrder, Outcome};
pub use rejects::{Direction, KeptReject, NewReject, RejectFilter, RejectSpan, RejectsMeasured};
pub use warm_up::{Progress, WarmUp};
use warnings::Warnings;

/// The orders and rejects in Postgres. Clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    /// Rung when a new connection turned out to commit asynchronously.
    commits_asynchronously: Arc<Notify>,
    warnings: Warnings,
}

impl Store {
    /// A store that connects when it is first asked something, so that the service can start
    /// while Postgres is away. Must be called within a Tokio runtime.
    ///
    /// Getting a connection, from the pool or a new one, takes `connect_timeout` at most.
    pub fn new(url: &str, max_connections: u32, connect_timeout: Duration) -> Result<Self, Error> {
        let commits_asynchronously = Arc::new(Notify::new());
        let alarm = Arc::clone(&commits_asynchronously);
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(connect_timeout)
            // One round trip more for each use, so that a restart of Postgres costs no caller
            // an error for each connection that died with it.
            .test_before_acquire(true)
            .after_connect(move |connection, _| {
                let alarm = Arc::clone(&alarm);
                Box::pin(async move { prepare(connection, &alarm).await })
            })
            .connect_lazy_with(connect_options(url)?);
        Ok(Self { pool, commits_asynchronously, warnings: Warnings::new() })
    }

    /// Opens connections from now on by another URL: the password was changed. Those that are
    /// open stay.
    pub fn change_url(&self, url: &str) -> Result<(), Error> {
        self.pool.set_connect_options(connect_options(url)?);
        Ok(())
    }

    /// How many connections there are now, for the metrics.
    #[must_use]
    pub fn connections(&self) -> Connections {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        Connections {
            idle,
            in_use: self.pool.size().saturating_sub(idle),
            max: self.pool.options().get_max_connections(),
        }
    }

    /// Asks Postgres for a sign of life; what it answers besides is not looked at.
    #[tracing::instrument(name = "store.ping", skip_all)]
    pub async fn ping(&self) -> Result<(), Error> {
        let mut lease = self.lease().await?;
        lease::answered(sqlx::query("select 1").execute(&mut *lease)).await?;
        lease.give_back();
        Ok(())
    }

    /// Closes every connection; what is asked afterwards fails.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The connections of a [`Store`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Open and waiting for work.
    pub idle: u32,
    /// At work.
    pub in_use: u32,
    /// How many there may be.
    pub max: u32,
}

fn connect_options(url: &str) -> Result<PgConnectOptions, Error> {
    let options: PgConnectOptions = url.parse().map_err(Error::IllegalUrl)?;
    // A name in the URL tells apart services that share a database.
    let is_named = options.get_application_name().is_some();
    Ok(if is_named { options } else { options.application_name("waybill") })
}

/// A sequence as a `bigint`. No channel lives long enough to number a message beyond that.
fn bigint(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// Refuses a connection on which a commit could be lost, and bounds what may go wrong on it:
/// a statement takes milliseconds, so 30 s mean that something is stuck (a commit that waits for
/// a synchronous standby is not counted by Postgres); the only locks met are those of another
/// writer's batch, so 10 s mean that an operator holds the table. How commits are done is fixed
/// for as long as the connection lives, whatever is reloaded meanwhile.
async fn prepare(connection: &mut PgConnection, alarm: &Notify) -> sqlx::Result<()> {
    let (synchronous_commit, _, _): (String, String, String) = sqlx::query_as(
        "select set_config('synchronous_commit', current_setting('synchronous_commit'), false), \
         set_config('statement_timeout', '30s', false), set_config('lock_timeout', '10s', false)",
    )
    .fetch_one(connection)
    .await?;
    if synchronous_commit == "off" {
        // The pool would keep trying until its timeout and then name the timeout only.
        alarm.notify_waiters();
        return Err(sqlx::Error::Configuration(Box::new(Error::SynchronousCommitOff)));
    }
    Ok(())
}
