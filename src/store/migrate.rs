//! Bringing the schema up to date, and letting the runtime role use it.

mod current;
mod encoding;
mod holders;
mod version;

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::timeout;

use super::{Error, connect_options, session};
pub(super) use encoding::refuse_other_encodings;

/// The migrations in `migrations/`. Those of a newer version are ignored: during a rollout, and
/// after a rollback, an older replica still has to start.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_ignore_missing(true);
    migrator
});

/// Applies the missing migrations as the owner of the schema and grants `runtime_role` what the
/// service needs. Any number of replicas may do this at once: all but one wait. Where nothing is
/// missing no lock is taken.
///
/// # Errors
/// [`Error::Locked`], with who holds it, when a lock is not to be had within `lock_timeout`.
pub async fn migrate(
    url: &str,
    runtime_role: Option<&str>,
    connect_timeout: Duration,
    lock_timeout: Duration,
) -> Result<(), Error> {
    let options = connect_options(url)?;
    // The lock belongs to the session: in one that is shared it would never be released.
    session::refuse_shared(&options, connect_timeout).await?;
    let mut connection = connect(&options, connect_timeout).await?;
    // Postgres itself ends the wait: a session whose client is gone would go on waiting, and
    // keep everybody else off the table meanwhile. 0 would mean no bound.
    let (pid, _, _): (i32, String, String) = sqlx::query_as(
        "select pg_backend_pid(), set_config('lock_timeout', $1, false), \
             set_config('statement_timeout', '0', false)",
    )
    .bind(format!("{}ms", lock_timeout.as_millis().max(1)))
    .fetch_one(&mut connection)
    .await?;
    let mut holders = None;
    let applied = tokio::select! {
        applied = apply(&mut connection, runtime_role) => applied,
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

async fn connect(
    options: &PgConnectOptions,
    connect_timeout: Duration,
) -> Result<PgConnection, Error> {
    let connected = timeout(connect_timeout, PgConnection::connect_with(options)).await;
    Ok(connected.map_err(|_| Error::Retry(Error::silent(connect_timeout)))??)
}

async fn apply(connection: &mut PgConnection, runtime_role: Option<&str>) -> Result<(), Error> {
    version::refuse_old_servers(connection.server_version_num())?;
    refuse_other_encodings(connection).await?;
    if current::is_current(connection, runtime_role).await? {
        return Ok(());
    }
    // The migrator takes this lock too, and gives it back, but two grants on one table at once
    // would fail as well. The session holds the lock as often as it was taken.
    connection.lock().await?;
    MIGRATOR.run(&mut *connection).await?;
    if let Some(role) = runtime_role {
        grant_runtime_role(connection, role).await?;
    }
    Ok(())
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("55P03")
}

/// Grants what the service needs, and no more: it may add orders but never change or remove one.
async fn grant_runtime_role(connection: &mut PgConnection, role: &str) -> Result<(), Error> {
    // A statement that grants takes no parameters: the server itself quotes the names for it.
    let grants: String = sqlx::query_scalar(
        "select format( \
             'grant usage on schema %2$I to %1$I; \
              grant select, insert on orders to %1$I; \
              grant select, insert, delete on rejected_messages to %1$I; \
              grant select on order_details, order_deliveries, order_payments, order_items, \
                  _sqlx_migrations to %1$I; \
              grant execute on function rfc3339_to_timestamptz(text) to %1$I', \
             $1::text, current_schema())",
    )
    .bind(role)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::raw_sql(AssertSqlSafe(grants)).execute(&mut *connection).await?;
    Ok(())
}
