//! Migrations while somebody else holds a lock.

use sqlx::migrate::Migrate as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use testbed::{Database, Postgres};
use waybill::store::{Class, Error};

use super::{CONNECT_TIMEOUT, SHORT_LOCK_TIMEOUT, migrated};

/// A session like one that a pooler keeps after its client is gone.
async fn idle_session(database: &Database) -> (PgConnection, i32) {
    let options: PgConnectOptions = database.owner_url.parse().expect("a URL");
    let mut idle = options.application_name("old pooler").connect().await.expect("connected");
    let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut idle).await;
    (idle, pid.expect("a pid"))
}

async fn migrate(database: &Database) -> Result<(), Error> {
    let role = Some(database.runtime_role.as_str());
    waybill::store::migrate(&database.owner_url, role, CONNECT_TIMEOUT, SHORT_LOCK_TIMEOUT).await
}

fn names_the_holder(error: &Error, pid: i32, state: &str) {
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    let text = error.to_string();
    let holder = format!("held by pid {pid} (application 'old pooler', user '");
    assert!(text.contains(&holder) && text.contains(&format!("', {state} since 20")), "{text}");
}

#[tokio::test]
async fn who_holds_the_migration_lock_is_named_and_the_wait_ends() {
    let database = Postgres::shared().await.expect("Postgres").database().await.expect("one");
    let (mut idle, pid) = idle_session(&database).await;
    idle.lock().await.expect("the lock of migrations");
    names_the_holder(&migrate(&database).await.expect_err("it is held"), pid, "idle");
    idle.close().await.expect("closed");
    migrate(&database).await.expect("it is free");
}

#[tokio::test]
async fn a_schema_that_is_complete_needs_no_lock() {
    let database = migrated().await;
    let (mut idle, pid) = idle_session(&database).await;
    idle.lock().await.expect("the lock of migrations");
    migrate(&database).await.expect("nothing is missing");

    let revoke = format!("revoke insert on orders from {}", database.runtime_role);
    super::owner(&database, &revoke).await;
    names_the_holder(&migrate(&database).await.expect_err("a grant is missing"), pid, "idle");
    idle.close().await.expect("closed");
    migrate(&database).await.expect("it is granted");
}

#[tokio::test]
async fn who_locks_a_table_of_the_schema_is_named() {
    let database = migrated().await;
    let (mut idle, pid) = idle_session(&database).await;
    sqlx::raw_sql("begin; lock table _sqlx_migrations in access exclusive mode")
        .execute(&mut idle)
        .await
        .expect("locked");
    names_the_holder(&migrate(&database).await.expect_err("held"), pid, "idle in transaction");
    idle.close().await.expect("closed");
    migrate(&database).await.expect("it is free");
}
