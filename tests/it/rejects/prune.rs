//! Letting rejects go, and which ones a command means.

use super::{count, keep, migrated, rejects};

#[tokio::test]
async fn only_what_was_asked_for_is_pruned() {
    let (world, postgres) = migrated().await;
    for (reason, age) in [("empty", "3 days"), ("not_json", "2 days"), ("empty", "1 minute")] {
        keep(&world, postgres, reason, age.as_bytes(), age).await;
    }
    let unscoped = rejects(&world, &["prune", "--yes"]).await;
    assert_eq!(unscoped.code, 64);
    assert!(unscoped.stderr.contains("--all") && unscoped.stderr.contains("--until"));
    let unasked = rejects(&world, &["prune", "--until", "1day"]).await;
    assert_eq!(unasked.code, 64);
    assert!(
        unasked.stderr.starts_with("error: 2 rejects (12 B), first seen from 20")
            && unasked.stderr.contains("rejects export")
            && unasked.stderr.contains("--yes"),
        "{}",
        unasked.stderr
    );
    assert_eq!(count(&world, postgres, "rejected_messages").await, "3");

    let old = rejects(&world, &["prune", "--until", "1day", "--reason", "empty", "--yes"]).await;
    assert!(
        old.code == 0 && old.text().starts_with("1 deleted, first seen from "),
        "{}",
        old.text()
    );
    let left = world.sql(postgres, "select reason from rejected_messages order by id").await;
    assert_eq!(left, "not_json\nempty");
    let one = rejects(&world, &["prune", "--all", "--limit", "1", "--yes"]).await;
    assert!(one.text().starts_with("1 deleted"), "{}", one.text());
    let left = world.sql(postgres, "select reason from rejected_messages").await;
    assert_eq!(left, "empty", "the oldest goes first");
    let rest = rejects(&world, &["prune", "--all", "--yes"]).await;
    assert!(rest.text().starts_with("1 deleted"), "{}", rest.text());
    let none = rejects(&world, &["prune", "--all", "--yes"]).await;
    assert_eq!((none.code, none.text()), (0, "no such rejects\n"));
}

#[tokio::test]
async fn filters_choose_by_reason_time_and_channel() {
    let (world, postgres) = migrated().await;
    for (reason, age) in [("empty", "3 days"), ("not_json", "2 days"), ("empty", "1 minute")] {
        keep(&world, postgres, reason, age.as_bytes(), age).await;
    }
    let moment = world
        .sql(
            postgres,
            "select to_char(first_seen at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') \
             from rejected_messages where reason = 'not_json'",
        )
        .await;
    for (arguments, expected) in [
        (&["--reason", "empty"][..], &["3", "1"][..]),
        (&["--reason", "empty", "--reason", "not_json"], &["3", "2", "1"]),
        (&["--since", "1h"], &["3"]),
        (&["--until", "2days 12h"], &["1"]),
        (&["--since", &moment], &["3", "2"]),
        (&["--until", &moment], &["1"]),
        (&["--channel", "orders", "--limit", "1"], &["3"]),
        (&["--channel", "other"], &[]),
    ] {
        let listed = rejects(&world, &[&["list", "--json"], arguments].concat()).await;
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        let ids: Vec<String> = listed
            .text()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
            .map(|record| record["sequence"].to_string())
            .collect();
        assert_eq!(ids, expected, "{arguments:?}");
    }
    assert_eq!(rejects(&world, &["list", "--channel", "other"]).await.text(), "no rejects\n");
    let wrong = rejects(&world, &["list", "--reason", "mood"]).await;
    assert_eq!(wrong.code, 64);
    assert!(wrong.stderr.contains("not_json") && wrong.stderr.contains("mood"), "{}", wrong.stderr);
    let wrong = rejects(&world, &["replay", "1", "--reason", "empty"]).await;
    assert_eq!(wrong.code, 64, "{}", wrong.stderr);
}
