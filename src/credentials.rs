//! Follows the file that holds the URL of Postgres, so that a new password needs no restart.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::{Database, Secret};
use crate::retry::LastError;
use crate::store::Store;

/// Time between two looks at the file, which lies in memory or on a local disk.
const INTERVAL: Duration = Duration::from_secs(1);

/// Hands the store what `database.url_file` holds, whenever that is another URL than `used`,
/// until `stop`.
pub async fn follow(database: Database, mut used: Secret, store: Store, stop: CancellationToken) {
    let mut last_error = LastError::default();
    while stop.run_until_cancelled(sleep(INTERVAL)).await.is_some() {
        let changed = database.url().and_then(|url| {
            if url == used {
                return Ok(());
            }
            store.change_url(url.expose())?;
            used = url;
            tracing::info!("New connections to Postgres use the new content of database.url_file");
            Ok(())
        });
        // A file that is just being replaced may be away or torn.
        match changed.map_err(|error| format!("{error:#}")) {
            Err(error) if last_error.changes_to(&error) => {
                tracing::warn!(error, "Connections to Postgres go on with the URL known");
            }
            Err(_) => {}
            Ok(()) => _ = last_error.ends(),
        }
    }
}
