//! Another try for rejects, after what was wrong is mended.

use std::process::Stdio;

use bytes::Bytes;
use http::StatusCode;
use sqlx::{Connection, PgConnection};
use testbed::eventually;

use super::{count, keep, migrated, rejects, rejects_with};
use crate::service::{PATIENCE, World, order};

/// Shorter than any order.
const TOO_SMALL: (&str, &str) = ("WAYBILL_INGEST__MAX_MESSAGE_BYTES", "1KiB");

#[tokio::test]
async fn what_a_larger_limit_lets_through_is_replayed_and_served() {
    let (world, postgres) = migrated().await;
    let replica = world.start("narrow", &[TOO_SMALL]).await;
    replica.until_ready().await;
    let fixed = order("fixed");
    world.publish_raw([fixed.clone(), Bytes::from_static(b"no order"), fixed.clone()]).await;
    world.until_drained().await;
    assert_eq!(replica.order("fixed").await.status, StatusCode::NOT_FOUND);
    assert_eq!(count(&world, postgres, "rejected_messages").await, "3");

    let narrow = rejects_with(&world, &["replay"], &[TOO_SMALL]).await;
    assert!(narrow.text().ends_with("0 stored, 0 duplicate, 3 kept\n"), "{}", narrow.text());
    let dry = rejects(&world, &["replay", "--dry-run"]).await;
    let summary = "would be 1 stored, 1 duplicate, 1 kept\n";
    assert!(dry.code == 1 && dry.text().ends_with(summary), "{}", dry.text());
    assert_eq!(count(&world, postgres, "rejected_messages").await, "3", "a dry run changes it");
    assert_eq!(count(&world, postgres, "orders").await, "0", "a dry run changes it");

    let replayed = rejects(&world, &["replay"]).await;
    let text = replayed.text();
    assert!(replayed.code == 1 && text.ends_with("\n1 stored, 1 duplicate, 1 kept\n"), "{text}");
    for line in [
        "(orders 1): stored\n",
        "(orders 2): kept, not_json: expected a JSON value",
        "(orders 3): duplicate\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let served = replica.order("fixed").await;
    assert_eq!((served.status, served.body), (StatusCode::OK, fixed));
    let kept = world.sql(postgres, "select sequence, reason from rejected_messages").await;
    assert_eq!(kept, "2|not_json");
    let nothing = rejects(&world, &["replay", "--reason", "too_large"]).await;
    assert_eq!((nothing.code, nothing.text()), (0, "0 stored, 0 duplicate, 0 kept\n"));
}

#[tokio::test]
async fn a_conflict_and_what_postgres_refuses_stay() {
    let (world, postgres) = migrated().await;
    let document = crate::service::hex(&order("taken"));
    let stored = format!("insert into orders values ('taken', '\\x{document}', 1)");
    world.sql(postgres, &stored).await;
    world.sql(postgres, "alter table orders add check (order_uid not like 'poison-%')").await;
    let spaced = [&order("taken")[..], b" "].concat();
    keep(&world, postgres, "conflict", &spaced, "1 hour").await;
    for uid in ["poison-1", "poison-2", "poison-3", "well"] {
        keep(&world, postgres, "database", &order(uid), "1 hour").await;
    }
    // Most of the batch is refused, which would halt the writing of what flows in.
    let replayed = rejects(&world, &["replay"]).await;
    let text = replayed.text();
    assert!(replayed.code == 1 && text.ends_with("\n1 stored, 0 duplicate, 4 kept\n"), "{text}");
    assert!(
        text.contains("kept, conflict: order taken is stored already, with the same"),
        "{text}"
    );
    assert_eq!(text.matches("kept, database: 23514").count(), 3, "{text}");

    world.sql(postgres, "alter table orders drop constraint orders_order_uid_check").await;
    let reason = ["replay", "--reason", "database", "--reason", "empty"];
    let mended = rejects(&world, &reason).await;
    assert_eq!(mended.code, 0, "{}", mended.text());
    let left = world.sql(postgres, "select reason from rejected_messages").await;
    assert_eq!(left, "conflict");
    let id = world.sql(postgres, "select id from rejected_messages").await;
    let by_id = rejects(&world, &["replay", &id, "999999"]).await;
    assert!(by_id.code == 1 && by_id.text().contains("reject 999999: there is none"));
}

/// Whether the order is stored while its reject is still kept.
async fn is_both(world: &World, postgres: &testbed::Postgres) -> bool {
    count(world, postgres, "orders").await == "1"
        && count(world, postgres, "rejected_messages").await == "1"
}

#[tokio::test]
async fn a_replay_that_fails_or_is_killed_loses_nothing() {
    let (world, postgres) = migrated().await;
    keep(&world, postgres, "too_large", &order("late"), "1 hour").await;
    let role = &world.database.runtime_role;
    world.sql(postgres, &format!("revoke insert on orders from {role}")).await;
    let refused = rejects(&world, &["replay"]).await;
    assert_eq!(refused.code, 1, "{}", refused.text());
    assert!(refused.stderr.contains("permission denied"), "{}", refused.stderr);
    assert_eq!(count(&world, postgres, "rejected_messages").await, "1", "removed unstored");

    // Rejects can be read and not removed, so the replay stands between its two steps.
    world.sql(postgres, &format!("grant insert on orders to {role}")).await;
    let mut holder = PgConnection::connect(&world.database.owner_url).await.expect("a session");
    let mut locked = holder.begin().await.expect("a transaction");
    let lock = "lock table rejected_messages in share mode";
    sqlx::query(lock).execute(&mut *locked).await.expect(lock);
    let mut command = world.command(&["rejects", "replay"]);
    let mut replay = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    eventually("the order is stored", PATIENCE, async || {
        (count(&world, postgres, "orders").await == "1").then_some(())
    })
    .await;
    replay.kill().expect("killed");
    replay.wait().expect("dead");
    assert!(is_both(&world, postgres).await, "the reject is removed before its time");
    locked.rollback().await.expect("unlocked");

    // The server may still finish what the dead client had asked for, which is safe by then.
    let again = rejects(&world, &["replay"]).await;
    assert_eq!(again.code, 0, "{}", again.text());
    assert_eq!(count(&world, postgres, "rejected_messages").await, "0");
    assert_eq!(count(&world, postgres, "orders").await, "1");
}
