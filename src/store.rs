//! Everything the service asks of Postgres: all SQL is here and in `migrations/`.

mod audit;
mod bisect;
mod compare;
mod connection;
mod copy_binary;
mod copy_in;
mod erasures;
mod error;
mod follow;
mod grants;
mod lookup;
mod migrate;
mod newest;
mod orders;
mod primaries;
mod reach;
mod rejects;
mod replication;
mod servers;
mod session;
mod traced;
mod warm_up;
mod warnings;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

pub use compare::{Claim, Standing};
use connection::OnAcquire;
use copy_in::CopyGate;
pub use copy_in::copy_stream;
pub use erasures::{Erased, Erasure, StreamMessage, Traces};
pub use error::{Class, Error, classify};
pub use follow::{Cursor, Followed};
pub use lookup::Found;
pub use migrate::{MIGRATOR, Roles, migrate};
pub use newest::StoredOrder;
pub use orders::{NewOrder, Outcome};
pub use primaries::{Gone, Noted, Primary, Repair, RepairClaim, RepairProgress, Standpoint};
pub use reach::Unreachable;
pub use rejects::{Direction, KeptReject, NewReject, RejectFilter, RejectSpan, RejectsMeasured};
use servers::{Named, Servers};
pub use session::SETTINGS;
pub use warm_up::{Progress, WarmUp};
use warnings::Warnings;

/// The orders and rejects in Postgres. Clones share one pool of connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    acquired: OnAcquire,
    warnings: Warnings,
    copy_gate: CopyGate,
    servers: Servers,
}

impl Store {
    /// A store that connects when it is first asked something, so that the service can start
    /// while Postgres is away. Must be called within a Tokio runtime.
    ///
    /// Getting a connection, from the pool or a new one, takes `connect_timeout` at most.
    pub fn new(url: &str, max_connections: u32, connect_timeout: Duration) -> Result<Self, Error> {
        let named = Named::parse(url)?;
        let first = named.servers[0].clone();
        let servers = Servers::new(named);
        let (acquiring, connecting) = (servers.clone(), servers.clone());
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(connect_timeout)
            // One round trip more for each use, so that a restart of Postgres costs no caller
            // an error for each connection that died with it.
            .test_before_acquire(true)
            .before_acquire(move |_, known| {
                Box::pin(std::future::ready(Ok(acquiring.is_fresh(known.age))))
            })
            .after_connect(move |connection, _| {
                let servers = connecting.clone();
                Box::pin(async move { session::prepare_for_pool(connection, &servers).await })
            })
            .connect_lazy_with(first);
        Ok(Self {
            pool,
            acquired: OnAcquire::default(),
            warnings: Warnings::new(),
            copy_gate: CopyGate::default(),
            servers,
        })
    }

    /// Tells `observe` how long each wait for a connection took, whether there was one or not.
    #[must_use]
    pub fn on_acquire(self, observe: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { acquired: OnAcquire::new(observe), ..self }
    }

    /// Opens connections from now on by another URL: the password was changed. Those that are
    /// open stay.
    pub fn change_url(&self, url: &str) -> Result<(), Error> {
        self.pool.set_connect_options(self.servers.rename(Named::parse(url)?));
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

    /// Asks Postgres for a sign of life, and whether the orders may be read.
    pub async fn ping(&self) -> Result<(), Error> {
        let query = sqlx::query!("select from orders limit 1");
        self.run("SELECT orders", async |connection| query.execute(connection).await).await?;
        Ok(())
    }

    /// Says whether this login can do what the service does: read, and if `writes`, write.
    pub async fn check_access(&self, writes: bool) -> Result<(), Error> {
        self.look_for_server().await;
        let connect_timeout = self.pool.options().get_acquire_timeout();
        session::refuse_shared(&self.pool.connect_options(), connect_timeout).await?;
        self.run("SELECT", async |connection| {
            migrate::refuse_other_encodings(connection).await?;
            grants::check(connection, writes).await
        })
        .await
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
    /// Lent to somebody who asks or writes.
    pub in_use: u32,
    /// How many there may be.
    pub max: u32,
}

/// What the driver needs for the URL of one server.
fn one_server(url: &str) -> Result<PgConnectOptions, Error> {
    let options: PgConnectOptions = url.parse().map_err(Error::InvalidUrl)?;
    // A PgBouncer knows nothing of extra_float_digits and refuses it; there are no floats here.
    let options = options.extra_float_digits(None);
    // A name in the URL tells apart services that share a database.
    let is_named = options.get_application_name().is_some();
    Ok(if is_named { options } else { options.application_name("waybill") })
}

/// A sequence as a `bigint`. No channel lives long enough to number a message beyond that.
fn bigint(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}
