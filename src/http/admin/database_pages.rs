//! What the pages that read from Postgres have in common: few of them at once, and not for long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::log_limit::LogLimit;
use crate::store::{Error, Store};

/// How long a page may wait for its turn and for Postgres.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pages that may ask Postgres at the same time: the writers need its connections more.
const AT_ONCE: usize = 2;

/// When to ask again where Postgres did not answer, in seconds.
pub(super) const RETRY_AFTER: u32 = 5;

/// The store, asked for pages. Clones share their turns.
#[derive(Debug, Clone)]
pub(super) struct DatabasePages {
    pub(super) store: Store,
    turns: Arc<Semaphore>,
    limit: Arc<LogLimit>,
}

impl DatabasePages {
    pub(super) fn new(store: Store) -> Self {
        Self { store, turns: Arc::new(Semaphore::new(AT_ONCE)), limit: Arc::default() }
    }

    /// Waits for an answer of Postgres, but not for long; the reason when there is none.
    pub(super) async fn ask<T>(
        &self,
        query: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, String> {
        let turn = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await.ok();
            query.await
        };
        let reason = match timeout(PATIENCE, turn).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("postgres gave no answer within {PATIENCE:?}"),
        };
        if let Some(held_back) = self.limit.due() {
            tracing::warn!(error = reason, held_back, "A page of the admin port cannot be shown");
        }
        Err(reason)
    }
}
