//! What a primary took along and nobody has any more is named.

use http::StatusCode;
use serde_json::Value;
use testbed::{BrokerOptions, eventually};

use super::pair::Pair;
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
