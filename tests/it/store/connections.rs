//! What the store makes of a Postgres that is away, restarted, or set wrongly.

use std::time::{Duration, Instant};

use testbed::Postgres;
use waybill::store::{Class, Error, Found, Outcome, Store};

use super::{CONNECT_TIMEOUT, execute, migrate, migrated, open, order, owner};

#[tokio::test]
async fn a_store_is_made_while_postgres_is_away_and_says_so_in_time() {
    let nobody = "postgres://waybill@127.0.0.1:1/waybill";
    let timeout = Duration::from_millis(300);
    let store = Store::new(nobody, 2, timeout).unwrap();
    let start = Instant::now();
    let error = store.find("a").await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    assert!(!error.is_wrong_setting());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_is_not_a_url_is_a_wrong_setting() {
    let error = Store::new("postgres://:not a port/", 2, CONNECT_TIMEOUT).unwrap_err();
    assert!(error.is_wrong_setting(), "{error:?}");
}

#[tokio::test]
async fn asynchronous_commits_are_refused_as_a_wrong_setting() {
    let database = migrated().await;
    let role = format!("alter role {} in database {}", database.runtime_role, database.name);
    let superuser = Postgres::shared().await.unwrap().superuser_url();
    execute(&superuser, &format!("{role} set synchronous_commit = off")).await.unwrap();

    let store = open(&database);
    let start = Instant::now();
    let error = store.insert_orders(&[order("a", "{}", 1)]).await.unwrap_err();
    assert!(matches!(error, Error::SynchronousCommitOff), "{error:?}");
    assert!(error.is_wrong_setting());
    assert!(start.elapsed() < CONNECT_TIMEOUT / 2, "{:?}", start.elapsed());

    execute(&superuser, &format!("{role} set synchronous_commit = local")).await.unwrap();
    let outcomes = store.insert_orders(&[order("a", "{}", 1)]).await;
    assert_eq!(outcomes.unwrap(), [Outcome::Stored]);
}

#[tokio::test]
async fn connections_that_died_idle_cost_nobody_an_error() {
    let database = migrated().await;
    let store = open(&database);
    let busy = (0..8).map(|_| store.find("a"));
    futures_util::future::try_join_all(busy).await.unwrap();
    testbed::eventually("all connections idle", Duration::from_secs(5), async || {
        let connections = store.connections();
        (connections.in_use == 0 && connections.idle > 1).then_some(())
    })
    .await;

    let kill = "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
         where datname = current_database() and usename = current_user \
         and application_name = 'waybill' and pid <> pg_backend_pid()";
    execute(&database.url, kill).await.unwrap();
    for _ in 0..8 {
        assert_eq!(store.find("a").await.unwrap(), Found::Absent);
    }
}

#[tokio::test]
async fn a_store_outlives_a_restart_of_postgres() {
    let mut postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    migrate(&database).await;
    let store = Store::new(&database.url, 4, Duration::from_secs(2)).unwrap();
    assert_eq!(store.insert_orders(&[order("a", "{}", 1)]).await.unwrap(), [Outcome::Stored]);

    postgres.kill().unwrap();
    let error = store.insert_orders(&[order("b", "{}", 2)]).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");
    assert_eq!(store.find("a").await.unwrap_err().class(), Class::Transient);

    postgres.start_again().await.unwrap();
    let store = Store::clone(&store);
    testbed::eventually("postgres is back", Duration::from_secs(20), async || {
        store.ping().await.ok()
    })
    .await;
    assert_eq!(store.find("a").await.unwrap(), Found::Document(b"{}".to_vec()));
    assert_eq!(store.insert_orders(&[order("b", "{}", 2)]).await.unwrap(), [Outcome::Stored]);
}

#[tokio::test]
async fn a_question_that_is_dropped_leaves_the_pool_whole() {
    let database = migrated().await;
    let store = Store::new(&database.url, 1, CONNECT_TIMEOUT).unwrap();
    owner(
        &database,
        "
        create function dawdle() returns trigger language plpgsql as $$
        begin perform pg_sleep(15); return new; end $$;
        create trigger dawdle before insert on orders for each row execute function dawdle()",
    )
    .await;
    let insertion = [order("a", "{}", 1)];
    let impatient =
        tokio::time::timeout(Duration::from_millis(300), store.insert_orders(&insertion));
    assert!(impatient.await.is_err());
    let start = Instant::now();
    assert_eq!(store.find("a").await.unwrap(), Found::Absent);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_standby_does_not_say_no_until_it_is_promoted() {
    let primary = Postgres::start().await.unwrap();
    let database = primary.database().await.unwrap();
    migrate(&database).await;
    let standby = primary.standby().await.unwrap();
    let there = open(&database.on(&standby));
    let here = open(&database);
    assert_eq!(here.insert_orders(&[order("a", "{}", 1)]).await.unwrap(), [Outcome::Stored]);
    testbed::eventually("the order on the standby", Duration::from_secs(20), async || {
        let found = there.find("a").await.unwrap();
        (found == Found::Document(b"{}".to_vec())).then_some(())
    })
    .await;
    assert_eq!(there.find("b").await.unwrap(), Found::UnknownOnStandby);
    assert_eq!(here.find("b").await.unwrap(), Found::Absent);
    let error = there.insert_orders(&[order("b", "{}", 2)]).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error:?}");

    standby.promote().await.unwrap();
    assert_eq!(there.find("b").await.unwrap(), Found::Absent);
    assert_eq!(there.insert_orders(&[order("b", "{}", 2)]).await.unwrap(), [Outcome::Stored]);
}

#[tokio::test]
async fn a_query_begun_before_a_promotion_does_not_say_no_after_it() {
    let primary = Postgres::start().await.unwrap();
    let database = primary.database().await.unwrap();
    migrate(&database).await;
    // The statement is held after its snapshot was taken, until the standby is promoted.
    let superuser = primary.superuser_url();
    let (server, _) = superuser.rsplit_once('/').unwrap();
    let hold = "
        alter function pg_catalog.pg_is_in_recovery() rename to pg_is_standby;
        create function pg_catalog.pg_is_in_recovery() returns boolean
        volatile language plpgsql as $$
        begin
            while pg_catalog.pg_is_standby() loop perform pg_sleep(0.01); end loop;
            return false;
        end $$";
    execute(&format!("{server}/{}", database.name), hold).await.unwrap();
    let standby = primary.standby().await.unwrap();
    let there = open(&database.on(&standby));
    let began = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    let promotion = async {
        testbed::eventually("the query began", Duration::from_secs(20), async || {
            (standby.psql(&standby.superuser_url(), began).await.unwrap() == "1").then_some(())
        })
        .await;
        standby.promote().await.unwrap();
    };
    let (found, ()) = tokio::join!(there.find("b"), promotion);
    assert_eq!(found.unwrap(), Found::UnknownOnStandby);
    assert_eq!(there.find("b").await.unwrap(), Found::Absent);
}
