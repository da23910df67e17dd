//! Several replicas that share the channel.

use http::StatusCode;
use testbed::{Postgres, eventually};

use crate::service::{PATIENCE, World, order};

#[tokio::test]
async fn whatever_one_replica_has_acked_every_replica_serves() {
    let world = World::new().await;
    let (a, b) = (world.serve("a").await, world.serve("b").await);
    for n in 0..50 {
        let uid = format!("order-{n}");
        world.publish_raw([order(&uid)]).await;
        world.until_drained().await;
        for replica in [&a, &b] {
            let reply = replica.order(&uid).await;
            assert_eq!((reply.status, reply.body), (StatusCode::OK, order(&uid)), "{uid}");
        }
    }
}

#[tokio::test]
async fn replicas_follow_each_other_and_answer_while_postgres_is_away() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let fast = [("WAYBILL_CACHE__FOLLOW_INTERVAL", "100ms")];
    let (a, b) = (world.start("a", &fast).await, world.start("b", &fast).await);
    a.until_ready().await;
    b.until_ready().await;
    world.publish(&["--generate", "1000", "--seed", "5"]).await;
    world.publish_raw((0..100).map(|n| order(&format!("order-{n}")))).await;
    world.until_drained().await;
    for replica in [&a, &b] {
        eventually("the replica has all orders", PATIENCE, async || {
            (replica.metric("waybill_cache_entries").await > 1_099.5).then_some(())
        })
        .await;
    }
    let followed = "waybill_cache_followed_total";
    assert!(a.metric(followed).await + b.metric(followed).await > 1_000.0);
    postgres.stop().await.expect("stopped");
    for n in 0..100 {
        let uid = format!("order-{n}");
        for replica in [&a, &b] {
            assert_eq!(replica.order(&uid).await.body, order(&uid), "{uid}");
        }
    }
}

#[tokio::test]
async fn a_replica_killed_under_load_hands_its_messages_on_when_it_returns() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let (_steady, mut mortal) = (world.serve("steady").await, world.serve("mortal").await);
    let publishing = world.publish(&["--generate", "5000", "--seed", "6"]);
    let killing = async {
        eventually("some orders are stored", PATIENCE, async || {
            let some = "select count(*) >= 1000 from orders";
            (world.sql(postgres, some).await == "t").then_some(())
        })
        .await;
        mortal.process.kill().expect("killed");
        world.serve("mortal").await
    };
    let ((), _mortal) = tokio::join!(publishing, killing);
    world.until_drained().await;
    assert_eq!(world.sql(postgres, "select count(*) from orders").await, "5000");
}

#[tokio::test]
async fn a_read_only_replica_serves_and_takes_nothing() {
    let world = World::new().await;
    let writer = world.serve("writer").await;
    let reader = world.start("reader", &[("WAYBILL_INGEST__ENABLED", "false")]).await;
    reader.until_ready().await;
    world.publish_raw([order("one")]).await;
    world.until_drained().await;
    assert_eq!(reader.order("one").await.body, order("one"));
    assert_eq!(writer.order("one").await.body, order("one"));
    let clients = world.broker.clients().await.expect("clients");
    assert_eq!(clients.iter().map(|client| client.id.as_str()).collect::<Vec<_>>(), ["writer"]);
    // No alert on a session that is not wanted.
    assert_eq!(reader.measured("waybill_stan_connected").await, None);
    assert_eq!(writer.measured("waybill_stan_connected").await, Some(1.0));
}
