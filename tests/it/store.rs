//! The store against a real Postgres.

mod bisect;
mod concurrency;
mod connections;
mod copy_in;
mod encoding;
mod erasures;
mod follow;
mod locks;
mod migrations;
mod model;
mod newest;
mod orders;
mod pooler;
mod primaries;
mod rejects;
mod replication;
mod roles;
mod session;
mod tables;
mod views;
mod warm_up;

use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use testbed::{Database, Postgres};
use waybill::store::{NewOrder, Roles, Store};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);
/// For a test in which the lock is not to be had.
const SHORT_LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// An empty database with the schema in it.
async fn migrated() -> Database {
    let postgres = Postgres::shared().await.expect("the test's Postgres starts");
    let database = postgres.database().await.expect("a database is made");
    migrate(&database).await;
    database
}

async fn migrate(database: &Database) {
    let (url, roles) = (&database.owner_url, runtime(database));
    waybill::store::migrate(url, roles, CONNECT_TIMEOUT, LOCK_TIMEOUT)
        .await
        .expect("the migrations apply");
}

fn runtime(database: &Database) -> Roles<'_> {
    Roles { runtime: Some(&database.runtime_role), ..Roles::default() }
}

/// The store as the service opens it, with the runtime role.
fn open(database: &Database) -> Store {
    Store::new(&database.url, 8, CONNECT_TIMEOUT).expect("the URL is one")
}

/// Runs SQL as the owner of the schema.
async fn owner(database: &Database, sql: &str) {
    execute(&database.owner_url, sql).await.expect(sql);
}

async fn execute(url: &str, sql: &str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    connection.close().await
}

fn order<'a>(uid: &'a str, document: &'a str, sequence: u64) -> NewOrder<'a> {
    NewOrder { uid, document: document.as_bytes(), sequence, source: None }
}
