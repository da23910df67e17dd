//! Changes of the primary that its timeline does not tell, or that nobody lived to notice.

use std::net::Ipv4Addr;

use testbed::{Postgres, Proxy, eventually};

use super::pair::{Pair, served};
use crate::service::PATIENCE;

fn at(server: &Postgres) -> std::net::SocketAddr {
    (Ipv4Addr::LOCALHOST, server.port()).into()
}

/// Neither has heard of the other, so that both begin the timeline 2.
#[tokio::test]
async fn two_standbys_that_begin_the_same_timeline_are_told_apart() {
    let mut pair = Pair::new().await;
    let replica = pair.serve("a", &[]).await;
    let mut first = pair.primary.standby().await.expect("another standby");
    pair.publish(0..10).await;
    pair.let_lag().await;
    pair.publish(10..20).await;
    let url = pair.world.database.on(&first).owner_url;
    eventually("the first standby has everything", PATIENCE, async || {
        let count = first.psql(&url, "select count(*) from orders").await.ok()?;
        (count == "20").then_some(())
    })
    .await;
    pair.primary.kill().expect("killed");
    first.promote().await.expect("promoted");
    pair.address.redirect(at(&first)).await.expect("redirected");
    eventually("the first is repaired", PATIENCE, async || {
        let open = "select count(*) > 0 and bool_and(finished_at is not null) from repairs";
        (first.psql(&url, open).await.ok()? == "t").then_some(())
    })
    .await;
    pair.publish(20..25).await;
    first.kill().expect("killed");
    pair.standby.promote().await.expect("promoted");
    pair.address.redirect(at(&pair.standby)).await.expect("redirected");
    pair.until_repaired().await;
    served(&replica, 0..25).await;
    assert_eq!(pair.sql("select max(timeline) from primaries").await, "2");
    assert_eq!(
        replica.metric("waybill_db_primary_changes_total").await.to_bits(),
        2.0f64.to_bits()
    );
}

/// A replica that was cut off with the old primary goes on acknowledging by it, after another one
/// has repaired the new one; then it dies, and only the old primary knows what it did.
#[tokio::test]
async fn what_a_replica_did_on_an_old_primary_until_it_died_is_put_back() {
    let pair = Pair::new().await;
    let old = pair.serve("old", &[]).await;
    pair.publish(0..10).await;
    pair.let_lag().await;
    pair.standby.promote().await.expect("promoted");
    let address = Proxy::start(at(&pair.standby)).await.expect("a proxy");
    let mut new = pair.serve_at(&[address.port()], "new", &[]).await;
    pair.until_repaired().await;
    assert_eq!(new.stop().await, Some(0));
    pair.publish(10..30).await;
    assert_eq!(pair.sql("select count(*) from orders").await, "10");
    drop(old);
    let replica = pair.serve_at(&[address.port()], "old", &[]).await;
    eventually("it is repaired once more", PATIENCE, async || {
        (pair.sql("select count(*) from orders").await == "30").then_some(())
    })
    .await;
    pair.until_repaired().await;
    served(&replica, 0..30).await;
}
