//! A PgBouncer between the service and Postgres.

use testbed::{PgBouncer, PoolMode, Postgres};

use super::{all_are_well, orders, waits_and_tells};
use crate::service::{World, order};

/// A world whose database is reached through a pooler.
async fn pooled(mode: PoolMode) -> (World, &'static Postgres, PgBouncer) {
    let (mut world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let pooler = PgBouncer::start(postgres, &world.database, mode).await.expect("a pooler");
    world.database = pooler.database();
    (world, postgres, pooler)
}

#[tokio::test]
async fn a_service_lives_behind_a_pooler_in_session_mode() {
    let (world, postgres, _pooler) = pooled(PoolMode::Session).await;
    let mut first = world.serve("first").await;
    let mut all = orders("one", 50);
    world.publish_raw(all.clone()).await;
    all_are_well(&world, postgres, &first, &all).await;
    assert_eq!(first.stop().await, Some(0));

    // Its sessions are lent to the next.
    let second = world.serve("second").await;
    let more = orders("two", 50);
    world.publish_raw(more.clone()).await;
    all.extend(more);
    all_are_well(&world, postgres, &second, &all).await;
    let (code, output, errors) = world.run(&["reconcile"]).await;
    assert_eq!(code, 0, "{output}{errors}");
}

#[tokio::test]
async fn a_pooler_in_transaction_mode_is_told_and_waited_out() {
    let (world, postgres, mut pooler) = pooled(PoolMode::Transaction).await;
    let replica = world.start("pooled", &[]).await;
    let told = "this is a pooler such as PgBouncer that lends its sessions to others";
    waits_and_tells(&world, &replica, told).await;
    let (code, _, errors) = world.run(&["migrate"]).await;
    assert_eq!((code, errors.contains("pool_mode = session")), (1, true), "{errors}");

    pooler.reload(PoolMode::Session).expect("reloaded");
    replica.until_ready().await;
    all_are_well(&world, postgres, &replica, &[order("unheard")]).await;
}
