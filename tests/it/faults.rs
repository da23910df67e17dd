//! Faults of Postgres and of the way there: orders wait, none is lost and none is blamed.

mod constraints;
mod credentials;
mod hidden;
mod outages;
mod permissions;
mod pooler;
mod standby;

use bytes::Bytes;
use http::StatusCode;
use testbed::{Postgres, eventually};

use crate::service::{MODEL_UID, PATIENCE, Replica, World, order};

/// Holds the table of orders for as long as the statement sleeps: 57P01 ends it.
const HOLD: &str = "begin; lock table orders in access exclusive mode; select pg_sleep(600)";
const HELD: &str = "select count(*) = 1 from pg_stat_activity \
     where datname = current_database() and wait_event = 'PgSleep'";
const RELEASE: &str = "select pg_terminate_backend(pid) from pg_stat_activity \
     where datname = current_database() and wait_event = 'PgSleep'";

/// What a replica logs that cannot write for want of something that an operator has to mend.
const NOT_WRITTEN: &str = "an operator has to act";

/// Waits until the service has met an error of this class.
async fn met(replica: &Replica, class: &str) {
    let errors = format!("waybill_ingest_errors_total{{class=\"{class}\"}}");
    eventually(&errors, PATIENCE, async || (replica.metric(&errors).await > 0.0).then_some(()))
        .await;
}

/// `count` orders with ids of their own.
fn orders(name: &str, count: usize) -> Vec<Bytes> {
    (0..count).map(|n| order(&format!("{name}-{n}"))).collect()
}

/// Each of [`orders`] is served, and nothing was rejected.
async fn all_are_well(world: &World, postgres: &Postgres, replica: &Replica, orders: &[Bytes]) {
    world.until_drained().await;
    for document in orders {
        let parsed: serde_json::Value = serde_json::from_slice(document).expect("JSON");
        let uid = parsed["order_uid"].as_str().expect("a uid");
        let reply = replica.order(uid).await;
        assert_eq!((reply.status, &reply.body), (StatusCode::OK, document), "{uid}");
    }
    let rows = "select (select count(*) from orders), (select count(*) from rejected_messages)";
    assert_eq!(world.sql(postgres, rows).await, format!("{}|0", orders.len()));
}

/// How many wait for the table.
const WAITING: &str = "select count(*) from pg_locks \
     where relation = 'orders'::regclass and not granted and database = \
     (select oid from pg_database where datname = current_database())";

/// Does `meanwhile` with the table locked, then releases it.
pub(crate) async fn while_locked(
    world: &World,
    postgres: &Postgres,
    meanwhile: impl Future<Output = ()>,
) {
    let holding = postgres.psql(&world.database.owner_url, HOLD);
    let hitting = async {
        until(world, postgres, HELD).await;
        meanwhile.await;
        world.sql(postgres, RELEASE).await;
    };
    let (held, ()) = tokio::join!(holding, hitting);
    held.expect_err("its connection was ended");
}

/// A replica that is not ready, says so with these words once in the log and whenever it is
/// asked, tells nobody "no", and leaves what is published in the channel.
async fn waits_and_tells(world: &World, replica: &Replica, words: &str) {
    let told = format!("waiting for postgres and the schema: {words}");
    let reply = eventually(&told, PATIENCE, async || {
        let reply = replica.admin("/readyz").await;
        reply.text().contains(&told).then_some(reply)
    })
    .await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    world.publish_raw([order("unheard")]).await;
    assert_eq!(replica.order("unheard").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(replica.order(MODEL_UID).await.status, StatusCode::SERVICE_UNAVAILABLE);
    let lag = world.lag().await;
    assert!(matches!(lag, None | Some((1, 0))), "it is not delivered: {lag:?}");
    let log = replica.process.log();
    let lines = log.lines().filter(|line| line.contains(words)).collect::<Vec<_>>();
    assert_eq!(lines.len(), 1, "it is told once: {lines:#?}");
}

/// Waits until the question is answered with yes.
async fn until(world: &World, postgres: &Postgres, question: &str) {
    eventually(question, PATIENCE, async || {
        (world.sql(postgres, question).await == "t").then_some(())
    })
    .await;
}
