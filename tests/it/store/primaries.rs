//! Which primaries are noted, and when that asks for a repair.

use sqlx::{Connection as _, PgConnection};
use waybill::store::{Primary, Store};

use super::{migrated, open};

fn primary(timeline: i64) -> Primary {
    Primary { system: "1".to_owned(), timeline }
}

/// Whether a note of it asks for a repair.
async fn asks(store: &Store, timeline: i64, had_another: bool) -> bool {
    let noted = store.note_primary(&primary(timeline), "a", had_another).await;
    noted.expect("Postgres answers").repair_asked
}

#[tokio::test]
async fn a_repair_is_asked_for_whenever_something_may_be_missing() {
    let database = migrated().await;
    let store = open(&database);
    assert!(!asks(&store, 1, false).await, "the first of all");
    assert!(!asks(&store, 1, false).await);
    assert!(asks(&store, 2, false).await, "a new one");
    // Another replica may have died that worked with the one before until then.
    assert!(asks(&store, 2, false).await, "one of today");
    let mut owner = PgConnection::connect(&database.owner_url).await.unwrap();
    let age = "update primaries set noticed_at = now() - interval '25 hours'";
    sqlx::query(age).execute(&mut owner).await.unwrap();
    assert!(!asks(&store, 2, false).await, "one of yesterday");
    assert!(asks(&store, 2, true).await, "who had another has stored elsewhere");
}

#[tokio::test]
async fn a_repair_begins_where_the_last_one_of_the_same_primary_ended() {
    let store = open(&migrated().await);
    for (timeline, began) in [(1, None), (1, Some(7)), (1, Some(7)), (2, None), (2, Some(7))] {
        assert!(asks(&store, timeline, true).await);
        let mut claim = store.claim_repair().await.unwrap().unwrap();
        assert_eq!(claim.progress.get("orders").copied(), began, "timeline {timeline}");
        claim.progress.insert("orders".to_owned(), 7);
        claim.note_progress().await.unwrap();
        claim.finish().await.unwrap();
    }
    // One that was given up goes on where it stood, and not further.
    assert!(asks(&store, 2, true).await);
    let mut claim = store.claim_repair().await.unwrap().unwrap();
    claim.progress.insert("orders".to_owned(), 9);
    claim.note_progress().await.unwrap();
    drop(claim);
    let claim = loop {
        // Postgres may not have seen yet that the connection with the lock has ended.
        if let Some(claim) = store.claim_repair().await.unwrap() {
            break claim;
        }
    };
    assert_eq!(claim.progress.get("orders"), Some(&9));
}
