//! Whatever is published to the channel has one outcome.

use bytes::Bytes;
use http::StatusCode;
use testbed::Postgres;

use crate::hostile::table::{Case, Expected, cases};
use crate::service::{MODEL, MODEL_UID, World, hex, order};

/// Its `max_payload` of 1 MiB, less room for the envelope.
const MOST_THE_BROKER_TAKES: usize = (1 << 20) - 1_000;

#[tokio::test]
async fn every_hostile_message_has_its_outcome() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.serve("brave").await;
    let mut cases = cases();
    // What the broker itself refuses cannot come through it.
    cases.retain(|case| case.payload.len() < MOST_THE_BROKER_TAKES);
    assert!(cases.len() >= 60);
    world.publish_raw(cases.iter().map(|case| Bytes::from(case.payload.clone()))).await;
    world.until_drained().await;
    let rows = world
        .sql(
            postgres,
            "select sequence, reason, encode(payload, 'hex'), detail from rejected_messages",
        )
        .await;
    let mut refused = 0;
    for (sequence, Case { name, payload, expected, detail }) in (1..).zip(&cases) {
        let hex = hex(payload);
        match expected {
            Expected::Refused(reason) => {
                refused += 1;
                let row = format!("{sequence}|{reason}|{hex}|");
                assert!(
                    rows.lines().any(|line| line.starts_with(&row) && line.contains(detail)),
                    "{name}: no reject {sequence} {reason}"
                );
            }
            Expected::Stored => {
                let stored = format!(
                    "select encode(document, 'hex') from orders where channel_sequence = {sequence}"
                );
                assert_eq!(world.sql(postgres, &stored).await, hex, "{name}");
            }
        }
    }
    assert_eq!(rows.lines().count(), refused);
    for view in ["order_details", "order_items", "order_payments", "order_deliveries"] {
        world.sql(postgres, &format!("select * from {view}")).await;
    }
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    assert_eq!(replica.order(MODEL_UID).await.status, StatusCode::OK, "good orders still flow");
}

#[tokio::test]
async fn the_first_write_wins_and_every_other_is_kept() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let replica = world.serve("judge").await;
    let first = order("contested");
    let spaced = Bytes::from([&first[..], b"\n"].concat());
    let other =
        Bytes::from(std::str::from_utf8(&first).expect("UTF-8").replace("Test Testov", "Eve"));
    // The first is the one that is committed first, and two writers may race.
    world.publish_raw([first.clone()]).await;
    world.until_drained().await;
    world.publish_raw([first.clone(), spaced, other]).await;
    world.until_drained().await;
    assert_eq!(replica.order("contested").await.body, first);
    let rejects = world
        .sql(
            postgres,
            "select sequence, reason, formatting_only from rejected_messages order by sequence",
        )
        .await;
    assert_eq!(rejects, "3|conflict|t\n4|conflict|f");
    let duplicates = "waybill_ingest_messages_total{result=\"duplicate\"}";
    assert_eq!(replica.metric(duplicates).await.to_string(), "1");
}

#[tokio::test]
async fn an_order_postgres_refuses_does_not_hold_up_its_batch() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    drop(world.serve("migrator").await);
    world.sql(postgres, "alter table orders add check (order_uid not like 'poison-%')").await;
    world.publish_raw((0..200).map(|n| order(&format!("fine-{n}")))).await;
    world.publish_raw([order("poison-1")]).await;
    world.publish_raw((200..400).map(|n| order(&format!("fine-{n}")))).await;
    let _replica = world.serve("bisector").await;
    world.until_drained().await;
    assert_eq!(world.sql(postgres, "select count(*) from orders").await, "400");
    let rejects = world.sql(postgres, "select sequence, reason from rejected_messages").await;
    assert_eq!(rejects, "201|database");
}
