//! What a primary took along and nobody has any more is named.

use http::StatusCode;
use serde_json::Value;
use testbed::{BrokerOptions, eventually};

use super::pair::{Pair, until_repair_is_pending};
use crate::service::{PATIENCE, Replica, order};

async fn status_of_postgres(replica: &Replica) -> Value {
    let status = replica.admin("/statusz.json").await;
    let mut status: Value = serde_json::from_slice(&status.body).expect("JSON");
    status["postgres"].take()
}

#[tokio::test]
async fn what_the_channel_has_no_more_is_named() {
    let mut pair = Pair::new().await;
    let replica = pair.serve("a", &[]).await.expecting("are lost with the primary before");
    pair.publish(0..5).await;
    pair.let_lag().await;
    pair.publish(5..8).await;
    // The broker loses its store, and begins anew.
    pair.world.broker.stop().await.expect("it stops");
    pair.world.broker.wipe().expect("its store is removed");
    pair.fail_over().await;
    pair.world.broker.start_again().await.expect("it starts again");
    pair.world.publish_raw([order("new")]).await;
    pair.until_repaired().await;
    eventually("they are named", PATIENCE, async || {
        (replica.metric("waybill_db_lost_orders_total").await > 2.5).then_some(())
    })
    .await;
    let status = status_of_postgres(&replica).await;
    let mut lost: Vec<_> = status["lost_orders"].as_array().expect("ids").clone();
    lost.sort_by_key(ToString::to_string);
    assert_eq!(status["repair"]["requested_by"], "a");
    assert_eq!(status["repair"]["progress"]["orders"], 2);
    assert_eq!(status["repair"]["finished"], true);
    assert_eq!(lost, ["order-5", "order-6", "order-7"]);
    assert_eq!(replica.order("order-6").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sequences_that_the_channel_has_no_more_are_named() {
    let broker = BrokerOptions { max_messages: Some(10), ..BrokerOptions::default() };
    let mut pair = Pair::with(broker).await;
    let replica = pair.serve("a", &[]).await;
    pair.publish(0..20).await;
    pair.let_lag().await;
    pair.publish(20..24).await;
    pair.fail_over().await;
    pair.until_repaired().await;
    eventually("they are named", PATIENCE, async || {
        let repair = status_of_postgres(&replica).await["repair"].take();
        (repair["finished"] == true && repair["gone"]["orders"] == "1–14").then_some(())
    })
    .await;
    assert_eq!(pair.sql("select gone ->> 'orders' from repairs").await, "1–14");
}

/// It went along with the primary, and was erased on the new one before anybody put it back.
#[tokio::test]
async fn an_order_that_was_erased_is_not_lost() {
    let mut pair = Pair::new().await;
    let replica = pair.serve("a", &[]).await.expecting("async_nats::connector");
    pair.publish(0..5).await;
    pair.let_lag().await;
    pair.publish(5..8).await;
    // The repair has to wait for the broker.
    pair.world.broker.stop().await.expect("it stops");
    pair.fail_over().await;
    until_repair_is_pending(&replica, true).await;
    let on_the_new = pair.world.database.on(&pair.standby);
    let mut erase = pair.world.command(&["erase", "order-6", "--reason", "for the test"]);
    erase.env("WAYBILL_DATABASE__URL", &on_the_new.owner_url);
    erase.env("WAYBILL_DATABASE__MIGRATE_URL", &on_the_new.owner_url);
    let erased = tokio::process::Command::from(erase).output().await.expect("it ran");
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    pair.world.broker.start_again().await.expect("it starts again");
    pair.until_repaired().await;
    until_repair_is_pending(&replica, false).await;
    assert_eq!(replica.order("order-6").await.status, StatusCode::GONE);
    assert_eq!(replica.order("order-5").await.status, StatusCode::OK);
    assert_eq!(status_of_postgres(&replica).await["lost_orders"], Value::Array(Vec::new()));
    assert!(replica.metric("waybill_db_lost_orders_total").await < 0.5);
}
