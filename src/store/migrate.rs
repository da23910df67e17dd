//! Bringing the schema up to date, and letting the runtime role use it.

mod current;
mod encoding;
mod holders;
mod version;

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::Connection;
use sqlx::error::DatabaseError;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::timeout;

use super::grants::Rights;
use super::servers::Named;
use super::{Error, session};
pub(super) use encoding::refuse_other_encodings;

/// The migrations in `migrations/`. Those of a newer version are ignored: during a rollout, and
/// after a rollback, an older replica still has to start.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_ignore_missing(true);
    migrator
});

/// The roles that migrations grant what they need, beside that of the owner.
#[derive(Debug, Clone, Copy, Default)]
pub struct Roles<'a> {
    /// The role that the service works as.
    pub runtime: Option<&'a str>,
    /// The role that erases orders.
    pub erase: Option<&'a str>,
}

impl Roles<'_> {
    /// Each role with what it needs.
    fn rights(&self) -> impl Iterator<Item = (&str, Rights)> {
        let service = self.runtime.map(|role| (role, Rights::of_service()));
        let erasing = self.erase.map(|role| (role, Rights::of_erasing()));
        service.into_iter().chain(erasing)
    }
}

/// Applies the missing migrations as the owner of the schema and grants `roles` what they
/// need. Any number of replicas may do this at once: all but one wait. Where nothing is
/// missing no lock is taken.
///
/// # Errors
/// [`Error::Locked`], with who holds it, when a lock is not to be had within `lock_timeout`.
pub async fn migrate(
    url: &str,
    roles: Roles<'_>,
    connect_timeout: Duration,
    lock_timeout: Duration,
) -> Result<(), Error> {
    let named = Named::parse(url)?;
    let server = if named.servers.len() > 1 { named.choose().await } else { None };
    let options = named.servers[server.unwrap_or(0)].clone();
    // The lock belongs to the session: in one that is shared it would never be released.
    session::refuse_shared(&options, connect_timeout).await?;
    let mut connection = connect(&options, connect_timeout).await?;
    // Postgres itself ends the wait: a session whose client is gone would go on waiting, and
    // keep everybody else off the table meanwhile. 0 would mean no bound.
    let session = sqlx::query!(
        "select pg_backend_pid() as \"pid!\", set_config('lock_timeout', $1, false), \
             set_config('statement_timeout', '0', false) as unlimited",
        format!("{}ms", lock_timeout.as_millis().max(1)),
    );
    let pid = session.fetch_one(&mut connection).await?.pid;
    let mut holders = None;
    let applied = tokio::select! {
        applied = apply(&mut connection, roles) => applied,
        never = holders::watch(&options, connect_timeout, pid, &mut holders) => match never {},
    };
    match applied {
        Err(Error::Retry(error)) if is_lock_timeout(&error) => {
            let unknown = || "a session that could not be determined".to_owned();
            return Err(Error::Locked(holders.unwrap_or_else(unknown)));
        }
        applied => applied?,
    }
    connection.close().await?;
    Ok(())
}

pub(super) async fn connect(
    options: &PgConnectOptions,
    connect_timeout: Duration,
) -> Result<PgConnection, Error> {
    let connected = timeout(connect_timeout, PgConnection::connect_with(options)).await;
    Ok(connected.map_err(|_| Error::Retry(Error::silent(connect_timeout)))??)
}

async fn apply(connection: &mut PgConnection, roles: Roles<'_>) -> Result<(), Error> {
    version::refuse_old_servers(connection.server_version_num())?;
    refuse_other_encodings(connection).await?;
    if current::is_current(connection, roles).await? {
        return Ok(());
    }
    // The migrator takes this lock too, and gives it back, but two grants on one table at once
    // would fail as well. The session holds the lock as often as it was taken.
    connection.lock().await?;
    MIGRATOR.run(&mut *connection).await?;
    for (role, rights) in roles.rights() {
        rights.grant(connection, role).await?;
    }
    Ok(())
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("55P03")
}
