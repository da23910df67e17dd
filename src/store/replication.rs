//! Waiting for the synchronous standbys, where a commit has not done so itself.
//!
//! A new row is on the standbys when its commit returns. A row that was there already proves
//! nothing of the kind: the connection that wrote it may have died in the wait, which leaves the
//! row committed here alone. So before such a row counts as a fact, a transaction is committed
//! that comes after it in the log and waits.

use sqlx::postgres::PgConnection;

use super::connection::with_timeout;
use super::{Error, Store};

impl Store {
    /// Returns when the synchronous standbys have everything that is visible now; at once when
    /// there are none.
    pub(super) async fn until_replicated(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), Error> {
        let backend = sqlx::query_scalar!(
            "select pg_backend_pid() as \"pid!\" where current_setting('synchronous_standby_names') <> ''",
        );
        let backend = with_timeout(backend.fetch_optional(&mut *connection));
        let Some(backend) = self.traced("SELECT", backend).await? else { return Ok(()) };
        // A transaction that writes nothing to the log would not wait.
        let message =
            sqlx::query!("select pg_logical_emit_message(true, 'waybill', '') is null as written");
        let message = with_timeout(message.fetch_one(connection));
        let message = self.traced("SELECT pg_logical_emit_message", message);
        let (answer, warned) = self.warnings.capture(message).await;
        if let Err(error) = answer {
            self.end_wait_of(backend).await;
            return Err(error.into());
        }
        if warned { Err(Error::CutShort) } else { Ok(()) }
    }

    /// Ends a backend whose wait nobody attends any more: it would not notice on its own, and
    /// those of many attempts would use up the server's connections.
    async fn end_wait_of(&self, backend: i32) {
        // The number may be another's by now, but only of this role can it be ended.
        let end = sqlx::query_scalar!(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where pid = $1 and wait_event = 'SyncRep' \
                 and application_name = current_setting('application_name')",
            backend,
        );
        // If it cannot be reached, the server ends the wait with the connection it belongs to.
        let _ = self
            .run("SELECT pg_terminate_backend", async |connection| {
                end.fetch_optional(connection).await
            })
            .await;
    }
}
