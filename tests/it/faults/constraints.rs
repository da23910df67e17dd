//! A constraint that somebody added: one order of many is refused, most of a batch are not.

use bytes::Bytes;
use testbed::{Postgres, eventually};
use tokio::sync::oneshot;

use super::{NOT_WRITTEN, WAITING, all_are_well, met, orders, until, while_locked};
use crate::service::{PATIENCE, World, order};

/// A replica that has these orders in one batch, and meets the constraint with it: while the
/// table is locked a first order waits alone, the others come, and the constraint queues up
/// between the two.
async fn constrained(world: &World, postgres: &Postgres, orders: Vec<Bytes>) {
    let (say_sent, sent) = oneshot::channel();
    let adding = async {
        sent.await.expect("said");
        let add = "alter table orders add constraint mood check (order_uid not like 'bad%')";
        world.sql(postgres, add).await;
    };
    let holding = while_locked(world, postgres, async {
        world.publish_raw([order("first")]).await;
        until(world, postgres, &format!("select ({WAITING}) = 1")).await;
        world.publish_raw(orders).await;
        eventually("all are delivered", PATIENCE, async || {
            (world.lag().await?.0 == 0).then_some(())
        })
        .await;
        say_sent.send(()).expect("heard");
        until(world, postgres, &format!("select ({WAITING}) = 2")).await;
    });
    tokio::join!(holding, adding);
}

#[tokio::test]
async fn one_order_of_many_that_breaks_a_constraint_is_rejected_alone() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.start("strict", &[("WAYBILL_INGEST__WRITERS", "1")]).await;
    replica.until_ready().await;
    let mut batch = orders("good", 60);
    batch.insert(20, order("bad"));
    Box::pin(constrained(&world, postgres, batch)).await;
    world.until_drained().await;
    assert_eq!(world.sql(postgres, "select count(*) from orders").await, "61");
    let reject = "select reason, sequence, detail, convert_from(payload, 'UTF8') like '%\"bad\"%' \
         from rejected_messages";
    let reject = world.sql(postgres, reject).await;
    assert!(reject.starts_with("database|22|23514: "), "{reject}");
    assert!(reject.ends_with("|t"), "{reject}");
}

#[tokio::test]
async fn a_constraint_that_most_orders_break_is_waited_out() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.start("halted", &[("WAYBILL_INGEST__WRITERS", "1")]).await;
    let replica = replica.expecting(NOT_WRITTEN);
    replica.until_ready().await;
    let batch = orders("bad", 60);
    Box::pin(constrained(&world, postgres, batch.clone())).await;
    met(&replica, "configuration").await;
    let log = replica.process.log();
    assert!(log.contains("of one batch, which is halted: 23514"), "{log}");
    let rejects = world.sql(postgres, "select count(*) from rejected_messages").await;
    assert_eq!(rejects, "0", "none is quarantined");
    world.sql(postgres, "alter table orders drop constraint mood").await;
    all_are_well(&world, postgres, &replica, &[&[order("first")], &batch[..]].concat()).await;
}
