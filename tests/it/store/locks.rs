//! Migrations while somebody else holds a lock.

use sqlx::migrate::Migrate as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use testbed::{Database, Postgres, eventually};
use waybill::store::{Class, Error};

use super::{CONNECT_TIMEOUT, SHORT_LOCK_TIMEOUT, migrated};
use crate::service::{PATIENCE, World};

/// A session like one that a pooler keeps after its client is gone.
async fn idle_session(database: &Database) -> (PgConnection, i32) {
    let options: PgConnectOptions = database.owner_url.parse().expect("a URL");
    let mut idle = options.application_name("old pooler").connect().await.expect("connected");
    let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut idle).await;
    (idle, pid.expect("a pid"))
}

async fn migrate(database: &Database) -> Result<(), Error> {
    let roles = super::runtime(database);
    waybill::store::migrate(&database.owner_url, roles, CONNECT_TIMEOUT, SHORT_LOCK_TIMEOUT).await
}

fn names_the_holder(error: &Error, pid: i32, state: &str) {
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    let text = error.to_string();
    let holder = format!(" held by pid {pid} (application 'old pooler', user '");
    assert!(text.contains(&holder) && text.contains(&format!("', {state} since 20")), "{text}");
    // Nobody who waits as well, such as another replica.
    assert_eq!(text.matches("pid ").count(), 1, "{text}");
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
async fn of_several_who_wait_each_names_the_holder_and_not_the_others() {
    let database = Postgres::shared().await.expect("Postgres").database().await.expect("one");
    let (mut idle, pid) = idle_session(&database).await;
    idle.lock().await.expect("the lock of migrations");
    let (one, another, third) =
        tokio::join!(migrate(&database), migrate(&database), migrate(&database));
    for waited in [one, another, third] {
        names_the_holder(&waited.expect_err("it is held"), pid, "idle");
    }
    idle.close().await.expect("closed");
}

#[tokio::test]
async fn who_locks_a_table_of_the_schema_is_named() {
    let without_views = "drop view order_details, order_deliveries, order_payments, order_items;
        drop function rfc3339_to_timestamptz; alter table orders drop column source; drop table erasures, audit_records, primaries, repairs; drop function remove_erased_orders,
        lock_for_erasure, erase_orders; delete from _sqlx_migrations where version > 1";
    for table in ["_sqlx_migrations", "orders"] {
        let database = migrated().await;
        super::owner(&database, without_views).await;
        let (mut idle, pid) = idle_session(&database).await;
        let lock = format!("begin; lock table {table} in access exclusive mode");
        sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut idle).await.expect("locked");
        let error = migrate(&database).await.expect_err(table);
        names_the_holder(&error, pid, "idle in transaction");
        idle.close().await.expect("closed");
        migrate(&database).await.expect("it is free");
    }
}

#[tokio::test]
async fn a_prepared_transaction_that_holds_a_table_is_named() {
    let postgres = Postgres::start_with(&[("max_prepared_transactions", "1")]).await;
    let postgres = postgres.expect("Postgres");
    let database = postgres.database().await.expect("a database");
    super::migrate(&database).await;
    super::owner(&database, "begin; lock table _sqlx_migrations; prepare transaction 'forgotten'")
        .await;
    let error = migrate(&database).await.expect_err("it is held").to_string();
    assert!(error.ends_with("held by a prepared transaction (see pg_prepared_xacts)"), "{error}");
    super::owner(&database, "rollback prepared 'forgotten'").await;
    migrate(&database).await.expect("it is free");
}

#[tokio::test]
async fn the_command_ends_and_a_replica_goes_on_waiting_and_says_for_whom() {
    let world = World::new().await;
    let (mut idle, pid) = idle_session(&world.database).await;
    idle.lock().await.expect("the lock of migrations");
    let holder = format!("held by pid {pid} (application 'old pooler'");

    let (code, _, errors) = world.run(&["migrate", "--lock-timeout", "2s"]).await;
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("the schema is not brought up to date") && errors.contains(&holder));

    let replica = world.start("waits", &[]).await;
    eventually("/readyz says who holds the lock", PATIENCE, async || {
        replica.admin("/readyz").await.text().contains(&holder).then_some(())
    })
    .await;
    assert!(replica.process.log().contains(&holder), "{}", replica.process.log());
    idle.close().await.expect("closed");
    replica.until_ready().await;
}
