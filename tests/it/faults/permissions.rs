//! What an operator took away: said loudly, tried slowly, mended without a restart.

use testbed::Postgres;

use super::{NOT_WRITTEN, all_are_well, met, orders};
use crate::service::World;

/// Runs `fault`, waits until the service has called for an operator, and runs `remedy`.
async fn is_mended(fault: &str, remedy: &str) {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.serve("deprived").await.expecting(NOT_WRITTEN);
    let role = &world.database.runtime_role;
    world.sql(postgres, &fault.replace("ROLE", role)).await;
    let all = orders("deprived", 20);
    world.publish_raw(all.clone()).await;
    met(&replica, "configuration").await;
    let log = replica.process.log();
    assert!(log.contains(NOT_WRITTEN), "{log}");
    world.sql(postgres, &remedy.replace("ROLE", role)).await;
    all_are_well(&world, postgres, &replica, &all).await;
    let errors = replica.metric("waybill_ingest_errors_total{class=\"configuration\"}").await;
    // Each of two writers may have asked twice in the time it took to mend it.
    assert!(errors < 5.0, "it is tried slowly: {errors} times");
}

#[tokio::test]
async fn a_revoked_permission_is_waited_for() {
    is_mended("revoke insert on orders from ROLE", "grant insert on orders to ROLE").await;
}

#[tokio::test]
async fn a_table_that_is_gone_is_waited_for() {
    is_mended("alter table orders rename to mislaid", "alter table mislaid rename to orders").await;
}
