//! A cluster that Patroni watches over, whose members are all in the URL.

use http::StatusCode;
use testbed::{BrokerOptions, Patroni, eventually};

use super::pair::served;
use crate::service::{PATIENCE, Replica, World, order};

/// Publishes, and waits until the replica serves it.
async fn publish(world: &World, replica: &Replica, orders: std::ops::Range<u32>) {
    world.publish_raw(orders.clone().map(|n| order(&format!("order-{n}")))).await;
    for n in orders {
        eventually("the order is served", PATIENCE, async || {
            let reply = replica.order(&format!("order-{n}")).await;
            (reply.status == StatusCode::OK).then_some(())
        })
        .await;
    }
}

async fn until_timeline(replica: &Replica, timeline: u32) {
    eventually("the replica knows the primary", PATIENCE, async || {
        let ready = replica.admin("/readyz?verbose").await;
        ready.text().contains(&format!("primary: timeline {timeline} of system ")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_leader_of_patroni_is_found_however_it_changes() {
    let patroni = Patroni::start(2).await.expect("Patroni");
    let mut database = patroni.database().await.expect("a database");
    let ports: Vec<_> = patroni.ports().iter().map(|port| format!("127.0.0.1:{port}")).collect();
    for url in [&mut database.url, &mut database.owner_url] {
        let (login, _) = url.rsplit_once('@').expect("a login");
        *url = format!("{login}@{}/{}", ports.join(","), database.name);
    }
    let world = World::of(BrokerOptions::default(), database).await;
    let replica = world.serve("patroni").await;
    publish(&world, &replica, 0..10).await;

    // For maintenance: the old leader streams from the new one afterwards.
    let leader = patroni.switch_over().await.expect("another leader");
    until_timeline(&replica, 2).await;
    publish(&world, &replica, 10..20).await;

    // The agent alone dies: the server goes on as a primary when there is another one already.
    patroni.kill_agent(leader).expect("killed");
    let next = patroni.until_another_leads(leader).await;
    until_timeline(&replica, 3).await;
    publish(&world, &replica, 20..30).await;
    let is_standby = patroni.psql(leader, "select pg_is_in_recovery()").await;
    assert_eq!(is_standby.expect("it still answers"), "f");
    let count = "\\connect waybill\nselect count(*) from orders";
    eventually("the new primary has all orders", PATIENCE, async || {
        (patroni.psql(next, count).await.ok()?.ends_with("30")).then_some(())
    })
    .await;
    served(&replica, 0..30).await;
}
