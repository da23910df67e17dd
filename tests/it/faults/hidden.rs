//! Postgres would show less than there is, or something else of that name.

use http::StatusCode;
use testbed::{Postgres, eventually};

use super::{NOT_WRITTEN, met, waits_and_tells};
use crate::service::{MODEL, MODEL_UID, PATIENCE, World, order};

/// Stores an order, stops, does `fault`, and starts again: nothing is told that is not so until
/// `remedy` is done, and then the order is there.
async fn is_not_believed(fault: &str, told: &str, remedy: &str) {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let mut before = world.serve("before").await;
    world.publish_raw([MODEL.into()]).await;
    world.until_drained().await;
    assert_eq!(before.stop().await, Some(0));
    let role = &world.database.runtime_role;
    world.sql(postgres, &fault.replace("ROLE", role)).await;

    // One that may migrate would grant again what was revoked.
    let replica = world.start("blinded", &[("WAYBILL_DATABASE__MIGRATE", "false")]).await;
    waits_and_tells(&world, &replica, told).await;
    for command in [&["reconcile"][..], &["reconcile", "--repair"]] {
        let (code, output, errors) = world.run(command).await;
        let denied = output.contains("missing") && !output.starts_with("0 present, 0 missing,");
        assert_eq!((code, denied), (1, false), "{output}{errors}");
    }

    world.sql(postgres, &remedy.replace("ROLE", role)).await;
    replica.until_ready().await;
    assert_eq!(replica.order(MODEL_UID).await.body, MODEL);
    world.until_drained().await;
    assert_eq!(replica.order("unheard").await.status, StatusCode::OK);
    let rows = "select (select count(*) from orders), (select count(*) from rejected_messages)";
    assert_eq!(world.sql(postgres, rows).await, "2|0");
}

#[tokio::test]
async fn row_level_security_is_no_empty_table() {
    let told = "the tables of waybill are not found: in schema public row-level security hides";
    let fault = "alter table orders enable row level security";
    is_not_believed(fault, told, "alter table orders disable row level security").await;
}

#[tokio::test]
async fn a_view_of_that_name_is_not_the_table() {
    let told =
        "the tables of waybill are not found: in schema public orders is not an ordinary table";
    let fault = "alter table orders rename to older; \
         create view orders as select * from older where false; \
         grant select, insert on orders to ROLE";
    let remedy = "drop view orders; alter table older rename to orders";
    is_not_believed(fault, told, remedy).await;
}

#[tokio::test]
async fn a_grant_that_is_missing_is_told_at_the_start() {
    let fault = "revoke select on orders from ROLE";
    is_not_believed(fault, "this role lacks SELECT on orders", "grant select on orders to ROLE")
        .await;
}

#[tokio::test]
async fn row_level_security_on_a_running_service_makes_no_order_absent() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.serve("running").await.expecting(NOT_WRITTEN);
    world.publish_raw([MODEL.into()]).await;
    world.until_drained().await;
    world.sql(postgres, "alter table orders enable row level security").await;
    world.publish_raw([order("later")]).await;
    met(&replica, "configuration").await;
    assert_eq!(replica.order(MODEL_UID).await.body, MODEL, "what is in memory is served");
    for uid in ["later", "nobody"] {
        assert_eq!(replica.order(uid).await.status, StatusCode::SERVICE_UNAVAILABLE, "{uid}");
    }
    let report = replica.admin("/readyz?verbose").await;
    assert!(report.text().contains("row-level security"), "{}", report.text());
    assert_eq!(world.lag().await, Some((0, 1)), "it is not acknowledged");
    world.sql(postgres, "alter table orders disable row level security").await;
    world.until_drained().await;
    eventually("the no is a true one", PATIENCE, async || {
        (replica.order("nobody").await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    assert_eq!(replica.order("later").await.status, StatusCode::OK);
}
