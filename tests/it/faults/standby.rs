//! A standby in place of the primary.

use http::StatusCode;
use testbed::{Postgres, eventually};

use super::{met, orders};
use crate::service::{MODEL, MODEL_UID, PATIENCE, World};

#[tokio::test]
async fn a_standby_is_no_authority_until_it_is_promoted() {
    let mut primary = Postgres::start().await.expect("a primary");
    let mut world = World::on(&primary).await;
    let mut before = world.serve("before").await;
    world.publish_raw([bytes::Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    assert_eq!(before.stop().await, Some(0));

    let standby = primary.standby().await.expect("a standby");
    world.database = world.database.on(&standby);
    // One that writes and reads at once, and one that cannot even look after the schema.
    let replica = world.start("reader", &[("WAYBILL_DATABASE__MIGRATE", "false")]).await;
    let migrating = world.start("migrating", &[]).await;
    replica.until_ready().await;
    let unsure = orders("unsure", 20);
    world.publish_raw(unsure.clone()).await;
    met(&replica, "transient").await;
    assert_eq!(replica.order(MODEL_UID).await.body, MODEL);
    for replica in [&replica, &migrating] {
        assert_eq!(replica.order("unsure-1").await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(replica.order("nobody").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert!(world.lag().await.expect("the group").1 > 0, "nothing is acknowledged yet");

    primary.kill().expect("killed");
    standby.promote().await.expect("promoted");
    world.until_drained().await;
    migrating.until_ready().await;
    for replica in [&replica, &migrating] {
        for (n, document) in unsure.iter().enumerate() {
            let reply = replica.order(&format!("unsure-{n}")).await;
            assert_eq!((reply.status, &reply.body), (StatusCode::OK, document), "{n}");
        }
        eventually("the no is a true one", PATIENCE, async || {
            (replica.order("nobody").await.status == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
    }
    let rows = "select (select count(*) from orders), (select count(*) from rejected_messages)";
    assert_eq!(world.sql(&standby, rows).await, "21|0");
}
