//! Waiting for a schema that this version can use, and bringing it up to date.

use std::time::Duration;

use anyhow::Context as _;
use backon::Retryable as _;
use tokio::time::Instant;

use crate::config::{Database, Secret, Settings};
use crate::health::{Health, Phase};
use crate::retry::{self, LastError};
use crate::store::{self, Roles, Store};

/// Time between two attempts to use or migrate the schema.
const RETRY: Duration = Duration::from_secs(1);

/// How long one attempt waits for a lock; it is reported then who holds it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it waits at least, so that there is time to see who holds it.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// Migrates if the settings say so, and waits until Postgres can be used, however long that is.
///
/// # Errors
/// A setting that is wrong, which waiting would not change.
pub(crate) async fn until_usable(
    settings: &Settings,
    store: &Store,
    health: &Health,
) -> anyhow::Result<()> {
    let may_pass =
        |error: &anyhow::Error| !error.downcast_ref().is_some_and(store::Error::is_wrong_setting);
    let mut last_error = LastError::default();
    let report = |error: &anyhow::Error, _| {
        let error = format!("{error:#}");
        if last_error.changes_to(&error) {
            tracing::warn!(error, "Postgres or its schema cannot be used yet; retrying");
            health.enter(Phase::Preparing(Some(error)));
        }
    };
    let attempts = (|| attempt(settings, store)).retry(retry::every(RETRY));
    attempts.when(may_pass).notify(report).await
}

/// An error may also be that of a URL's file which is just being replaced.
async fn attempt(settings: &Settings, store: &Store) -> anyhow::Result<()> {
    let database = &settings.database;
    if database.migrate {
        apply(database, &database.migrate_url()?, LOCK_TIMEOUT).await?;
    }
    Ok(store.check_access(settings.ingest.enabled).await?)
}

/// Applies what is missing of the schema as the owner role.
///
/// # Errors
/// Postgres cannot be reached or refuses it, or a lock is held by others for `lock_timeout`.
pub(crate) async fn migrate(database: &Database, lock_timeout: Duration) -> anyhow::Result<()> {
    let url = database.migrate_url()?;
    let began = Instant::now();
    let attempt = async || {
        let left = lock_timeout.saturating_sub(began.elapsed());
        let wait = left.clamp(SHORTEST_WAIT, LOCK_TIMEOUT);
        apply(database, &url, wait).await
    };
    let may_pass = |error: &store::Error| {
        matches!(error, store::Error::Locked(_)) && began.elapsed() < lock_timeout
    };
    let mut last_error = LastError::default();
    let report = |error: &store::Error, _| {
        let error = error.to_string();
        if last_error.changes_to(&error) {
            tracing::warn!(error, "The schema is not brought up to date yet; waiting");
        }
    };
    let attempts = attempt.retry(retry::every(Duration::ZERO)).when(may_pass).notify(report);
    attempts.await.context("the schema is not brought up to date")
}

async fn apply(database: &Database, url: &Secret, wait: Duration) -> Result<(), store::Error> {
    let roles =
        Roles { runtime: database.runtime_role.as_deref(), erase: database.erase_role.as_deref() };
    store::migrate(url.expose(), roles, database.connect_timeout, wait).await
}
