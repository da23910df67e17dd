//! Connections that end, are refused, wait, or lose the answer to a commit.

use std::net::Ipv4Addr;

use testbed::{Direction, Postgres, Proxy};

use super::{WAITING, all_are_well, met, orders, until, while_locked};
use crate::service::{MODEL_UID, World, order};

#[tokio::test]
async fn connections_ended_again_and_again_cost_no_order() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let _replica = world.serve("struck").await;
    let publishing = world.publish(&["--generate", "3000", "--seed", "11"]);
    let striking = async {
        for n in 1..=5 {
            let so_far = format!("select count(*) >= {} from orders", n * 400);
            until(&world, postgres, &so_far).await;
            let role = &world.database.runtime_role;
            let strike = format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
            );
            postgres.psql(&postgres.superuser_url(), &strike).await.expect("struck");
        }
    };
    tokio::join!(publishing, striking);
    world.until_drained().await;
    let rows = "select (select count(*) from orders), (select count(*) from rejected_messages)";
    assert_eq!(world.sql(postgres, rows).await, "3000|0");
}

#[tokio::test]
async fn exhausted_connections_are_waited_for() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let short = [("WAYBILL_DATABASE__CONNECT_TIMEOUT", "300ms")];
    let replica = world.start("crowded", &short).await;
    replica.until_ready().await;
    let role = &world.database.runtime_role;
    let limit = async |limit: &str| {
        let limit = format!(
            "alter role {role} connection limit {limit}; \
             select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
        );
        postgres.psql(&postgres.superuser_url(), &limit).await.expect("limited");
    };
    limit("0").await;
    let all = orders("crowd", 20);
    world.publish_raw(all.clone()).await;
    met(&replica, "transient").await;
    limit("-1").await;
    all_are_well(&world, postgres, &replica, &all).await;
}

#[tokio::test]
async fn a_table_that_somebody_locks_is_waited_for() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.serve("waiting").await;
    let all = orders("locked", 20);
    let holding = while_locked(&world, postgres, async {
        world.publish_raw(all.clone()).await;
        // After lock_timeout, 10 s.
        met(&replica, "transient").await;
    });
    Box::pin(holding).await;
    all_are_well(&world, postgres, &replica, &all).await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_counts_once() {
    let (mut world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let mut proxy = proxied(&mut world, postgres).await;
    // One connection, on which the statement is prepared already: what waits is its execution.
    let replica = world.start("unsure", &[("WAYBILL_DATABASE__MAX_CONNECTIONS", "1")]).await;
    replica.until_ready().await;
    world.publish_raw([order("prepares")]).await;
    world.until_drained().await;

    let holding = while_locked(&world, postgres, async {
        world.publish_raw([order(MODEL_UID)]).await;
        until(&world, postgres, &format!("select ({WAITING}) = 1")).await;
        proxy.black_hole(Direction::ToClient);
    });
    Box::pin(holding).await;
    until(&world, postgres, "select count(*) = 2 from orders").await;
    assert_eq!(world.lag().await, Some((0, 1)), "it is not acknowledged");
    proxy.cut().await;
    proxy.heal().await.expect("healed");

    let all = [order("prepares"), order(MODEL_UID)];
    all_are_well(&world, postgres, &replica, &all).await;
    for (result, count) in [("stored", "1"), ("duplicate", "1")] {
        let series = format!("waybill_ingest_messages_total{{result=\"{result}\"}}");
        assert_eq!(replica.metric(&series).await.to_string(), count, "{result}");
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_postgres_that_says_nothing() {
    let (mut world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let proxy = proxied(&mut world, postgres).await;
    let mut replica = world.serve("unheard").await;
    let holding = while_locked(&world, postgres, async {
        world.publish_raw([order(MODEL_UID)]).await;
        until(&world, postgres, &format!("select ({WAITING}) = 1")).await;
        proxy.black_hole(Direction::ToClient);
        assert_eq!(replica.stop().await, Some(0), "{}", replica.process.log());
    });
    Box::pin(holding).await;
    assert!(world.broker.clients().await.expect("clients").is_empty(), "it took its leave");
    assert_eq!(world.lag().await, Some((0, 1)), "it is not acknowledged");
}

/// Puts a proxy between the world's replicas and their database.
async fn proxied(world: &mut World, postgres: &Postgres) -> Proxy {
    let server = (Ipv4Addr::LOCALHOST, postgres.port()).into();
    let proxy = Proxy::start(server).await.expect("a proxy");
    let (login, _) = world.database.url.rsplit_once('@').expect("a login");
    world.database.url = format!("{login}@127.0.0.1:{}/{}", proxy.port(), world.database.name);
    proxy
}
