//! Whether a migration would find anything to do.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;

use super::{MIGRATOR, Roles};
use crate::store::Error;

/// Whether every migration of this version is applied as it is, and `roles` have what they need.
pub(super) async fn is_current(
    connection: &mut PgConnection,
    roles: Roles<'_>,
) -> Result<bool, Error> {
    let is_there =
        sqlx::query_scalar!("select to_regclass('_sqlx_migrations') is not null as \"is_there!\"");
    if !is_there.fetch_one(&mut *connection).await? {
        return Ok(false);
    }
    let applied = sqlx::query!("select version, checksum from _sqlx_migrations where success");
    let applied: HashMap<i64, Vec<u8>> = applied
        .map(|migration| (migration.version, migration.checksum))
        .fetch_all(&mut *connection)
        .await?
        .into_iter()
        .collect();
    let mut wanted =
        MIGRATOR.iter().filter(|migration| !migration.migration_type.is_down_migration());
    let are_applied = wanted.all(|migration| {
        applied.get(&migration.version).is_some_and(|checksum| **checksum == *migration.checksum)
    });
    if !are_applied {
        return Ok(false);
    }
    for (role, rights) in roles.rights() {
        if !rights.are_granted(connection, role).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
