//! Who holds the locks that a migration waits for.

use std::convert::Infallible;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::sleep;

use super::connect;
use crate::store::Error;

/// Time between two looks. A wait of less goes unexplained.
const INTERVAL: Duration = Duration::from_millis(250);

/// Writes into `holders` who keeps the session `waiting` waiting, for as long as it is polled:
/// when the wait is over, it can no longer be seen.
pub(super) async fn watch(
    options: &PgConnectOptions,
    connect_timeout: Duration,
    waiting: i32,
    holders: &mut Option<String>,
) -> Infallible {
    loop {
        sleep(INTERVAL).await;
        let Ok(mut connection) = connect(options, connect_timeout).await else { continue };
        while let Ok(found) = find(&mut connection, waiting).await {
            if !found.is_empty() {
                *holders = Some(found.join(", "));
            }
            sleep(INTERVAL).await;
        }
    }
}

/// Those who wait themselves are followed to the sessions that wait for nobody: of several
/// replicas in a queue, each names the cause and none names another replica.
async fn find(connection: &mut PgConnection, waiting: i32) -> Result<Vec<String>, Error> {
    // Of other roles' sessions a role without pg_read_all_stats sees the number and the names;
    // what is hidden, and what a background process does not have, is null and left out.
    let holders = sqlx::query_scalar!(
        "with recursive holder (pid) as ( \
             select unnest(pg_blocking_pids($1)) \
             union \
             select unnest(pg_blocking_pids(pid)) from holder \
         ) \
         select case pid when 0 then 'a prepared transaction (see pg_prepared_xacts)' else \
             concat('pid ', pid, ' (', concat_ws(', ', \
                 'application ' || quote_literal(application_name), \
                 coalesce('user ' || quote_literal(usename), backend_type), \
                 state || ' since ' || \
                     to_char(state_change at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC' \
             ), ')') end as \"holder!\" \
         from holder left join pg_stat_activity using (pid) \
         where cardinality(pg_blocking_pids(pid)) = 0 order by pid",
        waiting,
    );
    Ok(holders.fetch_all(connection).await?)
}
