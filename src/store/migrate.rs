//! Bringing the schema up to date, and letting the runtime role use it.

use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::{Migrate, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use super::{Error, connect_options, session};

/// The migrations in `migrations/`. Those of a newer version are let be: during a rollout, and
/// after a rollback, an older replica still has to start.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_ignore_missing(true);
    migrator
});

/// Applies the missing migrations as the owner of the schema and grants `runtime_role` what the
/// service needs. Any number of replicas may do this at once: all but one wait.
pub async fn migrate(
    url: &str,
    runtime_role: Option<&str>,
    connect_timeout: Duration,
) -> Result<(), Error> {
    let options = connect_options(url)?;
    // The lock belongs to the session: in one that is shared it would never be released.
    session::refuse_shared(&options, connect_timeout).await?;
    let connecting = PgConnection::connect_with(&options);
    let mut connection = tokio::time::timeout(connect_timeout, connecting)
        .await
        .map_err(|_| Error::Retry(Error::silent(connect_timeout)))??;
    // The migrator takes this lock too, and gives it back, but two grants on one table at once
    // would fail as well. The session holds the lock as often as it was taken.
    connection.lock().await?;
    MIGRATOR.run(&mut connection).await?;
    if let Some(role) = runtime_role {
        grant_runtime_role(&mut connection, role).await?;
    }
    connection.close().await?;
    Ok(())
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
