//! Another primary of Postgres: noticed, and what it lacks put back, without a person and without
//! a restart.

mod lost;
mod pair;
mod patroni;
mod unseen;

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use pair::{Pair, served, until_repair_is_pending};
use testbed::eventually;
use tokio::time::Instant;

use crate::service::{PATIENCE, order};

#[tokio::test]
async fn what_a_new_primary_lacks_is_put_back_while_the_service_runs() {
    let mut pair = Pair::new().await;
    let replicas = [pair.serve("a", &[]).await, pair.serve("b", &[]).await];
    pair.publish(0..50).await;
    pair.world.publish_raw([Bytes::from_static(b"early")]).await;
    pair.world.until_drained().await;
    pair.let_lag().await;
    pair.publish(50..80).await;
    pair.world.publish_raw([Bytes::from_static(b"late")]).await;
    pair.world.until_drained().await;
    pair.fail_over().await;
    pair.until_repaired().await;
    assert_eq!(pair.sql("select count(*) from orders").await, "80");
    assert_eq!(pair.sql("select count(*) from rejected_messages").await, "2");
    let mut restored = 0.0;
    for replica in &replicas {
        let ready = replica.admin("/readyz?verbose").await;
        assert!(ready.text().contains("primary: timeline 2 of system "), "{}", ready.text());
        served(replica, 0..80).await;
        assert_eq!(
            replica.metric("waybill_db_primary_changes_total").await.to_bits(),
            1.0f64.to_bits()
        );
        restored += replica.metric("waybill_repair_restored_total{kind=\"order\"}").await;
        assert!(replica.metric("waybill_db_lost_orders_total").await < 0.5);
    }
    assert_eq!(restored.to_bits(), 30.0_f64.to_bits());
    // Nothing is said to be lost, and what nobody published is denied again.
    eventually("absence is told again", PATIENCE, async || {
        (replicas[0].order("nobody").await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_fail_over_while_no_replica_ran_is_noticed_by_the_first_that_starts() {
    let mut pair = Pair::new().await;
    let mut replica = pair.serve("before", &[]).await;
    pair.publish(0..10).await;
    pair.let_lag().await;
    pair.publish(10..20).await;
    assert_eq!(replica.stop().await, Some(0));
    pair.fail_over().await;
    let replica = pair.serve("after", &[]).await;
    pair.until_repaired().await;
    served(&replica, 0..20).await;
    assert_eq!(pair.sql("select count(*) from primaries").await, "2");
}

/// Who repairs holds a lock meanwhile, which takes no connection from those who do the work.
#[tokio::test]
async fn a_replica_with_a_single_connection_repairs_too() {
    let mut pair = Pair::new().await;
    let single = [("WAYBILL_DATABASE__MAX_CONNECTIONS", "1")];
    let replica = pair.serve("single", &single).await;
    pair.publish(0..10).await;
    pair.let_lag().await;
    pair.publish(10..20).await;
    pair.fail_over().await;
    pair.until_repaired().await;
    served(&replica, 0..20).await;
}

#[tokio::test]
async fn while_it_repairs_nobody_is_told_that_an_order_does_not_exist() {
    let mut pair = Pair::new().await;
    let mut replica = pair.serve("a", &[]).await;
    pair.publish(0..10).await;
    pair.let_lag().await;
    pair.publish(10..20).await;
    // What must be compared is away.
    pair.world.broker.stop().await.expect("it stops");
    pair.fail_over().await;
    until_repair_is_pending(&replica, true).await;
    for uid in ["order-15", "nobody"] {
        assert_eq!(replica.order(uid).await.status, StatusCode::SERVICE_UNAVAILABLE, "{uid}");
    }
    served(&replica, 0..10).await;
    let ready = replica.admin("/readyz?verbose").await;
    assert!(ready.text().contains("; what it may lack is being put back"), "{}", ready.text());
    assert_eq!(ready.status, StatusCode::OK);
    pair.world.broker.start_again().await.expect("it starts again");
    pair.until_repaired().await;
    served(&replica, 0..20).await;
    replica = replica.expecting("async_nats::connector");
    drop(replica);
}

#[tokio::test]
async fn without_auto_repair_it_is_told_and_nothing_is_done() {
    let mut pair = Pair::new().await;
    let off = [("WAYBILL_DATABASE__AUTO_REPAIR", "false")];
    let replica = pair.serve("a", &off).await.expecting("are lost with the primary before");
    pair.publish(0..5).await;
    pair.let_lag().await;
    pair.publish(5..8).await;
    pair.fail_over().await;
    eventually("it is noticed", PATIENCE, async || {
        (replica.metric("waybill_db_primary_changes_total").await > 0.5).then_some(())
    })
    .await;
    eventually("the order is denied", PATIENCE, async || {
        (replica.order("order-6").await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    assert_eq!(pair.sql("select count(*) from repairs").await, "0");
}

/// Both servers in the URL, as a pair without a proxy has it.
#[tokio::test]
async fn of_several_servers_the_primary_is_used_and_found_again() {
    let mut pair = Pair::new().await;
    let replica = pair.serve_at(&[pair.standby.port(), pair.primary.port()], "several", &[]).await;
    pair.publish(0..10).await;
    pair.let_lag().await;
    pair.publish(10..20).await;
    // It stays there while both run, for the other is a standby.
    assert!(replica.metric("waybill_db_primary_changes_total").await < 0.5);
    pair.primary.kill().expect("killed");
    pair.standby.promote().await.expect("promoted");
    let promoted = Instant::now();
    eventually("orders are stored again", PATIENCE, async || {
        pair.world.publish_raw([order("after")]).await;
        (replica.order("after").await.status == StatusCode::OK).then_some(())
    })
    .await;
    let took = promoted.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    pair.until_repaired().await;
    served(&replica, 0..20).await;
}

/// The old primary goes on accepting, cut off from the others: nobody believes it any more.
#[tokio::test]
async fn an_old_primary_that_still_answers_is_not_used() {
    let pair = Pair::new().await;
    let replica = pair.serve_at(&[pair.primary.port(), pair.standby.port()], "several", &[]).await;
    pair.publish(0..10).await;
    pair.let_lag().await;
    pair.publish(10..20).await;
    pair.standby.promote().await.expect("promoted");
    eventually("it moves to the new primary", PATIENCE, async || {
        (replica.measured("waybill_db_primary_changes_total").await == Some(1.0)).then_some(())
    })
    .await;
    pair.publish(20..30).await;
    pair.until_repaired().await;
    served(&replica, 0..30).await;
    assert_eq!(pair.sql("select count(*) from orders").await, "30");
    let old = "select count(*) from orders where order_uid = 'order-25'";
    let old = pair.primary.psql(&pair.world.database.owner_url, old).await.expect("asked");
    assert_eq!(old, "0", "nothing went to the old primary");
}
