//! Whether a migration would find anything to do.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;

use super::MIGRATOR;
use crate::store::Error;

/// Whether every migration of this version is applied as it is, and `runtime_role` has what the
/// service needs.
pub(super) async fn is_current(
    connection: &mut PgConnection,
    runtime_role: Option<&str>,
) -> Result<bool, Error> {
    let is_there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !is_there {
        return Ok(false);
    }
    let applied: HashMap<i64, Vec<u8>> =
        sqlx::query_as("select version, checksum from _sqlx_migrations where success")
            .fetch_all(&mut *connection)
            .await?
            .into_iter()
            .collect();
    let mut wanted =
        MIGRATOR.iter().filter(|migration| !migration.migration_type.is_down_migration());
    let are_applied = wanted.all(|migration| {
        applied.get(&migration.version).is_some_and(|checksum| **checksum == *migration.checksum)
    });
    match runtime_role {
        Some(role) if are_applied => is_granted(connection, role).await,
        _ => Ok(are_applied),
    }
}

/// Whether all that `grant_runtime_role` grants is granted; not when there is no such role.
async fn is_granted(connection: &mut PgConnection, role: &str) -> Result<bool, Error> {
    let granted = sqlx::query_scalar(
        "select has_schema_privilege(r.oid, current_schema(), 'usage') \
             and has_function_privilege(r.oid, 'rfc3339_to_timestamptz(text)', 'execute') \
             and (select bool_and(has_table_privilege(r.oid, relation, privilege)) \
                 from (values ('orders', 'select'), ('orders', 'insert'), \
                     ('rejected_messages', 'select'), ('rejected_messages', 'insert'), \
                     ('rejected_messages', 'delete'), ('order_details', 'select'), \
                     ('order_deliveries', 'select'), ('order_payments', 'select'), \
                     ('order_items', 'select'), ('_sqlx_migrations', 'select') \
                 ) as needed (relation, privilege)) \
         from pg_roles r where r.rolname = $1",
    );
    let granted: Option<bool> = granted.bind(role).fetch_optional(connection).await?;
    Ok(granted.unwrap_or(false))
}
